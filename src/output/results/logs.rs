//! Log lines, one by one, and what they came to.

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::domain::log::{LogEvent, LogSummary};
use crate::output::style::Style;
use crate::output::words::clean;

/// One event as JSON: what was logged is a text, whatever it holds.
pub(in crate::output) fn event_to_json(function: &str, event: &LogEvent) -> Value {
    json!({
        "reason": "log-event",
        "function_name": function,
        "timestamp": timestamp(event.timestamp),
        "stream": event.stream,
        "event_id": event.id,
        "message": event.message,
    })
}

/// One event for people and scripts. What a function logs may hold what others have sent it, so
/// nothing of it reaches the terminal as a command.
pub(in crate::output) fn event_to_text(event: &LogEvent, style: &Style) -> String {
    // Python's runtime client ends the lines of a trace with a carriage return, so that
    // CloudWatch takes them for one event.
    let message = event.message.replace("\r\n", "\n");
    let lines: Vec<String> = message.split(['\n', '\r']).map(clean).collect();
    format!("{} {}\n", style.dim(&timestamp(event.timestamp)), lines.join("\n"))
}

/// The object that is the last line in JSON.
pub(super) fn to_json(function: &str, summary: &LogSummary) -> Value {
    json!({ "reason": "logs", "function_name": function, "log_group": summary.group, "events": summary.events })
}

/// To the millisecond, which is as exact as the service is.
fn timestamp(milliseconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000);
    let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_with_its_time_and_nothing_a_terminal_obeys() {
        let event = LogEvent {
            id: "1".to_owned(),
            timestamp: 1_764_000_000_007,
            stream: "s".to_owned(),
            message: "one\rand\r\n\u{1b}[31mtwo\u{7}\tthree".to_owned(),
        };
        let text = event_to_text(&event, &Style::new(false));
        assert!(text.starts_with("2025-11-24T16:00:00.007Z one\nand\ntwo three"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
        assert_eq!(event_to_json("hello", &event)["message"], "one\rand\r\n\u{1b}[31mtwo\u{7}\tthree");
    }
}
