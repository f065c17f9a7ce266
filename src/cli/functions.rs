//! Functions on the command line: how they are named, and how the local cloud runs them.

use clap::Args;

use crate::local::runner::RunnerChoice;

/// How functions run locally.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct FunctionArguments {
    /// What runs functions on this machine
    #[arg(long, value_name = "RUNNER", env = "LAMBDACTL_RUNNER", hide_env_values = true, default_value = "auto",
          value_parser = clap::builder::PossibleValuesParser::new(RunnerChoice::NAMES))]
    pub(super) runner: String,

    /// Give functions that run on this machine the credentials in AWS_ACCESS_KEY_ID and its like,
    /// instead of dummies
    #[arg(long)]
    pub(super) with_credentials: bool,
}

/// Takes a name or an ARN, also of a version, before AWS answers others with its pattern for them.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html#API_GetFunction_RequestSyntax>
pub(super) fn named(text: &str) -> Result<String, String> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:$".contains(&byte);
    if text.bytes().all(is_known) && !text.is_empty() {
        Ok(text.to_owned())
    } else {
        Err("expected a function's name, of letters, digits, `-` and `_`, or its ARN".to_owned())
    }
}

/// The variables credentials are in.
const CREDENTIALS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

impl FunctionArguments {
    /// The runner that is wanted.
    pub(super) fn choice(&self) -> RunnerChoice {
        self.runner.parse().unwrap_or_default()
    }

    /// The caller's credentials, where functions are to have them.
    pub(super) fn credentials(&self) -> Option<Vec<(String, String)>> {
        let found = || {
            CREDENTIALS.iter().filter_map(|name| Some(((*name).to_owned(), super::context::variable(name)?)))
        };
        self.with_credentials.then(|| found().collect())
    }
}
