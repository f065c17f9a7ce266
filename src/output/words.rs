//! Times, rates and foreign text as they are shown.

use std::time::Duration;

use crate::domain::function::FunctionStatus;
use crate::domain::reason::meaning;
use crate::domain::size::ByteSize;

/// A time span: `0.3s`, `41.2s`, `2m 05s`.
pub fn duration(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds < 59.95 {
        return format!("{seconds:.1}s");
    }
    let whole = span.as_secs_f64().round() as u64;
    if whole < 3600 {
        format!("{}m {:02}s", whole / 60, whole % 60)
    } else {
        format!("{}h {:02}m", whole / 3600, whole % 3600 / 60)
    }
}

/// Bytes of a whole, where the whole is known: `12.0 MB of 310.0 MB`.
pub fn portion(bytes: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{} of {}", ByteSize(bytes), ByteSize(total)),
        None => ByteSize(bytes).to_string(),
    }
}

/// Foreign text without anything that could move the cursor or ring the bell.
pub fn clean(text: &str) -> String {
    console::strip_ansi_codes(text)
        .chars()
        .filter_map(|c| match c {
            '\t' => Some(' '),
            c if c.is_control() => None,
            c => Some(c),
        })
        .collect()
}

/// Like [`clean`], for text of several lines.
pub fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// Cuts a line to `width` columns.
pub fn fit(text: &str, width: usize) -> String {
    console::truncate_str(text, width, "…").into_owned()
}

/// A line that is broken between words where it is wider than that; what follows is indented.
pub fn broken(line: &str, width: usize, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in line.split_inclusive(' ') {
        match lines.last_mut() {
            Some(last) if console::measure_text_width(&format!("{last}{}", word.trim_end())) <= width => {
                last.push_str(word);
            }
            _ => lines.push(format!("{:indent$}{word}", "")),
        }
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

/// A function's status on one line: `Pending (Creating: The function is being created.)`.
pub fn status(status: &FunctionStatus) -> String {
    let state = status.state.as_ref().map(ToString::to_string);
    let update = status.last_update_status.as_ref().map(|update| format!("last update {update}"));
    let words = [state, update].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let (code, reason) = status.reason();
    let because = match (code, reason) {
        (Some(code), Some(reason)) => format!(" ({code}: {reason})"),
        (Some(code), None) => match meaning(code) {
            Some(meaning) => format!(" ({code}: {meaning})"),
            None => format!(" ({code})"),
        },
        (None, Some(reason)) => format!(" ({reason})"),
        (None, None) => String::new(),
    };
    let words = if words.is_empty() { "no status".to_owned() } else { words };
    clean(&format!("{words}{because}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_no_sooner_than_needed() {
        let line = "✓ image  1 layer sent (935.5 kB), 0 reused  0.0s";
        assert_eq!(broken(line, 48, 9), line);
        assert_eq!(broken(line, 47, 9), "✓ image  1 layer sent (935.5 kB), 0 reused\n         0.0s");
        assert_eq!(broken("a wordthatisverylong", 8, 2), "a\n  wordthatisverylong");
    }

    #[test]
    fn durations_are_short() {
        for (milliseconds, text) in [
            (0, "0.0s"),
            (340, "0.3s"),
            (41_250, "41.2s"),
            (59_990, "1m 00s"),
            (125_000, "2m 05s"),
            (3_720_000, "1h 02m"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn foreign_text_cannot_move_the_cursor() {
        assert_eq!(clean("\u{1b}[31mred\u{1b}[0m\rover\u{7}\tend"), "redover end");
        assert_eq!(clean_lines("a\r\nb\u{1b}[2J"), "a\nb");
    }

    #[test]
    fn lines_are_cut_by_columns_not_bytes() {
        assert_eq!(fit("äöüß", 3), "äö…");
        assert_eq!(fit("ab", 3), "ab");
    }
}
