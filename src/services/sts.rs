//! STS: who is calling.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::Builder;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;

use super::api_error::ApiError;
use super::session::Session;
use crate::domain::arn::{Arn, Partition};

/// The principal whose credentials are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// Twelve digits.
    pub account: String,
    /// Such as `arn:aws:sts::123456789012:assumed-role/ci/session`.
    pub arn: String,
}

impl CallerIdentity {
    /// The partition of the caller's ARN, else the one of `region`.
    pub fn partition(&self, region: &str) -> Partition {
        self.arn.parse::<Arn>().map_or_else(|_| Partition::of_region(region), |arn| arn.partition)
    }
}

/// Asks STS.
#[derive(Clone, Debug)]
pub struct StsClient {
    client: Client,
}

impl StsClient {
    /// Makes a client of `session`.
    pub fn new(session: &Session) -> Self {
        let config = Builder::from(session.config()).interceptor(session.retry_events()).build();
        Self { client: Client::from_conf(config) }
    }

    /// Says who is calling; needs no permission.
    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>
    pub async fn caller_identity(&self) -> Result<CallerIdentity, ApiError> {
        const OPERATION: &str = "GetCallerIdentity";
        let output = self
            .client
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| ApiError::new("sts", OPERATION, &error))?;
        let account = output.account().ok_or_else(|| ApiError::incomplete("sts", OPERATION, "Account"))?;
        Ok(CallerIdentity { account: account.to_owned(), arn: output.arn().unwrap_or_default().to_owned() })
    }

    /// The time an answer tells, and this machine's time when it came; `None` where it tells
    /// none.
    ///
    /// Asks with credentials that do not exist, so that it needs none: a refusal tells the time
    /// as well.
    pub async fn time(&self) -> Result<Option<(SystemTime, SystemTime)>, ApiError> {
        let told = Told::default();
        let nobody = Credentials::new("AKIDNOBODY", "none", None, None, "the time");
        let unknown = Builder::new().credentials_provider(nobody).retry_config(RetryConfig::disabled());
        let asked =
            self.client.get_caller_identity().customize().config_override(unknown).interceptor(told.clone());
        let answer = asked.send().await;
        let times = *told.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (times, answer) {
            (Some(times), _) => Ok(Some(times)),
            (None, Ok(_)) => Ok(None),
            (None, Err(error)) => Err(ApiError::new("sts", "GetCallerIdentity", &error)),
        }
    }
}

/// Remembers the `Date` of an answer, whatever the answer is.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Option<(SystemTime, SystemTime)>>>);

impl Intercept for Told {
    fn name(&self) -> &'static str {
        "Told"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        let theirs = date.and_then(|date| SystemTime::try_from(date).ok());
        let now = SystemTime::now();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = theirs.map(|theirs| (theirs, now));
        Ok(())
    }
}
