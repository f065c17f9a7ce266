//! Waiting for children and, at the same time, for whoever started this process: for a word, or
//! for the end.

use std::io::Read as _;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::stdio;

/// Between looks at all children: orphans come to the first process of a namespace unannounced.
const ORPHANS: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// Between looks at the children, where the kernel (before 5.3) does not tell of its end.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// Why waiting is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The other end of standard input is closed.
    Abandoned,
    /// Something came from there: there is but one thing to say.
    Told,
    /// A child may have ended.
    Children,
}

/// Waits until one of the children may have ended, something is said, or standard input ends.
pub(super) fn wait(children: &[Pid]) -> Event {
    let watched: Vec<_> =
        children.iter().map_while(|child| pidfd_open(*child, PidfdFlags::empty()).ok()).collect();
    let stdin = stdio::stdin();
    let mut ready = vec![PollFd::new(&stdin, PollFlags::IN)];
    ready.extend(watched.iter().map(|child| PollFd::new(child, PollFlags::IN)));
    let patience = if watched.len() == children.len() { ORPHANS } else { PATIENCE };
    let _interrupted = poll(&mut ready, Some(&patience));
    if ready[0].revents().is_empty() {
        return Event::Children;
    }
    match std::io::stdin().lock().read(&mut [0; 64]) {
        Ok(1..) => Event::Told,
        _ => Event::Abandoned,
    }
}
