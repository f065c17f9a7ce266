//! The whole story: everything up to the first write, and everything after it.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::apply::{self, Applied, Work};
use super::cloud::Cloud;
use super::error::PipelineError;
use super::observe::{self, Observed, ObservedRepository};
use super::plan::{DeployPlan, PlannedImage};
use super::watch::{self, Wait};
use super::{DeployOptions, build, early, knowledge, preflight, replace};
use crate::domain::function::{Function, Readiness};
use crate::domain::plan::{Action, Deployment, DeploymentAction, PushedImage, Step};
use crate::domain::reference::{RepositoryUri, Tag};
use crate::domain::spec::{DeploySpec, FunctionSpec};
use crate::event::Event;
use crate::image::Image;
use crate::image::known::KnownImages;
use crate::services::lambda::FoundFunction;
use crate::services::registry::TokenProvider as _;

/// How far it is meant to go; the steps are listed accordingly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Plan,
    Live,
    LiveUnwatched,
}

/// Everything known before the first write.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) image: Image,
    pub(super) observed: Observed,
    pub(super) plan: DeployPlan,
}

/// Observes, builds and plans. The build begins as soon as the function is known not to be in
/// its way; everything else is read meanwhile.
pub(super) async fn prepare(
    cloud: &Cloud,
    spec: &DeploySpec,
    options: &DeployOptions,
    goal: Goal,
) -> Result<Prepared, PipelineError> {
    let around = preflight::Surroundings::of(cloud.session())?;
    preflight::check(spec, around)?;
    // A role of the local cloud is worth nothing elsewhere, so none has to be asked for.
    let create_role = options.create_role || around.local;
    cloud.report(Event::Steps(steps(spec, create_role, goal)));
    let name = &spec.function.name;
    let began = Instant::now();
    cloud.report(Event::StepStarted { step: Step::Observe, subject: name.to_string() });
    let observing = async {
        let around = observe::surroundings(cloud, spec, create_role).await?;
        let elapsed = began.elapsed();
        cloud.report(Event::StepFinished {
            step: Step::Observe,
            outcome: around.outcome().to_owned(),
            elapsed,
        });
        Ok::<_, PipelineError>(around)
    };
    let building = async {
        let function = observe::function(cloud, name).await?;
        preflight::check_function(spec, function.as_ref())?;
        preflight::check_role(spec, function.as_ref(), create_role)?;
        let belongings = replace::belongings(cloud, spec, function.as_ref(), options, goal).await?;
        let knowing = knowledge::of_function(cloud, function.as_ref());
        let architecture = architecture(&spec.function, function.as_ref());
        let image = Box::pin(build::image(cloud, spec, architecture, knowing)).await?;
        Ok((function, belongings, image))
    };
    let (around, (function, belongings, image)) = tokio::try_join!(observing, building)?;
    let observed = Observed {
        caller: around.caller,
        region: cloud.region().to_owned(),
        function,
        belongings,
        repository: around.repository,
        policy: around.policy,
        role: around.role,
    };
    let is_there = match observed.repository.found() {
        // Only who reads the plan has to know: the push itself need not ask.
        Some(repository) if goal != Goal::Plan && image.is_partly_in(&repository.uri) => false,
        Some(repository) => is_there(cloud, &repository.uri, &image, options.tag.as_ref()).await?,
        None => false,
    };
    let planned = PlannedImage::new(&image, is_there);
    let plan = DeployPlan::between(spec, &planned, &observed, create_role)?;
    cloud.report(Event::Planned(plan.steps.clone()));
    Ok(Prepared { image, observed, plan })
}

/// What to build for: the specification's architecture, else the function's, else the image's.
fn architecture(
    spec: &FunctionSpec,
    found: Option<&FoundFunction>,
) -> Option<crate::domain::platform::Architecture> {
    spec.architecture.or_else(|| found.and_then(|found| found.function.architecture))
}

/// The steps a command may take, before it is known which of them are needed: a new function is
/// one step, the changes of an existing one are told by the plan.
fn steps(spec: &DeploySpec, create_role: bool, goal: Goal) -> Vec<Step> {
    let mut steps = vec![Step::Observe, Step::Build];
    if goal == Goal::Plan {
        return steps;
    }
    if spec.function.role.is_some() || create_role {
        steps.push(Step::Role);
    }
    steps.extend([Step::Repository, Step::Image, Step::RepositoryPolicy, Step::Function]);
    if goal == Goal::Live {
        steps.push(Step::Watch);
    }
    steps
}

/// Tells whether the repository holds the image, and the tag (if one is asked for) names it.
async fn is_there(
    cloud: &Cloud,
    repository: &RepositoryUri,
    image: &Image,
    tag: Option<&Tag>,
) -> Result<bool, PipelineError> {
    let client = cloud.registry(&repository.registry).await?;
    let digest = image.digest();
    let failed = |source| {
        let doing = format!("look for `{repository}@{digest}`");
        PipelineError::Registry { doing, source }
    };
    if !client.has_manifest(&repository.name, &digest).await.map_err(failed)? {
        return Ok(false);
    }
    match tag {
        Some(tag) => {
            let tagged = client.manifest_digest(&repository.name, tag.as_str()).await.map_err(failed)?;
            Ok(tagged == Some(digest))
        }
        None => Ok(true),
    }
}

/// Takes the function from source to live.
pub(super) async fn deploy(
    cloud: &Cloud,
    spec: &DeploySpec,
    options: &DeployOptions,
) -> Result<Deployment, PipelineError> {
    let began = Instant::now();
    let goal = if options.no_wait { Goal::LiveUnwatched } else { Goal::Live };
    let Prepared { image, observed, plan } = Box::pin(prepare(cloud, spec, options, goal)).await?;
    let work = Work {
        cloud,
        spec,
        image: &image,
        observed: &observed,
        plan: &plan,
        tag: options.tag.as_ref(),
        timeout: options.wait_timeout,
    };
    let Applied { image, action, stale_revision } = Box::pin(work.apply()).await?;
    let function = end(cloud, spec, options, &observed, &plan, action, stale_revision.as_deref()).await?;
    Ok(Deployment {
        function_name: function.name,
        function_arn: function.arn,
        version: function.version,
        image,
        action,
        status: function.status,
        waited: !options.no_wait,
        elapsed: began.elapsed(),
    })
}

/// Waits until the function has settled, where that is asked for and it has not yet.
async fn end(
    cloud: &Cloud,
    spec: &DeploySpec,
    options: &DeployOptions,
    observed: &Observed,
    plan: &DeployPlan,
    action: DeploymentAction,
    stale_revision: Option<&str>,
) -> Result<Function, PipelineError> {
    let name = &spec.function.name;
    let is_touched = [Step::Function, Step::Configuration, Step::Code]
        .into_iter()
        .any(|step| plan.step(step).is_some_and(|planned| planned.action != Action::Unchanged));
    if let Some(found) = &observed.function {
        let has_settled = found.function.status.readiness() != Readiness::InProgress;
        if !is_touched && (has_settled || options.no_wait) {
            return Ok(found.function.clone());
        }
    }
    let may_be_missing = action == DeploymentAction::Created;
    if options.no_wait {
        return glance(cloud, spec, may_be_missing).await;
    }
    let wait =
        Wait { function: name.as_str(), timeout: options.wait_timeout, stale_revision, may_be_missing };
    let watching = async {
        let found = watch::succeeded(watch::settled(cloud, wait).await?)?;
        let state = found.function.status.state.as_ref().map_or("ready", |state| state.as_str());
        let outcome = state.to_owned();
        Ok::<_, PipelineError>((found.function, outcome))
    };
    cloud.step(Step::Watch, name.as_str(), watching).await
}

/// Reads the function once, without waiting for more than its appearance.
async fn glance(cloud: &Cloud, spec: &DeploySpec, may_be_missing: bool) -> Result<Function, PipelineError> {
    let name = &spec.function.name;
    let mut patience = if may_be_missing { 10 } else { 0 };
    loop {
        if let Some(found) = observe::function(cloud, name).await? {
            return Ok(found.function);
        }
        if patience == 0 {
            return Err(watch::missing(cloud, name.as_str()));
        }
        patience -= 1;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Builds the image and puts it into its repository, which is made where it may be.
pub(super) async fn push(
    cloud: &Cloud,
    spec: &DeploySpec,
    tag: Option<&Tag>,
) -> Result<PushedImage, PipelineError> {
    preflight::check_places(spec, preflight::Surroundings::of(cloud.session())?)?;
    cloud.report(Event::Steps(vec![Step::Build, Step::Repository, Step::Image]));
    let (tell, told) = oneshot::channel();
    let (tell_early, told_early) = oneshot::channel();
    let (made, layers) = mpsc::unbounded_channel();
    let looking = async {
        let found = observe::repository(cloud, &spec.repository).await?;
        // Nobody listens where the image does not come from an engine.
        let uri = found.found().map(|repository| repository.uri.clone());
        let _ = tell.send(uri.clone());
        let _ = tell_early.send(uri);
        Ok::<_, PipelineError>(found)
    };
    let knowing = async {
        match told.await {
            Ok(Some(uri)) => knowledge::of_repository(cloud, &uri).await.announcing(made),
            _ => KnownImages::default(),
        }
    };
    let building = build::image(cloud, spec, spec.function.architecture, knowing);
    let sending = async { Ok(early::send(cloud, told_early, layers).await) };
    let fetching = async {
        // Only to have the token at hand: whoever needs it meets the error again.
        let _ = cloud.tokens(cloud.session().region()?).token(None).await;
        Ok(())
    };
    let (found, image, early, ()) = tokio::try_join!(looking, building, sending, fetching)?;
    let repository = match found {
        ObservedRepository::Found(repository) => repository,
        ObservedRepository::Missing(name) => {
            let missing = |why| PipelineError::RepositoryMissing { name: name.to_string(), why };
            if !spec.repository.create {
                return Err(missing("and it is not to be created"));
            }
            let (account, _) = observe::address(&spec.repository);
            if let Some(account) = account {
                let identity = cloud.sts().caller_identity().await;
                let caller = identity.map_err(PipelineError::api("find out who is calling"))?;
                if caller.account != account {
                    return Err(missing("and it cannot be made in another account"));
                }
            }
            let creating = async {
                let made = apply::create_repository(cloud, &name).await?;
                Ok::<_, PipelineError>((made, "created".to_owned()))
            };
            cloud.step(Step::Repository, name.to_string(), creating).await?
        }
    };
    apply::push_image(cloud, &repository, &image, tag, &early).await
}
