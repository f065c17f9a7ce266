//! Reads what a build prints, from either builder: lines for the user, the image's ID, and the
//! instruction that was at work when it failed. Called by `build`.

use std::collections::VecDeque;

use bollard::models::{BuildInfo, BuildInfoAux};

use super::failure::LAST_LINES;
use super::progress::{FailedStep, Progress, shown};
use crate::event::{Event, SharedReporter};

/// What a build has said so far.
pub(super) struct Transcript {
    reporter: SharedReporter,
    progress: Progress,
    /// The classic builder's text behind the last line break.
    partial: String,
    /// The classic builder's present instruction and its last lines.
    instruction: Option<String>,
    recent: VecDeque<String>,
    /// The image's ID, once the builder has told it; a short one from old builders.
    pub(super) image: Option<String>,
}

impl Transcript {
    pub(super) fn new(reporter: SharedReporter) -> Self {
        Self {
            reporter,
            progress: Progress::default(),
            partial: String::new(),
            instruction: None,
            recent: VecDeque::new(),
            image: None,
        }
    }

    /// Takes one message of the builder.
    pub(super) fn take(&mut self, message: BuildInfo) {
        if let Some(text) = &message.stream {
            self.text(text);
        }
        match message.aux {
            Some(BuildInfoAux::BuildKit(report)) => {
                for line in self.progress.take(&report) {
                    self.reporter.report(Event::BuildOutput(line));
                }
                for warning in report.warnings {
                    self.reporter.report(Event::Warning {
                        message: String::from_utf8_lossy(&warning.short).into_owned(),
                        hint: (!warning.url.is_empty()).then_some(warning.url),
                    });
                }
            }
            Some(BuildInfoAux::Default(image)) => self.image = image.id.or(self.image.take()),
            None => {}
        }
        // Of a base image's layers only what is told once, not every byte that arrives.
        if let Some(status) = message.status
            && message.progress_detail.is_none_or(|detail| detail.total.is_none())
        {
            let line = match message.id {
                Some(id) => format!("{id}: {status}"),
                None => status,
            };
            self.line(&line);
        }
    }

    /// Shows what is left when the builder says no more.
    pub(super) fn finish(&mut self) {
        let partial = std::mem::take(&mut self.partial);
        self.line(&partial);
    }

    /// The instruction that failed, where that is known, and its last lines.
    pub(super) fn failed_step(&mut self) -> FailedStep {
        self.finish();
        match self.progress.failed.take() {
            Some(step) => step,
            None => FailedStep {
                name: self.instruction.take().unwrap_or_default(),
                output: std::mem::take(&mut self.recent).into(),
            },
        }
    }

    fn text(&mut self, text: &str) {
        self.partial.push_str(text);
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            self.line(&line);
        }
    }

    fn line(&mut self, line: &str) {
        let line = shown(line);
        if line.is_empty() {
            return;
        }
        let line = line.as_str();
        if let Some(id) = line.strip_prefix("Successfully built ") {
            // Builders that give the whole ID have done so by now.
            self.image.get_or_insert_with(|| id.trim().to_owned());
        }
        // `Step 2/4 : RUN make` here, `STEP 2/4: RUN make` from Podman.
        let step = line.strip_prefix("Step ").or_else(|| line.strip_prefix("STEP "));
        if let Some((_, instruction)) = step.and_then(|step| step.split_once(':')) {
            self.instruction = Some(instruction.trim().to_owned());
            self.recent.clear();
        } else if !line.starts_with(" ---> ") && !line.starts_with("Removing intermediate container") {
            // What the builder says about itself is not what the instruction printed.
            if self.recent.len() == LAST_LINES {
                self.recent.pop_front();
            }
            self.recent.push_back(line.to_owned());
        }
        self.reporter.report(Event::BuildOutput(line.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::event::Reporter;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl Reporter for Lines {
        fn report(&self, event: Event) {
            if let Event::BuildOutput(line) = event {
                self.0.lock().unwrap().push(line);
            }
        }
    }

    fn read(messages: &[&str]) -> (Transcript, Arc<Lines>) {
        let lines = Arc::new(Lines::default());
        let mut transcript = Transcript::new(lines.clone());
        for message in messages {
            transcript.take(serde_json::from_str(message).unwrap());
        }
        (transcript, lines)
    }

    /// Recorded from the classic builder of Docker 20.10.
    #[test]
    fn the_classic_builder_is_read_line_by_line() {
        let (mut transcript, lines) = read(&[
            r#"{"stream":"Step 1/2 : FROM scratch"}"#,
            r#"{"stream":"\n"}"#,
            r#"{"stream":" ---\u003e \n"}"#,
            r#"{"stream":"Step 2/2 : RUN [\"/tool\"]"}"#,
            r#"{"stream":"\n"}"#,
            r#"{"stream":" ---\u003e Running in d615794caf91\n"}"#,
            r#"{"stream":"\u001b[91mhalf a "}"#,
            r#"{"stream":"line\nand an end\n\u001b[0mRemoving intermediate container d615794caf91\n"}"#,
        ]);
        let step = transcript.failed_step();
        assert_eq!(
            (&*step.name, &step.output[..]),
            (r#"RUN ["/tool"]"#, &["half a line".to_owned(), "and an end".to_owned()][..])
        );
        assert_eq!(
            *lines.0.lock().unwrap(),
            [
                "Step 1/2 : FROM scratch",
                " --->",
                r#"Step 2/2 : RUN ["/tool"]"#,
                " ---> Running in d615794caf91",
                "half a line",
                "and an end",
                "Removing intermediate container d615794caf91",
            ]
        );
    }

    #[test]
    fn the_whole_id_is_taken_where_there_is_one() {
        let (transcript, _) =
            read(&[r#"{"aux":{"ID":"sha256:abc"}}"#, r#"{"stream":"Successfully built abc\n"}"#]);
        assert_eq!(transcript.image.as_deref(), Some("sha256:abc"));
        let (transcript, _) = read(&[r#"{"stream":"Successfully built 0123456789ab\n"}"#]);
        assert_eq!(transcript.image.as_deref(), Some("0123456789ab"));
        let (transcript, _) = read(&[r#"{"id":"moby.image.id","aux":{"ID":"sha256:def"}}"#]);
        assert_eq!(transcript.image.as_deref(), Some("sha256:def"));
    }

    #[test]
    fn a_pull_shows_its_milestones_only() {
        let (_, lines) = read(&[
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"74ddd0ec08fa"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":1,"total":10},"progress":"[>]","id":"74ddd0ec08fa"}"#,
            r#"{"status":"Pull complete","progressDetail":{},"id":"74ddd0ec08fa"}"#,
        ]);
        assert_eq!(
            *lines.0.lock().unwrap(),
            ["74ddd0ec08fa: Pulling fs layer", "74ddd0ec08fa: Pull complete"]
        );
    }
}
