//! One file a verb: arguments in, one pipeline call, one result out. The only layer that knows
//! `clap`, the environment and the process.
//!
//! [`main`] is the whole program: read the environment, parse the arguments, choose how to show
//! things, run one verb, and turn what came of it into an exit code. Nothing expensive (a
//! runtime, AWS settings) is made before a verb needs it.

mod build;
mod check;
mod completions;
mod context;
mod deploy;
mod dev;
mod doctor;
mod error;
mod event;
mod functions;
mod global;
mod invoke;
mod lists;
mod local;
mod logs;
mod man;
mod many;
mod plan;
mod policy;
mod push;
mod run;
mod settings;
mod signal;
mod status;
mod wake;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::output::Output;
use crate::output::screen::Screen;
use context::{Context, Environment};
use error::{CommandError, Exit};
use global::GlobalArguments;

/// Takes an AWS Lambda function from source to live as a container image, in one command
///
/// lambdactl builds the image, pushes it to Amazon ECR, lets Lambda pull it, creates or updates
/// the function, and watches it until it is live. With `--local` it does all of that on this
/// machine, without an AWS account.
///
/// Settings come from `lambdactl.toml` in the function's directory; a `Dockerfile` alone is
/// enough. Standard output is the result, standard error is the story.
#[derive(Debug, Parser)]
#[command(
    name = "lambdactl",
    version,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_long_help = "\
Examples:
  lambdactl deploy --local
      Deploy this directory to the local cloud
  lambdactl deploy --role hello-role
      Deploy this directory to AWS
  lambdactl plan --stage prod
      Show what a deployment to a stage would do
  lambdactl status hello
      Show what is live

Exit codes:
  0    done, also where nothing had to be done
  1    the operation failed
  2    usage or configuration error
  3    plan --exit-code: changes are pending
  4    the function settled in Failed
  5    timed out while waiting; the deployment goes on in AWS
  6    refused: impossible or unsafe, and nothing was touched
  130  interrupted"
)]
struct Arguments {
    #[command(flatten)]
    global: GlobalArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Deploy(Box<deploy::DeployArguments>),
    Plan(Box<plan::PlanArguments>),
    Build(Box<build::BuildArguments>),
    Push(Box<push::PushArguments>),
    Check(Box<check::CheckArguments>),
    Dev(dev::DevArguments),
    Watch(watch::WatchArguments),
    Status(status::StatusArguments),
    Wake(wake::WakeArguments),
    Invoke(invoke::InvokeArguments),
    Logs(logs::LogsArguments),
    Run(run::RunArguments),
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    Doctor(doctor::DoctorArguments),
    #[command(subcommand)]
    Local(local::LocalCommand),
    Completions(completions::CompletionsArguments),
    Man(man::ManArguments),
}

/// The definition of the whole command line, which help, completions and man pages come from.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(exit) = crate::local::runner::enter_sandbox(&words) {
        return exit;
    }
    let environment = Environment::read();
    let arguments = match parse(&words) {
        Ok(arguments) => arguments,
        Err(error) => return error::clap_error(&error, &environment.early_output(&words)).into(),
    };
    let output = Output::new(
        environment.output_options(&arguments.global, matches!(arguments.command, Command::Plan(_))),
        Screen::standard(),
    );
    environment.start_tracing(&arguments.global);
    let context = Context::new(arguments.global, environment, output);
    match run(arguments.command, &context) {
        Ok(exit) => exit.into(),
        Err(error) => {
            context.output.error(&error.report());
            error.exit().into()
        }
    }
}

fn parse(words: &[OsString]) -> Result<Arguments, clap::Error> {
    // Help and usage errors are shown before `--color` has been parsed.
    let color = match global::early_value(words, "--color", "LAMBDACTL_COLOR").as_deref() {
        Some("always") => clap::ColorChoice::Always,
        Some("never") => clap::ColorChoice::Never,
        _ => clap::ColorChoice::Auto,
    };
    let matches = command().color(color).try_get_matches_from(words)?;
    Arguments::from_arg_matches(&matches)
}

fn run(command: Command, context: &Context) -> Result<Exit, CommandError> {
    match command {
        Command::Deploy(arguments) => signal::run(context, arguments.run(context)),
        Command::Plan(arguments) => signal::run(context, arguments.run(context)),
        Command::Build(arguments) => signal::run(context, arguments.run(context)),
        Command::Push(arguments) => signal::run(context, arguments.run(context)),
        Command::Check(arguments) => arguments.run(context),
        Command::Dev(arguments) => arguments.run(context),
        Command::Watch(arguments) => signal::run(context, arguments.run(context)),
        Command::Status(arguments) => signal::run(context, arguments.run(context)),
        Command::Wake(arguments) => signal::run(context, arguments.run(context)),
        Command::Invoke(arguments) => signal::run(context, arguments.run(context)),
        Command::Logs(arguments) => arguments.run(context),
        Command::Run(arguments) => signal::run(context, arguments.run(context)),
        Command::Policy(command) => signal::run(context, command.run(context)),
        Command::Doctor(arguments) => signal::run(context, arguments.run(context)),
        Command::Local(command) => command.run(context),
        Command::Completions(arguments) => arguments.run(context),
        Command::Man(arguments) => arguments.run(context),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        super::command().debug_assert();
    }
}
