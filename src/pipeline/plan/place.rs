//! What the function needs around it: role, repository, image, and the right to pull it.

use super::PlannedImage;
use crate::domain::plan::{Action, Change, Planned, PlannedStep, Step};
use crate::domain::policy::{RepositoryPolicy, Verdict};
use crate::domain::reference::RepositoryUri;
use crate::domain::spec::{DeploySpec, RepositoryLocation};
use crate::pipeline::error::PipelineError;
use crate::pipeline::observe::{
    self, Observed, ObservedPolicy, ObservedRepository, ObservedRole, WantedRole,
};
use crate::pipeline::refusal::Refusal;
use crate::services::api_error::ApiError;

/// What happens to the repository's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum PolicyPlan {
    /// Lambda may pull.
    Sufficient,
    /// A statement has to be added.
    Merge,
    /// It cannot be read: Lambda may have its right or not.
    Unreadable(ApiError),
}

/// A step that moves no layers.
pub(super) fn step(
    step: Step,
    subject: impl Into<String>,
    action: Action,
    changes: Vec<Change>,
) -> PlannedStep {
    PlannedStep { step, subject: subject.into(), action, changes, layers: Vec::new() }
}

/// The role step, where a role is named; and the role to be made.
pub(super) fn role(
    spec: &DeploySpec,
    observed: &Observed,
    create_role: bool,
) -> Result<(Option<PlannedStep>, Option<WantedRole>), PipelineError> {
    // Not naming a role keeps the function's; `--create-role` is for new functions then.
    let is_kept = spec.function.role.is_none() && observed.function.is_some();
    match &observed.role {
        _ if is_kept => Ok((None, None)),
        ObservedRole::Unnamed => Err(PipelineError::NoRole(spec.function.name.clone())),
        ObservedRole::Known(role) => {
            Ok((Some(step(Step::Role, role.arn.clone(), Action::Unchanged, Vec::new())), None))
        }
        ObservedRole::Missing(role) if !create_role => Err(PipelineError::RoleMissing(role.arn.to_string())),
        ObservedRole::Missing(role) if role.arn.account != observed.caller.account => {
            Err(PipelineError::ForeignRole(role.arn.to_string()))
        }
        ObservedRole::Missing(role) => {
            let changes = vec![
                Change::new("trust", serde_json::Value::Null, "lambda.amazonaws.com"),
                Change::new("policy", serde_json::Value::Null, "AWSLambdaBasicExecutionRole"),
            ];
            Ok((Some(step(Step::Role, role.arn.to_string(), Action::Create, changes)), Some(role.clone())))
        }
    }
}

pub(super) fn repository(spec: &DeploySpec, observed: &Observed) -> Result<PlannedStep, PipelineError> {
    let name = match &observed.repository {
        ObservedRepository::Found(found) => {
            return Ok(step(Step::Repository, found.uri.to_string(), Action::Unchanged, Vec::new()));
        }
        ObservedRepository::Missing(name) => name,
    };
    let missing = |name: String, why| Err(PipelineError::RepositoryMissing { name, why });
    if let RepositoryLocation::Uri(uri) = &spec.repository.location {
        let owner = uri.registry.ecr().map(|host| host.account);
        if owner.is_some_and(|owner| owner != observed.caller.account) {
            return missing(uri.to_string(), "and it cannot be made in another account");
        }
    }
    if !spec.repository.create {
        return missing(name.to_string(), "and it is not to be created");
    }
    Ok(step(Step::Repository, name.to_string(), Action::Create, Vec::new()))
}

pub(super) fn image(image: &PlannedImage, repository: Option<&RepositoryUri>) -> PlannedStep {
    let subject = match repository {
        Some(uri) => format!("{uri}@{}", image.digest),
        None => image.digest.to_string(),
    };
    let action = if image.is_there { Action::Unchanged } else { Action::Push };
    PlannedStep { layers: image.layers.clone(), ..step(Step::Image, subject, action, Vec::new()) }
}

pub(super) fn policy(
    spec: &DeploySpec,
    observed: &Observed,
) -> Result<(PolicyPlan, PlannedStep), PipelineError> {
    let repository = observed.repository.found();
    let subject = match &observed.repository {
        ObservedRepository::Found(found) => found.uri.to_string(),
        ObservedRepository::Missing(name) => name.to_string(),
    };
    let pull = observe::pull(spec, &observed.caller, &observed.region, repository);
    let text = match &observed.policy {
        ObservedPolicy::Unreadable(error) => {
            let plan = PolicyPlan::Unreadable(error.clone());
            return Ok((plan, step(Step::RepositoryPolicy, subject, Action::Unchanged, Vec::new())));
        }
        ObservedPolicy::Text(text) => text,
    };
    let present = match (text, repository) {
        (None, _) => RepositoryPolicy::default(),
        (Some(text), Some(found)) => RepositoryPolicy::parse(text)
            .map_err(|source| PipelineError::PolicyUnknown { repository: found.uri.clone(), source })?,
        (Some(_), None) => RepositoryPolicy::default(),
    };
    match (present.judge(&pull), repository) {
        (Verdict::Allowed { .. }, _) => {
            Ok((PolicyPlan::Sufficient, step(Step::RepositoryPolicy, subject, Action::Unchanged, Vec::new())))
        }
        (Verdict::Denied { by }, Some(found)) => {
            Err(Refusal::PolicyDenies { repository: found.uri.clone(), by }.into())
        }
        _ => {
            let merged = present.merged(&pull);
            let names = merged
                .iter()
                .flat_map(|it| it.policy.statements())
                .zip(present.statements().iter().map(Some).chain(std::iter::repeat(None)));
            let changes = names
                .filter(|(new, old)| *old != Some(*new))
                .map(|(new, old)| Change {
                    path: format!("statement.{}", new["Sid"].as_str().unwrap_or_default()),
                    from: old.cloned().unwrap_or_default(),
                    to: Planned::Known(new.clone()),
                })
                .collect();
            let action = if text.is_some() { Action::Update } else { Action::Create };
            Ok((PolicyPlan::Merge, step(Step::RepositoryPolicy, subject, action, changes)))
        }
    }
}
