//! Findings of a check as lines for people and as objects for programs.

use serde_json::{Value, json};

use super::style::Style;
use super::words::clean;
use crate::domain::finding::{Finding, Place, Severity};

/// How many places of one finding people are shown.
const SHOWN: usize = 5;

/// The object of a finding.
pub(super) fn to_json(finding: &Finding) -> Value {
    let place = |place: &Place| {
        json!({
            "layer": place.layer.as_ref().map(|layer| layer.number),
            "diff_id": place.layer.as_ref().map(|layer| layer.diff_id),
            "path": place.path,
            "field": place.field,
        })
    };
    let mut object = json!({
        "reason": "finding",
        "id": finding.rule,
        "severity": finding.severity,
        "message": finding.message,
        "places": finding.places.iter().map(place).collect::<Vec<_>>(),
        "count": finding.count,
        "why": finding.why(),
        "fix": finding.fix,
    });
    if !finding.output.is_empty() {
        object["output"] = finding.output.iter().map(|line| clean(line)).collect();
    }
    object
}

fn head(finding: &Finding, style: &Style) -> String {
    let word = format!("{}[{}]:", finding.severity, finding.rule);
    let word = match finding.severity {
        Severity::Error => style.bad(&word),
        Severity::Warning => style.warn(&word),
        Severity::Note => style.hint(&word),
    };
    format!("{word} {}", clean(&finding.message))
}

/// A finding in full: what, where, why, and what mends it.
pub(super) fn block(finding: &Finding, style: &Style) -> String {
    let mut text = format!("{}\n", head(finding, style));
    let places = finding.places.iter().map(|place| clean(&place.to_string()));
    let places: Vec<String> = places.filter(|place| !place.is_empty()).take(SHOWN).collect();
    for place in &places {
        text += &format!("  {} {place}\n", style.dim("at "));
    }
    if finding.count > places.len() && !places.is_empty() {
        text += &format!("      and {} more\n", finding.count - places.len());
    }
    for (index, line) in finding.output.iter().enumerate() {
        let label = if index == 0 { style.dim("out") } else { "   ".to_owned() };
        text += format!("  {label} {}", clean(line)).trim_end();
        text.push('\n');
    }
    text += &format!("  {} {}\n", style.dim("why"), clean(finding.why()));
    text += &format!("  {} {}\n", style.hint("fix"), clean(&finding.fix));
    text
}

/// A finding in the story of a deployment. Errors are left to the error that ends the command,
/// and notes to those who asked for details.
pub(super) fn lines(finding: &Finding, verbosity: u8, style: &Style) -> Vec<String> {
    let is_shown = match finding.severity {
        Severity::Error => false,
        Severity::Warning => true,
        Severity::Note => verbosity > 0,
    };
    if !is_shown {
        return Vec::new();
    }
    vec![head(finding, style), format!("  {} {}", style.hint("hint:"), clean(&finding.fix))]
}
