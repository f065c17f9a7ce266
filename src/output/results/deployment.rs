//! The result of a deployment.

use serde_json::{Value, json};

use super::NextStep;
use crate::domain::plan::{Deployment, DeploymentAction, PushedImage};
use crate::domain::size::ByteSize;
use crate::domain::size::count;
use crate::output::json::milliseconds;
use crate::output::style::Style;
use crate::output::words::{duration, status};

/// `REPOSITORY@sha256:…`, the only form an image is ever given out in.
pub(super) fn image_uri(image: &PushedImage) -> String {
    format!("{}@{}", image.repository, image.digest)
}

pub(super) fn to_json(deployment: &Deployment) -> Value {
    let Deployment { function_name, function_arn, version, image, action, status, waited: _, elapsed } =
        deployment;
    json!({
        "reason": "deployment",
        "function_name": function_name.as_str(),
        "function_arn": function_arn,
        "version": version,
        "image_uri": image_uri(image),
        "image_digest": image.digest,
        "action": action,
        "state": status.state.as_ref().map(|state| state.as_str()),
        "last_update_status": status.last_update_status.as_ref().map(|update| update.as_str()),
        "bytes_uploaded": image.transfer.bytes_uploaded,
        "layers_uploaded": image.transfer.layers_uploaded,
        "layers_reused": image.transfer.layers_reused,
        "elapsed_ms": milliseconds(*elapsed),
    })
}

/// What was sent, in words.
pub(super) fn transfer(image: &PushedImage) -> String {
    let sent = image.transfer;
    let reused = match sent.layers_reused {
        0 => String::new(),
        reused => format!(", {} already there", count(reused, "layer")),
    };
    if sent.bytes_uploaded == 0 {
        return format!("nothing to send{reused}");
    }
    format!("{} sent in {}{reused}", ByteSize(sent.bytes_uploaded), count(sent.layers_uploaded, "layer"))
}

pub(super) fn epilogue(deployment: &Deployment, next: &[NextStep], style: &Style) -> String {
    let name = &deployment.function_name;
    let elapsed = duration(deployment.elapsed);
    let state = status(&deployment.status);
    let head = match (deployment.action, deployment.waited) {
        (DeploymentAction::Unchanged, _) => {
            format!("{} {name} is up to date: nothing had to be done ({elapsed})", style.good("✓"))
        }
        (DeploymentAction::Created, true) => {
            format!("{} {name} is live: created, {state} ({elapsed})", style.good("✓"))
        }
        (DeploymentAction::Updated, true) => {
            format!("{} {name} is live: updated, {state} ({elapsed})", style.good("✓"))
        }
        (_, false) => {
            format!("{} {name} is on its way, not waited for: {state} ({elapsed})", style.good("✓"))
        }
    };
    let mut text = format!("{head}\n  image  {}\n", image_uri(&deployment.image));
    if deployment.action != DeploymentAction::Unchanged {
        text += &format!("  push   {}\n", transfer(&deployment.image));
    }
    let width = next.iter().map(|step| step.command.len()).max().unwrap_or_default();
    for (index, step) in next.iter().enumerate() {
        let label = if index == 0 { "next" } else { "    " };
        let command = style.strong(&format!("{:width$}", step.command));
        text += &format!("  {label}   {command}  {}\n", style.dim(step.purpose));
    }
    text
}
