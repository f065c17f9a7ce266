//! The difference between what is wanted and what is there. Pure: no call is made here.
//!
//! `plan` shows it, `deploy` shows it and then applies it; what is unchanged is shown, not run.

mod configuration;
mod function;
mod place;

use super::observe::{Observed, WantedRole};
use super::refusal::Refusal;
use crate::domain::digest::Digest;
use crate::domain::plan::{Action, PlannedStep, Step};
use crate::domain::platform::{Architecture, Platform};
use crate::domain::reference::RepositoryUri;
use crate::domain::spec::DeploySpec;
use crate::domain::transfer::{PlannedLayer, TransferPlan};
use crate::image::Image;
use crate::pipeline::error::PipelineError;

pub(super) use function::{FunctionChanges, FunctionPlan};
pub(super) use place::PolicyPlan;

/// What the plan has to know of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlannedImage {
    /// The digest of its manifest.
    pub(super) digest: Digest,
    /// What it runs on.
    pub(super) platform: Platform,
    /// Whether the repository holds it already (and the tag that is asked for names it).
    pub(super) is_there: bool,
    /// Which way each of its layers takes.
    pub(super) layers: Vec<PlannedLayer>,
}

impl PlannedImage {
    pub(super) fn new(image: &Image, is_there: bool, transfer: TransferPlan) -> Self {
        let (digest, platform) = (image.digest(), image.config.platform());
        Self { digest, platform, is_there, layers: transfer.layers }
    }
}

/// Everything a deployment will do, step by step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DeployPlan {
    /// The steps as they are shown, in the order they are taken.
    pub(super) steps: Vec<PlannedStep>,
    /// A role to be made.
    pub(super) new_role: Option<WantedRole>,
    /// Where the image goes; `None` where the repository is to be made.
    pub(super) repository: Option<RepositoryUri>,
    /// Whether the image has to be sent.
    pub(super) push: bool,
    /// What happens to the repository's policy.
    pub(super) policy: PolicyPlan,
    /// What happens to the function.
    pub(super) function: FunctionPlan,
}

impl DeployPlan {
    /// Compares what is wanted with what is there.
    ///
    /// # Errors
    /// Refusals, and settings without which nothing can be done (a new function without a role).
    pub(super) fn between(
        spec: &DeploySpec,
        image: &PlannedImage,
        observed: &Observed,
        create_role: bool,
    ) -> Result<Self, PipelineError> {
        let architecture = architecture(spec, image, observed)?;
        let (role, new_role) = place::role(spec, observed, create_role)?;
        let repository = place::repository(spec, observed)?;
        let uri = observed.repository.found().map(|it| it.uri.clone());
        let (policy, policy_step) = place::policy(spec, observed)?;
        let (function, function_steps) =
            FunctionPlan::between(spec, image, observed, architecture, uri.as_ref())?;
        let steps = role
            .into_iter()
            .chain([repository, place::image(image, uri.as_ref()), policy_step])
            .chain(function_steps)
            .collect();
        Ok(Self { steps, new_role, repository: uri, push: !image.is_there, policy, function })
    }

    /// Tells whether nothing but the image itself can still be refused.
    pub(super) fn is_allowed(spec: &DeploySpec, observed: &Observed, create_role: bool) -> bool {
        place::role(spec, observed, create_role).is_ok()
            && place::repository(spec, observed).is_ok()
            && place::policy(spec, observed).is_ok()
    }

    /// Tells whether nothing has to be written.
    pub(super) fn is_unchanged(&self) -> bool {
        self.steps.iter().all(|step| step.action == Action::Unchanged)
    }

    /// What was planned for a step.
    pub(super) fn step(&self, step: Step) -> Option<&PlannedStep> {
        self.steps.iter().find(|planned| planned.step == step)
    }
}

/// The architecture: the specification's, else the function's, else the image's. An image for
/// another machine would be accepted by Lambda and fail at each invocation, so it is refused.
fn architecture(
    spec: &DeploySpec,
    image: &PlannedImage,
    observed: &Observed,
) -> Result<Architecture, Refusal> {
    let existing = observed.function.as_ref().and_then(|found| found.function.architecture);
    let decided = match (spec.function.architecture, existing) {
        (Some(wanted), _) => Some((wanted, "is to run on")),
        (None, Some(existing)) => Some((existing, "runs on")),
        (None, None) => None,
    };
    match decided {
        Some((wanted, _)) if image.platform.runs_on(wanted) => Ok(wanted),
        Some((wanted, decided)) => {
            Err(Refusal::Architecture { image: image.platform.clone(), wanted, decided })
        }
        None => Architecture::from_oci(&image.platform.architecture)
            .filter(|own| image.platform.runs_on(*own))
            .ok_or_else(|| Refusal::Platform(image.platform.clone())),
    }
}

#[cfg(test)]
pub(in crate::pipeline) mod tests;
