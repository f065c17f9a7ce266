//! The embedded local cloud: ECR, its registry, Lambda, IAM and STS on loopback, over the same
//! wire AWS speaks.
//!
//! `cli` starts it (`local serve`, or inside a `--local` command) and otherwise talks to it as
//! to AWS, through the SDK. AWS's own codes and texts are used throughout.

mod account_setting;
pub mod blob;
pub mod call;
pub mod ecr;
pub mod environments;
pub mod function_url;
pub mod iam;
pub mod lambda;
pub mod logs;
pub mod put_image;
mod query;
pub mod registry;
pub mod repository;
pub mod runner;
pub mod runtime_api;
mod server;
mod status;
pub mod store;
pub mod sts;
pub mod trial;
pub mod upload;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use time::OffsetDateTime;

use crate::domain::function::FunctionName;
use call::{Call, Delays};
use lambda::control::is_region;
use runner::FunctionOptions;

pub use lambda::control::{Wish, WishError};

/// Where a local cloud lives and how it listens.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// Its state directory.
    pub directory: PathBuf,
    /// Loopback address to listen on; any free port where `None`.
    pub listen: Option<SocketAddr>,
    /// How long things take.
    pub delays: Delays,
    /// How functions are run.
    pub functions: FunctionOptions,
}

/// Says why the local cloud cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Its state cannot be read or written.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The address could be reached from other machines, and nothing here is protected.
    #[error("refusing to listen on `{address}`: the local cloud is for this machine only")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// `local serve` runs for this directory already.
    #[error("the local cloud in `{}` is being served already{}", directory.display(), at_endpoint(endpoint))]
    AlreadyServing {
        /// Its state directory.
        directory: PathBuf,
        /// Where, if it answers.
        endpoint: Option<String>,
    },
    /// A function cannot be made to show a state.
    #[error(transparent)]
    Wish(#[from] WishError),
    /// A text that is no region.
    #[error("`{0}` is not a region")]
    NotARegion(String),
    /// Somebody serves the directory, so it cannot be wiped.
    #[error("the local cloud in `{}` is in use{}", directory.display(), at_endpoint(endpoint))]
    InUse {
        /// Its state directory.
        directory: PathBuf,
        /// Where `local serve` runs, if it does.
        endpoint: Option<String>,
    },
}

fn at_endpoint(endpoint: &Option<String>) -> String {
    endpoint.as_ref().map(|endpoint| format!(" at `{endpoint}`")).unwrap_or_default()
}

impl LocalError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(_) | Self::NotARegion(_) => None,
            Self::Wish(error) => match error {
                WishError::NoFunction { .. } => {
                    Some("`lambdactl local status` lists the functions of all regions".to_owned())
                }
                WishError::NotNow { .. } => {
                    Some("wait until it has settled: `lambdactl watch --local` follows it".to_owned())
                }
                WishError::Store(_) => None,
            },
            Self::Listen { .. } => {
                Some("choose another port with `--listen 127.0.0.1:PORT`, or leave it out".to_owned())
            }
            Self::NotLoopback { .. } => Some("listen on `127.0.0.1:PORT` instead".to_owned()),
            Self::AlreadyServing { endpoint: Some(endpoint), .. } => {
                Some(format!("use it: `export AWS_ENDPOINT_URL={endpoint}`"))
            }
            Self::AlreadyServing { endpoint: None, .. } | Self::InUse { .. } => {
                Some("end the `lambdactl` processes that use it, or choose another `--local-dir`".to_owned())
            }
        }
    }
}

/// A local cloud that answers: in this process, or in another one that serves the directory.
#[derive(Debug)]
pub struct RunningCloud {
    /// Such as `http://127.0.0.1:4577`.
    pub endpoint: String,
    /// The server, if it is ours: it ends with the value.
    _server: Option<server::RunningServer>,
}

/// Serves in this process until the value is dropped or the process ends, where other processes
/// find it. The port is the one it had the last time, unless another is asked for or it is taken.
pub async fn serve(options: &LocalOptions) -> Result<RunningCloud, LocalError> {
    Ok(RunningCloud::own(server::start_announced(options).await?))
}

/// Uses the server that runs for this directory, else serves in this process, on any free port
/// and unannounced. Several processes can do so at once.
pub async fn attach_or_serve(options: &LocalOptions) -> Result<RunningCloud, LocalError> {
    let directory = options.directory.clone();
    let running = tokio::task::spawn_blocking(move || server::announcement::running(&directory));
    match running.await.ok().flatten() {
        Some(running) => Ok(RunningCloud { endpoint: running.endpoint, _server: None }),
        None => Ok(RunningCloud::own(server::start(options).await?)),
    }
}

impl RunningCloud {
    fn own(server: server::RunningServer) -> Self {
        Self { endpoint: server.endpoint.clone(), _server: Some(server) }
    }

    /// Waits for asynchronous invocations and ends everything that runs in this process; a
    /// server in another one is left alone. Dropping ends it too, without waiting for those.
    pub async fn end(self) {
        if let Some(server) = &self._server {
            server.environments.drain().await;
            server.environments.end().await;
        }
    }

    /// Whether the server is in this process.
    pub fn is_own(&self) -> bool {
        self._server.is_some()
    }
}

/// One line of `local status`.
#[derive(Clone, Debug)]
pub struct LocalFunction {
    /// Region.
    pub region: String,
    /// Name.
    pub name: String,
    /// State, with the time that passed taken into account.
    pub state: String,
    /// Digest of its image.
    pub image_digest: String,
    /// Where it answers HTTP, where a server runs.
    pub urls: Vec<String>,
}

/// One repository of the local cloud.
#[derive(Clone, Debug)]
pub struct LocalRepository {
    /// Region.
    pub region: String,
    /// Name.
    pub name: String,
    /// Number of manifests.
    pub images: usize,
}

/// What a local cloud holds.
#[derive(Clone, Debug, Default)]
pub struct LocalStatus {
    /// Its state directory.
    pub directory: PathBuf,
    /// The endpoint of the running `local serve`, if there is one.
    pub endpoint: Option<String>,
    /// Bytes of all blobs.
    pub blob_bytes: u64,
    /// Functions of all regions.
    pub functions: Vec<LocalFunction>,
    /// Repositories of all regions.
    pub repositories: Vec<LocalRepository>,
}

/// Looks at what the directory holds, without a server.
pub fn status(options: &LocalOptions) -> Result<LocalStatus, LocalError> {
    status::status(options)
}

/// Makes a function show a state that Lambda only shows after weeks or by accident; works with a
/// running server and without. Waits for the store's lock.
pub fn wish(
    options: &LocalOptions,
    region: &str,
    function: &FunctionName,
    wish: Wish,
) -> Result<(), LocalError> {
    if !is_region(region) {
        return Err(LocalError::NotARegion(region.to_owned()));
    }
    let (_serving, store) = server::open(options)?;
    let call = Call {
        store,
        delays: options.delays,
        region: region.to_owned(),
        authority: String::new(),
        request_id: String::new(),
        now: OffsetDateTime::now_utc(),
    };
    Ok(lambda::control::apply(&call, function, wish)?)
}

/// Wipes the directory, and what an engine has loaded of it. Refuses while a server runs for it.
pub async fn reset(options: &LocalOptions) -> Result<(), LocalError> {
    let images = status::reset(options)?;
    if !images.is_empty() {
        runner::forget_images(&options.functions.engine, &images).await;
    }
    Ok(())
}
