//! Looks at everything a deployment needs, each thing by itself and all at the same time, and
//! writes nothing. `cli` calls it for `doctor`.

mod around;
mod engine;
mod identity;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::FuturesOrdered;

use super::cloud::Cloud;
use super::error::PipelineError;
use crate::domain::diagnosis::Diagnosis;
use crate::domain::spec::DeploySpec;
use crate::services::api_error::{ApiError, Failure};
use crate::services::docker::EngineLocation;

/// How long one check may take; a metadata service that does not answer must not hold all up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be looked at.
#[derive(Debug)]
pub struct Examination<'a> {
    /// Where an engine may be.
    pub engine: &'a EngineLocation,
    /// The cloud; `None` where the settings for it cannot be used.
    pub cloud: Option<&'a Cloud>,
    /// What would be deployed, where there is anything.
    pub spec: Option<&'a DeploySpec>,
    /// Whether it is known where its image comes from.
    pub has_image: bool,
    /// Whether a missing role would be made.
    pub create_role: bool,
}

/// One thing that is being looked at.
pub type Check<'a> = Pin<Box<dyn Future<Output = Vec<Diagnosis>> + Send + 'a>>;

/// Begins all checks; what they find comes in the order in which it is shown.
pub fn examine<'a>(examination: &Examination<'a>) -> FuturesOrdered<Check<'a>> {
    let Examination { engine, cloud, spec, has_image, create_role } = *examination;
    let mut checks: FuturesOrdered<Check<'a>> = FuturesOrdered::new();
    checks.push_back(Box::pin(engine::check(engine, spec, has_image)));
    if let Some(cloud) = cloud {
        checks.push_back(Box::pin(async { vec![identity::region(cloud)] }));
        checks.push_back(Box::pin(identity::credentials(cloud)));
        checks.push_back(Box::pin(identity::clock(cloud)));
        checks.push_back(Box::pin(around::registry_token(cloud)));
    }
    if let Some((cloud, spec)) = cloud.zip(spec) {
        checks.push_back(Box::pin(around::function(cloud, spec)));
        checks.push_back(Box::pin(around::repository(cloud, spec)));
        checks.push_back(Box::pin(around::role(cloud, spec, create_role)));
    }
    checks
}

/// Runs one check within its time.
async fn in_time(check: &'static str, work: impl Future<Output = Vec<Diagnosis>>) -> Vec<Diagnosis> {
    within(PATIENCE, check, work).await
}

async fn within(
    patience: Duration,
    check: &'static str,
    work: impl Future<Output = Vec<Diagnosis>>,
) -> Vec<Diagnosis> {
    match tokio::time::timeout(patience, work).await {
        Ok(found) => found,
        Err(_) => vec![Diagnosis::error(
            check,
            format!("no answer within {} s", patience.as_secs()),
            Some("check the network, the proxy variables and any `AWS_ENDPOINT_URL`; without credentials in the environment or a profile, the metadata service is waited for".to_owned()),
        )],
    }
}

/// What an API's refusal means for a check. What only comes of missing credentials or a missing
/// region is said once, where those are looked at.
fn of_api(check: &'static str, doing: &str, error: &ApiError) -> Diagnosis {
    if error.failure == Failure::NoCredentials || error.is_unauthenticated() {
        return Diagnosis::skipped(check, "not looked at: there are no credentials that AWS accepts");
    }
    Diagnosis::error(check, format!("cannot {doing}: {error}"), error.hint())
}

/// Several hints as one.
fn joined(hints: &[String]) -> Option<String> {
    (!hints.is_empty()).then(|| hints.join("\n"))
}

fn of_pipeline(check: &'static str, error: &PipelineError) -> Diagnosis {
    match error {
        PipelineError::Session(_) => Diagnosis::skipped(check, format!("not looked at: {error}")),
        PipelineError::Api { doing, source } => of_api(check, doing, source),
        other => Diagnosis::error(check, other.to_string(), joined(&other.hints())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::diagnosis::Finding;
    use crate::services::api_error::tests::answered;

    #[tokio::test]
    async fn a_check_that_never_ends_is_given_up_and_said_to_be_an_error() {
        let found = within(Duration::from_millis(1), "credentials", std::future::pending()).await;
        assert_eq!((found[0].check, found[0].finding), ("credentials", Finding::Error));
        assert!(found[0].hint.as_ref().unwrap().contains("metadata service"));
    }

    #[test]
    fn missing_credentials_are_not_told_again_by_every_check() {
        let expired = answered("GetFunction", 403, "ExpiredTokenException", "expired");
        assert_eq!(of_api("function", "read it", &expired).finding, Finding::Skipped);
        let denied = answered("GetFunction", 403, "AccessDeniedException", "no");
        let found = of_api("function", "read it", &denied);
        assert_eq!(found.finding, Finding::Error);
        assert!(found.hint.unwrap().contains("lambda:GetFunction"));
    }
}
