//! `GetFunction`, `GetFunctionConfiguration`, `ListFunctions` and `DeleteFunction`.

use serde_json::{Value, json};

use super::errors::Failure;
use super::function::{Function, Version};
use super::page::page;
use super::render::{self, States, configuration};
use super::reply::Reply;
use super::request::Request;
use super::target::{LATEST, NameRules, Target};
use super::validation::Violations;

/// Reads the function and the version its qualifier stands for.
fn find(request: &Request<'_>) -> Result<(Target, Function, Version), Failure> {
    let call = request.call;
    let target = Target::of(request, NameRules::Namespaced)?;
    let function = call.store.transaction(|tx| Function::read(tx, call, &target.name))??;
    let function = function.ok_or_else(|| target.not_found(call))?;
    let version = function.resolve(target.qualifier.as_deref()).cloned();
    let version = version.ok_or_else(|| target.not_found(call))?;
    Ok((target, function, version))
}

/// The whole function: configuration, code, tags and concurrency.
pub(super) fn get_function(request: &Request<'_>) -> Result<Reply, Failure> {
    let (target, function, version) = find(request)?;
    let qualifier = target.qualifier.as_deref();
    let shown = configuration(request.call, &function.name, &version, qualifier, States::Shown);
    let code = render::code(request.call, request.images, &version.code);
    let mut body = json!({"Configuration": shown, "Code": code});
    if !function.tags.is_empty() {
        body["Tags"] = json!(function.tags);
    }
    if let (Some(reserved), None) = (function.reserved_concurrency, qualifier) {
        body["Concurrency"] = json!({"ReservedConcurrentExecutions": reserved});
    }
    Ok(Reply::json(200, body))
}

/// The configuration alone.
pub(super) fn get_function_configuration(request: &Request<'_>) -> Result<Reply, Failure> {
    let (target, function, version) = find(request)?;
    let qualifier = target.qualifier.as_deref();
    let shown = configuration(request.call, &function.name, &version, qualifier, States::Shown);
    Ok(Reply::json(200, shown))
}

/// `$LATEST` and all versions of one function, with qualified ARNs.
pub(super) fn versions(request: &Request<'_>, function: &Function) -> Vec<Value> {
    let all = std::iter::once(&function.latest).chain(&function.versions);
    let show = |version: &Version| {
        configuration(request.call, &function.name, version, Some(&version.version), States::LeftOut)
    };
    all.map(show).collect()
}

/// The functions of the region; every version of them with `FunctionVersion=ALL`.
pub(super) fn list_functions(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let every_version = match request.query("FunctionVersion") {
        Some(text) => {
            let mut violations = Violations::default();
            violations.one_of(text, "functionVersion", &["ALL"]);
            violations.check()?;
            true
        }
        None => false,
    };
    let functions = call.store.transaction(|tx| Function::all(tx, &call.region, call.now))??;
    let show = |function: &Function| match every_version {
        true => versions(request, function),
        false => vec![configuration(call, &function.name, &function.latest, None, States::LeftOut)],
    };
    page(request, "Functions", functions.iter().flat_map(show).collect())
}

/// Deletes the function, or one of its versions. A version that does not exist is deleted too.
pub(super) fn delete_function(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let target = Target::of(request, NameRules::Namespaced)?;
    let qualifier = target.qualifier.as_deref();
    if qualifier == Some(LATEST) {
        return Err(Failure::invalid_parameter(
            "$LATEST version cannot be deleted without deleting the function.",
        ));
    }
    if qualifier.is_some_and(|text| !text.bytes().all(|b| b.is_ascii_digit())) {
        return Err(Failure::invalid_parameter("Deletion of aliases is not currently supported."));
    }
    call.store.transaction(|tx| {
        let mut function = Function::read(tx, call, &target.name)?.ok_or_else(|| {
            let unqualified = Target { qualifier: None, ..target.clone() };
            unqualified.not_found(call)
        })?;
        let Some(number) = qualifier else {
            function.delete(tx, call)?;
            return Ok(Reply::empty());
        };
        let users: Vec<&str> = function
            .aliases
            .iter()
            .filter(|(_, alias)| alias.version == number || alias.weights.contains_key(number))
            .map(|(name, _)| name.as_str())
            .collect();
        if !users.is_empty() {
            return Err(Failure::conflict(format!(
                "Unable to delete version because the following aliases reference it: [{}]",
                users.join(", ")
            )));
        }
        function.versions.retain(|version| version.version != number);
        function.policies.remove(number);
        function.event_configs.remove(number);
        function.write(tx, call)?;
        Ok(Reply::empty())
    })?
}
