//! What to do about a failure of a registry.

use std::io;

use crate::domain::denial::Denial;

use super::error::{Operation, Refusal, RegistryError, cause, certificate_error};

impl RegistryError {
    /// What the caller lacks, where ECR says it.
    pub fn denial(&self) -> Option<Denial> {
        match self {
            Self::Refused(refusal) if refusal.status.as_u16() == 403 => refusal.denial(),
            _ => None,
        }
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => refusal.hint(),
            Self::Unreachable { operation, source, .. } => unreachable_hint(*operation, source),
            Self::Silent { .. } => Some("check the network, and run the command again".to_owned()),
            Self::Content { source, .. } => cause::<Self>(source).and_then(Self::hint),
            Self::Vanished { .. } => {
                Some("run the command again; what was sent already is not sent twice".to_owned())
            }
            Self::Digest { .. } | Self::Protocol { .. } | Self::Token { .. } => None,
        }
    }
}

impl Refusal {
    fn hint(&self) -> Option<String> {
        let Self { operation, subject, .. } = self;
        match self.status.as_u16() {
            400 | 409 if self.is_immutable_tag() => Some(
                "the repository does not let a tag be moved: push under another tag, or make its tags mutable"
                    .to_owned(),
            ),
            404 if self.has_code("NAME_UNKNOWN") || (operation.writes() && !self.misses_blobs()) => {
                Some(format!("the repository of `{subject}` does not exist in this registry; create it first"))
            }
            403 if self.is_image_quota() => Some(
                "the repository holds as many images as its quota allows: delete some, or add a lifecycle policy"
                    .to_owned(),
            ),
            403 if self.ecr && self.denial().is_some() => self.denial().map(|denial| denial.hint()),
            403 if self.ecr => Some(format!(
                "the caller needs {} on this repository, and `ecr:GetAuthorizationToken` on `*`",
                words(operation.ecr_actions())
            )),
            401 | 403 => Some(format!(
                "the repository of `{subject}` does not exist, or these credentials may not {} it",
                if operation.writes() { "write" } else { "read" }
            )),
            413 => Some("the registry does not take blobs this large".to_owned()),
            429 => Some("the registry limits the rate of requests: wait a minute, and run the command again".to_owned()),
            507 => Some("the registry has no room left: whoever runs it has to make some".to_owned()),
            500..=599 => Some("the registry is in trouble: run the command again later".to_owned()),
            _ => None,
        }
    }

    /// What the caller lacks, where ECR says it.
    fn denial(&self) -> Option<Denial> {
        self.errors.iter().find_map(|entry| Denial::parse(&entry.message))
    }

    /// Recognises ECR's `TAG_INVALID … cannot be overwritten because the tag is immutable.`,
    /// and the older `… because the repository is immutable.`
    fn is_immutable_tag(&self) -> bool {
        self.errors.iter().any(|entry| entry.message.to_ascii_lowercase().contains("immutable"))
    }

    /// Recognises ECR's refusal of one image too many, which looks like a missing right.
    fn is_image_quota(&self) -> bool {
        self.errors.iter().any(|entry| {
            let message = entry.message.to_ascii_lowercase();
            ["quota", "limit exceeded", "maximum number of images"].iter().any(|word| message.contains(word))
        })
    }
}

fn unreachable_hint(operation: Operation, error: &reqwest::Error) -> Option<String> {
    if let Some(complaint) = certificate_error(error) {
        return Some(format!(
            "the registry's certificate is not trusted ({complaint}); name the PEM file of its authority in `SSL_CERT_FILE`"
        ));
    }
    let io = cause::<io::Error>(error).map(io::Error::kind);
    if io == Some(io::ErrorKind::ConnectionRefused) {
        return Some("nothing listens at that address: check that the registry runs".to_owned());
    }
    if error.is_connect() {
        return Some("check the host name, the network and `HTTPS_PROXY`".to_owned());
    }
    // ECR cuts the connection in the middle of a blob when the repository does not exist.
    (operation == Operation::UploadBlob)
        .then(|| "the connection was cut: check the network, and that the repository exists".to_owned())
}

fn words(actions: &[&str]) -> String {
    actions.iter().map(|action| format!("`{action}`")).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::super::error::tests::refusal;
    use super::*;

    fn hint(operation: Operation, status: u16, code: &str, message: &str) -> String {
        RegistryError::Refused(Box::new(refusal(operation, status, code, message))).hint().unwrap_or_default()
    }

    #[test]
    fn refusals_lead_to_what_helps() {
        use Operation::{PutManifest, StartUpload, UploadBlob};
        // The messages were recorded from ECR.
        for (operation, status, code, message, expected) in [
            (
                StartUpload,
                404,
                "NAME_UNKNOWN",
                "The repository with name 'x' does not exist in the registry with id '1'",
                "create it first",
            ),
            (
                PutManifest,
                400,
                "TAG_INVALID",
                "The image tag 'T' already exists in the 'R' repository and cannot be overwritten because the tag is immutable.",
                "another tag",
            ),
            (
                UploadBlob,
                403,
                "DENIED",
                "User is not authorized",
                "`ecr:UploadLayerPart` and `ecr:CompleteLayerUpload`",
            ),
            (PutManifest, 403, "DENIED", "User is not authorized", "`ecr:PutImage`"),
            (
                StartUpload,
                403,
                "DENIED",
                "User: arn:aws:sts::1:assumed-role/ci/x is not authorized to perform: ecr:InitiateLayerUpload on resource: arn:aws:ecr:eu-west-2:1:repository/x because no identity-based policy allows the ecr:InitiateLayerUpload action",
                "\"Resource\": \"arn:aws:ecr:eu-west-2:1:repository/x\"",
            ),
            (
                PutManifest,
                403,
                "DENIED",
                "The repository has reached its maximum number of images",
                "lifecycle policy",
            ),
            (UploadBlob, 429, "TOOMANYREQUESTS", "Rate exceeded", "wait a minute"),
            (UploadBlob, 503, "", "", "later"),
        ] {
            let hint = hint(operation, status, code, message);
            assert!(hint.contains(expected), "{status} {code}: {hint}");
        }
        assert_eq!(hint(PutManifest, 404, "BLOB_UNKNOWN", "").as_str(), "");
    }
}
