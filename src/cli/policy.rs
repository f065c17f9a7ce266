//! `lambdactl policy`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::context::Context;
use super::error::{CommandError, Exit};
use super::settings::{NameArguments, RepositoryArguments, overrides};
use crate::config::{Purpose, resolve};
use crate::domain::caller_policy::{Touched, caller_policy};
use crate::domain::spec::{DeploySpec, RepositoryLocation};
use crate::output::results::{Outcome, PolicyView};
use crate::pipeline::PolicyReport;

/// Show or mend the policy that lets Lambda pull from the repository
#[derive(Debug, Subcommand)]
#[command(after_long_help = "\
Examples:
  lambdactl policy show
      Explain whether Lambda may pull, and what IAM rights a deployment needs
  lambdactl policy ensure
      Let Lambda pull, and keep every other statement")]
pub(super) enum PolicyCommand {
    /// Show the repository's policy, whether Lambda may pull, and what rights a deployment needs
    ///
    /// The policy is judged by its meaning. The IAM policy below it is the least that whoever
    /// deploys needs.
    #[command(after_long_help = "\
Examples:
  lambdactl policy show
      Explain the policy of this directory's repository
  lambdactl policy show --repository team/hello --function hello
      Explain the policy of any repository for any function
  lambdactl policy show --output json | jq .caller_policy
      Get the IAM policy of whoever deploys")]
    Show(PolicyArguments),

    /// Let Lambda pull from the repository, and keep every other statement
    ///
    /// Writes only where the policy does not let Lambda pull already.
    #[command(after_long_help = "\
Examples:
  lambdactl policy ensure
      Let Lambda pull from this directory's repository
  lambdactl policy ensure --repository team/hello --function hello
      Let Lambda pull from any repository for any function")]
    Ensure(PolicyArguments),
}

/// Which repository, and for which function.
#[derive(Debug, Args)]
pub(super) struct PolicyArguments {
    /// Directory that holds a `lambdactl.toml` or a `Dockerfile` [default: .]
    #[arg(value_name = "PATH", value_hint = ValueHint::DirPath)]
    path: Option<PathBuf>,

    #[command(flatten)]
    name: NameArguments,

    #[command(flatten)]
    repository: RepositoryArguments,
}

impl PolicyCommand {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let (arguments, ensure) = match self {
            Self::Show(arguments) => (arguments, false),
            Self::Ensure(arguments) => (arguments, true),
        };
        let overrides = overrides(&arguments.name, None, None, Some(&arguments.repository))?;
        let spec = resolve(&context.location(arguments.path.as_deref()), &overrides, Purpose::Names)?;
        let connection = context.connect().await?;
        let cloud = &connection.cloud;
        let report =
            if ensure { cloud.policy_ensure(&spec).await? } else { cloud.policy_show(&spec).await? };
        let view = view(context, &spec, cloud.region(), report, ensure);
        context.output.result(&Outcome::Policy(view));
        Ok(Exit::Done)
    }
}

fn view(
    context: &Context,
    spec: &DeploySpec,
    region: &str,
    report: PolicyReport,
    ensured: bool,
) -> PolicyView {
    let caller_policy = caller_policy(&Touched {
        region,
        account: &report.account,
        repository_account: &report.repository_account,
        repository: &report.repository.name,
        create_repository: spec.repository.create,
        function: &spec.function.name,
        role: spec.function.role.as_ref(),
    });
    let repository = match &spec.repository.location {
        RepositoryLocation::Name(name) => name.to_string(),
        RepositoryLocation::Uri(uri) => uri.to_string(),
    };
    let mend = format!("policy ensure --repository {repository} --function {}", spec.function.name);
    PolicyView {
        repository: report.repository.to_string(),
        text: report.text,
        allows_lambda: report.allows_lambda,
        explanation: report.explanation,
        statements: report.statements,
        changed: report.changed,
        ensured,
        caller_policy,
        mend: context.command_line(&mend),
    }
}
