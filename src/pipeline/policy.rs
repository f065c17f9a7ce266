//! `policy show` and `policy ensure`: what the repository's policy means for Lambda.

use super::cloud::Cloud;
use super::error::PipelineError;
use super::observe::{self, ObservedPolicy, ObservedRepository};
use super::{PolicyReport, apply, preflight};
use crate::domain::plan::Step;
use crate::domain::policy::{Pull, RepositoryPolicy};
use crate::domain::spec::DeploySpec;
use crate::event::Event;
use crate::services::ecr::Repository;

/// Reads and judges the policy.
pub(super) async fn show(cloud: &Cloud, spec: &DeploySpec) -> Result<PolicyReport, PipelineError> {
    let (repository, pull, policy) = observed(cloud, spec).await?;
    report(&repository, &pull, policy, false)
}

/// Lets Lambda pull where it may not yet.
pub(super) async fn ensure(cloud: &Cloud, spec: &DeploySpec) -> Result<PolicyReport, PipelineError> {
    cloud.report(Event::Steps(vec![Step::RepositoryPolicy]));
    let (repository, pull, _) = observed(cloud, spec).await?;
    let ensuring = async {
        let changed = apply::ensure_policy(cloud, &spec.repository, &repository, &pull).await?;
        Ok::<_, PipelineError>((changed, if changed { "updated" } else { "unchanged" }.to_owned()))
    };
    let changed = cloud.step(Step::RepositoryPolicy, repository.uri.to_string(), ensuring).await?;
    let (account, name) = observe::address(&spec.repository);
    let read = cloud.ecr().policy(account.as_deref(), name).await;
    let text = read.map_err(PipelineError::api(format!("read the policy of repository `{name}`")))?;
    report(&repository, &pull, ObservedPolicy::Text(text), changed)
}

async fn observed(
    cloud: &Cloud,
    spec: &DeploySpec,
) -> Result<(Repository, Pull, ObservedPolicy), PipelineError> {
    preflight::check_places(spec, preflight::Surroundings::of(cloud.session())?)?;
    let (caller, (repository, policy)) = tokio::try_join!(
        async { cloud.sts().caller_identity().await.map_err(PipelineError::api("find out who is calling")) },
        observe::repository_and_policy(cloud, &spec.repository),
    )?;
    match repository {
        ObservedRepository::Found(found) => {
            let pull = observe::pull(spec, &caller, cloud.region(), Some(&found));
            Ok((found, pull, policy))
        }
        ObservedRepository::Missing(name) => {
            Err(PipelineError::RepositoryMissing { name: name.to_string(), why: "so there is no policy yet" })
        }
    }
}

fn report(
    repository: &Repository,
    pull: &Pull,
    policy: ObservedPolicy,
    changed: bool,
) -> Result<PolicyReport, PipelineError> {
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
    let verdict = parsed.judge(pull);
    Ok(PolicyReport {
        repository: repository.uri.clone(),
        text,
        allows_lambda: verdict.is_allowed(),
        explanation: verdict.explanation(),
        changed,
        statements: pull.statements_text(),
        account: pull.account.clone(),
        repository_account: pull.repository_account.clone(),
    })
}
