//! The environments of the local cloud's functions: started when they are needed, kept warm,
//! used again, replaced after a crash or a time-out, ended when idle and with the server.
//!
//! The Lambda API calls [`Environments::invoke`]; everything about processes is a runner's.

mod configuration;
mod environment;
mod format;
mod log;
mod plain;
mod process;
mod start;
mod words;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::logs::LogStore;
use super::runner::{self, FunctionOptions, GivenImage, Runner, RunnerError};
use super::runtime_api::Piece;
use super::store::{Store, StoreError};
pub use configuration::FunctionConfiguration;
use environment::{After, Environment};
pub use format::LogFormat;
pub use plain::{CommandOutput, PlainCommand, PlainFunction};
use process::Living;
pub use start::{LAST_LINES, Start, StartEnd, StartFailure};

/// Invocations that run at the same time; more of them wait.
const CONCURRENT: usize = 10;
/// Environments that live at the same time; the one idle for longest makes room.
const ENVIRONMENTS: usize = 20;
/// How long an environment stays without an event.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// How often idle environments are looked for.
const REAP: Duration = Duration::from_secs(5);
/// How long the end of all environments may take.
const END: Duration = Duration::from_secs(10);

/// A call of a function.
#[derive(Clone, Debug)]
pub struct Event {
    /// The id of the call.
    pub request_id: String,
    /// What was invoked, with the qualifier the caller used.
    pub function_arn: String,
    /// The decoded `X-Amz-Client-Context`.
    pub client_context: Option<String>,
    /// The event.
    pub payload: Bytes,
    /// Where an answer that is streamed goes while it is made; else it is collected.
    pub pieces: Option<mpsc::Sender<Piece>>,
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoked {
    /// The answer as far as it was not streamed, or the document of an error.
    pub payload: Bytes,
    /// Whether it is the latter.
    pub is_error: bool,
    /// The last 4 KB of what was logged.
    pub log_tail: String,
}

/// Says why a function was not run: never the function's own fault.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// Its runner failed.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no Runtime API for it.
    #[error("cannot listen on loopback: {0}")]
    Endpoint(std::io::Error),
    /// Its image was removed from the registry.
    #[error("the image of the function is not in the registry any more")]
    ImageMissing,
    /// The server ends.
    #[error("the local cloud ends")]
    Interrupted,
}

/// All environments of one server; cheap to clone.
#[derive(Clone)]
pub struct Environments {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<Store>,
    logs: LogStore,
    options: FunctionOptions,
    credentials: Vec<(String, String)>,
    /// The image of all functions, where it is in no registry.
    given: Option<GivenImage>,
    runner: OnceCell<Arc<dyn Runner>>,
    slots: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    living: Living,
    /// Logs that are still written to.
    writing: Living,
    /// Invocations that are not done, their starts included.
    calls: Living,
    end: CancellationToken,
    /// Asynchronous calls that are not done.
    pending: watch::Sender<usize>,
}

#[derive(Debug)]
struct Idle {
    environment: Environment,
    since: Instant,
}

impl fmt::Debug for Environments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environments").field("living", &self.shared.living).finish_non_exhaustive()
    }
}

impl Environments {
    /// None yet; a runner is chosen when the first is needed. Has to be called in a runtime.
    pub fn new(store: Arc<Store>, options: FunctionOptions) -> Self {
        Self::with(store, options, None)
    }

    /// None yet; all functions have this image.
    pub fn of_image(store: Arc<Store>, options: FunctionOptions, image: GivenImage) -> Self {
        Self::with(store, options, Some(image))
    }

    fn with(store: Arc<Store>, options: FunctionOptions, given: Option<GivenImage>) -> Self {
        let shared = Shared {
            logs: LogStore::new(&store),
            store,
            credentials: options.credentials.clone().unwrap_or_else(no_credentials),
            options,
            given,
            runner: OnceCell::new(),
            slots: Arc::new(Semaphore::new(CONCURRENT)),
            idle: Mutex::default(),
            living: Living::default(),
            writing: Living::default(),
            calls: Living::default(),
            end: CancellationToken::new(),
            pending: watch::Sender::new(0),
        };
        let shared = Arc::new(shared);
        tokio::spawn(reap(Arc::downgrade(&shared)));
        Self { shared }
    }

    /// Runs a function. The call goes on where its caller leaves, as in Lambda.
    pub async fn invoke(
        &self,
        configuration: FunctionConfiguration,
        event: Event,
    ) -> Result<Invoked, InvokeError> {
        let shared = self.shared.clone();
        let call = tokio::spawn(async move { shared.invoke(Arc::new(configuration), event).await });
        call.await.map_err(|_| InvokeError::Interrupted)?
    }

    /// Runs a function while nobody waits for it; its log tells what came of it. Where it fails
    /// it is tried again, after each of these pauses.
    pub fn invoke_later(&self, configuration: FunctionConfiguration, event: Event, pauses: Vec<Duration>) {
        let shared = self.shared.clone();
        shared.pending.send_modify(|count| *count += 1);
        tokio::spawn(async move {
            shared.try_again_and_again(Arc::new(configuration), event, pauses).await;
            shared.pending.send_modify(|count| *count -= 1);
        });
    }

    /// Returns when every asynchronous call is done.
    pub async fn drain(&self) {
        let mut pending = self.shared.pending.subscribe();
        let _done = pending.wait_for(|count| *count == 0).await;
    }

    /// Ends all environments and returns when nothing of them is left.
    pub async fn end(&self) {
        self.shared.slots.close();
        // Before everything is ended: whoever is idle may still have extensions to tell.
        self.shared.idle().clear();
        self.shared.end.cancel();
        let all_gone = async {
            self.shared.calls.none().await;
            self.shared.living.none().await;
            self.shared.writing.none().await;
        };
        let _in_time = tokio::time::timeout(END, all_gone).await;
    }

    /// What functions run in, once that was chosen.
    pub fn runner_name(&self) -> Option<&'static str> {
        self.shared.runner.get().map(|runner| runner.name())
    }

    /// Whether there is anything to end.
    pub fn are_any(&self) -> bool {
        self.shared.living.count() + self.shared.calls.count() > 0
    }
}

/// What a function without credentials is given: most SDKs want some to start at all.
fn no_credentials() -> Vec<(String, String)> {
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
        .map(|name| (name.to_owned(), "local".to_owned()))
        .to_vec()
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn runner(&self) -> Result<Arc<dyn Runner>, RunnerError> {
        self.runner.get_or_try_init(|| runner::choose(&self.options, &self.store)).await.cloned()
    }

    async fn invoke(
        self: &Arc<Self>,
        configuration: Arc<FunctionConfiguration>,
        event: Event,
    ) -> Result<Invoked, InvokeError> {
        let _call = self.calls.one_more();
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| InvokeError::Interrupted)?;
        if self.end.is_cancelled() {
            return Err(InvokeError::Interrupted);
        }
        let (environment, done) = match self.take(&configuration) {
            Some(mut environment) => {
                let done = environment.invoke(event).await;
                (environment, done)
            }
            None => {
                self.make_room();
                Environment::start_and_invoke(self, &configuration, event).await?
            }
        };
        self.after(environment, done.after, slot);
        Ok(done.invoked)
    }

    async fn try_again_and_again(
        self: &Arc<Self>,
        configuration: Arc<FunctionConfiguration>,
        event: Event,
        pauses: Vec<Duration>,
    ) {
        let mut pauses = pauses.into_iter();
        loop {
            match self.invoke(configuration.clone(), event.clone()).await {
                Ok(invoked) if !invoked.is_error => return,
                Ok(_) => {}
                Err(error) => return tracing::warn!(%error, "an asynchronous invocation failed"),
            }
            let Some(pause) = pauses.next() else { return };
            tokio::select! {
                () = self.end.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// A warm environment of exactly this configuration. Those of an older one are ended.
    fn take(&self, configuration: &FunctionConfiguration) -> Option<Environment> {
        let mut idle = self.idle();
        idle.retain(|idle| {
            let own = &idle.environment.configuration;
            !idle.environment.has_ended() && (**own == *configuration || !own.is_same_version(configuration))
        });
        // The one used last: the others may fall idle.
        let found = idle.iter().rposition(|idle| *idle.environment.configuration == *configuration)?;
        Some(idle.remove(found).environment)
    }

    /// Ends the environment idle for longest where there are too many.
    fn make_room(&self) {
        let mut idle = self.idle();
        if self.living.count() >= ENVIRONMENTS && !idle.is_empty() {
            idle.remove(0);
        }
    }

    fn after(self: &Arc<Self>, mut environment: Environment, after: After, slot: OwnedSemaphorePermit) {
        match after {
            After::Ready => self.keep(environment),
            After::Over => drop(environment),
            After::Busy(left) => {
                let shared = self.clone();
                tokio::spawn(async move {
                    if environment.waits_again(left).await {
                        shared.keep(environment);
                    }
                    drop(slot);
                });
            }
        }
    }

    /// Puts an environment to the idle ones.
    fn keep(self: &Arc<Self>, environment: Environment) {
        if self.end.is_cancelled() {
            return;
        }
        self.idle().push(Idle { environment, since: Instant::now() });
    }
}

/// Ends environments that nobody has used for long, as long as there is a server.
async fn reap(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(REAP).await;
        let Some(shared) = shared.upgrade() else { return };
        shared.idle().retain(|idle| idle.since.elapsed() < IDLE);
    }
}
