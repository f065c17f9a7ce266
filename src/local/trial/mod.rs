//! An image on trial: started once, with our Runtime API, as a function nobody calls, in a place
//! of its own that is gone afterwards. `lambdactl check --run` makes one.
//!
//! The image is in no registry, and its layers are read from where they are: nothing of it gets
//! into the user's local cloud.

mod place;
mod verdict;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::environments::{
    Environments, FunctionConfiguration, InvokeError, LogFormat, Start, StartEnd, StartFailure,
};
use super::runner::{self, FunctionOptions, GivenImage, RunnerError, StartError};
use super::store::Store;
use crate::domain::digest::Digest;
use crate::domain::finding::Finding;
use crate::domain::function::ImageOverrides;
use crate::domain::plan::Step;
use crate::domain::platform::Architecture;
use crate::domain::size::after;
use crate::domain::spec::FunctionSpec;
use crate::event::Event;
use crate::image::Image;
use place::{Place, Trace};
use verdict::Fields;

/// What Lambda takes where a function names nothing else.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>
const MEMORY: u32 = 128;
const TIMEOUT: u32 = 3;
const EPHEMERAL_STORAGE: u32 = 512;

/// What came of a start.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Whether it asked for its first event.
    pub is_ready: bool,
    /// How long it took.
    pub elapsed: Duration,
    /// What it ran in.
    pub runner: &'static str,
    /// What is to be said against it.
    pub finding: Option<Finding>,
}

/// Says why an image cannot be started here: never its own fault.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// There is no place for it.
    #[error("making a place to start the image in `{directory}`: {source}")]
    Place {
        /// Where.
        directory: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Nothing here could start it.
    #[error("the image cannot be started here: {0}")]
    NotHere(#[from] InvokeError),
    /// This is another machine.
    #[error("the image is for `{image}`, and this machine cannot tell whether it starts: {why}")]
    AnotherMachine {
        /// What it is for.
        image: Architecture,
        /// What came of trying.
        why: String,
    },
}

impl TrialError {
    /// What to do about it.
    pub fn hints(&self) -> Vec<String> {
        let without = "without `--run`, the image is held against the rules alone".to_owned();
        match self {
            Self::Place { .. } => vec!["name another directory with XDG_STATE_HOME".to_owned(), without],
            Self::NotHere(InvokeError::Runner(
                RunnerError::NoRunner(_) | RunnerError::Unavailable { .. },
            )) => {
                let runner = "start Docker or Podman, or choose another `--runner`".to_owned();
                vec![runner, without]
            }
            Self::NotHere(_) => vec![without],
            Self::AnotherMachine { image, .. } => vec![
                format!(
                    "check it on a machine with `{image}`, or let this one emulate it (QEMU with binfmt_misc)"
                ),
                without,
            ],
        }
    }
}

/// An image on trial. To be ended, whatever came of it.
#[derive(Debug)]
pub struct Trial {
    place: Place,
    /// What others that were killed may have left in an engine.
    traces: Vec<Trace>,
    environments: Environments,
    options: FunctionOptions,
    image: Arc<Image>,
    stop: CancellationToken,
}

impl Trial {
    /// Makes a place for it in `folder`. Has to be called in a runtime.
    pub fn new(folder: &Path, image: Image, options: FunctionOptions) -> Result<Self, TrialError> {
        let unusable = |source| TrialError::Place { directory: folder.display().to_string(), source };
        let (place, traces) = Place::new(folder, image.digest()).map_err(unusable)?;
        let store = Store::open(place.directory()).map_err(|error| unusable(std::io::Error::other(error)))?;
        let (image, stop) = (Arc::new(image), CancellationToken::new());
        let given = GivenImage { image: image.clone(), stop: stop.clone() };
        let environments = Environments::of_image(Arc::new(store), options.clone(), given);
        Ok(Self { place, traces, environments, options, image, stop })
    }

    /// Starts it as the function of `spec`, and waits until it asks for its first event.
    pub async fn start(&self, spec: &FunctionSpec, region: &str) -> Result<Tried, TrialError> {
        let (step, subject, began) = (Step::Start, self.image.digest().short(), Instant::now());
        let reporter = &self.options.reporter;
        reporter.report(Event::StepStarted { step, subject });
        let configuration = configuration(spec, region, self.place.name(), self.image.digest());
        let start = self.environments.start(configuration.clone()).await;
        let start = self.judged(start)?;
        let (is_ready, elapsed, runner) =
            (!matches!(start.end, StartEnd::Failed(_)), start.elapsed, start.runner);
        let finding = verdict::finding(start, &configuration, Fields::of(&configuration, &self.image.config));
        // One that fails is not done; why is told as a finding.
        if is_ready {
            let outcome = format!("asked for its first event {}", after(elapsed));
            reporter.report(Event::StepFinished { step, outcome, elapsed: began.elapsed() });
        }
        Ok(Tried { is_ready, elapsed, runner, finding })
    }

    /// Ends everything, and returns when nothing is left of it.
    pub async fn end(self) {
        self.stop.cancel();
        self.environments.end().await;
        let mut images = self.traces;
        if self.environments.runner_name() == Some(runner::CONTAINER) {
            images.push((self.place.name().to_owned(), self.image.digest()));
        }
        if !images.is_empty() {
            runner::forget_images(&self.options.engine, &images).await;
        }
        let place = self.place;
        // Many files may be in it.
        let _removed = tokio::task::spawn_blocking(move || drop(place)).await;
    }

    /// Another machine's program that does not run here is not to blame.
    fn judged(&self, start: Result<Start, InvokeError>) -> Result<Start, TrialError> {
        let image = Architecture::from_oci(&self.image.config.platform().architecture);
        let Some(image) = image.filter(|image| Some(*image) != Architecture::of_this_machine()) else {
            return Ok(start?);
        };
        let why = match start {
            Ok(start) => match &start.end {
                StartEnd::Failed(StartFailure::Ended(exit)) => match &exit.start_error {
                    Some(error @ StartError::ExecFormat { .. }) => error.to_string(),
                    _ => return Ok(start),
                },
                StartEnd::Failed(StartFailure::TimedOut(_)) => {
                    "an emulated one takes longer than it would in Lambda".to_owned()
                }
                _ => return Ok(start),
            },
            Err(InvokeError::Interrupted) => return Err(InvokeError::Interrupted.into()),
            Err(error) => error.to_string(),
        };
        Err(TrialError::AnotherMachine { image, why })
    }
}

/// The function of `spec`, with Lambda's defaults, as AWS would run it.
fn configuration(
    spec: &FunctionSpec,
    region: &str,
    repository: &str,
    digest: Digest,
) -> FunctionConfiguration {
    let overrides = spec.image_config.applied_to(&ImageOverrides::default());
    let words = |words: Vec<String>| (!words.is_empty()).then_some(words);
    let variables = spec.environment.applied_to(&std::collections::BTreeMap::new());
    FunctionConfiguration {
        region: region.to_owned(),
        name: spec.name.to_string(),
        version: "$LATEST".to_owned(),
        repository: repository.to_owned(),
        digest,
        memory: spec.memory_size.unwrap_or(MEMORY).into(),
        timeout: spec.timeout.unwrap_or(TIMEOUT).into(),
        ephemeral_storage: spec.ephemeral_storage.unwrap_or(EPHEMERAL_STORAGE).into(),
        variables: variables.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect(),
        entry_point: words(overrides.entry_point),
        command: words(overrides.command),
        working_directory: overrides.working_directory,
        log_group: format!("/aws/lambda/{}", spec.name),
        log_format: LogFormat::Text,
        log_level: None,
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;
    use crate::domain::spec::{EnvironmentSpec, ImageConfigSpec};

    /// A function that names nothing but itself.
    pub(super) fn spec() -> FunctionSpec {
        FunctionSpec {
            name: "hello".parse().unwrap(),
            role: None,
            architecture: None,
            memory_size: None,
            timeout: None,
            ephemeral_storage: None,
            description: None,
            environment: EnvironmentSpec::default(),
            image_config: ImageConfigSpec::default(),
            tags: std::collections::BTreeMap::new(),
        }
    }

    fn of(spec: &FunctionSpec) -> FunctionConfiguration {
        configuration(spec, "eu-west-1", "trial-1", Digest::of(b"manifest"))
    }

    /// A function with 256 MB and this timeout.
    pub(super) fn function(timeout: u32) -> FunctionConfiguration {
        of(&FunctionSpec { memory_size: Some(256), timeout: Some(timeout), ..spec() })
    }

    #[test]
    fn a_function_has_lambdas_defaults_and_what_its_configuration_names() {
        let bare = of(&spec());
        assert_eq!((bare.memory, bare.timeout, bare.ephemeral_storage), (128, 3, 512));
        assert_eq!((bare.entry_point, bare.command, bare.working_directory), (None, None, None));
        let named = FunctionSpec {
            memory_size: Some(512),
            ephemeral_storage: Some(1024),
            environment: EnvironmentSpec {
                set: [("LEVEL".to_owned(), Secret::new("debug"))].into(),
                ..EnvironmentSpec::default()
            },
            image_config: ImageConfigSpec {
                entry_point: Some(Vec::new()),
                command: Some(vec!["app.handler".to_owned()]),
                working_directory: Some("/srv".to_owned()),
            },
            ..spec()
        };
        let named = of(&named);
        assert_eq!((named.memory, named.ephemeral_storage), (512, 1024));
        assert_eq!(named.variables["LEVEL"], "debug");
        assert_eq!(named.entry_point, None, "an empty one is the image's own");
        assert_eq!(named.command.as_deref(), Some(&["app.handler".to_owned()][..]));
        assert_eq!(named.working_directory.as_deref(), Some("/srv"));
    }
}
