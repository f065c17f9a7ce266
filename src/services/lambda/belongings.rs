//! What a function has besides its code and the settings a deployment makes: what is lost where
//! it is deleted.

use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::types::{FunctionConfiguration, SnapStartApplyOn, TracingMode};

use super::{LambdaClient, SERVICE};
use crate::services::api_error::ApiError;

/// What belongs to a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Belongings {
    /// What it has: `aliases`, and which.
    pub known: Vec<(&'static str, String)>,
    /// What could not be read, and why.
    pub unknown: Vec<(&'static str, ApiError)>,
}

impl Belongings {
    /// Whether there is nothing, for certain.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.unknown.is_empty()
    }

    fn add(&mut self, what: &'static str, read: Result<Vec<String>, ApiError>) {
        match read {
            Ok(found) if found.is_empty() => {}
            Ok(found) => self.known.push((what, found.join(", "))),
            Err(error) => self.unknown.push((what, error)),
        }
    }
}

impl LambdaClient {
    /// Reads what belongs to a function. What cannot be read is told, not left out.
    pub async fn belongings(&self, name: &str) -> Belongings {
        let (settings, aliases, versions, policy, urls, sources, asynchronous) = tokio::join!(
            self.settings_of(name),
            self.aliases_of(name),
            self.versions_of(name),
            self.policy_of(name),
            self.urls_of(name),
            self.sources_of(name),
            self.asynchronous_settings_of(name),
        );
        let mut belongings = Belongings::default();
        belongings.add("aliases", aliases);
        belongings.add("versions", versions);
        belongings.add("resource policy", policy);
        belongings.add("function URLs", urls);
        belongings.add("event sources", sources);
        belongings.add("asynchronous invocation settings", asynchronous);
        match settings {
            Ok(settings) => belongings.known.extend(settings),
            Err(error) => belongings.unknown.push(("further settings", error)),
        }
        belongings
    }

    async fn settings_of(&self, name: &str) -> Result<Vec<(&'static str, String)>, ApiError> {
        let output = self.client.get_function().function_name(name).send().await;
        let output = output.map_err(|error| ApiError::new(SERVICE, "GetFunction", &error))?;
        let mut settings = output.configuration().map(further_settings).unwrap_or_default();
        let reserved = output.concurrency().and_then(|it| it.reserved_concurrent_executions());
        settings.extend(reserved.map(|number| ("reserved concurrency", number.to_string())));
        if let Some(error) = output.tags_error() {
            settings.push(("tags", format!("they cannot be read: {}", error.message())));
        }
        Ok(settings)
    }

    async fn aliases_of(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let pages = self.client.list_aliases().function_name(name).into_paginator().items().send();
        let found = pages.collect::<Result<Vec<_>, _>>().await;
        let found = found.map_err(|error| ApiError::new(SERVICE, "ListAliases", &error))?;
        Ok(found.iter().filter_map(|alias| alias.name()).map(str::to_owned).collect())
    }

    async fn versions_of(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let pages =
            self.client.list_versions_by_function().function_name(name).into_paginator().items().send();
        let found = pages.collect::<Result<Vec<_>, _>>().await;
        let found = found.map_err(|error| ApiError::new(SERVICE, "ListVersionsByFunction", &error))?;
        let numbers = found.iter().filter_map(|version| version.version());
        Ok(numbers.filter(|number| *number != "$LATEST").map(str::to_owned).collect())
    }

    async fn policy_of(&self, name: &str) -> Result<Vec<String>, ApiError> {
        match self.client.get_policy().function_name(name).send().await {
            Ok(output) => Ok(output.policy().map(statement_ids).unwrap_or_default()),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(Vec::new()),
            Err(error) => Err(ApiError::new(SERVICE, "GetPolicy", &error)),
        }
    }

    async fn urls_of(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let pages =
            self.client.list_function_url_configs().function_name(name).into_paginator().items().send();
        let found = pages.collect::<Result<Vec<_>, _>>().await;
        let found = found.map_err(|error| ApiError::new(SERVICE, "ListFunctionUrlConfigs", &error))?;
        Ok(found.iter().map(|url| url.function_url().to_owned()).collect())
    }

    async fn sources_of(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let pages =
            self.client.list_event_source_mappings().function_name(name).into_paginator().items().send();
        let found = pages.collect::<Result<Vec<_>, _>>().await;
        let found = found.map_err(|error| ApiError::new(SERVICE, "ListEventSourceMappings", &error))?;
        Ok(found.iter().filter_map(|it| it.event_source_arn().or(it.uuid())).map(str::to_owned).collect())
    }

    async fn asynchronous_settings_of(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let pages = self
            .client
            .list_function_event_invoke_configs()
            .function_name(name)
            .into_paginator()
            .items()
            .send();
        let found = pages.collect::<Result<Vec<_>, _>>().await;
        let found =
            found.map_err(|error| ApiError::new(SERVICE, "ListFunctionEventInvokeConfigs", &error))?;
        Ok(found.iter().filter_map(|it| it.function_arn()).map(str::to_owned).collect())
    }
}

/// The names of a policy's statements; the policy itself is Lambda's text.
fn statement_ids(policy: &str) -> Vec<String> {
    let policy: serde_json::Value = serde_json::from_str(policy).unwrap_or_default();
    let statements = policy["Statement"].as_array().cloned().unwrap_or_default();
    statements.iter().map(|it| it["Sid"].as_str().unwrap_or("statement").to_owned()).collect()
}

/// Settings that no deployment makes, where they are not the defaults.
fn further_settings(of: &FunctionConfiguration) -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    if let Some(vpc) = of.vpc_config().filter(|vpc| !vpc.subnet_ids().is_empty()) {
        settings.push(("VPC settings", vpc.subnet_ids().join(", ")));
    }
    let target = of.dead_letter_config().and_then(|it| it.target_arn()).filter(|arn| !arn.is_empty());
    settings.extend(target.map(|arn| ("dead letter queue", arn.to_owned())));
    if of.tracing_config().and_then(|it| it.mode()) == Some(&TracingMode::Active) {
        settings.push(("tracing", "Active".to_owned()));
    }
    settings.extend(of.kms_key_arn().map(|arn| ("key of the variables", arn.to_owned())));
    settings.extend(of.file_system_configs().iter().map(|it| ("file system", it.arn().to_owned())));
    if of.snap_start().and_then(|it| it.apply_on()) == Some(&SnapStartApplyOn::PublishedVersions) {
        settings.push(("SnapStart", "PublishedVersions".to_owned()));
    }
    let usual_group = format!("/aws/lambda/{}", of.function_name().unwrap_or_default());
    let logging = of.logging_config();
    let group = logging.and_then(|it| it.log_group()).filter(|group| *group != usual_group);
    settings.extend(group.map(|group| ("log group", group.to_owned())));
    let format = logging.and_then(|it| it.log_format()).filter(|format| format.as_str() != "Text");
    settings.extend(format.map(|format| ("log format", format.as_str().to_owned())));
    settings
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::types::{LogFormat, LoggingConfig, TracingConfigResponse, VpcConfigResponse};

    use super::*;

    #[test]
    fn only_settings_that_somebody_made_are_lost() {
        let usual = FunctionConfiguration::builder()
            .function_name("hello")
            .tracing_config(TracingConfigResponse::builder().mode(TracingMode::PassThrough).build())
            .logging_config(
                LoggingConfig::builder().log_group("/aws/lambda/hello").log_format(LogFormat::Text).build(),
            );
        assert!(further_settings(&usual.clone().build()).is_empty());
        let made = usual
            .vpc_config(VpcConfigResponse::builder().subnet_ids("subnet-1").build())
            .kms_key_arn("arn:k");
        let names: Vec<_> = further_settings(&made.build()).into_iter().map(|(what, _)| what).collect();
        assert_eq!(names, ["VPC settings", "key of the variables"]);
    }

    #[test]
    fn statements_of_a_policy_are_told_by_their_names() {
        assert_eq!(statement_ids(r#"{"Statement":[{"Sid":"url"},{}]}"#), ["url", "statement"]);
        assert!(statement_ids("no policy").is_empty());
    }
}
