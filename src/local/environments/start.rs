//! Starts a function that nobody calls: to see whether it can be, and what it says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::configuration::FunctionConfiguration;
use super::environment::{Environment, INIT_LIMIT, Started};
use super::{Environments, InvokeError, Shared};
use crate::event::Event;
use crate::local::runner::Exit;
use crate::local::runtime_api::{Awaited, FunctionError};

/// Lines of its output that are told with a failure.
pub const LAST_LINES: usize = 12;

/// What came of a start.
#[derive(Clone, Debug)]
pub struct Start {
    /// What it ran in: `container`, `sandbox`.
    pub runner: &'static str,
    /// How long it took, or how long it was waited for.
    pub elapsed: Duration,
    /// How it ended.
    pub end: StartEnd,
    /// The last lines it printed.
    pub output: Vec<String>,
}

/// How a start ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartEnd {
    /// It asked for its first event, and so did every extension.
    Ready,
    /// It did so only when it was started again, with more time.
    ReadyAgain,
    /// It did not.
    Failed(StartFailure),
}

/// Why a function did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFailure {
    /// Its process, or an extension, ended or never began.
    Ended(Exit),
    /// It reported an error.
    Reported(FunctionError),
    /// These were waited for in vain.
    TimedOut(Vec<Awaited>),
}

impl Environments {
    /// How long a start may take before it is begun again.
    pub const INIT_LIMIT: Duration = INIT_LIMIT;

    /// Starts a function, waits until it asks for its first event, and ends it. Goes on where its
    /// caller leaves, until [`Environments::end`].
    pub async fn start(&self, configuration: FunctionConfiguration) -> Result<Start, InvokeError> {
        let shared = self.shared.clone();
        let start = tokio::spawn(async move {
            let _call = shared.calls.one_more();
            shared.start(&Arc::new(configuration)).await
        });
        start.await.map_err(|_| InvokeError::Interrupted)?
    }
}

impl Shared {
    async fn start(&self, configuration: &Arc<FunctionConfiguration>) -> Result<Start, InvokeError> {
        let runner = self.runner().await?.name();
        let mut environment = Environment::launch(self, configuration).await?;
        let mut begin = Instant::now();
        let mut started = environment.started(INIT_LIMIT).await;
        let timeout = Duration::from_secs(configuration.timeout);
        // In less time than it had it will not be ready either.
        let is_begun_again = matches!(started, Started::TimedOut) && timeout > INIT_LIMIT;
        if is_begun_again && !self.end.is_cancelled() {
            environment.process.kill().await;
            let message = format!(
                "the function has not asked for an event within {} s, and is started again within its timeout of {} s, as Lambda does",
                INIT_LIMIT.as_secs(),
                timeout.as_secs(),
            );
            self.options.reporter.report(Event::Warning { message, hint: None });
            environment = Environment::launch(self, configuration).await?;
            begin = Instant::now();
            started = environment.started(timeout).await;
        }
        let elapsed = begin.elapsed();
        let end = match started {
            Started::Ready if is_begun_again => StartEnd::ReadyAgain,
            Started::Ready => StartEnd::Ready,
            Started::Failed(error) => StartEnd::Failed(StartFailure::Reported(error)),
            Started::Ended(ended) => StartEnd::Failed(StartFailure::Ended(ended.exit)),
            Started::TimedOut => StartEnd::Failed(StartFailure::TimedOut(environment.endpoint.awaited())),
        };
        environment.process.kill().await;
        environment.log.settle(environment.log_pause).await;
        let lines: Vec<String> = environment.log.take_tail().lines().map(str::to_owned).collect();
        let output = lines[lines.len().saturating_sub(LAST_LINES)..].to_vec();
        Ok(Start { runner, elapsed, end, output })
    }
}
