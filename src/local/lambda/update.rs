//! `UpdateFunctionCode` and `UpdateFunctionConfiguration`.

use serde::Deserialize;

use super::create::CodeRequest;
use super::errors::Failure;
use super::function::{Function, Version, take_outcome};
use super::render::{States, configuration};
use super::reply::Reply;
use super::request::Request;
use super::roles;
use super::settings::SettingsRequest;
use super::target::{NameRules, Target};
use super::validation::Violations;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateCodeRequest {
    architectures: Option<Vec<String>>,
    publish: Option<bool>,
    dry_run: Option<bool>,
    revision_id: Option<String>,
    #[serde(flatten)]
    code: CodeRequest,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateConfigurationRequest {
    revision_id: Option<String>,
    #[serde(flatten)]
    settings: SettingsRequest,
}

/// The function an update means; updates know no qualifier but `$LATEST`.
fn target(request: &Request<'_>) -> Result<Target, Failure> {
    let target = Target::of(request, NameRules::Plain)?;
    match target.qualifier.as_deref() {
        None | Some("$LATEST") => Ok(Target { qualifier: None, ..target }),
        Some(_) => Err(Failure::invalid_parameter(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.",
        )),
    }
}

/// Replaces the code: `InProgress`, and live when the time has come.
///
/// With `Publish` the answer describes the new version, as in AWS. With `DryRun` everything is
/// checked and the present configuration is the answer; what AWS shows there is not recorded.
pub(super) fn update_function_code(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let target = target(request)?;
    let wanted: UpdateCodeRequest = request.body()?;
    if let Some(architectures) = &wanted.architectures {
        let mut violations = Violations::default();
        violations.architectures(architectures);
        violations.check()?;
    }
    // The catalogue has transactions of its own, so it is asked before ours begins.
    let arn = target.unqualified_arn(call);
    let image = wanted.code.image_uri.as_ref().map(|uri| (uri, request.images.take(call, uri, &arn)));
    call.store.transaction(|tx| {
        let mut function = Function::read(tx, call, &target.name)?.ok_or_else(|| target.not_found(call))?;
        function.latest.check_revision(wanted.revision_id.as_deref())?;
        let is_image = function.latest.settings.is_image();
        if is_image && (wanted.code.names_archive() || image.is_none()) {
            return Err(Failure::invalid_parameter(
                "Please provide ImageUri when updating a function with packageType Image.",
            ));
        }
        if !is_image && image.is_some() {
            return Err(Failure::invalid_parameter(
                "Please don't provide ImageUri when updating a function with packageType Zip.",
            ));
        }
        if let Err(refused) = function.latest.check_settled(&arn) {
            if function.latest.end_stuck() {
                function.write(tx, call)?;
            }
            return Err(refused);
        }
        let code = match image {
            Some((uri, taken)) => taken.map_err(|refusal| refusal.into_failure(uri))?.into(),
            None => wanted.code.archive()?,
        };
        if wanted.dry_run == Some(true) {
            let present = configuration(call, &function.name, &function.latest, None, States::Shown);
            return Ok(Reply::json(200, present));
        }
        let outcome = take_outcome(tx, call, &target.name)?;
        function.latest.update(call, outcome.clone(), false, |settings, present| {
            *present = code;
            if let Some(architecture) = wanted.architectures.as_deref().and_then(<[_]>::first) {
                settings.architecture.clone_from(architecture);
            }
        });
        let answer = if wanted.publish == Some(true) {
            let place = function.publish(|latest, number| {
                let (settings, code) = (latest.settings.clone(), latest.code.clone());
                Version::pending(call, &number, settings, code, call.delays.update, outcome)
            });
            let version = &function.versions[place];
            configuration(call, &function.name, version, Some(&version.version), States::Shown)
        } else {
            configuration(call, &function.name, &function.latest, None, States::Shown)
        };
        function.write(tx, call)?;
        Ok(Reply::json(200, answer))
    })?
}

/// Replaces the members that are sent, each whole.
pub(super) fn update_function_configuration(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let target = target(request)?;
    let wanted: UpdateConfigurationRequest = request.body()?;
    let mut violations = Violations::default();
    wanted.settings.validate(&mut violations);
    violations.check()?;
    let arn = target.unqualified_arn(call);
    call.store.transaction(|tx| {
        let mut function = Function::read(tx, call, &target.name)?.ok_or_else(|| target.not_found(call))?;
        function.latest.check_revision(wanted.revision_id.as_deref())?;
        check_package_type(&wanted.settings, function.latest.settings.is_image())?;
        wanted.settings.check()?;
        if let Err(refused) = function.latest.check_settled(&arn) {
            if function.latest.end_stuck() {
                function.write(tx, call)?;
            }
            return Err(refused);
        }
        if let Some(role) = &wanted.settings.role {
            roles::check(tx, call, role)?;
        }
        let outcome = take_outcome(tx, call, &target.name)?;
        function.latest.update(call, outcome, true, |settings, _| settings.apply(&wanted.settings));
        function.write(tx, call)?;
        Ok(Reply::json(200, configuration(call, &function.name, &function.latest, None, States::Shown)))
    })?
}

/// The text about layers is reported
/// (<https://github.com/DataDog/terraform-aws-lambda-datadog/issues/2>); the others follow the
/// ones of `CreateFunction` without a recorded example.
fn check_package_type(settings: &SettingsRequest, is_image: bool) -> Result<(), Failure> {
    let refuse = |text: &str| Err(Failure::invalid_parameter(text));
    let layer = settings.layers.as_ref().and_then(|layers| layers.first());
    match (is_image, layer) {
        (true, Some(_)) => {
            refuse("Lambda layers are not supported for functions created with container images.")
        }
        (true, None) if settings.runtime.is_some() || settings.handler.is_some() => refuse(
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.",
        ),
        (false, _) if settings.image_config.is_some() => {
            refuse("Please don't provide ImageConfig when the intended function PackageType is Zip.")
        }
        (false, Some(layer)) => refuse(&format!("Layer version {layer} does not exist.")),
        _ => Ok(()),
    }
}
