//! Bodies on their way in and out: counted, broken off, read whole.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt as _;

/// Counts the bytes of a request's body as they are read.
pub(super) fn counted(request: Request<Body>) -> (Request<Body>, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let seen = count.clone();
    let request = request.map(|body| {
        if body.is_end_stream() {
            return body;
        }
        Body::new(body.map_frame(move |frame| {
            let length = frame.data_ref().map_or(0, Bytes::len);
            seen.fetch_add(length as u64, Ordering::Relaxed);
            frame
        }))
    });
    (request, count)
}

/// Reads a body whole; `None` where it has more than `limit` bytes or breaks off.
pub(super) async fn whole(body: Body, limit: usize) -> Option<Bytes> {
    axum::body::to_bytes(body, limit).await.ok()
}

/// Reads a body to its end and forgets it.
pub(super) async fn drain(body: Body) {
    let mut bytes = body.into_data_stream();
    while let Some(Ok(_)) = bytes.next().await {}
}

/// The length a request says its body has.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The same body, failing after `limit` bytes. What came before it is given time to arrive.
pub(super) fn broken_after(body: Body, limit: u64) -> Body {
    let bytes = body.into_data_stream();
    let pieces = futures_util::stream::unfold((bytes, limit, false), |(mut bytes, left, over)| async move {
        if over {
            return None;
        }
        let piece = if left > 0 { bytes.next().await } else { None };
        match piece {
            Some(Ok(mut piece)) => {
                piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - piece.len() as u64;
                Some((Ok(piece), (bytes, left, false)))
            }
            _ => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), (bytes, 0, true)))
            }
        }
    });
    Body::from_stream(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_broken_body_has_the_bytes_before_the_break() {
        let mut bytes = broken_after(Body::from("0123456789"), 4).into_data_stream();
        assert_eq!(bytes.next().await.unwrap().unwrap(), "0123");
        assert!(bytes.next().await.unwrap().is_err());
        assert!(bytes.next().await.is_none());
    }

    #[tokio::test]
    async fn bytes_are_counted_as_they_are_read() {
        let (request, count) = counted(Request::new(Body::from("0123456789")));
        assert_eq!(count.load(Ordering::Relaxed), 0);
        drain(request.into_body()).await;
        assert_eq!(count.load(Ordering::Relaxed), 10);
    }
}
