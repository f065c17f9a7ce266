//! What the Lambda API answers instead of success: AWS's codes, statuses and body shapes.
//! Every operation of this folder returns a [`Failure`]; `reply` turns it into a response.

use http::StatusCode;
use serde_json::{Value, json};

use crate::local::store::StoreError;

/// A refused call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The error code, as in `x-amzn-ErrorType`.
    pub(super) code: &'static str,
    /// The message.
    pub(super) message: String,
    shape: Shape,
}

/// Lambda spells the body's members differently from error to error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `{"Type", "message"}`: most errors.
    Usual,
    /// `{"Type", "Message"}`: `ResourceNotFoundException`.
    Capital,
    /// `{"message"}`: what is found before the operation runs.
    Bare,
    /// `{"Message"}`: what the layer in front of the operation refuses.
    BareCapital,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, shape: Shape, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), shape }
    }

    /// 404: the function, version, alias, statement or policy does not exist.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", Shape::Capital, message)
    }

    /// 400: a member is wrong in a way only the operation can tell.
    pub(super) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameterValueException", Shape::Usual, message)
    }

    /// 400: members break the constraints of the API model.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", Shape::Bare, message)
    }

    /// 400: the body is not the JSON the operation takes.
    pub(super) fn serialization(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SerializationException", Shape::BareCapital, message)
    }

    /// 409: the resource exists already, or is busy.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ResourceConflictException", Shape::Usual, message)
    }

    /// 412: somebody else changed the resource; `again` is the call that tells the present
    /// revision.
    pub(super) fn stale_revision(again: &str) -> Self {
        let message = format!(
            "The Revision Id provided does not match the latest Revision Id. Call the {again} API to retrieve the latest Revision Id"
        );
        Self::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailedException", Shape::Usual, message)
    }

    /// 403: Lambda itself may not do what the operation needs.
    pub(super) fn access_denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", Shape::Usual, message)
    }

    /// 403: the caller is not authorized.
    pub(super) fn not_authorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", Shape::BareCapital, message)
    }

    /// 501: AWS can do it and the local cloud cannot. Not 500: clients would try again.
    pub(super) fn not_available(what: &str) -> Self {
        let message = format!("lambdactl's local cloud: {what}");
        Self::new(StatusCode::NOT_IMPLEMENTED, "ServiceException", Shape::Usual, message)
    }

    /// 413: the event is larger than an invocation may have.
    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("Request must be smaller than {limit} bytes for the InvokeFunction operation");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", Shape::Usual, message)
    }

    /// 400: the event is not JSON.
    pub(super) fn invalid_content(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestContentException", Shape::Usual, message)
    }

    /// 429: all the concurrency that is reserved for the function is in use.
    pub(super) fn throttled() -> Self {
        let message = "Rate Exceeded.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", Shape::Usual, message)
    }

    fn broken(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", Shape::Usual, message)
    }

    /// 500: the work ended without an answer.
    pub(super) fn interrupted() -> Self {
        Self::broken("the call was interrupted")
    }

    /// The body, in the shape this code has.
    pub(super) fn body(&self) -> Value {
        let kind = if self.status.is_server_error() { "Service" } else { "User" };
        match self.shape {
            Shape::Usual => json!({"Type": kind, "message": self.message}),
            Shape::Capital => json!({"Type": kind, "Message": self.message}),
            Shape::Bare => json!({"message": self.message}),
            Shape::BareCapital => json!({"Message": self.message}),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::broken(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_of_the_message_follows_the_code() {
        let not_found = Failure::not_found("Function not found: x");
        assert_eq!(not_found.body(), json!({"Type": "User", "Message": "Function not found: x"}));
        let conflict = Failure::conflict("Function already exist: x");
        assert_eq!(conflict.body(), json!({"Type": "User", "message": "Function already exist: x"}));
        assert_eq!(Failure::validation("no").body(), json!({"message": "no"}));
        assert_eq!(Failure::not_available("no").body()["Type"], "Service");
    }
}
