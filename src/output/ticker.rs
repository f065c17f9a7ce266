//! A pulse for live lines and signs of life.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Calls something at a steady pace until it is dropped.
#[derive(Debug)]
pub(super) struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts calling `tick`, as long as it returns true.
    pub(super) fn start(pace: Duration, tick: impl Fn() -> bool + Send + 'static) -> Self {
        let (stop, stopped) = channel::<()>();
        // Its own thread: a sign of life must not wait for a busy runtime.
        let thread =
            thread::spawn(
                move || {
                    while stopped.recv_timeout(pace) == Err(RecvTimeoutError::Timeout) && tick() {}
                },
            );
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return };
        // The tick itself may hold the last reference to whoever owns this ticker.
        if thread.thread().id() != thread::current().id() {
            drop(thread.join());
        }
    }
}
