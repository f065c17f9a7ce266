//! An HTTP request as the event a function gets.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, COOKIE, USER_AGENT};
use http::request::Parts;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::local::call::Call;
use crate::local::lambda::url_host;

/// Makes the event.
/// <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-request-payload>
pub(super) fn of(call: &Call, id: &str, parts: &Parts, body: &[u8]) -> Value {
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let host = url_host(id, &call.region);
    let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers(call, &parts.headers),
        "requestContext": {
            "accountId": "anonymous",
            "apiId": id,
            "domainName": host,
            "domainPrefix": id,
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": agent.unwrap_or_default(),
            },
            "requestId": call.request_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": time(call.now),
            "timeEpoch": i64::try_from(call.now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default(),
        },
        "isBase64Encoded": false,
    });
    let cookies = cookies(&parts.headers);
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !query.is_empty() {
        event["queryStringParameters"] = json!(parameters(query));
    }
    if !body.is_empty() {
        match std::str::from_utf8(body) {
            Ok(text) if is_text(&parts.headers) => event["body"] = json!(text),
            _ => {
                event["body"] = json!(BASE64.encode(body));
                event["isBase64Encoded"] = json!(true);
            }
        }
    }
    event
}

/// Names in lower case; several values of one name joined by commas. Cookies have their own place.
fn headers(call: &Call, headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| **name != COOKIE) {
        let value = String::from_utf8_lossy(value.as_bytes());
        all.entry(name.as_str().to_owned())
            .and_modify(|before| *before = format!("{before},{value}"))
            .or_insert_with(|| value.into_owned());
    }
    let port = call.authority.rsplit_once(':').map_or("80", |(_, port)| port);
    for (name, value) in
        [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-port", port), ("x-forwarded-proto", "http")]
    {
        all.insert(name.to_owned(), value.to_owned());
    }
    all
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = values.flat_map(|value| value.split(';')).map(str::trim);
    cookies.filter(|cookie| !cookie.is_empty()).map(str::to_owned).collect()
}

/// Decoded; several values of one name joined by commas.
fn parameters(query: &str) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value);
        all.entry(decode(name))
            .and_modify(|before| *before = format!("{before},{value}"))
            .or_insert_with(|| value.clone());
    }
    all
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let digits = || std::str::from_utf8(after.get(..2)?).ok();
        match (first, digits().and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a body goes into the event as it is; everything else is Base64.
fn is_text(headers: &HeaderMap) -> bool {
    if headers.contains_key(CONTENT_ENCODING) {
        return false;
    }
    let kind =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/octet-stream");
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || [
            "application/json",
            "application/xml",
            "application/javascript",
            "application/x-www-form-urlencoded",
        ]
        .contains(&kind.as_str())
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
}

/// Such as `12/Mar/2026:19:03:58 +0000`.
fn time(now: OffsetDateTime) -> String {
    let month = now.month().to_string();
    format!(
        "{:02}/{}/{}:{:02}:{:02}:{:02} +0000",
        now.day(),
        &month[..3],
        now.year(),
        now.hour(),
        now.minute(),
        now.second()
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;

    use super::*;
    use crate::local::call::Delays;
    use crate::local::store::Store;

    fn event(request: http::request::Builder, body: &[u8]) -> Value {
        let directory = tempfile::tempdir().unwrap();
        let call = Call {
            store: Arc::new(Store::open(directory.path()).unwrap()),
            delays: Delays::default(),
            region: "eu-west-1".to_owned(),
            authority: "hello.lambda-url.eu-west-1.localhost:4577".to_owned(),
            request_id: "r-1".to_owned(),
            now: OffsetDateTime::from_unix_timestamp(1_583_348_638).unwrap(),
        };
        of(&call, "hello", &request.body(()).unwrap().into_parts().0, body)
    }

    #[test]
    fn a_request_becomes_an_event_of_format_2() {
        let request = Request::post("/a%20b?x=1&y=a+b&x=%32")
            .header("Host", "hello.lambda-url.eu-west-1.localhost:4577")
            .header("User-Agent", "curl")
            .header("X-Own", "1")
            .header("x-own", "2")
            .header("Cookie", "a=b; c=d")
            .header("Content-Type", "application/json; charset=utf-8");
        assert_eq!(
            event(request, br#"{"name":"Ada"}"#),
            json!({
                "version": "2.0",
                "routeKey": "$default",
                "rawPath": "/a%20b",
                "rawQueryString": "x=1&y=a+b&x=%32",
                "cookies": ["a=b", "c=d"],
                "headers": {
                    "content-type": "application/json; charset=utf-8",
                    "host": "hello.lambda-url.eu-west-1.localhost:4577",
                    "user-agent": "curl",
                    "x-own": "1,2",
                    "x-forwarded-for": "127.0.0.1",
                    "x-forwarded-port": "4577",
                    "x-forwarded-proto": "http",
                },
                "queryStringParameters": { "x": "1,2", "y": "a b" },
                "requestContext": {
                    "accountId": "anonymous",
                    "apiId": "hello",
                    "domainName": "hello.lambda-url.eu-west-1.localhost",
                    "domainPrefix": "hello",
                    "http": { "method": "POST", "path": "/a%20b", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "curl" },
                    "requestId": "r-1",
                    "routeKey": "$default",
                    "stage": "$default",
                    "time": "04/Mar/2020:19:03:58 +0000",
                    "timeEpoch": 1_583_348_638_000_i64,
                },
                "body": r#"{"name":"Ada"}"#,
                "isBase64Encoded": false,
            })
        );
    }

    #[test]
    fn what_is_no_text_is_base64_and_what_is_empty_is_absent() {
        let binary = event(Request::post("/").header("Content-Type", "image/png"), b"\x89PNG");
        assert_eq!((&binary["body"], &binary["isBase64Encoded"]), (&json!("iVBORw=="), &json!(true)));
        let compressed =
            Request::post("/").header("Content-Type", "text/plain").header("Content-Encoding", "gzip");
        assert_eq!(event(compressed, b"x")["isBase64Encoded"], true);
        let broken = event(Request::post("/").header("Content-Type", "text/plain"), b"\xff");
        assert_eq!(broken["body"], "/w==");
        let empty = event(Request::get("/"), b"");
        for member in ["body", "cookies", "queryStringParameters"] {
            assert!(empty.get(member).is_none(), "{member}");
        }
    }
}
