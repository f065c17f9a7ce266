//! The results of many deployments.

use std::time::Duration;

use serde_json::Value;

use super::deployment;
use crate::domain::plan::{Deployment, DeploymentAction};
use crate::domain::size::{ByteSize, count};
use crate::output::report::ErrorReport;
use crate::output::style::Style;
use crate::output::words::{clean, duration, status};

/// What one function of many came to.
#[derive(Clone, Debug)]
pub struct OneResult {
    /// The function.
    pub function: String,
    /// Its deployment, or why there is none.
    pub result: Result<Box<Deployment>, Box<ErrorReport>>,
}

impl OneResult {
    pub(in crate::output) fn to_json(&self) -> Value {
        match &self.result {
            Ok(deployment) => deployment::to_json(deployment),
            Err(report) => report.to_json(),
        }
    }

    pub(in crate::output) fn arn(&self) -> Option<&str> {
        self.result.as_ref().ok().map(|deployment| deployment.function_arn.as_str())
    }

    fn cells(&self) -> [String; 5] {
        match &self.result {
            Ok(deployment) => [
                self.function.clone(),
                action(deployment.action).to_owned(),
                status(&deployment.status),
                ByteSize(deployment.image.transfer.bytes_uploaded).to_string(),
                duration(deployment.elapsed),
            ],
            Err(report) => {
                let first = report.message.lines().next().unwrap_or_default();
                [self.function.clone(), "failed".to_owned(), clean(first), String::new(), String::new()]
            }
        }
    }
}

/// What was done to a function, in a word.
pub fn action(action: DeploymentAction) -> &'static str {
    match action {
        DeploymentAction::Created => "created",
        DeploymentAction::Updated => "updated",
        DeploymentAction::Unchanged => "unchanged",
    }
}

/// A line a function, and what all of it came to.
pub(in crate::output) fn table(results: &[OneResult], elapsed: Duration, style: &Style) -> String {
    let head = ["function", "action", "state", "sent", "time"].map(str::to_owned);
    let rows: Vec<[String; 5]> = results.iter().map(OneResult::cells).collect();
    // A long message of a failure stands last in its line, and widens no column.
    let width = |column: usize| {
        let cells = results.iter().zip(&rows).filter(|(it, _)| column < 2 || it.result.is_ok());
        cells
            .map(|(_, row)| console::measure_text_width(&row[column]))
            .chain([head[column].len()])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            3 | 4 => format!("{cell:>width$}"),
            _ => format!("{cell:width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut text = format!("{}\n", style.dim(&line(&head)));
    for (result, row) in results.iter().zip(&rows) {
        let line = line(row);
        let shown = match &result.result {
            Err(_) => style.bad(&line),
            Ok(deployment) if deployment.action == DeploymentAction::Unchanged => style.dim(&line),
            Ok(_) => line,
        };
        text += &format!("{shown}\n");
    }
    let failed = results.iter().filter(|it| it.result.is_err()).count();
    let (all, elapsed) = (count(results.len(), "function"), duration(elapsed));
    text + &match failed {
        0 => format!("{} {all} deployed ({elapsed})\n", style.good("✓")),
        failed => format!("{} {failed} of {all} failed ({elapsed})\n", style.bad("✗")),
    }
}
