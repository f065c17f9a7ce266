//! A call of a function and what comes of it.

use serde_json::Value;

/// The largest event of an invocation that is waited for, in bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const LARGEST_EVENT: usize = 6 * 1024 * 1024;
/// The largest event of an asynchronous invocation, in bytes.
pub const LARGEST_ASYNCHRONOUS_EVENT: usize = 1024 * 1024;

/// What Lambda says of every error that a function did not handle.
const UNHANDLED: &str = "Unhandled";

/// A call of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvokeRequest {
    /// Name or ARN.
    pub function: String,
    /// A version or an alias.
    pub qualifier: Option<String>,
    /// The event: JSON.
    pub payload: Vec<u8>,
    /// JSON that a mobile client would send along.
    pub client_context: Option<String>,
    /// Whether nobody waits for the answer.
    pub asynchronous: bool,
    /// Whether the last lines of the log are wanted.
    pub wants_log: bool,
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The HTTP status: 200, or 202 for an asynchronous call.
    pub status_code: i32,
    /// The version that ran.
    pub executed_version: Option<String>,
    /// The bytes of the answer, or of the document of an error.
    pub payload: Vec<u8>,
    /// How the function failed, where it did: `Unhandled`.
    pub function_error: Option<String>,
    /// The last lines of the log.
    pub log_tail: Option<String>,
    /// By which it is found in the log.
    pub request_id: Option<String>,
}

/// A function's own error, as far as its document says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionFailure {
    /// Such as `ValueError` or `Sandbox.Timedout`.
    pub error_type: Option<String>,
    /// What it says.
    pub message: String,
    /// Where it happened, innermost as the runtime orders it.
    pub trace: Vec<String>,
}

impl Invocation {
    /// The function's own error, where it failed.
    pub fn failure(&self) -> Option<FunctionFailure> {
        let error = self.function_error.as_ref()?;
        let failure = FunctionFailure::read(&self.payload);
        // Of a response that failed on its way, Lambda may tell no more than the type.
        let told = (error != UNHANDLED).then(|| error.clone());
        Some(FunctionFailure { error_type: failure.error_type.or(told), ..failure })
    }
}

impl FunctionFailure {
    /// Reads an error's document. Runtimes agree on `errorType` and `errorMessage`, and call the
    /// trace `stackTrace` or `trace`; what is none of that is shown whole.
    pub fn read(document: &[u8]) -> Self {
        let whole = || String::from_utf8_lossy(document).trim().to_owned();
        let Ok(Value::Object(members)) = serde_json::from_slice(document) else {
            return Self { message: whole(), ..Self::default() };
        };
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let trace = ["stackTrace", "trace"].iter().find_map(|name| members.get(*name));
        let lines = match trace {
            Some(Value::Array(lines)) => lines.iter().map(line).collect(),
            Some(Value::String(lines)) => lines.lines().map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let error_type = text("errorType");
        let message =
            text("errorMessage").unwrap_or_else(|| error_type.as_ref().map_or_else(whole, |_| String::new()));
        Self { error_type, message, trace: lines }
    }
}

fn line(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |line| line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(document: &str) -> FunctionFailure {
        FunctionFailure::read(document.as_bytes())
    }

    #[test]
    fn the_errors_of_runtimes_are_understood() {
        let python = failure(
            r#"{"errorMessage":"no","errorType":"ValueError","requestId":"r","stackTrace":["  File \"app.py\", line 2\n    raise\n"]}"#,
        );
        assert_eq!(python.error_type.as_deref(), Some("ValueError"));
        assert_eq!(python.message, "no");
        assert_eq!(python.trace, ["  File \"app.py\", line 2\n    raise"]);
        let node = failure(r#"{"errorType":"Error","errorMessage":"x","trace":["Error: x","    at f"]}"#);
        assert_eq!(node.trace, ["Error: x", "    at f"]);
        let java = failure(r#"{"errorMessage":"x","stackTrace":"a\nb"}"#);
        assert_eq!((java.error_type, java.trace.len()), (None, 2));
    }

    #[test]
    fn an_error_without_a_document_has_its_type() {
        let failure = |error: &str, document: &str| {
            let invocation = Invocation {
                status_code: 200,
                executed_version: None,
                payload: document.into(),
                function_error: Some(error.to_owned()),
                log_tail: None,
                request_id: None,
            };
            invocation.failure().unwrap().error_type
        };
        assert_eq!(failure("Unhandled", "boom"), None);
        assert_eq!(failure("Runtime.StreamError", "").as_deref(), Some("Runtime.StreamError"));
        assert_eq!(failure("Unhandled", r#"{"errorType":"E"}"#).as_deref(), Some("E"));
    }

    #[test]
    fn what_is_no_error_document_is_shown_whole() {
        assert_eq!(failure("boom\n").message, "boom");
        assert_eq!(failure(r#"{"code":7}"#).message, r#"{"code":7}"#);
        assert_eq!(failure(r#"{"errorType":"E"}"#).message, "");
    }
}
