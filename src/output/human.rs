//! For people at a terminal: a line that stays for everything that is done, and live lines for
//! what is under way.

use std::time::Duration;

use super::findings;
use super::layers;
use super::live::FREE;
use super::plan;
use super::progress::{Progress, RunningStep};
use super::style::Style;
use super::transfer::{Transfer, UnderWay};
use super::words::{broken, clean, duration, fit, portion};
use crate::domain::plan::Step;
use crate::domain::size::{ByteSize, count};
use crate::event::Event;

/// Live lines appear for what takes longer than this.
const PATIENCE: Duration = Duration::from_millis(500);

/// How many of the builder's last lines are shown.
const WINDOW: usize = 6;

/// Columns of the longest step name.
const NAMES: usize = 17;

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// What turns while work goes on.
pub(super) fn frame(now: Duration) -> &'static str {
    SPINNER[(now.as_millis() / 100) as usize % SPINNER.len()]
}

/// Renders for people; pure, so that tests can look at every line.
#[derive(Debug)]
pub struct Human {
    style: Style,
    verbosity: u8,
}

impl Human {
    /// Makes a renderer.
    pub fn new(style: Style, verbosity: u8) -> Self {
        Self { style, verbosity }
    }

    /// The lines that stay.
    pub fn text(&self, event: &Event, width: usize) -> String {
        let style = self.style;
        match event {
            Event::Steps(steps) => self.steps(steps, width),
            Event::StepFinished { step, outcome, elapsed } => {
                let elapsed = style.dim(&duration(*elapsed));
                let mark = style.good("✓");
                let line = format!("{mark} {:NAMES$}  {}  {elapsed}", step.as_str(), clean(outcome));
                format!("{}\n", broken(&line, width, NAMES + 4))
            }
            // A whole policy statement may be among the changes; `plan` shows it in full.
            Event::Planned(steps) => plan::block(steps, style, false)
                .lines()
                .map(|line| format!("{}\n", fit(line, width)))
                .collect(),
            Event::BuildOutput(line) if self.verbosity > 0 => {
                format!("{}\n", style.dim(&format!("  │ {}", clean(line))))
            }
            Event::FunctionOutput(line) => format!("{}\n", style.dim(&format!("  │ {}", clean(line)))),
            Event::FunctionStatus { function, status, elapsed } => {
                let status = super::words::status(status);
                let elapsed = style.dim(&format!("after {}", duration(*elapsed)));
                let line = format!("  {}: {status}  {elapsed}", clean(function));
                format!("{}\n", broken(&line, width, 4))
            }
            Event::Retrying { what, attempt, after, because } => {
                let mark = style.warn("!");
                let (what, because, after) =
                    (clean(what), clean(because.trim_end_matches('.')), duration(*after));
                let line = format!("{mark} {what}: attempt {attempt} failed: {because}; again in {after}");
                format!("{}\n", broken(&line, width, 2))
            }
            Event::Warning { message, hint } => {
                let warning = format!("{} {}\n", style.warn("warning:"), clean(message));
                match hint {
                    Some(hint) => format!("{warning}  {} {}\n", style.hint("hint:"), clean(hint)),
                    None => warning,
                }
            }
            Event::Finding(finding) => {
                let lines = findings::lines(finding, self.verbosity, &style);
                lines.iter().map(|line| format!("{line}\n")).collect()
            }
            Event::Detail(text) if self.verbosity > 0 => format!("{}\n", style.dim(&clean(text))),
            Event::TransferPlanned(plan) if self.verbosity > 0 => {
                let lines = layers::lines(&plan.layers).into_iter();
                lines.map(|line| format!("{}\n", style.dim(&format!("  {line}")))).collect()
            }
            Event::BlobFinished { digest, size, reused } if self.verbosity > 0 => {
                let what = if *reused { "already there" } else { "sent" };
                format!("{}\n", style.dim(&format!("  {} {what}, {}", digest.short(), ByteSize(*size))))
            }
            // What is under way is shown live.
            Event::StepStarted { .. }
            | Event::BuildOutput(_)
            | Event::TransferPlanned(_)
            | Event::TransferStarted { .. }
            | Event::BlobStarted { .. }
            | Event::BlobProgress { .. }
            | Event::BlobFinished { .. }
            | Event::ImageProgress { .. }
            | Event::Detail(_) => String::new(),
        }
    }

    /// The announcement of the steps, broken between steps.
    fn steps(&self, steps: &[Step], width: usize) -> String {
        let mut lines = vec!["Steps: ".to_owned()];
        for (index, step) in steps.iter().enumerate() {
            let arrow = if index + 1 < steps.len() { " → " } else { "" };
            let next = format!("{step}{arrow}");
            match lines.last_mut() {
                Some(line) if console::measure_text_width(&format!("{line}{next}")) <= width => {
                    line.push_str(&next);
                }
                _ => lines.push(format!("       {next}")),
            }
        }
        lines.iter().map(|line| format!("{}\n", self.style.dim(line.trim_end()))).collect()
    }

    /// The lines that change, at `now`, none wider than `width`.
    pub fn live(&self, progress: &Progress, now: Duration, width: usize) -> Vec<String> {
        let width = width.saturating_sub(FREE);
        let frame = frame(now);
        let mut lines = Vec::new();
        for running in &progress.running {
            if now.saturating_sub(running.since) < PATIENCE {
                continue;
            }
            lines.push(fit(&self.running(running, progress, frame, now), width));
            if let (Step::Image, Some(transfer)) = (running.step, &progress.transfer) {
                lines.extend(self.blobs(transfer).iter().map(|line| fit(line, width)));
            }
            if running.step == Step::Build && self.verbosity == 0 {
                let skipped = progress.output.len().saturating_sub(WINDOW);
                lines.extend(
                    progress
                        .output
                        .iter()
                        .skip(skipped)
                        .map(|line| self.style.dim(&fit(&format!("  │ {}", clean(line)), width))),
                );
            }
        }
        lines
    }

    pub(super) fn running(
        &self,
        running: &RunningStep,
        progress: &Progress,
        frame: &str,
        now: Duration,
    ) -> String {
        let elapsed = duration(now.saturating_sub(running.since));
        let subject = match (&progress.transfer, running.step) {
            (Some(transfer), Step::Image) => self.transfer(transfer, now),
            (_, step) => match progress.busy_with(step, now) {
                Some(busy) => format!("{}  {busy}", clean(&running.subject)),
                None => clean(&running.subject),
            },
        };
        let (frame, elapsed) = (self.style.hint(frame), self.style.dim(&elapsed));
        // The time stands before what may be cut off.
        format!("{frame} {:NAMES$}  {elapsed}  {subject}", running.step.as_str())
    }

    fn transfer(&self, transfer: &Transfer, now: Duration) -> String {
        let bar = transfer.total().filter(|total| *total > 0);
        let bar = bar.map(|total| self.bar(transfer.sent(), total));
        bar.into_iter().chain(transfer.words(now)).collect::<Vec<_>>().join("  ")
    }

    /// What is being sent, blob by blob, and how many layers have been.
    fn blobs(&self, transfer: &Transfer) -> Vec<String> {
        let mut lines: Vec<String> = transfer.under_way().iter().map(|blob| self.blob(blob)).collect();
        if let (sent, Some(layers)) = transfer.layers()
            && layers > 1
        {
            lines.push(format!("  │ {sent} of {} sent", count(layers, "layer")));
        }
        lines
    }

    /// One blob that is being sent.
    fn blob(&self, blob: &UnderWay) -> String {
        let bar = self.bar(blob.sent, blob.size.max(1));
        format!("  │ {}  {bar}  {}", blob.digest.short(), portion(blob.sent, Some(blob.size)))
    }

    fn bar(&self, part: u64, whole: u64) -> String {
        const CELLS: u64 = 10;
        let full = (part.min(whole) * CELLS / whole) as usize;
        let empty = CELLS as usize - full;
        format!("{}{}", self.style.good(&"━".repeat(full)), self.style.dim(&"╌".repeat(empty)))
    }

    /// What failed: the steps that were under way.
    pub fn failure(&self, progress: &Progress, now: Duration) -> String {
        let style = self.style;
        progress
            .running
            .iter()
            .map(|running| {
                let elapsed = style.dim(&duration(now.saturating_sub(running.since)));
                let (mark, step) = (style.bad("✗"), running.step.as_str());
                format!("{mark} {step:NAMES$}  {}  {elapsed}\n", clean(&running.subject))
            })
            .collect()
    }

    /// Tells whether the builder's lines were shown for good when they came.
    pub(super) fn keeps_build_output(&self) -> bool {
        self.verbosity > 0
    }
}
