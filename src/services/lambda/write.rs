//! The calls that change a function.

use std::collections::BTreeMap;

use aws_sdk_lambda::types;

use super::{LambdaClient, SERVICE};
use crate::domain::function::{FunctionName, ImageOverrides};
use crate::domain::platform::Architecture;
use crate::domain::secret::Secret;
use crate::services::api_error::ApiError;

/// A function to be made. `None` is AWS's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFunction {
    /// Its name.
    pub name: FunctionName,
    /// ARN of its execution role.
    pub role: String,
    /// `REPOSITORY@DIGEST`.
    pub image_uri: String,
    /// Always explicit: AWS's default is not the image's.
    pub architecture: Architecture,
    /// Megabytes.
    pub memory_size: Option<u32>,
    /// Seconds.
    pub timeout: Option<u32>,
    /// Megabytes of `/tmp`.
    pub ephemeral_storage: Option<u32>,
    /// Free text.
    pub description: Option<String>,
    /// Environment variables.
    pub environment: BTreeMap<String, Secret>,
    /// Overrides of the image's start settings.
    pub image_config: ImageOverrides,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A change of an existing function's configuration: only what is `Some` is sent, and what is
/// sent replaces the whole member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigurationUpdate {
    /// ARN of the execution role.
    pub role: Option<String>,
    /// Megabytes.
    pub memory_size: Option<u32>,
    /// Seconds.
    pub timeout: Option<u32>,
    /// Megabytes of `/tmp`.
    pub ephemeral_storage: Option<u32>,
    /// Free text.
    pub description: Option<String>,
    /// All environment variables.
    pub environment: Option<BTreeMap<String, Secret>>,
    /// All overrides.
    pub image_config: Option<ImageOverrides>,
}

impl ConfigurationUpdate {
    /// Tells whether nothing would be changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A change of an existing function's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeUpdate {
    /// `REPOSITORY@DIGEST`.
    pub image_uri: String,
    /// Only this call can change it, so it is always explicit.
    pub architecture: Architecture,
}

impl LambdaClient {
    /// Makes a function.
    pub async fn create_function(&self, new: &NewFunction) -> Result<(), ApiError> {
        let mut request = self
            .client
            .create_function()
            .function_name(new.name.as_str())
            .role(&new.role)
            .package_type(types::PackageType::Image)
            .code(types::FunctionCode::builder().image_uri(&new.image_uri).build())
            .architectures(architecture(new.architecture))
            .set_memory_size(new.memory_size.map(number))
            .set_timeout(new.timeout.map(number))
            .set_ephemeral_storage(new.ephemeral_storage.and_then(storage))
            .set_description(new.description.clone());
        if !new.environment.is_empty() {
            request = request.environment(environment(&new.environment));
        }
        if !new.image_config.is_empty() {
            request = request.image_config(image_config(&new.image_config));
        }
        for (key, value) in &new.tags {
            request = request.tags(key, value);
        }
        self.pace.turn().await;
        request.send().await.map(drop).map_err(|error| ApiError::new(SERVICE, "CreateFunction", &error))
    }

    /// Changes the configuration of a function whose revision is still `revision_id`.
    pub async fn update_configuration(
        &self,
        name: &FunctionName,
        update: &ConfigurationUpdate,
        revision_id: Option<&str>,
    ) -> Result<(), ApiError> {
        self.pace.turn().await;
        self.client
            .update_function_configuration()
            .function_name(name.as_str())
            .set_revision_id(revision_id.map(str::to_owned))
            .set_role(update.role.clone())
            .set_memory_size(update.memory_size.map(number))
            .set_timeout(update.timeout.map(number))
            .set_ephemeral_storage(update.ephemeral_storage.and_then(storage))
            .set_description(update.description.clone())
            .set_environment(update.environment.as_ref().map(environment))
            .set_image_config(update.image_config.as_ref().map(image_config))
            .send()
            .await
            .map(drop)
            .map_err(|error| ApiError::new(SERVICE, "UpdateFunctionConfiguration", &error))
    }

    /// Changes the image of a function whose revision is still `revision_id`.
    pub async fn update_code(
        &self,
        name: &FunctionName,
        update: &CodeUpdate,
        revision_id: Option<&str>,
    ) -> Result<(), ApiError> {
        self.pace.turn().await;
        self.client
            .update_function_code()
            .function_name(name.as_str())
            .set_revision_id(revision_id.map(str::to_owned))
            .image_uri(&update.image_uri)
            .architectures(architecture(update.architecture))
            .send()
            .await
            .map(drop)
            .map_err(|error| ApiError::new(SERVICE, "UpdateFunctionCode", &error))
    }

    /// Updates the function with this ARN without changing anything, which re-activates one that
    /// is idle: sends the `timeout` it has, on the revision it has.
    pub async fn touch(&self, arn: &str, timeout: u32, revision_id: Option<&str>) -> Result<(), ApiError> {
        self.client
            .update_function_configuration()
            .function_name(arn)
            .set_revision_id(revision_id.map(str::to_owned))
            .timeout(number(timeout))
            .send()
            .await
            .map(drop)
            .map_err(|error| ApiError::new(SERVICE, "UpdateFunctionConfiguration", &error))
    }

    /// Deletes a function with everything it has.
    pub async fn delete_function(&self, name: &FunctionName) -> Result<(), ApiError> {
        let deleted = self.client.delete_function().function_name(name.as_str()).send().await;
        deleted.map(drop).map_err(|error| ApiError::new(SERVICE, "DeleteFunction", &error))
    }

    /// Adds or changes tags of the function with this ARN; the others stay.
    pub async fn tag(&self, arn: &str, tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
        let mut request = self.client.tag_resource().resource(arn);
        for (key, value) in tags {
            request = request.tags(key, value);
        }
        self.pace.turn().await;
        request.send().await.map(drop).map_err(|error| ApiError::new(SERVICE, "TagResource", &error))
    }
}

fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn architecture(architecture: Architecture) -> types::Architecture {
    match architecture {
        Architecture::X86_64 => types::Architecture::X8664,
        Architecture::Arm64 => types::Architecture::Arm64,
    }
}

/// Always there: the builder only insists on the size.
fn storage(size: u32) -> Option<types::EphemeralStorage> {
    types::EphemeralStorage::builder().size(number(size)).build().ok()
}

/// An empty map clears the variables.
fn environment(variables: &BTreeMap<String, Secret>) -> types::Environment {
    let variables = variables.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
    types::Environment::builder().set_variables(Some(variables)).build()
}

/// An empty structure gives all of the image's own settings back.
fn image_config(overrides: &ImageOverrides) -> types::ImageConfig {
    let words = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    types::ImageConfig::builder()
        .set_entry_point(words(&overrides.entry_point))
        .set_command(words(&overrides.command))
        .set_working_directory(overrides.working_directory.clone())
        .build()
}
