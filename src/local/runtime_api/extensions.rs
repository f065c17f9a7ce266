//! The Extensions API: extensions register, and are told of invocations and of the end. It also
//! knows who is waiting for what, which is when an environment is ready.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::{FunctionError, Invocation, LARGEST_ANSWER, Session, accepted, axum_json, refused};

const IDENTIFIER: &str = "lambda-extension-identifier";
const NAME: &str = "lambda-extension-name";
const ERROR_TYPE: &str = "lambda-extension-function-error-type";
/// The event of the end.
const SHUTDOWN: &str = "SHUTDOWN";
/// Events that may wait for an extension that is busy; what is more is lost to it.
const WAITING: usize = 16;
/// Extensions an environment may have.
const MOST: usize = 10;

/// Who takes part in one environment: the runtime, and the extensions.
#[derive(Debug)]
pub(super) struct Extensions {
    state: Mutex<Participants>,
    /// How often everybody has come to wait for the next event.
    ready: watch::Sender<u64>,
    /// Whether every extension the image brings has registered.
    complete: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Participants {
    /// Extensions the image brings; `None` until somebody has looked.
    expected: Option<Vec<String>>,
    registered: BTreeMap<String, Extension>,
    runtime_waits: bool,
}

#[derive(Debug)]
struct Extension {
    name: String,
    wants: Vec<String>,
    waits: bool,
    events: mpsc::Sender<Value>,
    receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<Value>>>,
}

impl Extension {
    fn wants(&self, kind: &str) -> bool {
        self.wants.iter().any(|wanted| wanted == kind)
    }
}

/// Somebody who has to come before an environment is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// This extension has not registered.
    Registration(String),
    /// This extension has registered, and does not ask for its next event.
    Extension(String),
    /// The function's own program does not ask for an event.
    Runtime,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Registration {
    events: Vec<String>,
}

/// What a runner tells of the extensions it starts, and learns of them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ExtensionGate(pub(super) Arc<Extensions>);

impl ExtensionGate {
    /// The environment is not ready before these have registered.
    pub fn expect(&self, names: Vec<String>) {
        self.0.change(|participants| participants.expected = Some(names));
    }

    /// Returns when all that are expected have registered, which is when the runtime may start.
    pub async fn all_registered(&self) {
        let mut complete = self.0.complete.subscribe();
        // The sender lives as long as the value.
        let _is_true = complete.wait_for(|is_true| *is_true).await;
    }
}

impl Default for Extensions {
    fn default() -> Self {
        Self { state: Mutex::default(), ready: watch::Sender::new(0), complete: watch::Sender::new(false) }
    }
}

impl Participants {
    fn is_complete(&self) -> bool {
        let is_there = |name: &String| self.registered.values().any(|extension| extension.name == *name);
        self.expected.as_ref().is_some_and(|names| names.iter().all(is_there))
    }

    /// Those that are told of the end. One within the function's own process is not, in Lambda
    /// either: it has stopped by then.
    fn outlive_the_function(&self) -> impl Iterator<Item = &Extension> {
        let names = self.expected.as_deref().unwrap_or_default();
        self.registered
            .values()
            .filter(|extension| extension.wants(SHUTDOWN) && names.contains(&extension.name))
    }

    fn is_ready(&self) -> bool {
        self.is_complete() && self.runtime_waits && self.registered.values().all(|extension| extension.waits)
    }
}

impl Extensions {
    fn state(&self) -> std::sync::MutexGuard<'_, Participants> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes who waits or is there, and tells when that makes the environment ready.
    fn change(&self, change: impl FnOnce(&mut Participants)) {
        let mut state = self.state();
        change(&mut state);
        self.complete.send_replace(state.is_complete());
        if state.is_ready() {
            self.ready.send_modify(|count| *count += 1);
        }
    }

    /// Changes when the environment has become ready again.
    pub(super) fn ready(&self) -> watch::Receiver<u64> {
        self.ready.subscribe()
    }

    /// The runtime waits for an event.
    pub(super) fn runtime_waits(&self) {
        self.change(|participants| participants.runtime_waits = true);
    }

    /// Tells of an invocation; who gets to know of it does not wait any more.
    pub(super) fn invoked(&self, invocation: &Invocation) {
        let event = json!({
            "eventType": "INVOKE",
            "deadlineMs": invocation.deadline,
            "requestId": invocation.request_id,
            "invokedFunctionArn": invocation.function_arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": invocation.trace_id},
        });
        let mut state = self.state();
        state.runtime_waits = false;
        for extension in state.registered.values_mut().filter(|extension| extension.wants("INVOKE")) {
            extension.waits = false;
            let _busy = extension.events.try_send(event.clone());
        }
    }

    /// Whether anybody wants to know of the end.
    pub(super) fn are_to_be_told(&self) -> bool {
        self.state().outlive_the_function().next().is_some()
    }

    /// Tells of the end.
    pub(super) fn shut_down(&self, reason: &str, deadline: i64) {
        let event = json!({"eventType": SHUTDOWN, "shutdownReason": reason, "deadlineMs": deadline});
        for extension in self.state().outlive_the_function() {
            let _busy = extension.events.try_send(event.clone());
        }
    }

    /// Whom the environment waits for before it is ready, extensions first.
    pub(super) fn awaited(&self) -> Vec<Awaited> {
        let state = self.state();
        let expected = state.expected.iter().flatten();
        let is_there = |name: &&String| state.registered.values().any(|extension| extension.name == **name);
        let unregistered = expected.filter(|name| !is_there(name)).cloned().map(Awaited::Registration);
        let busy = state.registered.values().filter(|extension| !extension.waits);
        let busy = busy.map(|extension| Awaited::Extension(extension.name.clone()));
        let runtime = (!state.runtime_waits).then_some(Awaited::Runtime);
        unregistered.chain(busy).chain(runtime).collect()
    }

    /// Those there are, by name, and the events they want.
    pub(super) fn registered(&self) -> Vec<(String, Vec<String>)> {
        let told = |extension: &Extension| (extension.name.clone(), extension.wants.clone());
        self.state().registered.values().map(told).collect()
    }
}

/// Takes an extension in.
pub(super) async fn register(
    State(session): State<Arc<Session>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(name) = headers.get(NAME).and_then(|name| name.to_str().ok()).map(str::to_owned) else {
        return refused(StatusCode::FORBIDDEN, "Extension.InvalidExtensionName", "Extension name is missing");
    };
    let registration: Registration = match serde_json::from_slice(&body) {
        Ok(registration) => registration,
        Err(error) => {
            return refused(StatusCode::BAD_REQUEST, "InvalidRequestFormat", &error.to_string());
        }
    };
    let (events, receiver) = mpsc::channel(WAITING);
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let identifier = uuid::Uuid::new_v4().to_string();
    if session.extensions.state().registered.len() >= MOST {
        let message = "Extension limit exceeded";
        return refused(StatusCode::FORBIDDEN, "Extension.TooManyExtensions", message);
    }
    let extension = Extension { name, wants: registration.events, waits: false, events, receiver };
    session.extensions.change(|participants| {
        participants.registered.insert(identifier.clone(), extension);
    });
    let identity = &session.identity;
    let answer = json!({
        "functionName": identity.function,
        "functionVersion": identity.version,
        "handler": identity.handler,
    });
    ([(IDENTIFIER, identifier)], axum_json(&answer)).into_response()
}

fn identifier(headers: &HeaderMap) -> &str {
    headers.get(IDENTIFIER).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The next event of an extension, as soon as there is one.
pub(super) async fn next(State(session): State<Arc<Session>>, headers: HeaderMap) -> Response {
    let mut receiver = None;
    session.extensions.change(|participants| {
        if let Some(extension) = participants.registered.get_mut(identifier(&headers)) {
            extension.waits = true;
            receiver = Some(extension.receiver.clone());
        }
    });
    let Some(receiver) = receiver else { return unknown() };
    let Some(event) = receiver.lock().await.recv().await else { return std::future::pending().await };
    axum_json(&event).into_response()
}

/// Takes the reason why an extension cannot start, and with it the environment.
pub(super) async fn init_error(
    State(session): State<Arc<Session>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !session.extensions.state().registered.contains_key(identifier(&headers)) {
        return unknown();
    }
    let document = match Limited::new(body, LARGEST_ANSWER).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let told = headers.get(ERROR_TYPE).and_then(|value| value.to_str().ok());
    let error_type = told.unwrap_or("Extension.InitError").to_owned();
    session.init_error.send_replace(Some(FunctionError { error_type, document }));
    accepted()
}

/// Takes the reason why an extension is about to exit; its exit tells the rest.
pub(super) async fn exit_error(State(session): State<Arc<Session>>, headers: HeaderMap) -> Response {
    let is_known = session.extensions.state().registered.contains_key(identifier(&headers));
    if is_known { accepted() } else { unknown() }
}

/// Subscribers go on without telemetry when they are told so.
pub(super) async fn no_telemetry() -> Response {
    refused(StatusCode::ACCEPTED, "Telemetry.NotSupported", "Telemetry API is not supported")
}

fn unknown() -> Response {
    refused(StatusCode::FORBIDDEN, "Extension.UnknownExtensionIdentifier", "Unknown extension identifier")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_within_the_function_is_not_told_of_its_end() {
        let extensions = Extensions::default();
        let register = |name: &str| {
            let (events, receiver) = mpsc::channel(WAITING);
            let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
            let wants = vec![SHUTDOWN.to_owned()];
            let extension = Extension { name: name.to_owned(), wants, waits: false, events, receiver };
            extensions.change(|all| drop(all.registered.insert(name.to_owned(), extension)));
        };
        extensions.change(|all| all.expected = Some(vec!["outside".to_owned()]));
        register("inside");
        assert!(!extensions.are_to_be_told());
        register("outside");
        assert!(extensions.are_to_be_told());
        extensions.shut_down("timeout", 0);
        let waiting = |name: &str| extensions.state().registered[name].events.capacity() < WAITING;
        assert!(waiting("outside") && !waiting("inside"));
    }
}
