//! Makes what the function needs around it: role, repository, and the right to pull.

use crate::domain::arn::Partition;
use crate::domain::plan::Step;
use crate::domain::policy::{LAMBDA_TRUST, Merged, Pull, RepositoryPolicy, Verdict};
use crate::domain::reference::RepositoryName;
use crate::domain::spec::RepositorySpec;
use crate::event::Event;
use crate::pipeline::cloud::Cloud;
use crate::pipeline::error::PipelineError;
use crate::pipeline::observe::{self, WantedRole};
use crate::pipeline::refusal::Refusal;
use crate::services::api_error::ApiError;
use crate::services::ecr::Repository;

/// Makes a role that Lambda can assume and that can write logs; returns its ARN. Begun before
/// and interrupted, it is finished.
pub(super) async fn create_role(
    cloud: &Cloud,
    role: &WantedRole,
    partition: &Partition,
) -> Result<String, PipelineError> {
    let name = role.name();
    let doing = format!("create role `{name}`");
    let description = "Execution role of Lambda functions, made by lambdactl";
    let made = cloud.iam().create_role(name, role.path(), LAMBDA_TRUST, description).await;
    let arn = match made {
        Ok(made) => {
            cloud.wrote(Step::Role, &made.arn, "created");
            made.arn
        }
        Err(error) if error.is("EntityAlreadyExists") || error.is("EntityAlreadyExistsException") => {
            role.arn.to_string()
        }
        Err(error) => return Err(PipelineError::api(doing)(error)),
    };
    // <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaBasicExecutionRole.html>
    let policy = format!("arn:{partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole");
    cloud
        .iam()
        .attach_role_policy(name, &policy)
        .await
        .map_err(PipelineError::api(format!("attach `{policy}` to role `{name}`")))?;
    Ok(arn)
}

/// Makes a repository in the caller's registry. One that appeared meanwhile is taken.
pub(in crate::pipeline) async fn create_repository(
    cloud: &Cloud,
    name: &RepositoryName,
) -> Result<Repository, PipelineError> {
    let doing = || PipelineError::api(format!("create repository `{name}`"));
    match cloud.ecr().create_repository(name).await {
        Ok(made) => {
            cloud.wrote(Step::Repository, &made.uri.to_string(), "created");
            Ok(made)
        }
        Err(error) if error.is("RepositoryAlreadyExistsException") => {
            let found = cloud.ecr().repository(None, name).await.map_err(doing())?;
            found.ok_or_else(|| doing()(error))
        }
        Err(error) => Err(doing()(error)),
    }
}

/// Lets Lambda pull for all of these, keeping every other statement; returns whether the policy was changed.
///
/// The policy is read again right before it is written: there is no other guard against
/// overwriting what somebody else adds at the same time.
pub(in crate::pipeline) async fn ensure_policy(
    cloud: &Cloud,
    spec: &RepositorySpec,
    repository: &Repository,
    pulls: &[Pull],
) -> Result<bool, PipelineError> {
    let (account, name) = observe::address(spec);
    let uri = &repository.uri;
    let denied = |source: ApiError| PipelineError::PolicyDenied {
        repository: uri.clone(),
        statements: Pull::all_statements_text(pulls),
        source,
    };
    let text = match cloud.ecr().policy(account.as_deref(), name).await {
        Ok(text) => text,
        Err(error) if error.is_access_denied() => return Err(denied(error)),
        Err(error) => {
            return Err(PipelineError::api(format!("read the policy of repository `{uri}`"))(error));
        }
    };
    let present = match &text {
        None => RepositoryPolicy::default(),
        Some(text) => RepositoryPolicy::parse(text)
            .map_err(|source| PipelineError::PolicyUnknown { repository: uri.clone(), source })?,
    };
    let verdicts = pulls.iter().map(|pull| present.judge(pull));
    if let Some(Verdict::Denied { by }) = verdicts.into_iter().find(|it| matches!(it, Verdict::Denied { .. }))
    {
        return Err(Refusal::PolicyDenies { repository: uri.clone(), by }.into());
    }
    let Merged { policy, changed } = present
        .merged_all(pulls)
        .map_err(|source| PipelineError::PolicyMerge { repository: uri.clone(), source })?;
    if !changed {
        return Ok(false);
    }
    match cloud.ecr().set_policy(account.as_deref(), name, &policy.text()).await {
        Ok(()) => {
            cloud.wrote(Step::RepositoryPolicy, &uri.to_string(), "updated");
            Ok(true)
        }
        Err(error) if error.is_access_denied() => Err(denied(error)),
        Err(error) => Err(PipelineError::api(format!("set the policy of repository `{uri}`"))(error)),
    }
}

/// Says that nobody knows whether Lambda may pull, and what to do if it may not.
pub(super) fn warn_unreadable(cloud: &Cloud, repository: &Repository, pull: &Pull, error: &ApiError) {
    cloud.report(Event::Warning {
        message: format!(
            "the policy of repository `{}` cannot be read, so it is not known whether Lambda may pull: {error}",
            repository.uri
        ),
        hint: Some(format!(
            "let the caller do `{}`; or make sure that the policy holds:\n{}",
            error.action(),
            pull.statements_text()
        )),
    });
}
