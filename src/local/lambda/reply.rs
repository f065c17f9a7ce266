//! How an answer goes out: status, JSON, and the error's name. The server adds the request id.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use super::errors::Failure;

/// A successful answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    status: u16,
    body: Option<Value>,
}

impl Reply {
    /// An answer with a JSON body.
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self { status, body: Some(body) }
    }

    /// 204, without a body.
    pub(super) fn empty() -> Self {
        Self { status: 204, body: None }
    }
}

/// Makes the response of an operation's result.
pub(super) fn response(result: Result<Reply, Failure>) -> Response<Bytes> {
    let (status, body, error) = match result {
        Ok(reply) => (StatusCode::from_u16(reply.status).unwrap_or_default(), reply.body, None),
        Err(failure) => (failure.status, Some(failure.body()), Some(failure.code)),
    };
    let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let mut response = Response::new(bytes);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if status != StatusCode::NO_CONTENT {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(code) = error {
        headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
    }
    response
}
