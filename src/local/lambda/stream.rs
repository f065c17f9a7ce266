//! `InvokeWithResponseStream`: an answer that is handed on while the function makes it, in the
//! frames of an AWS event stream.
//!
//! <https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html>

use std::convert::Infallible;
use std::fmt;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::errors::Failure;
use super::event_stream;
use super::invoke::{Kind, Permitted, Reservation, permitted};
use super::reply;
use crate::local::call::Call;
use crate::local::environments::{Environments, InvokeError, Invoked};
use crate::local::runtime_api::Piece;

/// Pieces that may wait for a slow caller; the function waits with more.
const WAITING: usize = 16;

/// An answer on its way. Its function goes on where nobody takes it any more, as in Lambda.
pub struct Streaming {
    version: String,
    wants_log: bool,
    first: Option<Part>,
    pieces: mpsc::Receiver<Piece>,
    result: Option<oneshot::Receiver<Result<Invoked, InvokeError>>>,
    _use: Reservation,
}

/// What comes of an invocation, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The function streams: its answer's content type, where it names one.
    Begin(Option<String>),
    /// Bytes of the answer.
    Data(Bytes),
    /// Nothing more comes. Of an answer that was not streamed, this has all.
    End(Invoked),
}

impl fmt::Debug for Streaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Answers an invocation.
pub(super) async fn invoke(
    call: &Call,
    environments: &Environments,
    request: http::Request<Bytes>,
) -> Response<Body> {
    let permitted = match permitted(call, request).await {
        Ok(permitted) => permitted,
        Err(failure) => return reply::response(Err(failure)).map(Body::from),
    };
    if permitted.kind == Kind::DryRun {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    match start(environments, permitted).await {
        Ok(streaming) => framed(streaming),
        Err(failure) => reply::response(Err(failure)).map(Body::from),
    }
}

/// Begins an invocation; returns when there is something to hand on.
pub(super) async fn begin(
    call: &Call,
    environments: &Environments,
    request: http::Request<Bytes>,
) -> Result<Streaming, Failure> {
    start(environments, permitted(call, request).await?).await
}

async fn start(environments: &Environments, mut permitted: Permitted) -> Result<Streaming, Failure> {
    if permitted.kind == Kind::Event {
        return Err(Failure::invalid_parameter("An answer that nobody waits for cannot be streamed."));
    }
    let reservation = permitted.reserve()?;
    let (sender, pieces) = mpsc::channel(WAITING);
    permitted.event.pieces = Some(sender);
    let (done, result) = oneshot::channel();
    let (version, wants_log) = (permitted.configuration.version.clone(), permitted.wants_log);
    let environments = environments.clone();
    tokio::spawn(async move {
        let _gone = done.send(environments.invoke(permitted.configuration, permitted.event).await);
    });
    let mut streaming =
        Streaming { version, wants_log, first: None, pieces, result: Some(result), _use: reservation };
    // What keeps the function from being called at all is an answer of its own.
    streaming.first = streaming.receive().await?;
    Ok(streaming)
}

impl Streaming {
    /// The next part; `None` at the end, and where the local cloud ends before the function does.
    pub async fn next(&mut self) -> Option<Part> {
        match self.first.take() {
            Some(part) => Some(part),
            None => self.receive().await.ok().flatten(),
        }
    }

    async fn receive(&mut self) -> Result<Option<Part>, InvokeError> {
        let Some(result) = &mut self.result else { return Ok(None) };
        tokio::select! {
            biased;
            // The last piece comes before the end.
            Some(piece) = self.pieces.recv() => Ok(Some(match piece {
                Piece::Begin(content_type) => Part::Begin(content_type),
                Piece::Data(bytes) => Part::Data(bytes),
            })),
            done = result => {
                self.result = None;
                let invoked = done.map_err(|_| InvokeError::Interrupted)??;
                Ok(Some(Part::End(invoked)))
            }
        }
    }
}

/// The response whose body has a frame for every part.
fn framed(streaming: Streaming) -> Response<Body> {
    let version = HeaderValue::try_from(&streaming.version);
    let wants_log = streaming.wants_log;
    let frames = stream::unfold(streaming, move |mut streaming| async move {
        let part = streaming.next().await?;
        Some((Ok::<_, Infallible>(frames(part, wants_log)), streaming))
    });
    let mut response = Response::new(Body::from_stream(frames));
    let kind = HeaderValue::from_static("application/vnd.amazon.eventstream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    let name = HeaderName::from_static("x-amz-executed-version");
    response.headers_mut().extend(version.ok().map(|version| (name, version)));
    response
}

fn frames(part: Part, wants_log: bool) -> Bytes {
    let mut frames = Vec::new();
    match part {
        Part::Begin(_) => {}
        Part::Data(bytes) => chunk(&bytes, &mut frames),
        Part::End(invoked) => {
            let mut end = json!({});
            if invoked.is_error {
                end["ErrorCode"] = json!("Unhandled");
                end["ErrorDetails"] = json!(String::from_utf8_lossy(&invoked.payload));
            } else {
                chunk(&invoked.payload, &mut frames);
            }
            if wants_log {
                end["LogResult"] = json!(BASE64.encode(&invoked.log_tail));
            }
            event_stream::event(
                "InvokeComplete",
                "application/json",
                end.to_string().as_bytes(),
                &mut frames,
            );
        }
    }
    frames.into()
}

fn chunk(bytes: &[u8], frames: &mut Vec<u8>) {
    if !bytes.is_empty() {
        event_stream::event("PayloadChunk", "application/octet-stream", bytes, frames);
    }
}
