//! AWS's query protocol: a form in, XML out. IAM and STS speak it.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};

use super::call::Call;
use super::store::StoreError;

/// A refused call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueryError {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The error code.
    pub(super) code: &'static str,
    /// The message.
    pub(super) message: String,
}

impl QueryError {
    /// An error with a status and a code.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// 400: the service has no such operation (here).
    pub(super) fn invalid_action(action: &str, version: &str) -> Self {
        let message = format!("Could not find operation {action} for version {version}");
        Self::new(StatusCode::BAD_REQUEST, "InvalidAction", message)
    }
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "ServiceFailure", error.to_string())
    }
}

/// A parameter of the form.
pub(super) fn parameter<'a>(form: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    form.get(name).map(String::as_str)
}

/// An element with text, which is escaped.
pub(super) fn text(name: &str, value: impl std::fmt::Display) -> String {
    format!("<{name}>{}</{name}>", escape(&value.to_string()))
}

/// An element around markup.
pub(super) fn element(name: &str, inner: &str) -> String {
    format!("<{name}>{inner}</{name}>")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => escaped += &format!("&#{};", u32::from(c)),
            // No other control character can stand in XML 1.0, not even escaped.
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Makes the response of an operation's result. `Some` is the content of `ACTIONResult`; IAM
/// leaves that element out where there is nothing to tell.
pub(super) fn response(
    call: &Call,
    namespace: &str,
    action: &str,
    result: Result<Option<String>, QueryError>,
) -> Response<Body> {
    let request_id = text("RequestId", &call.request_id);
    let (status, document) = match result {
        Ok(content) => {
            let result = content.map(|inner| element(&format!("{action}Result"), &inner)).unwrap_or_default();
            let metadata = element("ResponseMetadata", &request_id);
            let document =
                format!("<{action}Response xmlns=\"{namespace}\">{result}{metadata}</{action}Response>");
            (StatusCode::OK, document)
        }
        Err(error) => {
            let side = if error.status.is_server_error() { "Receiver" } else { "Sender" };
            let inner = text("Type", side) + &text("Code", error.code) + &text("Message", &error.message);
            let error_element = element("Error", &inner);
            let document =
                format!("<ErrorResponse xmlns=\"{namespace}\">{error_element}{request_id}</ErrorResponse>");
            (error.status, document)
        }
    };
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out_of_its_element() {
        assert_eq!(text("A", "</A>&\"\u{1}\n"), "<A>&lt;/A&gt;&amp;&quot;\u{fffd}&#10;</A>");
    }
}
