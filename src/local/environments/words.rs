//! Lambda's words: the documents of errors that Lambda itself finds, and the lines it logs.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::local::runner::Exit;

/// What Lambda calls the end of a process that used too much memory.
pub(super) const OUT_OF_MEMORY: &str = "Runtime.OutOfMemory";

/// An error of a function: what its caller gets, and what the log calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// In the REPORT line: `error` or `timeout`.
    pub(super) status: &'static str,
    /// In the REPORT line; absent for a time-out.
    pub(super) error_type: Option<String>,
    /// A line of its own in the log.
    pub(super) line: Option<String>,
    /// For the caller.
    pub(super) document: Bytes,
}

fn document(error_type: &str, message: &str) -> Bytes {
    json!({"errorType": error_type, "errorMessage": message}).to_string().into()
}

/// The function took too long.
pub(super) fn timed_out(request_id: &str, timeout: Duration, now: &str) -> Fault {
    let text = format!("Task timed out after {:.2} seconds", timeout.as_secs_f64());
    Fault {
        status: "timeout",
        error_type: None,
        line: Some(format!("{now} {request_id} {text}")),
        document: document("Sandbox.Timedout", &format!("RequestId: {request_id} Error: {text}")),
    }
}

/// The process ended before it answered, or never began.
pub(super) fn ended(request_id: &str, exit: &Exit) -> Fault {
    if let Some(extension) = &exit.extension {
        return extension_ended(request_id, extension, exit);
    }
    if let Some(error) = &exit.start_error {
        let message = format!("RequestId: {request_id} Error: {error}");
        return Fault {
            status: "error",
            error_type: Some(error.error_type().to_owned()),
            line: Some(message.clone()),
            document: document(error.error_type(), &message),
        };
    }
    let message = match exit.code {
        Some(0) if exit.signal.is_none() => {
            format!("RequestId: {request_id} Error: Runtime exited without providing a reason")
        }
        _ => format!("RequestId: {request_id} Error: Runtime exited with error: {exit}"),
    };
    let error_type = if exit.out_of_memory { OUT_OF_MEMORY } else { "Runtime.ExitError" };
    Fault {
        status: "error",
        error_type: Some(error_type.to_owned()),
        line: Some(format!("{message}\n{error_type}")),
        document: document(error_type, &message),
    }
}

/// An extension could not be started, or has ended before its environment.
fn extension_ended(request_id: &str, extension: &str, exit: &Exit) -> Fault {
    let (error_type, why) = match &exit.start_error {
        Some(error) => ("Extension.LaunchError", error.to_string()),
        None => ("Extension.Crash", exit.to_string()),
    };
    let message = format!("RequestId: {request_id} Error: {why}");
    Fault {
        status: "error",
        error_type: Some(error_type.to_owned()),
        line: Some(format!("EXTENSION\tName: {extension}\tState: Ended\tError Type: {error_type}")),
        document: document(error_type, &message),
    }
}

/// The answer was larger than Lambda hands on.
pub(super) fn too_large(limit: usize) -> Fault {
    let message = format!("Response payload size exceeded maximum allowed payload size ({limit} bytes).");
    Fault {
        status: "error",
        error_type: Some("Function.ResponseSizeTooLarge".to_owned()),
        line: Some(message.clone()),
        document: document("Function.ResponseSizeTooLarge", &message),
    }
}

/// The function's own error.
pub(super) fn reported(error_type: &str, own: Bytes) -> Fault {
    let document = if own.is_empty() { document(error_type, "unknown") } else { own };
    Fault { status: "error", error_type: Some(error_type.to_owned()), line: None, document }
}

/// The lines around an invocation.
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

pub(super) fn start(request_id: &str, version: &str) -> String {
    format!("START RequestId: {request_id} Version: {version}")
}

pub(super) fn end(request_id: &str) -> String {
    format!("END RequestId: {request_id}")
}

/// What is said of a start that failed or took too long.
pub(super) fn init_report(duration: Duration, status: &str, error_type: Option<&str>) -> String {
    let error = error_type.map(|error_type| format!("\tError Type: {error_type}")).unwrap_or_default();
    format!("INIT_REPORT Init Duration: {} ms\tPhase: init\tStatus: {status}{error}", milliseconds(duration))
}

impl Report<'_> {
    /// The REPORT line. Lambda bills whole milliseconds, the start of an image included.
    pub(super) fn line(&self) -> String {
        let billed = self.duration + self.init.unwrap_or_default();
        let mut line = format!(
            "REPORT RequestId: {}\tDuration: {} ms\tBilled Duration: {} ms\tMemory Size: {} MB",
            self.request_id,
            milliseconds(self.duration),
            billed.as_nanos().div_ceil(1_000_000),
            self.memory,
        );
        if let Some(used) = self.memory_used {
            line += &format!("\tMax Memory Used: {used} MB");
        }
        if let Some(init) = self.init {
            line += &format!("\tInit Duration: {} ms", milliseconds(init));
        }
        if let Some(fault) = self.fault {
            line += &format!("\tStatus: {}", fault.status);
            line +=
                &fault.error_type.as_ref().map(|kind| format!("\tError Type: {kind}")).unwrap_or_default();
        }
        line
    }
}

fn milliseconds(span: Duration) -> String {
    format!("{:.2}", span.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::runner::StartError;

    fn text(fault: &Fault) -> String {
        String::from_utf8(fault.document.to_vec()).unwrap()
    }

    #[test]
    fn errors_are_told_in_lambdas_words() {
        let timeout = timed_out("r-1", Duration::from_secs(3), "2026-11-22T10:00:00.000Z");
        assert_eq!(
            text(&timeout),
            r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: r-1 Error: Task timed out after 3.00 seconds"}"#
        );
        assert_eq!(
            timeout.line.as_deref(),
            Some("2026-11-22T10:00:00.000Z r-1 Task timed out after 3.00 seconds")
        );
        let exit = Exit { code: Some(7), ..Exit::default() };
        assert_eq!(
            text(&ended("r-1", &exit)),
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: r-1 Error: Runtime exited with error: exit status 7"}"#
        );
        let memory = Exit { signal: Some(9), out_of_memory: true, ..Exit::default() };
        assert_eq!(
            text(&ended("r-1", &memory)),
            r#"{"errorType":"Runtime.OutOfMemory","errorMessage":"RequestId: r-1 Error: Runtime exited with error: signal: killed"}"#
        );
        let missing = StartError::EntrypointNotFound { entry_point: "/bootstrap".to_owned() };
        let missing = Exit { start_error: Some(missing), ..Exit::default() };
        assert_eq!(
            text(&ended("r-1", &missing)),
            r#"{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: r-1 Error: fork/exec /bootstrap: no such file or directory"}"#
        );
        assert!(text(&too_large(6_291_556)).contains("(6291556 bytes)."));
    }

    #[test]
    fn the_report_bills_whole_milliseconds_and_the_start_once() {
        let mut report = Report {
            request_id: "r-1",
            duration: Duration::from_micros(1230),
            init: Some(Duration::from_millis(50)),
            memory: 128,
            memory_used: Some(12),
            fault: None,
        };
        assert_eq!(
            report.line(),
            "REPORT RequestId: r-1\tDuration: 1.23 ms\tBilled Duration: 52 ms\tMemory Size: 128 MB\tMax Memory Used: 12 MB\tInit Duration: 50.00 ms"
        );
        let fault = ended("r-1", &Exit { code: Some(1), ..Exit::default() });
        (report.init, report.fault) = (None, Some(&fault));
        assert!(
            report.line().ends_with("\tMax Memory Used: 12 MB\tStatus: error\tError Type: Runtime.ExitError")
        );
        assert!(report.line().contains("\tBilled Duration: 2 ms\t"));
    }
}
