//! What runs a function here: the seam between the environments of the local cloud and the ways
//! there are to start a process under Lambda's conditions.
//!
//! `environments` decides everything and hands a [`Launch`] to a [`Runner`]; what comes back is
//! [`Running`] until it exits, is killed, or is dropped. Runners know nothing of invocations.

mod choice;
mod container;
mod image;
#[cfg(target_os = "linux")]
mod memory;
mod output;
pub(super) mod process;
#[cfg(target_os = "linux")]
mod rootfs;
#[cfg(target_os = "linux")]
mod sandbox;

use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use super::runtime_api::ExtensionGate;

pub use choice::{FunctionOptions, RunnerChoice, choose};
pub(super) use container::{NAME as CONTAINER, SERVERS, forget_images};
pub use image::{GivenImage, LocalImage};
pub use output::{Lines, OutputSink};

/// Where an image has its extensions: every executable file is one.
pub(super) const EXTENSIONS: &str = "/opt/extensions";

/// What Lambda tells its functions and not their extensions.
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>
const KEPT_BACK: [&str; 5] = [
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_HANDLER",
];

/// The folder of unpacked images, below the store's directory.
pub(super) const ROOTFS: &str = "rootfs";

/// Becomes a process of a sandbox where the command line says so; to be called first of all,
/// while there is one thread.
#[cfg(target_os = "linux")]
pub fn enter_sandbox(words: &[OsString]) -> Option<ExitCode> {
    sandbox::entry(words)
}

/// There are no sandboxes here.
#[cfg(not(target_os = "linux"))]
pub fn enter_sandbox(_words: &[OsString]) -> Option<ExitCode> {
    None
}

/// Removes a directory, also where an image has closed parts of it. It may be gone.
pub(super) fn remove_tree(path: &Path) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    return rootfs::remove_tree(path);
    #[cfg(not(target_os = "linux"))]
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A future that a trait object returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What to start: everything is decided, the runner only runs it.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The function's name, for names and labels.
    pub function: String,
    /// What to run.
    pub image: LocalImage,
    /// Entry point and command: never empty.
    pub arguments: Vec<String>,
    /// Where it starts; absolute.
    pub working_directory: String,
    /// All variables, `AWS_LAMBDA_RUNTIME_API=127.0.0.1:PORT` among them.
    pub environment: Vec<(String, String)>,
    /// Megabytes it may use.
    pub memory: u64,
    /// Megabytes of `/tmp`.
    pub ephemeral_storage: u64,
    /// Where its output goes.
    pub output: OutputSink,
    /// Is told of the image's extensions, and tells when they have registered.
    pub gate: ExtensionGate,
}

impl Launch {
    /// The variables of an extension.
    fn extension_environment(&self) -> Vec<(String, String)> {
        let theirs = |(name, _): &&(String, String)| !KEPT_BACK.contains(&name.as_str());
        self.environment.iter().filter(theirs).cloned().collect()
    }
}

/// Something that runs; it is killed when it is dropped.
pub trait Running: Send {
    /// Waits for the end. May be dropped and called again; when it returns, all output has been
    /// handed on.
    fn wait(&mut self) -> BoxFuture<'_, Exit>;

    /// Stops the function, and waits until its extensions have ended, which are told of the end
    /// by others as soon as this has been called; then it may be killed.
    fn retire(&mut self) -> BoxFuture<'_, ()>;

    /// Ends it and everything it started, and returns when nothing of it is left.
    fn kill(&mut self) -> BoxFuture<'_, ()>;

    /// The most memory it has used so far, in megabytes; `None` where that cannot be told.
    fn memory_used(&self) -> Option<u64>;
}

/// How something ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, where it exited.
    pub code: Option<i32>,
    /// The signal, where one ended it.
    pub signal: Option<i32>,
    /// Whether it was killed for using more than its memory.
    pub out_of_memory: bool,
    /// Why it never began to run, where that is so.
    pub start_error: Option<StartError>,
    /// The extension whose end this was, where it was not the function's own.
    pub extension: Option<String>,
}

impl Exit {
    /// The signal that ended it and its name, also where an engine tells it by the exit code.
    pub(super) fn deadly_signal(&self) -> Option<(i32, String)> {
        let of_code = || self.code.filter(|code| (129..=159).contains(code)).map(|code| code - 128);
        self.signal.or_else(of_code).map(|signal| (signal, signal_name(signal)))
    }
}

impl fmt::Display for Exit {
    /// In the words of Lambda: `exit status 7`, `signal: killed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.signal, self.code) {
            (Some(signal), _) => write!(f, "signal: {}", signal_name(signal)),
            // What a shell, or an engine, makes of a signal.
            (None, Some(code @ 129..=159)) if self.out_of_memory || code == 137 => {
                write!(f, "signal: {}", signal_name(code - 128))
            }
            (None, Some(code)) => write!(f, "exit status {code}"),
            (None, None) => f.write_str("unknown status"),
        }
    }
}

/// As Go names signals, which is what Lambda's messages show.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        11 => "segmentation fault",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}

/// Says why a function's process never began.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// There is no such file.
    #[error("{}", not_found(entry_point))]
    EntrypointNotFound {
        /// As it was named.
        entry_point: String,
    },
    /// The file may not be executed.
    #[error("fork/exec {entry_point}: permission denied")]
    PermissionDenied {
        /// As it was named.
        entry_point: String,
    },
    /// The file is a program for another machine, or none.
    #[error("fork/exec {entry_point}: exec format error")]
    ExecFormat {
        /// As it was named.
        entry_point: String,
    },
    /// The working directory cannot be entered.
    #[error("chdir {directory}: no such file or directory")]
    WorkingDirectory {
        /// The directory.
        directory: String,
    },
    /// Anything else the system refused.
    #[error("fork/exec {entry_point}: {why}")]
    Other {
        /// As it was named.
        entry_point: String,
        /// The system's words.
        why: String,
    },
}

/// A name without a slash is looked up in `PATH`, and Go says that differently.
fn not_found(entry_point: &str) -> String {
    if entry_point.contains('/') {
        format!("fork/exec {entry_point}: no such file or directory")
    } else {
        format!("exec: \"{entry_point}\": executable file not found in $PATH")
    }
}

impl StartError {
    /// Lambda's name for it.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::WorkingDirectory { .. } => "Runtime.InvalidWorkingDir",
            _ => "Runtime.InvalidEntrypoint",
        }
    }
}

/// Says why a runner could not run anything: its own fault, never the function's.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// Nothing on this machine can run a function.
    #[error("nothing here can run a function: {0}")]
    NoRunner(String),
    /// The runner that was asked for cannot be had.
    #[error("functions cannot run in a {runner}: {why}")]
    Unavailable {
        /// Which one.
        runner: &'static str,
        /// Why not.
        why: String,
    },
    /// Something failed on the way.
    #[error("{doing}: {why}")]
    Failed {
        /// What was being done, on what.
        doing: String,
        /// Why it failed.
        why: String,
    },
}

/// A way to run functions.
pub trait Runner: Send + Sync {
    /// Its name, as users choose it: `container`, `sandbox`.
    fn name(&self) -> &'static str;

    /// What is not as in Lambda, in a few words; `None` where nothing is known.
    fn lost_fidelity(&self) -> Option<&str>;

    /// How much later than an answer the output that was written before it may come.
    fn output_delay(&self) -> Duration {
        Duration::from_millis(3)
    }

    /// Starts a function's process. What is wrong with the image or the entry point is told by
    /// the [`Exit`]; an error is the runner's.
    fn start(&self, launch: Launch) -> BoxFuture<'_, Result<Box<dyn Running>, RunnerError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_told_in_lambdas_words() {
        let exit = |code, signal, out_of_memory| Exit { code, signal, out_of_memory, ..Exit::default() };
        for (exit, words) in [
            (exit(Some(7), None, false), "exit status 7"),
            (exit(Some(0), None, false), "exit status 0"),
            (exit(None, Some(9), true), "signal: killed"),
            (exit(Some(137), None, true), "signal: killed"),
            (exit(None, Some(11), false), "signal: segmentation fault"),
            (exit(None, Some(40), false), "signal: signal 40"),
        ] {
            assert_eq!(exit.to_string(), words);
        }
    }

    #[test]
    fn what_cannot_be_started_is_named_as_lambda_names_it() {
        let missing =
            |entry_point: &str| StartError::EntrypointNotFound { entry_point: entry_point.to_owned() };
        assert_eq!(missing("/bootstrap").to_string(), "fork/exec /bootstrap: no such file or directory");
        assert_eq!(missing("app").to_string(), "exec: \"app\": executable file not found in $PATH");
        assert_eq!(missing("/bootstrap").error_type(), "Runtime.InvalidEntrypoint");
        let directory = StartError::WorkingDirectory { directory: "/none".to_owned() };
        assert_eq!(directory.error_type(), "Runtime.InvalidWorkingDir");
    }
}
