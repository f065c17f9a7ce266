//! Writes that AWS refuses for a while: repeated within a bound, and only while waiting can help.

use std::time::Duration;

use tokio::time::Instant;

use super::answers;
use crate::domain::policy::{Pull, Trust, trusts_lambda};
use crate::event::Event;
use crate::pipeline::cloud::Cloud;
use crate::pipeline::error::PipelineError;
use crate::services::api_error::ApiError;
use crate::services::ecr::Repository;

/// How long a new role may take to be known everywhere: 5 to 60 s are seen.
const ROLE: Duration = Duration::from_secs(90);
/// How long a new policy or key may take.
const POLICY: Duration = Duration::from_secs(30);

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a write of the function depends on.
#[derive(Debug)]
pub(super) struct Circumstances<'a> {
    pub(super) cloud: &'a Cloud,
    /// ARN of the role.
    pub(super) role: &'a str,
    pub(super) repository: &'a Repository,
    pub(super) pull: &'a Pull,
    /// Whether Lambda was given its right to pull, or the image was sent, a moment ago.
    pub(super) is_fresh: bool,
}

impl Circumstances<'_> {
    /// Makes the call until it succeeds, or fails in a way that waiting does not mend.
    pub(super) async fn write<F, T>(&self, doing: &str, mut call: impl FnMut() -> F) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let (began, mut pause, mut attempt) = (Instant::now(), FIRST_PAUSE, 0_usize);
        loop {
            let error = match call().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            attempt += 1;
            let limit = self.limit(&error, attempt).await?;
            if began.elapsed() + pause > limit {
                return Err(self.given_up(doing, error, began.elapsed()).into());
            }
            self.cloud.report(Event::Retrying {
                what: doing.to_owned(),
                attempt,
                after: pause,
                because: answers::why_again(&error),
            });
            tokio::time::sleep(pause).await;
            // The local cloud knows a new role within seconds, and nobody is kept from their turn.
            let longest = if self.cloud.session().is_local() { FIRST_PAUSE } else { LONGEST_PAUSE };
            pause = (pause * 3 / 2).min(longest);
        }
    }

    /// How long waiting may help against this answer; nothing where it cannot.
    async fn limit(&self, error: &ApiError, attempt: usize) -> Result<Duration, Refused> {
        if answers::role_cannot_be_assumed(error) {
            if attempt == 1 && !self.may_be_assumed_soon().await {
                let (role, source) = (self.role.to_owned(), error.clone());
                return Err(PipelineError::RoleNotTrusted { role, source }.into());
            }
            return Ok(ROLE);
        }
        if answers::key_is_not_known_yet(error) || (answers::image_cannot_be_read(error) && self.is_fresh) {
            return Ok(POLICY);
        }
        if answers::image_cannot_be_read(error) {
            return Ok(Duration::ZERO);
        }
        Err(Refused::Answer(error.clone()))
    }

    /// Reads the role's trust policy: where it leaves Lambda out, waiting is no use.
    async fn may_be_assumed_soon(&self) -> bool {
        let Some(name) = self.role.rsplit('/').next() else { return true };
        match self.cloud.iam().role(name).await {
            Ok(Some(role)) if role.arn == self.role => {
                role.trust.is_none_or(|document| trusts_lambda(&document) != Trust::NotTrusted)
            }
            // Another account's, just made, or not to be read: time will tell.
            _ => true,
        }
    }

    fn given_up(&self, doing: &str, source: ApiError, waited: Duration) -> PipelineError {
        if answers::role_cannot_be_assumed(&source) {
            let waited = Duration::from_secs(waited.as_secs());
            return PipelineError::RoleNotAssumable { role: self.role.to_owned(), waited, source };
        }
        if answers::image_cannot_be_read(&source) {
            return PipelineError::ImageNotReadable {
                repository: self.repository.uri.clone(),
                statements: self.pull.statements_text(),
                source,
            };
        }
        PipelineError::api(doing)(source)
    }
}

/// Why a write was not made: an answer the caller may know what to do with, or the end.
#[derive(Debug)]
pub(super) enum Refused {
    Answer(ApiError),
    End(PipelineError),
}

impl From<PipelineError> for Refused {
    fn from(error: PipelineError) -> Self {
        Self::End(error)
    }
}

impl Refused {
    /// The end in any case.
    pub(super) fn into_error(self, doing: &str) -> PipelineError {
        match self {
            Self::Answer(error) => PipelineError::api(doing)(error),
            Self::End(error) => error,
        }
    }
}
