//! The memory of a running container: how much it has used, and its end where that is too much.
//!
//! `/tmp` is memory to the engine and none to Lambda, so a container may use as much as function
//! and `/tmp` together, and the function's own limit is held here. Only an engine on this very
//! machine lets us look at its processes; another one is told the smaller limit.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::sync::watch;

use crate::local::runner::Launch;
use crate::services::docker::Container;

/// What is known of the memory of one container.
#[derive(Debug, Default)]
pub(super) struct Watched {
    process: AtomicU32,
    /// Kilobytes.
    peak: AtomicU64,
    out_of_memory: watch::Sender<bool>,
}

/// Megabytes a container may use, as the engine counts.
pub(super) fn limit(launch: &Launch) -> u64 {
    if cfg!(target_os = "linux") { launch.memory + launch.ephemeral_storage } else { launch.memory }
}

#[cfg(target_os = "linux")]
impl Watched {
    /// Looks at a container as long as it runs, and tells when it uses more than `megabytes`.
    pub(super) async fn watch(&self, container: &Container, megabytes: u64) {
        use crate::local::runner::memory;
        let process = container.process_id().await.and_then(|id| u32::try_from(id).ok());
        let Some(process) = process.filter(|id| memory::is_in_group(*id, container.id())) else {
            if let Err(error) = container.limit_memory(megabytes).await {
                tracing::debug!(%error, "the memory of a container is not limited");
            }
            return;
        };
        self.process.store(process, Ordering::Relaxed);
        if memory::exceeds(megabytes * 1024, || self.look(process)).await {
            self.out_of_memory.send_replace(true);
        }
    }

    fn look(&self, process: u32) -> Option<crate::local::runner::memory::Usage> {
        let usage = crate::local::runner::memory::of_process(process)?;
        self.peak.fetch_max(usage.resident.max(usage.peak), Ordering::Relaxed);
        Some(usage)
    }
}

#[cfg(not(target_os = "linux"))]
impl Watched {
    /// Its processes are in another machine.
    #[expect(clippy::unused_async, reason = "there is something to wait for on Linux")]
    pub(super) async fn watch(&self, _container: &Container, _megabytes: u64) {}

    fn look(&self, _process: u32) -> Option<()> {
        None
    }
}

impl Watched {
    /// Returns when it uses too much.
    pub(super) async fn is_out_of_memory(&self) {
        let mut out_of_memory = self.out_of_memory.subscribe();
        // The sender lives as long as the value.
        let _is_true = out_of_memory.wait_for(|is_true| *is_true).await;
    }

    /// The most megabytes it has used; `None` where that cannot be seen.
    pub(super) fn memory_used(&self) -> Option<u64> {
        let process = self.process.load(Ordering::Relaxed);
        if process > 0 {
            self.look(process);
        }
        let kilobytes = self.peak.load(Ordering::Relaxed);
        (kilobytes > 0).then(|| kilobytes.div_ceil(1024))
    }
}
