//! Which runner runs the functions of a server: chosen once, when the first is invoked.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::container::ContainerRunner;
use super::{Runner, RunnerError};
use crate::event::{Event, SharedReporter, Silent};
use crate::local::store::Store;
use crate::services::docker::EngineLocation;

/// How long an engine may take to answer before another runner is taken.
const GREETING: Duration = Duration::from_secs(5);

/// How functions are run.
#[derive(Clone)]
pub struct FunctionOptions {
    /// Which runner.
    pub choice: RunnerChoice,
    /// Where to look for an engine.
    pub engine: EngineLocation,
    /// The caller's own credentials, where functions are to have them.
    pub credentials: Option<Vec<(String, String)>>,
    /// Told which runner was chosen.
    pub reporter: SharedReporter,
}

/// The runner the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunnerChoice {
    /// The best there is.
    #[default]
    Automatic,
    /// A container of the Docker Engine or Podman.
    Container,
    /// Namespaces of our own, on Linux.
    Sandbox,
}

impl RunnerChoice {
    /// How users name them.
    pub const NAMES: [&str; 3] = ["auto", "container", "sandbox"];
}

impl FromStr for RunnerChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Automatic),
            "container" => Ok(Self::Container),
            "sandbox" => Ok(Self::Sandbox),
            _ => Err("expected `auto`, `container` or `sandbox`".to_owned()),
        }
    }
}

impl Default for FunctionOptions {
    fn default() -> Self {
        Self {
            choice: RunnerChoice::default(),
            engine: EngineLocation::default(),
            credentials: None,
            reporter: Arc::new(Silent),
        }
    }
}

impl fmt::Debug for FunctionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither credentials nor the reporter can be shown.
        f.debug_struct("FunctionOptions").field("choice", &self.choice).finish_non_exhaustive()
    }
}

/// Chooses a runner, and says which in one line, with what is not as in Lambda.
pub async fn choose(options: &FunctionOptions, store: &Arc<Store>) -> Result<Arc<dyn Runner>, RunnerError> {
    let runner: Arc<dyn Runner> = match options.choice {
        RunnerChoice::Container => Arc::new(container(options, store).await?),
        RunnerChoice::Sandbox => sandbox(store).await?,
        RunnerChoice::Automatic => match container(options, store).await {
            Ok(container) => Arc::new(container),
            Err(no_container) => {
                options.reporter.report(Event::Detail(no_container.to_string()));
                let neither = |no_sandbox| RunnerError::NoRunner(format!("{no_container}; {no_sandbox}"));
                sandbox(store).await.map_err(neither)?
            }
        },
    };
    let said = format!("functions run in a {}", runner.name());
    options.reporter.report(match runner.lost_fidelity() {
        Some(lost) => Event::Warning { message: format!("{said}: {lost}"), hint: None },
        None => Event::Detail(said),
    });
    Ok(runner)
}

async fn container(options: &FunctionOptions, store: &Arc<Store>) -> Result<ContainerRunner, RunnerError> {
    match tokio::time::timeout(GREETING, ContainerRunner::connect(&options.engine, store)).await {
        Ok(connected) => connected,
        Err(_) => Err(RunnerError::Unavailable {
            runner: "container",
            why: format!("no engine has answered within {} s", GREETING.as_secs()),
        }),
    }
}

#[cfg(target_os = "linux")]
async fn sandbox(store: &Arc<Store>) -> Result<Arc<dyn Runner>, RunnerError> {
    Ok(Arc::new(super::sandbox::SandboxRunner::connect(store).await?))
}

#[cfg(not(target_os = "linux"))]
async fn sandbox(_store: &Arc<Store>) -> Result<Arc<dyn Runner>, RunnerError> {
    Err(RunnerError::Unavailable { runner: "sandbox", why: "it needs Linux".to_owned() })
}
