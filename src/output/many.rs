//! Many functions at the same time: a line for each that is under way, and a table at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::human::{Human, frame};
use super::live::FREE;
use super::plain::{self, Plain};
use super::progress::Progress;
use super::report::ErrorReport;
use super::words::fit;
use crate::domain::plan::Step;
use crate::event::Event;

/// How one function of many ended.
#[derive(Clone, Debug)]
pub enum End {
    /// Well; in a few words.
    Done(String),
    /// Badly.
    Failed(Box<ErrorReport>),
}

/// The state of all of them.
#[derive(Debug, Default)]
pub(super) struct Many {
    total: usize,
    done: usize,
    failed: usize,
    under_way: BTreeMap<String, Progress>,
}

impl Many {
    pub(super) fn of(total: usize) -> Self {
        Self { total, ..Self::default() }
    }

    /// Tells whether any of them has not ended.
    pub(super) fn is_under_way(&self) -> bool {
        self.done + self.failed < self.total
    }

    pub(super) fn apply(&mut self, function: &str, event: &Event, now: Duration) {
        self.under_way.entry(function.to_owned()).or_default().apply(event, now);
    }

    pub(super) fn finish(&mut self, function: &str, end: &End) {
        self.under_way.remove(function);
        match end {
            End::Done(_) => self.done += 1,
            End::Failed(_) => self.failed += 1,
        }
    }

    /// What a function that failed was at, and what its builder printed unless that was shown.
    pub(super) fn failure(&self, function: &str, now: Duration, build_was_shown: bool) -> String {
        let Some(progress) = self.under_way.get(function) else { return String::new() };
        let output = if build_was_shown { String::new() } else { progress.build_output() };
        prefixed(function, &format!("{output}{}", plain::unfinished(progress, now)))
    }

    /// A line for each function under way, as many as fit, and how many are done.
    pub(super) fn live(&self, human: &Human, now: Duration, width: usize, height: usize) -> Vec<String> {
        let width = width.saturating_sub(FREE);
        let names = self.under_way.keys().map(String::len).max().unwrap_or_default().min(width / 3);
        let mut lines: Vec<String> = self
            .under_way
            .iter()
            .filter_map(|(name, progress)| {
                // Of what goes on at the same time, the step that began last says most.
                let running = progress.running.last()?;
                let line = human.running(running, progress, frame(now), now);
                Some(fit(&format!("{:names$}  {line}", fit(name, names)), width))
            })
            .collect();
        let hidden = (lines.len() + 1).saturating_sub(height);
        lines.truncate(lines.len() - hidden);
        lines.push(fit(&self.count(hidden), width));
        lines
    }

    fn count(&self, hidden: usize) -> String {
        let mut text = format!("{} of {} done", self.done, self.total);
        if self.failed > 0 {
            text += &format!(", {} failed", self.failed);
        }
        if hidden > 0 {
            text += &format!(", {hidden} more under way");
        }
        text
    }

    /// A sign of life, if it has been quiet for long.
    pub(super) fn heartbeat(&self, plain: &mut Plain, now: Duration) -> String {
        if !plain.is_due(now) {
            return String::new();
        }
        let sign = |(name, progress): (&String, &Progress)| {
            let running = progress.running.last()?;
            Some(prefixed(name, &plain::sign_of_life(running, progress, now)))
        };
        let under_way: String = self.under_way.iter().filter_map(sign).collect();
        format!("{under_way}{}\n", self.count(0))
    }

    /// In words, for those who interrupt.
    pub(super) fn summary(&self) -> String {
        let at = |(name, progress): (&String, &Progress)| {
            progress.running.last().map(|running| format!("{name} ({})", running.step))
        };
        let under_way: Vec<_> = self.under_way.iter().filter_map(at).collect();
        if under_way.is_empty() { String::new() } else { format!("under way: {}", under_way.join(", ")) }
    }

    /// A function whose status was being watched.
    pub(super) fn watched(&self, step: Step) -> Option<&str> {
        let is_at = |progress: &Progress| progress.running.iter().any(|running| running.step == step);
        self.under_way.iter().find(|(_, progress)| is_at(progress)).map(|(name, _)| name.as_str())
    }
}

/// Every line with the name of the function before it.
pub(super) fn prefixed(function: &str, text: &str) -> String {
    text.lines().map(|line| format!("{function}: {line}\n")).collect()
}

/// What stays on the screen of people: among many functions only what somebody has to know. That
/// something is tried again is seen in the function's live line, by the time it takes.
pub(super) fn human_lines(human: &Human, function: &str, event: &Event, width: usize) -> String {
    let is_shown = human.keeps_build_output() || matches!(event, Event::Warning { .. });
    if is_shown { prefixed(function, &human.text(event, width)) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::Style;

    #[test]
    fn among_many_functions_only_warnings_stay_unless_details_are_asked_for() {
        let retrying = Event::Retrying {
            what: "create function `a`".to_owned(),
            attempt: 1,
            after: Duration::from_secs(1),
            because: "not yet".to_owned(),
        };
        let warning = Event::Warning { message: "look".to_owned(), hint: None };
        let lines = |verbosity, event| human_lines(&Human::new(Style::new(false), verbosity), "a", event, 80);
        assert_eq!(lines(0, &retrying), "");
        assert!(lines(1, &retrying).starts_with("a: ! create function"));
        assert_eq!(lines(0, &warning), "a: warning: look\n");
    }
}
