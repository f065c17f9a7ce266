//! Runs the `[build] command` and reports what it prints; `build` calls it.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;

use super::error::PipelineError;
use crate::domain::spec::DeploySpec;
use crate::event::{Event, SharedReporter};

/// What is still on its way when it has ended. Something that it has left running, such as a
/// build server, may hold the pipes for hours.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// Runs the command in the directory of the specification; what it prints becomes events. When
/// the future is dropped it is killed, and with it what it has started.
pub(super) async fn run(
    command: &[String],
    spec: &DeploySpec,
    reporter: &SharedReporter,
) -> Result<(), PipelineError> {
    let shown = command.join(" ");
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let cannot_run = |source| PipelineError::BuildCommand {
        command: shown.clone(),
        outcome: String::new(),
        source: Some(source),
    };
    // Where a relative program is looked up depends on the system, unless it is made absolute.
    let is_path = program.contains('/') && !program.starts_with('/');
    let program = if is_path { spec.directory.join(program) } else { program.into() };
    let began = Instant::now();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&spec.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(cannot_run)?;
    // Dropped before the child, which is then still there to be listed.
    let mut running = Running(child.id());
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let forwarded = async { tokio::join!(forward(output, reporter), forward(errors, reporter)) };
    tokio::pin!(forwarded);
    let status = tokio::select! {
        status = child.wait() => {
            let _in_time = tokio::time::timeout(LAST_OUTPUT, &mut forwarded).await;
            status
        }
        _ = &mut forwarded => child.wait().await,
    };
    // Whatever it has left running is meant to go on.
    running.0 = None;
    let status = status.map_err(cannot_run)?;
    if status.success() {
        let elapsed = humantime::format_duration(Duration::from_secs(began.elapsed().as_secs()));
        reporter.report(Event::Detail(format!("`{shown}` took {elapsed}")));
        return Ok(());
    }
    Err(PipelineError::BuildCommand { command: shown, outcome: format!("failed: {status}"), source: None })
}

/// A command that runs; it ends with the value, and so does what it has started.
///
/// It leads no process group of its own, in which it could not ask for a passphrase and Ctrl-C
/// would not reach it.
struct Running(Option<u32>);

impl Drop for Running {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        if let Some(id) =
            self.0.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        {
            end(id);
        }
    }
}

/// Ends a process and all below it. Each is stopped before its children are listed, so that none
/// is missed and no number is somebody else's meanwhile.
#[cfg(target_os = "linux")]
fn end(id: rustix::process::Pid) {
    use rustix::process::{Pid, Signal, kill_process};
    let _may_be_gone = kill_process(id, Signal::STOP);
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().filter_map(Result::ok);
    for thread in threads {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).for_each(end);
    }
    let _may_be_gone = kill_process(id, Signal::KILL);
}

/// Reports every line; bytes that are no text are shown as well as they can be.
async fn forward(output: Option<impl AsyncRead + Unpin>, reporter: &SharedReporter) {
    let Some(output) = output else { return };
    let (mut output, mut line) = (BufReader::new(output), Vec::new());
    while output.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line);
        reporter.report(Event::BuildOutput(text.trim_end_matches(['\n', '\r']).to_owned()));
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::event::Reporter;
    use crate::pipeline::plan::tests::spec;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl Reporter for Lines {
        fn report(&self, event: Event) {
            if let Event::BuildOutput(line) = event {
                self.0.lock().unwrap().push(line);
            }
        }
    }

    async fn ran(command: &[&str]) -> (Result<(), PipelineError>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let lines = Arc::new(Lines::default());
        let reporter: SharedReporter = lines.clone();
        let spec = DeploySpec { directory: directory.path().to_owned(), ..spec() };
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        let result = run(&command, &spec, &reporter).await;
        let lines = lines.0.lock().unwrap().clone();
        (result, lines)
    }

    #[tokio::test]
    async fn what_the_command_prints_is_reported_line_by_line() {
        let (result, mut lines) = ran(&["sh", "-c", "echo one; echo two >&2; printf three"]).await;
        assert!(result.is_ok());
        lines.sort();
        assert_eq!(lines, ["one", "three", "two"]);
    }

    #[tokio::test]
    async fn a_failure_names_the_command_and_its_end() {
        let (result, _) = ran(&["sh", "-c", "exit 7"]).await;
        assert_eq!(result.unwrap_err().to_string(), "build command `sh -c exit 7` failed: exit status: 7");
        let (result, _) = ran(&["./no-such-program"]).await;
        assert!(result.unwrap_err().to_string().contains("`./no-such-program` cannot be run"));
    }

    #[tokio::test]
    async fn what_the_command_leaves_running_is_not_waited_for() {
        let began = Instant::now();
        let (result, lines) = ran(&["sh", "-c", "echo one; sleep 30 &"]).await;
        assert!(result.is_ok() && lines == ["one"]);
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}
