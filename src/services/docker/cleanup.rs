//! Leaves an engine as it was, also where a run is interrupted. Called by `push` and `prefix`.

use tokio::runtime::{Builder, Handle};

/// Does `work` although nobody waits for it: the end of the program does, for a moment. Outside of a
/// runtime it is left to the next run.
pub(super) fn in_any_case(work: impl Future<Output = ()> + Send + 'static) {
    let Ok(runtime) = Handle::try_current() else { return };
    // What is merely spawned ends with the runtime.
    runtime.spawn_blocking(move || {
        if let Ok(own) = Builder::new_current_thread().enable_all().build() {
            own.block_on(work);
        }
    });
}
