//! What many deployments at the same time share: processors, the way to the registry, and the
//! blobs that are under way. One deployment alone never waits for any of it.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OnceCell, OwnedMutexGuard, Semaphore, SemaphorePermit};

use crate::domain::digest::{DiffId, Digest};
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
    /// The same layers by what is in them: while one is being made, nothing else is known of it.
    contents: Arc<Mutex<HashMap<(RepositoryUri, DiffId), Sent>>>,
    /// Whether a repository had nothing when it was first asked.
    new: Arc<Mutex<HashMap<RepositoryUri, Arc<OnceCell<bool>>>>>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(UPLOADS)),
            blobs: Arc::default(),
            contents: Arc::default(),
            new: Arc::default(),
        }
    }
}

/// What a map has under a key, the same for everybody who asks.
fn shared<K: Eq + Hash, V: Clone + Default>(map: &Mutex<HashMap<K, V>>, key: K) -> V {
    map.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
}

impl Uploads {
    /// Sends a blob when it is its turn, unless somebody else in this process has sent it there
    /// meanwhile; tells whether `send` did it. `content` is what is in the blob, if it is a layer.
    pub(super) async fn once<E>(
        &self,
        repository: &RepositoryUri,
        digest: Digest,
        content: Option<DiffId>,
        send: impl Future<Output = Result<(), E>>,
    ) -> Result<bool, E> {
        // Somebody may be sending it without knowing its digest.
        let content = content.map(|content| shared(&self.contents, (repository.clone(), content)));
        let mut content = match &content {
            Some(content) => Some(content.lock().await),
            None => None,
        };
        let blob = shared(&self.blobs, (repository.clone(), digest));
        // Where the first one fails, the next tries for itself.
        let mut sent = blob.lock().await;
        if *sent {
            return Ok(false);
        }
        let _turn = self.turns.acquire().await;
        send.await?;
        *sent = true;
        if let Some(content) = &mut content {
            **content = true;
        }
        Ok(true)
    }

    /// Waits for the turn of a layer that is still being made; `None` where somebody else in this
    /// process sends it there, or has.
    pub(super) async fn claim(&self, repository: &RepositoryUri, content: DiffId) -> Option<Claim<'_>> {
        let content = shared(&self.contents, (repository.clone(), content)).try_lock_owned().ok()?;
        if *content {
            return None;
        }
        let turn = self.turns.acquire().await.ok()?;
        Some(Claim { uploads: self, repository: repository.clone(), content, _turn: turn })
    }

    /// Tells whether a repository had nothing when it was first asked, which `ask` does.
    pub(super) async fn is_new(&self, repository: &RepositoryUri, ask: impl Future<Output = bool>) -> bool {
        *shared(&self.new, repository.clone()).get_or_init(|| ask).await
    }
}

/// The right to send a layer, while which nobody else does.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    uploads: &'a Uploads,
    repository: RepositoryUri,
    content: OwnedMutexGuard<bool>,
    _turn: SemaphorePermit<'a>,
}

impl Claim<'_> {
    /// The layer is there, as a blob of this digest.
    pub(super) fn sent(mut self, digest: Digest) {
        // Nobody holds it who knows what is in the blob; somebody else will find it there.
        if let Ok(mut sent) = shared(&self.uploads.blobs, (self.repository.clone(), digest)).try_lock() {
            *sent = true;
        }
        *self.content = true;
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
            uploads.once(&repository, Digest::of(b"layer"), None, sending).await
        };
        let (first, second, third) = tokio::join!(send(true), send(false), send(false));
        assert_eq!((first, second, third), (Err("cut off"), Ok(true), Ok(false)));
    }

    #[tokio::test]
    async fn a_layer_is_not_sent_by_its_digest_while_it_is_sent_by_what_is_in_it() {
        let uploads = Uploads::default();
        let repository: RepositoryUri = "127.0.0.1:5000/hello".parse().unwrap();
        let (content, digest) = (DiffId(Digest::of(b"content")), Digest::of(b"layer"));
        let once = || uploads.once(&repository, digest, Some(content), async { Ok::<_, ()>(()) });
        let claim = uploads.claim(&repository, content).await.unwrap();
        assert!(uploads.claim(&repository, content).await.is_none());
        let mut waiting = std::pin::pin!(once());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        claim.sent(digest);
        assert_eq!(waiting.await, Ok(false));
        assert!(uploads.claim(&repository, content).await.is_none());

        // One that was given up is sent by whoever comes next.
        let content = DiffId(Digest::of(b"other"));
        drop(uploads.claim(&repository, content).await.unwrap());
        let other = Digest::of(b"other layer");
        let sending = async { Ok::<_, ()>(()) };
        assert_eq!(uploads.once(&repository, other, Some(content), sending).await, Ok(true));
        assert!(uploads.claim(&repository, content).await.is_none());
    }
}
