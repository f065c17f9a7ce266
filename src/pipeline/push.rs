//! Puts an image into a repository: what is there is not sent, the manifest goes last, and the
//! registry has to say that it has the same digest.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::early::Arrival;
use super::limits::{UPLOADS, Uploads};
use crate::domain::digest::Digest;
use crate::domain::manifest::Descriptor;
use crate::domain::plan::{PushedImage, Transfer};
use crate::domain::reference::{RepositoryName, RepositoryUri, Tag};
use crate::event::{Event, SharedReporter};
use crate::image::{BlobSource, Image};
use crate::services::registry::{RegistryClient, RegistryError, Uploaded};

/// How many questions are asked at a time.
const CHECKS: usize = 8;

/// What is smaller and likely new is sent without a question, which takes as long as the bytes.
const SMALL: u64 = 1 << 20;

/// How long to wait before asking again for a manifest that was just stored and is not found.
const READ_BACK: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(2)];

/// Pushes `image`; the manifest is stored by digest, and under `tag` where one is given.
pub async fn push(
    client: &RegistryClient,
    repository: &RepositoryUri,
    tag: Option<&Tag>,
    image: &Image,
    uploads: &Uploads,
    reporter: &SharedReporter,
) -> Result<PushedImage, RegistryError> {
    push_rest(client, repository, tag, image, &HashMap::new(), uploads, reporter).await
}

/// Pushes what has not arrived early.
pub(super) async fn push_rest(
    client: &RegistryClient,
    repository: &RepositoryUri,
    tag: Option<&Tag>,
    image: &Image,
    early: &HashMap<Digest, Arrival>,
    uploads: &Uploads,
    reporter: &SharedReporter,
) -> Result<PushedImage, RegistryError> {
    let push = Push { client, repository, image, early, uploads, reporter };
    let digest = image.digest();
    let pushed = |transfer| PushedImage { repository: repository.clone(), digest, transfer };
    // A tag that is right already says that everything is there: one question is enough.
    let tagged = match tag {
        Some(tag) => push.digest_of(tag.as_str()).await? == Some(digest),
        None => false,
    };
    let complete =
        tagged || !image.is_partly_in(repository) && client.has_manifest(&repository.name, &digest).await?;
    if complete {
        let transfer = push.nothing_to_send();
        if let Some(tag) = tag.filter(|_| !tagged) {
            push.put_manifest(tag.as_str()).await?;
        }
        return Ok(pushed(transfer));
    }
    let transfer = push.blobs().await?;
    // Under a tag it is stored under its digest as well.
    push.put_manifest(tag.map_or(digest.to_string(), Tag::to_string).as_str()).await?;
    Ok(pushed(transfer))
}

struct Push<'a> {
    client: &'a RegistryClient,
    repository: &'a RepositoryUri,
    image: &'a Image,
    early: &'a HashMap<Digest, Arrival>,
    uploads: &'a Uploads,
    reporter: &'a SharedReporter,
}

/// A blob of the image, and whether it is a layer.
struct Blob {
    descriptor: Descriptor,
    source: BlobSource,
    is_layer: bool,
}

/// How a blob gets into the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// An image there has it.
    There,
    /// Another repository of the registry has it; where it cannot be taken over, it is sent.
    Mount(RepositoryName),
    /// Nobody knows: the repository is asked.
    Ask,
    /// Likely nobody has it: it is sent.
    Send,
}

impl Push<'_> {
    async fn digest_of(&self, reference: &str) -> Result<Option<Digest>, RegistryError> {
        self.client.manifest_digest(&self.repository.name, reference).await
    }

    /// Every blob once, the configuration among them.
    fn distinct(&self) -> Vec<Blob> {
        let config = Blob {
            descriptor: self.image.manifest.config.clone(),
            source: BlobSource::Memory(self.image.config_bytes.clone()),
            is_layer: false,
        };
        let layers = self.image.layers.iter().map(|layer| Blob {
            descriptor: layer.descriptor.clone(),
            source: layer.source.clone(),
            is_layer: true,
        });
        let mut seen = HashSet::new();
        layers.chain([config]).filter(|blob| seen.insert(blob.descriptor.digest)).collect()
    }

    fn nothing_to_send(&self) -> Transfer {
        self.reporter.report(Event::TransferStarted { layers: 0, bytes: Some(0) });
        self.distinct().iter().for_each(|blob| self.finished(blob, true));
        Transfer { layers_reused: self.image.layers.len(), ..Transfer::default() }
    }

    /// Sends the blobs that are not there.
    async fn blobs(&self) -> Result<Transfer, RegistryError> {
        let (early, mut missing) = self.missing().await?;
        // The largest first: the last to finish should not have started last.
        missing.sort_by_key(|blob| std::cmp::Reverse(blob.descriptor.size));
        let bytes = missing.iter().map(|blob| blob.descriptor.size).sum();
        let layers = missing.iter().filter(|blob| blob.is_layer).count();
        self.reporter.report(Event::TransferStarted { layers, bytes: Some(bytes) });
        let uploads: Vec<_> = missing.into_iter().map(|blob| self.upload(blob)).collect();
        let uploads = stream::iter(uploads).buffer_unordered(UPLOADS);
        let mut transfer = Transfer { layers_reused: self.image.layers.len(), ..Transfer::default() };
        let mut uploads = std::pin::pin!(uploads);
        let mut count = |blob: Blob| {
            transfer.bytes_uploaded += blob.descriptor.size;
            if blob.is_layer {
                transfer.layers_uploaded += 1;
                transfer.layers_reused -= 1;
            }
        };
        early.into_iter().for_each(&mut count);
        while let Some(sent) = uploads.try_next().await? {
            sent.into_iter().for_each(&mut count);
        }
        Ok(transfer)
    }

    /// The blobs that were sent early, and those that have to be sent yet.
    async fn missing(&self) -> Result<(Vec<Blob>, Vec<Blob>), RegistryError> {
        let check = |blob: Blob| async move {
            let there = match self.way(&blob) {
                Way::There => true,
                Way::Mount(_) | Way::Send => false,
                Way::Ask => self.client.has_blob(&self.repository.name, &blob.descriptor.digest).await?,
            };
            if there {
                self.finished(&blob, true);
            }
            Ok::<_, RegistryError>((!there).then_some(blob))
        };
        let arrival = |blob: &Blob| self.early.get(&blob.descriptor.digest);
        let (early, others): (Vec<_>, Vec<_>) =
            self.distinct().into_iter().partition(|blob| arrival(blob).is_some());
        let sent: Vec<_> = early
            .into_iter()
            .filter(|blob| {
                let was_sent = arrival(blob) == Some(&Arrival::Sent);
                self.finished(blob, !was_sent);
                was_sent
            })
            .collect();
        let checks: Vec<_> = others.into_iter().map(check).collect();
        let missing: Vec<Option<Blob>> = stream::iter(checks).buffered(CHECKS).try_collect().await?;
        Ok((sent, missing.into_iter().flatten().collect()))
    }

    /// How a blob gets into the repository, as far as that is known without asking.
    fn way(&self, blob: &Blob) -> Way {
        match blob.source.repository_at(&self.repository.registry) {
            Some(name) if *name == self.repository.name => Way::There,
            Some(other) => Way::Mount(other.clone()),
            None if !blob.is_layer || self.is_likely_new(blob) => Way::Send,
            None => Way::Ask,
        }
    }

    /// Whether a layer is small, and the repository most likely lacks it because it has others of the
    /// image.
    fn is_likely_new(&self, blob: &Blob) -> bool {
        let is_small = blob.descriptor.size <= SMALL && blob.source.is_at_hand();
        is_small && self.image.is_partly_in(self.repository)
    }

    /// Sends one blob, and returns it if its bytes had to be sent: it may be mounted, or somebody
    /// else in this process may have sent it meanwhile.
    async fn upload(&self, blob: Blob) -> Result<Option<Blob>, RegistryError> {
        let Descriptor { digest, size, .. } = blob.descriptor;
        let from = match self.way(&blob) {
            Way::Mount(from) => Some(from),
            Way::There | Way::Ask | Way::Send => None,
        };
        let mut uploaded = None;
        let sending = async {
            self.reporter.report(Event::BlobStarted { digest, size });
            let name = &self.repository.name;
            let sent = self.client.upload_blob(name, &blob.descriptor, &blob.source, from.as_ref()).await?;
            uploaded = Some(sent);
            Ok(())
        };
        self.uploads.once(self.repository, digest, sending).await?;
        let was_sent = uploaded == Some(Uploaded::Sent);
        self.finished(&blob, !was_sent);
        Ok(was_sent.then_some(blob))
    }

    fn finished(&self, blob: &Blob, reused: bool) {
        let Descriptor { digest, size, .. } = blob.descriptor;
        self.reporter.report(Event::BlobFinished { digest, size, reused });
    }

    /// Stores the manifest under `reference`; where the registry does not say which digest it has
    /// there, it is read back.
    async fn put_manifest(&self, reference: &str) -> Result<(), RegistryError> {
        let Image { media_type, manifest_bytes, .. } = self.image;
        let name = &self.repository.name;
        let stored = self.client.put_manifest(name, reference, media_type, manifest_bytes.clone()).await?;
        if stored.is_some() {
            return Ok(());
        }
        let expected = self.image.digest();
        let subject = format!("{}@{reference}", self.repository);
        for (attempt, pause) in (1..).zip(READ_BACK) {
            match self.digest_of(reference).await? {
                Some(actual) if actual == expected => return Ok(()),
                Some(actual) => return Err(RegistryError::Digest { subject, expected, actual }),
                None => {}
            }
            // A large registry is many machines, and not all of them know at once.
            self.reporter.report(Event::Retrying {
                what: format!("check manifest `{reference}`"),
                attempt,
                after: pause,
                because: "it was stored, but is not found yet".to_owned(),
            });
            tokio::time::sleep(pause).await;
        }
        Err(RegistryError::Vanished { subject })
    }
}
