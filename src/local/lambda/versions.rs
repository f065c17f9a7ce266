//! `PublishVersion` and `ListVersionsByFunction`.

use serde::Deserialize;

use super::errors::Failure;
use super::function::{Function, Version, new_revision};
use super::page::page;
use super::read;
use super::render::{States, configuration};
use super::reply::Reply;
use super::request::Request;
use super::target::{NameRules, Target};
use super::validation::Violations;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublishRequest {
    code_sha256: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
}

/// Makes a version of `$LATEST`, or answers with the last one where nothing has changed since.
pub(super) fn publish_version(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let target = Target::of(request, NameRules::Plain)?;
    let wanted: PublishRequest = request.body()?;
    if let Some(description) = &wanted.description {
        let mut violations = Violations::default();
        violations.length(description, "description", 0, 256);
        violations.check()?;
    }
    call.store.transaction(|tx| {
        let mut function =
            Function::read(tx, call, &target.name)?.ok_or_else(|| target.not_found(call))?;
        function.latest.check_settled(&target.unqualified_arn(call))?;
        function.latest.check_revision(wanted.revision_id.as_deref())?;
        let present = function.latest.code.sha256();
        if let Some(expected) = wanted.code_sha256.as_ref().filter(|expected| **expected != present) {
            return Err(Failure::invalid_parameter(format!(
                "CodeSHA256 ({expected}) is different from current CodeSHA256 in $LATEST ({present}). Please try again with the CodeSHA256 in $LATEST."
            )));
        }
        let before = function.last_number;
        let place = function.publish(|latest, number| {
            let mut settings = latest.settings.clone();
            if let Some(description) = &wanted.description {
                settings.description.clone_from(description);
            }
            Version { version: number, settings, revision_id: new_revision(), ..latest.clone() }
        });
        if function.last_number != before {
            function.latest.revision_id = new_revision();
            function.write(tx, call)?;
        }
        let version = &function.versions[place];
        let shown = configuration(call, &function.name, version, Some(&version.version), States::Shown);
        Ok(Reply::json(201, shown))
    })?
}

/// `$LATEST` first, then the published versions.
pub(super) fn list_versions_by_function(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let target = Target::of(request, NameRules::Namespaced)?;
    let function = call.store.transaction(|tx| Function::read(tx, call, &target.name))??;
    let function = function.ok_or_else(|| target.not_found(call))?;
    page(request, "Versions", read::versions(request, &function))
}
