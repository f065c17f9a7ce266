//! `lambdactl check`

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::context::Context;
use super::error::{CommandError, Exit};
use super::settings::{AllowArguments, ImageArguments, NameArguments, StartArguments, overrides};
use crate::config::{FILE_NAME, Purpose, resolve};
use crate::domain::finding::Severity;
use crate::domain::spec::{DeploySpec, ImageSpec};
use crate::output::results::{CheckView, Outcome};
use crate::output::sarif;

/// Hold an image against Lambda's rules, without deploying it
///
/// Builds the image (or reads the one named with --image) and looks at its manifest, its
/// configuration and all of its layers for what Lambda refuses, what fails at the first call, and
/// what it silently does differently. `deploy`, `plan` and `push` make the same check before
/// anything is written, but download no layers for it.
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
    start: StartArguments,

    #[command(flatten)]
    image: ImageArguments,

    #[command(flatten)]
    allow: AllowArguments,

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
    pub(super) async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        if self.rules {
            context.output.result(&Outcome::Rules);
            return Ok(Exit::Done);
        }
        let mut overrides = overrides(&self.name, None, Some(&self.image), None)?;
        overrides.settings.function.image_config = self.start.image_config();
        overrides.settings.function.ephemeral_storage = self.start.ephemeral_storage();
        overrides.settings.check.allow = self.allow.rules();
        let spec = resolve(&context.location(self.path.as_deref()), &overrides, Purpose::ImageAlone)?;
        let connection = context.connect().await?;
        let (report, digest) = connection.cloud.check(&spec, self.snap_start).await?;
        let view = CheckView { report, digest, artifact: artifact(&spec) };
        if let Some(path) = &self.sarif {
            // Serializing texts and numbers cannot fail.
            let mut text = serde_json::to_string_pretty(&sarif::document(&view)).unwrap_or_default();
            text.push('\n');
            let written = std::fs::write(path, text);
            written.map_err(|source| CommandError::Write { path: path.clone(), source })?;
        }
        let fails = view.report.count(Severity::Error) > 0;
        context.output.findings(&view.report.findings);
        context.output.result(&Outcome::Check(Box::new(view)));
        Ok(if fails { Exit::Refused } else { Exit::Done })
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
