//! The configuration of the function, member by member: only what is named and differs is sent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::function::ImageOverrides;
use crate::domain::plan::Change;
use crate::domain::secret::{MASK, Secret};
use crate::domain::spec::FunctionSpec;
use crate::services::lambda::{ConfigurationUpdate, FoundFunction};

/// What differs from the function that is there. `Environment` and `ImageConfig` are replaced
/// as a whole by AWS, so they are computed complete.
pub(super) fn between(
    spec: &FunctionSpec,
    found: &FoundFunction,
    role: Option<String>,
) -> (ConfigurationUpdate, Vec<Change>) {
    let current = &found.function;
    let mut changes = Vec::new();
    let role = role.filter(|role| *role != current.role);
    if let Some(role) = &role {
        changes.push(Change::new("role", current.role.clone(), role.clone()));
    }
    let mut number = |path: &str, wanted: Option<u32>, present: u32| {
        let differing = wanted.filter(|wanted| *wanted != present)?;
        changes.push(Change::new(path, present, differing));
        Some(differing)
    };
    let memory_size = number("memory_size", spec.memory_size, current.memory_size);
    let timeout = number("timeout", spec.timeout, current.timeout);
    let ephemeral_storage = number("ephemeral_storage", spec.ephemeral_storage, current.ephemeral_storage);
    let description = spec.description.clone().filter(|wanted| *wanted != current.description);
    if let Some(wanted) = &description {
        changes.push(Change::new("description", current.description.clone(), wanted.clone()));
    }
    let wanted = spec.environment.applied_to(&current.environment);
    // Variables that cannot be read differ from whatever is wanted, if anything is.
    let unreadable = found.environment_error.is_some() && spec.environment.clear;
    let environment = (wanted != current.environment || unreadable).then(|| {
        if unreadable {
            changes.push(Change::new("environment", MASK, Value::Null));
        }
        changes.extend(environment_changes(&current.environment, &wanted));
        wanted
    });
    let wanted = spec.image_config.applied_to(&current.image_config);
    let image_config = (wanted != current.image_config).then(|| {
        changes.extend(image_config_changes(&current.image_config, &wanted));
        wanted
    });
    let update = ConfigurationUpdate {
        role,
        memory_size,
        timeout,
        ephemeral_storage,
        description,
        environment,
        image_config,
    };
    (update, changes)
}

/// What is named for a function that is not there yet; AWS's defaults are not shown.
pub(super) fn of_new(spec: &FunctionSpec) -> Vec<Change> {
    let mut changes = Vec::new();
    let numbers = [
        ("memory_size", spec.memory_size),
        ("timeout", spec.timeout),
        ("ephemeral_storage", spec.ephemeral_storage),
    ];
    changes.extend(
        numbers
            .into_iter()
            .filter_map(|(path, value)| value.map(|value| Change::new(path, Value::Null, value))),
    );
    if let Some(description) = spec.description.clone().filter(|text| !text.is_empty()) {
        changes.push(Change::new("description", Value::Null, description));
    }
    let environment = spec.environment.applied_to(&BTreeMap::new());
    changes.extend(environment_changes(&BTreeMap::new(), &environment));
    let nothing = ImageOverrides::default();
    changes.extend(image_config_changes(&nothing, &spec.image_config.applied_to(&nothing)));
    changes.extend(
        spec.tags.iter().map(|(key, value)| Change::new(format!("tags.{key}"), Value::Null, value.clone())),
    );
    changes
}

/// One change a variable; the values are never shown.
fn environment_changes(present: &BTreeMap<String, Secret>, wanted: &BTreeMap<String, Secret>) -> Vec<Change> {
    let names: BTreeSet<_> = present.keys().chain(wanted.keys()).collect();
    let shown = |value: Option<&Secret>| value.map_or(Value::Null, |_| MASK.into());
    names
        .into_iter()
        .filter(|name| present.get(*name) != wanted.get(*name))
        .map(|name| {
            Change::new(format!("environment.{name}"), shown(present.get(name)), shown(wanted.get(name)))
        })
        .collect()
}

fn image_config_changes(present: &ImageOverrides, wanted: &ImageOverrides) -> Vec<Change> {
    let words = |words: &[String]| if words.is_empty() { Value::Null } else { words.to_vec().into() };
    let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::from);
    [
        ("entry_point", words(&present.entry_point), words(&wanted.entry_point)),
        ("command", words(&present.command), words(&wanted.command)),
        ("working_directory", text(&present.working_directory), text(&wanted.working_directory)),
    ]
    .into_iter()
    .filter(|(_, from, to)| from != to)
    .map(|(member, from, to)| Change::new(format!("image_config.{member}"), from, to))
    .collect()
}
