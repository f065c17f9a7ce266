//! Turns what Lambda says of a function into the domain's words.

use std::collections::BTreeMap;

use aws_sdk_lambda::operation::get_function::GetFunctionOutput;
use aws_sdk_lambda::types::{FunctionCodeLocation, FunctionConfiguration, SnapStartApplyOn};

use super::FoundFunction;
use crate::domain::digest::Digest;
use crate::domain::function::{Function, FunctionStatus, ImageOverrides, PackageType};
use crate::domain::secret::Secret;

/// Reads the answer of `GetFunction`; the error is the name of a member that is missing.
pub(super) fn function(output: &GetFunctionOutput) -> Result<FoundFunction, &'static str> {
    let configuration = output.configuration().ok_or("Configuration")?;
    let name = configuration.function_name().and_then(|name| name.parse().ok()).ok_or("FunctionName")?;
    // Absent in answers older than the member: only .zip archives existed then.
    let package_type =
        configuration.package_type().map_or(PackageType::Zip, |kind| PackageType::from(kind.as_str()));
    // The digest of an image is hexadecimal; of an archive it is base64.
    let image_digest = configuration
        .code_sha256()
        .filter(|_| package_type == PackageType::Image)
        .and_then(|digits| Digest::from_hex(digits).ok());
    let code = output.code();
    let text = |read: fn(&FunctionCodeLocation) -> Option<&str>| code.and_then(read).map(str::to_owned);
    let function = Function {
        name,
        arn: configuration.function_arn().ok_or("FunctionArn")?.to_owned(),
        version: configuration.version().unwrap_or("$LATEST").to_owned(),
        package_type,
        architecture: configuration.architectures().first().and_then(|it| it.as_str().parse().ok()),
        role: configuration.role().unwrap_or_default().to_owned(),
        description: configuration.description().unwrap_or_default().to_owned(),
        memory_size: number(configuration.memory_size()),
        timeout: number(configuration.timeout()),
        ephemeral_storage: number(configuration.ephemeral_storage().map(|storage| storage.size())),
        environment: environment(configuration),
        image_config: image_config(configuration),
        snap_start: configuration.snap_start().and_then(|it| it.apply_on())
            == Some(&SnapStartApplyOn::PublishedVersions),
        file_systems: configuration.file_system_configs().iter().map(|it| it.arn().to_owned()).collect(),
        status: status(configuration),
        image_digest,
        image_uri: text(|code| code.image_uri()),
        resolved_image_uri: text(|code| code.resolved_image_uri()),
        revision_id: configuration.revision_id().map(str::to_owned),
        tags: tags(output),
        last_modified: configuration.last_modified().map(str::to_owned),
    };
    Ok(FoundFunction { function, environment_error: environment_error(configuration) })
}

fn number(value: Option<i32>) -> u32 {
    value.and_then(|value| u32::try_from(value).ok()).unwrap_or_default()
}

/// No tags and no error means: there are none.
fn tags(output: &GetFunctionOutput) -> Option<BTreeMap<String, String>> {
    match (output.tags(), output.tags_error()) {
        (Some(tags), _) => Some(tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect()),
        (None, None) => Some(BTreeMap::new()),
        (None, Some(_)) => None,
    }
}

fn environment(configuration: &FunctionConfiguration) -> BTreeMap<String, Secret> {
    let variables = configuration.environment().and_then(|environment| environment.variables());
    let pairs = variables.into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect()
}

fn environment_error(configuration: &FunctionConfiguration) -> Option<String> {
    let error = configuration.environment()?.error()?;
    let words = [error.error_code(), error.message()];
    Some(words.into_iter().flatten().collect::<Vec<_>>().join(": "))
}

fn image_config(configuration: &FunctionConfiguration) -> ImageOverrides {
    let Some(config) = configuration.image_config_response().and_then(|response| response.image_config())
    else {
        return ImageOverrides::default();
    };
    ImageOverrides {
        entry_point: config.entry_point().to_vec(),
        command: config.command().to_vec(),
        working_directory: config.working_directory().filter(|text| !text.is_empty()).map(str::to_owned),
    }
}

fn status(configuration: &FunctionConfiguration) -> FunctionStatus {
    FunctionStatus {
        state: configuration.state().map(|state| state.as_str().into()),
        state_reason: configuration.state_reason().map(str::to_owned),
        state_reason_code: configuration.state_reason_code().map(|code| code.as_str().to_owned()),
        last_update_status: configuration.last_update_status().map(|status| status.as_str().into()),
        last_update_status_reason: configuration.last_update_status_reason().map(str::to_owned),
        last_update_status_reason_code: configuration
            .last_update_status_reason_code()
            .map(|code| code.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::types::{
        EnvironmentError, EnvironmentResponse, FileSystemConfig, LastUpdateStatus,
        LastUpdateStatusReasonCode, SnapStartResponse, State,
    };

    use super::*;
    use crate::domain::function::Readiness;

    fn described(configuration: FunctionConfiguration) -> FoundFunction {
        function(&GetFunctionOutput::builder().configuration(configuration).build()).unwrap()
    }

    fn configuration() -> aws_sdk_lambda::types::builders::FunctionConfigurationBuilder {
        FunctionConfiguration::builder().function_name("hello").function_arn("arn")
    }

    #[test]
    fn a_function_without_package_type_is_an_archive() {
        let found =
            described(configuration().code_sha256("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").build());
        assert_eq!((found.function.package_type, found.function.image_digest), (PackageType::Zip, None));
    }

    #[test]
    fn codes_the_sdk_does_not_know_are_kept() {
        // AWS answers updates with `Creating`, which is not in the model's enumeration.
        let found = described(
            configuration()
                .state(State::Active)
                .last_update_status(LastUpdateStatus::InProgress)
                .last_update_status_reason_code(LastUpdateStatusReasonCode::from("Creating"))
                .build(),
        );
        let status = found.function.status;
        assert_eq!(status.last_update_status_reason_code.as_deref(), Some("Creating"));
        assert_eq!(status.readiness(), Readiness::InProgress);
    }

    #[test]
    fn what_snapshots_depend_on_is_read() {
        let plain = described(configuration().build()).function;
        assert!(!plain.snap_start && plain.file_systems.is_empty());
        let snap_start = SnapStartResponse::builder().apply_on(SnapStartApplyOn::PublishedVersions).build();
        let mounted =
            FileSystemConfig::builder().arn("arn:efs").local_mount_path("/mnt/data").build().unwrap();
        let found = described(configuration().snap_start(snap_start).file_system_configs(mounted).build());
        assert!(found.function.snap_start);
        assert_eq!(found.function.file_systems, ["arn:efs"]);
    }

    #[test]
    fn variables_that_cannot_be_decrypted_are_unknown_not_absent() {
        let error = EnvironmentError::builder().error_code("KMSAccessDenied").message("no").build();
        let found = described(
            configuration().environment(EnvironmentResponse::builder().error(error).build()).build(),
        );
        assert_eq!(found.environment_error.as_deref(), Some("KMSAccessDenied: no"));
    }
}
