//! Sends layers while the image they belong to is still being exported and compressed.
//!
//! A blob that no manifest names changes nothing for anybody, and the next run uses it: so layers
//! can go before it is known whether all others can be made. Called by `push`, which has decided
//! already that the image goes into this repository.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt as _, stream};
use tokio::sync::{mpsc, oneshot};

use super::cloud::Cloud;
use super::limits::{UPLOADS, Uploads};
use crate::domain::digest::Digest;
use crate::domain::reference::RepositoryUri;
use crate::event::Event;
use crate::image::gzip::GzipLayer;
use crate::services::registry::{RegistryClient, RegistryError};

/// How a blob came to be in the repository before the push began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was there.
    Found,
    /// It was sent meanwhile.
    Sent,
}

/// Sends the layers that come until there are no more. What fails here is tried again by the
/// push itself, and fails there with a word about it.
pub(super) async fn send(
    cloud: &Cloud,
    repository: oneshot::Receiver<Option<RepositoryUri>>,
    layers: mpsc::UnboundedReceiver<GzipLayer>,
) -> HashMap<Digest, Arrival> {
    let Ok(Some(uri)) = repository.await else { return HashMap::new() };
    let Ok(client) = cloud.registry(&uri.registry).await else { return HashMap::new() };
    let layers = stream::unfold((layers, HashSet::new()), async |(mut layers, mut seen)| {
        loop {
            let layer = layers.recv().await?;
            // An image may have a layer twice.
            if seen.insert(layer.digest) {
                return Some((layer, (layers, seen)));
            }
        }
    });
    let arrived = layers.map(|layer| {
        let (client, uri) = (&client, &uri);
        async move {
            match send_one(client, uri, &layer, &cloud.limits().uploads).await {
                Ok(arrival) => Some((layer.digest, arrival)),
                Err(error) => {
                    let remark = format!("layer {} could not be sent early: {error}", layer.digest.short());
                    cloud.report(Event::Detail(remark));
                    None
                }
            }
        }
    });
    arrived.buffer_unordered(UPLOADS).filter_map(std::future::ready).collect().await
}

async fn send_one(
    client: &RegistryClient,
    uri: &RepositoryUri,
    layer: &GzipLayer,
    uploads: &Uploads,
) -> Result<Arrival, RegistryError> {
    if client.has_blob(&uri.name, &layer.digest).await? {
        return Ok(Arrival::Found);
    }
    let descriptor = layer.descriptor();
    let sending = async { client.upload_blob(&uri.name, &descriptor, &layer.source, None).await.map(drop) };
    let sent = uploads.once(uri, layer.digest, sending).await?;
    Ok(if sent { Arrival::Sent } else { Arrival::Found })
}
