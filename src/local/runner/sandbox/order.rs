//! What the server and the processes of a sandbox say to each other: one line of JSON each.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::local::runner::StartError;

/// What to do in a sandbox. Sent through a pipe that stays open as long as it shall live.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The unpacked image.
    pub(super) root: PathBuf,
    /// Megabytes of `/tmp`.
    pub(super) temporary: u64,
    /// What to run; `None` to see whether a sandbox can be had at all.
    pub(super) program: Option<Program>,
}

/// A function's program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Program {
    pub(super) arguments: Vec<String>,
    pub(super) working_directory: String,
    pub(super) environment: Vec<(String, String)>,
    /// The variables of extensions.
    pub(super) extension_environment: Vec<(String, String)>,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The sandbox is there, and so is the program.
    Running {
        /// Whether files keep the owners their image names; else all are the function's.
        keeps_owners: bool,
    },
    /// These extensions run, and the program will when the server says so.
    Extensions(Vec<String>),
    /// An extension cannot be started.
    ExtensionNotStarted { name: String, obstacle: Obstacle },
    /// An extension has ended.
    ExtensionEnded { name: String, code: Option<i32>, signal: Option<i32> },
    /// The program cannot be started.
    NotStarted(Obstacle),
    /// There is no sandbox.
    Failed { doing: String, why: String },
    /// The program has ended.
    Ended { code: Option<i32>, signal: Option<i32> },
}

/// Why a program cannot be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Obstacle {
    NotFound,
    PermissionDenied,
    ExecFormat,
    WorkingDirectory,
    Other(String),
}

impl Obstacle {
    pub(super) fn start_error(self, entry_point: String, directory: String) -> StartError {
        match self {
            Self::NotFound => StartError::EntrypointNotFound { entry_point },
            Self::PermissionDenied => StartError::PermissionDenied { entry_point },
            Self::ExecFormat => StartError::ExecFormat { entry_point },
            Self::WorkingDirectory => StartError::WorkingDirectory { directory },
            Self::Other(why) => StartError::Other { entry_point, why },
        }
    }
}

/// Says at what, and why, a sandbox could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
pub(super) struct Problem {
    pub(super) doing: String,
    #[source]
    pub(super) source: io::Error,
}

impl Problem {
    /// Says what was being done.
    pub(super) fn at<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |error| Self { doing, source: error.into() }
    }
}
