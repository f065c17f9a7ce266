//! Turns every error into what is shown and the exit code: the only place that does.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::domain::denial::Denial;
use crate::domain::invocation::FunctionFailure;
use crate::local::LocalError;
use crate::local::store;
use crate::local::trial::TrialError;
use crate::output::Output;
use crate::output::report::ErrorReport;
use crate::pipeline::{ErrorKind, PipelineError};
use crate::services::api_error::ApiError;
use crate::services::registry::RegistryError;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done, also where nothing had to be done.
    Done,
    /// The operation failed.
    Failed,
    /// Usage or configuration error.
    Usage,
    /// `plan --exit-code`: changes are pending.
    Pending,
    /// The function settled in Failed.
    FunctionFailed,
    /// Timed out while waiting.
    TimedOut,
    /// Refused; nothing was touched.
    Refused,
    /// Interrupted.
    Interrupted,
}

impl Exit {
    /// The code scripts see.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Pending => 3,
            Self::FunctionFailed => 4,
            Self::TimedOut => 5,
            Self::Refused => 6,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// What ended a command.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The pipeline stopped.
    #[error(transparent)]
    Pipeline(Box<PipelineError>),
    /// The local cloud cannot be had.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The image cannot be started here.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The command line asks for something that makes no sense.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to type instead.
        hints: Vec<String>,
    },
    /// The function that was called failed.
    #[error("function `{function}` failed: {}", told(failure))]
    Function {
        /// As it was named.
        function: String,
        /// Its own error.
        failure: Box<FunctionFailure>,
        /// By which it is found in the log.
        request_id: Option<String>,
    },
    /// A file cannot be written.
    #[error("writing `{}`: {source}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The runtime cannot be started.
    #[error("starting: {0}")]
    Runtime(std::io::Error),
    /// Ctrl-C, or a request to end.
    #[error("interrupted{}", if .so_far.is_empty() { String::new() } else { format!(" ({so_far})") })]
    Interrupted {
        /// What has been done and what was under way.
        so_far: String,
        /// The command that follows what AWS goes on with, if it does.
        watch: Option<String>,
    },
}

impl From<PipelineError> for CommandError {
    fn from(error: PipelineError) -> Self {
        Self::Pipeline(Box::new(error))
    }
}

impl CommandError {
    /// The exit code, by the kind of the error.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Usage { .. } => Exit::Usage,
            Self::Pipeline(error) => exit_of(error.kind()),
            // An address that may not be listened on was typed; nothing was tried.
            Self::Local(LocalError::NotLoopback { .. }) => Exit::Usage,
            Self::Local(_)
            | Self::Trial(_)
            | Self::Function { .. }
            | Self::Write { .. }
            | Self::Runtime(_) => Exit::Failed,
            Self::Interrupted { .. } => Exit::Interrupted,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Config(error) => error.hint().into_iter().collect(),
            Self::Pipeline(error) => error.hints(),

            Self::Usage { hints, .. } => hints.clone(),
            Self::Interrupted { watch, .. } => {
                let goes_on = |command| format!("AWS goes on without us: `{command}` follows it");
                let again = "the same command again goes on where this one stopped".to_owned();
                watch.iter().map(goes_on).chain([again]).collect()
            }
            Self::Local(error) => error.hint().into_iter().collect(),
            Self::Trial(error) => error.hints(),
            Self::Function { .. } | Self::Write { .. } | Self::Runtime(_) => Vec::new(),
        }
    }

    /// What is shown.
    pub(super) fn report(&self) -> ErrorReport {
        let message = self.to_string();
        let mut causes: Vec<String> = Vec::new();
        for error in chain(self) {
            let text = error.to_string();
            // Many errors say their source in their own text already.
            if !message.contains(&text) && !causes.iter().any(|cause| cause.contains(&text)) {
                causes.push(text);
            }
        }
        if let Self::Function { failure, request_id, .. } = self {
            let code = failure.error_type.clone();
            return ErrorReport { message, code, request_id: request_id.clone(), ..ErrorReport::default() };
        }
        let api = self.api_error();
        let advice = causes.iter().chain([&message]).find_map(|text| store::advice(text));
        ErrorReport {
            message,
            causes,
            hints: advice.map_or_else(|| self.hints(), |advice| vec![advice]),
            code: api.and_then(|api| api.code.clone()),
            request_id: api.and_then(|api| api.request_id.clone()),
            function: None,
            denied: self.denial().map(|denial| {
                let statement = denial.statement();
                serde_json::json!({
                    "action": denial.action, "resource": denial.resource, "statement": statement,
                })
            }),
        }
    }

    /// The permission the caller lacks, if that is what ended the command.
    fn denial(&self) -> Option<Denial> {
        let of_registry = || chain(self).find_map(|error| error.downcast_ref::<RegistryError>()?.denial());
        self.api_error().and_then(ApiError::denial).or_else(of_registry)
    }

    /// What a service answered, if that is what ended the command.
    fn api_error(&self) -> Option<&ApiError> {
        let told = match self {
            Self::Pipeline(error) => error.api_error(),
            _ => None,
        };
        told.or_else(|| chain(self).find_map(|error| error.downcast_ref()))
    }
}

/// A function's error in its own words, with its trace.
fn told(failure: &FunctionFailure) -> String {
    let head = match &failure.error_type {
        Some(error_type) if failure.message.is_empty() => error_type.clone(),
        Some(error_type) => format!("{error_type}: {}", failure.message),
        None => failure.message.clone(),
    };
    let trace = failure.trace.iter().map(|line| format!("\n{line}"));
    std::iter::once(head).chain(trace).collect()
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The exit code of a pipeline that stopped.
fn exit_of(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::Operation => Exit::Failed,
        ErrorKind::Configuration => Exit::Usage,
        ErrorKind::Refused => Exit::Refused,
        ErrorKind::FunctionFailed => Exit::FunctionFailed,
        ErrorKind::TimedOut => Exit::TimedOut,
    }
}

/// Shows an error of the command line, or the help that was asked for.
pub(super) fn clap_error(error: &clap::Error, json: &Option<Output>) -> Exit {
    let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
    match (json, exit) {
        (Some(output), Exit::Usage) => output.error(&ErrorReport {
            message: first_paragraph(&error.render()),
            hints: vec!["`lambdactl --help` and `lambdactl COMMAND --help` say what is possible".to_owned()],
            ..ErrorReport::default()
        }),
        // A reader of the help that went away is no error.
        _ => drop(error.print()),
    }
    exit
}

/// What is wrong, without the usage lines that clap appends.
fn first_paragraph(text: &impl fmt::Display) -> String {
    let text = text.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    text.split("\n\n").next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: &str) -> ApiError {
        ApiError {
            service: "lambda",
            operation: "GetFunction",
            failure: crate::services::api_error::Failure::Answered,
            code: Some(code.to_owned()),
            message: "not authorized".to_owned(),
            status: Some(403),
            request_id: Some("r-1".to_owned()),
            retry_after: None,
        }
    }

    #[test]
    fn the_services_code_and_request_id_are_kept_and_every_cause_is_said_once() {
        let error = PipelineError::Api {
            doing: "read function `hello`".to_owned(),
            source: api("AccessDeniedException"),
        };
        let report = CommandError::from(error).report();
        assert_eq!(report.code.as_deref(), Some("AccessDeniedException"));
        assert_eq!(report.request_id.as_deref(), Some("r-1"));
        assert_eq!(report.message, "cannot read function `hello`");
        assert_eq!(report.causes.len(), 1, "{report:?}");
        assert!(report.causes[0].contains("not authorized"), "{report:?}");
        assert!(!report.hints.is_empty());
    }

    #[test]
    fn the_pipelines_kinds_are_the_contracts_codes() {
        let failed = PipelineError::FunctionFailed {
            function: "hello".to_owned(),
            status: crate::domain::function::FunctionStatus::default(),
        };
        let late = PipelineError::TimedOut {
            function: "hello".to_owned(),
            waited: std::time::Duration::from_secs(1),
            status: None,
        };
        let unnamed = PipelineError::NoRole("hello".parse().unwrap());
        for (error, code) in [(failed, 4), (late, 5), (unnamed, 2)] {
            assert_eq!(CommandError::from(error).exit().code(), code);
        }
        assert_eq!(exit_of(ErrorKind::Refused).code(), 6);
        assert_eq!(exit_of(ErrorKind::Operation).code(), 1);
    }

    #[test]
    fn a_local_cloud_without_room_or_rights_is_answered_with_another_place() {
        let hints = |text: &str| {
            let source = ApiError { message: text.to_owned(), ..api("ServiceException") };
            CommandError::from(PipelineError::Api { doing: "read function `hello`".to_owned(), source })
                .report()
                .hints
                .join("\n")
        };
        let full = "local cloud: /state/documents/hello.json: No space left on device (os error 28)";
        assert!(hints(full).contains("`lambdactl local reset`"));
        let read_only = "local cloud: /state/lock: Read-only file system (os error 30)";
        assert!(hints(read_only).contains("`--local-dir DIR`"));
        let engine = "lambdactl's local cloud: functions cannot run in a container: no right to use the Docker Engine at `unix:///var/run/docker.sock`: Permission denied (os error 13)";
        assert!(!hints(engine).contains("--local-dir"));
    }

    #[test]
    fn every_kind_has_its_exit_code() {
        let usage = CommandError::Usage { message: "m".to_owned(), hints: vec!["h".to_owned()] };
        assert_eq!((usage.exit().code(), usage.report().hints), (2, vec!["h".to_owned()]));
        let config = CommandError::from(ConfigError::NoSuchPath { path: "x".into() });
        assert_eq!(config.exit().code(), 2);
        let watching = CommandError::Interrupted {
            so_far: String::new(),
            watch: Some("lambdactl watch hello".to_owned()),
        };
        assert_eq!(watching.to_string(), "interrupted");
        assert!(watching.report().hints[0].contains("`lambdactl watch hello`"));
        let interrupted = CommandError::Interrupted { so_far: "done: build".to_owned(), watch: None };
        assert_eq!(interrupted.exit().code(), 130);
        assert_eq!(interrupted.report().message, "interrupted (done: build)");
        assert!(interrupted.report().causes.is_empty());
    }
}
