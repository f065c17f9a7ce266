//! Sends layers while the image they belong to is still being exported, compressed and checked.
//!
//! A blob that no manifest names changes nothing for anybody, and the next run uses it: so layers
//! can go before it is known whether all others can be made, as soon as it is known that the
//! image may go into this repository. Called by `deploy` and `push`.
//!
//! A large layer even goes while it is being compressed itself. Then its digest is not known and
//! the repository cannot be asked for it, so this is only for repositories that have no image.
//!
//! What is small goes when the image is whole, while that is being checked: into a repository that
//! has others of its layers it is sent without a question.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use super::cloud::Cloud;
use super::knowledge;
use super::limits::UPLOADS;
use super::ways::{Blob, Ways};
use crate::domain::digest::{DiffId, Digest};
use crate::domain::manifest::Descriptor;
use crate::domain::transfer::TransferPlan;
use crate::event::Event;
use crate::image::Image;
use crate::image::growing::GrowingLayer;
use crate::image::gzip::GzipLayer;
use crate::services::ecr::Repository;
use crate::services::registry::{RegistryClient, RegistryError, Uploaded};

/// How far a blob is that goes early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is being sent, or asked for.
    UnderWay,
    /// It was there.
    Found,
    /// It was sent.
    Sent,
}

impl From<Uploaded> for Arrival {
    fn from(uploaded: Uploaded) -> Self {
        match uploaded {
            Uploaded::Sent => Self::Sent,
            Uploaded::Mounted => Self::Found,
        }
    }
}

/// The blobs that go early.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    blobs: HashMap<Digest, Arrival>,
    /// Layers that go while they are made.
    growing: HashSet<DiffId>,
    /// The ways that were told of before anything went.
    planned: Option<TransferPlan>,
}

impl Arrivals {
    pub(super) fn get(&self, digest: &Digest) -> Option<Arrival> {
        self.lock().blobs.get(digest).copied()
    }

    /// The same for a layer, whose digest may not have been known when it went.
    pub(super) fn of(&self, digest: &Digest, diff_id: Option<&DiffId>) -> Option<Arrival> {
        let known = self.lock();
        let growing = || diff_id.filter(|diff_id| known.growing.contains(diff_id));
        known.blobs.get(digest).copied().or_else(|| growing().map(|_| Arrival::UnderWay))
    }

    pub(super) fn end(&self, digest: Digest, arrival: Arrival) {
        self.lock().blobs.insert(digest, arrival);
    }

    /// Whether these ways are still to be told of; they count as told then.
    pub(super) fn are_news(&self, plan: &TransferPlan) -> bool {
        self.lock().planned.replace(plan.clone()).as_ref() != Some(plan)
    }

    /// Whether any ways were told of.
    pub(super) fn are_planned(&self) -> bool {
        self.lock().planned.is_some()
    }

    /// Whether a blob was not known before.
    fn begin(&self, blob: &Blob) -> bool {
        let mut known = self.lock();
        if blob.diff_id.is_some_and(|diff_id| known.growing.contains(&diff_id)) {
            return false;
        }
        // What came of it before is not forgotten.
        match known.blobs.entry(blob.descriptor.digest) {
            Entry::Vacant(vacant) => {
                vacant.insert(Arrival::UnderWay);
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    fn give_up(&self, digest: &Digest) {
        self.lock().blobs.remove(digest);
    }

    /// Whether a layer that is being made was not known before.
    fn begin_growing(&self, diff_id: DiffId) -> bool {
        self.lock().growing.insert(diff_id)
    }

    fn end_growing(&self, diff_id: &DiffId, sent: Option<Digest>) {
        let mut known = self.lock();
        known.growing.remove(diff_id);
        known.blobs.extend(sent.map(|digest| (digest, Arrival::Sent)));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What whoever makes the layers, and whoever decides, has to tell.
#[derive(Debug)]
pub(super) struct Announcements {
    /// Takes each layer that was made.
    pub(super) made: UnboundedSender<GzipLayer>,
    /// Takes large layers when they begin to be made; they are announced again when they are.
    pub(super) begun: UnboundedSender<GrowingLayer>,
    /// Takes the image when it is whole.
    pub(super) whole: oneshot::Sender<Image>,
    /// Takes the repository as soon as layers may go there.
    pub(super) allow: oneshot::Sender<Repository>,
}

/// What is told.
#[derive(Debug)]
pub(super) struct Announced {
    made: UnboundedReceiver<GzipLayer>,
    begun: UnboundedReceiver<GrowingLayer>,
    whole: oneshot::Receiver<Image>,
    allowed: oneshot::Receiver<Repository>,
}

/// Both ends of what is told.
pub(super) fn announcements() -> (Announcements, Announced) {
    let (made, layers) = mpsc::unbounded_channel();
    let (begun, growing) = mpsc::unbounded_channel();
    let (whole, image) = oneshot::channel();
    let (allow, allowed) = oneshot::channel();
    let announced = Announced { made: layers, begun: growing, whole: image, allowed };
    (Announcements { made, begun, whole, allow }, announced)
}

/// What goes early.
enum Parcel {
    /// A blob; the repository is not asked for one that is new.
    Blob {
        blob: Box<Blob>,
        is_new: bool,
    },
    Begun(GrowingLayer),
}

/// Sends what comes until there is no more. What fails here is tried again by the push itself, and
/// fails there with a word about it.
pub(super) async fn send(cloud: &Cloud, announced: Announced, arrivals: &Arrivals) {
    let Announced { made, begun, whole, allowed } = announced;
    let Ok(repository) = allowed.await else { return };
    let Ok(client) = cloud.registry(&repository.uri.registry).await else { return };
    let made = received(made).map(|layer| Parcel::Blob { blob: Box::new(layer.into()), is_new: false });
    let unasked = stream::once(whole).map(|image| {
        let image = image.ok()?;
        let ways = Ways::without_a_question(&image, &repository.uri)?;
        let plan = ways.plan(&image);
        if arrivals.are_news(&plan) {
            cloud.report(Event::TransferPlanned(plan));
        }
        Some(ways)
    });
    let unasked = unasked.flat_map(|ways| stream::iter(ways.into_iter().flat_map(Ways::into_missing)));
    let unasked = unasked.map(|blob| Parcel::Blob { blob: Box::new(blob), is_new: true });
    let parcels = stream::select(stream::select(made, received(begun).map(Parcel::Begun)), unasked);
    let sending = Sending { cloud, client, repository: &repository, arrivals, grows: AtomicBool::new(true) };
    let send = |parcel| async {
        match parcel {
            Parcel::Blob { blob, is_new } => sending.blob(&blob, is_new).await,
            Parcel::Begun(layer) => sending.begun(&layer).await,
        }
    };
    parcels.for_each_concurrent(UPLOADS, send).await;
}

fn received<T>(receiver: UnboundedReceiver<T>) -> impl Stream<Item = T> {
    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
}

struct Sending<'a> {
    cloud: &'a Cloud,
    client: RegistryClient,
    repository: &'a Repository,
    arrivals: &'a Arrivals,
    /// Whether layers go while they are made: not where one could not.
    grows: AtomicBool,
}

impl Sending<'_> {
    async fn blob(&self, blob: &Blob, is_new: bool) {
        // An image may have a layer twice.
        if !self.arrivals.begin(blob) {
            return;
        }
        if let Err(error) = self.send(blob, is_new).await {
            let digest = &blob.descriptor.digest;
            self.arrivals.give_up(digest);
            self.remark(format!("blob {} could not be sent early: {error}", digest.short()));
        }
    }

    async fn send(&self, blob: &Blob, is_new: bool) -> Result<(), RegistryError> {
        let Self { cloud, client, repository: Repository { uri, .. }, arrivals, .. } = self;
        let Blob { descriptor, source, diff_id, .. } = blob;
        let Descriptor { digest, size, .. } = *descriptor;
        // The push waits for this to end, and knows then what came of it.
        let sending = async {
            let name = &uri.name;
            // Another repository of the same registry may hand it over.
            let from = source.known_at(&uri.registry).map(|(other, _)| other);
            let is_there = match from {
                Some(other) => other == name,
                None => !is_new && client.has_blob(name, &digest).await?,
            };
            let arrival = if is_there {
                Arrival::Found
            } else {
                cloud.report(Event::BlobStarted { digest, size, sent: 0 });
                client.upload_blob(name, descriptor, source, from).await?.into()
            };
            arrivals.end(digest, arrival);
            Ok(())
        };
        if !cloud.limits().uploads.once(uri, digest, *diff_id, sending).await? {
            if arrivals.get(&digest) != Some(Arrival::UnderWay) {
                // The push itself has sent it, and said so.
                return Ok(());
            }
            // Another function's deployment has sent it.
            arrivals.end(digest, Arrival::Found);
        }
        let reused = arrivals.get(&digest) == Some(Arrival::Found);
        cloud.report(Event::BlobFinished { digest, size, reused });
        Ok(())
    }

    /// Sends a layer while it is made. Whatever comes in between, it goes when it is made.
    async fn begun(&self, layer: &GrowingLayer) {
        let diff_id = layer.diff_id();
        let is_new = knowledge::is_new(self.cloud, self.repository).await;
        if !is_new || !self.arrivals.begin_growing(diff_id) {
            return;
        }
        let sent = self.send_growing(layer).await.unwrap_or_else(|error| {
            self.grows.store(false, Ordering::Relaxed);
            let name = diff_id.0.short();
            self.remark(format!(
                "the layer with diff ID {name} could not be sent while it was made: {error}"
            ));
            None
        });
        self.arrivals.end_growing(&diff_id, sent);
        // Where it is not made yet, it is announced when it is; one that has become something else is
        // nobody's.
        if let Some(layer) = layer.made().filter(|made| sent.is_none() && made.diff_id == diff_id) {
            self.blob(&layer.into(), false).await;
        }
    }

    /// Returns the digest where the layer was sent.
    async fn send_growing(&self, layer: &GrowingLayer) -> Result<Option<Digest>, RegistryError> {
        let Self { cloud, client, repository: Repository { uri, .. }, arrivals, .. } = self;
        let diff_id = layer.diff_id();
        let Some(claim) = cloud.limits().uploads.claim(uri, diff_id).await else { return Ok(None) };
        if layer.made().is_some() || !self.grows.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if let Some(cache) = cloud.cache() {
            cache.begin(uri);
        }
        let digest = client.upload_growing_blob(&uri.name, diff_id, Arc::new(layer.clone())).await?;
        // Before anybody else is let at it, who would ask what came of it.
        arrivals.end(digest, Arrival::Sent);
        if let Some(GzipLayer { size, .. }) = layer.made() {
            cloud.report(Event::BlobFinished { digest, size, reused: false });
        }
        claim.sent(digest);
        Ok(Some(digest))
    }

    fn remark(&self, remark: String) {
        self.cloud.report(Event::Detail(remark));
    }
}
