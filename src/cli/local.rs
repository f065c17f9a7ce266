//! `lambdactl local`

use std::net::SocketAddr;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::context::Context;
use super::error::{CommandError, Exit};
use super::functions::FunctionArguments;
use super::signal;
use crate::domain::function::FunctionName;
use crate::domain::reason;
use crate::local::{self, Wish};
use crate::output::results::local::{LocalFunctionRow, LocalRepositoryRow};
use crate::output::results::{LocalReport, Outcome};
use crate::services::session::local_region;

/// Run, inspect or wipe the embedded local cloud
///
/// The local cloud speaks the APIs of ECR, Lambda, CloudWatch Logs, IAM and STS on this machine, for
/// lambdactl and for any other AWS client. Its state lives in a directory (--local-dir) and survives.
#[derive(Debug, Subcommand)]
#[command(after_long_help = "\
Examples:
  lambdactl local serve
      Serve it in the foreground
  lambdactl local status
      Show what it holds
  lambdactl local url hello
      Give a function a URL to open in a browser
  lambdactl local fail hello ImageAccessDenied
      Let the next deployment of a function fail, to see how that looks
  lambdactl local reset
      Wipe it")]
pub(super) enum LocalCommand {
    /// Serve the local cloud in the foreground, for any AWS client
    ///
    /// Prints what to export to talk to it, and serves until Ctrl-C. Commands with --local use a
    /// server that runs for the same directory, else they serve for themselves.
    #[command(after_long_help = "\
Examples:
  lambdactl local serve
      Serve on a free port and print what to export
  lambdactl local serve --listen 127.0.0.1:4566
      Serve on a port of your choice; then, in another terminal:
      AWS_ENDPOINT_URL=http://127.0.0.1:4566 aws lambda list-functions")]
    Serve(ServeArguments),

    /// Show what the local cloud holds
    #[command(after_long_help = "\
Examples:
  lambdactl local status
      Show the functions and repositories of all regions
  lambdactl local status --output json
      The same for a script")]
    Status,

    /// Give a function a URL, and print it
    ///
    /// Requests to the URL reach the function in Lambda's payload format 2.0, and its answers
    /// become HTTP responses. Browsers and curl take the host name for this machine. Needs a
    /// running `local serve`.
    #[command(after_long_help = "\
Examples:
  lambdactl local url hello
      Print where `hello` answers HTTP
  curl $(lambdactl local url hello)
      Ask it")]
    Url(UrlArguments),

    /// Let a function fail for a reason of your choice
    ///
    /// The next creation or update of the function is accepted, and ends in Failed with this code,
    /// once. With --now, the function shows the code at once, as if Lambda had found out later:
    /// it is Inactive, or stuck in Pending with the codes Creating and Restoring.
    ///
    /// For an image that is really gone, or a policy that really lacks Lambda's right, delete them
    /// with any AWS client: a function that wakes up meets both.
    #[command(after_long_help = "\
Examples:
  lambdactl local fail hello InvalidImage
      Let the next deployment fail
  lambdactl local fail hello ImageDeleted --now
      Make the function what it is when its image was deleted, and deploy again
  lambdactl local fail hello --clear
      Let the next deployment succeed again")]
    Fail(FailArguments),

    /// Let a function fall idle, as Lambda does with functions nobody used for weeks
    #[command(after_long_help = "\
Examples:
  lambdactl local idle hello
      Let it fall idle
  lambdactl wake --local hello
      Re-activate it")]
    Idle(IdleArguments),

    /// Wipe the local cloud: every function, repository and image of it
    #[command(after_long_help = "\
Examples:
  lambdactl local reset
      Wipe it, after asking
  lambdactl local reset --yes --local-dir /tmp/cloud
      Wipe another one without asking")]
    Reset,
}

/// How to serve.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// Listen on this loopback address [default: a free port of 127.0.0.1]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = loopback)]
    listen: Option<SocketAddr>,

    #[command(flatten)]
    functions: FunctionArguments,
}

/// Which function.
#[derive(Debug, Args)]
pub(super) struct UrlArguments {
    /// Name or ARN of the function
    #[arg(value_name = "FUNCTION", value_parser = super::functions::named)]
    function: String,
}

/// How a function fails.
#[derive(Debug, Args)]
pub(super) struct FailArguments {
    /// Name of the function; it need not exist yet
    #[arg(value_name = "FUNCTION")]
    function: FunctionName,

    /// The reason code, as Lambda spells it
    #[arg(value_name = "CODE", required_unless_present = "clear", hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(reason::codes()))]
    code: Option<String>,

    /// The reason in Lambda's words [default: a usual text]
    #[arg(long, value_name = "TEXT", conflicts_with = "clear")]
    reason: Option<String>,

    /// Let the function show it at once
    #[arg(long)]
    now: bool,

    /// Let changes end well again
    #[arg(long, conflicts_with_all = ["code", "now"])]
    clear: bool,
}

/// Which function falls idle.
#[derive(Debug, Args)]
pub(super) struct IdleArguments {
    /// Name of the function
    #[arg(value_name = "FUNCTION")]
    function: FunctionName,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "expected an address and a port, such as 127.0.0.1:4566".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("the local cloud asks nobody for credentials and listens on loopback only".to_owned())
    }
}

impl LocalCommand {
    pub(super) fn run(self, context: &Context) -> Result<Exit, CommandError> {
        match self {
            Self::Serve(arguments) => signal::block_on(serve(context, arguments)),
            Self::Status => status(context),
            Self::Url(arguments) => signal::run(context, url(context, arguments.function)),
            Self::Fail(arguments) => signal::block_on(fail(context, arguments)),
            Self::Idle(arguments) => signal::block_on(idle(context, arguments)),
            Self::Reset => signal::block_on(reset(context)),
        }
    }
}

async fn serve(context: &Context, arguments: ServeArguments) -> Result<Exit, CommandError> {
    let interrupted = signal::watch()?;
    let running = local::serve(&context.local_options(arguments.listen, &arguments.functions)?).await?;
    let region = context.global.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
    let dummy = || "local".to_owned();
    context.output.result(&Outcome::Local(LocalReport::Serving {
        endpoint: running.endpoint.clone(),
        exports: vec![
            ("AWS_ENDPOINT_URL", running.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", dummy()),
            ("AWS_SECRET_ACCESS_KEY", dummy()),
            ("AWS_REGION", region.clone()),
            // What botocore (AWS CLI, boto3) reads instead.
            ("AWS_DEFAULT_REGION", region),
        ],
    }));
    // Ends with an error only if the task is gone, and then there is nothing to wait for either.
    let _interrupted = interrupted.await;
    running.end().await;
    // Ctrl-C is how a server in the foreground is meant to end.
    Ok(Exit::Done)
}

fn status(context: &Context) -> Result<Exit, CommandError> {
    let status = local::status(&context.local_options(None, &FunctionArguments::default())?)?;
    let function = |function: local::LocalFunction| LocalFunctionRow {
        region: function.region,
        name: function.name,
        state: function.state,
        image_digest: function.image_digest,
        urls: function.urls,
    };
    let repository = |repository: local::LocalRepository| LocalRepositoryRow {
        region: repository.region,
        name: repository.name,
        images: repository.images,
    };
    context.output.result(&Outcome::Local(LocalReport::Status {
        directory: status.directory.display().to_string(),
        endpoint: status.endpoint,
        blob_bytes: status.blob_bytes,
        functions: status.functions.into_iter().map(function).collect(),
        repositories: status.repositories.into_iter().map(repository).collect(),
    }));
    Ok(Exit::Done)
}

async fn url(context: &Context, function: String) -> Result<Exit, CommandError> {
    let options = context.local_options(None, &FunctionArguments::default())?;
    let looked = tokio::task::block_in_place(|| local::status(&options))?;
    if looked.endpoint.is_none() {
        let directory = options.directory.display();
        return Err(CommandError::Usage {
            message: format!("nobody serves the local cloud in `{directory}`, so nothing would answer there"),
            hints: vec![format!("start `{}` in another terminal", context.command_line("local serve"))],
        });
    }
    let url = context.local().connect().await?.cloud.function_url(&function).await?;
    context.output.result(&Outcome::Local(LocalReport::Url { function, url }));
    Ok(Exit::Done)
}

async fn fail(context: &Context, arguments: FailArguments) -> Result<Exit, CommandError> {
    let FailArguments { function, code, reason: words, now, .. } = arguments;
    let waits = code.as_deref().filter(|code| reason::is_transition(code) && !now);
    if let Some(code) = waits {
        return Err(CommandError::Usage {
            message: format!("`{code}` is no failure, so no change can end in it"),
            hints: vec![format!(
                "with `--now`, the function stays in it: `lambdactl local fail {function} {code} --now`"
            )],
        });
    }
    let wish = match code.clone() {
        None => Wish::Forget,
        Some(code) if now => Wish::Now { code, reason: words },
        Some(code) => Wish::NextChangeFails { code, reason: words },
    };
    let region = wish_for(context, &function, wish).await?;
    let function = function.to_string();
    context.output.result(&Outcome::Local(LocalReport::Fail { function, region, code, now }));
    Ok(Exit::Done)
}

async fn idle(context: &Context, arguments: IdleArguments) -> Result<Exit, CommandError> {
    let function = arguments.function;
    let region = wish_for(context, &function, Wish::Idle).await?;
    let mut wake = context.command_line(&format!("wake {function}"));
    if !context.global.local {
        wake.push_str(" --local");
    }
    let function = function.to_string();
    context.output.result(&Outcome::Local(LocalReport::Idle { function, region, wake }));
    Ok(Exit::Done)
}

/// Asks the local cloud; returns the region that was meant.
async fn wish_for(context: &Context, function: &FunctionName, wish: Wish) -> Result<String, CommandError> {
    let global = &context.global;
    let region = local_region(global.region.as_deref(), global.profile.as_deref()).await;
    let options = context.local_options(None, &FunctionArguments::default())?;
    local::wish(&options, &region, function, wish)?;
    Ok(region)
}

async fn reset(context: &Context) -> Result<Exit, CommandError> {
    let options = context.local_options(None, &FunctionArguments::default())?;
    let directory = options.directory.display().to_string();
    if !context.global.yes && !confirmed(context, &directory)? {
        context.output.note("nothing was wiped");
        return Ok(Exit::Done);
    }
    local::reset(&options).await?;
    context.output.result(&Outcome::Local(LocalReport::Reset { directory }));
    Ok(Exit::Done)
}

/// Asks at a terminal; elsewhere says which option is missing.
fn confirmed(context: &Context, directory: &str) -> Result<bool, CommandError> {
    let unasked = |message: String| CommandError::Usage {
        message,
        hints: vec![context.command_line("local reset --yes")],
    };
    if !context.environment.can_ask() {
        return Err(unasked(format!("wiping `{directory}` needs `--yes` where nobody can be asked")));
    }
    dialoguer::Confirm::new()
        .with_prompt(format!("Wipe every function and image in {directory}?"))
        .default(false)
        .interact()
        .map_err(|error| unasked(format!("asking whether to wipe `{directory}`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on() {
        assert!(loopback("127.0.0.1:0").is_ok() && loopback("[::1]:4566").is_ok());
        for bad in ["0.0.0.0:4566", "10.0.0.1:1", "[::]:1", "4566", "localhost"] {
            assert!(loopback(bad).is_err(), "{bad}");
        }
    }
}
