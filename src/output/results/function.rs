//! A function as `status` and `watch` show it. Values of environment variables are masked.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::domain::function::{Function, Readiness};
use crate::domain::reason::{Explanation, explain_now};
use crate::domain::secret::MASK;
use crate::output::json::{extended, status_members};
use crate::output::style::Style;
use crate::output::words::{clean, status};

fn readiness(function: &Function) -> &'static str {
    match function.status.readiness() {
        Readiness::Ready => "ready",
        Readiness::InProgress => "in-progress",
        Readiness::Failed => "failed",
    }
}

pub(super) fn to_json(reason: &str, function: &Function) -> Value {
    let environment: Map<String, Value> =
        function.environment.keys().map(|name| (name.clone(), MASK.into())).collect();
    let head = json!({
        "reason": reason,
        "function_name": function.name.as_str(),
        "function_arn": function.arn,
        "version": function.version,
        "readiness": readiness(function),
    });
    let rest = vec![
        ("explanation", explained(function).map(|it| it.meaning).into()),
        ("next_steps", explained(function).map(|it| it.next).unwrap_or_default().into()),
        ("package_type", function.package_type.as_str().into()),
        ("architecture", function.architecture.map(|architecture| architecture.as_str()).into()),
        ("image_uri", function.resolved_image_uri.clone().or(function.image_uri.clone()).into()),
        ("image_digest", function.image_digest.map(|digest| digest.to_string()).into()),
        ("role", function.role.clone().into()),
        ("description", function.description.clone().into()),
        ("memory_size", function.memory_size.into()),
        ("timeout", function.timeout.into()),
        ("ephemeral_storage", function.ephemeral_storage.into()),
        ("environment", environment.into()),
        (
            "image_config",
            json!({
                "entry_point": function.image_config.entry_point,
                "command": function.image_config.command,
                "working_directory": function.image_config.working_directory,
            }),
        ),
        ("tags", json!(function.tags)),
        ("last_modified", function.last_modified.clone().into()),
        ("revision_id", function.revision_id.clone().into()),
    ];
    extended(extended(head, status_members(&function.status)), rest)
}

/// The same, with where the image comes from.
pub(super) fn status_to_json(function: &Function, source_commit: Option<&str>) -> Value {
    extended(to_json("status", function), vec![("source_commit", source_commit.into())])
}

/// The same, with whether there was anything to do.
pub(super) fn wake_to_json(function: &Function, woken: bool) -> Value {
    extended(to_json("wake", function), vec![("woken", woken.into())])
}

fn explained(function: &Function) -> Option<Explanation> {
    explain_now(function, SystemTime::now())
}

/// What to do about the function's status; nothing where all is well.
pub(super) fn advice(function: &Function, style: &Style) -> String {
    let Some(Explanation { meaning, next }) = explained(function) else { return String::new() };
    let next = next.iter().map(|text| format!("{} {}\n", style.hint("hint:"), clean(text)));
    std::iter::once(format!("  {}\n", clean(&meaning))).chain(next).collect()
}

/// A readable block.
pub(super) fn block(function: &Function, source_commit: Option<&str>, style: &Style) -> String {
    let state = status(&function.status);
    let state = match function.status.readiness() {
        Readiness::Ready => style.good(&state),
        Readiness::InProgress => style.warn(&state),
        Readiness::Failed => style.bad(&state),
    };
    let list = |words: &[String]| Value::from(words.to_vec()).to_string();
    let pairs = |pairs: Vec<String>| if pairs.is_empty() { "(none)".to_owned() } else { pairs.join(", ") };
    let uri = function.resolved_image_uri.as_ref().or(function.image_uri.as_ref());
    let config = &function.image_config;
    let explanation = explained(function);
    let rows = [
        ("state", Some(state)),
        ("meaning", explanation.as_ref().map(|it| clean(&it.meaning))),
        (
            "next",
            explanation.as_ref().map(|it| {
                it.next.iter().map(|text| clean(text)).collect::<Vec<_>>().join(&format!("\n  {:17}  ", ""))
            }),
        ),
        ("arn", Some(clean(&function.arn))),
        ("package_type", Some(function.package_type.to_string())),
        ("image", uri.map(|uri| clean(uri))),
        ("image_digest", function.image_digest.map(|digest| digest.to_string())),
        ("source_commit", source_commit.map(clean)),
        ("architecture", function.architecture.map(|architecture| architecture.to_string())),
        ("role", Some(clean(&function.role))),
        ("memory_size", Some(format!("{} MB", function.memory_size))),
        ("timeout", Some(format!("{} s", function.timeout))),
        ("ephemeral_storage", Some(format!("{} MB", function.ephemeral_storage))),
        ("description", Some(clean(&function.description)).filter(|text| !text.is_empty())),
        ("entry_point", Some(list(&config.entry_point)).filter(|_| !config.entry_point.is_empty())),
        ("command", Some(list(&config.command)).filter(|_| !config.command.is_empty())),
        ("working_directory", config.working_directory.as_deref().map(clean)),
        (
            "environment",
            Some(pairs(function.environment.keys().map(|name| format!("{name}={MASK}")).collect())),
        ),
        (
            "tags",
            function.tags.as_ref().map(|tags| {
                pairs(tags.iter().map(|(key, value)| clean(&format!("{key}={value}"))).collect())
            }),
        ),
        ("last_modified", function.last_modified.as_deref().map(clean)),
    ];
    let mut text = format!("{}\n", style.strong(function.name.as_str()));
    for (label, value) in rows {
        if let Some(value) = value {
            text += &format!("  {label:17}  {value}\n");
        }
    }
    text
}
