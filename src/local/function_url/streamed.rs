//! An answer that the client gets while the function makes it, in `RESPONSE_STREAM` mode.
//!
//! A function that wants more than bytes begins with the head of the response as JSON and eight
//! zero bytes; runtimes say so by the content type.
//! <https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html>

use std::io;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{Response, StatusCode};
use serde_json::Value;

use super::{answer, told};
use crate::local::lambda::{Part, Streaming};

/// The content type by which runtimes say that an answer begins with its head.
const WITH_HEAD: &str = "application/vnd.awslambda.http-integration-response";
/// What stands between the head and the body.
const SEPARATOR: [u8; 8] = [0; 8];
/// A head has no more bytes.
const LARGEST_HEAD: usize = 1024 * 1024;
const BYTES: &str = "application/octet-stream";

/// Makes the response, as soon as its head is known.
pub(super) async fn answer(mut streaming: Streaming) -> Response<Body> {
    let content_type = match streaming.next().await {
        Some(Part::Begin(content_type)) => content_type,
        // It did not stream, and may have a head all the same.
        Some(Part::End(invoked)) if !invoked.is_error => {
            let (response, rest) = with_head(&invoked.payload);
            return response.map(|_| Body::from(rest));
        }
        _ => return failed(),
    };
    if content_type.as_deref() != Some(WITH_HEAD) {
        return answer::plain(body(Bytes::new(), streaming), content_type.as_deref().unwrap_or(BYTES));
    }
    let mut begin = BytesMut::new();
    loop {
        match streaming.next().await {
            Some(Part::Data(bytes)) => begin.extend_from_slice(&bytes),
            Some(Part::Begin(_)) => {}
            Some(Part::End(_)) | None => return failed(),
        }
        if end_of_head(&begin).is_some() || begin.len() > LARGEST_HEAD {
            break;
        }
    }
    let (response, rest) = with_head(&begin);
    response.map(|_| body(rest, streaming))
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(SEPARATOR.len()).position(|window| window == SEPARATOR)
}

/// The head an answer begins with, and what follows it.
fn with_head(bytes: &[u8]) -> (Response<Body>, Bytes) {
    let head = end_of_head(bytes).and_then(|end| match serde_json::from_slice(&bytes[..end]) {
        Ok(Value::Object(head)) => Some((head, &bytes[end + SEPARATOR.len()..])),
        _ => None,
    });
    match head {
        Some((head, rest)) => (answer::head(head), Bytes::copy_from_slice(rest)),
        None => (answer::plain(Body::empty(), BYTES), Bytes::copy_from_slice(bytes)),
    }
}

/// The rest of an answer. One that fails on its way breaks off, as the status is sent already.
fn body(begin: Bytes, streaming: Streaming) -> Body {
    let pieces = stream::unfold((begin, Some(streaming)), |(begin, streaming)| async move {
        if !begin.is_empty() {
            return Some((Ok(begin), (Bytes::new(), streaming)));
        }
        let mut streaming = streaming?;
        loop {
            return match streaming.next().await {
                Some(Part::Begin(_)) => continue,
                Some(Part::Data(bytes)) => Some((Ok(bytes), (Bytes::new(), Some(streaming)))),
                Some(Part::End(invoked)) if !invoked.is_error => None,
                _ => Some((Err(io::Error::other("the function failed")), (Bytes::new(), None))),
            };
        }
    });
    Body::from_stream(pieces)
}

fn failed() -> Response<Body> {
    told(StatusCode::BAD_GATEWAY, "Internal Server Error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_begin_with_its_head() {
        let head = br#"{"statusCode":202,"headers":{"content-type":"text/plain"}}"#.as_slice();
        let (response, rest) = with_head(&[head, &SEPARATOR, b"body"].concat());
        assert_eq!((response.status().as_u16(), &rest[..]), (202, b"body".as_slice()));
        assert_eq!(response.headers()["content-type"], "text/plain");
        for bytes in [b"bytes".as_slice(), b"{\"statusCode\":202}", b"\0\0\0\0\0\0\0\0body"] {
            let (response, rest) = with_head(bytes);
            assert_eq!((response.status().as_u16(), &rest[..]), (200, bytes));
        }
    }
}
