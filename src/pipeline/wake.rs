//! Re-activates a function that nobody used for weeks, without calling it.
//!
//! The first invocation of an idle function fails and begins its re-activation, but if somebody
//! else was faster it runs the function. An update that changes nothing re-activates it as well,
//! and never runs its code. <https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>

use std::time::Duration;

use super::cloud::Cloud;
use super::error::PipelineError;
use super::watch::{self, Wait};
use crate::domain::function::{Function, Readiness};
use crate::domain::plan::Step;
use crate::event::Event;

/// Wakes a function (name or ARN) and follows it until it settles. Tells whether it was asleep
/// or on its way.
pub(super) async fn wake(
    cloud: &Cloud,
    function: &str,
    timeout: Duration,
) -> Result<(Function, bool), PipelineError> {
    cloud.session().region()?;
    let read = cloud.lambda().function(function).await;
    let read = read.map_err(PipelineError::api(format!("read function `{function}`")))?;
    let found = read.ok_or_else(|| watch::missing(cloud, function))?;
    let present = &found.function;
    let asleep = present.status.is_asleep();
    if !asleep && present.status.readiness() != Readiness::InProgress {
        return Ok((watch::succeeded(found)?.function, false));
    }
    let mut steps = vec![Step::Watch];
    if asleep {
        steps.insert(0, Step::Configuration);
    }
    cloud.report(Event::Steps(steps));
    let mut stale_revision = None;
    if asleep {
        let waking = async {
            let revision = present.revision_id.as_deref();
            match cloud.lambda().touch(&present.arn, present.timeout, revision).await {
                Ok(()) => {
                    stale_revision = revision;
                    Ok(((), "re-activated".to_owned()))
                }
                // Whatever somebody else does to it wakes it too.
                Err(error)
                    if error.is("ResourceConflictException") || error.is("PreconditionFailedException") =>
                {
                    Ok(((), "somebody else was faster".to_owned()))
                }
                Err(error) => Err(PipelineError::api(format!("wake function `{function}`"))(error)),
            }
        };
        cloud.step(Step::Configuration, function, waking).await?;
    }
    let wait = Wait { function, timeout, stale_revision, may_be_missing: false };
    let watching = async {
        let found = watch::succeeded(watch::settled(cloud, wait).await?)?;
        let state = found.function.status.state.as_ref().map_or("ready", |state| state.as_str()).to_owned();
        Ok::<_, PipelineError>((found.function, state))
    };
    Ok((cloud.step(Step::Watch, function, watching).await?, true))
}
