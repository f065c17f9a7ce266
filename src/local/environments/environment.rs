//! One environment: a process, its Runtime API and its log, which take one event at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{oneshot, watch};

use super::configuration::{FunctionConfiguration, ImageSettings, Place};
use super::format::Report;
use super::log::EnvironmentLog;
use super::process::{Ended, LAST_WORDS, Process};
use super::words::{self, Fault};
use super::{Event, InvokeError, Invoked, Shared};
use crate::event::Event as ReportedEvent;
use crate::local::runner::OutputSink;
use crate::local::runtime_api::{Answer, Endpoint, FunctionError, Identity, Invocation};

/// How long a start may take before it is tried again within the invocation's own time.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
pub(super) const INIT_LIMIT: Duration = Duration::from_secs(10);
/// How long an answer is held back for the process to ask for the next event, so that a caller
/// who invokes again at once finds the same environment.
const NEXT_EVENT: Duration = Duration::from_millis(100);

/// An environment that has started.
#[derive(Debug)]
pub(super) struct Environment {
    pub(super) configuration: Arc<FunctionConfiguration>,
    pub(super) endpoint: Endpoint,
    pub(super) process: Process,
    pub(super) log: Arc<EnvironmentLog>,
    ready: watch::Receiver<u64>,
    /// Until the first invocation reports it.
    init: Option<Duration>,
    pub(super) log_pause: Duration,
}

/// What came of an invocation, and when the environment may be used again.
pub(super) struct Done {
    pub(super) invoked: Invoked,
    pub(super) after: After,
}

/// What is to be done with an environment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It waits for an event.
    Ready,
    /// It has answered, and is not ready yet; so much of its time is left.
    Busy(Duration),
    /// It is of no use any more.
    Over,
}

/// How a start ended.
pub(super) enum Started {
    Ready,
    Failed(FunctionError),
    Ended(Ended),
    TimedOut,
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.farewell("spindown");
    }
}

impl Environment {
    /// Starts the process; what becomes of it is seen at the first invocation.
    pub(super) async fn launch(
        shared: &Shared,
        configuration: &Arc<FunctionConfiguration>,
    ) -> Result<Self, InvokeError> {
        let runner = shared.runner().await?;
        let local = configuration.image(&shared.store, shared.given.as_ref());
        let image = {
            let local = local.clone();
            let read = tokio::task::spawn_blocking(move || ImageSettings::of(&local));
            read.await.map_err(|_| InvokeError::Interrupted)??.ok_or(InvokeError::ImageMissing)?
        };
        let identity = Identity {
            function: configuration.name.clone(),
            version: configuration.version.clone(),
            handler: configuration.handler(&image),
        };
        let endpoint = Endpoint::start(identity).await.map_err(InvokeError::Endpoint)?;
        let stream_name = stream_name(&configuration.version);
        let stream = shared.logs.stream(&configuration.region, &configuration.log_group, &stream_name)?;
        let log = Arc::new(EnvironmentLog::new(stream));
        let (output, mut lines) = OutputSink::new();
        tokio::spawn({
            let (log, writing) = (log.clone(), shared.writing.one_more());
            // Nobody asks later for the log of a function that is only started.
            let shown = shared.given.is_some().then(|| shared.options.reporter.clone());
            async move {
                while let Some(line) = lines.recv().await {
                    log.write(&line);
                    if let Some(reporter) = &shown {
                        reporter.report(ReportedEvent::FunctionOutput(line));
                    }
                }
                drop(writing);
            }
        });
        let place =
            Place { address: endpoint.address(), log_stream: &stream_name, credentials: &shared.credentials };
        let gate = endpoint.gate();
        let launch = configuration.launch(&image, local, &place, output, gate);
        let ready = endpoint.ready();
        let running = runner.start(launch).await?;
        let process = Process::watch(running, &shared.living, &shared.end);
        Ok(Self {
            configuration: configuration.clone(),
            endpoint,
            process,
            log,
            ready,
            init: None,
            log_pause: runner.output_delay(),
        })
    }

    /// Waits until the process, and every extension, asks for its first event.
    pub(super) async fn started(&mut self, limit: Duration) -> Started {
        let mut init_error = self.endpoint.init_error();
        tokio::select! {
            biased;
            Ok(error) = init_error.wait_for(Option::is_some) => match error.clone() {
                Some(error) => Started::Failed(error),
                None => Started::TimedOut,
            },
            Ok(_) = self.ready.wait_for(|count| *count > 0) => Started::Ready,
            ended = self.process.ended() => Started::Ended(ended),
            () = tokio::time::sleep(limit) => Started::TimedOut,
        }
    }

    /// Starts an environment and lets it handle its first event.
    ///
    /// A start that takes more than [`INIT_LIMIT`] is begun again, and then counts as part of the
    /// invocation, as in Lambda.
    pub(super) async fn start_and_invoke(
        shared: &Shared,
        configuration: &Arc<FunctionConfiguration>,
        event: Event,
    ) -> Result<(Self, Done), InvokeError> {
        let timeout = Duration::from_secs(configuration.timeout);
        let mut begin = Instant::now();
        let mut environment = Self::launch(shared, configuration).await?;
        let mut started = environment.started(INIT_LIMIT).await;
        let mut left = timeout;
        if matches!(started, Started::TimedOut) {
            environment.process.kill().await;
            environment.log.write(&configuration.log_format.init_report(begin.elapsed(), "timeout", None));
            environment = Self::launch(shared, configuration).await?;
            begin = Instant::now();
            started = environment.started(timeout).await;
            left = timeout.saturating_sub(begin.elapsed());
        }
        let init = begin.elapsed();
        let fault = match started {
            Started::Ready => {
                for (name, events) in environment.endpoint.extensions() {
                    environment.log.write(&configuration.log_format.extension(&name, &events));
                }
                environment.init = Some(init);
                let done = environment.invoke_within(event, left).await;
                return Ok((environment, done));
            }
            Started::Failed(error) => words::reported(&error.error_type, error.document.clone()),
            Started::Ended(ended) => words::ended(&event.request_id, &ended.exit),
            Started::TimedOut => words::timed_out(&event.request_id, timeout, &now()),
        };
        let ended = environment.process.kill().await;
        environment.log.settle(environment.log_pause).await;
        let format = configuration.log_format;
        environment.log.write(&format.init_report(init, fault.status, fault.error_type.as_deref()));
        environment.log.write(&format.start(&event.request_id, &configuration.version));
        let invoked = environment.conclude(&event, init, Err(fault), ended.memory_used).await;
        Ok((environment, Done { invoked, after: After::Over }))
    }

    /// Lets a warm environment handle an event.
    pub(super) async fn invoke(&mut self, event: Event) -> Done {
        let timeout = Duration::from_secs(self.configuration.timeout);
        self.invoke_within(event, timeout).await
    }

    async fn invoke_within(&mut self, event: Event, left: Duration) -> Done {
        let begin = Instant::now();
        let format = self.configuration.log_format;
        self.log.write(&format.start(&event.request_id, &self.configuration.version));
        let so_often = *self.ready.borrow_and_update();
        let answer = self.endpoint.invoke(invocation(&event, left)).await;
        let outcome = self.outcome(&event, answer, left).await;
        // The last words of extensions are no part of it.
        let duration = begin.elapsed().min(left);
        let left = left.saturating_sub(duration);
        let is_alive = !matches!(outcome, Outcome::Over(_));
        let after = if is_alive { self.ready_again(so_often, left).await } else { After::Over };
        self.log.settle(self.log_pause).await;
        let memory_used = if self.process.has_ended() {
            self.process.ended().await.memory_used
        } else {
            self.process.memory_used().await
        };
        let result = match outcome {
            Outcome::Answered(bytes) => Ok(bytes),
            Outcome::Fault(fault) | Outcome::Over(fault) => Err(fault),
        };
        let invoked = self.conclude(&event, duration, result, memory_used).await;
        Done { invoked, after }
    }

    /// Waits for the answer, the end of the process or the end of the time. In the last case the
    /// process is gone when this returns.
    async fn outcome(&self, event: &Event, mut answer: oneshot::Receiver<Answer>, left: Duration) -> Outcome {
        tokio::select! {
            biased;
            Ok(answer) = &mut answer => Outcome::of(answer),
            ended = self.process.ended() => match self.endpoint.left(answer).await {
                Some(answer) => Outcome::of(answer),
                None => Outcome::Over(words::ended(&event.request_id, &ended.exit)),
            },
            () = tokio::time::sleep(left) => {
                self.farewell("timeout");
                self.process.kill().await;
                let timeout = Duration::from_secs(self.configuration.timeout);
                Outcome::Over(words::timed_out(&event.request_id, timeout, &now()))
            }
        }
    }

    async fn ready_again(&mut self, so_often: u64, left: Duration) -> After {
        let patience = NEXT_EVENT.min(left);
        tokio::select! {
            biased;
            Ok(_) = self.ready.wait_for(|count| *count > so_often) => After::Ready,
            _ = self.process.ended() => After::Over,
            () = tokio::time::sleep(patience) => After::Busy(left.saturating_sub(patience)),
        }
    }

    /// Waits for an environment that is [`After::Busy`]; tells whether it may be used again.
    pub(super) async fn waits_again(&mut self, left: Duration) -> bool {
        tokio::select! {
            biased;
            changed = self.ready.changed() => changed.is_ok(),
            _ = self.process.ended() => false,
            () = tokio::time::sleep(left) => false,
        }
    }

    /// Writes the last lines of an invocation and makes its result.
    async fn conclude(
        &mut self,
        event: &Event,
        duration: Duration,
        result: Result<bytes::Bytes, Fault>,
        memory_used: Option<u64>,
    ) -> Invoked {
        let fault = result.as_ref().err();
        if let Some(line) = fault.and_then(|fault| fault.line.as_ref()) {
            self.log.write(&self.configuration.log_format.fault(&event.request_id, line));
        }
        if let Some(line) = self.configuration.log_format.end(&event.request_id) {
            self.log.write(&line);
        }
        let report = Report {
            request_id: &event.request_id,
            duration,
            init: self.init.take(),
            memory: self.configuration.memory,
            // Whoever was killed for its memory had used all of it.
            memory_used: match fault.and_then(|fault| fault.error_type.as_deref()) {
                Some(words::OUT_OF_MEMORY) => Some(self.configuration.memory),
                _ => memory_used,
            },
            fault,
        };
        self.log.write(&self.configuration.log_format.report(&report));
        Invoked {
            is_error: fault.is_some(),
            payload: result.unwrap_or_else(|fault| fault.document),
            log_tail: self.log.take_tail(),
        }
    }

    /// Has extensions that want to know told of the end, and why it comes, before it does.
    fn farewell(&self, reason: &'static str) {
        if let Some(tell) = self.endpoint.farewell() {
            self.process.linger(move || tell(reason, milliseconds_from_now(LAST_WORDS)));
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.process.has_ended()
    }
}

enum Outcome {
    Answered(bytes::Bytes),
    /// The environment lives on.
    Fault(Fault),
    /// The environment does not.
    Over(Fault),
}

impl Outcome {
    fn of(answer: Answer) -> Self {
        words::answered(answer).map_or_else(Self::Fault, Self::Answered)
    }
}

fn invocation(event: &Event, left: Duration) -> Invocation {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let seconds = OffsetDateTime::now_utc().unix_timestamp();
    Invocation {
        request_id: event.request_id.clone(),
        deadline: milliseconds_from_now(left),
        function_arn: event.function_arn.clone(),
        trace_id: format!("Root=1-{seconds:08x}-{};Parent={};Sampled=0", &id[..24], &id[16..]),
        client_context: event.client_context.clone(),
        payload: event.payload.clone(),
        pieces: event.pieces.clone(),
    }
}

pub(super) fn milliseconds_from_now(span: Duration) -> i64 {
    let then = OffsetDateTime::now_utc() + span;
    i64::try_from(then.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

pub(super) fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

/// Such as `2026/11/22/[$LATEST]0f6b…`.
fn stream_name(version: &str) -> String {
    let today = OffsetDateTime::now_utc();
    let id = uuid::Uuid::new_v4().simple();
    format!("{}/{:02}/{:02}/[{version}]{id}", today.year(), u8::from(today.month()), today.day())
}
