//! A function's answer as an HTTP response.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

use super::told;

/// Makes the response: from the members of an answer that names its `statusCode`, else with the
/// whole answer as the body.
/// <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-response-payload>
pub(super) fn of(payload: &[u8]) -> Response<Body> {
    match serde_json::from_slice(payload) {
        Ok(Value::Object(members)) if members.contains_key("statusCode") => structured(&members),
        // A function that answers with something else than JSON has failed, as HTTP sees it.
        Err(_) => told(StatusCode::BAD_GATEWAY, "Internal Server Error"),
        Ok(_) => plain(Body::from(payload.to_vec()), "application/json"),
    }
}

/// A response with status 200.
pub(super) fn plain(body: Body, kind: &str) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().extend(HeaderValue::try_from(kind).ok().map(|kind| (CONTENT_TYPE, kind)));
    response
}

/// The response whose head, without a body, is described by these members.
pub(super) fn head(mut members: Map<String, Value>) -> Response<Body> {
    members.entry("statusCode").or_insert(Value::from(200));
    members.remove("body");
    structured(&members)
}

fn structured(members: &Map<String, Value>) -> Response<Body> {
    let invalid = || told(StatusCode::BAD_GATEWAY, "Internal Server Error");
    // Also as a text: the service takes "200".
    let status = match &members["statusCode"] {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64().and_then(|status| u16::try_from(status).ok()),
    };
    let Some(status) = status.and_then(|status| StatusCode::from_u16(status).ok()) else { return invalid() };
    let text = match members.get("body") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let is_encoded = members.get("isBase64Encoded").is_some_and(|flag| *flag == true);
    let body = match is_encoded.then(|| BASE64.decode(&text)) {
        None => text.into_bytes(),
        Some(Ok(bytes)) => bytes,
        Some(Err(_)) => return invalid(),
    };
    let mut response = plain(Body::from(body), "application/json");
    *response.status_mut() = status;
    headers(members, response.headers_mut());
    response
}

fn headers(members: &Map<String, Value>, headers: &mut HeaderMap) {
    for (name, value) in members.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let text = match value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let pair = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(text));
        if let (Ok(name), Ok(value)) = pair {
            // The server itself sees to how bytes travel.
            if ![CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
                headers.insert(name, value);
            }
        }
    }
    let cookies = members.get("cookies").and_then(Value::as_array).into_iter().flatten();
    for cookie in cookies.filter_map(|cookie| HeaderValue::try_from(cookie.as_str()?).ok()) {
        headers.append(SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn read(response: Response<Body>) -> (u16, HeaderMap, String) {
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn plain_values_are_the_body() {
        for text in [r#"{"message":"hi"}"#, r#""text""#, "[1,2]", "null"] {
            let (status, headers, body) = read(of(text.as_bytes())).await;
            assert_eq!((status, body.as_str()), (200, text));
            assert_eq!(headers[CONTENT_TYPE], "application/json");
        }
        assert_eq!(read(of(b"<html>")).await.0, 502);
    }

    #[tokio::test]
    async fn an_answer_with_a_status_is_a_whole_response() {
        let answer = json!({
            "statusCode": 201,
            "headers": { "Content-Type": "text/html", "X-Own": 7, "Content-Length": "999" },
            "cookies": ["a=b; Path=/", "c=d"],
            "body": "PGI+aGk8L2I+",
            "isBase64Encoded": true,
        });
        let (status, headers, body) = read(of(answer.to_string().as_bytes())).await;
        assert_eq!((status, body.as_str()), (201, "<b>hi</b>"));
        assert_eq!(
            (&headers[CONTENT_TYPE], &headers["x-own"]),
            (&"text/html".parse().unwrap(), &"7".parse().unwrap())
        );
        let cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=b; Path=/", "c=d"]);
        assert!(!headers.contains_key(CONTENT_LENGTH));
        let (status, _, body) = read(of(br#"{"statusCode":"204"}"#)).await;
        assert_eq!((status, body.as_str()), (204, ""));
        for wrong in [r#"{"statusCode":7}"#, r#"{"statusCode":200,"isBase64Encoded":true,"body":"*"}"#] {
            assert_eq!(read(of(wrong.as_bytes())).await.0, 502, "{wrong}");
        }
    }
}
