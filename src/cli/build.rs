//! `lambdactl build`

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::context::Context;
use super::error::{CommandError, Exit};
use super::settings::{AllowArguments, ImageArguments, NameArguments, overrides};
use crate::config::{Purpose, resolve};
use crate::output::results::Outcome;

/// Build the image and print its digest
///
/// Builds from the Dockerfile, assembles the files, or reads the image that is named, and refuses
/// one that cannot work in Lambda (`lambdactl check` tells everything). Nothing is pushed.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl build
      Build the image of this directory
  lambdactl build --architecture arm64 services/hello
      Build for another machine
  lambdactl build --image archive:image.tar
      Check an image that exists")]
pub(super) struct BuildArguments {
    /// Directory that holds a `lambdactl.toml` or a `Dockerfile` [default: .]
    #[arg(value_name = "PATH", value_hint = ValueHint::DirPath)]
    path: Option<PathBuf>,

    #[command(flatten)]
    name: NameArguments,

    #[command(flatten)]
    image: ImageArguments,

    #[command(flatten)]
    allow: AllowArguments,
}

impl BuildArguments {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let mut overrides = overrides(&self.name, None, Some(&self.image), None)?;
        overrides.settings.check.allow = self.allow.rules();
        let spec = resolve(&context.location(self.path.as_deref()), &overrides, Purpose::ImageAlone)?;
        let image = context.connect().await?.cloud.build(&spec).await?;
        context.output.result(&Outcome::Build {
            digest: image.digest(),
            compressed_size: image.compressed_size(),
            layers: image.layers.len(),
            platform: image.config.platform().to_string(),
        });
        Ok(Exit::Done)
    }
}
