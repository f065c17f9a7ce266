//! ECR's tokens, as the registry client asks for them: fetched once for all tasks, kept until
//! they are near their end or refused.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use crate::domain::secret::Secret;
use crate::services::api_error::ApiError;
use crate::services::docker::Login;
use crate::services::ecr::{EcrClient, RegistryToken};
use crate::services::registry::{TokenError, TokenProvider};

/// A token is replaced this long before its end, so that no upload begins with a dying one.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// The token for the registries of one region.
#[derive(Debug)]
pub(super) struct EcrTokens {
    ecr: EcrClient,
    /// Held while a token is fetched, so that tasks refused together fetch one together.
    cached: Mutex<Option<Cached>>,
}

#[derive(Debug)]
struct Cached {
    token: Secret,
    /// `None`: until it is refused.
    replace_at: Option<SystemTime>,
}

impl EcrTokens {
    pub(super) fn new(ecr: EcrClient) -> Self {
        Self { ecr, cached: Mutex::new(None) }
    }

    async fn current(&self, rejected: Option<&Secret>) -> Result<Secret, ApiError> {
        let mut cached = self.cached.lock().await;
        let usable = |it: &&Cached| Some(&it.token) != rejected && it.is_fresh(SystemTime::now());
        if let Some(found) = cached.as_ref().filter(usable) {
            return Ok(found.token.clone());
        }
        let fetched = Cached::new(self.ecr.token().await?, SystemTime::now());
        let token = fetched.token.clone();
        *cached = Some(fetched);
        Ok(token)
    }
}

impl Cached {
    /// An end in the past (some stand-ins for ECR give one) says nothing: such a token is used
    /// until it is refused.
    fn new(fetched: RegistryToken, now: SystemTime) -> Self {
        let replace_at =
            fetched.expires_at.filter(|end| *end > now + MARGIN).and_then(|end| end.checked_sub(MARGIN));
        Self { token: fetched.token, replace_at }
    }

    fn is_fresh(&self, now: SystemTime) -> bool {
        self.replace_at.is_none_or(|at| now < at)
    }
}

/// The user and password in a token, for those who cannot take it whole: base64 of `AWS:` and
/// the password, split at the first colon.
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_AuthorizationData.html>
pub(super) fn login(token: &Secret) -> Option<Login> {
    let decoded = STANDARD.decode(token.expose()).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(Login { user: user.to_owned(), password: Secret::new(password) })
}

impl TokenProvider for EcrTokens {
    fn token<'a>(&'a self, rejected: Option<&'a Secret>) -> BoxFuture<'a, Result<Secret, TokenError>> {
        async move {
            self.current(rejected).await.map_err(|error| {
                let error: Arc<dyn std::error::Error + Send + Sync> = Arc::new(error);
                TokenError(error)
            })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_replaced_before_its_end_and_a_past_end_is_ignored() {
        let now = SystemTime::now();
        let with = |expires_at| Cached::new(RegistryToken { token: Secret::new("t"), expires_at }, now);
        let hours = |count: u64| Duration::from_secs(count * 3600);
        let usual = with(Some(now + hours(12)));
        assert!(usual.is_fresh(now + hours(11)) && !usual.is_fresh(now + hours(12) - MARGIN));
        for odd in [None, Some(now - hours(24 * 365 * 10)), Some(now + Duration::from_secs(1))] {
            assert!(with(odd).is_fresh(now + hours(1)), "{odd:?}");
        }
    }
}
