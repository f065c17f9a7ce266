//! The result of a check: every finding, and what they come to.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::digest::Digest;
use crate::domain::finding::{CheckReport, Severity};
use crate::domain::rule::Rule;
use crate::domain::size::{ByteSize, after, count};
use crate::output::findings;
use crate::output::json::milliseconds;
use crate::output::style::Style;

/// What `check` shows.
#[derive(Clone, Debug)]
pub struct CheckView {
    /// What was found.
    pub report: CheckReport,
    /// The digest of the image; `None` where there is none for Lambda.
    pub digest: Option<Digest>,
    /// The file the image is made from, or the name of the image.
    pub artifact: String,
    /// What came of starting it, where it was to be started.
    pub start: StartView,
}

/// What `check --run` shows of the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartView {
    /// Nobody wanted it.
    Unwanted,
    /// It was wanted, but the rules were broken.
    Omitted,
    /// It was started.
    Tried {
        /// Whether it asked for an event.
        is_ready: bool,
        /// How long that took, or how long it was tried.
        elapsed: Duration,
        /// What it ran in: `sandbox`, `container`.
        runner: &'static str,
    },
}

impl CheckView {
    fn number(&self, severity: Severity) -> usize {
        self.report.count(severity)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "reason": "check",
            "image_digest": self.digest,
            "passed": self.number(Severity::Error) == 0,
            "errors": self.number(Severity::Error),
            "warnings": self.number(Severity::Warning),
            "notes": self.number(Severity::Note),
            "allowed": self.report.allowed,
            "layers": self.report.layers,
            "size": self.report.size,
            "start": self.start.to_json(),
        })
    }

    pub(super) fn to_text(&self, style: &Style) -> String {
        let blocks = self.report.findings.iter().map(|finding| findings::block(finding, style));
        blocks.collect::<Vec<_>>().join("\n")
    }

    pub(super) fn epilogue(&self, style: &Style) -> String {
        let report = &self.report;
        let read = match self.digest {
            Some(_) => {
                format!(" in {}, {} uncompressed", count(report.layers, "layer"), ByteSize(report.size))
            }
            None => String::new(),
        };
        let allowed = match report.allowed.len() {
            0 => String::new(),
            _ => format!("; allowed: {}", ids(report.allowed.iter())),
        };
        let mark = if self.number(Severity::Error) == 0 { style.good("✓") } else { style.bad("✗") };
        let mut text = format!("{mark} {}{read}{allowed}\n", report.summary());
        match self.start {
            StartView::Unwanted => {}
            StartView::Omitted => text += "  the image was not started: mend the errors first\n",
            StartView::Tried { is_ready, elapsed, runner } => {
                let elapsed = after(elapsed);
                text += &if is_ready {
                    format!(
                        "{} the image started in a {runner} and asked for its first event {elapsed}\n",
                        style.good("✓")
                    )
                } else {
                    format!("{} started in a {runner}, the image did not ask for an event\n", style.bad("✗"))
                };
            }
        }
        if let Some(rule) = report.errors().map(|finding| finding.rule).find(|rule| rule.can_be_allowed()) {
            text += &format!("  `--allow {rule}` turns a rule off\n");
        }
        text
    }
}

impl StartView {
    /// `null` where it was not started.
    fn to_json(self) -> Value {
        match self {
            Self::Unwanted | Self::Omitted => Value::Null,
            Self::Tried { is_ready, elapsed, runner } => json!({
                "succeeded": is_ready,
                "elapsed_ms": milliseconds(elapsed),
                "runner": runner,
            }),
        }
    }
}

fn ids<'a>(rules: impl Iterator<Item = &'a Rule>) -> String {
    rules.map(|rule| format!("`{rule}`")).collect::<Vec<_>>().join(", ")
}

/// All rules, as a table.
pub(super) fn rules(style: &Style) -> String {
    let width = Rule::all().map(|rule| rule.id().len()).max().unwrap_or_default();
    let line = |rule: Rule| {
        let word = format!("{:7}", rule.severity().as_str());
        let word = match rule.severity() {
            Severity::Error => style.bad(&word),
            Severity::Warning => style.warn(&word),
            Severity::Note => style.dim(&word),
        };
        format!("{} {word}  {}\n", style.strong(&format!("{:width$}", rule.id())), rule.title())
    };
    Rule::all().map(line).collect()
}

/// The object of all rules.
pub(super) fn rules_to_json() -> Value {
    let one = |rule: Rule| {
        json!({
            "id": rule, "severity": rule.severity(), "title": rule.title(), "why": rule.why(),
            "fix": rule.fix(), "link": rule.link(),
        })
    };
    json!({ "reason": "rules", "rules": Rule::all().map(one).collect::<Vec<_>>() })
}
