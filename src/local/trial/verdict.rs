//! What is to be said against a start, in plain words.

use std::time::Duration;

use crate::domain::finding::{Finding, Place, Rule};
use crate::domain::invocation::FunctionFailure;
use crate::domain::manifest::ImageConfig;
use crate::domain::size::after;
use crate::local::environments::{
    Environments, FunctionConfiguration, LAST_LINES, Start, StartEnd, StartFailure,
};
use crate::local::runner::{EXTENSIONS, Exit, StartError};
use crate::local::runtime_api::{Awaited, FunctionError};

/// What a program needs that ends after its work.
const CLIENT: &str = "start a program that asks for events: one built with Lambda's runtime interface client, \
    the client itself (`python3 -m awslambdaric app.handler`), or the Lambda Web Adapter before a web server";

/// What helps where nothing tells what is wrong.
const SILENT: &str =
    "it printed nothing: let it print why it ends, and start it again with `lambdactl check --run`";

/// What the settings of a start come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    program: &'static str,
    directory: &'static str,
}

impl Fields {
    pub(super) fn of(configuration: &FunctionConfiguration, image: &ImageConfig) -> Self {
        let program = if configuration.entry_point.is_some() {
            "function.image_config.entry_point"
        } else if !image.words("Entrypoint").is_empty() {
            "config.Entrypoint"
        } else if configuration.command.is_some() {
            "function.image_config.command"
        } else {
            "config.Cmd"
        };
        let directory = match configuration.working_directory {
            Some(_) => "function.image_config.working_directory",
            None => "config.WorkingDir",
        };
        Self { program, directory }
    }
}

/// The finding of a start that did not go well.
pub(super) fn finding(
    start: Start,
    configuration: &FunctionConfiguration,
    fields: Fields,
) -> Option<Finding> {
    let limit = seconds_of(Environments::INIT_LIMIT);
    let finding = match start.end {
        StartEnd::Ready => return None,
        StartEnd::ReadyAgain => {
            let message = format!(
                "the function did not ask for an event within {limit}; started again, it did {}, of the {} s of its `timeout`",
                after(start.elapsed),
                configuration.timeout,
            );
            return Some(Finding::new(Rule::SlowStart, message, Place::field(fields.program)));
        }
        StartEnd::Failed(StartFailure::Ended(exit)) => ended(&exit, start.elapsed, configuration, fields),
        StartEnd::Failed(StartFailure::Reported(error)) => reported(&error, fields),
        StartEnd::Failed(StartFailure::TimedOut(awaited)) => timed_out(&awaited, configuration, fields),
    };
    let is_unexplained = finding.fix == Rule::StartFailed.fix() && start.output.is_empty();
    let finding = if is_unexplained { finding.mended_by(SILENT) } else { finding };
    // Most runtimes print the trace of what they report; it is not told twice.
    Some(if start.output.is_empty() { finding } else { finding.printing(start.output) })
}

fn seconds_of(span: Duration) -> String {
    format!("{} s", span.as_secs())
}

fn extension(name: &str) -> Place {
    Place::path(format!("{EXTENSIONS}/{name}"))
}

fn ended(exit: &Exit, elapsed: Duration, configuration: &FunctionConfiguration, fields: Fields) -> Finding {
    if let Some(error) = &exit.start_error {
        return not_started(error, exit.extension.as_deref(), fields);
    }
    let elapsed = after(elapsed);
    let how = match (exit.code, exit.deadly_signal()) {
        _ if exit.out_of_memory => {
            format!("used more than its {} MB of memory and was killed", configuration.memory)
        }
        (_, Some((number, name))) => format!("was killed by signal {number} ({name})"),
        (Some(code), None) => format!("ended with exit code {code}"),
        (None, None) => "ended".to_owned(),
    };
    let (who, place) = match &exit.extension {
        Some(name) => (format!("the extension `{name}`"), extension(name)),
        None => ("the program".to_owned(), Place::field(fields.program)),
    };
    let message = format!("{who} {how} {elapsed}, before the first event was asked for");
    let finding = Finding::new(Rule::StartFailed, message, place);
    match (&exit.extension, exit.code) {
        _ if exit.out_of_memory => {
            let now = configuration.memory;
            finding.mended_by(format!(
                "raise `memory_size`, which is {now} MB, or let it need less at the start"
            ))
        }
        (Some(_), _) => finding.mended_by("mend the extension, or leave it out of `/opt/extensions`"),
        (None, Some(0)) => finding.mended_by(CLIENT),
        (None, _) => finding,
    }
}

fn not_started(error: &StartError, extension_name: Option<&str>, fields: Fields) -> Finding {
    let (who, place) = match (extension_name, error) {
        (Some(name), _) => (format!("the extension `{name}`"), extension(name)),
        (None, StartError::WorkingDirectory { .. }) => {
            ("the program".to_owned(), Place::field(fields.directory))
        }
        (None, _) => ("the program".to_owned(), Place::field(fields.program)),
    };
    let code = match extension_name {
        Some(_) => "Extension.LaunchError",
        None => error.error_type(),
    };
    let fix = match error {
        StartError::EntrypointNotFound { .. } => {
            "correct its path, and copy in what it needs to be started: its interpreter or dynamic loader"
        }
        StartError::PermissionDenied { .. } => "make it executable for everybody: `COPY --chmod=0755`",
        StartError::ExecFormat { .. } => {
            "build it for Linux and the function's architecture; a script has to begin with a line such as `#!/bin/sh`"
        }
        StartError::WorkingDirectory { .. } => {
            "make the directory (WORKDIR does), or correct `working_directory`"
        }
        StartError::Other { .. } => Rule::StartFailed.fix(),
    };
    let message = format!("{who} cannot be started: {error} ({code})");
    Finding::new(Rule::StartFailed, message, place).mended_by(fix)
}

fn reported(error: &FunctionError, fields: Fields) -> Finding {
    let failure = FunctionFailure::read(&error.document);
    let trace = failure.trace.iter().flat_map(|entry| entry.lines().map(str::to_owned));
    let told = if failure.message.is_empty() { String::new() } else { format!(": {}", failure.message) };
    let message =
        format!("the function reported an error instead of asking for an event: {}{told}", error.error_type);
    Finding::new(Rule::StartFailed, message, Place::field(fields.program))
        .mended_by("mend what the error names: it is the function's own code, or what that needs, that fails")
        .printing(trace.take(LAST_LINES).collect())
}

fn timed_out(awaited: &[Awaited], configuration: &FunctionConfiguration, fields: Fields) -> Finding {
    let limit = Environments::INIT_LIMIT;
    let timeout = Duration::from_secs(configuration.timeout);
    let within = if timeout > limit {
        format!(
            "within {}, nor within its timeout of {} when started again",
            seconds_of(limit),
            seconds_of(timeout)
        )
    } else {
        format!("within {}", seconds_of(limit))
    };
    let is_waiting = !awaited.contains(&Awaited::Runtime);
    let (message, place, fix) = match awaited.first() {
        Some(Awaited::Registration(name)) => (
            format!("the extension `{name}` did not register {within}"),
            extension(name),
            "let it register with the Extensions API when it starts, or leave it out of `/opt/extensions`"
                .to_owned(),
        ),
        Some(Awaited::Extension(name)) if is_waiting => (
            format!("the extension `{name}` registered, and did not ask for its next event {within}"),
            extension(name),
            "let it ask for its next event when it is ready, or leave it out of `/opt/extensions`".to_owned(),
        ),
        _ => (
            format!("the function did not ask for an event {within}"),
            Place::field(fields.program),
            format!(
                "a web server needs the Lambda Web Adapter before it; else let it load less before it asks, or raise \
                 `memory_size`, which is {} MB, and `timeout`, which is {} s, so that it may be started again for longer",
                configuration.memory, configuration.timeout,
            ),
        ),
    };
    Finding::new(Rule::StartFailed, message, place).mended_by(fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::trial::tests::function;

    const FIELDS: Fields = Fields { program: "config.Cmd", directory: "config.WorkingDir" };

    fn told(end: StartEnd) -> Finding {
        let start =
            Start { runner: "sandbox", elapsed: Duration::from_millis(12_340), end, output: Vec::new() };
        finding(start, &function(60), FIELDS).unwrap()
    }

    fn failed(failure: StartFailure) -> Finding {
        told(StartEnd::Failed(failure))
    }

    #[test]
    fn a_start_that_needed_a_second_one_is_only_slow() {
        let slow = told(StartEnd::ReadyAgain);
        assert_eq!((slow.rule, slow.places), (Rule::SlowStart, vec![Place::field("config.Cmd")]));
        assert_eq!(
            slow.message,
            "the function did not ask for an event within 10 s; started again, it did after 12.3 s, of the 60 s of its `timeout`"
        );
    }

    #[test]
    fn whoever_keeps_the_others_waiting_is_named() {
        let extension = |name: &str| name.to_owned();
        for (awaited, begins) in [
            (
                vec![Awaited::Registration(extension("a")), Awaited::Runtime],
                "the extension `a` did not register within 10 s, nor within its timeout of 60 s when started again",
            ),
            (
                vec![Awaited::Extension(extension("b"))],
                "the extension `b` registered, and did not ask for its next event within 10 s",
            ),
            (
                vec![Awaited::Extension(extension("b")), Awaited::Runtime],
                "the function did not ask for an event within 10 s",
            ),
        ] {
            let found = failed(StartFailure::TimedOut(awaited));
            assert!(found.message.starts_with(begins), "{}", found.message);
            assert_eq!(found.rule, Rule::StartFailed);
        }
    }

    #[test]
    fn an_end_tells_how_and_what_helps() {
        for (exit, words, fix) in [
            (Exit { code: Some(0), ..Exit::default() }, "ended with exit code 0 after 12.3 s", CLIENT),
            (Exit { code: Some(7), ..Exit::default() }, "ended with exit code 7", SILENT),
            (
                Exit { code: Some(139), ..Exit::default() },
                "was killed by signal 11 (segmentation fault)",
                SILENT,
            ),
            (Exit { signal: Some(6), ..Exit::default() }, "was killed by signal 6 (aborted)", SILENT),
            (
                Exit { signal: Some(9), out_of_memory: true, ..Exit::default() },
                "used more than its 256 MB of memory",
                "raise `memory_size`, which is 256 MB, or let it need less at the start",
            ),
        ] {
            let found = failed(StartFailure::Ended(exit));
            assert!(found.message.contains(words), "{}", found.message);
            assert_eq!(found.fix, fix);
        }
    }

    #[test]
    fn where_an_error_happened_is_told_unless_it_was_printed() {
        let document =
            r#"{"errorType":"E","errorMessage":"no","stackTrace":["  File 1\n    raise","at main"]}"#;
        let error = FunctionError { error_type: "E".to_owned(), document: document.into() };
        let end = || StartEnd::Failed(StartFailure::Reported(error.clone()));
        assert_eq!(told(end()).output, ["  File 1", "    raise", "at main"]);
        let printed = Start {
            runner: "sandbox",
            elapsed: Duration::ZERO,
            end: end(),
            output: vec!["E: no".to_owned()],
        };
        assert_eq!(finding(printed, &function(3), FIELDS).unwrap().output, ["E: no"]);
    }

    #[test]
    fn what_cannot_be_started_is_told_with_lambdas_code_and_its_place() {
        let directory = StartError::WorkingDirectory { directory: "/none".to_owned() };
        let exit = Exit { start_error: Some(directory), ..Exit::default() };
        let found = failed(StartFailure::Ended(exit));
        assert_eq!(
            found.message,
            "the program cannot be started: chdir /none: no such file or directory (Runtime.InvalidWorkingDir)"
        );
        assert_eq!(found.places, [Place::field("config.WorkingDir")]);
        let denied = StartError::PermissionDenied { entry_point: "/opt/extensions/a".to_owned() };
        let exit = Exit { start_error: Some(denied), extension: Some("a".to_owned()), ..Exit::default() };
        let found = failed(StartFailure::Ended(exit));
        assert!(
            found.message.contains("the extension `a`") && found.message.contains("Extension.LaunchError")
        );
        assert_eq!(found.places, [Place::path("/opt/extensions/a")]);
    }
}
