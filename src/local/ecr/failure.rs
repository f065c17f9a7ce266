//! What the ECR API refuses.

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::json_response;
use crate::local::call::ACCOUNT;
use crate::local::put_image::PutImageError;
use crate::local::repository::no_such_repository;
use crate::local::store::StoreError;
use crate::local::upload::UploadError;

/// One of ECR's exceptions.
#[derive(Debug)]
pub(super) struct Failure {
    code: &'static str,
    message: String,
    members: Value,
}

impl Failure {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), members: json!({}) }
    }

    /// A further member of the exception.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members[name] = value.into();
        self
    }

    pub(super) fn invalid_parameter(parameter: &str, constraint: impl std::fmt::Display) -> Self {
        let text = format!("Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'");
        Self::new("InvalidParameterException", text)
    }

    pub(super) fn no_repository(name: &str) -> Self {
        Self::new("RepositoryNotFoundException", no_such_repository(name))
    }

    pub(super) fn response(self) -> Response<Body> {
        let internal = self.code == "ServerException";
        let status = if internal { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::BAD_REQUEST };
        let mut body = json!({ "__type": self.code, "message": self.message });
        for (name, value) in self.members.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        json_response(status, &body)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new("ServerException", error.to_string())
    }
}

impl From<PutImageError> for Failure {
    fn from(error: PutImageError) -> Self {
        let code = match &error {
            PutImageError::Invalid | PutImageError::TooLarge => "InvalidParameterException",
            PutImageError::DigestMismatch { .. } => "ImageDigestDoesNotMatchException",
            PutImageError::LayersMissing { .. } => "LayersNotFoundException",
            PutImageError::ImagesMissing { .. } => "ReferencedImagesNotFoundException",
            PutImageError::TagImmutable { .. } => "ImageTagAlreadyExistsException",
            PutImageError::Store(_) => "ServerException",
        };
        Self::new(code, error.to_string())
    }
}

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Self {
        let message = error.to_string();
        match error {
            UploadError::NoRepository(_) => Self::new("RepositoryNotFoundException", message),
            UploadError::NotFound { .. } => Self::new("UploadNotFoundException", message),
            UploadError::OutOfOrder { expected, .. } => Self::new("InvalidLayerPartException", message)
                .with("registryId", ACCOUNT)
                .with("lastValidByteReceived", expected.saturating_sub(1)),
            UploadError::Empty { .. } => Self::new("EmptyUploadException", message),
            UploadError::PartTooSmall => Self::new("LayerPartTooSmallException", message),
            UploadError::DigestMismatch => Self::new("InvalidLayerException", message),
            UploadError::Store(_) => Self::new("ServerException", message),
        }
    }
}
