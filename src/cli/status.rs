//! `lambdactl status`

use clap::Args;

use super::context::Context;
use super::error::{CommandError, Exit};
use super::settings::no_overrides;
use crate::config::function_name;
use crate::output::results::Outcome;

/// Show what is live: state, image, source commit, configuration
///
/// The source commit is the one in the image's label `org.opencontainers.image.revision`, where
/// it has that label. Values of environment variables are masked.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl status
      Show the function of this directory
  lambdactl status hello --output json
      Show any function, for a script")]
pub(super) struct StatusArguments {
    /// Name or ARN of the function [default: the one of the configuration]
    #[arg(value_name = "FUNCTION", env = "LAMBDACTL_FUNCTION", hide_env_values = true,
          value_parser = super::functions::named)]
    function: Option<String>,
}

impl StatusArguments {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let name = match self.function {
            Some(function) => function,
            None => function_name(&context.location(None), &no_overrides())?.to_string(),
        };
        let live = context.connect().await?.cloud.status(&name).await?;
        let (function, source_commit) = (Box::new(live.function), live.source_commit);
        context.output.result(&Outcome::Status { function, source_commit });
        Ok(Exit::Done)
    }
}
