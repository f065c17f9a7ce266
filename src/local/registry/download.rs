//! Signed downloads of blobs: where `GET …/blobs/…` and `GetDownloadUrlForLayer` point to.
//!
//! ECR keeps layers in S3 and redirects there. S3 refuses a request that brings an
//! Authorization header besides the signature in its query, so clients must leave it behind;
//! here it is the same.

use std::io::SeekFrom;

use axum::body::Body;
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode, Uri, header};
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::auth::SigningKey;
use super::query::Query;
use crate::domain::digest::Digest;
use crate::local::blob;
use crate::local::call::Call;

/// Where signed downloads are.
pub const PREFIX: &str = "/_blobs/";

const LIFETIME: Duration = Duration::hours(1);

/// A path with a query that opens the blob for an hour, to whoever has it.
pub fn signed_path(key: &SigningKey, digest: &Digest, now: OffsetDateTime) -> String {
    let expires = (now + LIFETIME).unix_timestamp();
    let signature = key.sign(&format!("blob {digest} {expires}"));
    format!("{PREFIX}{}?X-Amz-Expires={expires}&X-Amz-Signature={signature}", digest.hex())
}

/// Answers a request for a signed path; it has no body that matters.
pub async fn download(call: &Call, key: &SigningKey, request: &Parts) -> Response<Body> {
    if request.headers.contains_key(header::AUTHORIZATION) {
        let text = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified";
        return refuse(StatusCode::BAD_REQUEST, "InvalidArgument", text);
    }
    let digest = match check(key, &request.uri, call.now) {
        Ok(digest) => digest,
        Err((code, text)) => return refuse(StatusCode::FORBIDDEN, code, text),
    };
    let missing = || refuse(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.");
    let Ok(mut file) = tokio::fs::File::open(blob::path(&call.store, &digest)).await else {
        return missing();
    };
    let Ok(length) = file.metadata().await.map(|metadata| metadata.len()) else { return missing() };
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::ACCEPT_RANGES, "bytes");
    let (first, end) = match range(&request.headers, length) {
        Requested::All => (0, length),
        Requested::Part(first, end) => {
            response = response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, format!("bytes {first}-{}/{length}", end - 1));
            (first, end)
        }
        Requested::Nothing => {
            let text = "The requested range is not satisfiable";
            return refuse(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", text);
        }
    };
    if first > 0 && file.seek(SeekFrom::Start(first)).await.is_err() {
        return missing();
    }
    let bytes = ReaderStream::with_capacity(file.take(end - first), 128 * 1024);
    let response = response.header(header::CONTENT_LENGTH, end - first).body(Body::from_stream(bytes));
    response.unwrap_or_else(|_| missing())
}

fn check(key: &SigningKey, uri: &Uri, now: OffsetDateTime) -> Result<Digest, (&'static str, &'static str)> {
    let query = Query::of(uri);
    let digest = uri.path().strip_prefix(PREFIX).and_then(|hex| Digest::from_hex(hex).ok());
    let expires = query.get("X-Amz-Expires").and_then(|expires| expires.parse::<i64>().ok());
    let (Some(digest), Some(expires)) = (digest, expires) else {
        return Err(("AccessDenied", "Access Denied"));
    };
    if query.get("X-Amz-Signature") != Some(&key.sign(&format!("blob {digest} {expires}"))) {
        let text = "The request signature we calculated does not match the signature you provided.";
        return Err(("SignatureDoesNotMatch", text));
    }
    if expires <= now.unix_timestamp() {
        return Err(("AccessDenied", "Request has expired"));
    }
    Ok(digest)
}

#[derive(Debug, PartialEq, Eq)]
enum Requested {
    All,
    /// From the first byte to the one after the last.
    Part(u64, u64),
    Nothing,
}

/// One range of bytes (RFC 9110, section 14); several, or another unit, count as none.
fn range(headers: &HeaderMap, length: u64) -> Requested {
    let value = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) = value.and_then(|value| value.strip_prefix("bytes=")?.split_once('-')) else {
        return Requested::All;
    };
    let (first, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, length.min(last + 1)),
        (Ok(first), Err(_)) if last.is_empty() => (first, length),
        (Err(_), Ok(suffix)) if first.is_empty() => (length.saturating_sub(suffix), length),
        _ => return Requested::All,
    };
    if first < end { Requested::Part(first, end) } else { Requested::Nothing }
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/xml"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_at_the_end() {
        for (text, expected) in [
            ("bytes=0-4", Requested::Part(0, 5)),
            ("bytes=5-", Requested::Part(5, 10)),
            ("bytes=-3", Requested::Part(7, 10)),
            ("bytes=8-99", Requested::Part(8, 10)),
            ("bytes=10-", Requested::Nothing),
            ("bytes=3-1", Requested::All),
            ("lines=1-2", Requested::All),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, text.parse().unwrap());
            assert_eq!(range(&headers, 10), expected, "{text}");
        }
        assert_eq!(range(&HeaderMap::new(), 10), Requested::All);
    }

    #[test]
    fn a_signature_opens_one_blob_for_an_hour() {
        let directory = tempfile::tempdir().unwrap();
        let store = crate::local::store::Store::open(directory.path()).unwrap();
        let key = SigningKey::load(&store).unwrap();
        let now = OffsetDateTime::UNIX_EPOCH;
        let path = signed_path(&key, &Digest::of(b"one"), now);
        let uri: Uri = path.parse().unwrap();
        assert_eq!(check(&key, &uri, now), Ok(Digest::of(b"one")));
        assert!(check(&key, &uri, now + LIFETIME).is_err());
        let other = path.replace(&Digest::of(b"one").hex(), &Digest::of(b"two").hex());
        assert_eq!(check(&key, &other.parse().unwrap(), now).unwrap_err().0, "SignatureDoesNotMatch");
    }
}
