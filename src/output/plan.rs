//! A plan as people and programs read it. Values of environment variables are masked here once
//! more, whoever made the plan.

use serde_json::{Value, json};

use super::layers;
use super::style::Style;
use super::words::clean;
use crate::domain::plan::{Action, Change, Planned, PlannedStep, Step};
use crate::domain::secret::MASK;
use crate::domain::size::count;

fn mark(action: Action) -> &'static str {
    match action {
        Action::Create | Action::Push => "+",
        Action::Update => "~",
        Action::Replace => "±",
        Action::Unchanged => "=",
    }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Push => "push",
        Action::Replace => "replace",
        Action::Unchanged => "unchanged",
    }
}

fn is_secret(change: &Change) -> bool {
    change.path.split('.').any(|part| part == "environment")
}

fn masked(change: &Change, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        _ if is_secret(change) => MASK.into(),
        other => other.clone(),
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "(none)".to_owned(),
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => clean(text),
        other => clean(&other.to_string()),
    }
}

/// One change: `memory_size 128 → 512`.
fn change(change: &Change) -> String {
    let to = match &change.to {
        Planned::Known(value) => words(&masked(change, value)),
        Planned::KnownAfter(step) => format!("(known after {step})"),
    };
    format!("{} {} → {to}", clean(&change.path), words(&masked(change, &change.from)))
}

/// Tells whether anything would be done.
pub fn is_pending(steps: &[PlannedStep]) -> bool {
    steps.iter().any(|step| step.action != Action::Unchanged)
}

/// One line a step, with its changes.
pub(super) fn lines(steps: &[PlannedStep]) -> impl Iterator<Item = String> {
    steps.iter().map(|step| {
        let changes: Vec<_> = step.changes.iter().map(change).collect();
        let changes = if changes.is_empty() { String::new() } else { format!(": {}", changes.join(", ")) };
        format!("{} {}: {}{changes}", step.step, step.subject, word(step.action))
    })
}

/// A block with a line a step and, below it, a line a change; and a line a layer that is moved,
/// where those are to be shown.
pub(super) fn block(steps: &[PlannedStep], style: Style, with_layers: bool) -> String {
    let name_width = steps.iter().map(|step| step.step.as_str().len()).max().unwrap_or_default();
    let mut text = String::new();
    for step in steps {
        let head = format!(
            "{} {:name_width$}  {:9}  {}",
            mark(step.action),
            step.step.as_str(),
            word(step.action),
            clean(&step.subject)
        );
        let head = match step.action {
            Action::Create | Action::Push => style.good(&head),
            Action::Update => style.warn(&head),
            Action::Replace => style.bad(&head),
            Action::Unchanged => style.dim(&head),
        };
        text += &format!("{head}\n");
        for item in &step.changes {
            text += &format!("    {}\n", change(item));
        }
        if with_layers && step.action != Action::Unchanged && !step.layers.is_empty() {
            for line in layers::lines(&step.layers) {
                text += &format!("    {line}\n");
            }
        }
    }
    text
}

/// How much is pending, in one sentence.
pub(super) fn summary(steps: &[PlannedStep]) -> String {
    match steps.iter().filter(|step| step.action != Action::Unchanged).count() {
        0 => "nothing to do: everything is as it should be".to_owned(),
        pending => format!("{} to take", count(pending, "step")),
    }
}

/// The steps as the contract's JSON has them.
pub(super) fn to_json(steps: &[PlannedStep]) -> Value {
    let change = |change: &Change| {
        let to = match &change.to {
            Planned::Known(value) => Planned::Known(masked(change, value)),
            Planned::KnownAfter(step) => Planned::KnownAfter(*step),
        };
        json!({ "path": change.path, "from": masked(change, &change.from), "to": to })
    };
    steps
        .iter()
        .map(|step| {
            let mut object = json!({
                "step": step.step, "subject": step.subject, "action": step.action,
                "changes": step.changes.iter().map(change).collect::<Vec<_>>(),
            });
            if step.step == Step::Image {
                object["layers"] = layers::to_json(&step.layers);
            }
            object
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_variables_never_show_even_if_nobody_masked_them() {
        let steps = [PlannedStep {
            step: Step::Configuration,
            subject: "hello".to_owned(),
            action: Action::Update,
            changes: vec![
                Change::new("environment.TOKEN", "hunter1", "hunter2"),
                Change::new("environment.NEW", Value::Null, "hunter3"),
            ],
            layers: Vec::new(),
        }];
        let all = format!(
            "{}{}{}",
            block(&steps, Style::new(false), true),
            lines(&steps).collect::<String>(),
            to_json(&steps)
        );
        assert!(!all.contains("hunter"), "{all}");
        assert!(all.contains("environment.NEW (none) → ***"), "{all}");
    }

    #[test]
    fn unchanged_steps_are_shown_but_not_pending() {
        let step = |action| PlannedStep {
            step: Step::Repository,
            subject: "hello".to_owned(),
            action,
            changes: Vec::new(),
            layers: Vec::new(),
        };
        assert!(!is_pending(&[step(Action::Unchanged)]));
        assert!(is_pending(&[step(Action::Unchanged), step(Action::Push)]));
        assert_eq!(
            block(&[step(Action::Unchanged)], Style::new(false), true),
            "= repository  unchanged  hello\n"
        );
    }
}
