//! What a function answered.

use serde_json::{Value, json};

use crate::domain::invocation::Invocation;

/// The object that is the last line in JSON: the answer as JSON where it is JSON, else as text.
pub(super) fn to_json(function: &str, invocation: &Invocation) -> Value {
    let payload = serde_json::from_slice(&invocation.payload).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&invocation.payload);
        if text.is_empty() { Value::Null } else { text.into() }
    });
    let log = invocation.log_tail.as_ref().map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>());
    json!({
        "reason": "invocation",
        "function_name": function,
        "executed_version": invocation.executed_version,
        "status_code": invocation.status_code,
        "payload": payload,
        "log_tail": log,
        "request_id": invocation.request_id,
    })
}

/// What a call that nobody waits for comes to, for people.
pub(super) fn epilogue(function: &str, invocation: &Invocation) -> String {
    match (invocation.status_code, &invocation.request_id) {
        (202, Some(id)) => format!("`{function}` is invoked asynchronously (request id {id})\n"),
        (202, None) => format!("`{function}` is invoked asynchronously\n"),
        _ => String::new(),
    }
}
