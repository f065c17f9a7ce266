//! What many deployments at the same time share: processors, the way to the registry, and the
//! blobs that are under way. One deployment alone never waits for any of it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::domain::digest::Digest;
use crate::domain::reference::RepositoryUri;

/// How many blobs are sent at a time, whatever they belong to. One upload does not fill a fast
/// link to ECR, and many at once make it reset connections.
pub(super) const UPLOADS: usize = 4;

/// The limits a [`super::Cloud`] and everything derived from it share.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    builds: Arc<Semaphore>,
    pub(super) uploads: Uploads,
}

impl Default for Limits {
    fn default() -> Self {
        // A build and the compression after it keep a processor busy each.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self { builds: Arc::new(Semaphore::new(processors)), uploads: Uploads::default() }
    }
}

impl Limits {
    /// Waits for a turn to build an image.
    pub(super) async fn build(&self) -> Option<SemaphorePermit<'_>> {
        // Fails only for a semaphore that was closed, and nobody closes it.
        self.builds.acquire().await.ok()
    }
}

/// Tells whether a blob has been sent; locked while it is being sent.
type Sent = Arc<tokio::sync::Mutex<bool>>;

/// The uploads of this process.
#[derive(Clone, Debug)]
pub struct Uploads {
    turns: Arc<Semaphore>,
    blobs: Arc<Mutex<HashMap<(RepositoryUri, Digest), Sent>>>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(UPLOADS)), blobs: Arc::default() }
    }
}

impl Uploads {
    /// Sends a blob when it is its turn, unless somebody else in this process has sent it there
    /// meanwhile; tells whether `send` did it.
    pub(super) async fn once<E>(
        &self,
        repository: &RepositoryUri,
        digest: Digest,
        send: impl Future<Output = Result<(), E>>,
    ) -> Result<bool, E> {
        let blob = {
            let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
            blobs.entry((repository.clone(), digest)).or_default().clone()
        };
        // Where the first one fails, the next tries for itself.
        let mut sent = blob.lock().await;
        if *sent {
            return Ok(false);
        }
        let _turn = self.turns.acquire().await;
        send.await?;
        *sent = true;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_blob_two_deployments_need_is_sent_once() {
        let uploads = Uploads::default();
        let repository: RepositoryUri = "127.0.0.1:5000/hello".parse().unwrap();
        let send = async |fails: bool| {
            let sending = async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                if fails { Err("cut off") } else { Ok(()) }
            };
            uploads.once(&repository, Digest::of(b"layer"), sending).await
        };
        let (first, second, third) = tokio::join!(send(true), send(false), send(false));
        assert_eq!((first, second, third), (Err("cut off"), Ok(true), Ok(false)));
    }
}
