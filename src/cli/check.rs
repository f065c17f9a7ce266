//! `lambdactl check`

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::context::Context;
use super::error::{CommandError, Exit};
use super::functions::FunctionArguments;
use super::settings::{
    AllowArguments, EnvironmentArguments, ImageArguments, LimitArguments, NameArguments, StartArguments,
    overrides,
};
use super::signal;
use crate::config::{FILE_NAME, Purpose, resolve};
use crate::domain::finding::Severity;
use crate::domain::spec::{DeploySpec, ImageSpec};
use crate::image::Image;
use crate::local::trial::{Trial, Tried};
use crate::output::results::{CheckView, Outcome, StartView};
use crate::output::sarif;
use crate::pipeline::CheckOptions;

/// Hold an image against Lambda's rules, without deploying it
///
/// Builds the image (or reads the one named with --image) and looks at its manifest, its
/// configuration and all of its layers for what Lambda refuses, what fails at the first call, and
/// what it silently does differently. `deploy`, `plan` and `push` make the same check before
/// anything is written, but download no layers for it.
///
/// With --run, an image that passes is started as well, in a sandbox or a container, until it asks
/// for its first event: the strongest proof that it works. It runs as in Lambda, with the function's
/// memory, variables and start settings, and with its extensions; all of it is gone afterwards.
///
/// Prints what it finds: where it is, why Lambda cares, and what mends it. Ends with code 6 where
/// there are errors; warnings and notes do not count.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl check
      Build and check the image of this directory
  lambdactl check --image docker:hello:v1 --architecture arm64
      Check an image that the Docker Engine has
  docker save hello | lambdactl check --image archive:-
      Check what another program writes
  lambdactl check --run
      Start the image too, and see whether it asks for its first event
  lambdactl check --run --image docker:hello:v1 --set-env-vars TABLE=orders
      Start an image that exists, with what it needs
  lambdactl check --allow no-runtime-client
      Turn a rule off; `allow = [\"…\"]` under `[check]` does so for good
  lambdactl check --sarif findings.sarif
      Write what is found for a code host, too
  lambdactl check --rules
      List all rules")]
pub(super) struct CheckArguments {
    /// Directory that holds a `lambdactl.toml` or a `Dockerfile` [default: .]
    #[arg(value_name = "PATH", value_hint = ValueHint::DirPath)]
    path: Option<PathBuf>,

    #[command(flatten)]
    name: NameArguments,

    #[command(flatten)]
    limits: LimitArguments,

    #[command(flatten)]
    start: StartArguments,

    #[command(flatten)]
    variables: EnvironmentArguments,

    #[command(flatten)]
    image: ImageArguments,

    #[command(flatten)]
    allow: AllowArguments,

    /// Start the image if it passes, and wait until it asks for its first event
    #[arg(long, help_heading = "Check")]
    run: bool,

    #[command(flatten, next_help_heading = "Check")]
    functions: FunctionArguments,

    /// Check what versions that start from a snapshot need, too
    #[arg(long, help_heading = "Check")]
    snap_start: bool,

    /// Write what is found to this file as well, in SARIF 2.1.0
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Check")]
    sarif: Option<PathBuf>,

    /// List all rules and end
    #[arg(long, help_heading = "Check")]
    rules: bool,
}

impl CheckArguments {
    pub(super) fn run(self, context: &Context) -> Result<Exit, CommandError> {
        signal::block_on(async {
            let interrupted = signal::watch()?;
            let mut trial = None;
            let checked = tokio::select! {
                result = self.check(context, &mut trial) => result,
                _ = interrupted => Err(signal::interruption(context)),
            };
            // However it ended: what was started ends before the program does.
            if let Some(trial) = trial {
                trial.end().await;
            }
            checked
        })
    }

    async fn check(&self, context: &Context, trial: &mut Option<Trial>) -> Result<Exit, CommandError> {
        if self.rules {
            context.output.result(&Outcome::Rules);
            return Ok(Exit::Done);
        }
        let spec = self.spec(context)?;
        let connection = context.connect().await?;
        let options = CheckOptions { snap_start: self.snap_start, is_started: self.run };
        let (report, image) = connection.cloud.check(&spec, options).await?;
        let mut view = CheckView {
            report,
            digest: image.as_ref().map(Image::digest),
            artifact: artifact(&spec),
            start: if self.run { StartView::Omitted } else { StartView::Unwanted },
        };
        let passes = view.report.count(Severity::Error) == 0;
        if let Some(image) = image.filter(|_| self.run && passes) {
            let region = match connection.cloud.region() {
                "" => "us-east-1",
                region => region,
            };
            let started = self.start(context, trial, image, &spec, region).await;
            // What was found before stays found.
            let tried = match started {
                Ok(tried) => tried,
                Err(error) => {
                    view.start = StartView::Unwanted;
                    self.show(context, &view)?;
                    context.output.result_so_far(&Outcome::Check(Box::new(view)));
                    return Err(error);
                }
            };
            view.report.add(tried.finding, &spec.allow);
            let Tried { is_ready, elapsed, runner, .. } = tried;
            view.start = StartView::Tried { is_ready, elapsed, runner };
        }
        self.show(context, &view)?;
        let fails = view.report.count(Severity::Error) > 0;
        context.output.result(&Outcome::Check(Box::new(view)));
        Ok(if fails { Exit::Refused } else { Exit::Done })
    }

    fn spec(&self, context: &Context) -> Result<DeploySpec, CommandError> {
        let mut overrides = overrides(&self.name, None, Some(&self.image), None)?;
        let function = &mut overrides.settings.function;
        function.image_config = self.start.image_config();
        function.ephemeral_storage = self.start.ephemeral_storage();
        (function.memory_size, function.timeout) = (self.limits.memory_size, self.limits.timeout);
        overrides.settings.check.allow = self.allow.rules();
        overrides.environment = self.variables.verbs()?;
        Ok(resolve(&context.location(self.path.as_deref()), &overrides, Purpose::ImageAlone)?)
    }

    async fn start(
        &self,
        context: &Context,
        trial: &mut Option<Trial>,
        image: Image,
        spec: &DeploySpec,
        region: &str,
    ) -> Result<Tried, CommandError> {
        let functions = context.function_options(&self.functions);
        let trial = trial.insert(Trial::new(&context.trial_directory()?, image, functions)?);
        Ok(trial.start(&spec.function, region).await?)
    }

    /// Shows what was found, as far as it is not the result.
    fn show(&self, context: &Context, view: &CheckView) -> Result<(), CommandError> {
        if let Some(path) = &self.sarif {
            // Serializing texts and numbers cannot fail.
            let mut text = serde_json::to_string_pretty(&sarif::document(view)).unwrap_or_default();
            text.push('\n');
            let written = std::fs::write(path, text);
            written.map_err(|source| CommandError::Write { path: path.clone(), source })?;
        }
        context.output.findings(&view.report.findings);
        Ok(())
    }
}

/// The file whose author can mend what is found: what the image is made from.
fn artifact(spec: &DeploySpec) -> String {
    let file = spec.directory.join(FILE_NAME);
    match &spec.image {
        ImageSpec::Dockerfile(dockerfile) => dockerfile.dockerfile.display().to_string(),
        ImageSpec::Assembled(_) => file.display().to_string(),
        ImageSpec::Existing(_) if file.exists() => file.display().to_string(),
        ImageSpec::Existing(source) => source.to_string(),
    }
}
