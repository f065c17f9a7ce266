//! The whole story: everything up to the first write, and everything after it.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::ahead::Ahead;
use super::apply::{self, Applied, Pushing, Work};
use super::cloud::Cloud;
use super::early::{self, Announcements, Arrivals};
use super::error::PipelineError;
use super::observe::{self, Observed, ObservedRepository};
use super::plan::{DeployPlan, PlannedImage};
use super::watch::{self, Wait};
use super::ways::Ways;
use super::{DeployOptions, build, check, knowledge, preflight, replace};
use crate::domain::function::{Function, Readiness};
use crate::domain::plan::{Action, Deployment, DeploymentAction, PushedImage, Step};
use crate::domain::reference::{RepositoryUri, Tag};
use crate::domain::spec::{DeploySpec, FunctionSpec};
use crate::event::Event;
use crate::image::Image;
use crate::image::check::Wanted;
use crate::services::ecr::Repository;
use crate::services::lambda::FoundFunction;
use crate::services::registry::{RegistryError, TokenProvider as _};

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
    /// The ways of the layers, where there is a repository.
    pub(super) ways: Option<Ways>,
}

/// Observes, builds and plans. The build begins as soon as the function is known not to be in
/// its way; everything else is read meanwhile. With `early`, layers may go as soon as
/// nothing but the image itself can still be refused.
pub(super) async fn prepare(
    cloud: &Cloud,
    spec: &DeploySpec,
    options: &DeployOptions,
    goal: Goal,
    early: Option<(Announcements, &Arrivals)>,
) -> Result<Prepared, PipelineError> {
    let around = preflight::Surroundings::of(cloud.session())?;
    preflight::check(spec, around)?;
    // A role of the local cloud is worth nothing elsewhere, so none has to be asked for.
    let create_role = options.create_role || around.local;
    cloud.report(Event::Steps(steps(spec, create_role, goal)));
    let name = &spec.function.name;
    let began = Instant::now();
    cloud.report(Event::StepStarted { step: Step::Observe, subject: name.to_string() });
    let none = Arrivals::default();
    let (announcements, arrivals) = early.unwrap_or_else(|| (early::announcements().0, &none));
    let Announcements { made, begun, whole, allow } = announcements;
    let ahead = Ahead::new(cloud);
    let (around_is_known, around_known) = oneshot::channel::<observe::Surroundings>();
    let (function_is_known, function_known) = oneshot::channel();
    let observing = async {
        let around = observe::surroundings(cloud, spec, create_role).await?;
        let elapsed = began.elapsed();
        cloud.report(Event::StepFinished {
            step: Step::Observe,
            outcome: around.outcome().to_owned(),
            elapsed,
        });
        // Nobody listens any more where the build has failed.
        let _ = around_is_known.send(around.clone());
        Ok::<_, PipelineError>(around)
    };
    let building = async {
        let function = observe::function(cloud, name).await?;
        preflight::check_function(spec, function.as_ref())?;
        preflight::check_role(spec, function.as_ref(), create_role)?;
        let belongings = replace::belongings(cloud, spec, function.as_ref(), options, goal).await?;
        let _ = function_is_known.send((function.clone(), belongings.clone()));
        let knowing = async {
            let known = knowledge::of_function(cloud, function.as_ref()).await;
            known.announcing(made).announcing_early(begun).foreseen_by(ahead.clone())
        };
        let architecture = architecture(&spec.function, function.as_ref());
        let wanted = check::wanted(&spec.function, function.as_ref().map(|found| &found.function));
        let making = build::checked_image(cloud, spec, &wanted, architecture, knowing, &ahead, whole);
        let image = Box::pin(making).await?;
        Ok((function, belongings, image))
    };
    let allowing = async {
        // Without an answer there is an error, which ends everything.
        let (Ok(around), Ok((function, belongings))) = (around_known.await, function_known.await) else {
            return Ok(());
        };
        let observed = Observed::new(cloud, around, function, belongings);
        if let Some(repository) = observed.repository.found()
            && DeployPlan::is_allowed(spec, &observed, create_role)
        {
            let _ = allow.send(repository.clone());
        }
        Ok(())
    };
    let (around, (function, belongings, image), ()) = tokio::try_join!(observing, building, allowing)?;
    let observed = Observed::new(cloud, around, function, belongings);
    let repository = observed.repository.found().map(|repository| &repository.uri);
    let is_there = match repository {
        // Only who reads the plan has to know: the push itself need not ask.
        Some(uri) if goal != Goal::Plan && image.is_partly_in(uri) => false,
        Some(uri) => is_there(cloud, uri, &image, options.tag.as_ref()).await?,
        None => false,
    };
    let ways = match repository {
        Some(_) if is_there => Some(Ways::nowhere(&image)),
        Some(uri) => Some(ways(cloud, uri, &image, arrivals).await?),
        None => None,
    };
    let transfer = ways.as_ref().unwrap_or(&Ways::into_nothing(&image)).plan(&image);
    let planned = PlannedImage::new(&image, is_there, transfer);
    let plan = DeployPlan::between(spec, &planned, &observed, create_role)?;
    cloud.report(Event::Planned(plan.steps.clone()));
    Ok(Prepared { image, observed, plan, ways })
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
    let mut steps = vec![Step::Observe, Step::Build, Step::Check];
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
    let failed = |source| looking_failed(repository, image, source);
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

/// The ways of the layers into the repository.
async fn ways(
    cloud: &Cloud,
    repository: &RepositoryUri,
    image: &Image,
    arrivals: &Arrivals,
) -> Result<Ways, PipelineError> {
    let client = cloud.registry(&repository.registry).await?;
    let found = Ways::find(&client, repository, image, arrivals).await;
    found.map_err(|source| looking_failed(repository, image, source))
}

fn looking_failed(repository: &RepositoryUri, image: &Image, source: RegistryError) -> PipelineError {
    let doing = format!("look for `{repository}@{}`", image.digest());
    PipelineError::Registry { doing, source }
}

/// Takes the function from source to live; layers go while others are still being made.
pub(super) async fn deploy(
    cloud: &Cloud,
    spec: &DeploySpec,
    options: &DeployOptions,
) -> Result<Deployment, PipelineError> {
    let began = Instant::now();
    let goal = if options.no_wait { Goal::LiveUnwatched } else { Goal::Live };
    let (announcements, announced) = early::announcements();
    let arrivals = Arrivals::default();
    let working = async {
        let early = Some((announcements, &arrivals));
        let prepared = Box::pin(prepare(cloud, spec, options, goal, early)).await?;
        let Prepared { image, observed, plan, ways } = &prepared;
        let work = Work {
            cloud,
            spec,
            image,
            observed,
            plan,
            tag: options.tag.as_ref(),
            ways: ways.as_ref(),
            arrivals: &arrivals,
            timeout: options.wait_timeout,
        };
        let applied = Box::pin(work.apply()).await?;
        Ok::<_, PipelineError>((prepared, applied))
    };
    let sending = async {
        early::send(cloud, announced, &arrivals).await;
        Ok(())
    };
    let ((prepared, applied), ()) = tokio::try_join!(working, sending)?;
    let (Prepared { observed, plan, .. }, Applied { image, action, stale_revision }) = (prepared, applied);
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
    cloud.report(Event::Steps(vec![Step::Build, Step::Check, Step::Repository, Step::Image]));
    let (announcements, announced) = early::announcements();
    let arrivals = Arrivals::default();
    let working = async {
        let (repository, image) = Box::pin(prepare_push(cloud, spec, announcements)).await?;
        let pushing = Pushing { image: &image, tag, arrivals: &arrivals };
        Box::pin(pushing.push_to(cloud, &repository, None)).await
    };
    let sending = async {
        early::send(cloud, announced, &arrivals).await;
        Ok(())
    };
    let (pushed, ()) = tokio::try_join!(working, sending)?;
    Ok(pushed)
}

/// Builds the image and finds or makes its repository.
async fn prepare_push(
    cloud: &Cloud,
    spec: &DeploySpec,
    announcements: Announcements,
) -> Result<(Repository, Image), PipelineError> {
    let Announcements { made, begun, whole, allow } = announcements;
    let ahead = Ahead::new(cloud);
    let (tell, told) = oneshot::channel();
    let looking = async {
        let found = observe::repository(cloud, &spec.repository).await?;
        if let Some(repository) = found.found() {
            // Nobody listens where the image does not come from an engine.
            let _ = tell.send(repository.clone());
            let _ = allow.send(repository.clone());
        }
        Ok::<_, PipelineError>(found)
    };
    let knowing = async {
        match told.await {
            Ok(repository) => {
                let known = knowledge::of_repository(cloud, &repository).await;
                known.announcing(made).announcing_early(begun).foreseen_by(ahead.clone())
            }
            Err(_) => knowledge::nothing(cloud),
        }
    };
    let building = async {
        let wanted = Wanted { is_settled: false, ..check::wanted(&spec.function, None) };
        let architecture = spec.function.architecture;
        let making = build::checked_image(cloud, spec, &wanted, architecture, knowing, &ahead, whole);
        Box::pin(making).await
    };
    let fetching = async {
        // Only to have the token at hand: whoever needs it meets the error again.
        let _ = cloud.tokens(cloud.session().region()?).token(None).await;
        Ok(())
    };
    let (found, image, ()) = tokio::try_join!(looking, building, fetching)?;
    let name = match found {
        ObservedRepository::Found(repository) => return Ok((repository, image)),
        ObservedRepository::Missing(name) => name,
    };
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
    let repository = cloud.step(Step::Repository, name.to_string(), creating).await?;
    Ok((repository, image))
}
