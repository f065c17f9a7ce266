//! Follows a function until it settles: our own loop, at a fixed pace, that says what it sees.
//!
//! AWS's waiters say nothing, back off for minutes, and take an idle function for one that never
//! becomes ready. <https://github.com/aws/aws-sdk/issues/155>

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::cloud::Cloud;
use super::error::PipelineError;
use crate::domain::function::{Function, FunctionState, FunctionStatus, Readiness, STUCK_AFTER};
use crate::domain::reason;
use crate::event::Event;
use crate::services::api_error::ApiError;
use crate::services::lambda::FoundFunction;

/// The pace at first, when small functions settle.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// How many times the first pace is kept.
const QUICK_LOOKS: usize = 8;
/// The pace afterwards: well within the 100 `GetFunction` calls a second of an account.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an answer may be older than a change that was just made.
const STALE: Duration = Duration::from_secs(5);
/// How long a function that was just made may not be found.
const APPEARING: Duration = Duration::from_secs(10);

/// What to wait for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait<'a> {
    /// Name or ARN.
    pub(super) function: &'a str,
    /// How long at most.
    pub(super) timeout: Duration,
    /// A revision that is older than the change waited for.
    pub(super) stale_revision: Option<&'a str>,
    /// Whether the function was just made.
    pub(super) may_be_missing: bool,
}

/// Waits until the function has settled, well or badly.
pub(super) async fn settled(cloud: &Cloud, wait: Wait<'_>) -> Result<FoundFunction, PipelineError> {
    let mut watch =
        Watch { cloud, wait, began: Instant::now(), last: None, looks: 0, failures: 0, warned: false };
    let deadline = watch.began + wait.timeout;
    loop {
        let looked = tokio::time::timeout_at(deadline, watch.look()).await;
        let pause = match looked {
            Ok(Ok(Some(found))) => return Ok(found),
            Ok(Ok(None)) => watch.pause(),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(watch.timed_out()),
        };
        if Instant::now() + pause >= deadline {
            tokio::time::sleep_until(deadline).await;
            return Err(watch.timed_out());
        }
        tokio::time::sleep(pause).await;
    }
}

/// Turns a failure the function settled in into an error.
pub(super) fn succeeded(found: FoundFunction) -> Result<FoundFunction, PipelineError> {
    if found.function.status.readiness() == Readiness::Failed {
        let function = found.function.name.to_string();
        return Err(PipelineError::FunctionFailed { function, status: found.function.status });
    }
    Ok(found)
}

struct Watch<'a> {
    cloud: &'a Cloud,
    wait: Wait<'a>,
    began: Instant,
    last: Option<FunctionStatus>,
    looks: usize,
    failures: usize,
    /// Whether it was said that the function seems to be stuck.
    warned: bool,
}

impl Watch<'_> {
    /// Looks once; the function, if it has settled.
    async fn look(&mut self) -> Result<Option<FoundFunction>, PipelineError> {
        self.looks += 1;
        let found = match self.cloud.lambda().function(self.wait.function).await {
            Ok(found) => found,
            Err(error) if error.is_transient() => {
                self.tolerate(&error);
                return Ok(None);
            }
            Err(error) => {
                return Err(PipelineError::api(format!("read function `{}`", self.wait.function))(error));
            }
        };
        self.failures = 0;
        let Some(found) = found else {
            if self.wait.may_be_missing && self.last.is_none() && self.began.elapsed() < APPEARING {
                return Ok(None);
            }
            return Err(missing(self.cloud, self.wait.function));
        };
        let is_stale = self.wait.stale_revision.is_some()
            && found.function.revision_id.as_deref() == self.wait.stale_revision
            && self.began.elapsed() < STALE;
        if is_stale {
            return Ok(None);
        }
        self.warn_of_stuck(&found.function);
        let status = &found.function.status;
        if self.last.as_ref() != Some(status) {
            self.cloud.report(Event::FunctionStatus {
                function: self.wait.function.to_owned(),
                status: status.clone(),
                elapsed: self.began.elapsed(),
            });
            self.last = Some(status.clone());
        }
        Ok((status.readiness() != Readiness::InProgress).then_some(found))
    }

    /// Says once that the function is Pending for longer than it should be.
    fn warn_of_stuck(&mut self, function: &Function) {
        let pending = function.status.state == Some(FunctionState::Pending);
        let stuck = function.is_stuck(SystemTime::now()) || self.began.elapsed() > STUCK_AFTER;
        if pending && stuck && !self.warned {
            self.warned = true;
            self.cloud.report(Event::Warning {
                message: format!(
                    "function `{}` has been Pending for more than {} minutes, and does not become ready by itself any more",
                    function.name,
                    STUCK_AFTER.as_secs() / 60
                ),
                hint: Some(reason::unstick(function.name.as_str())),
            });
        }
    }

    fn tolerate(&mut self, error: &ApiError) {
        self.failures += 1;
        self.cloud.report(Event::Retrying {
            what: format!("read function `{}`", self.wait.function),
            attempt: self.failures,
            after: self.pause(),
            because: error.to_string(),
        });
    }

    fn pause(&self) -> Duration {
        if self.looks <= QUICK_LOOKS { FIRST_PAUSE } else { PAUSE }
    }

    fn timed_out(&self) -> PipelineError {
        PipelineError::TimedOut {
            function: self.wait.function.to_owned(),
            waited: self.wait.timeout,
            status: self.last.clone(),
        }
    }
}

/// Says that there is no such function.
pub(super) fn missing(cloud: &Cloud, function: &str) -> PipelineError {
    PipelineError::FunctionMissing {
        function: function.to_owned(),
        region: cloud.region().to_owned(),
        local: cloud.session().is_local(),
    }
}
