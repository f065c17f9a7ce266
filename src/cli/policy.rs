//! `lambdactl policy`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::context::Context;
use super::error::{CommandError, Exit};
use super::settings::{ImageArguments, NameArguments, RepositoryArguments, overrides};
use crate::config::{Purpose, resolve, rules};
use crate::domain::caller_policy::{Besides, Touched, caller_policy};
use crate::domain::reference::ImageReference;
use crate::domain::spec::{DeploySpec, RepositoryLocation, RoleSpec};
use crate::output::results::{Outcome, PolicyView};
use crate::pipeline::PolicyReport;

/// Show or mend who may do what: Lambda with the repository, and you with all of it
#[derive(Debug, Subcommand)]
#[command(after_long_help = "\
Examples:
  lambdactl policy show
      Explain whether Lambda may pull, and what IAM rights a deployment needs
  lambdactl policy ensure
      Let Lambda pull, and keep every other statement
  lambdactl policy iam > policy.json
      Write the least IAM policy of whoever deploys")]
pub(super) enum PolicyCommand {
    /// Show the repository's policy, whether Lambda may pull, and what rights a deployment needs
    ///
    /// The policy is explained statement by statement, and judged by its meaning. The IAM policy
    /// below it is the least that whoever deploys needs.
    #[command(after_long_help = "\
Examples:
  lambdactl policy show
      Explain the policy of this directory's repository
  lambdactl policy show --repository team/hello --function hello
      Explain the policy of any repository for any function
  lambdactl policy show --repository shared --for-account 111122223333
      Explain whether Lambda may pull for functions of another account")]
    Show(PolicyArguments),

    /// Let Lambda pull from the repository, and keep every other statement
    ///
    /// Writes only where the policy does not let Lambda pull already. Statements that Lambda or
    /// lambdactl made are extended; everybody else's stay as they are.
    ///
    /// For functions of other accounts, the repository's owner names them with --for-account.
    /// Whoever may not change the policy is told what its owner has to add.
    #[command(after_long_help = "\
Examples:
  lambdactl policy ensure
      Let Lambda pull from this directory's repository
  lambdactl policy ensure --repository team/hello --function hello
      Let Lambda pull from any repository for any function
  lambdactl policy ensure --repository shared --for-account 111122223333,444455556666
      Let Lambda pull for functions of two other accounts")]
    Ensure(PolicyArguments),

    /// Print the least IAM policy of whoever deploys, as JSON
    ///
    /// It allows what exactly this configuration needs, bound to its repository, function and
    /// role. Without a role, the function has to exist already: creating it is not allowed then.
    #[command(after_long_help = "\
Examples:
  lambdactl policy iam
      Print the policy for this directory
  lambdactl policy iam --create-role --invoke --logs
      Also let them make the role, call the function, and read its log
  lambdactl policy iam --account 123456789012 --region eu-west-1 > policy.json
      Write the policy without any credentials")]
    Iam(Box<IamArguments>),
}

/// For which configuration, and for what besides.
#[derive(Debug, Args)]
pub(super) struct IamArguments {
    /// Directory that holds a `lambdactl.toml` or a `Dockerfile` [default: .]
    #[arg(value_name = "PATH", value_hint = ValueHint::DirPath)]
    path: Option<PathBuf>,

    #[command(flatten)]
    name: NameArguments,

    /// Execution role, by ARN or name; required to create a function
    #[arg(long, value_name = "ROLE", env = "LAMBDACTL_ROLE", hide_env_values = true)]
    #[arg(value_parser = rules::role, help_heading = "Function")]
    role: Option<RoleSpec>,

    #[command(flatten)]
    image: ImageArguments,

    #[command(flatten)]
    repository: RepositoryArguments,

    /// Also let them make the execution role
    #[arg(long)]
    create_role: bool,

    /// Also let them call the function
    #[arg(long)]
    invoke: bool,

    /// Also let them read the function's log
    #[arg(long)]
    logs: bool,

    /// Make the policy for this account [default: the caller's]
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    account: Option<String>,
}

/// The twelve digits of an account.
fn account(text: &str) -> Result<String, String> {
    match text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("expected the twelve digits of an account".to_owned()),
    }
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

    /// Accounts whose functions pull from the repository [default: the caller's]
    #[arg(long, value_name = "ACCOUNT,…", value_delimiter = ',', value_parser = account)]
    for_account: Vec<String>,
}

impl IamArguments {
    async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let mut overrides = overrides(&self.name, None, Some(&self.image), Some(&self.repository))?;
        overrides.settings.function.role.clone_from(&self.role);
        let spec = resolve(&context.location(self.path.as_deref()), &overrides, Purpose::Names)?;
        let connection = context.connect().await?;
        let cloud = &connection.cloud;
        let account = match self.account {
            Some(account) => account,
            None => cloud.account().await?,
        };
        cloud.require_region()?;
        let bases = cloud.bases(&spec).await;
        let besides = Besides { invoke: self.invoke, logs: self.logs };
        let touched = Touched {
            bases: &bases,
            besides,
            ..Touched::of(&spec, cloud.region(), &account, self.create_role)
        };
        if touched.role.is_none() {
            context.output.note(&format!(
                "no role is named, so `{}` has to exist already: `--role ROLE` also lets them create it",
                spec.function.name
            ));
        }
        context.output.result(&Outcome::CallerPolicy(caller_policy(&touched)));
        Ok(Exit::Done)
    }
}

impl PolicyCommand {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let (arguments, ensure) = match self {
            Self::Show(arguments) => (arguments, false),
            Self::Ensure(arguments) => (arguments, true),
            Self::Iam(arguments) => return arguments.run(context).await,
        };
        let overrides = overrides(&arguments.name, None, None, Some(&arguments.repository))?;
        let spec = resolve(&context.location(arguments.path.as_deref()), &overrides, Purpose::Names)?;
        let connection = context.connect().await?;
        let cloud = &connection.cloud;
        let accounts = &arguments.for_account;
        let report = match ensure {
            true => cloud.policy_ensure(&spec, accounts).await?,
            false => cloud.policy_show(&spec, accounts).await?,
        };
        let bases = cloud.bases(&spec).await;
        let view = view(context, &spec, (cloud.region(), &bases, accounts), report, ensure);
        context.output.result(&Outcome::Policy(view));
        Ok(Exit::Done)
    }
}

fn view(
    context: &Context,
    spec: &DeploySpec,
    (region, bases, accounts): (&str, &[ImageReference], &[String]),
    report: PolicyReport,
    ensured: bool,
) -> PolicyView {
    let touched = Touched { bases, ..Touched::of(spec, region, &report.account, false) };
    let repository = match &spec.repository.location {
        RepositoryLocation::Name(name) => name.to_string(),
        RepositoryLocation::Uri(uri) => uri.to_string(),
    };
    let mut mend = format!("policy ensure --repository {repository} --function {}", spec.function.name);
    if !accounts.is_empty() {
        mend.push_str(&format!(" --for-account {}", accounts.join(",")));
    }
    let judgements = report.judgements.into_iter();
    PolicyView {
        repository: report.repository.to_string(),
        text: report.text,
        in_words: report.in_words,
        judgements: judgements.map(|it| (it.account, it.allows_lambda, it.explanation)).collect(),
        statements: report.statements,
        changed: report.changed,
        ensured,
        caller_policy: caller_policy(&touched),
        mend: context.command_line(&mend),
    }
}
