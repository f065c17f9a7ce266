//! `CreateAlias`, `GetAlias`, `UpdateAlias`, `DeleteAlias` and `ListAliases`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::errors::Failure;
use super::function::{Alias, Function, new_revision};
use super::page::page;
use super::render;
use super::reply::Reply;
use super::request::Request;
use super::target::{LATEST, NameRules, Target, qualified_arn};
use super::validation::Violations;
use crate::local::store::Transaction;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AliasRequest {
    name: Option<String>,
    function_version: Option<String>,
    description: Option<String>,
    routing_config: Option<RoutingConfig>,
    revision_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoutingConfig {
    additional_version_weights: Option<BTreeMap<String, f64>>,
}

impl AliasRequest {
    fn validate(&self, creating: bool) -> Result<(), Failure> {
        let mut violations = Violations::default();
        match &self.name {
            Some(name) => {
                violations.length(name, "name", 1, 128);
                let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
                if !name.bytes().all(word) || name.bytes().all(|b| b.is_ascii_digit()) {
                    violations.pattern(name, "name", "(?!^[0-9]+$)([a-zA-Z0-9-_]+)");
                }
            }
            None if creating => violations.missing("name"),
            None => {}
        }
        match &self.function_version {
            Some(version) if version != LATEST && !is_number(version) => {
                violations.pattern(version, "functionVersion", r"(\$LATEST(\.PUBLISHED)?|[0-9]+)");
            }
            None if creating => violations.missing("functionVersion"),
            _ => {}
        }
        if let Some(description) = &self.description {
            violations.length(description, "description", 0, 256);
        }
        for (version, weight) in self.weights().into_iter().flatten() {
            const PATH: &str = "routingConfig.additionalVersionWeights";
            if !(0.0..=1.0).contains(weight) {
                violations.add(
                    format!("{{{version}={weight:?}}}"),
                    PATH,
                    "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null]",
                );
            }
            if !is_number(version) {
                violations.add(
                    format!("{{{version}={weight:?}}}"),
                    PATH,
                    "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]",
                );
            }
        }
        violations.check()
    }

    fn weights(&self) -> Option<&BTreeMap<String, f64>> {
        self.routing_config.as_ref().and_then(|routing| routing.additional_version_weights.as_ref())
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Checks what an alias shall point to.
fn check(request: &Request<'_>, function: &Function, alias: &Alias) -> Result<(), Failure> {
    if alias.weights.len() > 1 {
        return Err(Failure::invalid_parameter(
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ));
    }
    for version in std::iter::once(&alias.version).chain(alias.weights.keys()) {
        if function.version(version).is_none() {
            let arn = qualified_arn(request.call, &function.name, version);
            return Err(Failure::not_found(format!("Function not found: {arn}")));
        }
    }
    if let Some(version) = alias.weights.keys().next() {
        if alias.version == LATEST {
            return Err(Failure::invalid_parameter(
                "$LATEST is not supported for an alias pointing to more than 1 version",
            ));
        }
        if *version == alias.version {
            return Err(Failure::invalid_parameter(format!(
                "Invalid function version {version}. Function version {version} is already included in routing configuration."
            )));
        }
    }
    Ok(())
}

fn read(tx: &Transaction<'_>, request: &Request<'_>, target: &Target) -> Result<Function, Failure> {
    Function::read(tx, request.call, &target.name)?.ok_or_else(|| target.not_found(request.call))
}

fn alias_name<'a>(request: &'a Request<'_>) -> &'a str {
    request.path.get(4).map(String::as_str).unwrap_or_default()
}

/// Names a version.
pub(super) fn create_alias(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let target = Target::of(request, NameRules::Plain)?;
    let wanted: AliasRequest = request.body()?;
    wanted.validate(true)?;
    let name = wanted.name.clone().unwrap_or_default();
    let alias = Alias {
        version: wanted.function_version.clone().unwrap_or_default(),
        description: wanted.description.clone().unwrap_or_default(),
        weights: wanted.weights().cloned().unwrap_or_default(),
        revision_id: new_revision(),
    };
    call.store.transaction(|tx| {
        // AWS names the version here, not the function alone.
        let mut function = Function::read(tx, call, &target.name)?.ok_or_else(|| {
            Failure::not_found(format!(
                "Function not found: {}",
                qualified_arn(call, &target.name, &alias.version)
            ))
        })?;
        check(request, &function, &alias)?;
        if function.aliases.contains_key(&name) {
            let arn = qualified_arn(call, &function.name, &name);
            return Err(Failure::conflict(format!("Alias already exists: {arn}")));
        }
        function.aliases.insert(name.clone(), alias.clone());
        function.write(tx, call)?;
        Ok(Reply::json(201, render::alias(call, &function, &name, &alias)))
    })?
}

/// Shows one alias.
pub(super) fn get_alias(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let target = Target::of(request, NameRules::Plain)?;
    let name = alias_name(request);
    let function = call.store.transaction(|tx| Function::read(tx, call, &target.name))??;
    match function.as_ref().and_then(|function| Some((function, function.aliases.get(name)?))) {
        Some((function, alias)) => Ok(Reply::json(200, render::alias(call, function, name, alias))),
        None => {
            let arn = qualified_arn(call, &target.name, name);
            Err(Failure::not_found(format!("Cannot find alias arn: {arn}")))
        }
    }
}

/// Points an alias elsewhere; what is absent stays.
pub(super) fn update_alias(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let target = Target::of(request, NameRules::Plain)?;
    let name = alias_name(request);
    let wanted: AliasRequest = request.body()?;
    wanted.validate(false)?;
    call.store.transaction(|tx| {
        let mut function = read(tx, request, &target)?;
        let Some(mut alias) = function.aliases.get(name).cloned() else {
            let arn = qualified_arn(call, &function.name, name);
            return Err(Failure::not_found(format!("Alias not found: {arn}")));
        };
        if wanted.revision_id.as_ref().is_some_and(|expected| *expected != alias.revision_id) {
            return Err(Failure::stale_revision("GetFunction/GetAlias"));
        }
        if let Some(version) = &wanted.function_version {
            alias.version.clone_from(version);
        }
        if let Some(description) = &wanted.description {
            alias.description.clone_from(description);
        }
        if wanted.routing_config.is_some() {
            alias.weights = wanted.weights().cloned().unwrap_or_default();
        }
        check(request, &function, &alias)?;
        alias.revision_id = new_revision();
        function.aliases.insert(name.to_owned(), alias.clone());
        function.write(tx, call)?;
        Ok(Reply::json(200, render::alias(call, &function, name, &alias)))
    })?
}

/// Deletes an alias; it may be gone already.
pub(super) fn delete_alias(request: &Request<'_>) -> Result<Reply, Failure> {
    let target = Target::of(request, NameRules::Plain)?;
    let name = alias_name(request);
    request.call.store.transaction(|tx| {
        let mut function = read(tx, request, &target)?;
        function.aliases.remove(name);
        function.policies.remove(name);
        function.event_configs.remove(name);
        function.write(tx, request.call)?;
        Ok(Reply::empty())
    })?
}

/// The aliases of a function, or those that point to `FunctionVersion`.
pub(super) fn list_aliases(request: &Request<'_>) -> Result<Reply, Failure> {
    let target = Target::of(request, NameRules::Plain)?;
    let function = request.call.store.transaction(|tx| read(tx, request, &target))??;
    let version = request.query("FunctionVersion");
    let wanted = |alias: &Alias| version.is_none_or(|version| version == alias.version);
    let shown = function.aliases.iter().filter(|(_, alias)| wanted(alias));
    let shown = shown.map(|(name, alias)| render::alias(request.call, &function, name, alias));
    page(request, "Aliases", shown.collect())
}
