//! What `doctor` found: a line a thing, and how many of each.

use serde_json::{Value, json};

use crate::domain::diagnosis::{Diagnosis, Finding, Tally};
use crate::domain::size::count;
use crate::output::style::Style;
use crate::output::words::clean;

/// Columns of the longest finding and of the longest name of a check.
const FINDINGS: usize = 7;
const CHECKS: usize = 18;

pub(super) fn to_json(diagnosis: &Diagnosis) -> Value {
    json!({
        "reason": "diagnosis",
        "check": diagnosis.check,
        "finding": diagnosis.finding.as_str(),
        "message": diagnosis.message,
        "hint": diagnosis.hint,
    })
}

pub(super) fn to_text(diagnosis: &Diagnosis, style: &Style) -> String {
    let word = format!("{:FINDINGS$}", diagnosis.finding.as_str());
    let word = match diagnosis.finding {
        Finding::Good => style.good(&word),
        Finding::Warning => style.warn(&word),
        Finding::Error => style.bad(&word),
        Finding::Skipped => style.dim(&word),
    };
    let mut text = format!("{word}  {:CHECKS$}  {}\n", diagnosis.check, clean(&diagnosis.message));
    let mut label = style.hint("hint:");
    for line in diagnosis.hint.iter().flat_map(|hint| hint.lines()) {
        text += &format!("{:1$}{label} {2}\n", "", FINDINGS + CHECKS + 4, clean(line));
        // Further lines of a hint (a statement to hand on) stand below its first.
        label = "     ".to_owned();
    }
    text
}

pub(super) fn tally_to_json(tally: &Tally) -> Value {
    json!({
        "reason": "doctor", "ok": tally.good, "warnings": tally.warnings, "errors": tally.errors,
        "skipped": tally.skipped,
    })
}

pub(super) fn epilogue(tally: &Tally, style: &Style) -> String {
    let warnings = match tally.warnings {
        0 => String::new(),
        warnings => format!(", {}", count(warnings, "warning")),
    };
    match tally.errors {
        0 => format!("{} nothing stands in the way of a deployment{warnings}\n", style.good("✓")),
        errors => {
            format!("{} {}{warnings}: a deployment would fail\n", style.bad("✗"), count(errors, "error"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_of_several_lines_stays_below_its_diagnosis() {
        let diagnosis = Diagnosis::error("role", "no\u{7} trust", Some("set it to\n{}".to_owned()));
        assert_eq!(
            to_text(&diagnosis, &Style::new(false)),
            "error    role                no trust\n                             hint: set it to\n                                   {}\n"
        );
    }

    #[test]
    fn errors_and_warnings_are_counted_apart() {
        let mut tally = Tally::default();
        for finding in [Finding::Good, Finding::Warning, Finding::Error, Finding::Skipped, Finding::Error] {
            tally.add(finding);
        }
        assert_eq!(epilogue(&tally, &Style::new(false)), "✗ 2 errors, 1 warning: a deployment would fail\n");
        assert_eq!(tally_to_json(&tally)["skipped"], 1);
        let well = Tally { good: 3, ..Tally::default() };
        assert_eq!(epilogue(&well, &Style::new(false)), "✓ nothing stands in the way of a deployment\n");
    }
}
