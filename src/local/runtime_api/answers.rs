//! What a function's process says: responses, whole or streamed, and errors.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use tokio::sync::mpsc;

use super::{Answer, FunctionError, LARGEST_ANSWER, LARGEST_STREAM, Piece, Session, accepted, refused};

/// `streaming` where the answer is to be handed on while it comes.
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";

/// Both as a header, and as a trailer of a streamed response that failed on its way.
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// Takes the answer to an event, also where the process ends while it is read, and its connection
/// with it.
pub(super) async fn response(
    State(session): State<Arc<Session>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let reading = session.reading.clone();
    let read = reading.spawn(async move { taken(&session, id, headers, body).await });
    read.await.unwrap_or_else(|_| broken_off())
}

/// A streamed answer is handed on piece by piece where its caller wants that, and collected where
/// not.
async fn taken(session: &Session, id: String, headers: HeaderMap, body: Body) -> Response {
    if !session.awaits(&id) {
        return unknown_request();
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_streamed = text(RESPONSE_MODE).is_some_and(|mode| mode.eq_ignore_ascii_case("streaming"));
    if let Some(pieces) = is_streamed.then(|| session.pieces(&id)).flatten() {
        let content_type = text("content-type").map(str::to_owned);
        return streamed(session, &id, content_type, body, &pieces).await;
    }
    match Limited::new(body, LARGEST_ANSWER).collect().await {
        Ok(collected) => {
            let trailers = collected.trailers().cloned().unwrap_or_default();
            let bytes = collected.to_bytes();
            let answer = failure_on_the_way(&trailers).map_or(Answer::Response(bytes), Answer::Error);
            if session.answer(&id, answer) { accepted() } else { unknown_request() }
        }
        Err(error) if error.is::<LengthLimitError>() => too_large(session, &id, LARGEST_ANSWER),
        Err(_) => broken_off(),
    }
}

/// Hands an answer on while it comes. A caller who has left does not stop the function.
async fn streamed(
    session: &Session,
    id: &str,
    content_type: Option<String>,
    mut body: Body,
    pieces: &mpsc::Sender<Piece>,
) -> Response {
    let _gone = pieces.send(Piece::Begin(content_type)).await;
    let (mut size, mut trailers) = (0, HeaderMap::new());
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return broken_off() };
        match frame.into_data() {
            Ok(bytes) => {
                size += bytes.len();
                if size > LARGEST_STREAM {
                    return too_large(session, id, LARGEST_STREAM);
                }
                let _gone = pieces.send(Piece::Data(bytes)).await;
            }
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    let whole = Answer::Response(Bytes::new());
    let answer = failure_on_the_way(&trailers).map_or(whole, Answer::Error);
    if session.answer(id, answer) { accepted() } else { unknown_request() }
}

fn too_large(session: &Session, id: &str, limit: usize) -> Response {
    session.answer(id, Answer::TooLarge(limit));
    let message = format!("Exceeded maximum allowed payload size ({limit} bytes).");
    refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
}

/// The process went away in the middle; its end tells why.
fn broken_off() -> Response {
    refused(StatusCode::BAD_REQUEST, "InvalidRequest", "the response broke off")
}

/// The error in the trailers of a streamed response, if there is one.
fn failure_on_the_way(trailers: &HeaderMap) -> Option<FunctionError> {
    let error_type = trailers.get(ERROR_TYPE)?.to_str().ok()?.to_owned();
    let body = trailers.get(ERROR_BODY).map(|value| value.as_bytes()).unwrap_or_default();
    let document = BASE64.decode(body).unwrap_or_default().into();
    Some(FunctionError { error_type, document })
}

/// Takes the error an event came to.
pub(super) async fn error(
    State(session): State<Arc<Session>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !session.awaits(&id) {
        return unknown_request();
    }
    let error = reported(&headers, body).await;
    if session.answer(&id, Answer::Error(error)) { accepted() } else { unknown_request() }
}

/// Takes the reason why the function cannot start.
pub(super) async fn init_error(
    State(session): State<Arc<Session>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let error = reported(&headers, body).await;
    session.init_error.send_replace(Some(error));
    accepted()
}

async fn reported(headers: &HeaderMap, body: Body) -> FunctionError {
    let document: Bytes = match Limited::new(body, LARGEST_ANSWER).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let header = headers.get(ERROR_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let told = || {
        let document: serde_json::Value = serde_json::from_slice(&document).ok()?;
        Some(document["errorType"].as_str()?.to_owned())
    };
    let error_type = header.or_else(told).unwrap_or_else(|| "Runtime.Unknown".to_owned());
    FunctionError { error_type, document }
}

fn unknown_request() -> Response {
    refused(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
}
