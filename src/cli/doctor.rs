//! `lambdactl doctor`

use std::path::PathBuf;

use clap::{Args, ValueHint};
use futures_util::StreamExt as _;

use super::context::Context;
use super::error::{CommandError, Exit};
use super::settings::{NameArguments, RepositoryArguments, overrides};
use crate::config::{Overrides, Purpose, is_project, resolve, rules};
use crate::domain::diagnosis::{Diagnosis, Tally};
use crate::domain::image_source::ImageSource;
use crate::domain::spec::{BaseImage, DeploySpec, ImageSpec, RepositoryLocation, RoleSpec};
use crate::output::results::Outcome;
use crate::pipeline::doctor::{Examination, examine};

/// Check everything a deployment needs, and say how to mend what is missing
///
/// Looks at the configuration, the Docker Engine, credentials, region and clock, and (where there
/// is something to deploy) at the function, the repository, its policy and the execution role.
/// Every check runs, whatever comes of the others. Nothing is changed.
///
/// Ends with code 1 where an error was found; warnings are for what a deployment may do without,
/// or mends by itself.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl doctor
      Check what a deployment of this directory needs
  lambdactl doctor --local
      Check what a deployment to the local cloud needs
  lambdactl doctor --function hello --role hello-role --output json
      Check for any function, for a script")]
pub(super) struct DoctorArguments {
    /// Directory that holds a `lambdactl.toml` or a `Dockerfile` [default: .]
    #[arg(value_name = "PATH", value_hint = ValueHint::DirPath)]
    path: Option<PathBuf>,

    #[command(flatten)]
    name: NameArguments,

    /// Execution role, by ARN or name; required to create a function
    #[arg(long, value_name = "ROLE", env = "LAMBDACTL_ROLE", hide_env_values = true)]
    #[arg(value_parser = rules::role, help_heading = "Function")]
    role: Option<RoleSpec>,

    /// A missing role would be made (always with `--local`)
    #[arg(long, help_heading = "Function")]
    create_role: bool,

    #[command(flatten)]
    repository: RepositoryArguments,
}

/// Shows what is found, and counts it.
struct Report<'a> {
    context: &'a Context,
    tally: Tally,
}

impl Report<'_> {
    fn tell(&mut self, diagnosis: Diagnosis) {
        self.tally.add(diagnosis.finding);
        self.context.output.result(&Outcome::Diagnosis(diagnosis));
    }
}

impl DoctorArguments {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let mut report = Report { context, tally: Tally::default() };
        let mut overrides = overrides(&self.name, None, None, Some(&self.repository))?;
        overrides.settings.function.role.clone_from(&self.role);
        let (spec, has_image) = self.configuration(&overrides, &mut report);
        let connection = match context.connect_impatiently().await {
            Ok(connection) => Some(connection),
            Err(error) => {
                let told = error.report();
                let check = if context.global.local { "local-cloud" } else { "aws-settings" };
                let hint = (!told.hints.is_empty()).then(|| told.hints.join("\n"));
                report.tell(Diagnosis::error(check, told.message, hint));
                None
            }
        };
        if let Some((endpoint, own)) = connection.as_ref().and_then(|connection| connection.local()) {
            let message =
                if own { "served by this command".to_owned() } else { format!("served at `{endpoint}`") };
            report.tell(Diagnosis::good("local-cloud", message));
        } else {
            let replaced: Vec<_> = context.environment.replaced_endpoints().collect();
            if !replaced.is_empty() {
                report.tell(Diagnosis::warning(
                    "endpoints",
                    format!("{} replaces AWS's own: this is not AWS", replaced.join(", ")),
                    "unset it to speak to AWS",
                ));
            }
        }
        let examination = Examination {
            engine: context.environment.engine(),
            cloud: connection.as_ref().map(|connection| &connection.cloud),
            spec: spec.as_ref(),
            has_image,
            create_role: self.create_role || context.global.local,
        };
        let mut checks = examine(&examination);
        while let Some(found) = checks.next().await {
            found.into_iter().for_each(|diagnosis| report.tell(diagnosis));
        }
        drop(checks);
        context.output.result(&Outcome::Doctor(report.tally));
        Ok(if report.tally.errors > 0 { Exit::Failed } else { Exit::Done })
    }

    /// Reads the configuration: what would be deployed, where there is anything, and whether it is
    /// known where its image comes from.
    fn configuration(&self, overrides: &Overrides, report: &mut Report<'_>) -> (Option<DeploySpec>, bool) {
        const CHECK: &str = "configuration";
        let location = report.context.location(self.path.as_deref());
        let is_project = is_project(&location);
        let error = |check, error: crate::config::ConfigError| {
            let hint = error.hint();
            Diagnosis::error(check, error.to_string(), hint)
        };
        if !is_project && !self.name.names_function() {
            report.tell(Diagnosis::good(
                CHECK,
                "there is no lambdactl.toml and no Dockerfile here, so only what every deployment needs is looked at",
            ));
            return (None, false);
        }
        let spec = match resolve(&location, overrides, Purpose::Names) {
            Ok(spec) => spec,
            Err(problem) => {
                report.tell(error(CHECK, problem));
                return (None, false);
            }
        };
        let repository = match &spec.repository.location {
            RepositoryLocation::Name(name) => name.to_string(),
            RepositoryLocation::Uri(uri) => uri.to_string(),
        };
        report.tell(Diagnosis::good(
            CHECK,
            format!("function `{}`, repository `{repository}`", spec.function.name),
        ));
        if is_project {
            report.tell(match resolve(&location, overrides, Purpose::Image) {
                Ok(spec) => Diagnosis::good("image", image(&spec)),
                Err(problem) => error("image", problem),
            });
        }
        (Some(spec), is_project)
    }
}

/// Where the image comes from.
fn image(spec: &DeploySpec) -> String {
    match &spec.image {
        ImageSpec::Dockerfile(build) => format!("built from `{}`", build.dockerfile.display()),
        ImageSpec::Assembled(assembled) => match &assembled.base {
            BaseImage::Scratch => "assembled from files".to_owned(),
            BaseImage::Layout { directory, .. } => format!("assembled on `oci:{}`", directory.display()),
            BaseImage::Registry(reference) => format!("assembled on `{reference}`"),
        },
        ImageSpec::Existing(ImageSource::Engine(name)) => format!("`{name}` of the Docker Engine"),
        ImageSpec::Existing(_) => "one that exists".to_owned(),
    }
}
