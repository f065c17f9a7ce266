//! `lambdactl invoke`

use clap::Args;

use super::context::Context;
use super::error::{CommandError, Exit};
use super::event::EventArguments;
use super::functions::FunctionArguments;
use crate::domain::invocation::{Invocation, InvokeRequest, LARGEST_ASYNCHRONOUS_EVENT, LARGEST_EVENT};
use crate::output::results::Outcome;
use crate::pipeline::{Cloud, PipelineError};

/// Call a function and print its response
///
/// The response goes to standard output, byte for byte; with --stream while the function makes
/// it, where it is one that streams. Where the function fails, its error type,
/// message and trace go to standard error, and the command ends with code 1.
///
/// With --local, functions run on this machine: in a container of Docker or Podman, else on Linux
/// in a sandbox that needs neither.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl invoke hello --payload '{\"name\":\"Ada\"}'
      Call the function with an event
  lambdactl invoke hello --payload-file event.json --log-tail
      Take the event from a file, and show the last lines of the log
  jq -c .detail event.json | lambdactl invoke hello --qualifier live --local
      Take the event from a pipe, and call the version behind an alias, locally")]
pub(super) struct InvokeArguments {
    /// Name or ARN of the function
    #[arg(value_name = "FUNCTION", value_parser = super::functions::named)]
    function: String,

    #[command(flatten)]
    event: EventArguments,

    /// Call this version or alias
    #[arg(long, value_name = "VERSION|ALIAS")]
    qualifier: Option<String>,

    /// Show the last 4 KB of the function's log on standard error
    #[arg(long, conflicts_with = "asynchronous")]
    log_tail: bool,

    /// Do not wait for the response
    #[arg(long = "async")]
    asynchronous: bool,

    /// Print the response while it comes, also one of more than 6 MB
    #[arg(long, conflicts_with = "asynchronous")]
    stream: bool,

    #[command(flatten)]
    functions: FunctionArguments,
}

impl InvokeArguments {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let request = self.request(context)?;
        let connection = context.connect_to(&self.functions).await?;
        let invoked = if self.stream {
            streamed(context, &connection.cloud, &request).await
        } else {
            connection.cloud.invoke(&request).await
        };
        // Whatever came of it: what runs in this process ends before the process does.
        connection.end().await;
        let invocation = invoked?;
        if let Some(log) = &invocation.log_tail {
            context.output.note(log.trim_end());
        }
        if let Some(failure) = invocation.failure() {
            return Err(CommandError::Function {
                function: self.function,
                failure: Box::new(failure),
                request_id: invocation.request_id,
            });
        }
        let payload = invocation.payload.clone();
        context.output.result(&Outcome::Invocation { function: self.function, invocation });
        context.output.response(&payload, context.environment.shows_results_to_people());
        Ok(Exit::Done)
    }

    fn request(&self, context: &Context) -> Result<InvokeRequest, CommandError> {
        let (limit, kind) = match self.asynchronous {
            true => (LARGEST_ASYNCHRONOUS_EVENT, "an asynchronous invocation"),
            false => (LARGEST_EVENT, "an invocation"),
        };
        let payload = self.event.read(context, limit, kind)?;
        Ok(InvokeRequest {
            function: self.function.clone(),
            qualifier: self.qualifier.clone(),
            payload,
            client_context: self.event.client_context.clone(),
            asynchronous: self.asynchronous,
            wants_log: self.log_tail,
        })
    }
}

/// Calls a function and shows its response while it comes. What is returned has the payload that
/// is still to be shown.
async fn streamed(
    context: &Context,
    cloud: &Cloud,
    request: &InvokeRequest,
) -> Result<Invocation, PipelineError> {
    let (mut kept, mut is_line_open) = (Vec::new(), false);
    let mut show = |piece: &[u8]| {
        if context.output.piece(piece) {
            is_line_open = !piece.ends_with(b"\n");
        } else {
            kept.extend_from_slice(piece);
        }
    };
    let mut invocation = cloud.invoke_streamed(request, &mut show).await?;
    if is_line_open && context.environment.shows_results_to_people() {
        context.output.piece(b"\n");
    }
    if invocation.function_error.is_none() {
        invocation.payload = kept;
    }
    Ok(invocation)
}
