//! STS: who is calling.

use aws_sdk_sts::Client;
use aws_sdk_sts::config::Builder;

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
}
