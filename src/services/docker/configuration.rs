//! Reads the configuration of an image byte for byte. Called by `DockerEngine`.
//!
//! No call of an engine's own API hands it out: `inspect` writes another document, an archive and
//! a push come with layers. But BuildKit, which is a part of the engine, is asked for it by whoever
//! resolves a `FROM`, and tells it within milliseconds where images are directories. A build that
//! does nothing has to be open meanwhile. The engine calls the way there deprecated, and other
//! engines do not have it: whoever asks needs another way.
//! <https://github.com/moby/buildkit/blob/v0.20.0/frontend/gateway/pb/gateway.proto>
//! <https://github.com/moby/moby/blob/v28.0.0/builder/builder-next/adapters/containerimage/pull.go>

use std::error::Error;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, TE, UPGRADE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::task::JoinSet;

use super::discovery::Endpoint;
use super::raw::{self, Connection};
use crate::domain::digest::Digest;

/// Nobody waits longer for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// No configuration is larger.
const LARGEST: usize = 4 << 20;

/// The length of what stands before each message: whether it is compressed, and its size.
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests>
const PREFIX: usize = 5;

type Failure = Box<dyn Error + Send + Sync>;

/// A build; with neither a frontend nor a definition it waits for what it is asked.
#[derive(Clone, PartialEq, Message)]
struct SolveRequest {
    /// The build's name.
    #[prost(string, tag = "1")]
    reference: String,
    /// Whether it is left out of the history of builds.
    #[prost(bool, tag = "11")]
    internal: bool,
}

#[derive(Clone, PartialEq, Message)]
struct ResolveImageConfigRequest {
    /// The image's name.
    #[prost(string, tag = "1")]
    reference: String,
    /// Whether the engine's own images come first.
    #[prost(string, tag = "3")]
    resolve_mode: String,
    /// What a log of builds would say.
    #[prost(string, tag = "4")]
    log_name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ResolveImageConfigResponse {
    #[prost(bytes = "bytes", tag = "2")]
    config: Bytes,
}

/// The configuration of the image that is called `name` and has this ID, which is the
/// configuration's digest. The error says why the engine did not tell it.
pub(super) async fn read(endpoint: &Endpoint, name: &str, id: Digest) -> Result<Bytes, String> {
    let reading = async { ask(raw::connect(endpoint).await?, name).await };
    let config = match tokio::time::timeout(PATIENCE, reading).await {
        Ok(config) => config.map_err(|error| error.to_string())?,
        Err(_) => return Err(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    match Digest::of(&config) == id {
        true => Ok(config),
        false => Err("the engine told another configuration".to_owned()),
    }
}

async fn ask(stream: Box<dyn Connection>, name: &str) -> Result<Bytes, Failure> {
    // Ends with this function, and the build with it.
    let mut connections = JoinSet::new();
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await?;
    connections.spawn(async { drop(connection.with_upgrades().await) });
    let upgrade = Request::post("/grpc").header(HOST, "docker").header(CONNECTION, "Upgrade");
    let upgrade = upgrade.header(UPGRADE, "h2c").body(Empty::<Bytes>::new())?;
    let answer = client.send_request(upgrade).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(format!("it answers {}", answer.status()).into());
    }
    let stream = hyper::upgrade::on(answer).await?;
    let (client, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
    connections.spawn(async { drop(connection.await) });
    let client = Client { client, build: uuid::Uuid::new_v4().simple().to_string() };

    let build = SolveRequest { reference: client.build.clone(), internal: true };
    let question = ResolveImageConfigRequest {
        reference: name.to_owned(),
        resolve_mode: "local".to_owned(),
        log_name: "lambdactl".to_owned(),
    };
    tokio::select! {
        ended = client.call("moby.buildkit.v1.Control/Solve", &build) => {
            ended?;
            Err("the build ended before it was asked".into())
        }
        told = client.call("moby.buildkit.v1.frontend.LLBBridge/ResolveImageConfig", &question) => {
            Ok(ResolveImageConfigResponse::decode(told?)?.config)
        }
    }
}

/// Calls procedures on behalf of a build.
struct Client {
    client: http2::SendRequest<Full<Bytes>>,
    build: String,
}

impl Client {
    async fn call(&self, procedure: &str, message: &impl Message) -> Result<Bytes, Failure> {
        let mut body = BytesMut::with_capacity(PREFIX + message.encoded_len());
        body.put_u8(0);
        body.put_u32(message.encoded_len().try_into()?);
        message.encode(&mut body)?;
        let request = Request::post(format!("http://docker/{procedure}"))
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .header("buildkit-controlapi-buildid", &self.build)
            .body(Full::new(body.freeze()))?;
        let answer = self.client.clone().send_request(request).await?;
        check(answer.headers())?;
        let answer = Limited::new(answer.into_body(), LARGEST).collect().await?;
        if let Some(trailers) = answer.trailers() {
            check(trailers)?;
        }
        let mut answer = answer.to_bytes();
        match answer.len() < PREFIX {
            true => Err("the answer is empty".into()),
            false => Ok(answer.split_off(PREFIX)),
        }
    }
}

/// Looks for an error, which is named after all else.
fn check(headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        None | Some("0") => Ok(()),
        Some(status) => Err(text("grpc-message").unwrap_or(status).into()),
    }
}
