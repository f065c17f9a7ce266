//! Several functions in one command.

use std::time::Instant;

use clap::Args;

use super::context::Context;
use super::error::{CommandError, Exit};
use crate::domain::plan::Deployment;
use crate::domain::spec::DeploySpec;
use crate::output::End;
use crate::output::report::ErrorReport;
use crate::output::results::many::{OneResult, action};
use crate::output::words::{duration, status};
use crate::pipeline::{Cloud, DeployOptions, PipelineError, Together};

/// How many functions are worked on at the same time unless somebody says otherwise.
pub(super) const JOBS: u16 = 16;

/// How several functions are worked on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Several functions")]
pub(super) struct ManyArguments {
    /// Work on this many functions at the same time
    #[arg(long, short, value_name = "N", env = "LAMBDACTL_JOBS", hide_env_values = true)]
    #[arg(default_value_t = JOBS, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,

    /// Stop all of them when one fails
    #[arg(long)]
    fail_fast: bool,
}

impl ManyArguments {
    /// Deploys them at the same time; the exit code is that of the first failure, in the order
    /// of the specifications.
    pub(super) async fn deploy(
        &self,
        context: &Context,
        cloud: &Cloud,
        specs: &[DeploySpec],
        options: &DeployOptions,
    ) -> Exit {
        let began = Instant::now();
        let together = Together { at_once: self.jobs.into(), fail_fast: self.fail_fast };
        let deploy = async |cloud: Cloud, spec: DeploySpec| cloud.deploy(&spec, options).await;
        let results = each(context, cloud, specs, together, deploy, words).await;
        let exit = exit(&results);
        let named = |(spec, result): (&DeploySpec, Result<Deployment, CommandError>)| {
            let function = spec.function.name.to_string();
            let result = result.map(Box::new).map_err(|error| Box::new(report(&function, &error)));
            OneResult { function, result }
        };
        let results: Vec<OneResult> = specs.iter().zip(results).map(named).collect();
        context.output.results(&results, began.elapsed());
        exit
    }
}

/// Does `work` for every specification at the same time, and shows how each ended; `words` says
/// what came of it.
pub(super) async fn each<T>(
    context: &Context,
    cloud: &Cloud,
    specs: &[DeploySpec],
    together: Together,
    work: impl AsyncFn(Cloud, DeploySpec) -> Result<T, PipelineError>,
    words: impl Fn(&T) -> String,
) -> Vec<Result<T, CommandError>> {
    context.output.many(specs.len());
    let finished = |spec: &DeploySpec, result: &Result<T, CommandError>| {
        let name = spec.function.name.as_str();
        let end = match result {
            Ok(done) => End::Done(words(done)),
            Err(error) => End::Failed(Box::new(report(name, error))),
        };
        context.output.one_of_many(name, &end);
    };
    let work = async |cloud, spec| work(cloud, spec).await.map_err(CommandError::from);
    cloud.each(specs, together, work, finished).await
}

/// The exit code of the first failure that is not the consequence of another.
pub(super) fn exit<T>(results: &[Result<T, CommandError>]) -> Exit {
    let is_cause = |error: &&CommandError| !matches!(error, CommandError::Pipeline(error) if matches!(**error, PipelineError::Stopped(_)));
    let failures = || results.iter().filter_map(|result| result.as_ref().err());
    failures().find(is_cause).or_else(|| failures().next()).map_or(Exit::Done, CommandError::exit)
}

pub(super) fn report(function: &str, error: &CommandError) -> ErrorReport {
    ErrorReport { function: Some(function.to_owned()), ..error.report() }
}

/// What a deployment came to, in a few words.
fn words(deployment: &Deployment) -> String {
    let elapsed = duration(deployment.elapsed);
    format!("{}, {} ({elapsed})", action(deployment.action), status(&deployment.status))
}
