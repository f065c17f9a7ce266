//! `lambdactl watch`

use clap::Args;

use super::context::Context;
use super::deploy::WaitArguments;
use super::error::{CommandError, Exit};
use crate::output::results::Outcome;

/// Follow a function until it settles
///
/// Shows every change of its state, with the reason. Ends with code 4 where it settles in Failed
/// and with code 5 where the time is over; the deployment goes on in AWS then.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl watch hello
      Wait until `hello` is live
  lambdactl watch hello --wait-timeout 2m
      Wait two minutes at most")]
pub(super) struct WatchArguments {
    /// Name or ARN of the function
    #[arg(value_name = "FUNCTION", value_parser = super::functions::named)]
    function: String,

    #[command(flatten)]
    wait: WaitArguments,
}

impl WatchArguments {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let connection = context.connect().await?;
        let function = connection.cloud.watch(&self.function, self.wait.wait_timeout).await?;
        context.output.result(&Outcome::Watch(Box::new(function)));
        Ok(Exit::Done)
    }
}
