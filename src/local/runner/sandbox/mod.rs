//! Runs functions on Linux without any engine: in namespaces of their own, in the unpacked image,
//! as an unprivileged user. Works as root, and as a user who may make user namespaces.
//!
//! Namespaces can only be entered by a process with one thread, so a sandbox begins with this
//! very program, started again by a hidden word ([`entry`]):
//!
//! ```text
//! server ──pipe──► outer ──pipe──► inner ──► the function
//!                  makes the       first process inside: root, user, limits
//!                  namespaces
//! ```
//!
//! Each ends when its pipe does, and with `inner` the kernel ends everything inside, so nothing
//! outlives the server, however that ends.

mod cgroup;
mod inner;
mod order;
mod outer;
mod privileges;
mod root;
mod running;
mod waiting;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use super::rootfs::{MOUNT_POINTS, Rootfs, RootfsError};
use super::{BoxFuture, Launch, OutputSink, Runner, RunnerError, Running};
use crate::local::store::Store;
use order::{Order, Program, Report};
use running::{Start, Started};

/// The first word of a command line that is not the user's.
const ENTRY: &str = "__sandbox";
const OUTER: &str = "outer";
const INNER: &str = "inner";

/// Becomes a process of a sandbox where the command line says so. Has to be called before there
/// is a second thread.
pub(super) fn entry(words: &[OsString]) -> Option<ExitCode> {
    let [_, entry, role] = words else { return None };
    if entry != ENTRY {
        return None;
    }
    let done = match role.to_str() {
        Some(OUTER) => outer::run(),
        Some(INNER) => inner::run(),
        _ => return None,
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let why = outer::advice(&problem).unwrap_or_default();
            let why = if why.is_empty() {
                problem.source.to_string()
            } else {
                format!("{}; {why}", problem.source)
            };
            say(&Report::Failed { doing: problem.doing, why });
            ExitCode::FAILURE
        }
    })
}

/// Tells the server something.
fn say(report: &Report) {
    let Ok(mut line) = serde_json::to_vec(report) else { return };
    line.push(b'\n');
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), rest) {
            Ok(count) => rest = &rest[count..],
            Err(rustix::io::Errno::INTR) => {}
            // Nobody listens any more, and soon nobody speaks.
            Err(_) => return,
        }
    }
}

/// Runs functions in sandboxes.
#[derive(Debug)]
pub(super) struct SandboxRunner {
    /// Whether files of images keep their owners.
    keeps_owners: bool,
}

impl SandboxRunner {
    /// Sees whether a sandbox can be had on this system, by making an empty one.
    pub(super) async fn connect(store: &Store) -> Result<Self, RunnerError> {
        let unavailable = |why: String| RunnerError::Unavailable { runner: "sandbox", why };
        let folder = store.directory().join(super::ROOTFS);
        let root =
            empty_root(&folder).map_err(|error| unavailable(format!("{}: {error}", folder.display())))?;
        cgroup::sweep();
        let order = Order { root: root.path().to_owned(), temporary: 1, program: None };
        match begin(&order, 0, OutputSink::new().0).await {
            Ok((started, Report::Running { keeps_owners })) => {
                started.end().await;
                Ok(Self { keeps_owners })
            }
            Ok((_, other)) => Err(unavailable(format!("{other:?}"))),
            Err(RunnerError::Failed { doing, why }) => Err(unavailable(format!("{doing}: {why}"))),
            Err(error) => Err(error),
        }
    }

    async fn run(&self, launch: Launch) -> Result<Box<dyn Running>, RunnerError> {
        let (image, keeps_owners) = (launch.image.clone(), self.keeps_owners);
        let unpacked = tokio::task::spawn_blocking(move || Rootfs::of(&image, keeps_owners)).await;
        let unpacked = unpacked.unwrap_or_else(|error| Err(RootfsError::Interrupted(error.to_string())));
        let rootfs = unpacked
            .map_err(|error| failed(&format!("unpacking the image of `{}`", launch.function), error))?;
        let entry_point = launch.arguments.first().cloned().unwrap_or_default();
        let directory = launch.working_directory.clone();
        let order = Order {
            root: rootfs.path().to_owned(),
            temporary: launch.ephemeral_storage,
            program: Some(Program {
                extension_environment: launch.extension_environment(),
                arguments: launch.arguments,
                working_directory: launch.working_directory,
                environment: launch.environment,
            }),
        };
        let start = Start { entry_point, directory, gate: launch.gate };
        let (started, report) = begin(&order, launch.memory, launch.output).await?;
        Ok(Box::new(started.run(rootfs, launch.memory, report, start)))
    }
}

/// Makes a sandbox and waits until it says what has become of its program.
async fn begin(order: &Order, memory: u64, output: OutputSink) -> Result<(Started, Report), RunnerError> {
    const DOING: &str = "making a sandbox";
    let mut started = Started::new(order, memory, output).await.map_err(|error| failed(DOING, error))?;
    let error = match started.report().await {
        Ok(Some(Report::Failed { doing, why })) => failed(&doing, why),
        Ok(Some(report)) => return Ok((started, report)),
        Ok(None) => failed(DOING, "it ended before it was there"),
        Err(error) => failed(DOING, error),
    };
    started.end().await;
    Err(error)
}

fn failed(doing: &str, why: impl std::fmt::Display) -> RunnerError {
    RunnerError::Failed { doing: doing.to_owned(), why: why.to_string() }
}

/// A root with nothing in it but what something is mounted on.
fn empty_root(folder: &Path) -> std::io::Result<tempfile::TempDir> {
    fs::create_dir_all(folder)?;
    let root = tempfile::Builder::new().prefix(".empty").tempdir_in(fs::canonicalize(folder)?)?;
    for name in MOUNT_POINTS {
        fs::create_dir(root.path().join(name))?;
    }
    Ok(root)
}

impl Runner for SandboxRunner {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn lost_fidelity(&self) -> Option<&str> {
        None
    }

    fn start(&self, launch: Launch) -> BoxFuture<'_, Result<Box<dyn Running>, RunnerError>> {
        Box::pin(self.run(launch))
    }
}
