//! The configuration of a function version: what requests set and answers show.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::errors::Failure;
use super::validation::Violations;
use crate::domain::environment::{is_reserved, is_variable_name};

/// The configuration part of `CreateFunction` and `UpdateFunctionConfiguration`. What is absent
/// is not changed; each structure replaces the former one whole.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SettingsRequest {
    pub(super) role: Option<String>,
    pub(super) description: Option<String>,
    pub(super) timeout: Option<i64>,
    pub(super) memory_size: Option<i64>,
    pub(super) ephemeral_storage: Option<EphemeralStorage>,
    pub(super) environment: Option<EnvironmentRequest>,
    pub(super) image_config: Option<ImageConfig>,
    pub(super) runtime: Option<String>,
    pub(super) handler: Option<String>,
    pub(super) layers: Option<Vec<String>>,
    pub(super) vpc_config: Option<Value>,
    pub(super) dead_letter_config: Option<Value>,
    pub(super) file_system_configs: Option<Value>,
    pub(super) durable_config: Option<Value>,
    pub(super) tenancy_config: Option<Value>,
    pub(super) capacity_provider_config: Option<Value>,
    #[serde(rename = "KMSKeyArn")]
    pub(super) kms_key_arn: Option<String>,
    pub(super) tracing_config: Option<TracingConfig>,
    pub(super) snap_start: Option<SnapStart>,
    pub(super) logging_config: Option<LoggingConfig>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EphemeralStorage {
    pub(super) size: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EnvironmentRequest {
    pub(super) variables: Option<Map<String, Value>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TracingConfig {
    pub(super) mode: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SnapStart {
    pub(super) apply_on: Option<String>,
}

/// Overrides of the image's start settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImageConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) entry_point: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) working_directory: Option<String>,
}

/// Where and how a function logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LoggingConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) log_format: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) application_log_level: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) system_log_level: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) log_group: Option<String>,
}

/// The configuration of one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) package_type: String,
    pub(super) architecture: String,
    pub(super) role: String,
    pub(super) description: String,
    /// Seconds.
    pub(super) timeout: i64,
    /// Megabytes.
    pub(super) memory_size: i64,
    /// Megabytes.
    pub(super) ephemeral_storage: i64,
    pub(super) environment: Option<BTreeMap<String, String>>,
    pub(super) image_config: Option<ImageConfig>,
    pub(super) runtime: Option<String>,
    pub(super) handler: Option<String>,
    pub(super) kms_key_arn: Option<String>,
    pub(super) tracing_mode: String,
    pub(super) snap_start: String,
    pub(super) logging: LoggingConfig,
    /// Structures that are kept and shown, and mean nothing here.
    pub(super) other: BTreeMap<String, Value>,
}

impl Settings {
    /// What a function has whose creator says nothing.
    pub(super) fn defaults(function_name: &str, package_type: &str, architecture: &str) -> Self {
        Self {
            package_type: package_type.to_owned(),
            architecture: architecture.to_owned(),
            role: String::new(),
            description: String::new(),
            timeout: 3,
            memory_size: 128,
            ephemeral_storage: 512,
            environment: None,
            image_config: None,
            runtime: None,
            handler: None,
            kms_key_arn: None,
            tracing_mode: "PassThrough".to_owned(),
            snap_start: "None".to_owned(),
            logging: LoggingConfig {
                log_format: Some("Text".to_owned()),
                application_log_level: None,
                system_log_level: None,
                log_group: Some(format!("/aws/lambda/{function_name}")),
            },
            other: BTreeMap::new(),
        }
    }

    /// Tells whether the code is a container image.
    pub(super) fn is_image(&self) -> bool {
        self.package_type == "Image"
    }

    /// Sets what the request sets.
    pub(super) fn apply(&mut self, request: &SettingsRequest) {
        fn set<T: Clone>(to: &mut T, from: Option<&T>) {
            if let Some(value) = from {
                *to = value.clone();
            }
        }
        set(&mut self.role, request.role.as_ref());
        set(&mut self.description, request.description.as_ref());
        set(&mut self.timeout, request.timeout.as_ref());
        set(&mut self.memory_size, request.memory_size.as_ref());
        set(
            &mut self.ephemeral_storage,
            request.ephemeral_storage.as_ref().and_then(|storage| storage.size.as_ref()),
        );
        set(
            &mut self.tracing_mode,
            request.tracing_config.as_ref().and_then(|tracing| tracing.mode.as_ref()),
        );
        set(&mut self.snap_start, request.snap_start.as_ref().and_then(|snap| snap.apply_on.as_ref()));
        if let Some(environment) = &request.environment {
            self.environment = environment.variables.as_ref().map(texts);
        }
        if let Some(config) = &request.image_config {
            self.image_config = config.without_empty_members();
        }
        for (to, from) in [
            (&mut self.runtime, &request.runtime),
            (&mut self.handler, &request.handler),
            (&mut self.kms_key_arn, &request.kms_key_arn),
        ] {
            if let Some(value) = from {
                *to = Some(value.clone()).filter(|value| !value.is_empty());
            }
        }
        if let Some(logging) = &request.logging_config {
            self.logging.apply(logging);
        }
        for (name, value) in [
            ("VpcConfig", &request.vpc_config),
            ("DeadLetterConfig", &request.dead_letter_config),
            ("FileSystemConfigs", &request.file_system_configs),
            ("DurableConfig", &request.durable_config),
            ("TenancyConfig", &request.tenancy_config),
        ] {
            match value {
                Some(value) if is_empty(value) => drop(self.other.remove(name)),
                Some(value) => drop(self.other.insert(name.to_owned(), value.clone())),
                None => {}
            }
        }
        if let Some(vpc) = self.other.get_mut("VpcConfig").and_then(Value::as_object_mut) {
            vpc.insert("VpcId".to_owned(), json!(""));
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

fn texts(variables: &Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    variables.iter().map(|(key, value)| (key.clone(), text(value))).collect()
}

impl ImageConfig {
    /// Empty lists mean the image's own settings, as absent ones do.
    fn without_empty_members(&self) -> Option<Self> {
        let config = Self {
            entry_point: self.entry_point.clone().filter(|words| !words.is_empty()),
            command: self.command.clone().filter(|words| !words.is_empty()),
            working_directory: self.working_directory.clone().filter(|path| !path.is_empty()),
        };
        (config != Self::default()).then_some(config)
    }
}

impl LoggingConfig {
    /// JSON logs have levels, text logs have none.
    fn apply(&mut self, request: &Self) {
        if let Some(format) = &request.log_format {
            self.log_format = Some(format.clone());
        }
        if let Some(group) = &request.log_group {
            self.log_group = Some(group.clone());
        }
        if self.log_format.as_deref() == Some("JSON") {
            let info = || Some("INFO".to_owned());
            let level = |asked: &Option<String>, had: &Option<String>| {
                asked.clone().or_else(|| had.clone()).or_else(info)
            };
            self.application_log_level = level(&request.application_log_level, &self.application_log_level);
            self.system_log_level = level(&request.system_log_level, &self.system_log_level);
        } else {
            (self.application_log_level, self.system_log_level) = (None, None);
        }
    }
}

impl SettingsRequest {
    /// Holds the members against the API model.
    pub(super) fn validate(&self, violations: &mut Violations) {
        if let Some(role) = &self.role {
            violations.role(role);
        }
        if let Some(description) = &self.description {
            violations.length(description, "description", 0, 256);
        }
        if let Some(timeout) = self.timeout {
            violations.range(timeout, "timeout", 1, 900);
        }
        if let Some(memory) = self.memory_size {
            violations.range(memory, "memorySize", 128, 32_768);
        }
        if let Some(storage) = &self.ephemeral_storage {
            match storage.size {
                Some(size) => violations.range(size, "ephemeralStorage.size", 512, 10_240),
                None => violations.missing("ephemeralStorage.size"),
            }
        }
        if let Some(config) = &self.image_config {
            for (words, path) in
                [(&config.entry_point, "imageConfig.entryPoint"), (&config.command, "imageConfig.command")]
            {
                violations.elements(words.as_deref().unwrap_or_default(), path, 0, 1500);
            }
            let directory = config.working_directory.as_deref().unwrap_or_default();
            violations.length(directory, "imageConfig.workingDirectory", 0, 1000);
        }
        let spaced = |text: &&String| text.is_empty() || text.contains(char::is_whitespace);
        if let Some(handler) = self.handler.as_ref().filter(spaced) {
            violations.pattern(handler, "handler", r"[^\s]+");
        }
        let variables = self.environment.as_ref().and_then(|environment| environment.variables.as_ref());
        if variables.is_some_and(|variables| variables.keys().any(|key| !is_variable_name(key))) {
            violations.add_masked(
                "environment.variables",
                "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+, Member must not be null]",
            );
        }
        if let Some(mode) = self.tracing_config.as_ref().and_then(|tracing| tracing.mode.as_deref()) {
            violations.one_of(mode, "tracingConfig.mode", &["Active", "PassThrough"]);
        }
        if let Some(apply_on) = self.snap_start.as_ref().and_then(|snap| snap.apply_on.as_deref()) {
            violations.one_of(apply_on, "snapStart.applyOn", &["PublishedVersions", "None"]);
        }
        if let Some(format) = self.logging_config.as_ref().and_then(|logging| logging.log_format.as_deref()) {
            violations.one_of(format, "loggingConfig.logFormat", &["JSON", "Text"]);
        }
    }

    /// Checks what the model does not say: the limits of ordinary functions, environment
    /// variables, and what the local cloud does not have.
    pub(super) fn check(&self) -> Result<(), Failure> {
        // The model's larger maximum is for managed instances.
        // https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
        if self.memory_size.is_some_and(|memory| memory > 10_240) {
            return Err(Failure::invalid_parameter(
                "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240",
            ));
        }
        if let Some(variables) =
            self.environment.as_ref().and_then(|environment| environment.variables.as_ref())
        {
            check_environment(variables)?;
        }
        let subnets = self.vpc_config.as_ref().and_then(|vpc| vpc["SubnetIds"].as_array());
        if let Some(subnet) = subnets.and_then(|subnets| subnets.first()).and_then(Value::as_str) {
            return Err(Failure::invalid_parameter(format!(
                "Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. EC2 Error Message: The subnet ID '{subnet}' does not exist"
            )));
        }
        if self.capacity_provider_config.is_some() {
            return Err(Failure::not_available("there are no capacity providers"));
        }
        Ok(())
    }
}

fn check_environment(variables: &Map<String, Value>) -> Result<(), Failure> {
    const PREFIX: &str = "Lambda was unable to configure your environment variables because the environment variables you have provided";
    let reserved: Vec<&str> = variables.keys().map(String::as_str).filter(|key| is_reserved(key)).collect();
    if !reserved.is_empty() {
        return Err(Failure::invalid_parameter(format!(
            "{PREFIX} contains reserved keys that are currently not supported for modification. Reserved keys used in this request: {}",
            reserved.join(", ")
        )));
    }
    let measured = Value::Object(variables.clone()).to_string();
    if measured.len() > 4096 {
        return Err(Failure::invalid_parameter(format!(
            "{PREFIX} exceeded the 4KB limit. String measured: {measured}"
        )));
    }
    Ok(())
}
