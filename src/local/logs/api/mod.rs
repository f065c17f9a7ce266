//! The CloudWatch Logs API of the local cloud, as far as reading logs needs it: JSON 1.1 over
//! `POST /`.
//!
//! `server::dispatch` hands every request with its target to [`handle`], on a thread that may
//! block. Names of members, errors and texts are CloudWatch's.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/>

mod describe;
mod identity;
mod pattern;
mod read;

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::{LogStore, StreamEvent};
use crate::local::call::{ACCOUNT, Call};
use crate::local::store::StoreError;

/// What stands before the operation in `X-Amz-Target`.
pub const TARGET_PREFIX: &str = "Logs_20140328.";

/// One of CloudWatch's exceptions.
#[derive(Debug)]
struct Failure {
    code: &'static str,
    message: String,
}

impl Failure {
    fn invalid(message: impl Into<String>) -> Self {
        Self { code: "InvalidParameterException", message: message.into() }
    }

    fn missing(what: &str) -> Self {
        Self {
            code: "ResourceNotFoundException",
            message: format!("The specified log {what} does not exist."),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { code: "ServiceUnavailableException", message: error.to_string() }
    }
}

/// Answers one call of `operation`.
pub fn handle(call: &Call, operation: &str, body: &[u8]) -> Response<Body> {
    let request = Request { call, logs: LogStore::new(&call.store), input: input(body) };
    let (status, body) = match run(&request, operation) {
        Ok(output) => (StatusCode::OK, output),
        Err(Failure { code, message }) => {
            let internal = code == "ServiceUnavailableException";
            let status = if internal { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_REQUEST };
            (status, json!({ "__type": code, "message": message }))
        }
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/x-amz-json-1.1");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn input(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or(Value::Null)
}

fn run(request: &Request<'_>, operation: &str) -> Result<Value, Failure> {
    if !request.input.is_object() {
        return Err(Failure { code: "SerializationException", message: String::new() });
    }
    match operation {
        "FilterLogEvents" => read::filter(request),
        "GetLogEvents" => read::get(request),
        "DescribeLogStreams" => describe::streams(request),
        "DescribeLogGroups" => describe::groups(request),
        _ => Err(Failure { code: "UnknownOperationException", message: String::new() }),
    }
}

/// A call and its input.
#[derive(Debug)]
struct Request<'a> {
    call: &'a Call,
    logs: LogStore,
    input: Value,
}

impl Request<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.input[name].as_str()
    }

    /// The group that is asked for, which has to exist.
    fn group(&self) -> Result<&str, Failure> {
        let name = match (self.text("logGroupName"), self.text("logGroupIdentifier")) {
            (Some(name), None) => name,
            // A name or an ARN.
            (None, Some(identifier)) => identifier
                .split_once(":log-group:")
                .map_or(identifier, |(_, name)| name.trim_end_matches(":*")),
            _ => return Err(Failure::invalid("either logGroupName or logGroupIdentifier has to be given")),
        };
        if self.logs.groups(&self.call.region)?.iter().any(|group| group == name) {
            Ok(name)
        } else {
            Err(Failure::missing("group"))
        }
    }

    /// A number of things an answer may hold.
    fn limit(&self, most: usize) -> Result<usize, Failure> {
        match &self.input["limit"] {
            Value::Null => Ok(most),
            value => value
                .as_u64()
                .and_then(|limit| usize::try_from(limit).ok())
                .filter(|limit| (1..=most).contains(limit))
                .ok_or_else(|| Failure::invalid(format!("'limit' has to be a number from 1 to {most}"))),
        }
    }

    /// The events of the group in the time that is asked for.
    fn events(&self, group: &str) -> Result<Vec<StreamEvent>, Failure> {
        let since = self.input["startTime"].as_i64().unwrap_or(0);
        let end = self.input["endTime"].as_i64().unwrap_or(i64::MAX);
        let mut events = self.logs.events(&self.call.region, group, since)?;
        events.retain(|event| event.event.timestamp <= end);
        Ok(events)
    }

    fn group_arn(&self, group: &str) -> String {
        format!("arn:aws:logs:{}:{ACCOUNT}:log-group:{group}", self.call.region)
    }
}

/// As Lambda writes events: each line with its line break.
fn message(event: &StreamEvent) -> String {
    format!("{}\n", event.event.message)
}

#[cfg(test)]
mod tests;
