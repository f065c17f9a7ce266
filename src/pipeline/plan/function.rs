//! The function: made anew, or changed where it differs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::place::step;
use super::{PlannedImage, configuration};
use crate::domain::function::{Function, FunctionState, Readiness};
use crate::domain::plan::{Action, Change, Planned, PlannedStep, Step};
use crate::domain::platform::Architecture;
use crate::domain::reference::RepositoryUri;
use crate::domain::secret::MASK;
use crate::domain::spec::DeploySpec;
use crate::pipeline::error::PipelineError;
use crate::pipeline::observe::{Observed, ObservedRole};
use crate::services::lambda::{Belongings, ConfigurationUpdate};

/// What happens to the function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum FunctionPlan {
    /// It is made, on this architecture, with this role; `replaces` one whose creation failed.
    Create { architecture: Architecture, role: String, replaces: bool },
    /// It is changed, or left alone where nothing differs.
    Update(FunctionChanges),
}

/// How an existing function changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) struct FunctionChanges {
    /// What of its configuration; nothing where it is empty.
    pub(in crate::pipeline) configuration: ConfigurationUpdate,
    /// A new image, or the same one again, on this architecture.
    pub(in crate::pipeline) code: Option<Architecture>,
    /// Tags to be added or changed.
    pub(in crate::pipeline) tags: BTreeMap<String, String>,
    /// Code before configuration: AWS takes no change of the configuration of a function whose
    /// image is gone, and a new image mends it.
    pub(in crate::pipeline) code_first: bool,
}

impl FunctionPlan {
    pub(super) fn between(
        spec: &DeploySpec,
        image: &PlannedImage,
        observed: &Observed,
        architecture: Architecture,
        repository: Option<&RepositoryUri>,
    ) -> Result<(Self, Vec<PlannedStep>), PipelineError> {
        let role = match &observed.role {
            ObservedRole::Known(role) => Some(role.arn.clone()),
            ObservedRole::Missing(role) => Some(role.arn.to_string()),
            ObservedRole::Unnamed => None,
        };
        let uri = repository.map(|repository| format!("{repository}@{}", image.digest));
        let planned_uri = match &uri {
            Some(uri) => Planned::Known(Value::from(uri.clone())),
            None => Planned::KnownAfter(Step::Repository),
        };
        let name = spec.function.name.to_string();
        if let Some((found, belongings)) = observed.function.as_ref().zip(observed.belongings.as_ref()) {
            let given = role.clone().filter(|_| spec.function.role.is_some());
            let role = given.clone().unwrap_or_else(|| found.function.role.clone());
            let mut changes = repair(&found.function);
            changes.extend(code(&found.function, architecture, uri.as_deref(), planned_uri));
            changes.extend(configuration::between(&spec.function, found, given).1);
            changes.extend(tags(&spec.function.tags, &found.function).1);
            changes.extend(lost(belongings));
            let step = step(Step::Function, &name, Action::Replace, changes);
            return Ok((Self::Create { architecture, role, replaces: true }, vec![step]));
        }
        let Some(found) = &observed.function else {
            let role = role.ok_or_else(|| PipelineError::NoRole(spec.function.name.clone()))?;
            let mut changes = vec![
                Change { path: "image".to_owned(), from: Value::Null, to: planned_uri },
                Change::new("architecture", Value::Null, architecture.as_str()),
                Change::new("role", Value::Null, role.clone()),
            ];
            changes.extend(configuration::of_new(&spec.function));
            let step = step(Step::Function, &name, Action::Create, changes);
            return Ok((Self::Create { architecture, role, replaces: false }, vec![step]));
        };
        let current = &found.function;
        let role = role.filter(|_| spec.function.role.is_some());
        let (update, changes) = configuration::between(&spec.function, found, role);
        let configuration_step = changed(Step::Configuration, &name, changes);
        let mut code_changes = code(current, architecture, uri.as_deref(), planned_uri);
        // Any update re-activates a function that is idle; where there is none, its image again.
        let stays_asleep = current.status.is_asleep() && update.is_empty() && code_changes.is_empty();
        if needs_repair(current) || stays_asleep {
            code_changes.extend(repair(current));
        }
        let is_new_code = !code_changes.is_empty();
        let (tags, tag_changes) = tags(&spec.function.tags, current);
        let mut steps = vec![configuration_step, changed(Step::Code, &name, code_changes)];
        let code_first = needs_repair(current);
        if code_first {
            steps.reverse();
        }
        if !spec.function.tags.is_empty() {
            steps.push(changed(Step::Tags, &name, tag_changes));
        }
        let changes = FunctionChanges {
            configuration: update,
            code: is_new_code.then_some(architecture),
            tags,
            code_first,
        };
        Ok((Self::Update(changes), steps))
    }
}

fn changed(which: Step, subject: &str, changes: Vec<Change>) -> PlannedStep {
    let action = if changes.is_empty() { Action::Unchanged } else { Action::Update };
    step(which, subject, action, changes)
}

/// Tells whether the function is broken in a way that a new image (or the same one again) mends:
/// failed, or inactive for another reason than that nobody used it.
fn needs_repair(current: &Function) -> bool {
    current.status.readiness() == Readiness::Failed
}

/// The way from a status that is not as it should be.
fn repair(current: &Function) -> Vec<Change> {
    let status = &current.status;
    let (code, _) = status.reason();
    let mut shown = match (&status.state, &status.last_update_status) {
        (Some(state @ (FunctionState::Failed | FunctionState::Inactive)), _) => state.to_string(),
        (_, Some(update)) => update.to_string(),
        _ => "Failed".to_owned(),
    };
    if let Some(code) = code {
        shown.push_str(&format!(" ({code})"));
    }
    vec![Change::new("status", shown, "Active")]
}

/// What is lost with a function that is deleted.
fn lost(belongings: &Belongings) -> Vec<Change> {
    let lost = |what: &str, which: String| {
        Change::new(format!("lost.{}", what.replace(' ', "_")), which, Value::Null)
    };
    let known = belongings.known.iter().map(|(what, which)| lost(what, which.clone()));
    let unknown = belongings.unknown.iter().map(|(what, why)| lost(what, format!("unknown: {why}")));
    known.chain(unknown).collect()
}

fn code(
    current: &Function,
    architecture: Architecture,
    uri: Option<&str>,
    planned_uri: Planned<Value>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    if !runs(current, uri) {
        let from = current.resolved_image_uri.clone().or_else(|| current.image_uri.clone());
        changes.push(Change { path: "image".to_owned(), from: from.into(), to: planned_uri });
    }
    if current.architecture != Some(architecture) {
        let from = current.architecture.map(Architecture::as_str);
        changes.push(Change::new("architecture", from, architecture.as_str()));
    }
    changes
}

/// Tells whether the function runs exactly this image from exactly this repository. Functions
/// are deployed by digest, so the URI as it was given says it as well as the resolved one.
fn runs(current: &Function, uri: Option<&str>) -> bool {
    let Some(uri) = uri else { return false };
    [&current.resolved_image_uri, &current.image_uri].into_iter().flatten().any(|present| present == uri)
}

/// Tags that differ. Where the present ones cannot be listed, all are set.
fn tags(wanted: &BTreeMap<String, String>, current: &Function) -> (BTreeMap<String, String>, Vec<Change>) {
    let present = |key: &str| current.tags.as_ref().and_then(|tags| tags.get(key));
    let differing: BTreeMap<_, _> = wanted
        .iter()
        .filter(|(key, value)| present(key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let changes = differing
        .iter()
        .map(|(key, value)| {
            let from = match &current.tags {
                Some(_) => present(key).cloned().map(Value::from).unwrap_or_default(),
                None => MASK.into(),
            };
            Change::new(format!("tags.{key}"), from, value.clone())
        })
        .collect();
    (differing, changes)
}
