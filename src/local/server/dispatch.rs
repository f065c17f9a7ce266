//! From a request to the service that answers it.
//!
//! One port serves everything: `/v2/` is the registry, dated paths are Lambda's, a target header
//! is ECR's or CloudWatch Logs', and a form is IAM's or STS's. Handlers that wait for the store's
//! lock run on threads that may block; Lambda's decides that for itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{ConnectInfo, FromRequest as _, State};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use time::OffsetDateTime;

use super::connection::Connection;
use super::faults::Action;
use super::log::Seen;
use super::{Server, body, control, operation, origin, refusal, signature};
use crate::local::call::Call;
use crate::local::registry::{self, Query};
use crate::local::{ecr, function_url, iam, lambda, logs, sts};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const TARGET: &str = "x-amz-target";
const UNSIGNED: &str = "Missing Authentication Token";

/// The largest request of an API: a base64 part of a layer of 20 MiB, or a .zip of 50 MB.
const API_LIMIT: usize = 72 * 1024 * 1024;

/// Answers every request the server gets.
pub(super) async fn dispatch(
    State(server): State<Arc<Server>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request<Body>,
) -> Response<Body> {
    if let Some((id, region)) =
        origin::host(request.uri(), request.headers()).and_then(|host| function_url::place(&host))
    {
        return function(&server, id, region, request).await;
    }
    let authority = match origin::authority(request.uri(), request.headers()) {
        Ok(authority) => authority,
        Err(message) => return refusal::plain(StatusCode::MISDIRECTED_REQUEST, message),
    };
    let call = call(&server, signature::DEFAULT_REGION.to_owned(), authority);
    if request.uri().path().starts_with(control::PREFIX) {
        return control::handle(&server, &call, request).await;
    }
    let request_id = HeaderValue::try_from(&call.request_id);
    let (request, count) = body::counted(request);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let asked = Asked::of(request).await;
    let operation = asked.operation().map(str::to_owned);
    let fault = server.faults.next(&method, uri.path(), operation.as_deref());
    let (mut response, was_cut) = under_fault(&server, call, asked, fault, &connection).await;
    response.headers_mut().extend(request_id.ok().map(|id| (REQUEST_ID, id)));
    server.log.add(Seen {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: shown_query(&uri),
        operation,
        status: (!was_cut).then(|| response.status().as_u16()),
        body_bytes: count.load(Ordering::Relaxed),
    });
    response
}

/// Answers a request to a function's URL. Web pages may send those, as in AWS.
async fn function(server: &Server, id: String, region: String, request: Request<Body>) -> Response<Body> {
    let authority = origin::host(request.uri(), request.headers()).unwrap_or_default();
    let call = call(server, region, authority);
    let (parts, body) = request.into_parts();
    let body = body::whole(body, function_url::LARGEST_REQUEST).await;
    let request_id = HeaderValue::try_from(&call.request_id);
    let mut response = function_url::handle(&call, &server.environments, id, parts, body).await;
    response.headers_mut().extend(request_id.ok().map(|id| (REQUEST_ID, id)));
    response
}

fn call(server: &Server, region: String, authority: String) -> Call {
    Call {
        store: server.store.clone(),
        delays: server.delays,
        region,
        authority,
        request_id: uuid::Uuid::new_v4().to_string(),
        now: OffsetDateTime::now_utc(),
    }
}

/// What a request wants, as far as its head and an API's body tell.
enum Asked {
    Registry(Request<Body>),
    Download(Parts),
    Ecr { operation: String, request: Request<Bytes> },
    Logs { operation: String, request: Request<Bytes> },
    Lambda(Request<Bytes>),
    Query { form: BTreeMap<String, String>, request: Request<()> },
    TooLarge,
    Nothing,
}

impl Asked {
    async fn of(request: Request<Body>) -> Self {
        let path = request.uri().path();
        if path == "/v2" || path.starts_with("/v2/") {
            return Self::Registry(request);
        }
        if path.starts_with(registry::DOWNLOAD_PREFIX) {
            return Self::Download(request.into_parts().0);
        }
        let is_lambda = is_dated(path);
        let target = request.headers().get(TARGET).and_then(|target| target.to_str().ok());
        let of = |prefix| target.and_then(|target| target.strip_prefix(prefix)).map(str::to_owned);
        let (operation, logs) = (of(ecr::TARGET_PREFIX), of(logs::api::TARGET_PREFIX));
        let is_query = path == "/" && target.is_none();
        let (parts, body) = request.into_parts();
        let Some(bytes) = body::whole(body, API_LIMIT).await else { return Self::TooLarge };
        let request = Request::from_parts(parts, bytes);
        match operation {
            _ if is_lambda => Self::Lambda(request),
            Some(operation) => Self::Ecr { operation, request },
            None if logs.is_some() => Self::Logs { operation: logs.unwrap_or_default(), request },
            None if is_query => Self::query(request).await,
            None => Self::Nothing,
        }
    }

    /// A call of a query service, its parameters in the body or behind the path.
    async fn query(request: Request<Bytes>) -> Self {
        let (parts, bytes) = request.into_parts();
        let head = Request::from_parts(parts.clone(), ());
        let form = axum::Form::<Vec<(String, String)>>::from_request(
            Request::from_parts(parts, Body::from(bytes)),
            &(),
        );
        let form: BTreeMap<String, String> =
            form.await.map(|form| form.0.into_iter().collect()).unwrap_or_default();
        if form.contains_key("Action") { Self::Query { form, request: head } } else { Self::Nothing }
    }

    fn operation(&self) -> Option<&str> {
        match self {
            Self::Ecr { operation, .. } | Self::Logs { operation, .. } => Some(operation),
            Self::Query { form, .. } => form.get("Action").map(String::as_str),
            Self::Lambda(request) => operation::of_lambda(request.method(), request.uri().path()),
            _ => None,
        }
    }

    /// Bytes of a body that is still on its way; `None` where there is none.
    fn body_length(&self) -> Option<u64> {
        match self {
            Self::Registry(request) if !request.body().is_end_stream() => {
                Some(body::length(request.headers()).unwrap_or(u64::MAX))
            }
            _ => None,
        }
    }

    fn with_body(self, change: impl FnOnce(Body) -> Body) -> Self {
        match self {
            Self::Registry(request) => Self::Registry(request.map(change)),
            other => other,
        }
    }
}

/// `/2015-03-31/…` and its like: Lambda's paths begin with the date of their version.
fn is_dated(path: &str) -> bool {
    let date = path.strip_prefix('/').and_then(|path| path.split('/').next()).unwrap_or_default();
    let pattern = "0000-00-00";
    date.len() == pattern.len()
        && date.bytes().zip(pattern.bytes()).all(|(byte, like)| match like {
            b'0' => byte.is_ascii_digit(),
            _ => byte == like,
        })
}

/// Handles a request with the fault a test has asked for. Tells also whether the connection was
/// cut.
async fn under_fault(
    server: &Server,
    call: Call,
    asked: Asked,
    fault: Option<Action>,
    connection: &Connection,
) -> (Response<Body>, bool) {
    let limit = match fault {
        None => return (handle(server, call, asked).await, false),
        Some(Action::Delay { delay_ms }) => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            let call = Call { now: OffsetDateTime::now_utc(), ..call };
            return (handle(server, call, asked).await, false);
        }
        Some(Action::Answer { status, body, headers }) => {
            if let Asked::Registry(request) = asked {
                body::drain(request.into_body()).await;
            }
            let mut response = Response::new(Body::from(body));
            *response.status_mut() =
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let pairs = headers.iter().filter_map(|(name, value)| {
                Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
            });
            response.headers_mut().extend(pairs);
            return (response, false);
        }
        Some(Action::Cut(_)) => None,
        Some(Action::CutAfter { cut_after }) => Some(cut_after),
    };
    if let Some(length) = asked.body_length() {
        // A body of unknown length: a little of it.
        let half = if length == u64::MAX { 1024 } else { length / 2 };
        let broken = asked.with_body(|body| body::broken_after(body, limit.unwrap_or(half)));
        let response = handle(server, call, broken).await;
        connection.cut();
        return (response, true);
    }
    let response = handle(server, call, asked).await;
    let length = response.body().size_hint().exact().or_else(|| body::length(response.headers()));
    let half = length.unwrap_or(1024) / 2;
    if length == Some(0) {
        connection.cut();
    }
    (response.map(|body| body::broken_after(body, limit.unwrap_or(half))), true)
}

async fn handle(server: &Server, mut call: Call, asked: Asked) -> Response<Body> {
    let (key, hashes) = (server.key.clone(), server.hashes.clone());
    let signed = |headers, uri: &Uri| signature::region(headers, &Query::of(uri));
    match asked {
        Asked::Registry(request) => registry::handle(call, key, hashes, request).await,
        Asked::Download(request) => registry::download(&call, &key, &request).await,
        Asked::Ecr { operation, request } => {
            let Some(region) = signed(request.headers(), request.uri()) else {
                return refusal::json(StatusCode::FORBIDDEN, "MissingAuthenticationTokenException", UNSIGNED);
            };
            call.region = region;
            blocking(move || ecr::handle(&call, &key, &hashes, &operation, request.body())).await
        }
        Asked::Logs { operation, request } => {
            let Some(region) = signed(request.headers(), request.uri()) else {
                return refusal::json(StatusCode::FORBIDDEN, "MissingAuthenticationTokenException", UNSIGNED);
            };
            call.region = region;
            blocking(move || logs::api::handle(&call, &operation, request.body())).await
        }
        Asked::Lambda(request) => {
            let Some(region) = signed(request.headers(), request.uri()) else {
                return refusal::json(StatusCode::FORBIDDEN, "MissingAuthenticationTokenException", UNSIGNED);
            };
            call.region = region;
            lambda::handle(&call, &server.environments, request).await
        }
        Asked::Query { form, request } => {
            let Some(region) = signed(request.headers(), request.uri()) else {
                let code = "MissingAuthenticationToken";
                return refusal::query(StatusCode::FORBIDDEN, code, UNSIGNED, &call.request_id);
            };
            call.region = region;
            match form.get("Version").map(String::as_str) {
                Some("2010-05-08") => blocking(move || iam::handle(&call, &form)).await,
                Some("2011-06-15") => blocking(move || sts::handle(&call, &form)).await,
                _ => {
                    let message = "Could not find operation for this version";
                    refusal::query(StatusCode::BAD_REQUEST, "InvalidAction", message, &call.request_id)
                }
            }
        }
        Asked::TooLarge => {
            let text = "Request must be smaller than 75497472 bytes";
            refusal::json(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", text)
        }
        Asked::Nothing => refusal::json(StatusCode::NOT_FOUND, "UnknownOperationException", ""),
    }
}

async fn blocking(work: impl FnOnce() -> Response<Body> + Send + 'static) -> Response<Body> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| refusal::plain(StatusCode::INTERNAL_SERVER_ERROR, "the local cloud failed"))
}

/// The query without what opens something.
fn shown_query(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let pairs = query.split('&').filter(|pair| {
        !["X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token"]
            .iter()
            .any(|secret| pair.starts_with(secret))
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambda_paths_begin_with_a_date() {
        assert!(is_dated("/2015-03-31/functions"));
        assert!(is_dated("/2017-10-31/functions/hello/concurrency"));
        for path in ["/", "/v2/", "/2015/functions", "/2015-03-3x/functions", "2015-03-31/"] {
            assert!(!is_dated(path), "{path}");
        }
    }

    #[test]
    fn signatures_are_not_shown() {
        let uri = Uri::from_static("/_blobs/00?X-Amz-Expires=1&X-Amz-Signature=secret");
        assert_eq!(shown_query(&uri), "X-Amz-Expires=1");
    }
}
