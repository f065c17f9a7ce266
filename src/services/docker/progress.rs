//! Draws what BuildKit reports as lines, in the manner of `docker build --progress=plain`.
//! Called by `transcript`.

use std::collections::{HashMap, VecDeque};

use bollard::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog, VertexStatus};

use super::failure::LAST_LINES;
use crate::domain::size::ByteSize;

/// Seconds since the epoch.
type Seconds = f64;

/// The steps of one build, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Progress {
    steps: Vec<Step>,
    by_digest: HashMap<String, usize>,
    numbered: usize,
    /// The step that failed, with its last lines.
    pub(super) failed: Option<FailedStep>,
}

/// What is known of a step that failed.
#[derive(Clone, Debug, Default)]
pub(super) struct FailedStep {
    /// Its name: `[build 2/4] RUN make`.
    pub(super) name: String,
    /// What it printed last.
    pub(super) output: Vec<String>,
}

#[derive(Debug, Default)]
struct Step {
    name: String,
    /// From 1, in the order in which steps begin; 0 before that.
    number: usize,
    started: Seconds,
    ended: bool,
    /// Output behind the last line break.
    partial: Vec<u8>,
    recent: VecDeque<String>,
    finished_parts: Vec<String>,
}

impl Progress {
    /// Takes one report and returns the lines it comes to.
    pub(super) fn take(&mut self, report: &StatusResponse) -> Vec<String> {
        let mut lines = Vec::new();
        for vertex in &report.vertexes {
            self.begin(vertex, &mut lines);
        }
        for status in &report.statuses {
            self.part(status, &mut lines);
        }
        for log in &report.logs {
            self.log(log, &mut lines);
        }
        // A report may hold a step's end together with its last words.
        for vertex in &report.vertexes {
            self.end(vertex, &mut lines);
        }
        lines
    }

    fn step(&mut self, digest: &str) -> &mut Step {
        let next = self.steps.len();
        let index = *self.by_digest.entry(digest.to_owned()).or_insert(next);
        if index == next {
            self.steps.push(Step::default());
        }
        &mut self.steps[index]
    }

    fn begin(&mut self, vertex: &Vertex, lines: &mut Vec<String>) {
        let next = self.numbered + 1;
        let step = self.step(&vertex.digest);
        step.name.clone_from(&vertex.name);
        if step.number == 0 && (vertex.started.is_some() || vertex.cached) {
            step.number = next;
            step.started = vertex.started.as_ref().map_or(0.0, |time| seconds(time.seconds, time.nanos));
            lines.push(format!("#{next} {}", vertex.name));
            self.numbered = next;
        }
    }

    fn part(&mut self, status: &VertexStatus, lines: &mut Vec<String>) {
        let step = self.step(&status.vertex);
        let Some(completed) = &status.completed else { return };
        if step.number == 0 || step.finished_parts.contains(&status.id) {
            return;
        }
        step.finished_parts.push(status.id.clone());
        let size = match (bytes(status.current), bytes(status.total)) {
            (None, None) => String::new(),
            (current, Some(total)) => format!(" {} / {total}", current.unwrap_or(ByteSize(0))),
            (Some(current), None) => format!(" {current}"),
        };
        let took = status.started.as_ref().map(|started| {
            seconds(completed.seconds, completed.nanos) - seconds(started.seconds, started.nanos)
        });
        let took = took.map(|took| format!(" {:.1}s", took.max(0.0))).unwrap_or_default();
        lines.push(format!("#{} {}{size}{took} done", step.number, status.id));
    }

    fn log(&mut self, log: &VertexLog, lines: &mut Vec<String>) {
        let step = self.step(&log.vertex);
        let at = log.timestamp.as_ref().map_or(step.started, |time| seconds(time.seconds, time.nanos));
        step.partial.extend_from_slice(&log.msg);
        while let Some(end) = step.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = step.partial.drain(..=end).collect();
            step.say(&line, at, lines);
        }
    }

    fn end(&mut self, vertex: &Vertex, lines: &mut Vec<String>) {
        let step = self.step(&vertex.digest);
        let Some(completed) = &vertex.completed else { return };
        if step.number == 0 || step.ended {
            return;
        }
        step.ended = true;
        let at = seconds(completed.seconds, completed.nanos);
        let partial = std::mem::take(&mut step.partial);
        step.say(&partial, at, lines);
        let number = step.number;
        lines.push(if vertex.error.ends_with("context canceled") {
            format!("#{number} CANCELED")
        } else if !vertex.error.is_empty() {
            format!("#{number} ERROR: {}", vertex.error)
        } else if vertex.cached {
            format!("#{number} CACHED")
        } else {
            format!("#{number} DONE {:.1}s", (at - step.started).max(0.0))
        });
        let recent = std::mem::take(&mut step.recent);
        if !vertex.error.is_empty() && !vertex.error.ends_with("context canceled") {
            self.failed = Some(FailedStep { name: vertex.name.clone(), output: recent.into() });
        }
    }
}

impl Step {
    fn say(&mut self, line: &[u8], at: Seconds, lines: &mut Vec<String>) {
        let text = String::from_utf8_lossy(line);
        let text = shown(&text);
        if text.is_empty() {
            return;
        }
        lines.push(format!("#{} {:.3} {text}", self.number, (at - self.started).max(0.0)));
        if self.recent.len() == LAST_LINES {
            self.recent.pop_front();
        }
        self.recent.push_back(text);
    }
}

/// What a terminal would show of a line in the end, without colours: the classic builder paints
/// what it takes from standard error red, and progress bars go back to the line's beginning.
pub(super) fn shown(line: &str) -> String {
    let line = line.trim_end_matches(['\r', '\n']);
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            // A control sequence ends with its first letter.
            '\x1B' if rest.as_str().starts_with('[') => {
                rest.by_ref().skip(1).find(|c| ('@'..='~').contains(c));
            }
            '\t' => text.push('\t'),
            character if character.is_control() => {}
            character => text.push(character),
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn bytes(count: i64) -> Option<ByteSize> {
    u64::try_from(count).ok().filter(|count| *count > 0).map(ByteSize)
}

fn seconds(whole: i64, nanoseconds: i32) -> Seconds {
    whole as f64 + f64::from(nanoseconds) / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! time {
        ($seconds:expr) => {
            Some({
                let mut time = Vertex::default().started.unwrap_or_default();
                time.seconds = 1_000 + ($seconds as f64).trunc() as i64;
                time.nanos = (($seconds as f64).fract() * 1e9) as i32;
                time
            })
        };
    }

    fn vertex(digest: &str, name: &str) -> Vertex {
        Vertex { digest: digest.to_owned(), name: name.to_owned(), ..Vertex::default() }
    }

    fn log(digest: &str, text: &str) -> VertexLog {
        VertexLog {
            vertex: digest.to_owned(),
            timestamp: time!(0.5),
            msg: text.as_bytes().to_vec(),
            ..VertexLog::default()
        }
    }

    #[test]
    fn a_build_reads_like_the_plain_output_of_docker_build() {
        let mut progress = Progress::default();
        let (base, run) = (vertex("a", "[1/2] FROM scratch"), vertex("b", "[2/2] RUN make"));
        assert!(
            progress
                .take(&StatusResponse {
                    vertexes: vec![base.clone(), run.clone()],
                    ..StatusResponse::default()
                })
                .is_empty()
        );
        let mut lines = progress.take(&StatusResponse {
            vertexes: vec![
                Vertex { cached: true, started: time!(0), completed: time!(0), ..base },
                Vertex { started: time!(0), ..run.clone() },
            ],
            logs: vec![log("b", "\x1B[1;31mone\x1B[0m\nt"), log("b", "wo\n10%\r20%\r30%\n\nlast")],
            ..StatusResponse::default()
        });
        lines.extend(progress.take(&StatusResponse {
            vertexes: vec![Vertex { started: time!(0), completed: time!(1.25), ..run }],
            ..StatusResponse::default()
        }));
        assert_eq!(
            lines,
            [
                "#1 [1/2] FROM scratch",
                "#2 [2/2] RUN make",
                "#2 0.500 one",
                "#2 0.500 two",
                "#2 0.500 30%",
                "#1 CACHED",
                "#2 1.250 last",
                "#2 DONE 1.2s",
            ]
        );
        assert!(progress.failed.is_none());
    }

    #[test]
    fn a_failed_step_is_kept_with_its_last_lines_and_a_cancelled_one_is_not() {
        let mut progress = Progress::default();
        let fails = Vertex { started: time!(0), ..vertex("a", "RUN false") };
        let other = Vertex { started: time!(0), ..vertex("b", "RUN sleep") };
        let many: String = (0..LAST_LINES + 5).map(|line| format!("line {line}\n")).collect();
        let lines = progress.take(&StatusResponse {
            vertexes: vec![
                Vertex { completed: time!(1), error: "exit code: 1".to_owned(), ..fails },
                Vertex { completed: time!(1), error: "context canceled".to_owned(), ..other },
            ],
            logs: vec![log("a", &many)],
            ..StatusResponse::default()
        });
        assert_eq!(lines[lines.len() - 2..], ["#1 ERROR: exit code: 1", "#2 CANCELED"]);
        let failed = progress.failed.unwrap();
        assert_eq!(failed.name, "RUN false");
        assert_eq!((failed.output.len(), &*failed.output[0]), (LAST_LINES, "line 5"));
    }

    #[test]
    fn transfers_are_told_once_when_they_are_done() {
        let mut progress = Progress::default();
        let status = VertexStatus {
            id: "transferring context:".to_owned(),
            vertex: "a".to_owned(),
            current: 2_100_000,
            started: time!(0),
            completed: time!(0.5),
            ..VertexStatus::default()
        };
        let lines = progress.take(&StatusResponse {
            vertexes: vec![Vertex { started: time!(0), ..vertex("a", "[internal] load build context") }],
            statuses: vec![status.clone(), status],
            ..StatusResponse::default()
        });
        assert_eq!(lines, ["#1 [internal] load build context", "#1 transferring context: 2.1 MB 0.5s done"]);
    }
}
