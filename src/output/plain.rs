//! One line a transition: for logs, pipes and people who want nothing to move.

use std::time::Duration;

use super::findings;
use super::layers;
use super::plan;
use super::progress::{Progress, RunningStep};
use super::style::Style;
use super::words::{clean, duration};
use crate::domain::plan::Step;
use crate::domain::size::ByteSize;
use crate::domain::size::count;
use crate::event::Event;

/// How often a sign of life is thought about.
pub(super) const PACE: Duration = Duration::from_secs(1);

/// A sign of life is given after this much silence; 15 s are promised.
const SILENCE: Duration = Duration::from_secs(10);

/// Renders plain lines.
#[derive(Debug)]
pub struct Plain {
    verbosity: u8,
    last: Duration,
}

impl Plain {
    /// Makes a renderer.
    pub fn new(verbosity: u8) -> Self {
        Self { verbosity, last: Duration::ZERO }
    }

    /// The lines for an event.
    pub fn text(&mut self, event: &Event, now: Duration) -> String {
        let lines = self.lines(event);
        if !lines.is_empty() {
            self.last = now;
        }
        lines.iter().map(|line| format!("{}\n", clean(line).trim_end())).collect()
    }

    fn lines(&self, event: &Event) -> Vec<String> {
        let one = |line: String| vec![line];
        match event {
            Event::Steps(steps) => {
                let names: Vec<_> = steps.iter().map(|step| step.as_str()).collect();
                one(format!("steps: {}", names.join(", ")))
            }
            Event::StepStarted { step, subject } => one(format!("{step}: {subject}")),
            Event::StepFinished { step, outcome, elapsed } => {
                one(format!("{step}: done in {}: {outcome}", duration(*elapsed)))
            }
            Event::Planned(steps) => plan::lines(steps).map(|line| format!("plan: {line}")).collect(),
            Event::BuildOutput(line) => one(format!("build | {line}")),
            Event::FunctionOutput(line) => one(format!("{} | {line}", Step::Start)),
            Event::TransferPlanned(plan) if self.verbosity > 0 => {
                layers::lines(&plan.layers).iter().map(|line| format!("{}: {line}", Step::Image)).collect()
            }
            Event::TransferStarted { layers, bytes } => {
                let size = bytes.map(|bytes| format!(", {}", ByteSize(bytes))).unwrap_or_default();
                one(format!("{}: {} to send{size}", Step::Image, count(*layers, "layer")))
            }
            Event::BlobFinished { digest, size, reused } => {
                let what = if *reused { "already there" } else { "sent" };
                one(format!("{}: {} {what}, {}", Step::Image, digest.short(), ByteSize(*size)))
            }
            Event::Retrying { what, attempt, after, because } => one(format!(
                "retry: {what}: attempt {attempt} failed: {}; again in {}",
                because.trim_end_matches('.'),
                duration(*after)
            )),
            Event::FunctionStatus { function, status, elapsed } => one(format!(
                "{}: {function}: {} after {}",
                Step::Watch,
                super::words::status(status),
                duration(*elapsed)
            )),
            Event::Warning { message, hint } => {
                let mut lines = one(format!("warning: {message}"));
                lines.extend(hint.as_ref().map(|hint| format!("  hint: {hint}")));
                lines
            }
            Event::Finding(finding) => findings::lines(finding, self.verbosity, &Style::new(false)),
            Event::Detail(text) if self.verbosity > 0 => one(text.clone()),
            Event::Detail(_)
            | Event::TransferPlanned(_)
            | Event::BlobStarted { .. }
            | Event::BlobProgress { .. }
            | Event::ImageProgress { .. } => Vec::new(),
        }
    }

    /// Tells whether it has been quiet for long; then a sign of life is given now.
    pub(super) fn is_due(&mut self, now: Duration) -> bool {
        let due = now.saturating_sub(self.last) >= SILENCE;
        if due {
            self.last = now;
        }
        due
    }

    /// A sign of life for every step under way, if it has been quiet for long.
    pub fn heartbeat(&mut self, progress: &Progress, now: Duration) -> String {
        if progress.running.is_empty() || !self.is_due(now) {
            return String::new();
        }
        progress.running.iter().map(|running| sign_of_life(running, progress, now)).collect()
    }
}

/// Says that a step is still under way.
pub(super) fn sign_of_life(running: &RunningStep, progress: &Progress, now: Duration) -> String {
    let elapsed = duration(now.saturating_sub(running.since));
    let busy = progress.busy_with(running.step, now).map(|busy| format!(": {busy}")).unwrap_or_default();
    format!("{}\n", clean(&format!("{}: still going after {elapsed}{busy}", running.step)))
}

/// What failed: the steps that were under way.
pub(super) fn unfinished(progress: &Progress, now: Duration) -> String {
    let line = |running: &RunningStep| {
        let elapsed = duration(now.saturating_sub(running.since));
        format!("{}: not finished after {elapsed}\n", running.step)
    };
    progress.running.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_step_gives_a_sign_of_life_and_a_short_one_does_not() {
        let at = Duration::from_secs;
        let mut plain = Plain::new(0);
        let mut progress = Progress::default();
        let event = Event::StepStarted { step: Step::Build, subject: "Dockerfile".to_owned() };
        assert_eq!(plain.text(&event, at(1)), "build: Dockerfile\n");
        progress.apply(&event, at(1));
        assert_eq!(plain.heartbeat(&progress, at(5)), "");
        assert_eq!(plain.heartbeat(&progress, at(11)), "build: still going after 10.0s\n");
        assert_eq!(plain.heartbeat(&progress, at(12)), "", "the sign itself breaks the silence");
        let work = Event::ImageProgress { activity: "exporting", bytes: 5_000_000, total: None };
        assert_eq!(plain.text(&work, at(15)), "");
        progress.apply(&work, at(15));
        assert_eq!(plain.heartbeat(&progress, at(21)), "build: still going after 20.0s: exporting 5.0 MB\n");
    }

    #[test]
    fn a_long_transfer_says_how_far_it_is_and_how_long_it_will_take() {
        let at = Duration::from_secs;
        let (mut plain, mut progress) = (Plain::new(0), Progress::default());
        let digest = crate::domain::digest::Digest::of(b"layer");
        let mut lines = Vec::new();
        let mut last = 0;
        let start = [
            Event::StepStarted { step: Step::Image, subject: "hello".to_owned() },
            Event::TransferStarted { layers: 1, bytes: Some(100_000_000) },
            Event::BlobStarted { digest, size: 100_000_000, sent: 0 },
        ];
        let sent = |second| Event::BlobProgress { digest, sent: second * 1_000_000 };
        let events = start.into_iter().map(|event| (0, event)).chain((1..60).map(|it| (it, sent(it))));
        for (second, event) in events {
            let text =
                format!("{}{}", plain.text(&event, at(second)), plain.heartbeat(&progress, at(second)));
            progress.apply(&event, at(second));
            if !text.is_empty() {
                assert!(second - last <= 15, "silent from {last} to {second}");
                last = second;
                lines.push(text);
            }
        }
        assert_eq!(
            lines[3],
            "image: still going after 20.0s: 19.0 MB of 100.0 MB, 833.3 kB/s, 1m 37s left\n"
        );
    }

    #[test]
    fn nothing_under_way_says_nothing() {
        assert_eq!(Plain::new(0).heartbeat(&Progress::default(), Duration::from_secs(600)), "");
    }
}
