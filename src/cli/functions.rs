//! How the local cloud runs functions: options of the commands that can start it for that.

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
