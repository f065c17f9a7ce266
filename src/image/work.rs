//! Blocking work (hashing, compressing, walking directories) off the async threads: it stops
//! when nobody waits for it any more, and says how far it is.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ImageError;
use crate::event::{Event, SharedReporter};

/// The least time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Runs `work` on a thread that may block. Its readers fail once the future is dropped.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce(Stop) -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    let stop = Stop(Arc::new(AtomicBool::new(false)));
    let guard = StopOnDrop(stop.clone());
    let result = tokio::task::spawn_blocking(move || work(stop)).await;
    drop(guard);
    match result {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(ImageError::Read { what: "image".to_owned(), source: io::Error::other(error) }),
    }
}

/// Tells work that nobody waits for it any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "nobody waits for it any more"));
        }
        Ok(())
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Reports how many bytes of something have been dealt with, at most ten times a second. Copies
/// count together.
#[derive(Clone)]
pub(super) struct Progress {
    activity: &'static str,
    total: Option<u64>,
    counted: Arc<Mutex<Counted>>,
    reporter: SharedReporter,
}

struct Counted {
    bytes: u64,
    reported: Instant,
}

impl Progress {
    pub(super) fn new(activity: &'static str, total: Option<u64>, reporter: &SharedReporter) -> Self {
        let counted = Arc::new(Mutex::new(Counted { bytes: 0, reported: Instant::now() }));
        Self { activity, total, counted, reporter: reporter.clone() }
    }

    /// Counts `bytes` more.
    pub(super) fn add(&mut self, bytes: usize) {
        let mut counted = self.counted();
        counted.bytes += bytes as u64;
        if counted.reported.elapsed() >= REPORT_EVERY {
            self.report(&mut counted);
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While nobody else counts, so that what is reported only grows.
    fn report(&self, counted: &mut Counted) {
        counted.reported = Instant::now();
        let Self { activity, total, .. } = *self;
        // There may be more to it than the files that the total counts.
        let bytes = total.map_or(counted.bytes, |total| counted.bytes.min(total));
        self.reporter.report(Event::ImageProgress { activity, bytes, total });
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.report(&mut self.counted());
    }
}

/// A reader that counts, and that ends when nobody waits any more.
pub(super) struct Observed<'a, R> {
    pub(super) inner: R,
    pub(super) progress: &'a mut Progress,
    pub(super) stop: &'a Stop,
}

impl<R: Read> Read for Observed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stop.check()?;
        let count = self.inner.read(buffer)?;
        self.progress.add(count);
        Ok(count)
    }
}
