//! The story of a deployment, one stage a file: observe → build → plan → apply → watch.
//!
//! `spec + image + observed → DeployPlan::between (pure) → apply → Deployment`. `plan` and
//! `deploy` share everything up to the first write. `cli` calls one function a verb here.

mod ahead;
mod apply;
mod build;
mod cache;
mod check;
mod cloud;
mod command;
mod deploy;
mod dockerfile;
pub mod doctor;
mod early;
mod error;
mod knowledge;
mod limits;
mod live;
mod logs;
mod many;
mod observe;
mod plan;
mod policy;
mod preflight;
mod progress;
mod published;
pub mod push;
mod refusal;
mod replace;
mod sources;
mod tokens;
mod wake;
mod watch;
mod ways;

use std::time::Duration;

use self::ahead::Ahead;
use crate::domain::finding::CheckReport;
use crate::domain::function::Function;
use crate::domain::invocation::{Invocation, InvokeRequest};
use crate::domain::log::{LogEvent, LogRequest, LogSummary};
use crate::domain::plan::{Deployment, PlannedStep, PushedImage, Step};
use crate::domain::reference::{ImageReference, RepositoryUri, Tag};
use crate::domain::spec::DeploySpec;
use crate::event::Event;
use crate::image::Image;
use crate::image::check::Wanted;
use crate::image::known::KnownImages;
use crate::services::api_error::ApiError;

pub use cloud::Cloud;
pub use error::{ErrorKind, PipelineError};
pub use limits::Uploads;
pub use live::Live;
pub use many::Together;
pub use progress::{Progress, Written};
pub use refusal::Refusal;
pub use sources::Sources;

/// How far `deploy` goes.
#[derive(Clone, Debug)]
pub struct DeployOptions {
    /// Make the execution role where it does not exist; the local cloud always does.
    pub create_role: bool,
    /// Return without waiting for the function to settle.
    pub no_wait: bool,
    /// How long to wait for the function to settle, and for an update in progress to end.
    pub wait_timeout: Duration,
    /// Tag for the pushed manifest, besides its digest.
    pub tag: Option<Tag>,
    /// Delete a function whose creation failed, and create it anew; else that is refused.
    pub replace: bool,
}

/// What `check` looks at besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Whether versions are to start from a snapshot.
    pub snap_start: bool,
    /// Whether the image is started afterwards: then its layers are kept here.
    pub is_started: bool,
}

/// A repository's policy, and what it means for Lambda.
#[derive(Clone, Debug)]
pub struct PolicyReport {
    /// The repository.
    pub repository: RepositoryUri,
    /// The policy's text as it is now; `None` where there is none.
    pub text: Option<String>,
    /// What each of its statements says.
    pub in_words: Vec<String>,
    /// What it means for the functions of each account.
    pub judgements: Vec<PolicyJudgement>,
    /// `policy ensure` only: whether the policy was changed.
    pub changed: bool,
    /// The statements that let Lambda pull, as a text to hand to the repository's owner.
    pub statements: String,
    /// The caller's account.
    pub account: String,
}

/// What a repository's policy means for the functions of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyJudgement {
    /// The account of the functions.
    pub account: String,
    /// Whether Lambda may pull for them.
    pub allows_lambda: bool,
    /// In words: why, or why not.
    pub explanation: String,
}

impl Cloud {
    /// Observes, builds and plans; nothing is written.
    pub async fn plan(
        &self,
        spec: &DeploySpec,
        options: &DeployOptions,
    ) -> Result<Vec<PlannedStep>, PipelineError> {
        Ok(Box::pin(deploy::prepare(self, spec, options, deploy::Goal::Plan, None)).await?.plan.steps)
    }

    /// Takes the function from source to live.
    pub async fn deploy(
        &self,
        spec: &DeploySpec,
        options: &DeployOptions,
    ) -> Result<Deployment, PipelineError> {
        Box::pin(deploy::deploy(self, spec, options)).await
    }

    /// Builds, assembles or reads the image, and refuses one that cannot work. Needs no AWS account
    /// unless the base is in ECR.
    pub async fn build(&self, spec: &DeploySpec) -> Result<Image, PipelineError> {
        let image = self.image(spec).await?;
        let wanted = Wanted { is_settled: false, ..check::wanted(&spec.function, None) };
        check::refuse(self, spec, &wanted, &image, &Ahead::new(self), std::future::ready(true)).await?;
        Ok(image)
    }

    async fn image(&self, spec: &DeploySpec) -> Result<Image, PipelineError> {
        let knowing = std::future::ready(KnownImages::default());
        build::image(self, spec, spec.function.architecture, knowing).await
    }

    /// Builds, assembles or reads the image and holds all of it against Lambda's rules. There may
    /// be no image for Lambda at all.
    pub async fn check(
        &self,
        spec: &DeploySpec,
        options: CheckOptions,
    ) -> Result<(CheckReport, Option<Image>), PipelineError> {
        let start = options.is_started.then_some(Step::Start);
        self.report(Event::Steps([Step::Build, Step::Check].into_iter().chain(start).collect()));
        let wanted = Wanted { snap_start: options.snap_start, ..check::wanted(&spec.function, None) };
        match self.image(spec).await {
            Ok(image) => {
                let (report, image) = check::tell(self, spec, &wanted, image, options.is_started).await?;
                Ok((report, Some(image)))
            }
            Err(error) => Ok((CheckReport::new(vec![check::of_failure(error)?], &spec.allow), None)),
        }
    }

    /// Builds the image and puts it into its repository.
    pub async fn push(&self, spec: &DeploySpec, tag: Option<&Tag>) -> Result<PushedImage, PipelineError> {
        Box::pin(deploy::push(self, spec, tag)).await
    }

    /// Follows a function (name or ARN) until it settles.
    ///
    /// # Errors
    /// A function that settles in failure is [`PipelineError::FunctionFailed`]; the end of the
    /// time is [`PipelineError::TimedOut`].
    pub async fn watch(&self, function: &str, timeout: Duration) -> Result<Function, PipelineError> {
        self.session().region()?;
        let wait = watch::Wait { function, timeout, stale_revision: None, may_be_missing: false };
        Ok(watch::succeeded(watch::settled(self, wait).await?)?.function)
    }

    /// Re-activates a function that fell idle, and follows it until it settles. Tells whether
    /// there was anything to do.
    ///
    /// # Errors
    /// As [`Cloud::watch`].
    pub async fn wake(&self, function: &str, timeout: Duration) -> Result<(Function, bool), PipelineError> {
        wake::wake(self, function, timeout).await
    }

    /// What is live.
    pub async fn status(&self, function: &str) -> Result<Live, PipelineError> {
        live::status(self, function).await
    }

    /// Calls a function, once.
    pub async fn invoke(&self, request: &InvokeRequest) -> Result<Invocation, PipelineError> {
        self.session().region()?;
        self.lambda().invoke(request).await.map_err(|error| self.not_invoked(request, error))
    }

    /// Calls a function, once, and hands its response to `show` while it comes.
    pub async fn invoke_streamed(
        &self,
        request: &InvokeRequest,
        show: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Invocation, PipelineError> {
        self.session().region()?;
        let invoked = self.lambda().invoke_streamed(request, show).await;
        invoked.map_err(|error| self.not_invoked(request, error))
    }

    fn not_invoked(&self, request: &InvokeRequest, error: ApiError) -> PipelineError {
        let function = &request.function;
        match &request.qualifier {
            _ if !error.is("ResourceNotFoundException") => {
                PipelineError::api(format!("invoke function `{function}`"))(error)
            }
            None => watch::missing(self, function),
            Some(qualifier) => PipelineError::QualifierMissing {
                function: function.clone(),
                qualifier: qualifier.clone(),
                region: self.region().to_owned(),
            },
        }
    }

    /// Where a function answers HTTP. One that has no URL yet gets one that asks for no
    /// signature: only for the local cloud.
    pub async fn function_url(&self, function: &str) -> Result<String, PipelineError> {
        self.session().region()?;
        self.lambda().ensure_url(function).await.map_err(|error| {
            if error.is("ResourceNotFoundException") {
                return watch::missing(self, function);
            }
            PipelineError::api(format!("give function `{function}` a URL"))(error)
        })
    }

    /// Shows what a function has logged, and with `follow` what it logs from now on, until `show`
    /// says that nobody wants more.
    pub async fn logs_of(
        &self,
        request: &LogRequest,
        show: &mut (dyn FnMut(&LogEvent) -> bool + Send),
    ) -> Result<LogSummary, PipelineError> {
        logs::read(self, request, show).await
    }

    /// Reads and explains the repository policy, for functions of `accounts`; of the caller's
    /// where none is named.
    pub async fn policy_show(
        &self,
        spec: &DeploySpec,
        accounts: &[String],
    ) -> Result<PolicyReport, PipelineError> {
        policy::show(self, spec, accounts).await
    }

    /// Lets Lambda pull, keeping every other statement.
    pub async fn policy_ensure(
        &self,
        spec: &DeploySpec,
        accounts: &[String],
    ) -> Result<PolicyReport, PipelineError> {
        policy::ensure(self, spec, accounts).await
    }

    /// The caller's account.
    pub async fn account(&self) -> Result<String, PipelineError> {
        policy::account(self).await
    }

    /// The images in registries that the new one is made from, as far as they can be told.
    pub async fn bases(&self, spec: &DeploySpec) -> Vec<ImageReference> {
        policy::bases(spec).await
    }
}
