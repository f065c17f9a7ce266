//! What the registry refuses, in the codes of the distribution-spec and the words of ECR.

use std::fmt;
use std::io::ErrorKind;

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};

use crate::local::put_image::PutImageError;
use crate::local::repository::no_such_repository;
use crate::local::store::StoreError;
use crate::local::upload::UploadError;

/// One refusal: status, code and text.
#[derive(Debug)]
pub(super) struct RegistryError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl RegistryError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The repository does not exist in the token's region.
    pub(super) fn no_repository(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", no_such_repository(name))
    }

    pub(super) fn invalid_name(error: crate::domain::reference::InvalidReference) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "NAME_INVALID", error.to_string())
    }

    pub(super) fn invalid_digest(text: &str) -> Self {
        let message = format!("Invalid parameter at 'layerDigest' failed to satisfy constraint: '{text}'");
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message)
    }

    pub(super) fn no_such_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "404 page not found")
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "The operation is unsupported.")
    }

    /// A token that is no longer, or never was, good: 403 and no challenge, as ECR does.
    pub(super) fn denied(text: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "DENIED", text)
    }

    pub(super) fn internal(error: &dyn fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", error.to_string())
    }

    /// The disk, or the file system, refuses: without room it will again.
    pub(super) fn file(error: &std::io::Error) -> Self {
        let text = format!("local cloud: {error}");
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "UNKNOWN", text)
            }
            _ => Self::internal(&text),
        }
    }

    pub(super) fn response(self) -> Response<Body> {
        let body = serde_json::json!({ "errors": [{ "code": self.code, "message": self.message }] });
        let mut response = Response::new(Body::from(format!("{body}\n")));
        *response.status_mut() = self.status;
        // ECR says so of its JSON.
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }
}

impl From<StoreError> for RegistryError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::File { source, .. } => Self { message: error.to_string(), ..Self::file(source) },
            StoreError::Document { .. } => Self::internal(&error),
        }
    }
}

impl From<UploadError> for RegistryError {
    fn from(error: UploadError) -> Self {
        let message = error.to_string();
        let (status, code) = match error {
            UploadError::Store(error) => return error.into(),
            UploadError::NoRepository(_) => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            UploadError::NotFound { .. } => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            UploadError::OutOfOrder { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            UploadError::Empty { .. } | UploadError::PartTooSmall | UploadError::DigestMismatch => {
                (StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID")
            }
        };
        Self::new(status, code, message)
    }
}

impl From<PutImageError> for RegistryError {
    fn from(error: PutImageError) -> Self {
        let message = error.to_string();
        let (status, code) = match error {
            PutImageError::Store(error) => return error.into(),
            PutImageError::Invalid => (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
            PutImageError::TooLarge => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            PutImageError::DigestMismatch { .. } => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            PutImageError::LayersMissing { .. } => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            PutImageError::ImagesMissing { .. } => (StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN"),
            PutImageError::TagImmutable { .. } => (StatusCode::BAD_REQUEST, "TAG_INVALID"),
        };
        Self::new(status, code, message)
    }
}

/// The answer to a request without credentials.
pub(super) fn challenge(authority: &str) -> Response<Body> {
    let mut response = Response::new(Body::from("Not Authorized\n"));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let basic = format!("Basic realm=\"http://{authority}/\",service=\"ecr.amazonaws.com\"");
    let headers = response.headers_mut();
    headers.extend(HeaderValue::try_from(basic).ok().map(|value| (header::WWW_AUTHENTICATE, value)));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_trouble_that_passes() {
        let source = std::io::Error::from_raw_os_error(28);
        let told = RegistryError::from(StoreError::File { path: "/state/blobs".into(), source });
        assert_eq!(told.status, StatusCode::INSUFFICIENT_STORAGE);
        assert!(crate::local::store::advice(&told.message).is_some(), "{}", told.message);
        let source = std::io::Error::from_raw_os_error(5);
        assert_eq!(RegistryError::file(&source).status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
