//! The Extensions API, as far as extensions that the function's own process starts need it:
//! they register, and are told of invocations and of the end.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Invocation, Session, accepted, axum_json, refused};

const IDENTIFIER: &str = "lambda-extension-identifier";
const NAME: &str = "lambda-extension-name";
/// Events that may wait for an extension that is busy; what is more is lost to it.
const WAITING: usize = 16;
/// Extensions an environment may have.
const MOST: usize = 10;

/// The extensions of one environment.
#[derive(Debug, Default)]
pub(super) struct Extensions(Mutex<BTreeMap<String, Extension>>);

#[derive(Debug)]
struct Extension {
    wants: Vec<String>,
    events: mpsc::Sender<Value>,
    receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<Value>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Registration {
    events: Vec<String>,
}

impl Extensions {
    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Extension>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, kind: &str, event: &Value) {
        for extension in self.all().values().filter(|extension| extension.wants.iter().any(|w| w == kind)) {
            let _busy = extension.events.try_send(event.clone());
        }
    }

    pub(super) fn invoked(&self, invocation: &Invocation) {
        let event = json!({
            "eventType": "INVOKE",
            "deadlineMs": invocation.deadline,
            "requestId": invocation.request_id,
            "invokedFunctionArn": invocation.function_arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": invocation.trace_id},
        });
        self.tell("INVOKE", &event);
    }

    pub(super) fn shut_down(&self, reason: &str, deadline: i64) -> bool {
        let event = json!({"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": deadline});
        self.tell("SHUTDOWN", &event);
        self.all().values().any(|extension| extension.wants.iter().any(|wanted| wanted == "SHUTDOWN"))
    }
}

/// Takes an extension in.
pub(super) async fn register(
    State(session): State<Arc<Session>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !headers.contains_key(NAME) {
        return refused(StatusCode::FORBIDDEN, "Extension.InvalidExtensionName", "Extension name is missing");
    }
    let registration: Registration = match serde_json::from_slice(&body) {
        Ok(registration) => registration,
        Err(error) => {
            return refused(StatusCode::BAD_REQUEST, "InvalidRequestFormat", &error.to_string());
        }
    };
    let (events, receiver) = mpsc::channel(WAITING);
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let identifier = uuid::Uuid::new_v4().to_string();
    {
        let mut all = session.extensions.all();
        if all.len() >= MOST {
            let message = "Extension limit exceeded";
            return refused(StatusCode::FORBIDDEN, "Extension.TooManyExtensions", message);
        }
        all.insert(identifier.clone(), Extension { wants: registration.events, events, receiver });
    }
    let identity = &session.identity;
    let answer = json!({
        "functionName": identity.function,
        "functionVersion": identity.version,
        "handler": identity.handler,
    });
    ([(IDENTIFIER, identifier)], axum_json(&answer)).into_response()
}

/// The next event of an extension, as soon as there is one.
pub(super) async fn next(State(session): State<Arc<Session>>, headers: HeaderMap) -> Response {
    let identifier = headers.get(IDENTIFIER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let receiver = session.extensions.all().get(identifier).map(|extension| extension.receiver.clone());
    let Some(receiver) = receiver else { return unknown() };
    let Some(event) = receiver.lock().await.recv().await else { return std::future::pending().await };
    axum_json(&event).into_response()
}

/// Takes an extension's own failure.
pub(super) async fn report(State(session): State<Arc<Session>>, headers: HeaderMap) -> Response {
    let identifier = headers.get(IDENTIFIER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if session.extensions.all().contains_key(identifier) { accepted() } else { unknown() }
}

/// Subscribers go on without telemetry when they are told so.
pub(super) async fn no_telemetry() -> Response {
    refused(StatusCode::ACCEPTED, "Telemetry.NotSupported", "Telemetry API is not supported")
}

fn unknown() -> Response {
    refused(StatusCode::FORBIDDEN, "Extension.UnknownExtensionIdentifier", "Unknown extension identifier")
}
