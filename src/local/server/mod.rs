//! The local cloud's server: one loopback listener for every service.
//!
//! [`super::serve`] and [`super::attach_or_serve`] start it. Any number of servers, in any number
//! of processes, may serve one directory at a time: what they know is in the store, and only
//! what tests ask for (faults, the log) is a server's own.

pub(super) mod announcement;
mod body;
mod connection;
mod control;
mod dispatch;
mod faults;
mod log;
mod operation;
mod origin;
mod refusal;
mod signature;

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::call::Delays;
use super::environments::Environments;
use super::registry::auth::SigningKey;
use super::store::{Store, StoreError, at};
use super::upload::{self, Hashes};
use super::{LocalError, LocalOptions};
use announcement::{Announced, Announcement};
use connection::{Connection, LoopbackListener};

/// Held shared by every server of a directory, and exclusively by whoever wipes it.
pub(super) const SERVING_LOCK: &str = "serving.lock";
/// Held exclusively by the server that is announced.
const ANNOUNCED_LOCK: &str = "server.lock";
/// How long to wait for a lock that nobody answers for.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// Where `local serve` listens at its first time, if it can. Afterwards it is the port it had.
const FIRST_PORT: u16 = 4577;
const PORT_DOCUMENT: &str = "cloud/port";

/// What all requests share.
#[derive(Debug)]
struct Server {
    store: Arc<Store>,
    delays: Delays,
    identity: String,
    key: SigningKey,
    hashes: Hashes,
    environments: Environments,
    faults: faults::Faults,
    log: log::RequestLog,
}

/// A server that ends, with all its connections, when the value is dropped.
#[derive(Debug)]
pub(super) struct RunningServer {
    pub(super) endpoint: String,
    pub(super) environments: Environments,
    // In the order they are let go: the announcement before the connections, the locks last.
    _announced: Option<(Announced, File)>,
    _end: DropGuard,
    _serving: File,
}

impl Drop for RunningServer {
    /// Whoever did not end the environments (a command that was interrupted) still leaves
    /// nothing behind.
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.environments.are_any() && runtime.runtime_flavor() == RuntimeFlavor::MultiThread {
            tokio::task::block_in_place(|| runtime.block_on(self.environments.end()));
        }
    }
}

/// Starts a server for this process alone.
pub(super) async fn start(options: &LocalOptions) -> Result<RunningServer, LocalError> {
    let (serving, store) = open(options)?;
    let address = options.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = listen(address).await?;
    run(options, store, listener, serving).map(|(server, _)| server)
}

/// Starts the server that other processes find.
pub(super) async fn start_announced(options: &LocalOptions) -> Result<RunningServer, LocalError> {
    let (serving, store) = open(options)?;
    let directory = &options.directory;
    let lock = lock_file(directory, ANNOUNCED_LOCK)?;
    if let Err(endpoint) = lock_exclusively(&lock, directory) {
        return Err(LocalError::AlreadyServing { directory: directory.clone(), endpoint });
    }
    let listener = match options.listen {
        Some(address) => listen(address).await?,
        None => listen_where_clients_look(&store).await?,
    };
    let (mut server, identity) = run(options, store.clone(), listener, serving)?;
    let port = server.endpoint.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    store.transaction(|tx| tx.write(PORT_DOCUMENT, &port))??;
    let announcement = Announcement { endpoint: server.endpoint.clone(), pid: std::process::id(), identity };
    server._announced = Some((announcement.publish(directory)?, lock));
    Ok(server)
}

/// Opens the store of a directory that is not wiped meanwhile.
pub(super) fn open(options: &LocalOptions) -> Result<(File, Arc<Store>), LocalError> {
    let directory = &options.directory;
    std::fs::create_dir_all(directory).map_err(at(directory))?;
    let serving = lock_file(directory, SERVING_LOCK)?;
    serving.lock_shared().map_err(at(directory))?;
    let store = Arc::new(Store::open(directory)?);
    upload::sweep(&store, OffsetDateTime::now_utc())?;
    Ok((serving, store))
}

/// Opens one of the files that are only there to be locked.
pub(super) fn lock_file(directory: &Path, name: &str) -> Result<File, StoreError> {
    let path = directory.join(name);
    File::options().create(true).truncate(false).write(true).open(&path).map_err(at(&path))
}

/// Takes a lock for oneself, else tells who answers for the directory, if somebody does. Blocks.
///
/// A lock outlives the server that let it go by a moment: a process that another thread was just
/// starting holds a copy of it until it has become its own program.
pub(super) fn lock_exclusively(lock: &File, directory: &Path) -> Result<(), Option<String>> {
    let began = Instant::now();
    while lock.try_lock().is_err() {
        let endpoint = announcement::running(directory).map(|running| running.endpoint);
        if endpoint.is_some() || began.elapsed() > LOCK_PATIENCE {
            return Err(endpoint);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, LocalError> {
    if !address.ip().is_loopback() {
        return Err(LocalError::NotLoopback { address });
    }
    TcpListener::bind(address).await.map_err(|source| LocalError::Listen { address, source })
}

/// The port of the last time keeps exported endpoints and `docker login`s valid; another one
/// does where it is taken.
async fn listen_where_clients_look(store: &Store) -> Result<TcpListener, LocalError> {
    let last: Option<u16> = store.transaction(|tx| tx.read::<Option<u16>>(PORT_DOCUMENT))??.flatten();
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    match listen(loopback(last.unwrap_or(FIRST_PORT))).await {
        Ok(listener) => Ok(listener),
        Err(_) => listen(loopback(0)).await,
    }
}

fn run(
    options: &LocalOptions,
    store: Arc<Store>,
    listener: TcpListener,
    serving: File,
) -> Result<(RunningServer, String), LocalError> {
    let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = listener.local_addr().map_err(|source| LocalError::Listen { address: unknown, source })?;
    let identity = uuid::Uuid::new_v4().to_string();
    let environments = Environments::new(store.clone(), options.functions.clone());
    let server = Server {
        key: SigningKey::load(&store)?,
        environments: environments.clone(),
        store,
        delays: options.delays,
        identity: identity.clone(),
        hashes: Hashes::default(),
        faults: faults::Faults::default(),
        log: log::RequestLog::default(),
    };
    let router = Router::new().fallback(dispatch::dispatch).with_state(Arc::new(server));
    let end = CancellationToken::new();
    let listener = LoopbackListener::new(listener, end.clone());
    let service = router.into_make_service_with_connect_info::<Connection>();
    let serve = axum::serve(listener, service).with_graceful_shutdown(end.clone().cancelled_owned());
    tokio::spawn(serve.into_future());
    let running = RunningServer {
        endpoint: format!("http://{address}"),
        environments,
        _announced: None,
        _end: end.drop_guard(),
        _serving: serving,
    };
    Ok((running, identity))
}
