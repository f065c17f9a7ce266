//! `lambdactl invoke`

use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use serde::de::IgnoredAny;

use super::context::Context;
use super::error::{CommandError, Exit};
use super::functions::FunctionArguments;
use crate::domain::invocation::{InvokeRequest, LARGEST_ASYNCHRONOUS_EVENT, LARGEST_EVENT};
use crate::domain::size::ByteSize;
use crate::output::results::Outcome;

/// Call a function and print its response
///
/// The response goes to standard output, byte for byte. Where the function fails, its error type,
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
    #[arg(value_name = "FUNCTION")]
    function: String,

    /// The event [default: standard input, or {} where that is a terminal or empty]
    #[arg(long, value_name = "JSON", conflicts_with = "payload_file")]
    payload: Option<String>,

    /// Read the event from a file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,

    /// Call this version or alias
    #[arg(long, value_name = "VERSION|ALIAS")]
    qualifier: Option<String>,

    /// Show the last 4 KB of the function's log on standard error
    #[arg(long, conflicts_with = "asynchronous")]
    log_tail: bool,

    /// Do not wait for the response
    #[arg(long = "async")]
    asynchronous: bool,

    /// What a client of the mobile SDK would send along
    #[arg(long, value_name = "JSON")]
    client_context: Option<String>,

    #[command(flatten)]
    functions: FunctionArguments,
}

impl InvokeArguments {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let request = self.request(context)?;
        let connection = context.connect_to(&self.functions).await?;
        let invoked = connection.cloud.invoke(&request).await;
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
        let payload = self.event(context)?;
        let (limit, kind) = match self.asynchronous {
            true => (LARGEST_ASYNCHRONOUS_EVENT, "an asynchronous invocation"),
            false => (LARGEST_EVENT, "an invocation"),
        };
        if payload.len() > limit {
            return Err(CommandError::Usage {
                message: format!(
                    "the event has {} bytes, and Lambda takes {limit} ({}) at most for {kind}",
                    payload.len(),
                    ByteSize(limit as u64)
                ),
                hints: vec!["put the data into S3, and send the name of the object".to_owned()],
            });
        }
        require_json("the event", &payload)?;
        if let Some(text) = &self.client_context {
            require_json("--client-context", text.as_bytes())?;
        }
        Ok(InvokeRequest {
            function: self.function.clone(),
            qualifier: self.qualifier.clone(),
            payload,
            client_context: self.client_context.clone(),
            asynchronous: self.asynchronous,
            wants_log: self.log_tail,
        })
    }

    fn event(&self, context: &Context) -> Result<Vec<u8>, CommandError> {
        let from_file = self.payload_file.as_deref().filter(|path| *path != std::path::Path::new("-"));
        let bytes = match (&self.payload, from_file) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(path)) => std::fs::read(path).map_err(|error| CommandError::Usage {
                message: format!("reading `{}`: {error}", path.display()),
                hints: Vec::new(),
            })?,
            (None, None) if self.payload_file.is_none() && context.environment.reads_from_people() => {
                Vec::new()
            }
            (None, None) => {
                let mut bytes = Vec::new();
                // One byte more than is allowed tells enough.
                let mut input = std::io::stdin().lock().take(LARGEST_EVENT as u64 + 1);
                input.read_to_end(&mut bytes).map_err(|error| CommandError::Usage {
                    message: format!("reading standard input: {error}"),
                    hints: Vec::new(),
                })?;
                bytes
            }
        };
        Ok(if bytes.iter().all(u8::is_ascii_whitespace) { b"{}".to_vec() } else { bytes })
    }
}

fn require_json(what: &str, bytes: &[u8]) -> Result<(), CommandError> {
    match serde_json::from_slice::<IgnoredAny>(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(CommandError::Usage {
            message: format!("{what} is not JSON: {error}"),
            hints: vec!["a text is JSON in double quotes: `--payload '\"text\"'`".to_owned()],
        }),
    }
}
