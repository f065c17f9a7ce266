//! Reads what is there: the function first, and everything else at the same time.

use super::cloud::Cloud;
use super::error::PipelineError;
use super::refusal::Refusal;
use crate::domain::arn::{Arn, Partition};
use crate::domain::function::FunctionName;
use crate::domain::policy::Pull;
use crate::domain::reference::{RepositoryName, RepositoryUri};
use crate::domain::spec::{DeploySpec, RepositoryLocation, RepositorySpec, RoleSpec};
use crate::event::Event;
use crate::services::api_error::ApiError;
use crate::services::ecr::Repository;
use crate::services::iam::Role;
use crate::services::lambda::{Belongings, FoundFunction};
use crate::services::registry::TokenProvider as _;
use crate::services::sts::CallerIdentity;

/// What is there before anything is changed.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) caller: CallerIdentity,
    pub(super) region: String,
    pub(super) function: Option<FoundFunction>,
    /// What is lost with the function, where it has to be deleted and created anew.
    pub(super) belongings: Option<Belongings>,
    pub(super) repository: ObservedRepository,
    pub(super) policy: ObservedPolicy,
    pub(super) role: ObservedRole,
}

/// Everything but the function.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) caller: CallerIdentity,
    pub(super) repository: ObservedRepository,
    pub(super) policy: ObservedPolicy,
    pub(super) role: ObservedRole,
}

impl Observed {
    /// Puts together what was read.
    pub(super) fn new(
        cloud: &Cloud,
        around: Surroundings,
        function: Option<FoundFunction>,
        belongings: Option<Belongings>,
    ) -> Self {
        let Surroundings { caller, repository, policy, role } = around;
        let region = cloud.region().to_owned();
        Self { caller, region, function, belongings, repository, policy, role }
    }
}

/// The repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ObservedRepository {
    Found(Repository),
    Missing(RepositoryName),
}

impl ObservedRepository {
    pub(super) fn found(&self) -> Option<&Repository> {
        match self {
            Self::Found(repository) => Some(repository),
            Self::Missing(_) => None,
        }
    }
}

/// The repository's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ObservedPolicy {
    /// Its text; `None` where there is none.
    Text(Option<String>),
    /// The caller may not read it.
    Unreadable(ApiError),
}

/// The execution role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ObservedRole {
    /// None is named.
    Unnamed,
    /// It was found, or is taken for found: its ARN.
    Known(Role),
    /// There is none of that name.
    Missing(WantedRole),
}

/// A role as it is, or would be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WantedRole {
    pub(super) arn: Arn,
}

impl WantedRole {
    /// The role `spec` names, in the caller's account where it names none.
    pub(super) fn new(spec: &RoleSpec, partition: &Partition, account: &str) -> Self {
        let arn = match spec {
            RoleSpec::Arn(arn) => arn.clone(),
            RoleSpec::Name(name) => Arn::role(partition.clone(), account, name),
        };
        Self { arn }
    }

    /// The name without path, as IAM's API takes it.
    pub(super) fn name(&self) -> &str {
        self.arn.resource.rsplit('/').next().unwrap_or_default()
    }

    /// The path, with both its slashes.
    pub(super) fn path(&self) -> &str {
        let path = self.arn.resource.strip_prefix("role").unwrap_or("/");
        &path[..=path.rfind('/').unwrap_or_default()]
    }
}

/// Reads the function.
pub(super) async fn function(
    cloud: &Cloud,
    name: &FunctionName,
) -> Result<Option<FoundFunction>, PipelineError> {
    let read = cloud.lambda().function(name.as_str()).await;
    read.map_err(PipelineError::api(format!("read function `{name}`")))
}

impl Surroundings {
    /// What was found, in a few words.
    pub(super) fn outcome(&self) -> &'static str {
        match self.repository {
            ObservedRepository::Found(_) => "repository found",
            ObservedRepository::Missing(_) => "no repository yet",
        }
    }
}

/// Reads everything else, all at the same time.
pub(super) async fn surroundings(
    cloud: &Cloud,
    spec: &DeploySpec,
    create_role: bool,
) -> Result<Surroundings, PipelineError> {
    let named = named_role(spec, create_role);
    let (caller, (repository, policy), role, ()) = tokio::try_join!(
        async { cloud.sts().caller_identity().await.map_err(PipelineError::api("find out who is calling")) },
        repository_and_policy(cloud, &spec.repository),
        async { Ok(look_up_role(cloud, named.as_ref(), create_role).await) },
        async {
            // Only to have the token at hand when the image is ready; whoever needs it will
            // meet the error again, and with it somebody to tell it to.
            let _ = cloud.tokens(cloud.session().region()?).token(None).await;
            Ok(())
        },
    )?;
    let role = observed_role(cloud, named.as_ref(), role, &caller)?;
    Ok(Surroundings { caller, repository, policy, role })
}

/// Reads the repository and, at the same time, its policy.
pub(super) async fn repository_and_policy(
    cloud: &Cloud,
    spec: &RepositorySpec,
) -> Result<(ObservedRepository, ObservedPolicy), PipelineError> {
    let (account, name) = address(spec);
    let (repository, policy) =
        tokio::join!(repository(cloud, spec), cloud.ecr().policy(account.as_deref(), name));
    let repository = repository?;
    let policy = match policy {
        Ok(text) => ObservedPolicy::Text(text),
        Err(_) if repository.found().is_none() => ObservedPolicy::Text(None),
        Err(error) if error.is_access_denied() => ObservedPolicy::Unreadable(error),
        Err(error) => {
            return Err(PipelineError::api(format!("read the policy of repository `{name}`"))(error));
        }
    };
    Ok((repository, policy))
}

/// The registry (`None` is the caller's) and the name in it.
pub(super) fn address(spec: &RepositorySpec) -> (Option<String>, &RepositoryName) {
    match &spec.location {
        RepositoryLocation::Name(name) => (None, name),
        RepositoryLocation::Uri(uri) => (uri.registry.ecr().map(|host| host.account), &uri.name),
    }
}

/// Reads the repository. One of another account that the caller may not describe is taken for
/// found: its URI says all there is to know.
pub(super) async fn repository(
    cloud: &Cloud,
    spec: &RepositorySpec,
) -> Result<ObservedRepository, PipelineError> {
    let (account, name) = address(spec);
    match (cloud.ecr().repository(account.as_deref(), name).await, &spec.location) {
        (Ok(Some(found)), RepositoryLocation::Uri(uri)) if found.uri.registry != uri.registry => {
            Err(Refusal::ForeignRegistry { uri: uri.clone(), expected: found.uri.registry }.into())
        }
        (Ok(Some(found)), _) => Ok(ObservedRepository::Found(found)),
        (Ok(None), _) => Ok(ObservedRepository::Missing(name.clone())),
        (Err(error), RepositoryLocation::Uri(uri)) if error.is_access_denied() && account.is_some() => {
            cloud.report(Event::Detail(format!("repository `{uri}` is taken for existing: {error}")));
            Ok(ObservedRepository::Found(taken_for_found(uri, account.unwrap_or_default())))
        }
        (Err(error), _) => Err(PipelineError::api(format!("look up repository `{name}`"))(error)),
    }
}

fn taken_for_found(uri: &RepositoryUri, account: String) -> Repository {
    let region = uri.registry.ecr().map(|host| host.region).unwrap_or_default();
    let partition = Partition::of_region(&region);
    let arn = format!("arn:{partition}:ecr:{region}:{account}:repository/{}", uri.name);
    Repository { uri: uri.clone(), arn, account }
}

/// The role the specification names, or the one `--create-role` would make.
fn named_role(spec: &DeploySpec, create_role: bool) -> Option<RoleSpec> {
    let made = || create_role.then(|| RoleSpec::Name(spec.function.name.to_string()));
    spec.function.role.clone().or_else(made)
}

/// Looks the role up where its ARN is not known, or where it may have to be made.
async fn look_up_role(
    cloud: &Cloud,
    named: Option<&RoleSpec>,
    create_role: bool,
) -> Option<Result<Option<Role>, ApiError>> {
    let name = match named? {
        RoleSpec::Name(name) => name,
        RoleSpec::Arn(arn) if create_role => &arn.resource,
        RoleSpec::Arn(_) => return None,
    };
    Some(cloud.iam().role(name.rsplit('/').next().unwrap_or(name)).await)
}

/// What the look-up means, now that the caller's account is known.
fn observed_role(
    cloud: &Cloud,
    named: Option<&RoleSpec>,
    found: Option<Result<Option<Role>, ApiError>>,
    caller: &CallerIdentity,
) -> Result<ObservedRole, PipelineError> {
    let Some(named) = named else { return Ok(ObservedRole::Unnamed) };
    let wanted = WantedRole::new(named, &caller.partition(cloud.region()), &caller.account);
    let taken = |wanted: &WantedRole| ObservedRole::Known(Role { arn: wanted.arn.to_string(), trust: None });
    if wanted.arn.account != caller.account {
        return Ok(taken(&wanted));
    }
    match found {
        None => Ok(taken(&wanted)),
        Some(Ok(Some(role))) => Ok(ObservedRole::Known(role)),
        Some(Ok(None)) => Ok(ObservedRole::Missing(wanted)),
        // Without the right to look, the name is enough: Lambda will say if it is wrong.
        Some(Err(error)) if error.is_access_denied() => {
            cloud.report(Event::Detail(format!("role `{}` is taken for existing: {error}", wanted.arn)));
            Ok(taken(&wanted))
        }
        Some(Err(error)) => Err(PipelineError::api(format!("look up role `{}`", wanted.name()))(error)),
    }
}

/// Who would pull: Lambda for the function of `spec`, in the caller's account.
pub(super) fn pull(
    spec: &DeploySpec,
    caller: &CallerIdentity,
    region: &str,
    repository: Option<&Repository>,
) -> Pull {
    Pull {
        partition: caller.partition(region),
        region: region.to_owned(),
        account: caller.account.clone(),
        function: spec.function.name.clone(),
        repository_account: repository.map(|it| it.account.clone()).unwrap_or_default(),
        repository_arn: repository.map(|it| it.arn.clone()).filter(|arn| !arn.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_split_into_path_and_name() {
        let partition = Partition::of_region("eu-west-1");
        for (spec, path, name) in [
            (RoleSpec::Name("hello".to_owned()), "/", "hello"),
            (RoleSpec::Name("team/a/hello".to_owned()), "/team/a/", "hello"),
            (RoleSpec::Arn("arn:aws:iam::1:role/service-role/x".parse().unwrap()), "/service-role/", "x"),
        ] {
            let role = WantedRole::new(&spec, &partition, "123456789012");
            assert_eq!((role.path(), role.name()), (path, name));
        }
    }
}
