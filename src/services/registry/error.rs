//! What a registry refused, or how reaching it failed. Hints are in `hint`.

use std::fmt;
use std::io;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{BlobMismatch, TokenError};
use crate::domain::digest::Digest;
use crate::domain::reference::RegistryHost;

/// What was being done when something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Asking whether a blob is there.
    CheckBlob,
    /// Reading a blob.
    ReadBlob,
    /// Opening an upload session.
    StartUpload,
    /// Sending the bytes of a blob.
    UploadBlob,
    /// Asking for the digest of a manifest.
    CheckManifest,
    /// Reading a manifest.
    ReadManifest,
    /// Storing a manifest.
    PutManifest,
    /// Fetching a bearer token.
    FetchToken,
}

impl Operation {
    /// The IAM actions Amazon ECR wants for it.
    /// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html>
    pub fn ecr_actions(self) -> &'static [&'static str] {
        match self {
            Self::CheckBlob => &["ecr:BatchCheckLayerAvailability"],
            Self::ReadBlob => &["ecr:GetDownloadUrlForLayer"],
            Self::StartUpload => &["ecr:InitiateLayerUpload"],
            Self::UploadBlob => &["ecr:UploadLayerPart", "ecr:CompleteLayerUpload"],
            Self::CheckManifest | Self::ReadManifest => &["ecr:BatchGetImage"],
            Self::PutManifest => &["ecr:PutImage"],
            Self::FetchToken => &["ecr:GetAuthorizationToken"],
        }
    }

    /// Whether it writes.
    pub(super) fn writes(self) -> bool {
        matches!(self, Self::StartUpload | Self::UploadBlob | Self::PutManifest)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CheckBlob => "check blob",
            Self::ReadBlob => "read blob",
            Self::StartUpload => "start upload of blob",
            Self::UploadBlob => "upload blob",
            Self::CheckManifest => "check manifest",
            Self::ReadManifest => "read manifest",
            Self::PutManifest => "put manifest",
            Self::FetchToken => "fetch token for",
        })
    }
}

/// One of the errors a registry lists in its answer.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes>
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ErrorEntry {
    /// Such as `NAME_UNKNOWN`.
    #[serde(default)]
    pub code: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// Whatever else it says.
    #[serde(default)]
    pub detail: Value,
}

impl fmt::Display for ErrorEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.is_empty(), self.message.is_empty()) {
            (false, false) => write!(f, "{}: {}", self.code, self.message),
            (false, true) => f.write_str(&self.code),
            (true, _) => f.write_str(&self.message),
        }
    }
}

/// An answer with a status other than the ones that were expected.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What was being done.
    pub operation: Operation,
    /// To what: `REPOSITORY@sha256:…` or `REPOSITORY:TAG`.
    pub subject: String,
    /// The HTTP method.
    pub method: reqwest::Method,
    /// The URL without its query, which may hold signatures.
    pub url: String,
    /// The HTTP status.
    pub status: reqwest::StatusCode,
    /// The errors it listed.
    pub errors: Vec<ErrorEntry>,
    /// What `Retry-After` asked for.
    pub retry_after: Option<Duration>,
    /// Whether the registry is Amazon ECR (or behaves as one): tokens that AWS hands out.
    pub ecr: bool,
    /// The challenges of `WWW-Authenticate`.
    pub(super) challenges: Vec<String>,
    /// Whether the registry itself answered, not a host it redirected to.
    pub(super) by_registry: bool,
}

impl Refusal {
    /// Tells whether one of the errors has this code.
    pub fn has_code(&self, code: &str) -> bool {
        self.errors.iter().any(|entry| entry.code == code)
    }

    /// Tells whether another token may help.
    ///
    /// ECR answers 403 where others answer 401 when a token has expired, without a challenge.
    /// The answer to HEAD has no body that could say so.
    pub(super) fn wants_authorization(&self) -> bool {
        let forbidden = self.status == reqwest::StatusCode::FORBIDDEN
            && self.ecr
            && (self.method == reqwest::Method::HEAD || self.says_token_expired());
        self.by_registry && (self.status == reqwest::StatusCode::UNAUTHORIZED || forbidden)
    }

    /// Recognises `Your authorization token has expired. Reauthenticate and try again.`
    fn says_token_expired(&self) -> bool {
        self.errors.iter().any(|entry| {
            let message = entry.message.to_ascii_lowercase();
            message.contains("token") && message.contains("expired")
        })
    }

    /// Tells whether the manifest was refused because blobs it names are not there (yet).
    pub(super) fn misses_blobs(&self) -> bool {
        ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "BLOB_UPLOAD_UNKNOWN"]
            .iter()
            .any(|code| self.has_code(code))
    }

    fn is_transient(&self) -> bool {
        let status = self.status.as_u16();
        let lost = match self.operation {
            // Right after uploads ECR may not know them yet for some 100 ms.
            Operation::PutManifest => self.misses_blobs(),
            // The session went away; another attempt opens its own.
            Operation::UploadBlob => self.has_code("BLOB_UPLOAD_UNKNOWN"),
            _ => false,
        };
        // A full disk stays so.
        (matches!(status, 408 | 429 | 500..=599) && status != 507) || lost
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, subject, method, url, status, .. } = self;
        write!(f, "{operation} `{subject}`: the registry answered {status}")?;
        for entry in &self.errors {
            write!(f, ": {entry}")?;
        }
        write!(f, " ({method} {url})")
    }
}

/// Says what a registry refused or how it failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry answered, but not as hoped.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// No answer came.
    #[error("{operation} `{subject}`: no answer from the registry ({url})")]
    Unreachable {
        /// What was being done.
        operation: Operation,
        /// To what.
        subject: String,
        /// The URL without its query.
        url: String,
        /// Why, without the URL.
        #[source]
        source: reqwest::Error,
    },
    /// The connection stayed open, but nothing moved.
    #[error("{operation} `{subject}`: nothing moved for {seconds} s ({url})", seconds = idle.as_secs())]
    Silent {
        /// What was being done.
        operation: Operation,
        /// To what.
        subject: String,
        /// The URL without its query.
        url: String,
        /// For how long nothing moved.
        idle: Duration,
    },
    /// The answer makes no sense.
    #[error("{operation} `{subject}`: {problem} ({url})")]
    Protocol {
        /// What was being done.
        operation: Operation,
        /// To what.
        subject: String,
        /// The URL without its query.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// No token for the registry could be had.
    #[error("token for `{host}`: {source}")]
    Token {
        /// The registry.
        host: String,
        /// Why.
        source: TokenError,
    },
    /// The registry has, or sent, something other than what was asked for.
    #[error("`{subject}`: the registry has {actual}, expected {expected}")]
    Digest {
        /// What was stored or asked for.
        subject: String,
        /// The digest it should have.
        expected: Digest,
        /// The digest it has.
        actual: Digest,
    },
    /// What was stored is not found again.
    #[error("`{subject}`: stored, but not found when read back")]
    Vanished {
        /// What was stored.
        subject: String,
    },
    /// The bytes that were to be sent cannot be read.
    #[error("read blob `{digest}` to send it: {source}")]
    Content {
        /// The blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
}

impl RegistryError {
    /// The registry's answer, if it was one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Tells whether the registry listed this error code.
    pub fn has_code(&self, code: &str) -> bool {
        self.refusal().is_some_and(|refusal| refusal.has_code(code))
    }

    /// Tells whether the same attempt may succeed the next time.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_transient(),
            Self::Unreachable { url, source, .. } => {
                let is_lasting =
                    source.is_builder() || certificate_error(source).is_some() || is_over(url, source);
                !is_lasting
            }
            Self::Silent { .. } => true,
            Self::Content { source, .. } => is_transient_read(source),
            Self::Protocol { .. } | Self::Token { .. } | Self::Digest { .. } | Self::Vanished { .. } => false,
        }
    }

    /// What `Retry-After` asked for.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.refusal().and_then(|refusal| refusal.retry_after)
    }
}

/// Finds an error of a certain type among the causes of `error`, looking into I/O errors too.
pub(super) fn cause<'a, E: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| cause::<E>(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The complaint about the registry's certificate, if that is what stopped the connection.
pub(super) fn certificate_error<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a rustls::Error> {
    cause::<rustls::Error>(error).filter(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
}

/// Tells whether nobody listens on this machine, which does not change while somebody waits.
fn is_over(url: &str, error: &reqwest::Error) -> bool {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str()?.parse::<RegistryHost>().ok());
    let is_refused =
        cause::<io::Error>(error).is_some_and(|it| it.kind() == io::ErrorKind::ConnectionRefused);
    is_refused && host.is_some_and(|host| host.is_loopback())
}

/// Bytes that come from another registry may come the next time; a broken disk stays broken.
fn is_transient_read(error: &io::Error) -> bool {
    if let Some(inner) = cause::<RegistryError>(error) {
        return inner.is_transient();
    }
    cause::<BlobMismatch>(error).is_none()
        && matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted
        )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn refusal(operation: Operation, status: u16, code: &str, message: &str) -> Refusal {
        Refusal {
            operation,
            subject: "team/hello".to_owned(),
            method: reqwest::Method::PUT,
            url: "https://registry.test/v2/team/hello/".to_owned(),
            status: reqwest::StatusCode::from_u16(status).unwrap(),
            errors: vec![ErrorEntry {
                code: code.to_owned(),
                message: message.to_owned(),
                detail: Value::Null,
            }],
            retry_after: None,
            ecr: true,
            challenges: Vec::new(),
            by_registry: true,
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let transient = |operation, status, code| {
            RegistryError::Refused(Box::new(refusal(operation, status, code, ""))).is_transient()
        };
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(transient(Operation::UploadBlob, status, ""), "{status}");
        }
        for status in [400, 401, 403, 404, 405, 413, 416, 507] {
            assert!(!transient(Operation::UploadBlob, status, "DENIED"), "{status}");
        }
        assert!(transient(Operation::PutManifest, 404, "MANIFEST_BLOB_UNKNOWN"));
        assert!(transient(Operation::PutManifest, 400, "BLOB_UPLOAD_UNKNOWN"));
        assert!(!transient(Operation::PutManifest, 400, "TAG_INVALID"));
        assert!(!transient(Operation::CheckManifest, 404, "BLOB_UNKNOWN"));
    }

    #[test]
    fn an_expired_token_is_recognised_by_ecr_s_own_words() {
        // Recorded: flipt-io/flipt#3043.
        let text = "Your authorization token has expired. Reauthenticate and try again.";
        assert!(refusal(Operation::UploadBlob, 403, "DENIED", text).wants_authorization());
        let denied = "User: arn:aws:iam::1:user/ada is not authorized to perform: ecr:PutImage";
        assert!(!refusal(Operation::UploadBlob, 403, "DENIED", denied).wants_authorization());
        assert!(refusal(Operation::UploadBlob, 401, "UNAUTHORIZED", "").wants_authorization());
        let elsewhere = Refusal { by_registry: false, ..refusal(Operation::ReadBlob, 401, "", "") };
        assert!(!elsewhere.wants_authorization());
    }

    #[test]
    fn the_registry_s_own_words_are_kept() {
        let error = refusal(Operation::PutManifest, 400, "TAG_INVALID", "the tag is immutable");
        assert_eq!(
            error.to_string(),
            "put manifest `team/hello`: the registry answered 400 Bad Request: TAG_INVALID: the tag is \
             immutable (PUT https://registry.test/v2/team/hello/)"
        );
    }
}
