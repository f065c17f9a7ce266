//! `lambdactl wake`

use clap::Args;

use super::context::Context;
use super::deploy::WaitArguments;
use super::error::{CommandError, Exit};
use crate::output::results::Outcome;

/// Re-activate a function that nobody used for weeks
///
/// Lambda lets such a function fall Inactive, and the first invocation of it fails. This wakes it
/// beforehand, without calling it: by an update that changes nothing. A function that is awake is
/// left alone. Prints the function's ARN.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl wake hello
      Re-activate the function, and wait until it can be invoked
  lambdactl wake hello --wait-timeout 2m
      Wait two minutes at most")]
pub(super) struct WakeArguments {
    /// Name or ARN of the function
    #[arg(value_name = "FUNCTION", value_parser = super::functions::named)]
    function: String,

    #[command(flatten)]
    wait: WaitArguments,
}

impl WakeArguments {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let connection = context.connect().await?;
        let (function, woken) = connection.cloud.wake(&self.function, self.wait.wait_timeout).await?;
        context.output.result(&Outcome::Wake { function: Box::new(function), woken });
        Ok(Exit::Done)
    }
}
