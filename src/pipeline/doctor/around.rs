//! What the function needs around it, and the function itself.

use std::time::SystemTime;

use super::{in_time, joined, of_api, of_pipeline};
use crate::domain::arn::Arn;
use crate::domain::diagnosis::Diagnosis;
use crate::domain::function::{PackageType, Readiness};
use crate::domain::policy::{LAMBDA_TRUST, RepositoryPolicy, Trust, Verdict, trusts_lambda};
use crate::domain::reason::explain_now;
use crate::domain::spec::{DeploySpec, RepositoryLocation, RoleSpec};
use crate::pipeline::cloud::Cloud;
use crate::pipeline::error::PipelineError;
use crate::pipeline::observe::{self, ObservedPolicy, ObservedRepository};
use crate::pipeline::preflight::{self, Surroundings};

const TOKEN: &str = "registry-token";
const FUNCTION: &str = "function";
const REPOSITORY: &str = "repository";
const POLICY: &str = "repository-policy";
const ROLE: &str = "role";

/// Why nothing can be looked at without a region.
fn without_region(cloud: &Cloud, checks: &[&'static str]) -> Option<Vec<Diagnosis>> {
    let why = format!("not looked at: {}", cloud.session().region().err()?);
    Some(checks.iter().map(|check| Diagnosis::skipped(check, why.clone())).collect())
}

pub(super) async fn registry_token(cloud: &Cloud) -> Vec<Diagnosis> {
    if let Some(skipped) = without_region(cloud, &[TOKEN]) {
        return skipped;
    }
    in_time(TOKEN, async {
        vec![match cloud.ecr().token().await {
            Ok(_) => Diagnosis::good(TOKEN, "ECR hands one out"),
            Err(error) => of_api(TOKEN, "get a token for the registry", &error),
        }]
    })
    .await
}

pub(super) async fn function(cloud: &Cloud, spec: &DeploySpec) -> Vec<Diagnosis> {
    if let Some(skipped) = without_region(cloud, &[FUNCTION]) {
        return skipped;
    }
    in_time(FUNCTION, async {
        let name = &spec.function.name;
        let found = match observe::function(cloud, name).await {
            Ok(found) => found,
            Err(error) => return vec![of_pipeline(FUNCTION, &error)],
        };
        let Some(found) = found else {
            return vec![Diagnosis::good(
                FUNCTION,
                format!("`{name}` does not exist yet; a deployment makes it"),
            )];
        };
        if let Err(refusal) = preflight::check_function(spec, Some(&found)) {
            return vec![Diagnosis::error(FUNCTION, refusal.to_string(), joined(&refusal.hints()))];
        }
        let function = &found.function;
        let status = &function.status;
        let state = status.state.as_ref().map_or("Active", |state| state.as_str());
        let Some(explained) = explain_now(function, SystemTime::now()) else {
            let kind =
                if function.package_type == PackageType::Image { "an image function" } else { "there" };
            return vec![Diagnosis::good(FUNCTION, format!("`{name}` is {kind}, {state}"))];
        };
        let message = format!("`{name}` is {state}: {}", explained.meaning);
        let hint = explained.next.join("\n");
        vec![match status.readiness() {
            Readiness::Failed if status.never_was_active() => Diagnosis::error(FUNCTION, message, Some(hint)),
            _ => Diagnosis::warning(FUNCTION, message, hint),
        }]
    })
    .await
}

/// The repository and its policy.
pub(super) async fn repository(cloud: &Cloud, spec: &DeploySpec) -> Vec<Diagnosis> {
    if let Some(skipped) = without_region(cloud, &[REPOSITORY, POLICY]) {
        return skipped;
    }
    in_time(REPOSITORY, async {
        let places =
            Surroundings::of(cloud.session()).and_then(|around| Ok(preflight::check_places(spec, around)?));
        if let Err(error) = places {
            return vec![
                of_pipeline(REPOSITORY, &error),
                Diagnosis::skipped(POLICY, "not looked at: the repository cannot be used"),
            ];
        }
        let (caller, read) = tokio::join!(
            cloud.sts().caller_identity(),
            observe::repository_and_policy(cloud, &spec.repository)
        );
        let (repository, policy) = match read {
            Ok(read) => read,
            Err(error) => {
                return vec![
                    of_pipeline(REPOSITORY, &error),
                    Diagnosis::skipped(POLICY, "not looked at: the repository cannot be read"),
                ];
            }
        };
        let caller = match caller {
            Ok(caller) => caller,
            Err(error) => return vec![of_api(REPOSITORY, "find out who is calling", &error)],
        };
        let found = match &repository {
            ObservedRepository::Found(found) => found,
            ObservedRepository::Missing(name) => return missing(spec, name.as_str(), &caller.account),
        };
        let pull = observe::pull(spec, &caller, cloud.region(), Some(found));
        let there = Diagnosis::good(REPOSITORY, format!("`{}`", found.uri));
        let statements = || pull.statements_text();
        let judged = match &policy {
            ObservedPolicy::Unreadable(error) => Diagnosis::warning(
                POLICY,
                format!("it cannot be read, so it is not known whether Lambda may pull: {error}"),
                format!(
                    "let the caller do `{}`; or make sure that the policy holds:\n{}",
                    error.action(),
                    statements()
                ),
            ),
            ObservedPolicy::Text(text) => {
                let parsed = text.as_deref().map(RepositoryPolicy::parse).transpose();
                match parsed.map(|policy| policy.unwrap_or_default().judge(&pull)) {
                    Err(error) => Diagnosis::error(POLICY, error.to_string(), None),
                    Ok(verdict) => of_verdict(&verdict, pull.is_cross_account(), &statements()),
                }
            }
        };
        vec![there, judged]
    })
    .await
}

fn missing(spec: &DeploySpec, name: &str, account: &str) -> Vec<Diagnosis> {
    let owner = match &spec.repository.location {
        RepositoryLocation::Uri(uri) => uri.registry.ecr().map(|host| host.account),
        RepositoryLocation::Name(_) => None,
    };
    let why = match owner {
        Some(owner) if owner != account => "and it cannot be made in another account",
        _ if !spec.repository.create => "and it is not to be created",
        _ => {
            let later = "not looked at: a deployment makes both";
            let message = format!("`{name}` does not exist yet; a deployment makes it");
            return vec![Diagnosis::good(REPOSITORY, message), Diagnosis::skipped(POLICY, later)];
        }
    };
    let error = PipelineError::RepositoryMissing { name: name.to_owned(), why };
    vec![of_pipeline(REPOSITORY, &error), Diagnosis::skipped(POLICY, "not looked at: there is no repository")]
}

fn of_verdict(verdict: &Verdict, is_cross_account: bool, statements: &str) -> Diagnosis {
    let message = verdict.explanation();
    match verdict {
        Verdict::Allowed { doubts, .. } if doubts.is_empty() => {
            Diagnosis::good(POLICY, format!("Lambda may pull: {message}"))
        }
        Verdict::Allowed { .. } => Diagnosis::warning(
            POLICY,
            format!("Lambda may pull: {message}"),
            "`lambdactl policy show` explains every statement",
        ),
        Verdict::Missing { .. } if is_cross_account => Diagnosis::error(
            POLICY,
            format!("Lambda may not pull: {message}"),
            Some(format!("the repository's owner has to add to its policy:\n{statements}")),
        ),
        Verdict::Missing { .. } => Diagnosis::warning(
            POLICY,
            format!("Lambda may not pull yet: {message}"),
            "a deployment adds what is missing, and so does `lambdactl policy ensure`",
        ),
        Verdict::Denied { .. } => Diagnosis::error(
            POLICY,
            format!("Lambda may not pull: {message}"),
            Some(
                "ask the owner of the repository to change that statement, or use another repository"
                    .to_owned(),
            ),
        ),
    }
}

/// The execution role, and whether it trusts Lambda.
pub(super) async fn role(cloud: &Cloud, spec: &DeploySpec, create_role: bool) -> Vec<Diagnosis> {
    if let Some(skipped) = without_region(cloud, &[ROLE]) {
        return skipped;
    }
    in_time(ROLE, async { vec![role_of(cloud, spec, create_role).await] }).await
}

async fn role_of(cloud: &Cloud, spec: &DeploySpec, create_role: bool) -> Diagnosis {
    let named = match &spec.function.role {
        Some(role) => role.clone(),
        // The function's own, else the one that is made.
        None => match observe::function(cloud, &spec.function.name).await {
            Ok(Some(found)) => match found.function.role.parse::<Arn>() {
                Ok(arn) => RoleSpec::Arn(arn),
                Err(_) => return Diagnosis::skipped(ROLE, "not looked at: the function names none"),
            },
            Ok(None) if create_role => RoleSpec::Name(spec.function.name.to_string()),
            Ok(None) => return of_pipeline(ROLE, &PipelineError::NoRole(spec.function.name.clone())),
            Err(error) => return of_pipeline(ROLE, &error),
        },
    };
    let (name, account) = match &named {
        RoleSpec::Name(name) => (name.rsplit('/').next().unwrap_or(name).to_owned(), None),
        RoleSpec::Arn(arn) => {
            (arn.resource.rsplit('/').next().unwrap_or_default().to_owned(), Some(arn.account.clone()))
        }
    };
    if let Some(account) = account {
        match cloud.sts().caller_identity().await {
            Ok(caller) if caller.account != account => {
                return Diagnosis::skipped(
                    ROLE,
                    format!("not looked at: `{name}` belongs to account `{account}`"),
                );
            }
            Ok(_) => {}
            Err(error) => return of_api(ROLE, "find out who is calling", &error),
        }
    }
    match cloud.iam().role(&name).await {
        Ok(Some(role)) => trust(&role.arn, role.trust.as_deref()),
        Ok(None) if create_role => {
            Diagnosis::good(ROLE, format!("`{name}` does not exist yet; a deployment makes it"))
        }
        Ok(None) => of_pipeline(ROLE, &PipelineError::RoleMissing(name)),
        Err(error) if error.is_access_denied() => Diagnosis::warning(
            ROLE,
            format!("`{name}` cannot be read, so it is not known whether Lambda can assume it"),
            error.hint().unwrap_or_default(),
        ),
        Err(error) => of_api(ROLE, &format!("look up role `{name}`"), &error),
    }
}

fn trust(arn: &str, document: Option<&str>) -> Diagnosis {
    match document.map(trusts_lambda) {
        Some(Trust::Trusted) => Diagnosis::good(ROLE, format!("Lambda can assume `{arn}`")),
        Some(Trust::NotTrusted) => Diagnosis::error(
            ROLE,
            format!(
                "Lambda cannot assume `{arn}`: its trust policy does not let `lambda.amazonaws.com` do `sts:AssumeRole`"
            ),
            Some(format!("set its trust policy to {LAMBDA_TRUST}")),
        ),
        Some(Trust::Unknown) | None => Diagnosis::warning(
            ROLE,
            format!("whether Lambda can assume `{arn}` depends on conditions that cannot be decided here"),
            "check the role's trust policy for `lambda.amazonaws.com`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::diagnosis::Finding;

    #[test]
    fn a_missing_right_is_an_error_only_where_no_deployment_adds_it() {
        let missing = Verdict::Missing { reasons: vec!["no statement".to_owned()] };
        assert_eq!(of_verdict(&missing, false, "{}").finding, Finding::Warning);
        let across = of_verdict(&missing, true, "{the statements}");
        assert_eq!(across.finding, Finding::Error);
        assert!(across.hint.unwrap().contains("{the statements}"));
        let denied = Verdict::Denied { by: "statement `No`".to_owned() };
        assert_eq!(of_verdict(&denied, false, "").finding, Finding::Error);
        let allowed =
            |doubts: Vec<String>| Verdict::Allowed { by: vec!["statement `Own`".to_owned()], doubts };
        assert_eq!(of_verdict(&allowed(Vec::new()), false, "").finding, Finding::Good);
        assert_eq!(of_verdict(&allowed(vec!["a doubt".to_owned()]), false, "").finding, Finding::Warning);
    }

    #[test]
    fn a_role_that_does_not_trust_lambda_is_an_error_with_the_document_to_set() {
        assert_eq!(trust("arn", Some(LAMBDA_TRUST)).finding, Finding::Good);
        let other = trust("arn", Some(&LAMBDA_TRUST.replace("lambda.", "ec2.")));
        assert_eq!(other.finding, Finding::Error);
        assert!(other.hint.unwrap().contains(LAMBDA_TRUST));
        assert_eq!(trust("arn", None).finding, Finding::Warning);
    }
}
