//! `lambdactl deploy`

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::context::Context;
use super::error::{CommandError, Exit};
use super::many::ManyArguments;
use super::plan;
use super::settings::{
    AllowArguments, EnvironmentArguments, FunctionArguments, ImageArguments, NameArguments,
    RepositoryArguments, overrides,
};
use crate::config::{Overrides, Purpose, resolve};
use crate::domain::plan::Deployment;
use crate::domain::reference::Tag;
use crate::domain::spec::DeploySpec;
use crate::output::results::{NextStep, Outcome};
use crate::pipeline::DeployOptions;

/// Take a function from source to live
///
/// Builds the image, pushes what the repository does not have yet, lets Lambda pull it, creates
/// or updates the function, and watches it until it is live. A step that has nothing to do is
/// skipped; deploying again without a change makes no write call.
///
/// A setting that neither the configuration nor an option names is left as it is on an existing
/// function. One whose creation failed is refused, with all that belongs to it; with --yes it is
/// deleted and created anew. Prints the function's ARN.
///
/// Several directories are deployed at the same time, and one that fails does not stop the
/// others. The exit code is then that of the first failure, in the order of the directories.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl deploy --local
      Deploy this directory to the local cloud
  lambdactl deploy --role hello-role services/hello
      Create or update the function `hello` from its directory
  lambdactl deploy --stage prod --memory-size 1024
      Deploy with the settings of a stage and one of your own
  lambdactl deploy --image docker:hello:v1 --function hello
      Deploy an image that the Docker Engine has
  lambdactl deploy services/*
      Deploy several functions at the same time
  lambdactl deploy --update-env-vars LOG_LEVEL=debug
      Set one environment variable and keep the others
  lambdactl deploy --dry-run
      Show what would be done")]
pub(super) struct DeployArguments {
    #[command(flatten)]
    spec: SpecArguments,

    /// Show what would be done and do nothing (the same as `lambdactl plan`)
    #[arg(long, help_heading = "Deployment")]
    dry_run: bool,

    /// Do not wait until the function has settled
    #[arg(long, help_heading = "Deployment")]
    no_wait: bool,

    #[command(flatten)]
    wait: WaitArguments,

    #[command(flatten)]
    tag: TagArguments,

    #[command(flatten)]
    many: ManyArguments,
}

/// Everything that says what is to be deployed.
#[derive(Debug, Args)]
pub(super) struct SpecArguments {
    /// Directories that hold a `lambdactl.toml` or a `Dockerfile` [default: .]
    #[arg(value_name = "PATH", value_hint = ValueHint::DirPath)]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    name: NameArguments,

    #[command(flatten)]
    function: FunctionArguments,

    #[command(flatten)]
    environment: EnvironmentArguments,

    #[command(flatten)]
    image: ImageArguments,

    #[command(flatten)]
    repository: RepositoryArguments,

    #[command(flatten)]
    allow: AllowArguments,

    /// Make a basic execution role where there is none (always with `--local`)
    #[arg(long, help_heading = "Deployment")]
    create_role: bool,
}

/// How long to wait.
#[derive(Debug, Args)]
pub(super) struct WaitArguments {
    /// Wait this long for the function to settle, such as 90s or 5m
    #[arg(long, value_name = "DURATION", env = "LAMBDACTL_WAIT_TIMEOUT", hide_env_values = true)]
    #[arg(default_value = "10m", value_parser = humantime::parse_duration, help_heading = "Deployment")]
    pub(super) wait_timeout: Duration,
}

/// What the pushed image is called besides its digest.
#[derive(Debug, Args)]
pub(super) struct TagArguments {
    /// Tag the pushed image, besides its digest
    #[arg(long, value_name = "TAG", env = "LAMBDACTL_TAG", hide_env_values = true)]
    #[arg(help_heading = "Repository")]
    pub(super) tag: Option<Tag>,
}

impl SpecArguments {
    fn overrides(&self) -> Result<Overrides, CommandError> {
        let function = Some((&self.function, &self.environment));
        let mut overrides = overrides(&self.name, function, Some(&self.image), Some(&self.repository))?;
        overrides.settings.check.allow = self.allow.rules();
        Ok(overrides)
    }

    /// The specifications of all directories; all are resolved before the first is deployed.
    pub(super) fn resolve(&self, context: &Context) -> Result<Vec<DeploySpec>, CommandError> {
        let overrides = self.overrides()?;
        let specs = match self.paths.as_slice() {
            [] => vec![resolve(&context.location(None), &overrides, Purpose::Image)?],
            paths => paths
                .iter()
                .map(|path| resolve(&context.location(Some(path)), &overrides, Purpose::Image))
                .collect::<Result<_, _>>()?,
        };
        for (index, spec) in specs.iter().enumerate() {
            let name = &spec.function.name;
            if let Some(other) = specs[..index].iter().find(|other| other.function.name == *name) {
                return Err(CommandError::Usage {
                    message: format!(
                        "`{}` and `{}` are both the function `{name}`",
                        other.directory.display(),
                        spec.directory.display()
                    ),
                    hints: vec![
                        "deploy them one by one, or name them apart with `[function] name`".to_owned(),
                    ],
                });
            }
        }
        Ok(specs)
    }

    /// Whether a missing role is made. In the local cloud it always is: nobody has to have one
    /// there before the first deployment.
    pub(super) fn creates_role(&self, context: &Context) -> bool {
        self.create_role || context.global.local
    }
}

impl DeployArguments {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let specs = self.spec.resolve(context)?;
        let options = DeployOptions {
            create_role: self.spec.creates_role(context),
            no_wait: self.no_wait,
            wait_timeout: self.wait.wait_timeout,
            tag: self.tag.tag,
            replace: context.global.yes,
        };
        if self.dry_run {
            return Ok(match plan::show(context, &specs, &options).await? {
                Exit::Pending => Exit::Done,
                exit => exit,
            });
        }
        let connection = context.connect().await?;
        let [spec] = specs.as_slice() else {
            return Ok(self.many.deploy(context, &connection.cloud, &specs, &options).await);
        };
        let deployment = connection.cloud.deploy(spec, &options).await?;
        let next = next(context, &deployment);
        context.output.result(&Outcome::Deployment { deployment: Box::new(deployment), next });
        Ok(Exit::Done)
    }
}

fn next(context: &Context, deployment: &Deployment) -> Vec<NextStep> {
    let name = &deployment.function_name;
    let command = |verb: &str| context.command_line(&format!("{verb} {name}"));
    let watch = NextStep { command: command("watch"), purpose: "waits until it is live" };
    let status = NextStep { command: command("status"), purpose: "shows what is live" };
    let invoke = NextStep { command: command("invoke"), purpose: "calls it" };
    if deployment.waited { vec![status, invoke] } else { vec![watch, status] }
}
