//! `policy show`, `policy ensure` and `policy iam`: what the repository's policy means for
//! Lambda, and what whoever deploys needs.

use super::cloud::Cloud;
use super::error::PipelineError;
use super::observe::{self, ObservedPolicy, ObservedRepository};
use super::{PolicyJudgement, PolicyReport, apply, preflight};
use crate::domain::image_source::ImageSource;
use crate::domain::plan::Step;
use crate::domain::policy::{Pull, RepositoryPolicy};
use crate::domain::reference::ImageReference;
use crate::domain::spec::{BaseImage, DeploySpec, ImageSpec};
use crate::event::Event;
use crate::services::docker;
use crate::services::ecr::Repository;

/// Reads and judges the policy for functions of `accounts`; of the caller's where none is named.
pub(super) async fn show(
    cloud: &Cloud,
    spec: &DeploySpec,
    accounts: &[String],
) -> Result<PolicyReport, PipelineError> {
    let observed = observed(cloud, spec, accounts).await?;
    report(&observed, observed.policy.clone(), false)
}

/// Lets Lambda pull where it may not yet.
pub(super) async fn ensure(
    cloud: &Cloud,
    spec: &DeploySpec,
    accounts: &[String],
) -> Result<PolicyReport, PipelineError> {
    cloud.report(Event::Steps(vec![Step::RepositoryPolicy]));
    let observed = observed(cloud, spec, accounts).await?;
    let repository = &observed.repository;
    let ensuring = async {
        let changed = apply::ensure_policy(cloud, &spec.repository, repository, &observed.pulls).await?;
        Ok::<_, PipelineError>((changed, if changed { "updated" } else { "unchanged" }.to_owned()))
    };
    let changed = cloud.step(Step::RepositoryPolicy, repository.uri.to_string(), ensuring).await?;
    let (account, name) = observe::address(&spec.repository);
    let read = cloud.ecr().policy(account.as_deref(), name).await;
    let text = read.map_err(PipelineError::api(format!("read the policy of repository `{name}`")))?;
    report(&observed, ObservedPolicy::Text(text), changed)
}

/// The images the new one is made from, as far as they are in a registry and can be told without
/// building.
pub(super) async fn bases(spec: &DeploySpec) -> Vec<ImageReference> {
    match &spec.image {
        ImageSpec::Existing(ImageSource::Registry(reference)) => vec![reference.clone()],
        ImageSpec::Assembled(assembled) => match &assembled.base {
            BaseImage::Registry(reference) => vec![reference.clone()],
            BaseImage::Scratch | BaseImage::Layout { .. } => Vec::new(),
        },
        ImageSpec::Dockerfile(build) => docker::base_images(&build.dockerfile, &build.args).await,
        ImageSpec::Existing(_) => Vec::new(),
    }
}

/// The caller's account.
pub(super) async fn account(cloud: &Cloud) -> Result<String, PipelineError> {
    cloud.session().region()?;
    let caller = cloud.sts().caller_identity().await;
    Ok(caller.map_err(PipelineError::api("find out who is calling"))?.account)
}

/// What was read.
struct Found {
    repository: Repository,
    /// One an account.
    pulls: Vec<Pull>,
    policy: ObservedPolicy,
    /// The caller's account.
    account: String,
}

async fn observed(cloud: &Cloud, spec: &DeploySpec, accounts: &[String]) -> Result<Found, PipelineError> {
    preflight::check_places(spec, preflight::Surroundings::of(cloud.session())?)?;
    let (caller, (repository, policy)) = tokio::try_join!(
        async { cloud.sts().caller_identity().await.map_err(PipelineError::api("find out who is calling")) },
        observe::repository_and_policy(cloud, &spec.repository),
    )?;
    match repository {
        ObservedRepository::Found(found) => {
            let own = observe::pull(spec, &caller, cloud.region(), Some(&found));
            let of = |account: &String| Pull { account: account.clone(), ..own.clone() };
            let pulls =
                if accounts.is_empty() { vec![own.clone()] } else { accounts.iter().map(of).collect() };
            Ok(Found { repository: found, pulls, policy, account: caller.account })
        }
        ObservedRepository::Missing(name) => {
            Err(PipelineError::RepositoryMissing { name: name.to_string(), why: "so there is no policy yet" })
        }
    }
}

fn report(found: &Found, policy: ObservedPolicy, changed: bool) -> Result<PolicyReport, PipelineError> {
    let Found { repository, pulls, account, .. } = found;
    let text = match policy {
        ObservedPolicy::Text(text) => text,
        ObservedPolicy::Unreadable(error) => {
            let doing = format!("read the policy of repository `{}`", repository.uri);
            return Err(PipelineError::api(doing)(error));
        }
    };
    let parsed = match &text {
        None => RepositoryPolicy::default(),
        Some(text) => RepositoryPolicy::parse(text)
            .map_err(|source| PipelineError::PolicyUnknown { repository: repository.uri.clone(), source })?,
    };
    let judgements = pulls.iter().map(|pull| {
        let verdict = parsed.judge(pull);
        PolicyJudgement {
            account: pull.account.clone(),
            allows_lambda: verdict.is_allowed(),
            explanation: verdict.explanation(),
        }
    });
    Ok(PolicyReport {
        repository: repository.uri.clone(),
        text,
        in_words: parsed.in_words(),
        judgements: judgements.collect(),
        changed,
        statements: Pull::all_statements_text(pulls),
        account: account.clone(),
    })
}
