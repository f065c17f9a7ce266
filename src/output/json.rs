//! One JSON object a line on standard output, each with its `reason` in kebab-case.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::findings;
use super::layers;
use super::plan;
use super::transfer::Transfer;
use super::words::clean;
use crate::domain::digest::Digest;
use crate::domain::function::FunctionStatus;
use crate::domain::plan::Step;
use crate::event::Event;

/// Progress of one thing is told at most this often.
const PACE: Duration = Duration::from_secs(1);

/// Renders events as JSON lines.
#[derive(Debug)]
pub struct Json {
    verbosity: u8,
    blobs: BTreeMap<Digest, Duration>,
    image: Option<Duration>,
    /// By function; the empty name stands for the only one.
    transfers: BTreeMap<String, Told>,
}

/// A transfer, and what was told of it.
#[derive(Debug, Default)]
struct Told {
    transfer: Transfer,
    last: Option<Duration>,
    /// Whether that all is sent was told.
    whole: bool,
}

/// Whether progress is told again that was last told then, if ever.
fn is_due(last: Option<Duration>, now: Duration) -> bool {
    last.is_none_or(|last| now.saturating_sub(last) >= PACE)
}

/// One object as a line.
pub fn line(value: &Value) -> String {
    format!("{value}\n")
}

/// A time span as milliseconds.
pub(super) fn milliseconds(span: Duration) -> Value {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).into()
}

/// The members of a status, as every object that has one shows them.
pub(super) fn status_members(status: &FunctionStatus) -> Vec<(&'static str, Value)> {
    vec![
        ("state", status.state.as_ref().map(|state| state.as_str()).into()),
        ("state_reason_code", status.state_reason_code.clone().into()),
        ("state_reason", status.state_reason.clone().into()),
        ("last_update_status", status.last_update_status.as_ref().map(|update| update.as_str()).into()),
        ("last_update_status_reason_code", status.last_update_status_reason_code.clone().into()),
        ("last_update_status_reason", status.last_update_status_reason.clone().into()),
    ]
}

/// Adds members to an object.
pub(super) fn extended(mut object: Value, members: Vec<(&'static str, Value)>) -> Value {
    if let Value::Object(map) = &mut object {
        map.extend(members.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    object
}

impl Json {
    /// Makes a renderer.
    pub fn new(verbosity: u8) -> Self {
        Self { verbosity, blobs: BTreeMap::new(), image: None, transfers: BTreeMap::new() }
    }

    /// The line for an event, or nothing where it says too little too often.
    pub fn text(&mut self, event: &Event, now: Duration) -> String {
        self.text_of(None, event, now)
    }

    /// The line for an event of one function among many.
    pub(super) fn text_of(&mut self, function: Option<&str>, event: &Event, now: Duration) -> String {
        let values = [self.value(event, now), self.transfer(function.unwrap_or_default(), event, now)];
        let members: Vec<_> =
            function.map(|function| ("function_name", function.into())).into_iter().collect();
        values.into_iter().flatten().map(|value| line(&extended(value, members.clone()))).collect()
    }

    /// How far the transfer of a function's layers is, once a second at most, and when all is sent.
    fn transfer(&mut self, function: &str, event: &Event, now: Duration) -> Option<Value> {
        if let Event::StepFinished { step: Step::Image, .. } = event {
            self.transfers.remove(function);
            return None;
        }
        let told = self.transfers.entry(function.to_owned()).or_default();
        let transfer = &mut told.transfer;
        transfer.apply(event, now);
        let is_due = is_due(told.last, now);
        let moves = matches!(event, Event::BlobProgress { .. } | Event::BlobFinished { reused: false, .. });
        // What was sent before the transfer was planned may have been all there was to send.
        let may_end = matches!(event, Event::TransferStarted { .. } | Event::BlobFinished { .. });
        let ends = may_end && !told.whole && transfer.is_whole();
        if !(moves && is_due || ends) {
            return None;
        }
        told.last = Some(now);
        told.whole |= ends;
        let (sent, layers) = transfer.layers();
        Some(json!({
            "reason": "transfer-progress", "sent": transfer.sent(), "total": transfer.total(),
            "bytes_per_second": transfer.rate(now),
            "remaining_ms": transfer.remaining(now).map(milliseconds),
            "layers_sent": sent, "layers": layers,
        }))
    }

    fn value(&mut self, event: &Event, now: Duration) -> Option<Value> {
        Some(match event {
            Event::Steps(steps) => json!({ "reason": "steps", "steps": steps }),
            Event::StepStarted { step, subject } => {
                json!({ "reason": "step-started", "step": step, "subject": subject })
            }
            Event::StepFinished { step, outcome, elapsed } => json!({
                "reason": "step-finished", "step": step, "outcome": outcome,
                "elapsed_ms": milliseconds(*elapsed),
            }),
            Event::Planned(steps) => json!({ "reason": "planned", "steps": plan::to_json(steps) }),
            Event::BuildOutput(line) => json!({ "reason": "build-output", "line": clean(line) }),
            Event::FunctionOutput(line) => json!({ "reason": "function-output", "line": clean(line) }),
            Event::TransferPlanned(plan) => {
                json!({ "reason": "transfer-planned", "layers": layers::to_json(&plan.layers) })
            }
            Event::TransferStarted { layers, bytes } => {
                json!({ "reason": "transfer-started", "layers": layers, "bytes": bytes })
            }
            Event::BlobStarted { digest, size, .. } => {
                self.blobs.insert(*digest, now);
                json!({ "reason": "blob-started", "digest": digest, "size": size })
            }
            Event::BlobProgress { digest, sent } => {
                if !is_due(self.blobs.get(digest).copied(), now) {
                    return None;
                }
                self.blobs.insert(*digest, now);
                json!({ "reason": "blob-progress", "digest": digest, "sent": sent })
            }
            Event::BlobFinished { digest, size, reused } => {
                self.blobs.remove(digest);
                json!({ "reason": "blob-finished", "digest": digest, "size": size, "reused": reused })
            }
            Event::ImageProgress { activity, bytes, total } => {
                if !is_due(self.image, now) {
                    return None;
                }
                self.image = Some(now);
                json!({ "reason": "image-progress", "activity": activity, "bytes": bytes, "total": total })
            }
            Event::Retrying { what, attempt, after, because } => json!({
                "reason": "retrying", "what": what, "attempt": attempt,
                "after_ms": milliseconds(*after), "because": because,
            }),
            Event::FunctionStatus { function, status, elapsed } => {
                let mut members = status_members(status);
                members.push(("elapsed_ms", milliseconds(*elapsed)));
                extended(json!({ "reason": "function-status", "function": function }), members)
            }
            Event::Warning { message, hint } => {
                json!({ "reason": "warning", "message": message, "hint": hint })
            }
            Event::Finding(finding) => findings::to_json(finding),
            Event::Detail(_) if self.verbosity == 0 => return None,
            Event::Detail(text) => json!({ "reason": "detail", "message": text }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_progress_of_a_transfer_is_that_all_is_sent() {
        let digest = |name: &str| Digest::of(name.as_bytes());
        let started = |name, size| Event::BlobStarted { digest: digest(name), size, sent: 0 };
        let finished = |name, size| Event::BlobFinished { digest: digest(name), size, reused: false };
        let planned = |layers, bytes| Event::TransferStarted { layers, bytes: Some(bytes) };
        // A layer may be sent before it is known what else there is.
        for events in [
            vec![started("a", 50), finished("a", 50), planned(1, 50)],
            vec![started("a", 50), finished("a", 50), planned(2, 57), started("b", 7), finished("b", 7)],
            vec![planned(2, 57), started("a", 50), started("b", 7), finished("b", 7), finished("a", 50)],
        ] {
            let mut json = Json::new(0);
            let lines: String = events.iter().map(|event| json.text(event, Duration::ZERO)).collect();
            let values = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let told: Vec<_> = values.filter(|value| value["reason"] == "transfer-progress").collect();
            let last = told.last().unwrap();
            assert!(
                told.len() == 2 && last["sent"] == last["total"] && last["layers_sent"] == last["layers"],
                "{told:#?}"
            );
        }
    }
}
