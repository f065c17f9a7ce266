//! The clients of one region of one account, made once and shared by all stages.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::cache::Cache;
use super::error::PipelineError;
use super::limits::Limits;
use super::progress::{Ledger, Progress};
use super::tokens::{self, EcrTokens};
use crate::domain::plan::Step;
use crate::domain::reference::RegistryHost;
use crate::event::{Event, OneOfMany, SharedReporter};
use crate::services::docker::{EngineLocation, Login};
use crate::services::docker_credentials;
use crate::services::ecr::EcrClient;
use crate::services::iam::IamClient;
use crate::services::lambda::LambdaClient;
use crate::services::logs::LogsClient;
use crate::services::registry::{Authorization, RegistryClient, TokenProvider as _};
use crate::services::session::{Session, SessionOptions};
use crate::services::sts::StsClient;

/// The clients of one region of one account, and what it takes to reach an engine; cheap to
/// clone.
#[derive(Clone)]
pub struct Cloud {
    inner: Arc<Inner>,
}

struct Inner {
    session: Session,
    ecr: EcrClient,
    lambda: LambdaClient,
    // Few commands need all of them.
    iam: OnceLock<IamClient>,
    logs: OnceLock<LogsClient>,
    sts: OnceLock<StsClient>,
    reporter: SharedReporter,
    registries: Mutex<BTreeMap<RegistryHost, RegistryClient>>,
    shared: Shared,
}

/// What the clouds of many functions have in common.
#[derive(Clone)]
struct Shared {
    http: reqwest::Client,
    engine: EngineLocation,
    ledger: Ledger,
    tokens: Arc<Mutex<BTreeMap<String, Arc<EcrTokens>>>>,
    cache: OnceLock<Cache>,
    limits: Limits,
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("session", &self.inner.session).finish_non_exhaustive()
    }
}

impl Cloud {
    /// Loads the AWS settings and makes the clients. Nothing is sent yet, and a missing region
    /// only matters to what needs AWS.
    pub async fn connect(
        session: &SessionOptions,
        engine: EngineLocation,
        reporter: SharedReporter,
    ) -> Result<Self, PipelineError> {
        let session = Session::load(session, reporter.clone()).await?;
        let lambda = LambdaClient::new(&session);
        let shared = Shared {
            http: session.trust().client()?,
            engine,
            ledger: Ledger::default(),
            tokens: Arc::default(),
            cache: OnceLock::new(),
            limits: Limits::default(),
        };
        Ok(Self::new(session, lambda, reporter, shared))
    }

    fn new(session: Session, lambda: LambdaClient, reporter: SharedReporter, shared: Shared) -> Self {
        let inner = Inner {
            ecr: EcrClient::new(&session, None),
            lambda,
            iam: OnceLock::new(),
            logs: OnceLock::new(),
            sts: OnceLock::new(),
            session,
            reporter,
            registries: Mutex::default(),
            shared,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Keeps what is learned about registries in `directory`, which may be lost at any time.
    #[must_use]
    pub fn with_cache(self, directory: PathBuf) -> Self {
        let _already_set = self.inner.shared.cache.set(Cache::new(directory));
        self
    }

    pub(super) fn cache(&self) -> Option<&Cache> {
        self.inner.shared.cache.get()
    }

    /// The same cloud for the work on one function among many: connections, credentials, tokens
    /// and limits are shared, and every event says which function it belongs to.
    pub(super) fn for_function(&self, name: &str) -> Self {
        let inner = &self.inner;
        let reporter: SharedReporter = Arc::new(OneOfMany::new(name, inner.reporter.clone()));
        let session = inner.session.reporting_to(reporter.clone());
        let lambda = inner.lambda.reporting_to(&session);
        Self::new(session, lambda, reporter, inner.shared.clone())
    }

    /// The region everything happens in; empty where none is set.
    pub fn region(&self) -> &str {
        self.inner.session.region().unwrap_or_default()
    }

    /// Refuses to go on where no region is set.
    pub fn require_region(&self) -> Result<(), PipelineError> {
        Ok(self.inner.session.region().map(drop)?)
    }

    /// What has been written so far; to be asked after an interruption.
    pub fn progress(&self) -> Progress {
        self.inner.shared.ledger.snapshot()
    }

    pub(super) fn session(&self) -> &Session {
        &self.inner.session
    }

    pub(super) fn ecr(&self) -> &EcrClient {
        &self.inner.ecr
    }

    pub(super) fn lambda(&self) -> &LambdaClient {
        &self.inner.lambda
    }

    pub(super) fn iam(&self) -> &IamClient {
        self.inner.iam.get_or_init(|| IamClient::new(self.session()))
    }

    pub(super) fn logs(&self) -> &LogsClient {
        self.inner.logs.get_or_init(|| LogsClient::new(self.session()))
    }

    pub(super) fn sts(&self) -> &StsClient {
        self.inner.sts.get_or_init(|| StsClient::new(self.session()))
    }

    pub(super) fn engine(&self) -> &EngineLocation {
        &self.inner.shared.engine
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.inner.shared.limits
    }

    pub(super) fn reporter(&self) -> &SharedReporter {
        &self.inner.reporter
    }

    pub(super) fn report(&self, event: Event) {
        self.inner.reporter.report(event);
    }

    pub(super) fn wrote(&self, step: Step, subject: &str, outcome: &str) {
        self.inner.shared.ledger.wrote(step, subject, outcome);
    }

    /// Takes one step: reports its beginning and, where it succeeds, its end. The work returns
    /// its result and the outcome in a few words.
    pub(super) async fn step<T, E>(
        &self,
        step: Step,
        subject: impl Into<String>,
        work: impl Future<Output = Result<(T, String), E>>,
    ) -> Result<T, E> {
        let (subject, began) = (subject.into(), Instant::now());
        self.inner.shared.ledger.begin(step, &subject);
        self.report(Event::StepStarted { step, subject });
        let (result, outcome) = work.await?;
        self.inner.shared.ledger.end();
        self.report(Event::StepFinished { step, outcome, elapsed: began.elapsed() });
        Ok(result)
    }

    /// The tokens of a region; one provider a region, so that a token is fetched once.
    pub(super) fn tokens(&self, region: &str) -> Arc<EcrTokens> {
        let mut tokens = self.inner.shared.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(EcrTokens::new(EcrClient::new(&self.inner.session, Some(region))));
        tokens.entry(region.to_owned()).or_insert_with(make).clone()
    }

    /// A client of the registry at `host`: with ECR's tokens where it is ECR (or stands in for
    /// it), else with what `docker login` left, else anonymous. There is one for each registry, so
    /// that connections, tokens and what was found out are shared.
    pub(super) async fn registry(&self, host: &RegistryHost) -> Result<RegistryClient, PipelineError> {
        let clients = || self.inner.registries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients().get(host) {
            return Ok(client.clone());
        }
        let authorization = match self.ecr_region(host) {
            Some(region) => Authorization::Token(self.tokens(&region)),
            None => match self.docker_login(host).await? {
                Some(Login { user, password }) => Authorization::Password { user, password },
                None => Authorization::Anonymous,
            },
        };
        let (http, reporter) = (self.inner.shared.http.clone(), self.inner.reporter.clone());
        let client = RegistryClient::new(http, host.clone(), authorization, reporter);
        Ok(clients().entry(host.clone()).or_insert(client).clone())
    }

    /// The region whose tokens `host` takes; `None` where it is not ECR.
    fn ecr_region(&self, host: &RegistryHost) -> Option<String> {
        let session = &self.inner.session;
        match host.ecr() {
            // Dummy credentials would only be refused there.
            Some(_) if session.is_local() => None,
            Some(ecr) => Some(ecr.region),
            None if host.is_loopback() && session.is_overridden() => session.region().ok().map(str::to_owned),
            None => None,
        }
    }

    /// The same credentials, for a builder that pulls from `host` by itself. Credentials that
    /// cannot be had stop nothing: the image may be public, or in the engine already.
    pub(super) async fn login(&self, host: &RegistryHost) -> Option<Login> {
        let login = match self.ecr_region(host) {
            Some(region) => {
                let token = self.tokens(&region).token(None).await;
                token.map(|token| tokens::login(&token)).map_err(|error| error.to_string())
            }
            None => self.docker_login(host).await.map_err(|error| error.to_string()),
        };
        login.unwrap_or_else(|error| {
            self.report(Event::Detail(format!(
                "the builder pulls from `{host}` without credentials: {error}"
            )));
            None
        })
    }

    async fn docker_login(&self, host: &RegistryHost) -> Result<Option<Login>, PipelineError> {
        let Some(directory) = self.docker_directory() else { return Ok(None) };
        let found = docker_credentials::look_up(&directory, host).await?;
        Ok(found.map(|found| Login { user: found.user, password: found.password }))
    }

    fn docker_directory(&self) -> Option<PathBuf> {
        let engine = &self.inner.shared.engine;
        engine.config_directory.clone().or_else(|| engine.home.as_ref().map(|home| home.join(".docker")))
    }
}
