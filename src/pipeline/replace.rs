//! A function whose creation failed: no update mends it, so it is deleted and created anew, with
//! the settings it had, and only where that is asked for.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>

use std::time::Duration;

use tokio::time::Instant;

use super::DeployOptions;
use super::cloud::Cloud;
use super::deploy::Goal;
use super::error::PipelineError;
use super::refusal::Refusal;
use crate::domain::function::Function;
use crate::domain::spec::DeploySpec;
use crate::services::lambda::{Belongings, FoundFunction};

/// How long a deleted function may still be found.
const VANISHING: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(250);

/// Reads what would be lost with a function that never was active; `None` where nothing has to
/// be deleted.
///
/// # Errors
/// Refuses what was not asked for, and what would lose variables nobody can read.
pub(super) async fn belongings(
    cloud: &Cloud,
    spec: &DeploySpec,
    found: Option<&FoundFunction>,
    options: &DeployOptions,
    goal: Goal,
) -> Result<Option<Belongings>, PipelineError> {
    let Some(found) = found.filter(|found| found.function.status.never_was_active()) else { return Ok(None) };
    let function = &found.function;
    if let Some(why) = found.environment_error.clone().filter(|_| !spec.function.environment.clear) {
        return Err(Refusal::UnreadableEnvironment { function: function.name.clone(), why }.into());
    }
    let belongings = cloud.lambda().belongings(function.name.as_str()).await;
    if goal != Goal::Plan && !options.replace {
        let (code, words) = function.status.reason();
        let why =
            [code, words.map(|words| words.trim_end_matches('.'))].into_iter().flatten().collect::<Vec<_>>();
        return Err(Refusal::NeverActive {
            function: function.name.clone(),
            why: why.join(": "),
            lost: in_words(&belongings),
        }
        .into());
    }
    Ok(Some(belongings))
}

/// What is lost, one line a thing.
pub(super) fn in_words(belongings: &Belongings) -> Vec<String> {
    let known = belongings.known.iter().map(|(what, which)| format!("{what}: {which}"));
    let unknown = belongings
        .unknown
        .iter()
        .map(|(what, why)| format!("{what}, if it has any (they cannot be read: {why})"));
    known.chain(unknown).collect()
}

/// Deletes the function if it still is the one that was observed, and waits until it is gone.
pub(super) async fn delete(cloud: &Cloud, observed: &Function) -> Result<(), PipelineError> {
    let name = &observed.name;
    let read = || async {
        let found = cloud.lambda().function(name.as_str()).await;
        found.map_err(PipelineError::api(format!("read function `{name}`")))
    };
    // Deleting takes no revision, so this is all that keeps somebody else's success from us.
    let Some(found) = read().await? else { return Ok(()) };
    if !found.function.status.never_was_active() || found.function.revision_id != observed.revision_id {
        return Err(PipelineError::ChangedBySomebodyElse { function: name.clone(), source: None });
    }
    let deleted = cloud.lambda().delete_function(name).await;
    deleted.map_err(PipelineError::api(format!("delete function `{name}`")))?;
    let began = Instant::now();
    while let Some(found) = read().await? {
        if began.elapsed() > VANISHING {
            return Err(PipelineError::TimedOut {
                function: name.to_string(),
                waited: VANISHING,
                status: Some(found.function.status),
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::api_error::tests::answered;

    #[test]
    fn what_cannot_be_read_may_be_lost_too() {
        let belongings = Belongings {
            known: vec![("aliases", "live, canary".to_owned())],
            unknown: vec![(
                "event sources",
                answered("ListEventSourceMappings", 403, "AccessDeniedException", "no"),
            )],
        };
        let words = in_words(&belongings);
        assert_eq!(words[0], "aliases: live, canary");
        assert!(words[1].starts_with("event sources, if it has any") && words[1].contains("AccessDenied"));
        assert!(in_words(&Belongings::default()).is_empty());
    }
}
