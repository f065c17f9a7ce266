//! What has happened so far: the state the renderers draw, and the summary for those who
//! interrupt.

use std::collections::VecDeque;
use std::time::Duration;

use super::transfer::Transfer;
use crate::domain::plan::Step;
use crate::domain::size::ByteSize;
use crate::event::Event;

/// The most bytes of build output that are kept for the case that the build fails.
const KEPT_OUTPUT: usize = 4 * 1024 * 1024;

/// Everything that has been reported, as far as somebody may want to see it again.
#[derive(Debug, Default)]
pub struct Progress {
    /// The steps this command takes, as announced.
    pub steps: Vec<Step>,
    /// The steps under way, oldest first.
    pub running: Vec<RunningStep>,
    /// The steps that are done, in the order they were.
    pub finished: Vec<(Step, String)>,
    /// The transfer under way.
    pub transfer: Option<Transfer>,
    /// The work on an image under way.
    pub image: Option<ImageWork>,
    /// The last status of the function that is watched.
    pub status: Option<String>,
    /// What the builder printed, newest last.
    pub output: VecDeque<String>,
    /// Lines of output that were dropped because there were too many.
    pub dropped_output: usize,
    kept: usize,
}

/// A step under way.
#[derive(Clone, Debug)]
pub struct RunningStep {
    /// Which one.
    pub step: Step,
    /// What it works on.
    pub subject: String,
    /// When it began.
    pub since: Duration,
}

/// Uncompressed bytes being read, hashed or compressed.
#[derive(Clone, Copy, Debug)]
pub struct ImageWork {
    /// What is being done.
    pub activity: &'static str,
    /// Bytes so far.
    pub bytes: u64,
    /// Bytes expected.
    pub total: Option<u64>,
}

impl Progress {
    /// Takes an event that happened at `now`.
    pub fn apply(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Steps(steps) => self.steps.clone_from(steps),
            Event::StepStarted { step, subject } => {
                self.running.retain(|running| running.step != *step);
                self.running.push(RunningStep { step: *step, subject: subject.clone(), since: now });
            }
            Event::StepFinished { step, outcome, .. } => {
                self.running.retain(|running| running.step != *step);
                self.finished.push((*step, outcome.clone()));
                match step {
                    Step::Build => self.forget_build(),
                    Step::Check => self.image = None,
                    Step::Image => self.transfer = None,
                    Step::Watch => self.status = None,
                    _ => {}
                }
            }
            Event::BuildOutput(line) => self.keep(line),
            Event::TransferPlanned(_)
            | Event::TransferStarted { .. }
            | Event::BlobStarted { .. }
            | Event::BlobProgress { .. }
            | Event::BlobFinished { .. } => {
                self.transfer.get_or_insert_default().apply(event, now);
            }
            Event::ImageProgress { activity, bytes, total } => {
                self.image = Some(ImageWork { activity, bytes: *bytes, total: *total });
            }
            Event::FunctionStatus { status, .. } => self.status = Some(super::words::status(status)),
            Event::Planned(_)
            | Event::FunctionOutput(_)
            | Event::Retrying { .. }
            | Event::Warning { .. }
            | Event::Finding(_)
            | Event::Detail(_) => {}
        }
    }

    fn keep(&mut self, line: &str) {
        self.kept += line.len();
        self.output.push_back(line.to_owned());
        while self.kept > KEPT_OUTPUT {
            let Some(oldest) = self.output.pop_front() else { break };
            self.kept -= oldest.len();
            self.dropped_output += 1;
        }
    }

    fn forget_build(&mut self) {
        self.output = VecDeque::new();
        (self.kept, self.dropped_output, self.image) = (0, 0, None);
    }

    /// What a running step is busy with, in numbers, if there are any.
    pub fn busy_with(&self, step: Step, now: Duration) -> Option<String> {
        match step {
            Step::Build | Step::Check => {
                let work = self.image?;
                let work = format!("{} {}", work.activity, super::words::portion(work.bytes, work.total));
                // Layers that are made go while others are being made.
                let sent = self.transfer.as_ref().map(Transfer::sent).filter(|sent| *sent > 0);
                Some(match sent {
                    Some(sent) => format!("{work}, {} sent", ByteSize(sent)),
                    None => work,
                })
            }
            Step::Image => Some(self.transfer.as_ref()?.words(now).join(", ")),
            Step::Watch => self.status.clone(),
            _ => None,
        }
    }

    /// All that the builder printed, if it is the build that is under way.
    pub fn build_output(&self) -> String {
        if !self.running.iter().any(|running| running.step == Step::Build) {
            return String::new();
        }
        let mut text = String::new();
        if self.dropped_output > 0 {
            text +=
                &format!("  │ … {} before these\n", crate::domain::size::count(self.dropped_output, "line"));
        }
        for line in &self.output {
            text += &format!("  │ {}\n", super::words::clean(line));
        }
        text
    }

    /// What has been done and what was under way, in words; empty where nothing was.
    pub fn summary(&self) -> String {
        let done: Vec<_> = self.finished.iter().map(|(step, _)| step.as_str()).collect();
        let under_way: Vec<_> = self.running.iter().map(|running| running.step.as_str()).collect();
        let mut parts = Vec::new();
        if !done.is_empty() {
            parts.push(format!("done: {}", done.join(", ")));
        }
        if !under_way.is_empty() {
            parts.push(format!("under way: {}", under_way.join(", ")));
        }
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn kept_output_is_bounded_and_forgotten_with_the_build() {
        let mut progress = Progress::default();
        for _ in 0..6 {
            progress.apply(&Event::BuildOutput("x".repeat(1024 * 1024)), at(0));
        }
        assert_eq!((progress.output.len(), progress.dropped_output), (4, 2));
        let finished = Event::StepFinished { step: Step::Build, outcome: String::new(), elapsed: at(1) };
        progress.apply(&finished, at(1));
        assert!(progress.output.is_empty());
    }

    #[test]
    fn the_summary_tells_what_is_done_and_what_was_not() {
        let mut progress = Progress::default();
        assert_eq!(progress.summary(), "");
        for (step, finished) in [(Step::Build, true), (Step::Image, false)] {
            progress.apply(&Event::StepStarted { step, subject: "hello".to_owned() }, at(0));
            if finished {
                progress
                    .apply(&Event::StepFinished { step, outcome: "ok".to_owned(), elapsed: at(1) }, at(1));
            }
        }
        assert_eq!(progress.summary(), "done: build; under way: image");
    }
}
