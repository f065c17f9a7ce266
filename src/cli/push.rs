//! `lambdactl push`

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::context::Context;
use super::deploy::TagArguments;
use super::error::{CommandError, Exit};
use super::settings::{AllowArguments, ImageArguments, NameArguments, RepositoryArguments, overrides};
use crate::config::{Purpose, resolve};
use crate::output::results::Outcome;

/// Put an image into the repository and print REPOSITORY@DIGEST
///
/// Builds the image (or reads the one named with --image) and sends what the repository does not
/// have yet. No function is touched.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl push
      Build and push the image of this directory
  lambdactl push --image docker:hello:v1 --repository team/hello --tag v1
      Push an image that the Docker Engine has
  docker save hello | lambdactl push --image archive:- --repository hello
      Push what another program writes")]
pub(super) struct PushArguments {
    /// Directory that holds a `lambdactl.toml` or a `Dockerfile` [default: .]
    #[arg(value_name = "PATH", value_hint = ValueHint::DirPath)]
    path: Option<PathBuf>,

    #[command(flatten)]
    name: NameArguments,

    #[command(flatten)]
    image: ImageArguments,

    #[command(flatten)]
    repository: RepositoryArguments,

    #[command(flatten)]
    tag: TagArguments,

    #[command(flatten)]
    allow: AllowArguments,
}

impl PushArguments {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let mut overrides = overrides(&self.name, None, Some(&self.image), Some(&self.repository))?;
        overrides.settings.check.allow = self.allow.rules();
        let spec = resolve(&context.location(self.path.as_deref()), &overrides, Purpose::Image)?;
        let pushed = context.connect().await?.cloud.push(&spec, self.tag.tag.as_ref()).await?;
        context.output.result(&Outcome::Push(pushed));
        Ok(Exit::Done)
    }
}
