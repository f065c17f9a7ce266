//! The bytes of a blob on their way to the registry: counted, reported, and known to move.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::ByteStream;
use crate::domain::digest::Digest;
use crate::event::{Event, SharedReporter};

/// How long bytes may stand still before the connection counts as dead.
const IDLE: Duration = Duration::from_secs(60);
/// How long a registry may take to answer when it has all bytes: it may copy and hash them.
const COMMIT: Duration = Duration::from_secs(300);
/// The least time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// What is known about one attempt to send a blob.
#[derive(Debug)]
pub(super) struct Activity {
    moved: Mutex<Instant>,
    complete: AtomicBool,
    failure: Mutex<Option<io::Error>>,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            moved: Mutex::new(Instant::now()),
            complete: AtomicBool::new(false),
            failure: Mutex::default(),
        })
    }

    /// How long nothing has moved.
    pub(super) fn idle(&self) -> Duration {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// How long nothing may move.
    pub(super) fn allowed(&self) -> Duration {
        if self.complete.load(Ordering::Relaxed) { COMMIT } else { IDLE }
    }

    /// Why the bytes could not be read, if that is what ended the attempt.
    pub(super) fn take_failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn touch(&self) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn fail(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        io::Error::from(kind)
    }
}

/// Passes on exactly `size` bytes of `content`, and reports them at most ten times a second.
pub(super) fn watched(
    content: ByteStream,
    digest: Digest,
    size: u64,
    activity: Arc<Activity>,
    reporter: SharedReporter,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let mut sent = 0_u64;
    let mut reported = Instant::now();
    let check = move |chunk: io::Result<Bytes>| {
        let chunk = chunk.map_err(|error| activity.fail(error))?;
        sent += chunk.len() as u64;
        if sent > size {
            let problem = format!("more bytes than the {size} it should have");
            return Err(activity.fail(io::Error::new(io::ErrorKind::InvalidData, problem)));
        }
        activity.touch();
        activity.complete.store(sent == size, Ordering::Relaxed);
        if sent == size || reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            reporter.report(Event::BlobProgress { digest, sent });
        }
        Ok(chunk)
    };
    content.map(check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Reporter;

    #[derive(Default)]
    struct Count(Mutex<Vec<u64>>);

    impl Reporter for Count {
        fn report(&self, event: Event) {
            if let Event::BlobProgress { sent, .. } = event {
                self.0.lock().unwrap().push(sent);
            }
        }
    }

    async fn pass(chunks: usize, size: u64) -> (Vec<u64>, bool, Arc<Activity>) {
        let count = Arc::new(Count::default());
        let activity = Activity::new();
        let content = futures_util::stream::iter((0..chunks).map(|_| Ok(Bytes::from_static(b"x")))).boxed();
        let passed: Vec<_> =
            watched(content, Digest::of(b""), size, activity.clone(), count.clone()).collect().await;
        let reports = count.0.lock().unwrap().clone();
        (reports, passed.iter().all(Result::is_ok), activity)
    }

    #[tokio::test]
    async fn progress_is_not_reported_for_every_chunk() {
        let (reports, good, activity) = pass(10_000, 10_000).await;
        assert!(good);
        assert_eq!(reports.last(), Some(&10_000));
        assert!(reports.len() < 100, "{}", reports.len());
        assert_eq!(activity.allowed(), COMMIT);
    }

    #[tokio::test]
    async fn too_many_bytes_are_noticed() {
        let (_, good, activity) = pass(3, 2).await;
        assert!(!good);
        assert!(activity.take_failure().unwrap().to_string().contains("more bytes"));
    }
}
