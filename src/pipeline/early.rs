//! Sends layers while the image they belong to is still being exported and compressed.
//!
//! A blob that no manifest names changes nothing for anybody, and the next run uses it: so layers
//! can go before it is known whether all others can be made, as soon as it is known that the
//! image may go into this repository. Called by `deploy` and `push`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use super::cloud::Cloud;
use super::limits::{UPLOADS, Uploads};
use crate::domain::digest::Digest;
use crate::domain::reference::RepositoryUri;
use crate::event::Event;
use crate::image::gzip::GzipLayer;
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

/// The blobs that go early.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals(Arc<Mutex<HashMap<Digest, Arrival>>>);

impl Arrivals {
    pub(super) fn get(&self, digest: &Digest) -> Option<Arrival> {
        self.lock().get(digest).copied()
    }

    /// Whether it was not known before.
    fn begin(&self, digest: Digest) -> bool {
        self.lock().insert(digest, Arrival::UnderWay).is_none()
    }

    fn end(&self, digest: Digest, arrival: Option<Arrival>) {
        match arrival {
            Some(arrival) => self.lock().insert(digest, arrival),
            None => self.lock().remove(&digest),
        };
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Arrival>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What whoever makes the layers, and whoever decides, has to tell.
#[derive(Debug)]
pub(super) struct Announcements {
    /// Takes each layer that was made.
    pub(super) made: UnboundedSender<GzipLayer>,
    /// Takes the repository as soon as layers may go there.
    pub(super) allow: oneshot::Sender<RepositoryUri>,
}

/// What is told.
#[derive(Debug)]
pub(super) struct Announced {
    made: UnboundedReceiver<GzipLayer>,
    allowed: oneshot::Receiver<RepositoryUri>,
}

/// Both ends of what is told.
pub(super) fn announcements() -> (Announcements, Announced) {
    let (made, layers) = mpsc::unbounded_channel();
    let (allow, allowed) = oneshot::channel();
    (Announcements { made, allow }, Announced { made: layers, allowed })
}

/// Sends the layers that come until there are no more. What fails here is tried again by the
/// push itself, and fails there with a word about it.
pub(super) async fn send(cloud: &Cloud, announced: Announced, arrivals: &Arrivals) {
    let Announced { made, allowed } = announced;
    let Ok(uri) = allowed.await else { return };
    let Ok(client) = cloud.registry(&uri.registry).await else { return };
    let layers = stream::unfold(made, async |mut made| {
        loop {
            let layer = made.recv().await?;
            // An image may have a layer twice.
            if arrivals.begin(layer.digest) {
                return Some((layer, made));
            }
        }
    });
    let send = |layer: GzipLayer| {
        let (client, uri) = (&client, &uri);
        async move {
            let sending = Sending { cloud, client, uri, arrivals };
            if let Err(error) = sending.send(&layer, &cloud.limits().uploads).await {
                arrivals.end(layer.digest, None);
                let remark = format!("layer {} could not be sent early: {error}", layer.digest.short());
                cloud.report(Event::Detail(remark));
            }
        }
    };
    layers.for_each_concurrent(UPLOADS, send).await;
}

struct Sending<'a> {
    cloud: &'a Cloud,
    client: &'a RegistryClient,
    uri: &'a RepositoryUri,
    arrivals: &'a Arrivals,
}

impl Sending<'_> {
    async fn send(&self, layer: &GzipLayer, uploads: &Uploads) -> Result<(), RegistryError> {
        let Self { cloud, client, uri, arrivals } = self;
        let GzipLayer { digest, size, .. } = *layer;
        // The push waits for this to end, and knows then what came of it.
        let sending = async {
            let name = &uri.name;
            // Another repository of the same registry may hand it over.
            let from = layer.source.known_at(&uri.registry).map(|(other, _)| other);
            let is_there = match from {
                Some(other) => other == name,
                None => client.has_blob(name, &digest).await?,
            };
            let arrival = if is_there {
                Arrival::Found
            } else {
                cloud.report(Event::BlobStarted { digest, size });
                match client.upload_blob(name, &layer.descriptor(), &layer.source, from).await? {
                    Uploaded::Sent => Arrival::Sent,
                    Uploaded::Mounted => Arrival::Found,
                }
            };
            arrivals.end(digest, Some(arrival));
            Ok(())
        };
        if !uploads.once(uri, digest, sending).await? {
            // Another function's deployment has sent it.
            arrivals.end(digest, Some(Arrival::Found));
        }
        let reused = arrivals.get(&digest) == Some(Arrival::Found);
        cloud.report(Event::BlobFinished { digest, size, reused });
        Ok(())
    }
}
