//! Leaves an engine as it was, also where a run is interrupted. Called by `push`, `prefix` and
//! `files`, which begin it, and by whoever ends the program, who waits for it.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::Builder;
use uuid::Uuid;

use crate::domain::digest::Digest;

/// How many threads are at it.
static UNDER_WAY: Mutex<usize> = Mutex::new(0);
static DONE: Condvar = Condvar::new();

/// Where the run listens that has left something with this address and ID in an engine, if it is a
/// run of lambdactl on this machine.
pub(super) fn left_by(address: &str, id: &str) -> Option<SocketAddr> {
    let address: SocketAddr = address.parse().ok()?;
    (address.ip() == Ipv4Addr::LOCALHOST && Uuid::try_parse(id).is_ok()).then_some(address)
}

/// Says of something in an engine which run of lambdactl has made it, and that this goes on while
/// the value lives.
#[derive(Debug)]
pub(super) struct Mark {
    address: SocketAddr,
    id: Uuid,
    /// Answers other runs.
    _listener: TcpListener,
}

impl Mark {
    /// One that nothing else has.
    ///
    /// # Errors
    /// Where nothing can listen on this machine.
    pub(super) fn new() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self { address: listener.local_addr()?, id: Uuid::new_v4(), _listener: listener })
    }

    /// What it is alone.
    pub(super) fn id(&self) -> impl Display + use<> {
        self.id.simple()
    }

    /// Where the run listens that left such a text, and its ID: if whoever listens there can be
    /// reached from here, so that it is known whether it goes on.
    pub(super) fn read(text: &str) -> Option<(SocketAddr, &str)> {
        let (address, id) = text.strip_suffix(&here()?)?.strip_suffix('/')?.split_once('/')?;
        Some((left_by(address, id)?, id))
    }
}

impl Display for Mark {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.address, self.id(), here().unwrap_or_default())
    }
}

/// A name for what shares its loopback with this process, if the system tells that: an engine may
/// serve other machines, and containers that were given its socket.
/// <https://man7.org/linux/man-pages/man7/namespaces.7.html>
fn here() -> Option<String> {
    let boot = fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let network = fs::read_link("/proc/self/ns/net").ok()?;
    let both = [boot.as_slice(), network.as_os_str().as_encoded_bytes()].concat();
    Some(Digest::of(&both).short())
}

/// Whether the run that listened there is no more.
pub(super) async fn is_over(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_err()
}

/// Does `work` although nobody waits for it and the runtime may end: whatever that spawned would end
/// with it.
pub(super) fn in_any_case(work: impl Future<Output = ()> + Send + 'static) {
    change(|count| count + 1);
    let begun = thread::Builder::new().name("clean-up".to_owned()).spawn(move || {
        if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
            runtime.block_on(work);
        }
        change(|count| count - 1);
    });
    if begun.is_err() {
        // It is left to the next run.
        change(|count| count - 1);
    }
}

/// Waits until engines are left as they were, but no longer than `patience`: what is not done by
/// then is left to the next run.
pub fn finish_cleaning_up(patience: Duration) {
    let under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    drop(DONE.wait_timeout_while(under_way, patience, |count| *count > 0));
}

fn change(by: impl Fn(usize) -> usize) {
    let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    *under_way = by(*under_way);
    DONE.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_where_its_run_listens_and_nothing_else_does() {
        let mark = Mark::new().unwrap();
        let (text, id, here) = (mark.to_string(), mark.id().to_string(), here().unwrap());
        assert_eq!(Mark::read(&text), Some((mark.address, id.as_str())));
        for other in [
            format!("192.0.2.1:45123/{id}/{here}"),
            format!("127.0.0.1:45123/hello/{here}"),
            format!("127.0.0.1:45123/{id}/elsewhere"),
            format!("127.0.0.1:45123/{id}"),
            id,
        ] {
            assert_eq!(Mark::read(&other), None, "{other}");
        }
    }
}
