//! A command of the user's own as a function: one event, through a Runtime API of its own, with
//! Lambda's variables and errors.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::environment::{INIT_LIMIT, milliseconds_from_now, now};
use super::process::{Living, Process};
use super::words;
use super::{InvokeError, Invoked};
use crate::domain::arn::Arn;
use crate::local::call::ACCOUNT;
use crate::local::runner::{Exit, OutputSink, process};
use crate::local::runtime_api::{Endpoint, Identity, Invocation};

/// What to run, and with what.
#[derive(Clone, Debug)]
pub struct PlainCommand {
    /// What the function is called.
    pub name: String,
    /// The region it believes to be in.
    pub region: String,
    /// The command: never empty.
    pub arguments: Vec<String>,
    /// The event.
    pub payload: Bytes,
    /// JSON of a mobile client.
    pub client_context: Option<String>,
    /// How long it may take to answer. Starting takes as long as it takes: it may be compiled.
    pub timeout: Duration,
    /// The memory it believes to have, in megabytes.
    pub memory: u64,
}

/// Takes what a command prints, line by line.
#[derive(Debug)]
pub struct CommandOutput(mpsc::Receiver<String>);

impl CommandOutput {
    /// The next line; `None` at the end.
    pub async fn line(&mut self) -> Option<String> {
        self.0.recv().await
    }
}

/// A command that is about to run.
#[derive(Debug)]
pub struct PlainFunction {
    command: PlainCommand,
    output: OutputSink,
}

impl PlainFunction {
    /// Makes one, and the end its output comes out of.
    pub fn new(command: PlainCommand) -> (Self, CommandOutput) {
        let (output, lines) = OutputSink::new();
        (Self { command, output }, CommandOutput(lines))
    }

    /// Runs the command, lets it handle the event, and ends it with everything it has started,
    /// also when this is dropped.
    pub async fn invoke(self) -> Result<Invoked, InvokeError> {
        let Self { command, output } = self;
        let identity = Identity {
            function: command.name.clone(),
            version: "$LATEST".to_owned(),
            handler: String::new(),
        };
        let endpoint = Endpoint::start(identity).await.map_err(InvokeError::Endpoint)?;
        let request_id = uuid::Uuid::new_v4().to_string();
        let variables = variables(&command, endpoint.address());
        let fault = match process::start(&command.arguments, &variables, output.clone()) {
            Err(error) => words::ended(&request_id, &Exit { start_error: Some(error), ..Exit::default() }),
            Ok(running) => {
                let process = Process::watch(running, &Living::default(), &CancellationToken::new());
                let answer = answer(&command, &endpoint, &process, &output, &request_id).await;
                process.kill().await;
                match answer {
                    Ok(payload) => {
                        return Ok(Invoked { payload, is_error: false, log_tail: String::new() });
                    }
                    Err(fault) => fault,
                }
            }
        };
        Ok(Invoked { payload: fault.document, is_error: true, log_tail: String::new() })
    }
}

async fn answer(
    command: &PlainCommand,
    endpoint: &Endpoint,
    process: &Process,
    output: &OutputSink,
    request_id: &str,
) -> Result<Bytes, words::Fault> {
    // Nothing is started but the command.
    endpoint.gate().expect(Vec::new());
    let (mut ready, mut init_error) = (endpoint.ready(), endpoint.init_error());
    tokio::select! {
        biased;
        Ok(error) = init_error.wait_for(Option::is_some) => {
            if let Some(error) = error.clone() {
                return Err(words::reported(&error.error_type, error.document));
            }
        }
        Ok(_) = ready.wait_for(|count| *count > 0) => {}
        ended = process.ended() => return Err(words::ended(request_id, &ended.exit)),
        // Never ends: there is no telling how long a program may be compiled.
        () = remind(output) => {}
    }
    let answer = endpoint.invoke(Invocation {
        request_id: request_id.to_owned(),
        deadline: milliseconds_from_now(command.timeout),
        function_arn: Arn::function(&command.region, ACCOUNT, &command.name).to_string(),
        trace_id: format!("Root=1-00000000-{}", &uuid::Uuid::new_v4().simple().to_string()[..24]),
        client_context: command.client_context.clone(),
        payload: command.payload.clone(),
        pieces: None,
    });
    let mut answer = answer.await;
    tokio::select! {
        biased;
        Ok(answer) = &mut answer => words::answered(answer),
        ended = process.ended() => match endpoint.left(answer).await {
            Some(answer) => words::answered(answer),
            None => Err(words::ended(request_id, &ended.exit)),
        },
        () = tokio::time::sleep(command.timeout) => Err(words::timed_out(request_id, command.timeout, &now())),
    }
}

/// Tells, once, what is waited for: a program that knows nothing of Lambda would never ask.
async fn remind(output: &OutputSink) {
    tokio::time::sleep(INIT_LIMIT).await;
    let text = "lambdactl: still waiting for the program to ask for its event, as a Lambda runtime does at AWS_LAMBDA_RUNTIME_API; Ctrl-C ends it";
    output.line(text.to_owned()).await;
    std::future::pending().await
}

fn variables(command: &PlainCommand, address: std::net::SocketAddr) -> Vec<(String, String)> {
    let group = format!("/aws/lambda/{}", command.name);
    let pairs = [
        ("AWS_LAMBDA_RUNTIME_API", address.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", command.name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", command.memory.to_string()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "local".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_REGION", command.region.clone()),
        ("AWS_DEFAULT_REGION", command.region.clone()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
}
