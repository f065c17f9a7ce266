//! Does what the plan says, in its order; what is unchanged is not touched.

mod answers;
mod function;
mod patience;
mod place;

use std::slice;
use std::time::Duration;

use super::cloud::Cloud;
use super::early::Arrivals;
use super::error::PipelineError;
use super::observe::{self, Observed};
use super::plan::{DeployPlan, FunctionPlan, PolicyPlan};
use super::push::Push;
use super::ways::Ways;
use super::{knowledge, replace};
use crate::domain::plan::{DeploymentAction, PushedImage, Step, Transfer};
use crate::domain::policy::Pull;
use crate::domain::reference::Tag;
use crate::domain::size::{ByteSize, count};
use crate::domain::spec::DeploySpec;
use crate::image::Image;
use crate::services::ecr::Repository;
use patience::Circumstances;

pub(super) use place::{create_repository, ensure_policy};

/// What is to be done, and with what.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) cloud: &'a Cloud,
    pub(super) spec: &'a DeploySpec,
    pub(super) image: &'a Image,
    pub(super) observed: &'a Observed,
    pub(super) plan: &'a DeployPlan,
    pub(super) tag: Option<&'a Tag>,
    /// The ways of the layers, where they could be found out.
    pub(super) ways: Option<&'a Ways>,
    /// The layers that go early.
    pub(super) arrivals: &'a Arrivals,
    /// How long to wait for an update in progress.
    pub(super) timeout: Duration,
}

/// What was done.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) image: PushedImage,
    pub(super) action: DeploymentAction,
    /// The revision the last change was made on; whatever still has it is older than the change.
    pub(super) stale_revision: Option<String>,
}

impl Work<'_> {
    /// Applies the plan.
    pub(super) async fn apply(&self) -> Result<Applied, PipelineError> {
        let role = self.role().await?;
        let repository = self.repository().await?;
        let image = self.image(&repository).await?;
        let pull = observe::pull(self.spec, &self.observed.caller, &self.observed.region, Some(&repository));
        let policy_changed = self.policy(&repository, &pull).await?;
        let around = |role| Circumstances {
            cloud: self.cloud,
            role,
            repository: &repository,
            pull: &pull,
            is_fresh: policy_changed || self.plan.push,
        };
        let uri = format!("{}@{}", repository.uri, image.digest);
        let mut stale_revision = None;
        match (&self.plan.function, &self.observed.function) {
            (FunctionPlan::Create { architecture, role: known, replaces }, found) => {
                let replaced = found.as_ref().map(|found| &found.function).filter(|_| *replaces);
                let around = around(role.as_deref().unwrap_or(known));
                let name = self.spec.function.name.as_str();
                let creating = async {
                    if let Some(replaced) = replaced {
                        replace::delete(self.cloud, replaced).await?;
                        self.cloud.wrote(Step::Function, name, "deleted");
                    }
                    function::create(&around, &self.spec.function, replaced, *architecture, &uri).await?;
                    let outcome = if replaced.is_some() { "deleted, and created anew" } else { "created" };
                    Ok::<_, PipelineError>(((), outcome.to_owned()))
                };
                self.cloud.step(Step::Function, name, creating).await?;
            }
            (FunctionPlan::Update(changes), Some(found)) => {
                let planned = changes.configuration.role.as_deref();
                let role = role.as_deref().or(planned).unwrap_or(&found.function.role);
                let updates = function::Updates {
                    around: around(role),
                    observed: &found.function,
                    image_uri: &uri,
                    timeout: self.timeout,
                };
                if changes.code.is_some() || !changes.configuration.is_empty() {
                    stale_revision = updates.make(changes).await?;
                }
                if !changes.tags.is_empty() {
                    function::tag(self.cloud, &found.function, changes).await?;
                }
            }
            (FunctionPlan::Update(_), None) => {}
        }
        Ok(Applied { image, action: self.action(), stale_revision })
    }

    fn action(&self) -> DeploymentAction {
        match &self.plan.function {
            FunctionPlan::Create { .. } => DeploymentAction::Created,
            FunctionPlan::Update(_) if self.plan.is_unchanged() => DeploymentAction::Unchanged,
            FunctionPlan::Update(_) => DeploymentAction::Updated,
        }
    }

    async fn role(&self) -> Result<Option<String>, PipelineError> {
        let Some(role) = &self.plan.new_role else { return Ok(None) };
        let partition = self.observed.caller.partition(&self.observed.region);
        let creating = async {
            let arn = place::create_role(self.cloud, role, &partition).await?;
            Ok((Some(arn), "created".to_owned()))
        };
        self.cloud.step(Step::Role, role.arn.to_string(), creating).await
    }

    async fn repository(&self) -> Result<Repository, PipelineError> {
        if let Some(found) = self.observed.repository.found() {
            return Ok(found.clone());
        }
        let (_, name) = observe::address(&self.spec.repository);
        let creating = async {
            let made = create_repository(self.cloud, name).await?;
            Ok((made, "created".to_owned()))
        };
        self.cloud.step(Step::Repository, name.to_string(), creating).await
    }

    async fn image(&self, repository: &Repository) -> Result<PushedImage, PipelineError> {
        if self.plan.push {
            let pushing = Pushing { image: self.image, tag: self.tag, arrivals: self.arrivals };
            return pushing.push_to(self.cloud, repository, self.ways.cloned()).await;
        }
        let transfer = Transfer { layers_reused: self.image.layers.len(), ..Transfer::default() };
        Ok(PushedImage { repository: repository.uri.clone(), digest: self.image.digest(), transfer })
    }

    async fn policy(&self, repository: &Repository, pull: &Pull) -> Result<bool, PipelineError> {
        match &self.plan.policy {
            PolicyPlan::Sufficient => Ok(false),
            PolicyPlan::Unreadable(error) => {
                place::warn_unreadable(self.cloud, repository, pull, error);
                Ok(false)
            }
            PolicyPlan::Merge => {
                let ensuring = async {
                    let changed =
                        ensure_policy(self.cloud, &self.spec.repository, repository, slice::from_ref(pull))
                            .await?;
                    Ok((changed, if changed { "updated" } else { "unchanged" }.to_owned()))
                };
                self.cloud.step(Step::RepositoryPolicy, repository.uri.to_string(), ensuring).await
            }
        }
    }
}

/// An image to be sent.
#[derive(Debug)]
pub(super) struct Pushing<'a> {
    pub(super) image: &'a Image,
    pub(super) tag: Option<&'a Tag>,
    /// The layers that go early.
    pub(super) arrivals: &'a Arrivals,
}

impl Pushing<'_> {
    /// Sends the image into the repository; `ways` are those that were found while planning.
    pub(super) async fn push_to(
        &self,
        cloud: &Cloud,
        repository: &Repository,
        ways: Option<Ways>,
    ) -> Result<PushedImage, PipelineError> {
        let (uri, image) = (&repository.uri, self.image);
        let pushing = async {
            let client = &cloud.registry(&uri.registry).await?;
            let (uploads, reporter) = (&cloud.limits().uploads, cloud.reporter());
            let push = Push { client, repository: uri, image, arrivals: self.arrivals, uploads, reporter };
            let pushed = push.run(self.tag, ways).await;
            let pushed = pushed
                .map_err(|source| PipelineError::Registry { doing: format!("push to `{uri}`"), source })?;
            knowledge::remember(cloud, uri, image).await;
            cloud.wrote(Step::Image, &format!("{uri}@{}", pushed.digest), "pushed");
            let Transfer { bytes_uploaded, layers_uploaded, layers_reused } = pushed.transfer;
            let outcome = format!(
                "{}, {} sent ({}), {layers_reused} reused",
                pushed.digest.short(),
                count(layers_uploaded, "layer"),
                ByteSize(bytes_uploaded)
            );
            Ok((pushed, outcome))
        };
        cloud.step(Step::Image, uri.to_string(), pushing).await
    }
}
