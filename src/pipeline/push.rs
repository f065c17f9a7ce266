//! Puts an image into a repository: what is there is not sent, the manifest goes last, and the
//! registry has to say that it has the same digest.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::early::{Arrival, Arrivals};
use super::limits::{UPLOADS, Uploads};
use super::ways::{Blob, Ways};
use crate::domain::digest::Digest;
use crate::domain::manifest::Descriptor;
use crate::domain::plan::{PushedImage, Transfer};
use crate::domain::reference::{RepositoryUri, Tag};
use crate::domain::transfer::Way;
use crate::event::{Event, SharedReporter};
use crate::image::Image;
use crate::services::registry::{RegistryClient, RegistryError, Uploaded};

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
    let push = Push { client, repository, image, arrivals: &Arrivals::default(), uploads, reporter };
    push.run(tag, None).await
}

/// A push, beside which layers may be on their way already.
pub(super) struct Push<'a> {
    pub(super) client: &'a RegistryClient,
    pub(super) repository: &'a RepositoryUri,
    pub(super) image: &'a Image,
    /// The layers that go early; whoever sends them has to go on meanwhile.
    pub(super) arrivals: &'a Arrivals,
    pub(super) uploads: &'a Uploads,
    pub(super) reporter: &'a SharedReporter,
}

impl Push<'_> {
    /// Pushes; `ways` are those that were found while planning.
    pub(super) async fn run(
        &self,
        tag: Option<&Tag>,
        ways: Option<Ways>,
    ) -> Result<PushedImage, RegistryError> {
        let digest = self.image.digest();
        let pushed = |transfer| PushedImage { repository: self.repository.clone(), digest, transfer };
        // A tag that is right already says that everything is there: one question is enough.
        let tagged = match tag {
            Some(tag) => self.digest_of(tag.as_str()).await? == Some(digest),
            None => false,
        };
        let complete = tagged
            || !self.image.is_partly_in(self.repository)
                && self.client.has_manifest(&self.repository.name, &digest).await?;
        if complete {
            let transfer = self.nothing_to_send();
            if let Some(tag) = tag.filter(|_| !tagged) {
                self.put_manifest(tag.as_str()).await?;
            }
            return Ok(pushed(transfer));
        }
        let ways = match ways {
            Some(ways) => ways,
            None => Ways::find(self.client, self.repository, self.image, self.arrivals).await?,
        };
        let transfer = self.blobs(&ways).await?;
        // Under a tag it is stored under its digest as well.
        self.put_manifest(tag.map_or(digest.to_string(), Tag::to_string).as_str()).await?;
        Ok(pushed(transfer))
    }

    async fn digest_of(&self, reference: &str) -> Result<Option<Digest>, RegistryError> {
        self.client.manifest_digest(&self.repository.name, reference).await
    }

    fn nothing_to_send(&self) -> Transfer {
        let ways = Ways::nowhere(self.image);
        if !self.arrivals.are_planned() {
            self.reporter.report(Event::TransferPlanned(ways.plan(self.image)));
        }
        self.reporter.report(Event::TransferStarted { layers: 0, bytes: Some(0) });
        let mut transfer = Transfer { layers_reused: self.image.layers.len(), ..Transfer::default() };
        for (blob, _) in ways.iter() {
            match self.arrivals.get(&blob.descriptor.digest) {
                // It went before a tag said that it need not, and is told of there.
                Some(Arrival::Sent) => count(&mut transfer, blob),
                Some(Arrival::UnderWay | Arrival::Found) => {}
                None => self.finished(blob, true),
            }
        }
        transfer
    }

    /// Sends the blobs that are not there.
    async fn blobs(&self, ways: &Ways) -> Result<Transfer, RegistryError> {
        let plan = ways.plan(self.image);
        if self.arrivals.are_news(&plan) {
            self.reporter.report(Event::TransferPlanned(plan));
        }
        let is_there = |way: &Way| matches!(way, Way::There(_));
        let mut missing: Vec<&(Blob, Way)> = ways.iter().filter(|(_, way)| !is_there(way)).collect();
        let bytes = missing.iter().map(|(blob, _)| blob.descriptor.size).sum();
        let layers = missing.iter().filter(|(blob, _)| blob.is_layer).count();
        for (blob, _) in ways.iter().filter(|(_, way)| is_there(way)) {
            self.finished(blob, true);
        }
        self.reporter.report(Event::TransferStarted { layers, bytes: Some(bytes) });
        // The largest layer first: the last to finish should not have started last. Before it the
        // configuration, which is small: after the last byte of the layers nothing is to be left
        // but the manifest.
        missing.sort_by_key(|(blob, _)| (blob.is_layer, std::cmp::Reverse(blob.descriptor.size)));
        let uploads: Vec<_> = missing.into_iter().map(|(blob, way)| self.upload(blob, way)).collect();
        let mut uploads = std::pin::pin!(stream::iter(uploads).buffer_unordered(UPLOADS));
        let mut transfer = Transfer { layers_reused: self.image.layers.len(), ..Transfer::default() };
        while let Some(sent) = uploads.try_next().await? {
            let Some(blob) = sent else { continue };
            count(&mut transfer, blob);
        }
        Ok(transfer)
    }

    /// Sends one blob, or waits until it has been sent early. Returns it if its bytes had to be
    /// sent: it may be mounted, or somebody else in this process may have sent it meanwhile.
    async fn upload<'b>(&self, blob: &'b Blob, way: &Way) -> Result<Option<&'b Blob>, RegistryError> {
        let Descriptor { digest, size, .. } = blob.descriptor;
        let from = match way {
            Way::Mount(from) => Some(from),
            Way::There(_) | Way::Send | Way::Copy(_) | Way::Compress | Way::Make => None,
        };
        let mut uploaded = None;
        let sending = async {
            self.reporter.report(Event::BlobStarted { digest, size, sent: 0 });
            let name = &self.repository.name;
            let sent = self.client.upload_blob(name, &blob.descriptor, &blob.source, from).await?;
            uploaded = Some(sent);
            self.arrivals.end(digest, sent.into());
            Ok(())
        };
        self.uploads.once(self.repository, digest, blob.diff_id, sending).await?;
        let was_sent = match (uploaded, self.arrivals.get(&digest)) {
            // It was reported when it arrived.
            (None, Some(arrival)) => return Ok((arrival == Arrival::Sent).then_some(blob)),
            (uploaded, _) => uploaded == Some(Uploaded::Sent),
        };
        self.finished(blob, !was_sent);
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

/// Counts a blob that was sent.
fn count(transfer: &mut Transfer, blob: &Blob) {
    transfer.bytes_uploaded += blob.descriptor.size;
    if blob.is_layer {
        transfer.layers_uploaded += 1;
        transfer.layers_reused -= 1;
    }
}
