//! Lambda's words: the documents of errors that Lambda itself finds.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::local::runner::Exit;
use crate::local::runtime_api::Answer;

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

/// What a caller gets of an answer.
pub(super) fn answered(answer: Answer) -> Result<Bytes, Fault> {
    match answer {
        Answer::Response(bytes) => Ok(bytes),
        Answer::Error(error) => Err(reported(&error.error_type, error.document)),
        Answer::TooLarge(limit) => Err(too_large(limit)),
    }
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
fn too_large(limit: usize) -> Fault {
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
}
