//! Waiting for a child and, at the same time, for the end of whoever started this process.

use std::io::Read as _;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::stdio;

/// Between looks at all children: orphans come to the first process of a namespace unannounced.
const ORPHANS: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// Between looks at the child, where the kernel (before 5.3) does not tell of its end.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// Why waiting is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The other end of standard input is closed.
    Abandoned,
    /// A child may have ended.
    Children,
}

/// Waits until the child may have ended, or standard input has.
pub(super) fn wait(child: Pid) -> Event {
    let child = pidfd_open(child, PidfdFlags::empty()).ok();
    let stdin = stdio::stdin();
    let mut ready = vec![PollFd::new(&stdin, PollFlags::IN)];
    ready.extend(child.as_ref().map(|child| PollFd::new(child, PollFlags::IN)));
    let patience = if child.is_some() { ORPHANS } else { PATIENCE };
    let _interrupted = poll(&mut ready, Some(&patience));
    let has_input = !ready[0].revents().is_empty();
    // Nobody writes anything: what can be read is the end.
    if has_input && !matches!(std::io::stdin().lock().read(&mut [0; 64]), Ok(1..)) {
        return Event::Abandoned;
    }
    Event::Children
}
