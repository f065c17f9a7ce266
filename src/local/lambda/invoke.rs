//! `Invoke`: the checks Lambda makes before a function runs, and the shape of its answer.
//!
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use super::errors::Failure;
use super::function::{Code, Function, Version};
use super::images::LocalRegistry;
use super::reply;
use super::request::Request;
use super::retries;
use super::settings::Settings;
use super::target::{NameRules, Target};
use super::validation::Violations;
use crate::local::call::Call;
use crate::local::environments::{
    Environments, Event, FunctionConfiguration, InvokeError, Invoked, LogFormat,
};

/// The largest event, in bytes, of a synchronous and of an asynchronous invocation.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const LARGEST_EVENT: usize = 6 * 1024 * 1024;
const LARGEST_LATER_EVENT: usize = 1024 * 1024;
/// The largest client context, in Base64.
const LARGEST_CONTEXT: usize = 3583;

/// How the answer of an invocation is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `Invoke`: at once.
    Whole,
    /// `InvokeWithResponseStream`: while it is made.
    Streamed,
}

/// Tells whether a request is an invocation, and which.
pub(super) fn form(request: &http::Request<Bytes>) -> Option<Form> {
    let words: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    match words[..] {
        _ if request.method() != Method::POST => None,
        ["2015-03-31", "functions", _, "invocations"] => Some(Form::Whole),
        ["2021-11-15", "functions", _, "response-streaming-invocations"] => Some(Form::Streamed),
        _ => None,
    }
}

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The caller waits for the answer.
    RequestResponse,
    /// Nobody waits.
    Event,
    /// Nothing runs.
    DryRun,
}

/// An invocation that may take place.
pub(super) struct Permitted {
    pub(super) kind: Kind,
    pub(super) configuration: FunctionConfiguration,
    pub(super) event: Event,
    pub(super) wants_log: bool,
    reserved: Option<i64>,
    /// Before each further try, where nobody waits and it fails.
    pauses: Vec<Duration>,
}

impl Permitted {
    /// Takes one of the invocations its function may have at a time.
    pub(super) fn reserve(&self) -> Result<Reservation, Failure> {
        let configuration = &self.configuration;
        Reservation::take((configuration.region.clone(), configuration.name.clone()), self.reserved)
    }
}

/// Answers an invocation.
pub(super) async fn invoke(
    call: &Call,
    environments: &Environments,
    request: http::Request<Bytes>,
) -> Response<Body> {
    let result = match permitted(call, request).await {
        Ok(permitted) => run(environments, permitted).await,
        Err(failure) => Err(failure),
    };
    result.unwrap_or_else(|failure| reply::response(Err(failure)).map(Body::from))
}

/// Makes every check that comes before the function runs.
pub(super) async fn permitted(call: &Call, request: http::Request<Bytes>) -> Result<Permitted, Failure> {
    let of_task = call.clone();
    let task = tokio::task::spawn_blocking(move || permit(&of_task, request));
    task.await.unwrap_or_else(|_| Err(Failure::interrupted()))
}

pub(super) fn permit(call: &Call, request: http::Request<Bytes>) -> Result<Permitted, Failure> {
    let (headers, payload) = (request.headers().clone(), request.body().clone());
    let request = Request::new(call, &LocalRegistry, request);
    let target = Target::of(&request, NameRules::Namespaced)?;
    let kind = kind(&headers)?;
    let limit = if kind == Kind::Event { LARGEST_LATER_EVENT } else { LARGEST_EVENT };
    if payload.len() > limit {
        return Err(Failure::too_large(limit));
    }
    let payload = if payload.is_empty() { Bytes::from_static(b"{}") } else { payload };
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&payload) {
        return Err(Failure::invalid_content(format!("Could not parse request body into json: {error}")));
    }
    let client_context = client_context(&headers)?;
    let (function, version) = find(call, &target)?;
    let (settings, code) = version.live();
    Ok(Permitted {
        kind,
        configuration: configuration(call, &function.name, &version.version, settings, code)?,
        event: Event {
            request_id: call.request_id.clone(),
            function_arn: target.arn(call),
            client_context,
            payload,
            pieces: None,
        },
        wants_log: text(&headers, "x-amz-log-type") == Some("Tail"),
        reserved: function.reserved_concurrency,
        pauses: retries::pauses(call, &function, target.qualifier.as_deref()),
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn kind(headers: &HeaderMap) -> Result<Kind, Failure> {
    let mut violations = Violations::default();
    let kind = match text(headers, "x-amz-invocation-type") {
        None | Some("RequestResponse") => Kind::RequestResponse,
        Some("Event") => Kind::Event,
        Some("DryRun") => Kind::DryRun,
        Some(other) => {
            violations.one_of(other, "invocationType", &["Event", "RequestResponse", "DryRun"]);
            Kind::DryRun
        }
    };
    if let Some(log) = text(headers, "x-amz-log-type") {
        violations.one_of(log, "logType", &["None", "Tail"]);
    }
    violations.check()?;
    Ok(kind)
}

fn client_context(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(encoded) = text(headers, "x-amz-client-context") else { return Ok(None) };
    let invalid = || {
        Failure::invalid_content(
            "Client context must be a valid Base64-encoded JSON object of at most 3583 bytes",
        )
    };
    if encoded.len() > LARGEST_CONTEXT {
        return Err(invalid());
    }
    let decoded = BASE64.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.ok_or_else(invalid)?;
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&decoded).map_err(|_| invalid())?;
    // It becomes a header again, which has no line breaks.
    Ok(Some(decoded.replace(['\n', '\r'], " ")))
}

/// The function and the version to run, if it is in a state to run. The first call of an idle
/// function fails and wakes it.
fn find(call: &Call, target: &Target) -> Result<(Function, Version), Failure> {
    let not_now = |state: &str| {
        Failure::conflict(format!(
            "The operation cannot be performed at this time. The function is currently in the following state: {state}"
        ))
    };
    let dice = f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    call.store.transaction(|tx| {
        let function = Function::read(tx, call, &target.name)?;
        let Some(mut function) = function else { return Err(target.not_found(call)) };
        let version = function.route(target.qualifier.as_deref(), dice);
        let version = version.cloned().ok_or_else(|| target.not_found(call))?;
        match version.state.value.as_str() {
            "Active" => Ok((function, version)),
            "Inactive" if version.version == function.latest.version => {
                function.latest.wake(call);
                function.write(tx, call)?;
                Err(not_now("Pending"))
            }
            state => Err(not_now(state)),
        }
    })?
}

fn configuration(
    call: &Call,
    name: &str,
    version: &str,
    settings: &Settings,
    code: &Code,
) -> Result<FunctionConfiguration, Failure> {
    let Code::Image { repository, digest, .. } = code else {
        return Err(Failure::not_available("functions from .zip archives cannot be invoked"));
    };
    let number = |value: i64| u64::try_from(value).unwrap_or_default();
    let config = settings.image_config.clone().unwrap_or_default();
    Ok(FunctionConfiguration {
        region: call.region.clone(),
        name: name.to_owned(),
        version: version.to_owned(),
        repository: repository.clone(),
        digest: *digest,
        memory: number(settings.memory_size),
        timeout: number(settings.timeout),
        ephemeral_storage: number(settings.ephemeral_storage),
        variables: settings.environment.clone().unwrap_or_default(),
        entry_point: config.entry_point,
        command: config.command,
        working_directory: config.working_directory,
        log_format: match settings.logging.log_format.as_deref() {
            Some("JSON") => LogFormat::Json,
            _ => LogFormat::Text,
        },
        log_level: settings.logging.application_log_level.clone(),
        log_group: settings.logging.log_group.clone().unwrap_or_else(|| format!("/aws/lambda/{name}")),
    })
}

async fn run(environments: &Environments, permitted: Permitted) -> Result<Response<Body>, Failure> {
    let mut response = Response::new(Body::empty());
    let version = permitted.configuration.version.clone();
    match permitted.kind {
        Kind::DryRun => *response.status_mut() = StatusCode::NO_CONTENT,
        Kind::Event => {
            environments.invoke_later(permitted.configuration, permitted.event, permitted.pauses);
            *response.status_mut() = StatusCode::ACCEPTED;
        }
        Kind::RequestResponse => {
            let _use = permitted.reserve()?;
            let invoked = environments.invoke(permitted.configuration, permitted.event).await?;
            let headers = answer_headers(&invoked, &version, permitted.wants_log);
            response.headers_mut().extend(headers);
            *response.body_mut() = Body::from(invoked.payload);
        }
    }
    Ok(response)
}

fn answer_headers(invoked: &Invoked, version: &str, wants_log: bool) -> Vec<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_static;
    let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    headers.extend(HeaderValue::try_from(version).ok().map(|value| (name("x-amz-executed-version"), value)));
    if invoked.is_error {
        headers.push((name("x-amz-function-error"), HeaderValue::from_static("Unhandled")));
    }
    if wants_log {
        let encoded = BASE64.encode(&invoked.log_tail);
        headers.extend(HeaderValue::try_from(encoded).ok().map(|value| (name("x-amz-log-result"), value)));
    }
    headers
}

/// Invocations that run, of functions that have reserved concurrency.
static RESERVED: LazyLock<Mutex<BTreeMap<(String, String), i64>>> = LazyLock::new(Mutex::default);

/// One of the invocations a function may have at a time.
#[derive(Debug)]
pub(super) struct Reservation {
    key: (String, String),
}

impl Reservation {
    fn take(key: (String, String), reserved: Option<i64>) -> Result<Self, Failure> {
        let mut all = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(key.clone()).or_default();
        if reserved.is_some_and(|reserved| *count >= reserved) {
            return Err(Failure::throttled());
        }
        *count += 1;
        Ok(Self { key })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut all = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.key);
            }
        }
    }
}

impl From<InvokeError> for Failure {
    fn from(error: InvokeError) -> Self {
        match error {
            InvokeError::Store(error) => error.into(),
            InvokeError::Interrupted => Self::interrupted(),
            // Not 500: clients would try again, and a missing engine does not come by itself.
            other => Self::not_available(&other.to_string()),
        }
    }
}
