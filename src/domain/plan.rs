//! The words of a plan: steps, what each does, what it changes, and the result of it all.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::digest::Digest;
use super::function::{FunctionName, FunctionStatus};
use super::reference::RepositoryUri;
use super::transfer::PlannedLayer;

/// One step of a deployment, in the order they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Reading what is there: function, repository, policy.
    Observe,
    /// Building, assembling or reading the image.
    Build,
    /// Holding the image against Lambda's rules.
    Check,
    /// Starting the image, to see whether it can.
    Start,
    /// The execution role.
    Role,
    /// The ECR repository.
    Repository,
    /// Layers, configuration and manifest in the repository.
    Image,
    /// Lambda's right to pull.
    RepositoryPolicy,
    /// A function that does not exist yet.
    Function,
    /// Configuration of an existing function.
    Configuration,
    /// The image of an existing function.
    Code,
    /// Tags of an existing function.
    Tags,
    /// Waiting until the function has settled.
    Watch,
}

impl Step {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Build => "build",
            Self::Check => "check",
            Self::Start => "start",
            Self::Role => "role",
            Self::Repository => "repository",
            Self::Image => "image",
            Self::RepositoryPolicy => "repository-policy",
            Self::Function => "function",
            Self::Configuration => "configuration",
            Self::Code => "code",
            Self::Tags => "tags",
            Self::Watch => "watch",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Makes something that does not exist.
    Create,
    /// Changes something that exists.
    Update,
    /// Sends bytes.
    Push,
    /// Deletes something that exists, and makes it anew.
    Replace,
    /// Nothing: what is there is what is wanted.
    Unchanged,
}

/// A value that is known now, or that an earlier step will bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned<T> {
    /// Known while planning.
    Known(T),
    /// Known once this step is done.
    KnownAfter(Step),
}

impl<T> Planned<T> {
    /// The value, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::KnownAfter(_) => None,
        }
    }
}

impl<T: Serialize> Serialize for Planned<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(value) => value.serialize(serializer),
            Self::KnownAfter(step) => serializer.collect_str(&format_args!("(known after {step})")),
        }
    }
}

/// One member that differs. Secrets must be masked by whoever makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The member, as in `lambdactl.toml`: `memory_size`, `environment.LOG_LEVEL`.
    pub path: String,
    /// What is there; `null` where nothing is.
    pub from: Value,
    /// What will be there; `null` where nothing will.
    pub to: Planned<Value>,
}

impl Change {
    /// A change between two known values.
    pub fn new(path: impl Into<String>, from: impl Into<Value>, to: impl Into<Value>) -> Self {
        Self { path: path.into(), from: from.into(), to: Planned::Known(to.into()) }
    }
}

/// One step as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    /// Which step.
    pub step: Step,
    /// What it is done to: a name or URI.
    pub subject: String,
    /// What it does.
    pub action: Action,
    /// What differs.
    pub changes: Vec<Change>,
    /// For the image: which way each of its layers takes, lowest first.
    pub layers: Vec<PlannedLayer>,
}

/// What a deployment did to the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeploymentAction {
    /// It did not exist before.
    Created,
    /// Code, configuration or tags were changed.
    Updated,
    /// Nothing was written.
    Unchanged,
}

/// How many bytes and layers a push moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes of blobs that were sent (layers and configuration).
    pub bytes_uploaded: u64,
    /// Layers that were sent.
    pub layers_uploaded: usize,
    /// Layers that were there already.
    pub layers_reused: usize,
}

/// An image that is in its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedImage {
    /// Where it is.
    pub repository: RepositoryUri,
    /// The digest of its manifest.
    pub digest: Digest,
    /// What it took.
    pub transfer: Transfer,
}

/// The result of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The function.
    pub function_name: FunctionName,
    /// Its unqualified ARN.
    pub function_arn: String,
    /// `$LATEST`.
    pub version: String,
    /// The image that is live, or comes live where nobody waited.
    pub image: PushedImage,
    /// What was done to the function.
    pub action: DeploymentAction,
    /// The status last seen.
    pub status: FunctionStatus,
    /// Whether the status was waited for (`--no-wait` does not).
    pub waited: bool,
    /// Wall time of the whole command so far.
    pub elapsed: std::time::Duration,
}
