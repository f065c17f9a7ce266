//! A plain process of this machine, for a command that is no deployed function: it runs as the
//! user, with the user's files, and nothing limits it.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::{BoxFuture, Exit, OutputSink, Running, StartError};

/// What is still on its way when it has ended.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// Starts a command with variables besides those of this process.
pub fn start(
    arguments: &[String],
    variables: &[(String, String)],
    output: OutputSink,
) -> Result<Box<dyn Running>, StartError> {
    let entry_point = arguments.first().cloned().unwrap_or_default();
    let mut command = Command::new(&entry_point);
    command
        .args(arguments.iter().skip(1))
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // With everything it starts: `cargo run` is two processes.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => StartError::EntrypointNotFound { entry_point },
        std::io::ErrorKind::PermissionDenied => StartError::PermissionDenied { entry_point },
        _ => StartError::Other { entry_point, why: error.to_string() },
    })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let output = tokio::spawn(async move {
        let lines = async {
            if let Some(stdout) = stdout {
                output.copy(stdout).await;
            }
        };
        let errors = async {
            if let Some(stderr) = stderr {
                output.copy(stderr).await;
            }
        };
        tokio::join!(lines, errors);
    });
    Ok(Box::new(Plain { group: child.id(), child, output: Some(output) }))
}

struct Plain {
    child: Child,
    /// The id of its process group, until that was ended: later on it may be somebody else's.
    group: Option<u32>,
    output: Option<JoinHandle<()>>,
}

impl Plain {
    async fn exit(&mut self) -> Exit {
        let status = self.child.wait().await.ok();
        // What it has left running keeps the pipes open.
        self.kill_group();
        if let Some(output) = &mut self.output {
            let _in_time = tokio::time::timeout(LAST_OUTPUT, output).await;
        }
        self.output = None;
        Exit {
            code: status.and_then(|status| status.code()),
            signal: status.and_then(signal),
            ..Exit::default()
        }
    }

    #[cfg(unix)]
    fn kill_group(&mut self) {
        use rustix::process::{Pid, Signal, kill_process_group};
        let id = self.group.take().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let _may_be_gone = id.map(|id| kill_process_group(id, Signal::KILL));
    }

    #[cfg(not(unix))]
    fn kill_group(&mut self) {
        self.group = None;
    }
}

#[cfg(unix)]
fn signal(status: std::process::ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_status: std::process::ExitStatus) -> Option<i32> {
    None
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.kill_group();
    }
}

impl Running for Plain {
    fn wait(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(self.exit())
    }

    fn retire(&mut self) -> BoxFuture<'_, ()> {
        // It may have extensions inside.
        Box::pin(async { drop(self.exit().await) })
    }

    fn kill(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.kill_group();
            let _gone = self.child.kill().await;
        })
    }

    fn memory_used(&self) -> Option<u64> {
        None
    }
}
