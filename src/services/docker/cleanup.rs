//! Leaves an engine as it was, also where a run is interrupted. Called by `push` and `prefix`, which
//! begin it, and by whoever ends the program, who waits for it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::Builder;
use uuid::Uuid;

/// How many threads are at it.
static UNDER_WAY: Mutex<usize> = Mutex::new(0);
static DONE: Condvar = Condvar::new();

/// Where the run listens that has left something with this address and ID in an engine, if it is a
/// run of lambdactl on this machine.
pub(super) fn left_by(address: &str, id: &str) -> Option<SocketAddr> {
    let address: SocketAddr = address.parse().ok()?;
    (address.ip() == Ipv4Addr::LOCALHOST && Uuid::try_parse(id).is_ok()).then_some(address)
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
