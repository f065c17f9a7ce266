//! `PutFunctionEventInvokeConfig` and its siblings: what becomes of asynchronous calls that fail.
//! Lambda tries them twice more, unless a function is configured otherwise.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::errors::Failure;
use super::function::Function;
use super::reply::Reply;
use super::request::Request;
use super::target::{LATEST, NameRules, Target, qualified_arn};
use super::validation::Violations;
use crate::local::call::Call;

/// How asynchronous calls of a function, or of one of its aliases and versions, are treated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EventConfig {
    attempts: Option<i64>,
    /// Seconds. Nothing waits long enough here to become too old.
    age: Option<i64>,
    /// Seconds since 1970.
    modified: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EventRequest {
    maximum_retry_attempts: Option<i64>,
    maximum_event_age_in_seconds: Option<i64>,
    destination_config: Option<Value>,
}

/// How long to wait before each further try of an asynchronous call.
pub(super) fn pauses(call: &Call, function: &Function, qualifier: Option<&str>) -> Vec<Duration> {
    let config = function.event_configs.get(qualifier.unwrap_or(LATEST));
    let most = config.and_then(|config| config.attempts).and_then(|attempts| usize::try_from(attempts).ok());
    let pauses = call.delays.retries;
    pauses.into_iter().take(most.unwrap_or(pauses.len())).collect()
}

fn place(request: &Request<'_>) -> Result<(Target, String), Failure> {
    let target = Target::of(request, NameRules::Plain)?;
    let qualifier = target.qualifier.clone().unwrap_or_else(|| LATEST.to_owned());
    Ok((target, qualifier))
}

fn render(call: &Call, name: &str, qualifier: &str, config: &EventConfig) -> Reply {
    let mut body = json!({
        "LastModified": config.modified,
        "FunctionArn": qualified_arn(call, name, qualifier),
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}},
    });
    if let Some(attempts) = config.attempts {
        body["MaximumRetryAttempts"] = json!(attempts);
    }
    if let Some(age) = config.age {
        body["MaximumEventAgeInSeconds"] = json!(age);
    }
    Reply::json(200, body)
}

fn missing(call: &Call, name: &str, qualifier: &str) -> Failure {
    let arn = qualified_arn(call, name, qualifier);
    Failure::not_found(format!("The function {arn} doesn't have an EventInvokeConfig"))
}

/// Sets the configuration; `keeps` what the request does not name.
fn set(request: &Request<'_>, keeps: bool) -> Result<Reply, Failure> {
    let (call, (target, qualifier)) = (request.call, place(request)?);
    let wanted: EventRequest = request.body()?;
    let mut violations = Violations::default();
    if let Some(attempts) = wanted.maximum_retry_attempts {
        violations.range(attempts, "maximumRetryAttempts", 0, 2);
    }
    if let Some(age) = wanted.maximum_event_age_in_seconds {
        violations.range(age, "maximumEventAgeInSeconds", 60, 21_600);
    }
    violations.check()?;
    let has_destination = wanted.destination_config.as_ref().is_some_and(|config| {
        ["OnSuccess", "OnFailure"].iter().any(|end| config[end]["Destination"].is_string())
    });
    if has_destination {
        return Err(Failure::not_available("asynchronous calls cannot have destinations"));
    }
    call.store.transaction(|tx| {
        let mut function = Function::read(tx, call, &target.name)?.ok_or_else(|| target.not_found(call))?;
        if function.resolve(target.qualifier.as_deref()).is_none() {
            return Err(target.not_found(call));
        }
        let before = function.event_configs.get(&qualifier);
        if keeps && before.is_none() {
            return Err(missing(call, &function.name, &qualifier));
        }
        let before = before.filter(|_| keeps);
        let config = EventConfig {
            attempts: wanted.maximum_retry_attempts.or(before.and_then(|before| before.attempts)),
            age: wanted.maximum_event_age_in_seconds.or(before.and_then(|before| before.age)),
            modified: call.now.unix_timestamp(),
        };
        function.event_configs.insert(qualifier.clone(), config.clone());
        function.write(tx, call)?;
        Ok(render(call, &function.name, &qualifier, &config))
    })?
}

/// `PutFunctionEventInvokeConfig`
pub(super) fn put(request: &Request<'_>) -> Result<Reply, Failure> {
    set(request, false)
}

/// `UpdateFunctionEventInvokeConfig`
pub(super) fn update(request: &Request<'_>) -> Result<Reply, Failure> {
    set(request, true)
}

/// `GetFunctionEventInvokeConfig`
pub(super) fn get(request: &Request<'_>) -> Result<Reply, Failure> {
    let (call, (target, qualifier)) = (request.call, place(request)?);
    let function = call.store.transaction(|tx| Function::read(tx, call, &target.name))??;
    let function = function.ok_or_else(|| target.not_found(call))?;
    let config = function.event_configs.get(&qualifier);
    let config = config.ok_or_else(|| missing(call, &function.name, &qualifier))?;
    Ok(render(call, &function.name, &qualifier, config))
}

/// `DeleteFunctionEventInvokeConfig`
pub(super) fn delete(request: &Request<'_>) -> Result<Reply, Failure> {
    let (call, (target, qualifier)) = (request.call, place(request)?);
    call.store.transaction(|tx| {
        let mut function = Function::read(tx, call, &target.name)?.ok_or_else(|| target.not_found(call))?;
        if function.event_configs.remove(&qualifier).is_none() {
            return Err(missing(call, &function.name, &qualifier));
        }
        function.write(tx, call)?;
        Ok(Reply::empty())
    })?
}
