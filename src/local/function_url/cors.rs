//! What browsers are told about pages of other sites, as the URL's configuration says.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html#urls-cors>

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};

use crate::local::lambda::UrlCors;

/// Whether a browser asks what it may do; the function does not see that.
pub(super) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(ORIGIN)
        && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to that.
pub(super) fn preflight(cors: &UrlCors) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    insert(headers, ACCESS_CONTROL_ALLOW_METHODS, cors.allow_methods.as_deref().map(|all| all.join(",")));
    insert(headers, ACCESS_CONTROL_ALLOW_HEADERS, cors.allow_headers.as_deref().map(|all| all.join(",")));
    insert(headers, ACCESS_CONTROL_MAX_AGE, cors.max_age.map(|seconds| seconds.to_string()));
    response
}

/// Adds to any response what lets a page of `origin` read it. The function's own headers give
/// way, as they do in AWS.
pub(super) fn allow(cors: &UrlCors, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    let allowed = cors.allow_origins.as_deref().unwrap_or_default();
    let Some(origin) = origin.and_then(|origin| origin.to_str().ok()) else { return };
    let has_any = allowed.iter().any(|site| site == "*");
    if !has_any && !allowed.iter().any(|site| site.eq_ignore_ascii_case(origin)) {
        return;
    }
    let with_cookies = cors.allow_credentials == Some(true);
    let shown = if has_any && !with_cookies { "*" } else { origin };
    insert(headers, ACCESS_CONTROL_ALLOW_ORIGIN, Some(shown.to_owned()));
    insert(headers, VARY, Some("Origin".to_owned()));
    insert(headers, ACCESS_CONTROL_ALLOW_CREDENTIALS, with_cookies.then(|| "true".to_owned()));
    insert(headers, ACCESS_CONTROL_EXPOSE_HEADERS, cors.expose_headers.as_deref().map(|all| all.join(",")));
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    let value = value.filter(|value| !value.is_empty()).and_then(|value| HeaderValue::try_from(value).ok());
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_sites_are_let_in() {
        let texts = |all: &[&str]| Some(all.iter().map(|text| (*text).to_owned()).collect());
        let cors = UrlCors {
            allow_origins: texts(&["https://a.example"]),
            allow_methods: texts(&["GET", "PUT"]),
            allow_credentials: Some(true),
            max_age: Some(60),
            ..UrlCors::default()
        };
        let of = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            allow(&cors, Some(&HeaderValue::from_static(origin)), &mut headers);
            headers
        };
        assert_eq!(of("https://a.example")[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert_eq!(of("https://a.example")[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert!(of("https://b.example").is_empty());
        let response = preflight(&cors);
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_METHODS], "GET,PUT");
        assert_eq!(response.headers()[ACCESS_CONTROL_MAX_AGE], "60");
        let any = UrlCors { allow_origins: texts(&["*"]), ..UrlCors::default() };
        let mut headers = HeaderMap::new();
        allow(&any, Some(&HeaderValue::from_static("https://b.example")), &mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }
}
