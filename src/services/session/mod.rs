//! The AWS settings all service clients are made from: region, credentials, endpoints, roots of
//! trust. `cli` says what the user asked for; the SDK's own chain finds the rest.

mod connection;
mod endpoints;
mod profiles;
mod retries;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;

use super::http::{HttpError, Trust};
use crate::event::SharedReporter;
use connection::SdkHttpClient;
pub use profiles::UnknownProfile;
pub(super) use retries::RetryEvents;

/// What the user asked for; everything else comes from the SDK's usual places.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    /// `--region`.
    pub region: Option<String>,
    /// `--profile`.
    pub profile: Option<String>,
    /// The endpoint of the local cloud, which also means: dummy credentials, never AWS.
    pub local_endpoint: Option<String>,
    /// PEM files with further roots of trust (`SSL_CERT_FILE`, `AWS_CA_BUNDLE`).
    pub extra_roots: Vec<PathBuf>,
    /// The variables of the environment whose names begin with `AWS_ENDPOINT_URL`, as data: the
    /// SDK reads them itself, but silently ignores one it cannot parse.
    pub endpoints: BTreeMap<String, String>,
    /// Ask once and briefly, for those who only want to know whether anybody answers.
    pub impatient: bool,
}

/// Says why no session can be had.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Nobody named a region.
    #[error("no region is set")]
    NoRegion,
    /// An endpoint is not a URL.
    #[error("`{name}` is not an endpoint: `{value}`: {why}")]
    InvalidEndpoint {
        /// The variable, or `local endpoint`.
        name: String,
        /// What it holds.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// A profile is named that no file has.
    #[error("there is no AWS profile `{}`", .0.name)]
    UnknownProfile(UnknownProfile),
    /// The connections cannot be set up.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl SessionError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoRegion => Some(
                "name one with `--region REGION`, `AWS_REGION`, or `region` in the profile; or use `--local`"
                    .to_owned(),
            ),
            Self::InvalidEndpoint { .. } => Some(
                "an endpoint looks like `https://lambda.example.com` or `http://127.0.0.1:4566`".to_owned(),
            ),
            Self::UnknownProfile(unknown) => Some(unknown.hint()),
            Self::Http(error) => error.hint(),
        }
    }
}

/// What every client of an AWS service is made from; cheap to clone.
#[derive(Clone)]
pub struct Session {
    config: SdkConfig,
    region: Option<String>,
    local: bool,
    overridden: bool,
    unknown_profile: Option<UnknownProfile>,
    trust: Trust,
    reporter: SharedReporter,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("region", &self.region)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// The region of the local cloud where nobody names one.
const LOCAL_REGION: &str = "us-east-1";

impl Session {
    /// Loads the settings. Nothing is sent: credentials are fetched with the first call.
    ///
    /// # Errors
    /// An endpoint that is no URL, or roots of trust that cannot be read. A missing region or
    /// profile is not an error here, because building an image needs none: [`Session::region`]
    /// says it.
    pub async fn load(options: &SessionOptions, reporter: SharedReporter) -> Result<Self, SessionError> {
        endpoints::check(options)?;
        let local = options.local_endpoint.is_some();
        let unknown_profile = match local {
            true => None,
            false => profiles::unknown(options.profile.as_deref()).await,
        };
        let region = match &options.region {
            Some(region) => Some(region.clone()),
            None => region_of_environment(options.profile.as_deref()).await,
        };
        let trust = Trust::new(&options.extra_roots)?;
        let region = region.or_else(|| local.then(|| LOCAL_REGION.to_owned()));
        // A pinned version keeps the SDK's defaults from changing under our feet.
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(region.clone().map(Region::new))
            .retry_config(if options.impatient { RetryConfig::disabled() } else { retry_config(local) })
            .timeout_config(timeout_config(options.impatient))
            .http_client(SdkHttpClient::new(trust.clone()));
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = &options.local_endpoint {
            loader = loader
                .endpoint_url(endpoint)
                .use_fips(false)
                .use_dual_stack(false)
                .credentials_provider(Credentials::new("test", "test", None, None, "local cloud"));
        }
        let config = loader.load().await;
        let overridden = config.endpoint_url().is_some() || endpoints::any_in_force(options);
        Ok(Self { config, region, local, overridden, unknown_profile, trust, reporter })
    }

    /// The region everything happens in.
    ///
    /// # Errors
    /// None is set, or a profile is named that does not exist, which may be why.
    pub fn region(&self) -> Result<&str, SessionError> {
        if let Some(unknown) = &self.unknown_profile {
            return Err(SessionError::UnknownProfile(unknown.clone()));
        }
        self.region.as_deref().ok_or(SessionError::NoRegion)
    }

    /// Tells whether the local cloud is spoken to.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// Tells whether some endpoint is not AWS's own, so that registries on loopback may be real.
    pub fn is_overridden(&self) -> bool {
        self.overridden
    }

    /// Whom its connections trust, for what connects to others than AWS's services.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The same settings, credentials and connections, with retries reported to somebody else.
    pub fn reporting_to(&self, reporter: SharedReporter) -> Self {
        Self { reporter, ..self.clone() }
    }

    pub(super) fn config(&self) -> &SdkConfig {
        &self.config
    }

    pub(super) fn retry_events(&self) -> RetryEvents {
        RetryEvents::new(self.reporter.clone())
    }
}

/// The region of the local cloud: the one that is given, else the one of the environment or the
/// profile, else its own.
pub async fn local_region(region: Option<&str>, profile: Option<&str>) -> String {
    let found = match region {
        Some(region) => Some(region.to_owned()),
        None => region_of_environment(profile).await,
    };
    found.unwrap_or_else(|| LOCAL_REGION.to_owned())
}

/// Asks the environment and the profile, never the instance metadata service: asking that takes
/// seconds on a machine that has none.
async fn region_of_environment(profile: Option<&str>) -> Option<String> {
    if let Some(region) = EnvironmentVariableRegionProvider::new().region().await {
        return Some(region.to_string());
    }
    let mut builder = ProfileFileRegionProvider::builder();
    if let Some(profile) = profile {
        builder = builder.profile_name(profile);
    }
    builder.build().region().await.map(|region| region.to_string())
}

/// Standard mode; the control plane of Lambda allows 15 calls a second for a whole account, so
/// throttling is met with more patience than the SDK's two retries.
fn retry_config(local: bool) -> RetryConfig {
    let config = RetryConfig::standard().with_max_attempts(5);
    if local { config.with_initial_backoff(Duration::from_millis(50)) } else { config }
}

fn timeout_config(impatient: bool) -> TimeoutConfig {
    let (connect, attempt) = if impatient { (4, 9) } else { (10, 60) };
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(connect))
        .operation_attempt_timeout(Duration::from_secs(attempt))
        .build()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::Silent;

    fn load(options: SessionOptions) -> Result<Session, SessionError> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(Session::load(&options, Arc::new(Silent)))
    }

    #[test]
    fn the_local_cloud_needs_no_credentials_and_is_an_override() {
        let session = load(SessionOptions {
            region: Some("eu-west-1".to_owned()),
            local_endpoint: Some("http://127.0.0.1:4566".to_owned()),
            ..SessionOptions::default()
        })
        .unwrap();
        assert_eq!(session.region().unwrap(), "eu-west-1");
        assert!(session.is_local() && session.is_overridden());
        assert_eq!(session.config().endpoint_url(), Some("http://127.0.0.1:4566"));
    }

    #[test]
    fn an_endpoint_the_sdk_would_ignore_is_an_error() {
        let endpoints = [("AWS_ENDPOINT_URL_LAMBDA".to_owned(), "127.0.0.1:4566".to_owned())].into();
        let error = load(SessionOptions { endpoints, ..SessionOptions::default() }).unwrap_err();
        assert!(error.to_string().contains("AWS_ENDPOINT_URL_LAMBDA"), "{error}");
        assert!(error.hint().is_some());
    }
}
