//! `lambdactl run`

use std::time::Duration;

use clap::Args;

use super::context::Context;
use super::error::{CommandError, Exit};
use super::event::EventArguments;
use crate::domain::invocation::{Invocation, LARGEST_EVENT};
use crate::local::environments::{PlainCommand, PlainFunction};
use crate::output::results::Outcome;

/// Call a program as a function, without an image
///
/// Starts the program with a Runtime API of its own, hands it one event, prints the response, and
/// ends it. What it prints itself goes to standard error. Works on every system, and with
/// `cargo run`, `python` or `node` as the program.
///
/// The program runs as you: with your files and variables, and no limit but the time. To run a
/// function under Lambda's conditions, deploy it with --local and use `lambdactl invoke`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl run --payload '{\"name\":\"Ada\"}' -- cargo run
      Compile a function and call it
  lambdactl run --payload-file event.json -- python -m awslambdaric app.handler
      Call a Python function
  lambdactl run --timeout 3 -- ./bootstrap < event.json
      Take the event from standard input, and allow three seconds for the answer")]
pub(super) struct RunArguments {
    #[command(flatten)]
    event: EventArguments,

    /// Seconds the answer may take, once the program has started
    #[arg(long, value_name = "SECONDS", default_value = "900", value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout: u64,

    /// Memory the program is told it has, in MB
    #[arg(long, value_name = "MB", default_value = "128", value_parser = clap::value_parser!(u64).range(128..=10_240))]
    memory_size: u64,

    /// The program and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<String>,
}

impl RunArguments {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let payload = self.event.read(context, LARGEST_EVENT, "an invocation")?;
        let program = self.command.join(" ");
        let (function, mut output) = PlainFunction::new(PlainCommand {
            name: "run".to_owned(),
            region: context.global.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
            arguments: self.command,
            payload: payload.into(),
            client_context: self.event.client_context,
            timeout: Duration::from_secs(self.timeout),
            memory: self.memory_size,
        });
        let show = async {
            while let Some(line) = output.line().await {
                context.output.note(&line);
            }
        };
        let (invoked, ()) = tokio::join!(function.invoke(), show);
        let invoked = invoked.map_err(|error| CommandError::Runtime(std::io::Error::other(error)))?;
        let invocation = Invocation {
            status_code: 200,
            executed_version: None,
            payload: invoked.payload.to_vec(),
            function_error: invoked.is_error.then(|| "Unhandled".to_owned()),
            log_tail: None,
            request_id: None,
        };
        if let Some(failure) = invocation.failure() {
            let failure = Box::new(failure);
            return Err(CommandError::Function { function: program, failure, request_id: None });
        }
        context.output.result(&Outcome::Invocation { function: program, invocation: invocation.clone() });
        context.output.response(&invocation.payload, context.environment.shows_results_to_people());
        Ok(Exit::Done)
    }
}
