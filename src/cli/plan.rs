//! `lambdactl plan`

use std::time::Duration;

use clap::Args;

use super::context::Context;
use super::deploy::SpecArguments;
use super::error::{CommandError, Exit};
use super::many;
use crate::domain::plan::PlannedStep;
use crate::domain::spec::DeploySpec;
use crate::output::plan::is_pending;
use crate::output::results::Outcome;
use crate::pipeline::{Cloud, DeployOptions, Together};

/// Show what `deploy` would do, without doing it
///
/// Reads what is there, builds the image, and compares: the same steps as `deploy` up to the
/// first write. For each layer of the image it names the way it takes: already there, taken over
/// from another repository, sent as it is, compressed or made here. Values of environment
/// variables are masked.
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
            replace: false,
        };
        Ok(match show(context, &specs, &options).await? {
            Exit::Pending if !self.exit_code => Exit::Done,
            exit => exit,
        })
    }
}

/// Plans and shows; tells whether anything is pending, or failed.
pub(super) async fn show(
    context: &Context,
    specs: &[DeploySpec],
    options: &DeployOptions,
) -> Result<Exit, CommandError> {
    let connection = context.connect().await?;
    let plans = match specs {
        [spec] => vec![Ok(connection.cloud.plan(spec, options).await?)],
        specs => {
            let together = Together { at_once: many::JOBS.into(), fail_fast: false };
            let plan = async |cloud: Cloud, spec: DeploySpec| cloud.plan(&spec, options).await;
            let words = |_: &Vec<PlannedStep>| "planned".to_owned();
            many::each(context, &connection.cloud, specs, together, plan, words).await
        }
    };
    let mut exit = many::exit(&plans);
    for (spec, plan) in specs.iter().zip(plans) {
        let function = spec.function.name.to_string();
        match plan {
            Ok(steps) => {
                if exit == Exit::Done && is_pending(&steps) {
                    exit = Exit::Pending;
                }
                let among_others = specs.len() > 1;
                context.output.result(&Outcome::Plan { function, steps, among_others });
            }
            Err(error) => context.output.one_failed(&many::report(&function, &error)),
        }
    }
    Ok(exit)
}
