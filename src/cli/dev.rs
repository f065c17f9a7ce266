//! `lambdactl dev`

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};
use tokio::task::JoinHandle;

use super::context::Context;
use super::error::{CommandError, Exit};
use super::functions::FunctionArguments;
use super::settings::{NameArguments, overrides};
use super::signal;
use crate::config::{Purpose, resolve};
use crate::domain::log::LogRequest;
use crate::domain::spec::DeploySpec;
use crate::local::call::Delays;
use crate::local::{self, LocalError, LocalOptions, RunningCloud};
use crate::output::results::{LocalReport, Outcome};
use crate::pipeline::{Cloud, DeployOptions, Sources};

/// Deploy to the local cloud, again with every change, and show the log
///
/// Serves the local cloud, deploys the function, follows its log, and deploys again as soon as a
/// source has changed, until Ctrl-C. Meanwhile the function is called from another terminal, or
/// at its URL. Nothing is sent to AWS.
///
/// Sources are all files beside the configuration, but not what version control and tools keep
/// for themselves (.git, target, node_modules, …) nor what the build command writes.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl dev
      Work on the function of this directory; in another terminal:
      lambdactl invoke hello --local
  lambdactl dev --url examples/web
      Work on a web function, and print the URL to open")]
pub(super) struct DevArguments {
    /// Directory that holds a `lambdactl.toml` or a `Dockerfile` [default: .]
    #[arg(value_name = "PATH", value_hint = ValueHint::DirPath)]
    path: Option<PathBuf>,

    /// Give the function a URL, and print it
    #[arg(long)]
    url: bool,

    #[command(flatten)]
    name: NameArguments,

    #[command(flatten)]
    functions: FunctionArguments,
}

/// As short as a state can be and still be seen: nobody here waits for AWS.
const DELAYS: Delays = Delays {
    create: Duration::from_millis(100),
    update: Duration::from_millis(50),
    role: Duration::ZERO,
    ..Delays::USUAL
};
/// How long a deployment may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Paths that are named when something has changed.
const NAMED: usize = 3;

impl DevArguments {
    pub(super) fn run(self, context: &Context) -> Result<Exit, CommandError> {
        signal::block_on(async {
            let context = context.local();
            let interrupted = signal::watch()?;
            // A configuration that never worked is a mistake on the command line.
            let spec = self.spec(&context)?;
            let options = context.local_options(None, &self.functions)?;
            let running = serve(LocalOptions { delays: DELAYS, ..options }).await?;
            let mut work = Work { arguments: &self, context: &context, log: None };
            let worked = tokio::select! {
                result = work.go(spec) => result,
                // Ctrl-C is how this is meant to end.
                _ = interrupted => Ok(()),
            };
            drop(work);
            running.end().await;
            worked.map(|()| Exit::Done)
        })
    }

    fn spec(&self, context: &Context) -> Result<DeploySpec, CommandError> {
        let overrides = overrides(&self.name, None, None, None)?;
        Ok(resolve(&context.location(self.path.as_deref()), &overrides, Purpose::Image)?)
    }
}

/// Serves where other commands find it, or uses the server that does so already.
async fn serve(options: LocalOptions) -> Result<RunningCloud, LocalError> {
    match local::serve(&options).await {
        Err(LocalError::AlreadyServing { .. }) => local::attach_or_serve(&options).await,
        served => served,
    }
}

struct Work<'a> {
    arguments: &'a DevArguments,
    context: &'a Context,
    log: Option<JoinHandle<()>>,
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        if let Some(log) = &self.log {
            log.abort();
        }
    }
}

impl Work<'_> {
    async fn go(&mut self, mut spec: DeploySpec) -> Result<(), CommandError> {
        let connection = self.context.connect_to(&self.arguments.functions).await?;
        let mut sources = Sources::default();
        loop {
            sources.begin(&spec).await;
            let deployed = self.deploy(&connection.cloud, &spec).await;
            if let Err(error) = &deployed {
                self.context.output.error(&error.report());
            }
            let mut is_known = sources.has_changed_meanwhile().await;
            if !is_known {
                self.context.output.note("waiting for changes; Ctrl-C ends it");
            }
            spec = loop {
                if !std::mem::take(&mut is_known) {
                    let changed = sources.changed().await;
                    self.context.output.note(&told(&spec.directory, &changed));
                }
                match self.arguments.spec(self.context) {
                    Ok(spec) => break spec,
                    Err(error) => self.context.output.error(&error.report()),
                }
            };
        }
    }

    async fn deploy(&mut self, cloud: &Cloud, spec: &DeploySpec) -> Result<(), CommandError> {
        let options = DeployOptions {
            create_role: true,
            no_wait: false,
            wait_timeout: PATIENCE,
            tag: None,
            replace: false,
        };
        let deployment = cloud.deploy(spec, &options).await?;
        let function = deployment.function_name.to_string();
        self.context
            .output
            .result(&Outcome::Deployment { deployment: Box::new(deployment), next: Vec::new() });
        if self.log.is_none() {
            if self.arguments.url {
                let url = cloud.function_url(&function).await?;
                let function = function.clone();
                self.context.output.result(&Outcome::Local(LocalReport::Url { function, url }));
            }
            self.log = Some(self.follow(cloud.clone(), function));
        }
        Ok(())
    }

    /// Shows the log, beside everything else.
    fn follow(&self, cloud: Cloud, function: String) -> JoinHandle<()> {
        let output = self.context.output.clone();
        tokio::spawn(async move {
            let request = LogRequest { function, since: Duration::ZERO, filter: None, follow: true };
            let mut show = |event: &_| output.log(&request.function, event);
            if let Err(error) = cloud.logs_of(&request, &mut show).await {
                output.note(&format!("the log cannot be followed any more: {error}"));
            }
        })
    }
}

/// What has changed, in a few words.
fn told(directory: &Path, changed: &[PathBuf]) -> String {
    let name = |path: &PathBuf| path.strip_prefix(directory).unwrap_or(path).display().to_string();
    let named: Vec<String> = changed.iter().take(NAMED).map(name).collect();
    let rest = match changed.len().saturating_sub(NAMED) {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    format!("changed: {}{rest}", named.join(", "))
}
