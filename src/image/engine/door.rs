//! A registry of our own on this machine, into which an engine pushes what it is asked for.
//! Called by `layers` and `blobs`.
//!
//! The save call streams every layer, a push those the registry asks for, and no other call can
//! choose. Here every blob counts as there already, but for those that are wanted; the manifests
//! come in any case. Nothing the engine says is relied on: each blob has the digest of its bytes.
//!
//! An engine that does not remember the digests of layers sends those too that are not wanted, and
//! nobody can tell which is which before it is whole. So no upload is taken much further than the
//! one that has come least far: a small layer is not held up by large ones, which the engine
//! compresses no further meanwhile.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::domain::digest::Digest;
use crate::domain::manifest::{Descriptor, MediaType};
use crate::event::{Event, SharedReporter};
use crate::image::spool::{Spool, Spooled};
use crate::services::docker::{self, DockerEngine, EngineImage, PushName};

/// No manifest or configuration of an engine is larger.
pub(super) const LARGEST_DOCUMENT: u64 = 4 << 20;

/// When an engine that has not knocked yet counts as one that does not find the way, because its
/// loopback address is that of another machine. Most notice it themselves, and at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many bytes an upload may be ahead of the one that has come least far.
const AHEAD: u64 = 256 << 10;

/// When an upload that does not move at all holds up the others no longer.
const STANDSTILL: Duration = Duration::from_millis(200);

type Request = http::Request<Incoming>;
type Response = http::Response<Empty<Bytes>>;

/// A registry for the pushes of one image; it closes when it is dropped.
pub(super) struct Door {
    /// Such as `127.0.0.1:40123/name`. Nobody else on this machine knows the name.
    repository: String,
    lobby: Lobby,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Lobby {
    /// `/v2/NAME/`
    prefix: Arc<str>,
    received: Arc<Mutex<Received>>,
    /// How many uploads the engine has begun without asking before whether the blob is here.
    unasked: Arc<watch::Sender<usize>>,
    /// How many bytes have come of each upload that is under way.
    under_way: Arc<watch::Sender<HashMap<String, u64>>>,
    reporter: SharedReporter,
}

/// Called with a blob; must not ask for what is received, which is locked meanwhile.
type Tell = Box<dyn Fn(&Spooled) + Send + Sync>;

/// What the engine has sent.
#[derive(Default)]
pub(super) struct Received {
    /// Layers, configurations and attestations.
    pub(super) blobs: HashMap<Digest, Spooled>,
    /// Manifests and indexes.
    pub(super) manifests: HashMap<Digest, Bytes>,
    /// The manifest that came last: all others are parts of it.
    last: Option<Descriptor>,
    /// Blobs that have to come, whatever the engine remembers.
    wanted: HashSet<Digest>,
    /// How many of them the engine has asked for and not begun to send.
    told_missing: usize,
    /// Told of each blob as soon as it has come.
    on_arrival: Option<Tell>,
    sessions: HashMap<String, Spool>,
    has_knocked: bool,
    /// Whether no manifest is taken any more.
    is_enough: bool,
    bytes: u64,
    reported: u64,
}

impl Door {
    /// Opens one.
    pub(super) async fn open(reporter: &SharedReporter) -> Result<Self, String> {
        let listening = async {
            let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
            let address = listener.local_addr()?;
            Ok::<_, std::io::Error>((listener, address))
        };
        let (listener, address) = listening.await.map_err(|error| error.to_string())?;
        let name = docker::name_for_a_push();
        let repository = format!("{address}/{name}");
        let prefix = format!("/v2/{name}/").into();
        let lobby = Lobby {
            prefix,
            received: Arc::default(),
            unasked: Arc::default(),
            under_way: Arc::default(),
            reporter: reporter.clone(),
        };
        let server = tokio::spawn(listen(listener, lobby.clone()));
        Ok(Self { repository, lobby, server })
    }

    /// Asks for blobs, from the next push on.
    pub(super) fn want(&self, blobs: impl IntoIterator<Item = Digest>) {
        self.lobby.received().wanted.extend(blobs);
    }

    /// Has somebody told of each blob as soon as it has come.
    pub(super) fn on_arrival(&self, tell: impl Fn(&Spooled) + Send + Sync + 'static) {
        self.lobby.received().on_arrival = Some(Box::new(tell));
    }

    /// How many uploads the engine has begun of which it does not know whether the blob is here.
    pub(super) fn unasked(&self) -> usize {
        *self.lobby.unasked.borrow()
    }

    /// Waits until the engine has begun more uploads than this of which it does not know whether
    /// the blob is here: so it does with layers whose digests it does not remember.
    pub(super) async fn begins_unasked_more_than(&self, uploads: usize) {
        // The sender is in our own hands.
        let _ = self.lobby.unasked.subscribe().wait_for(|begun| *begun > uploads).await;
    }

    /// Lets the engine push, and returns the manifest it ends with.
    pub(super) async fn admit(
        &self,
        engine: &DockerEngine,
        found: &EngineImage,
    ) -> Result<Descriptor, String> {
        let name = self.name(engine, found).await?;
        let last = self.admit_as(&name).await;
        name.remove().await;
        last
    }

    /// Gives an image a name as which it can be pushed to here.
    pub(super) async fn name(&self, engine: &DockerEngine, found: &EngineImage) -> Result<PushName, String> {
        engine.name(found, &self.repository).await.map_err(|error| error.to_string())
    }

    /// Lets the engine push what is called so, and returns the manifest it ends with.
    pub(super) async fn admit_as(&self, name: &PushName) -> Result<Descriptor, String> {
        let mut pushing = std::pin::pin!(name.push());
        let pushed = match tokio::time::timeout(PATIENCE, &mut pushing).await {
            Ok(pushed) => pushed,
            Err(_) if self.lobby.received().has_knocked => pushing.await,
            Err(_) => return Err("the engine does not find the way to this machine".to_owned()),
        };
        pushed.map_err(|error| error.to_string())?;
        self.lobby.received().last.take().ok_or_else(|| "the engine sent no manifest".to_owned())
    }

    /// Takes no manifest any more, so that no push can succeed; `false` where one has come already.
    pub(super) fn refuse_manifests(&self) -> bool {
        let mut received = self.lobby.received();
        received.is_enough = true;
        received.manifests.is_empty()
    }

    /// What has come so far.
    pub(super) fn received(&self) -> MutexGuard<'_, Received> {
        self.lobby.received()
    }

    /// Closes it, and hands out what has come.
    pub(super) fn close(self) -> Received {
        std::mem::take(&mut *self.lobby.received())
    }
}

impl Received {
    /// Tells nobody of what comes any more.
    pub(super) fn forget_arrivals(&mut self) {
        self.on_arrival = None;
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
        let mut received = self.received();
        match received.blobs.get(&digest) {
            Some(blob) => Some(blob.size),
            None if received.wanted.contains(&digest) => {
                received.told_missing += 1;
                None
            }
            // Old engines put it into a manifest, of which nobody reads that.
            None => Some(1),
        }
    }

    /// Waits until the other uploads have come as far, or do not move any more.
    async fn keep_pace(&self, session: &str) {
        let is_due = |under_way: &HashMap<String, u64>| {
            let least = under_way.values().min().copied().unwrap_or_default();
            under_way.get(session).is_none_or(|bytes| *bytes <= least + AHEAD)
        };
        let mut under_way = self.under_way.subscribe();
        while !is_due(&under_way.borrow_and_update()) {
            // The sender is in our own hands.
            if tokio::time::timeout(STANDSTILL, under_way.changed()).await.is_err() {
                return;
            }
        }
    }

    fn count(&self, session: &str, bytes: usize) {
        self.under_way.send_modify(|under_way| {
            under_way.entry(session.to_owned()).and_modify(|so_far| *so_far += bytes as u64);
        });
        let mut received = self.received();
        received.bytes += bytes as u64;
        if received.bytes - received.reported >= super::REPORT_EVERY {
            received.reported = received.bytes;
            let bytes = received.bytes;
            self.reporter.report(Event::ImageProgress { activity: "exporting", bytes, total: None });
        }
    }
}

/// An upload whose bytes are coming, however that ends.
struct UnderWay<'a> {
    lobby: &'a Lobby,
    session: &'a str,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.lobby.under_way.send_modify(|under_way| {
            under_way.remove(self.session);
        });
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
    lobby.received().has_knocked = true;
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
        (Method::PUT, ["manifests", _]) => manifest(&lobby, request).await,
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
    lobby.under_way.send_modify(|under_way| {
        under_way.insert(session.clone(), 0);
    });
    let mut received = lobby.received();
    received.sessions.insert(session, spool);
    match received.told_missing.checked_sub(1) {
        Some(others) => received.told_missing = others,
        None => lobby.unasked.send_modify(|begun| *begun += 1),
    }
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
    let _under_way = UnderWay { lobby, session };
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else { return answer(StatusCode::BAD_REQUEST, &[]) };
        if spool.write_all(&chunk).is_err() {
            return answer(StatusCode::INSUFFICIENT_STORAGE, &[]);
        }
        lobby.count(session, chunk.len());
        lobby.keep_pace(session).await;
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
    let mut received = lobby.received();
    if let Some(tell) = &received.on_arrival {
        tell(&spooled);
    }
    received.blobs.insert(digest, spooled);
    drop(received);
    created(lobby, &format!("blobs/{digest}"), digest)
}

fn created(lobby: &Lobby, place: &str, digest: Digest) -> Response {
    let location = format!("{}{place}", lobby.prefix);
    let headers = [(header::LOCATION.as_str(), location), ("docker-content-digest", digest.to_string())];
    answer(StatusCode::CREATED, &headers)
}

async fn manifest(lobby: &Lobby, request: Request) -> Response {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = MediaType::from(media_type.unwrap_or_default());
    let Ok(bytes) = Limited::new(request.into_body(), LARGEST_DOCUMENT as usize).collect().await else {
        return answer(StatusCode::PAYLOAD_TOO_LARGE, &[]);
    };
    let bytes = bytes.to_bytes();
    let digest = Digest::of(&bytes);
    let mut received = lobby.received();
    if received.is_enough {
        return answer(StatusCode::FORBIDDEN, &[]);
    }
    received.last = Some(Descriptor::new(media_type, digest, bytes.len() as u64));
    received.manifests.insert(digest, bytes);
    drop(received);
    created(lobby, &format!("manifests/{digest}"), digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Silent;

    #[tokio::test]
    async fn layers_are_counted_that_come_without_a_question() {
        let reporter: SharedReporter = Arc::new(Silent);
        let door = Door::open(&reporter).await.unwrap();
        let configuration = Digest::of(b"{}");
        door.want([configuration]);
        let (address, name) = door.repository.split_once('/').unwrap();
        let (client, url) = (reqwest::Client::new(), format!("http://{address}/v2/{name}/blobs"));
        let begin = async || {
            let answer = client.post(format!("{url}/uploads/")).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::ACCEPTED);
        };
        let ask =
            async |digest: Digest| client.head(format!("{url}/{digest}")).send().await.unwrap().status();
        // What is not wanted is there, what is wanted comes as told.
        assert_eq!(ask(Digest::of(b"layer")).await, StatusCode::OK);
        assert_eq!(ask(configuration).await, StatusCode::NOT_FOUND);
        begin().await;
        assert_eq!(door.unasked(), 0);
        begin().await;
        assert_eq!(door.unasked(), 1);
        door.begins_unasked_more_than(0).await;
    }

    #[tokio::test]
    async fn a_small_upload_is_not_held_up_by_large_ones_and_a_dead_one_holds_up_none() {
        let reporter: SharedReporter = Arc::new(Silent);
        let door = Door::open(&reporter).await.unwrap();
        let lobby = &door.lobby;
        let at = |bytes: &[(&str, u64)]| {
            let bytes = bytes.iter().map(|(session, bytes)| ((*session).to_owned(), *bytes)).collect();
            lobby.under_way.send_replace(bytes);
        };
        at(&[("large", 2 * AHEAD), ("small", 10)]);
        // The one that has come least far goes on at once.
        tokio::time::timeout(STANDSTILL / 4, lobby.keep_pace("small")).await.unwrap();
        let waiting = lobby.keep_pace("large");
        let mut waiting = std::pin::pin!(waiting);
        assert!(tokio::time::timeout(STANDSTILL / 4, &mut waiting).await.is_err());
        // Until the other is whole, or far enough.
        drop(UnderWay { lobby, session: "small" });
        tokio::time::timeout(STANDSTILL / 4, waiting).await.unwrap();
        at(&[("large", 2 * AHEAD), ("dead", 0)]);
        tokio::time::timeout(STANDSTILL * 4, lobby.keep_pace("large")).await.unwrap();
    }

    #[tokio::test]
    async fn a_push_that_is_stopped_cannot_succeed() {
        let reporter: SharedReporter = Arc::new(Silent);
        let door = Door::open(&reporter).await.unwrap();
        let (address, name) = door.repository.split_once('/').unwrap();
        let url = format!("http://{address}/v2/{name}/manifests/image");
        let put = async || reqwest::Client::new().put(&url).body("{}").send().await.unwrap().status();
        assert!(door.refuse_manifests());
        assert_eq!(put().await, StatusCode::FORBIDDEN);
        assert!(door.received().manifests.is_empty());

        let door = Door::open(&reporter).await.unwrap();
        let (address, name) = door.repository.split_once('/').unwrap();
        let url = format!("http://{address}/v2/{name}/manifests/image");
        let put = reqwest::Client::new().put(&url).body("{}").send().await.unwrap();
        assert_eq!(put.status(), StatusCode::CREATED);
        assert!(!door.refuse_manifests(), "it has succeeded already");
    }
}
