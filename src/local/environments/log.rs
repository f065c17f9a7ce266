//! The log of one environment: its stream, and the last lines of the invocation that runs.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::local::logs::LogStream;

/// What `X-Amz-Log-Result` holds at most.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
const TAIL: usize = 4096;

#[derive(Debug)]
pub(super) struct EnvironmentLog {
    stream: LogStream,
    recent: Mutex<Recent>,
}

#[derive(Debug)]
struct Recent {
    tail: String,
    last: Instant,
}

impl EnvironmentLog {
    pub(super) fn new(stream: LogStream) -> Self {
        Self { stream, recent: Mutex::new(Recent { tail: String::new(), last: Instant::now() }) }
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an event.
    pub(super) fn write(&self, line: &str) {
        self.stream.write(line);
        let mut recent = self.recent();
        recent.last = Instant::now();
        recent.tail.push_str(line);
        recent.tail.push('\n');
        if recent.tail.len() > TAIL {
            let mut from = recent.tail.len() - TAIL;
            while !recent.tail.is_char_boundary(from) {
                from += 1;
            }
            recent.tail.drain(..from);
        }
    }

    /// Waits until nothing has been written for `pause`: output comes by another way than
    /// answers, and what was printed before the answer belongs before the end of the invocation.
    pub(super) async fn settle(&self, pause: Duration) {
        let begin = Instant::now();
        loop {
            let quiet = self.recent().last.max(begin).elapsed();
            if quiet >= pause || begin.elapsed() >= 10 * pause {
                return;
            }
            tokio::time::sleep(pause - quiet).await;
        }
    }

    /// Takes the last lines since they were taken before.
    pub(super) fn take_tail(&self) -> String {
        std::mem::take(&mut self.recent().tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::logs::LogStore;
    use crate::local::store::Store;

    #[test]
    fn the_tail_is_the_end_and_whole_characters() {
        let directory = tempfile::tempdir().unwrap();
        let logs = LogStore::new(&Store::open(directory.path()).unwrap());
        let log = EnvironmentLog::new(logs.stream("r", "g", "s").unwrap());
        log.write("first");
        assert_eq!(log.take_tail(), "first\n");
        log.write(&"ä".repeat(4000));
        log.write("last");
        let tail = log.take_tail();
        assert!(tail.len() <= TAIL && tail.ends_with("ä\nlast\n"), "{}", tail.len());
        assert_eq!(log.take_tail(), "");
    }
}
