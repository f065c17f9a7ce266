//! Has an engine push an image into a registry of our own on this machine, which takes only the
//! layers that nobody has yet. Called by `engine`.
//!
//! The save call streams every layer, a push those the registry asks for, and no other call can
//! choose. An engine asks for a blob only where it remembers the digest some registry gave a
//! layer of this image, so every such question is answered with yes: the layer is known by what
//! is in it, and its digest elsewhere does not matter. Nothing the engine says is relied on: the
//! configuration has to have the image's ID for its digest, and each layer that came the diff ID
//! the configuration names. What comes is compressed again, so that a layer has the same digest
//! whichever way it took.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::domain::digest::Digest;
use crate::domain::manifest::Manifest;
use crate::domain::platform::Architecture;
use crate::event::{Event, SharedReporter};
use crate::image::gzip::Compression;
use crate::image::known::KnownLayers;
use crate::image::seal::{self, Stored};
use crate::image::spool::{Spool, Spooled};
use crate::image::{Image, ImageError};
use crate::services::docker::{DockerEngine, EngineImage};

/// No manifest or configuration of an engine is larger.
const LARGEST_DOCUMENT: u64 = 4 << 20;

/// Takes an image from the engine. The error says in words why that did not work; the image can
/// still be exported then.
pub(super) async fn take(
    engine: &DockerEngine,
    name: &str,
    found: &EngineImage,
    architecture: Option<Architecture>,
    known: &KnownLayers,
    reporter: &SharedReporter,
) -> Result<Image, String> {
    let door = Door::open(found.id, reporter).await.map_err(|error| error.to_string())?;
    let mut manifest = door.admit(engine, found).await?;
    if door.insist(found, known, &manifest) {
        manifest = door.admit(engine, found).await?;
    }
    let received = std::mem::take(&mut *door.lobby.received());
    drop(door);
    let config = received.blobs.get(&found.id).filter(|blob| blob.size <= LARGEST_DOCUMENT);
    let config_bytes = read(config.ok_or("the engine sent no configuration")?).await?;
    let say = |error: ImageError| error.to_string();
    let config = seal::config(name, &config_bytes, architecture).map_err(say)?;
    let (level, mut stored) = (known.compression(), Vec::new());
    for (diff_id, descriptor) in found.diff_ids.iter().zip(&manifest.layers) {
        let layer = match (known.get(diff_id), received.blobs.get(&descriptor.digest)) {
            (Some(known), _) => known.clone(),
            (None, Some(blob)) => {
                let what = format!("{name} layer {}", diff_id.0.short());
                seal::convert(&what, Compression::Gzip, &blob.source, level, reporter).await.map_err(say)?
            }
            (None, None) => return Err(format!("the engine kept layer {} to itself", diff_id.0.short())),
        };
        stored.push(Stored::Compressed(layer));
    }
    seal::rebuild(name, config_bytes, config, stored, level, reporter).await.map_err(say)
}

async fn read(blob: &Spooled) -> Result<Bytes, String> {
    let stream = blob.source.open().await.map_err(|error| error.to_string())?;
    let chunks: Vec<Bytes> = stream.try_collect().await.map_err(|error| error.to_string())?;
    Ok(chunks.concat().into())
}

type Request = http::Request<Incoming>;
type Response = http::Response<Empty<Bytes>>;

/// A registry for one push; it closes when it is dropped.
struct Door {
    /// Such as `127.0.0.1:40123/name`. Nobody else on this machine knows the name.
    repository: String,
    lobby: Lobby,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Lobby {
    /// `/v2/NAME/`
    prefix: Arc<str>,
    /// The image: its configuration is the one blob that has to come.
    image: Digest,
    received: Arc<Mutex<Received>>,
    reporter: SharedReporter,
}

/// What the engine has sent.
#[derive(Default)]
struct Received {
    sessions: HashMap<String, Spool>,
    blobs: HashMap<Digest, Spooled>,
    manifest: Option<Bytes>,
    /// Blobs that have to come, whatever the engine remembers.
    wanted: HashSet<Digest>,
    bytes: u64,
    reported: u64,
}

impl Door {
    async fn open(image: Digest, reporter: &SharedReporter) -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let name = uuid::Uuid::new_v4().simple().to_string();
        let repository = format!("{}/{name}", listener.local_addr()?);
        let lobby = Lobby {
            prefix: format!("/v2/{name}/").into(),
            image,
            received: Arc::default(),
            reporter: reporter.clone(),
        };
        let server = tokio::spawn(listen(listener, lobby.clone()));
        Ok(Self { repository, lobby, server })
    }
}

impl Door {
    /// Lets the engine push, and returns the manifest it ends with.
    async fn admit(&self, engine: &DockerEngine, found: &EngineImage) -> Result<Manifest, String> {
        engine.push(found, &self.repository).await.map_err(|error| error.to_string())?;
        let manifest = self.lobby.received().manifest.take().ok_or("the engine sent no manifest")?;
        let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|error| error.to_string())?;
        if manifest.config.digest != found.id || manifest.layers.len() != found.diff_ids.len() {
            return Err("the engine pushed another image".to_owned());
        }
        Ok(manifest)
    }

    /// Finds the layers that nobody has and that the engine did not send, because it remembers
    /// them from another registry. Now that their digests there are known, the next time it asks
    /// the answer is no. Returns whether there are any.
    fn insist(&self, found: &EngineImage, known: &KnownLayers, manifest: &Manifest) -> bool {
        let mut received = self.lobby.received();
        let layers = found.diff_ids.iter().zip(&manifest.layers);
        let kept: Vec<Digest> = layers
            .filter(|(diff_id, layer)| {
                known.get(diff_id).is_none() && !received.blobs.contains_key(&layer.digest)
            })
            .map(|(_, layer)| layer.digest)
            .collect();
        received.wanted.extend(&kept);
        !kept.is_empty()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Lobby {
    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The size of a blob that is here, or that somebody else has.
    fn size(&self, digest: Digest) -> Option<u64> {
        let received = self.received();
        match received.blobs.get(&digest) {
            Some(blob) => Some(blob.size),
            None if digest == self.image || received.wanted.contains(&digest) => None,
            // It goes into a manifest that nobody reads.
            None => Some(1),
        }
    }

    fn count(&self, bytes: usize) {
        let mut received = self.received();
        received.bytes += bytes as u64;
        if received.bytes - received.reported >= super::REPORT_EVERY {
            received.reported = received.bytes;
            let bytes = received.bytes;
            self.reporter.report(Event::ImageProgress { activity: "exporting", bytes, total: None });
        }
    }
}

/// Serves every connection until it is aborted, and the connections with it.
async fn listen(listener: TcpListener, lobby: Lobby) {
    let mut connections = JoinSet::new();
    loop {
        // What fails to connect will try again.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let lobby = lobby.clone();
        connections.spawn(async move {
            let answer = |request| {
                let lobby = lobby.clone();
                async move { Ok::<_, std::convert::Infallible>(serve(lobby, request).await) }
            };
            // A connection that breaks is noticed by the engine.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(lobby: Lobby, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if path == "/v2/" {
        return answer(StatusCode::OK, &[]);
    }
    let Some(rest) = path.strip_prefix(&*lobby.prefix) else { return answer(StatusCode::NOT_FOUND, &[]) };
    match (method, rest.split('/').collect::<Vec<_>>().as_slice()) {
        (Method::HEAD, ["blobs", digest]) => match digest.parse().ok().and_then(|it| lobby.size(it)) {
            Some(size) => head(size),
            None => answer(StatusCode::NOT_FOUND, &[]),
        },
        (Method::POST, ["blobs", "uploads", ..]) => start(&lobby),
        (Method::PATCH, ["blobs", "uploads", session]) => append(&lobby, session, request.into_body()).await,
        (Method::PUT, ["blobs", "uploads", session]) => {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let appended = append(&lobby, session, request.into_body()).await;
            if appended.status() != StatusCode::ACCEPTED {
                return appended;
            }
            finish(&lobby, session, &query)
        }
        (Method::PUT, ["manifests", _]) => manifest(&lobby, request.into_body()).await,
        _ => answer(StatusCode::NOT_FOUND, &[]),
    }
}

fn answer(status: StatusCode, headers: &[(&str, String)]) -> Response {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    // Every header here is made of hexadecimal digits and the like.
    response.body(Empty::new()).unwrap_or_default()
}

fn head(size: u64) -> Response {
    answer(StatusCode::OK, &[(header::CONTENT_LENGTH.as_str(), size.to_string())])
}

fn start(lobby: &Lobby) -> Response {
    let Ok(spool) = Spool::create() else { return answer(StatusCode::INSUFFICIENT_STORAGE, &[]) };
    let session = uuid::Uuid::new_v4().to_string();
    let opened = accepted(lobby, &session, 0);
    lobby.received().sessions.insert(session, spool);
    opened
}

fn accepted(lobby: &Lobby, session: &str, length: u64) -> Response {
    let headers = [
        (header::LOCATION.as_str(), format!("{}blobs/uploads/{session}", lobby.prefix)),
        (header::RANGE.as_str(), format!("0-{}", length.saturating_sub(1))),
        ("docker-upload-uuid", session.to_owned()),
    ];
    answer(StatusCode::ACCEPTED, &headers)
}

async fn append(lobby: &Lobby, session: &str, body: Incoming) -> Response {
    let Some(mut spool) = lobby.received().sessions.remove(session) else {
        return answer(StatusCode::NOT_FOUND, &[]);
    };
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else { return answer(StatusCode::BAD_REQUEST, &[]) };
        if spool.write_all(&chunk).is_err() {
            return answer(StatusCode::INSUFFICIENT_STORAGE, &[]);
        }
        lobby.count(chunk.len());
    }
    let taken = accepted(lobby, session, spool.size());
    lobby.received().sessions.insert(session.to_owned(), spool);
    taken
}

fn finish(lobby: &Lobby, session: &str, query: &str) -> Response {
    let Some(spool) = lobby.received().sessions.remove(session) else {
        return answer(StatusCode::NOT_FOUND, &[]);
    };
    let Ok(spooled) = spool.finish() else { return answer(StatusCode::INSUFFICIENT_STORAGE, &[]) };
    let named = query.split('&').find_map(|pair| pair.strip_prefix("digest="));
    let named = named.map(|digest| digest.replace("%3A", ":").replace("%3a", ":"));
    if named.and_then(|digest| digest.parse().ok()) != Some(spooled.digest) {
        return answer(StatusCode::BAD_REQUEST, &[]);
    }
    let digest = spooled.digest;
    lobby.received().blobs.insert(digest, spooled);
    created(lobby, &format!("blobs/{digest}"), digest)
}

fn created(lobby: &Lobby, place: &str, digest: Digest) -> Response {
    let location = format!("{}{place}", lobby.prefix);
    let headers = [(header::LOCATION.as_str(), location), ("docker-content-digest", digest.to_string())];
    answer(StatusCode::CREATED, &headers)
}

async fn manifest(lobby: &Lobby, body: Incoming) -> Response {
    let Ok(bytes) = Limited::new(body, LARGEST_DOCUMENT as usize).collect().await else {
        return answer(StatusCode::PAYLOAD_TOO_LARGE, &[]);
    };
    let bytes = bytes.to_bytes();
    let digest = Digest::of(&bytes);
    lobby.received().manifest = Some(bytes);
    created(lobby, &format!("manifests/{digest}"), digest)
}
