//! Makes or changes the function itself, one change at a time, never over somebody else's.

use std::time::Duration;

use super::answers;
use super::patience::{Circumstances, Refused};
use crate::domain::function::{Function, Readiness};
use crate::domain::plan::Step;
use crate::domain::platform::Architecture;
use crate::domain::spec::FunctionSpec;
use crate::pipeline::cloud::Cloud;
use crate::pipeline::error::PipelineError;
use crate::pipeline::plan::FunctionChanges;
use crate::pipeline::watch::{self, Wait};
use crate::services::lambda::{CodeUpdate, ConfigurationUpdate, FoundFunction, NewFunction};

/// Makes the function. What its specification does not name stays as the one it replaces had it.
pub(super) async fn create(
    around: &Circumstances<'_>,
    spec: &FunctionSpec,
    replaced: Option<&Function>,
    architecture: Architecture,
    image_uri: &str,
) -> Result<(), PipelineError> {
    let cloud = around.cloud;
    let (environment, image_config) =
        replaced.map(|it| (it.environment.clone(), it.image_config.clone())).unwrap_or_default();
    let mut tags = replaced.and_then(|it| it.tags.clone()).unwrap_or_default();
    tags.extend(spec.tags.clone());
    let kept = |member: fn(&Function) -> u32| replaced.map(member);
    let new = NewFunction {
        name: spec.name.clone(),
        role: around.role.to_owned(),
        image_uri: image_uri.to_owned(),
        architecture,
        memory_size: spec.memory_size.or(kept(|it| it.memory_size)),
        timeout: spec.timeout.or(kept(|it| it.timeout)),
        ephemeral_storage: spec.ephemeral_storage.or(kept(|it| it.ephemeral_storage)),
        description: spec.description.clone().or(replaced.map(|it| it.description.clone())),
        environment: spec.environment.applied_to(&environment),
        image_config: spec.image_config.applied_to(&image_config),
        tags,
    };
    let name = &new.name;
    let doing = format!("create function `{name}`");
    match around.write(&doing, || cloud.lambda().create_function(&new)).await {
        Ok(()) => {}
        Err(Refused::Answer(error)) if answers::exists_already(&error) => {
            // Our own call whose answer was lost, or somebody else's function?
            let found = cloud.lambda().function(name.as_str()).await;
            let found = found.map_err(PipelineError::api(format!("read function `{name}`")))?;
            let is_ours = found.is_some_and(|found| {
                found.function.image_uri.as_deref() == Some(image_uri) && found.function.role == around.role
            });
            if !is_ours {
                let (function, source) = (name.clone(), Some(error));
                return Err(PipelineError::ChangedBySomebodyElse { function, source });
            }
        }
        Err(refused) => return Err(refused.into_error(&doing)),
    }
    cloud.wrote(Step::Function, name.as_str(), "created");
    Ok(())
}

/// What it takes to change an existing function.
pub(super) struct Updates<'a> {
    pub(super) around: Circumstances<'a>,
    pub(super) observed: &'a Function,
    pub(super) image_uri: &'a str,
    /// How long to wait for another update to end.
    pub(super) timeout: Duration,
}

impl Updates<'_> {
    /// Makes all changes, each after the one before has settled. The last one is not waited for.
    /// Returns the revision that one was made on, so that a wait can tell an answer that is older.
    pub(super) async fn make(&self, changes: &FunctionChanges) -> Result<Option<String>, PipelineError> {
        let cloud = self.around.cloud;
        let name = &self.observed.name;
        let mut steps = Vec::new();
        if !changes.configuration.is_empty() {
            steps.push(Step::Configuration);
        }
        if changes.code.is_some() {
            steps.push(Step::Code);
        }
        if changes.code_first {
            steps.reverse();
        }
        let mut revision = self.observed.revision_id.clone();
        if !steps.is_empty() && self.observed.status.readiness() == Readiness::InProgress {
            revision = self.wait_for_others().await?;
        }
        let last = steps.last().copied();
        for step in steps {
            let is_last = Some(step) == last;
            revision = cloud
                .step(step, name.as_str(), async {
                    match (step, changes.code) {
                        (Step::Code, Some(architecture)) => {
                            self.code(architecture, revision.as_deref()).await?
                        }
                        _ => self.configuration(&changes.configuration, revision.as_deref()).await?,
                    }
                    cloud.wrote(step, name.as_str(), "updated");
                    let revision = if is_last { revision } else { self.settled(revision).await? };
                    Ok::<_, PipelineError>((revision, "updated".to_owned()))
                })
                .await?;
        }
        Ok(revision)
    }

    async fn configuration(
        &self,
        update: &ConfigurationUpdate,
        revision: Option<&str>,
    ) -> Result<(), PipelineError> {
        let (lambda, name) = (self.around.cloud.lambda(), &self.observed.name);
        // The role may only just have been made.
        let role = update.role.as_ref().map(|_| self.around.role.to_owned());
        let update = ConfigurationUpdate { role, ..update.clone() };
        let doing = format!("update the configuration of function `{name}`");
        self.guarded(&doing, || lambda.update_configuration(name, &update, revision)).await
    }

    async fn code(&self, architecture: Architecture, revision: Option<&str>) -> Result<(), PipelineError> {
        let (lambda, name) = (self.around.cloud.lambda(), &self.observed.name);
        let update = CodeUpdate { image_uri: self.image_uri.to_owned(), architecture };
        let doing = format!("update the image of function `{name}`");
        self.guarded(&doing, || lambda.update_code(name, &update, revision)).await
    }

    /// Makes one change. While AWS is busy with somebody else's it waits and tries again on the
    /// same revision: if that is the latest no more, AWS refuses, and nothing is overwritten.
    async fn guarded<F>(&self, doing: &str, mut call: impl FnMut() -> F) -> Result<(), PipelineError>
    where
        F: Future<Output = Result<(), crate::services::api_error::ApiError>>,
    {
        let deadline = tokio::time::Instant::now() + self.timeout;
        loop {
            match self.around.write(doing, &mut call).await {
                Ok(()) => return Ok(()),
                Err(Refused::Answer(error)) if answers::was_changed(&error) => {
                    let (function, source) = (self.observed.name.clone(), Some(error));
                    return Err(PipelineError::ChangedBySomebodyElse { function, source });
                }
                Err(Refused::Answer(error))
                    if answers::is_busy(&error) && tokio::time::Instant::now() < deadline =>
                {
                    self.pause(doing, &error).await?;
                }
                Err(refused) => return Err(refused.into_error(doing)),
            }
        }
    }

    async fn pause(
        &self,
        doing: &str,
        error: &crate::services::api_error::ApiError,
    ) -> Result<(), PipelineError> {
        let cloud = self.around.cloud;
        let after = error.retry_after.unwrap_or(Duration::from_secs(1));
        cloud.report(crate::event::Event::Retrying {
            what: doing.to_owned(),
            attempt: 1,
            after,
            because: error.message.clone(),
        });
        tokio::time::sleep(after).await;
        self.settle(None).await.map(drop)
    }

    /// Waits for an update that was in progress before ours. If it was still the update that
    /// was observed, its outcome is what the plan was made for; else the plan is void.
    async fn wait_for_others(&self) -> Result<Option<String>, PipelineError> {
        let found = self.settle(None).await?;
        if content(&found.function) != content(self.observed) {
            let function = self.observed.name.clone();
            return Err(PipelineError::ChangedBySomebodyElse { function, source: None });
        }
        Ok(found.function.revision_id)
    }

    /// Waits for our own change; a failure ends the deployment.
    async fn settled(&self, before: Option<String>) -> Result<Option<String>, PipelineError> {
        let found = self.settle(before.as_deref()).await?;
        watch::succeeded(found).map(|found| found.function.revision_id)
    }

    async fn settle(&self, stale_revision: Option<&str>) -> Result<FoundFunction, PipelineError> {
        let wait = Wait {
            function: self.observed.name.as_str(),
            timeout: self.timeout,
            stale_revision,
            may_be_missing: false,
        };
        watch::settled(self.around.cloud, wait).await
    }
}

/// The function without what changes as an update goes on.
fn content(function: &Function) -> Function {
    let mut content = function.clone();
    content.status = Default::default();
    content.revision_id = None;
    content.last_modified = None;
    // Another form of the same: the resolved one is what counts.
    content.image_uri = None;
    content
}

/// Sets tags.
pub(super) async fn tag(
    cloud: &Cloud,
    function: &Function,
    changes: &FunctionChanges,
) -> Result<(), PipelineError> {
    let name = &function.name;
    cloud
        .step(Step::Tags, name.as_str(), async {
            let tagged = cloud.lambda().tag(&function.arn, &changes.tags).await;
            tagged.map_err(PipelineError::api(format!("tag function `{name}`")))?;
            cloud.wrote(Step::Tags, name.as_str(), "updated");
            Ok(((), "updated".to_owned()))
        })
        .await
}
