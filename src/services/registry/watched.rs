//! The bytes of a blob on their way to the registry: counted, reported, and known to move.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::{ByteStream, GrowingContent};
use crate::domain::digest::Digest;
use crate::domain::manifest::Descriptor;
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
    /// There are no bytes to be sent yet.
    starves: AtomicBool,
    complete: AtomicBool,
    failure: Mutex<Option<io::Error>>,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            moved: Mutex::new(Instant::now()),
            starves: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            failure: Mutex::default(),
        })
    }

    /// An attempt that has no bytes left to be sent.
    pub(super) fn of_nothing() -> Arc<Self> {
        let activity = Self::new();
        activity.complete.store(true, Ordering::Relaxed);
        activity
    }

    /// How long nothing has moved that could have: who waits for bytes is not kept by the registry.
    pub(super) fn idle(&self) -> Duration {
        if self.starves.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// How long nothing may move.
    pub(super) fn allowed(&self) -> Duration {
        if self.is_complete() { COMMIT } else { IDLE }
    }

    /// Whether the registry was given all bytes.
    pub(super) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
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

/// Passes on the bytes of a blob that is still being made. As soon as it has a digest, it is
/// reported that its upload has begun, and how far it is.
pub(super) struct Growing {
    content: Arc<dyn GrowingContent>,
    bytes: ByteStream,
    has_name: bool,
    sent: u64,
    reported: Instant,
    activity: Arc<Activity>,
    reporter: SharedReporter,
}

impl Growing {
    pub(super) fn new(
        content: Arc<dyn GrowingContent>,
        activity: Arc<Activity>,
        reporter: SharedReporter,
    ) -> Self {
        let bytes = content.open();
        Self { content, bytes, has_name: false, sent: 0, reported: Instant::now(), activity, reporter }
    }

    fn report(&mut self) {
        let Some(Descriptor { digest, size, .. }) = self.content.descriptor() else { return };
        let sent = self.sent;
        if !std::mem::replace(&mut self.has_name, true) {
            self.reporter.report(Event::BlobStarted { digest, size, sent });
        }
        self.reported = Instant::now();
        self.reporter.report(Event::BlobProgress { digest, sent });
    }
}

impl Stream for Growing {
    type Item = io::Result<Bytes>;

    /// Only asked where the registry takes what it is given.
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.bytes.poll_next_unpin(context);
        self.activity.starves.store(polled.is_pending(), Ordering::Relaxed);
        polled.map(|next| {
            self.activity.touch();
            match next {
                Some(Ok(chunk)) => {
                    self.sent += chunk.len() as u64;
                    if self.reported.elapsed() >= REPORT_EVERY {
                        self.report();
                    }
                    Some(Ok(chunk))
                }
                Some(Err(error)) => Some(Err(self.activity.fail(error))),
                None => {
                    self.activity.complete.store(true, Ordering::Relaxed);
                    self.report();
                    None
                }
            }
        })
    }
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

    /// Bytes that come one by one, from somewhere else.
    struct Slow(Mutex<Option<tokio::sync::mpsc::UnboundedReceiver<Bytes>>>);

    impl GrowingContent for Slow {
        fn open(&self) -> ByteStream {
            let receiver = self.0.lock().unwrap().take().unwrap();
            let next = |mut receiver: tokio::sync::mpsc::UnboundedReceiver<Bytes>| async move {
                receiver.recv().await.map(|bytes| (Ok(bytes), receiver))
            };
            futures_util::stream::unfold(receiver, next).boxed()
        }

        fn descriptor(&self) -> Option<Descriptor> {
            None
        }
    }

    #[tokio::test]
    async fn to_wait_for_bytes_that_are_being_made_is_no_standstill() {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let activity = Activity::new();
        let reporter: SharedReporter = Arc::new(Count::default());
        let content = Arc::new(Slow(Mutex::new(Some(receiver))));
        let mut growing = Growing::new(content, activity.clone(), reporter);
        let past = Instant::now().checked_sub(IDLE * 2).unwrap();
        sender.send(Bytes::from_static(b"x")).unwrap();
        growing.next().await.unwrap().unwrap();
        // Bytes were handed over, and nobody has asked for more: it is the registry that is slow.
        *activity.moved.lock().unwrap() = past;
        assert!(activity.idle() >= activity.allowed());
        assert!(futures_util::poll!(growing.next()).is_pending());
        assert_eq!(activity.idle(), Duration::ZERO);
        drop(sender);
        assert!(growing.next().await.is_none());
        assert!(activity.is_complete() && activity.idle() < IDLE);
    }
}
