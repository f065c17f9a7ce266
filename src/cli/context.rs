//! What a verb is run with. The only reader of the environment.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use super::error::CommandError;
use super::functions::FunctionArguments;
use super::global::{ColorChoice, GlobalArguments, OutputChoice, early_value};
use crate::config::Location;
use crate::local::call::Delays;
use crate::local::runner::FunctionOptions;
use crate::local::{LocalOptions, RunningCloud};
use crate::output::mode::Mode;
use crate::output::screen::Screen;
use crate::output::{Output, OutputOptions};
use crate::pipeline::Cloud;
use crate::services::docker::EngineLocation;
use crate::services::session::SessionOptions;

/// The value of an environment variable; an empty one counts as not set.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// What the environment says, read once.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    stdin_is_terminal: bool,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    dumb: bool,
    ci: bool,
    no_color: bool,
    columns: Option<usize>,
    state_directory: Option<PathBuf>,
    cache_directory: Option<PathBuf>,
    extra_roots: Vec<PathBuf>,
    /// `AWS_ENDPOINT_URL…` and what switches them off.
    endpoints: BTreeMap<String, String>,
    engine: EngineLocation,
}

impl Environment {
    /// Reads the environment.
    pub(super) fn read() -> Self {
        let home = path("HOME").or_else(|| path("USERPROFILE"));
        let docker_config = path("DOCKER_CONFIG").or_else(|| Some(home.as_ref()?.join(".docker")));
        let tls = variable("DOCKER_TLS_VERIFY").is_some();
        // The XDG specification: a relative path is to be ignored.
        let state = path("XDG_STATE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| Some(home.as_ref()?.join(".local/state")));
        let cache = path("XDG_CACHE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| Some(home.as_ref()?.join(".cache")));
        Self {
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            dumb: variable("TERM").is_some_and(|term| term == "dumb"),
            ci: variable("CI").is_some_and(|ci| ci != "false" && ci != "0"),
            no_color: variable("NO_COLOR").is_some(),
            columns: variable("COLUMNS").and_then(|columns| columns.parse().ok()),
            state_directory: state,
            cache_directory: cache,
            extra_roots: ["SSL_CERT_FILE", "AWS_CA_BUNDLE"].into_iter().filter_map(path).collect(),
            endpoints: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .filter(|(name, _)| {
                    name.starts_with("AWS_ENDPOINT_URL") || name == "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
                })
                .collect(),
            engine: EngineLocation {
                host: variable("DOCKER_HOST"),
                context: variable("DOCKER_CONTEXT"),
                certificates: tls.then(|| path("DOCKER_CERT_PATH").or(docker_config.clone())).flatten(),
                config_directory: docker_config,
                home,
                runtime_directory: path("XDG_RUNTIME_DIR"),
            },
        }
    }

    /// Tells whether a question would reach a person.
    pub(super) fn can_ask(&self) -> bool {
        self.stdin_is_terminal && self.stderr_is_terminal && !self.ci
    }

    /// Where an engine may be.
    pub(super) fn engine(&self) -> &EngineLocation {
        &self.engine
    }

    /// The variables that replace endpoints.
    pub(super) fn replaced_endpoints(&self) -> impl Iterator<Item = &str> {
        self.endpoints.keys().map(String::as_str).filter(|name| name.starts_with("AWS_ENDPOINT_URL"))
    }

    /// Tells whether standard input is a terminal.
    pub(super) fn reads_from_people(&self) -> bool {
        self.stdin_is_terminal
    }

    /// Tells whether standard output is a terminal.
    pub(super) fn shows_results_to_people(&self) -> bool {
        self.stdout_is_terminal
    }

    /// Decides how to show things.
    pub(super) fn output_options(&self, global: &GlobalArguments, plan_is_result: bool) -> OutputOptions {
        let mode = match global.output {
            Some(OutputChoice::Human) => Mode::Human,
            Some(OutputChoice::Plain) => Mode::Plain,
            Some(OutputChoice::Json) => Mode::Json,
            None => Mode::choose(self.stderr_is_terminal, self.dumb, self.ci),
        };
        let color = |terminal: bool| {
            mode == Mode::Human
                && match global.color {
                    ColorChoice::Always => true,
                    ColorChoice::Never => false,
                    ColorChoice::Auto => terminal && !self.no_color && !self.dumb,
                }
        };
        OutputOptions {
            mode,
            quiet: global.quiet,
            verbosity: global.verbose,
            color_stdout: color(self.stdout_is_terminal),
            color_stderr: color(self.stderr_is_terminal),
            dumb: self.dumb,
            columns: self.columns,
            plan_is_result,
        }
    }

    /// The output for errors of the command line itself; `None` where clap shows them.
    pub(super) fn early_output(&self, words: &[std::ffi::OsString]) -> Option<Output> {
        let mode = early_value(words, "--output", "LAMBDACTL_OUTPUT")?;
        (mode == "json").then(|| {
            let options = OutputOptions {
                mode: Mode::Json,
                quiet: false,
                verbosity: 0,
                color_stdout: false,
                color_stderr: false,
                dumb: false,
                columns: None,
                plan_is_result: false,
            };
            Output::new(options, Screen::standard())
        })
    }

    /// Logs to standard error with `-vv`. The levels are fixed: at its finer ones the AWS SDK
    /// prints whole answers, and an answer of ECR holds a registry token.
    pub(super) fn start_tracing(&self, global: &GlobalArguments) {
        let filter = match global.verbose {
            0 | 1 => return,
            2 => "info,lambdactl=debug",
            _ => "info,lambdactl=trace",
        };
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .with_writer(std::io::stderr)
            .with_ansi(self.output_options(global, false).color_stderr)
            .finish();
        // Fails only where a subscriber is set already, which nobody else does.
        let _already_set = tracing::subscriber::set_global_default(subscriber);
    }
}

/// What a verb is run with.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) global: GlobalArguments,
    pub(super) environment: Environment,
    pub(super) output: Output,
}

/// A cloud to work in, and the local one behind it, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) cloud: Cloud,
    _local: Option<RunningCloud>,
}

impl Connection {
    /// Where the local cloud is, and whether it is in this process; `None` in AWS.
    pub(super) fn local(&self) -> Option<(&str, bool)> {
        self._local.as_ref().map(|local| (local.endpoint.as_str(), local.is_own()))
    }

    /// Ends what runs in this process, and waits for it.
    pub(super) async fn end(self) {
        if let Some(local) = self._local {
            local.end().await;
        }
    }
}

impl Context {
    pub(super) fn new(global: GlobalArguments, environment: Environment, output: Output) -> Self {
        Self { global, environment, output }
    }

    /// The same, for the local cloud.
    pub(super) fn local(&self) -> Self {
        let global = GlobalArguments { local: true, ..self.global.clone() };
        Self::new(global, self.environment.clone(), self.output.clone())
    }

    /// Where the configuration of `path` is.
    pub(super) fn location(&self, path: Option<&Path>) -> Location {
        Location {
            path: path.map(Path::to_owned),
            config: self.global.config.clone(),
            stage: self.global.stage.clone(),
        }
    }

    /// Connects to AWS, or to the local cloud with `--local`.
    pub(super) async fn connect(&self) -> Result<Connection, CommandError> {
        self.connect_with(&FunctionArguments::default(), false).await
    }

    /// As [`Context::connect`], to ask once and briefly.
    pub(super) async fn connect_impatiently(&self) -> Result<Connection, CommandError> {
        self.connect_with(&FunctionArguments::default(), true).await
    }

    /// As [`Context::connect`], where functions may have to run in this process.
    pub(super) async fn connect_to(&self, functions: &FunctionArguments) -> Result<Connection, CommandError> {
        self.connect_with(functions, false).await
    }

    async fn connect_with(
        &self,
        functions: &FunctionArguments,
        impatient: bool,
    ) -> Result<Connection, CommandError> {
        let local = if self.global.local {
            Some(crate::local::attach_or_serve(&self.local_options(None, functions)?).await?)
        } else {
            None
        };
        let session = SessionOptions {
            region: self.global.region.clone(),
            profile: self.global.profile.clone(),
            local_endpoint: local.as_ref().map(|cloud| cloud.endpoint.clone()),
            extra_roots: self.environment.extra_roots.clone(),
            endpoints: self.environment.endpoints.clone(),
            impatient,
        };
        let engine = self.environment.engine.clone();
        let mut cloud = Cloud::connect(&session, engine, self.output.reporter()).await?;
        if let Some(directory) = &self.environment.cache_directory {
            cloud = cloud.with_cache(directory.join("lambdactl"));
        }
        Ok(Connection { cloud, _local: local })
    }

    /// Where an image is started to see whether it can be. Not among temporary files: programs may
    /// be forbidden to run there.
    pub(super) fn trial_directory(&self) -> Result<PathBuf, CommandError> {
        let state = self.environment.state_directory.as_ref();
        state.map(|directory| directory.join("lambdactl")).ok_or_else(|| CommandError::Usage {
            message: "nowhere to start an image: neither HOME nor XDG_STATE_HOME is set".to_owned(),
            hints: vec!["name a directory with XDG_STATE_HOME".to_owned()],
        })
    }

    /// How functions are run.
    pub(super) fn function_options(&self, functions: &FunctionArguments) -> FunctionOptions {
        FunctionOptions {
            choice: functions.choice(),
            engine: self.environment.engine.clone(),
            credentials: functions.credentials(),
            reporter: self.output.reporter(),
        }
    }

    /// Where the local cloud lives and how it listens.
    pub(super) fn local_options(
        &self,
        listen: Option<std::net::SocketAddr>,
        functions: &FunctionArguments,
    ) -> Result<LocalOptions, CommandError> {
        let state = || Some(self.environment.state_directory.as_ref()?.join("lambdactl/local"));
        let directory = self.global.local_dir.clone().or_else(state).ok_or_else(|| CommandError::Usage {
            message: "nowhere to keep the local cloud: neither HOME nor XDG_STATE_HOME is set".to_owned(),
            hints: vec!["name a directory with `--local-dir DIR`".to_owned()],
        })?;
        let functions = self.function_options(functions);
        Ok(LocalOptions { directory, listen, delays: Delays::default(), functions })
    }

    /// A command line that speaks to the same cloud as this one.
    pub(super) fn command_line(&self, rest: &str) -> String {
        let global = &self.global;
        let mut words = vec!["lambdactl".to_owned(), rest.to_owned()];
        if global.local {
            words.push("--local".to_owned());
        }
        let directory = global.local_dir.as_ref().map(|directory| directory.display().to_string());
        let options =
            [("--local-dir", &directory), ("--profile", &global.profile), ("--region", &global.region)];
        for (option, value) in options {
            if let Some(value) = value {
                words.push(format!("{option} {}", quoted(value)));
            }
        }
        words.join(" ")
    }
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        for (word, shell) in [("a-b/c.d", "a-b/c.d"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")] {
            assert_eq!(quoted(word), shell);
        }
    }
}
