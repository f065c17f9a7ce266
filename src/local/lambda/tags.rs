//! `TagResource`, `ListTags` and `UntagResource`. Functions have tags, versions have none.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::errors::Failure;
use super::function::Function;
use super::reply::Reply;
use super::request::Request;
use super::target::{NameRules, Target};
use super::validation::Violations;
use crate::domain::arn::Arn;
use crate::local::store::Transaction;

const RESOURCE_PATTERN: &str = r"arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagRequest {
    tags: Option<BTreeMap<String, String>>,
}

/// Refuses more tags than a resource may have.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html>
pub(super) fn check_number(number: usize) -> Result<(), Failure> {
    match number {
        0..=50 => Ok(()),
        _ => Err(Failure::invalid_parameter("Number of tags exceeds resource tag limit.")),
    }
}

fn target(request: &Request<'_>) -> Result<Target, Failure> {
    let text = request.path.get(2).map(String::as_str).unwrap_or_default();
    let is_function = text.parse::<Arn>().is_ok_and(|arn| arn.resource.starts_with("function:"));
    let parsed = Target::parse(request.call, text, None, NameRules::Namespaced);
    if !is_function || parsed.as_ref().is_err_and(|failure| failure.code == "ValidationException") {
        let mut violations = Violations::default();
        violations.pattern(text, "resource", RESOURCE_PATTERN);
        violations.check()?;
    }
    let target = parsed?;
    match target.qualifier {
        Some(_) => Err(Failure::invalid_parameter(
            "Tags on function aliases and versions are not supported. Please specify a function ARN.",
        )),
        None => Ok(target),
    }
}

fn read(tx: &Transaction<'_>, request: &Request<'_>, target: &Target) -> Result<Function, Failure> {
    Function::read(tx, request.call, &target.name)?.ok_or_else(|| target.not_found(request.call))
}

/// Adds tags, or changes their values.
pub(super) fn tag_resource(request: &Request<'_>) -> Result<Reply, Failure> {
    let target = target(request)?;
    let wanted: TagRequest = request.body()?;
    let tags = wanted.tags.unwrap_or_default();
    if tags.is_empty() {
        return Err(Failure::invalid_parameter("An error occurred and the request cannot be processed."));
    }
    request.call.store.transaction(|tx| {
        let mut function = read(tx, request, &target)?;
        function.tags.extend(tags);
        check_number(function.tags.len())?;
        function.write(tx, request.call)?;
        Ok(Reply::empty())
    })?
}

/// Shows the tags.
pub(super) fn list_tags(request: &Request<'_>) -> Result<Reply, Failure> {
    let target = target(request)?;
    let function = request.call.store.transaction(|tx| read(tx, request, &target))??;
    Ok(Reply::json(200, json!({"Tags": function.tags})))
}

/// Removes tags; they may be gone already.
pub(super) fn untag_resource(request: &Request<'_>) -> Result<Reply, Failure> {
    let target = target(request)?;
    let keys = request.query_all("tagKeys");
    if keys.is_empty() {
        let mut violations = Violations::default();
        violations.missing("tagKeys");
        violations.check()?;
    }
    request.call.store.transaction(|tx| {
        let mut function = read(tx, request, &target)?;
        function.tags.retain(|key, _| !keys.contains(key));
        function.write(tx, request.call)?;
        Ok(Reply::empty())
    })?
}
