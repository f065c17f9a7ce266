//! Refusals that need no answer of AWS, or only the function: before anything is built.

use super::error::PipelineError;
use super::refusal::Refusal;
use crate::domain::environment::{is_reserved, is_variable_name};
use crate::domain::function::{FunctionState, PackageType};
use crate::domain::image_source::ImageSource;
use crate::domain::reference::RegistryHost;
use crate::domain::spec::{DeploySpec, FunctionSpec, ImageSpec, RepositoryLocation};
use crate::services::lambda::FoundFunction;
use crate::services::session::Session;

/// Where Lambda would have to find the image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    /// The function's region.
    pub(super) region: &'a str,
    /// Whether the local cloud is spoken to.
    pub(super) local: bool,
    /// Whether an endpoint is replaced, so that a registry on loopback may stand in for ECR.
    pub(super) overridden: bool,
}

impl<'a> Surroundings<'a> {
    /// Reads them from a session.
    pub(super) fn of(session: &'a Session) -> Result<Self, PipelineError> {
        Ok(Self { region: session.region()?, local: session.is_local(), overridden: session.is_overridden() })
    }
}

/// Refuses what can never work, from the specification alone.
pub(super) fn check(spec: &DeploySpec, around: Surroundings<'_>) -> Result<(), Refusal> {
    check_places(spec, around)?;
    check_settings(&spec.function)
}

/// Refuses repositories and images Lambda cannot pull from.
pub(super) fn check_places(spec: &DeploySpec, around: Surroundings<'_>) -> Result<(), Refusal> {
    if let RepositoryLocation::Uri(uri) = &spec.repository.location {
        check_host("the repository", &uri.registry, &uri.to_string(), around)?;
    }
    if let ImageSpec::Existing(ImageSource::Registry(reference)) = &spec.image {
        check_host("the image", &reference.repository.registry, &reference.to_string(), around)?;
    }
    Ok(())
}

fn check_host(
    what: &'static str,
    host: &RegistryHost,
    uri: &str,
    around: Surroundings<'_>,
) -> Result<(), Refusal> {
    let uri = uri.to_owned();
    let Some(ecr) = host.ecr() else {
        let stands_in = host.is_loopback() && around.overridden;
        return if stands_in { Ok(()) } else { Err(Refusal::NotEcr { what, uri }) };
    };
    if ecr.fips {
        return Err(Refusal::FipsHost { what, uri });
    }
    if ecr.dual_stack {
        return Err(Refusal::DualStackHost { what, uri });
    }
    if ecr.region != around.region {
        let (region, expected) = (ecr.region, around.region.to_owned());
        return Err(Refusal::AnotherRegion { what, uri, region, expected });
    }
    if around.local {
        return Err(Refusal::NotLocal { what, uri });
    }
    Ok(())
}

/// Limits of the Lambda API's model, where exceeding them would only be noticed after the push.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>
fn check_settings(function: &FunctionSpec) -> Result<(), Refusal> {
    let refuse = |member: String, why: String| Err(Refusal::Setting { member, why });
    let in_range = |member: &str, value: Option<u32>, least: u32, most: u32| match value {
        Some(value) if !(least..=most).contains(&value) => {
            refuse(member.to_owned(), format!("{value} is not between {least} and {most}"))
        }
        _ => Ok(()),
    };
    // The upper bound of the memory is AWS's to know: it has grown before.
    in_range("memory_size", function.memory_size, 128, u32::MAX)?;
    in_range("timeout", function.timeout, 1, 900)?;
    in_range("ephemeral_storage", function.ephemeral_storage, 512, 10_240)?;
    if function.description.as_ref().is_some_and(|text| text.chars().count() > 256) {
        return refuse("description".to_owned(), "it has more than 256 characters".to_owned());
    }
    let config = &function.image_config;
    for (member, words) in [("entry_point", &config.entry_point), ("command", &config.command)] {
        if words.as_ref().is_some_and(|words| words.len() > 1500) {
            return refuse(format!("image_config.{member}"), "it has more than 1,500 words".to_owned());
        }
    }
    if config.working_directory.as_ref().is_some_and(|text| text.chars().count() > 1000) {
        return refuse(
            "image_config.working_directory".to_owned(),
            "it has more than 1,000 characters".to_owned(),
        );
    }
    for name in function.environment.set.keys() {
        if let Some(why) = why_not_a_variable(name) {
            return refuse(format!("environment.{name}"), why.to_owned());
        }
    }
    for (key, value) in &function.tags {
        let length = |text: &str, most: usize| text.chars().count() <= most;
        if key.to_ascii_lowercase().starts_with("aws:") {
            return refuse(format!("tags.{key}"), "tags that begin with `aws:` belong to AWS".to_owned());
        }
        if key.is_empty() || !length(key, 128) || !length(value, 256) {
            return refuse(
                format!("tags.{key}"),
                "a key has 1 to 128 characters, a value at most 256".to_owned(),
            );
        }
    }
    if function.tags.len() > 50 {
        return refuse("tags".to_owned(), "a function has at most 50 tags".to_owned());
    }
    Ok(())
}

/// Names Lambda keeps for itself, and names that are none.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>
fn why_not_a_variable(name: &str) -> Option<&'static str> {
    if is_reserved(name) {
        return Some("Lambda sets this variable itself");
    }
    (!is_variable_name(name))
        .then_some("a name has at least two letters, digits or `_`, and begins with a letter")
}

/// Refuses what the function that is there makes impossible.
pub(super) fn check_function(spec: &DeploySpec, found: Option<&FoundFunction>) -> Result<(), Refusal> {
    let Some(found) = found else { return Ok(()) };
    let function = &found.function;
    if function.package_type != PackageType::Image {
        return Err(Refusal::ArchiveFunction(function.name.clone()));
    }
    if function.status.state == Some(FunctionState::Deleting) {
        return Err(Refusal::Deleting(function.name.clone()));
    }
    let environment = &spec.function.environment;
    let changes_some = !environment.clear && (!environment.set.is_empty() || !environment.remove.is_empty());
    match &found.environment_error {
        Some(why) if changes_some => {
            Err(Refusal::UnreadableEnvironment { function: function.name.clone(), why: why.clone() })
        }
        _ => check_environment_size(spec, found),
    }
}

/// A new function needs a role; that is known before anything is built.
pub(super) fn check_role(
    spec: &DeploySpec,
    found: Option<&FoundFunction>,
    create_role: bool,
) -> Result<(), PipelineError> {
    if found.is_none() && spec.function.role.is_none() && !create_role {
        return Err(PipelineError::NoRole(spec.function.name.clone()));
    }
    Ok(())
}

/// All variables together may have 4 KB, measured as JSON.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
fn check_environment_size(spec: &DeploySpec, found: &FoundFunction) -> Result<(), Refusal> {
    let variables = spec.function.environment.applied_to(&found.function.environment);
    let plain: std::collections::BTreeMap<_, _> =
        variables.iter().map(|(name, value)| (name, value.expose())).collect();
    let size = serde_json::to_string(&plain).map_or(0, |text| text.len());
    if size > 4096 {
        let why = format!("the variables have {size} bytes together, and Lambda takes 4,096");
        return Err(Refusal::Setting { member: "environment".to_owned(), why });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;
    use crate::pipeline::plan::tests::{found, spec};

    const AWS: Surroundings<'_> = Surroundings { region: "eu-west-1", local: false, overridden: false };

    #[test]
    fn only_registries_lambda_can_pull_from_are_accepted() {
        let stand_in = Surroundings { overridden: true, ..AWS };
        let local = Surroundings { local: true, overridden: true, ..AWS };
        let plain = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hello";
        for (uri, around, refusal) in [
            (plain, AWS, None),
            (plain, stand_in, None),
            (plain, local, Some("no part in it")),
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com/hello", AWS, Some("`us-east-1`")),
            ("123456789012.dkr.ecr-fips.eu-west-1.amazonaws.com/hello", AWS, Some("FIPS")),
            ("123456789012.dkr-ecr.eu-west-1.on.aws/hello", AWS, Some("dual-stack")),
            ("ghcr.io/team/hello", AWS, Some("not in Amazon ECR")),
            ("127.0.0.1:5000/hello", AWS, Some("not in Amazon ECR")),
            ("127.0.0.1:5000/hello", stand_in, None),
            ("10.0.0.1:5000/hello", stand_in, Some("not in Amazon ECR")),
        ] {
            let mut repository = spec();
            repository.repository.location = RepositoryLocation::Uri(uri.parse().unwrap());
            let mut image = spec();
            image.image = ImageSpec::Existing(ImageSource::Registry(format!("{uri}:v1").parse().unwrap()));
            for spec in [repository, image] {
                let result = check(&spec, around).map_err(|refusal| refusal.to_string());
                match refusal {
                    None => assert_eq!(result, Ok(()), "{uri}"),
                    Some(words) => assert!(result.unwrap_err().contains(words), "{uri}"),
                }
            }
        }
    }

    #[test]
    fn settings_aws_would_refuse_after_the_push_are_refused_before_it() {
        let with = |change: fn(&mut FunctionSpec)| {
            let mut spec = spec();
            change(&mut spec.function);
            check(&spec, AWS).map_err(|refusal| refusal.to_string())
        };
        assert_eq!(with(|_| ()), Ok(()));
        assert!(with(|it| it.timeout = Some(901)).unwrap_err().contains("`timeout`"));
        assert!(with(|it| it.ephemeral_storage = Some(100)).is_err());
        assert!(with(|it| it.description = Some("x".repeat(257))).is_err());
        for name in ["AWS_REGION", "_HANDLER", "1A", "A", "A-B"] {
            let mut spec = spec();
            spec.function.environment.set.insert(name.to_owned(), Secret::new("hunter2"));
            let text = check(&spec, AWS).unwrap_err().to_string();
            assert!(text.contains(name) && !text.contains("hunter2"), "{text}");
        }
        assert!(with(|it| drop(it.tags.insert("aws:x".to_owned(), String::new()))).is_err());
    }

    #[test]
    fn an_archive_function_is_refused() {
        let mut archive = found();
        archive.function.package_type = PackageType::Zip;
        assert!(matches!(check_function(&spec(), Some(&archive)), Err(Refusal::ArchiveFunction(_))));
        assert_eq!(check_function(&spec(), Some(&found())), Ok(()));
        assert_eq!(check_function(&spec(), None), Ok(()));
    }

    #[test]
    fn only_a_new_function_needs_a_role() {
        let mut named = spec();
        named.function.role = Some(crate::domain::spec::RoleSpec::Name("hello".to_owned()));
        assert!(matches!(check_role(&spec(), None, false), Err(PipelineError::NoRole(_))));
        for accepted in [
            check_role(&spec(), None, true),
            check_role(&spec(), Some(&found()), false),
            check_role(&named, None, false),
        ] {
            assert!(accepted.is_ok());
        }
    }

    #[test]
    fn variables_that_cannot_be_read_are_never_replaced_by_accident() {
        let mut unreadable = found();
        unreadable.environment_error = Some("KMSAccessDenied".to_owned());
        let mut changing = spec();
        changing.function.environment.set.insert("KEY".to_owned(), Secret::new("v"));
        assert!(matches!(
            check_function(&changing, Some(&unreadable)),
            Err(Refusal::UnreadableEnvironment { .. })
        ));
        changing.function.environment.clear = true;
        assert_eq!(check_function(&changing, Some(&unreadable)), Ok(()));
        assert_eq!(check_function(&spec(), Some(&unreadable)), Ok(()));
    }

    #[test]
    fn too_many_variables_are_counted_together_with_those_that_stay() {
        let mut big = found();
        big.function.environment.insert("BIG".to_owned(), Secret::new("x".repeat(4_000)));
        assert_eq!(check_function(&spec(), Some(&big)), Ok(()));
        let mut more = spec();
        more.function.environment.set.insert("MORE".to_owned(), Secret::new("y".repeat(200)));
        assert!(matches!(check_function(&more, Some(&big)), Err(Refusal::Setting { .. })));
    }
}
