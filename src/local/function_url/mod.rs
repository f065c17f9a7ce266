//! Function URLs of the local cloud: HTTP for a function, in payload format 2.0.
//!
//! `server::dispatch` hands every request here that was sent to the host of a URL, such as
//! `hello.lambda-url.us-east-1.localhost`, which browsers take for this machine. Only functions
//! whose owner has asked for a URL have one, and it is as public as in AWS: also to web pages.
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>

mod answer;
mod cors;
mod event;
mod streamed;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::call::Call;
use super::environments::Environments;
use super::lambda::{self, UrlConfig, url_of};

/// The largest body of a request.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const LARGEST_REQUEST: usize = 6 * 1024 * 1024;

/// The id and the region of the URL a host name belongs to.
pub fn place(host: &str) -> Option<(String, String)> {
    let name = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let (id, region) = name.strip_suffix(".localhost")?.split_once(".lambda-url.")?;
    let is_plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (is_plain(id) && is_plain(region)).then(|| (id.to_owned(), region.to_owned()))
}

/// Answers a request to the URL `id` of the call's region. `body` is `None` where it was larger
/// than [`LARGEST_REQUEST`].
pub async fn handle(
    call: &Call,
    environments: &Environments,
    id: String,
    parts: Parts,
    body: Option<Bytes>,
) -> Response<Body> {
    let looked_up = {
        let (call, id) = (call.clone(), id.clone());
        tokio::task::spawn_blocking(move || {
            call.store.transaction(|tx| url_of(tx, &call.region, &id, call.now))
        })
    };
    let (name, qualifier, config) = match looked_up.await {
        Ok(Ok(Ok(Some(found)))) => found,
        Ok(Ok(Ok(None))) => return told(StatusCode::NOT_FOUND, "no function has this URL"),
        _ => return told(StatusCode::BAD_GATEWAY, "Internal Server Error"),
    };
    let origin = parts.headers.get(header::ORIGIN).cloned();
    let mut response = match &config.cors {
        Some(cors) if cors::is_preflight(&parts) => cors::preflight(cors),
        _ if !may_call(&config, &parts.headers) => told(StatusCode::FORBIDDEN, "Forbidden"),
        _ => match body {
            None => told(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long"),
            Some(body) => invoke(call, environments, &id, (&name, &qualifier), &config, &parts, body).await,
        },
    };
    if let Some(cors) = &config.cors {
        cors::allow(cors, origin.as_ref(), response.headers_mut());
    }
    response
}

/// Signatures are not verified, as nowhere in the local cloud; but there has to be one.
fn may_call(config: &UrlConfig, headers: &HeaderMap) -> bool {
    let signed = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    config.auth_type != "AWS_IAM" || signed.is_some_and(|value| value.starts_with("AWS4-"))
}

async fn invoke(
    call: &Call,
    environments: &Environments,
    id: &str,
    (name, qualifier): (&str, &str),
    config: &UrlConfig,
    parts: &Parts,
    body: Bytes,
) -> Response<Body> {
    let event = event::of(call, id, parts, &body).to_string();
    // `$LATEST` stands for no alias, and is not named where nobody has named one.
    let query = if qualifier.starts_with('$') { String::new() } else { format!("?Qualifier={qualifier}") };
    let request = http::Request::builder()
        .method(Method::POST)
        .uri(format!("/2015-03-31/functions/{name}/invocations{query}"))
        .body(Bytes::from(event));
    let Ok(request) = request else { return told(StatusCode::BAD_GATEWAY, "Internal Server Error") };
    if config.invoke_mode == "RESPONSE_STREAM" {
        return match lambda::stream(call, environments, request).await {
            Ok(streaming) => streamed::answer(streaming).await,
            Err(refused) => not_called(refused).await,
        };
    }
    let invoked = lambda::handle(call, environments, request).await;
    if !invoked.status().is_success() {
        return not_called(invoked).await;
    }
    let (head, body) = invoked.into_parts();
    let payload = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    if head.headers.contains_key("x-amz-function-error") {
        return told(StatusCode::BAD_GATEWAY, "Internal Server Error");
    }
    answer::of(&payload)
}

/// The function could not be called at all: say why, as nobody else will.
async fn not_called(refused: Response<Body>) -> Response<Body> {
    let status = match refused.status() {
        StatusCode::TOO_MANY_REQUESTS => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_GATEWAY,
    };
    let payload = axum::body::to_bytes(refused.into_body(), usize::MAX).await.unwrap_or_default();
    let text = serde_json::from_slice::<serde_json::Value>(&payload).unwrap_or_default();
    told(status, text["message"].as_str().or(text["Message"].as_str()).unwrap_or("Internal Server Error"))
}

/// What the service itself has to say.
fn told(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::json!({ "Message": message }).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls_are_told_from_others() {
        let found = place("Hello-2.lambda-url.eu-west-1.localhost:4577");
        assert_eq!(found, Some(("hello-2".to_owned(), "eu-west-1".to_owned())));
        for host in [
            "localhost:4577",
            "hello.localhost",
            "hello.lambda-url.eu-west-1.localhost.attacker.example",
            "a.b.lambda-url.eu-west-1.localhost",
            ".lambda-url.eu-west-1.localhost",
            "hello.lambda-url..localhost",
        ] {
            assert_eq!(place(host), None, "{host}");
        }
    }
}
