//! The lines Lambda itself logs around starts and invocations, as text or as JSON.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html>

use std::time::Duration;

use serde_json::{Value, json};

use super::environment::now;
use super::words::Fault;

/// How a function's log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// An object a line.
    Json,
}

/// What is said at the end of an invocation.
#[derive(Clone, Debug)]
pub(super) struct Report<'a> {
    pub(super) request_id: &'a str,
    pub(super) duration: Duration,
    /// Only of the first invocation of an environment.
    pub(super) init: Option<Duration>,
    /// Megabytes.
    pub(super) memory: u64,
    /// Megabytes; absent where the runner cannot tell.
    pub(super) memory_used: Option<u64>,
    pub(super) fault: Option<&'a Fault>,
}

impl LogFormat {
    /// As Lambda names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Json => "JSON",
        }
    }

    pub(super) fn start(self, request_id: &str, version: &str) -> String {
        match self {
            Self::Text => format!("START RequestId: {request_id} Version: {version}"),
            Self::Json => platform("start", &json!({"requestId": request_id, "version": version})),
        }
    }

    /// JSON says no more here than in the report.
    pub(super) fn end(self, request_id: &str) -> Option<String> {
        (self == Self::Text).then(|| format!("END RequestId: {request_id}"))
    }

    /// What is said of a start that failed or took too long.
    pub(super) fn init_report(self, duration: Duration, status: &str, error_type: Option<&str>) -> String {
        if self == Self::Json {
            let mut record = json!({
                "initializationType": "on-demand",
                "phase": "init",
                "status": status,
                "metrics": {"durationMs": rounded(duration)},
            });
            if let Some(error_type) = error_type {
                record["errorType"] = json!(error_type);
            }
            return platform("initReport", &record);
        }
        let error = error_type.map(|error_type| format!("\tError Type: {error_type}")).unwrap_or_default();
        let duration = milliseconds(duration);
        format!("INIT_REPORT Init Duration: {duration} ms\tPhase: init\tStatus: {status}{error}")
    }

    /// An extension takes part.
    pub(super) fn extension(self, name: &str, events: &[String]) -> String {
        match self {
            Self::Text => {
                format!("EXTENSION\tName: {name}\tState: Ready\tEvents: [{}]", events.join(", "))
            }
            Self::Json => platform("extension", &json!({"name": name, "state": "Ready", "events": events})),
        }
    }

    /// What is said of an error besides the report.
    pub(super) fn fault(self, request_id: &str, line: &str) -> String {
        match self {
            Self::Text => line.to_owned(),
            Self::Json => {
                let told =
                    json!({"timestamp": now(), "level": "ERROR", "message": line, "requestId": request_id});
                told.to_string()
            }
        }
    }

    /// The report. Lambda bills whole milliseconds, the start of an image included.
    pub(super) fn report(self, report: &Report<'_>) -> String {
        let billed = report.duration + report.init.unwrap_or_default();
        let billed = u64::try_from(billed.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        match self {
            Self::Text => text(report, billed),
            Self::Json => record(report, billed),
        }
    }
}

fn platform(kind: &str, record: &Value) -> String {
    json!({"time": now(), "type": format!("platform.{kind}"), "record": record}).to_string()
}

fn text(report: &Report<'_>, billed: u64) -> String {
    let mut line = format!(
        "REPORT RequestId: {}\tDuration: {} ms\tBilled Duration: {billed} ms\tMemory Size: {} MB",
        report.request_id,
        milliseconds(report.duration),
        report.memory,
    );
    if let Some(used) = report.memory_used {
        line += &format!("\tMax Memory Used: {used} MB");
    }
    if let Some(init) = report.init {
        line += &format!("\tInit Duration: {} ms", milliseconds(init));
    }
    if let Some(fault) = report.fault {
        line += &format!("\tStatus: {}", fault.status);
        line += &fault.error_type.as_ref().map(|kind| format!("\tError Type: {kind}")).unwrap_or_default();
    }
    line
}

fn record(report: &Report<'_>, billed: u64) -> String {
    let mut metrics = json!({
        "durationMs": rounded(report.duration),
        "billedDurationMs": billed,
        "memorySizeMB": report.memory,
    });
    if let Some(used) = report.memory_used {
        metrics["maxMemoryUsedMB"] = json!(used);
    }
    if let Some(init) = report.init {
        metrics["initDurationMs"] = json!(rounded(init));
    }
    let status = report.fault.map_or("success", |fault| fault.status);
    let mut record = json!({"requestId": report.request_id, "metrics": metrics, "status": status});
    if let Some(error_type) = report.fault.and_then(|fault| fault.error_type.as_ref()) {
        record["errorType"] = json!(error_type);
    }
    platform("report", &record)
}

fn milliseconds(span: Duration) -> String {
    format!("{:.2}", span.as_secs_f64() * 1000.0)
}

/// Milliseconds, to the microsecond.
fn rounded(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::environments::words::ended;
    use crate::local::runner::Exit;

    fn report<'a>(init: Option<Duration>, fault: Option<&'a Fault>) -> Report<'a> {
        let duration = Duration::from_micros(1230);
        Report { request_id: "r-1", duration, init, memory: 128, memory_used: Some(12), fault }
    }

    #[test]
    fn the_report_bills_whole_milliseconds_and_the_start_once() {
        let init = Some(Duration::from_millis(50));
        assert_eq!(
            LogFormat::Text.report(&report(init, None)),
            "REPORT RequestId: r-1\tDuration: 1.23 ms\tBilled Duration: 52 ms\tMemory Size: 128 MB\tMax Memory Used: 12 MB\tInit Duration: 50.00 ms"
        );
        let fault = ended("r-1", &Exit { code: Some(1), ..Exit::default() });
        let line = LogFormat::Text.report(&report(None, Some(&fault)));
        assert!(line.ends_with("\tMax Memory Used: 12 MB\tStatus: error\tError Type: Runtime.ExitError"));
        assert!(line.contains("\tBilled Duration: 2 ms\t"));
    }

    #[test]
    fn in_json_the_report_is_an_object() {
        let fault = ended("r-1", &Exit { code: Some(1), ..Exit::default() });
        let line = LogFormat::Json.report(&report(Some(Duration::from_millis(50)), Some(&fault)));
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["type"], "platform.report");
        assert_eq!(
            line["record"],
            json!({
                "requestId": "r-1",
                "metrics": {
                    "durationMs": 1.23, "billedDurationMs": 52, "memorySizeMB": 128,
                    "maxMemoryUsedMB": 12, "initDurationMs": 50.0
                },
                "status": "error",
                "errorType": "Runtime.ExitError",
            })
        );
        assert_eq!(LogFormat::Json.end("r-1"), None);
    }
}
