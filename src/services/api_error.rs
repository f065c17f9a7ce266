//! What an AWS service answered instead of success, in one shape for every service.
//!
//! The clients of the services make it from the SDK's errors; the pipeline decides by its code
//! and its [`Failure`], never by the SDK's types.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::event_stream::RawMessage;

use crate::domain::denial::Denial;

/// A failed call of an AWS API, with the service's own words kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {}{}{}", code.as_deref().map(|code| format!("{code}: ")).unwrap_or_default(), message, request_id.as_deref().map(|id| format!(" (request id {id})")).unwrap_or_default())]
pub struct ApiError {
    /// The service's prefix in IAM actions, such as `lambda`.
    pub service: &'static str,
    /// The operation as AWS names it, such as `CreateFunction`.
    pub operation: &'static str,
    /// How the call failed.
    pub failure: Failure,
    /// The error code, such as `ResourceNotFoundException`; absent where no answer came.
    pub code: Option<String>,
    /// The service's message, or why no answer came.
    pub message: String,
    /// The HTTP status; absent where no answer came.
    pub status: Option<u16>,
    /// The request id, to be given to AWS support.
    pub request_id: Option<String>,
    /// What `Retry-After` asked for.
    pub retry_after: Option<Duration>,
}

/// How a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The service answered with an error.
    Answered,
    /// There are no credentials, or they could not be fetched; nothing was sent.
    NoCredentials,
    /// The endpoint could not be reached.
    Unreachable,
    /// No answer came in time.
    TimedOut,
    /// The request could not be made or the answer not be read.
    Other,
}

impl ApiError {
    /// Reads the SDK's error of `operation`.
    pub(super) fn new<E>(
        service: &'static str,
        operation: &'static str,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let response = error.raw_response();
        let header = |name: &str| response.and_then(|response| response.headers().get(name));
        let failure = match error {
            SdkError::ServiceError(_) => Failure::Answered,
            _ if is_about_credentials(error) => Failure::NoCredentials,
            SdkError::TimeoutError(_) => Failure::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Failure::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_io() => Failure::Unreachable,
            _ => Failure::Other,
        };
        let message = match failure {
            Failure::Answered => {
                error.message().filter(|text| !text.is_empty()).unwrap_or("no message").to_owned()
            }
            Failure::TimedOut => "no answer came in time".to_owned(),
            Failure::Unreachable => format!("the endpoint cannot be reached: {}", innermost(error)),
            Failure::NoCredentials | Failure::Other => chain(error),
        };
        Self {
            service,
            operation,
            failure,
            code: error.code().map(str::to_owned),
            message,
            status: response.map(|response| response.status().as_u16()),
            request_id: header("x-amzn-requestid").or(header("x-amz-request-id")).map(str::to_owned),
            retry_after: header("retry-after")
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
        }
    }

    /// An answer that began well and broke off, or told of a failure on its way.
    pub(super) fn on_the_way<E>(
        service: &'static str,
        operation: &'static str,
        request_id: Option<&str>,
        error: &SdkError<E, RawMessage>,
    ) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let told = error.message().filter(|text| !text.is_empty()).map(str::to_owned);
        Self {
            service,
            operation,
            failure: if told.is_some() { Failure::Answered } else { Failure::Other },
            code: error.code().map(str::to_owned),
            message: told.unwrap_or_else(|| format!("the response broke off: {}", chain(error))),
            status: None,
            request_id: request_id.map(str::to_owned),
            retry_after: None,
        }
    }

    /// An answer that lacks a member it must have.
    pub(super) fn incomplete(service: &'static str, operation: &'static str, missing: &str) -> Self {
        Self {
            service,
            operation,
            failure: Failure::Other,
            code: None,
            message: format!("the answer lacks `{missing}`"),
            status: None,
            request_id: None,
            retry_after: None,
        }
    }

    /// Tells whether the service answered with this code.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// The action an IAM policy has to allow for this call, such as `lambda:GetFunction`.
    pub fn action(&self) -> String {
        format!("{}:{}", self.service, self.operation)
    }

    /// Tells whether the caller's credentials were not accepted: unknown, expired, or badly signed.
    pub fn is_unauthenticated(&self) -> bool {
        const CODES: [&str; 9] = [
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "MissingAuthenticationTokenException",
            "RequestExpired",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ];
        self.code.as_deref().is_some_and(|code| CODES.contains(&code))
    }

    /// Tells whether the caller lacks a permission. Trying again never helps.
    pub fn is_access_denied(&self) -> bool {
        matches!(
            self.code.as_deref(),
            Some("AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation")
        ) || (self.status == Some(403) && !self.is_unauthenticated())
    }

    /// Tells whether the service asked to slow down.
    pub fn is_throttled(&self) -> bool {
        self.status == Some(429)
            || matches!(
                self.code.as_deref(),
                Some(
                    "Throttling"
                        | "ThrottlingException"
                        | "TooManyRequestsException"
                        | "RequestLimitExceeded"
                )
            )
    }

    /// Tells whether the same call may succeed a little later.
    pub fn is_transient(&self) -> bool {
        self.is_throttled()
            || self.status.is_some_and(|status| status >= 500)
            || matches!(self.failure, Failure::Unreachable | Failure::TimedOut)
    }

    /// What to do about it, where that can be told from the error alone.
    pub fn hint(&self) -> Option<String> {
        if self.failure == Failure::NoCredentials {
            return Some(if is_about_sso(&self.message) {
                "sign in again with `aws sso login` (add `--profile NAME` for a named profile)".to_owned()
            } else {
                "set `AWS_PROFILE` or `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, run `aws configure`, or use `--local` to deploy without an account".to_owned()
            });
        }
        if self.is_unauthenticated() {
            return Some(
                "the credentials are expired or wrong: sign in again (`aws sso login`), or renew the keys; check this machine's clock".to_owned(),
            );
        }
        if self.is_access_denied() {
            return self.denial().map(|denial| denial.hint());
        }
        match self.failure {
            Failure::Unreachable | Failure::TimedOut => {
                Some("check the network, the region and any `AWS_ENDPOINT_URL` or proxy variable".to_owned())
            }
            _ => None,
        }
    }

    /// What the caller lacks: what AWS says, else the call's own action.
    pub fn denial(&self) -> Option<Denial> {
        let told = || Denial::parse(&self.message).unwrap_or_else(|| Denial::untold(self.action()));
        // That is Lambda's own right, which the repository's policy gives.
        let of_lambda = self.message.starts_with("Lambda does not have permission");
        (self.is_access_denied() && !of_lambda).then(told)
    }
}

/// Tells whether a failure to get credentials is an expired or missing SSO session.
///
/// Recorded: ``the SSO token has expired and cannot be refreshed``.
fn is_about_sso(message: &str) -> bool {
    message.to_ascii_lowercase().contains("sso")
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn is_about_credentials(error: &(dyn Error + 'static)) -> bool {
    sources(error).any(|source| source.is::<CredentialsError>())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    sources(error).last().map(ToString::to_string).unwrap_or_default()
}

/// All causes in one line; a cause that repeats the one before is left out.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for source in sources(error).skip(1).map(ToString::to_string) {
        if !text.contains(&source) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&source);
        }
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An answer as AWS gives it, for the tests of those who decide by it.
    pub(crate) fn answered(operation: &'static str, status: u16, code: &str, message: &str) -> ApiError {
        ApiError {
            service: "lambda",
            operation,
            failure: Failure::Answered,
            code: Some(code.to_owned()),
            message: message.to_owned(),
            status: Some(status),
            request_id: None,
            retry_after: None,
        }
    }

    #[test]
    fn the_services_own_words_are_kept() {
        let mut error = answered("CreateFunction", 400, "InvalidParameterValueException", "bad");
        error.request_id = Some("r-1".to_owned());
        assert_eq!(error.to_string(), "CreateFunction: InvalidParameterValueException: bad (request id r-1)");
    }

    #[test]
    fn access_denied_names_the_action_that_is_missing() {
        let error = answered("GetFunction", 403, "AccessDeniedException", "no");
        assert!(error.hint().unwrap().contains("`lambda:GetFunction`"));
        let pass_role = answered(
            "CreateFunction",
            403,
            "AccessDeniedException",
            "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/hello because no identity-based policy allows the iam:PassRole action",
        );
        let hint = pass_role.hint().unwrap();
        assert!(
            hint.contains("`iam:PassRole`") && hint.contains("arn:aws:iam::123456789012:role/hello"),
            "{hint}"
        );
        assert!(!pass_role.is_transient());
    }

    #[test]
    fn expired_credentials_are_not_a_missing_permission() {
        let error = answered("GetFunction", 403, "ExpiredTokenException", "expired");
        assert!(error.is_unauthenticated() && !error.is_access_denied());
        assert!(error.hint().unwrap().contains("sign in again"));
    }

    #[test]
    fn throttling_and_faults_of_the_service_may_pass() {
        assert!(answered("GetFunction", 429, "TooManyRequestsException", "").is_transient());
        assert!(answered("GetFunction", 500, "ServiceException", "").is_transient());
        assert!(!answered("GetFunction", 400, "ValidationException", "").is_transient());
    }

    #[test]
    fn missing_credentials_tell_where_to_get_some() {
        let mut error = answered("GetFunction", 0, "", "the SSO token has expired and cannot be refreshed");
        error.failure = Failure::NoCredentials;
        assert!(error.hint().unwrap().contains("aws sso login"));
        error.message = "no providers in chain provided credentials".to_owned();
        assert!(error.hint().unwrap().contains("AWS_ACCESS_KEY_ID"));
    }
}
