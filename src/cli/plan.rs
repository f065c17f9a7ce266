//! `lambdactl plan`

use std::time::Duration;

use clap::Args;

use super::context::Context;
use super::deploy::SpecArguments;
use super::error::{CommandError, Exit};
use crate::domain::spec::DeploySpec;
use crate::output::plan::is_pending;
use crate::output::results::Outcome;
use crate::pipeline::DeployOptions;

/// Show what `deploy` would do, without doing it
///
/// Reads what is there, builds the image, and compares: the same steps as `deploy` up to the
/// first write. Values of environment variables are masked.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl plan
      Show what a deployment of this directory would do
  lambdactl plan --stage prod --exit-code
      End with code 3 if anything would be changed
  lambdactl plan --output json | tail -n 1 | jq .steps
      Read the plan in a script")]
pub(super) struct PlanArguments {
    #[command(flatten)]
    spec: SpecArguments,

    /// End with code 3 where changes are pending
    #[arg(long, help_heading = "Deployment")]
    exit_code: bool,
}

impl PlanArguments {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let specs = self.spec.resolve(context)?;
        let options = DeployOptions {
            create_role: self.spec.creates_role(context),
            no_wait: false,
            wait_timeout: Duration::from_secs(600),
            tag: None,
        };
        let pending = show(context, &specs, &options).await?;
        Ok(if pending && self.exit_code { Exit::Pending } else { Exit::Done })
    }
}

/// Plans and shows; tells whether anything is pending.
pub(super) async fn show(
    context: &Context,
    specs: &[DeploySpec],
    options: &DeployOptions,
) -> Result<bool, CommandError> {
    let connection = context.connect().await?;
    let mut pending = false;
    for spec in specs {
        let steps = connection.cloud.plan(spec, options).await?;
        pending |= is_pending(&steps);
        context.output.result(&Outcome::Plan { function: spec.function.name.to_string(), steps });
    }
    Ok(pending)
}
