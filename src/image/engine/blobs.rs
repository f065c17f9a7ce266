//! Takes an image from an engine that keeps it as the blobs a registry has: Docker with the
//! containerd store. Called by `engine`.
//!
//! Such an engine names an image after its manifest or index, which it does not show. So it pushes
//! twice: the first time every blob counts as there, and only manifests come. Then it is known
//! which manifest is for the right machine, what it consists of, and what of that nobody has; with
//! the second push that comes, compressed as it lies there.

use std::collections::HashMap;

use bytes::Bytes;

use super::door::{Door, LARGEST_DOCUMENT, Received};
use super::layers::read;
use crate::domain::digest::{DiffId, Digest};
use crate::domain::manifest::{Descriptor, Manifest};
use crate::domain::transfer::{PlannedLayer, TransferPlan, Way};
use crate::event::Event;
use crate::image::gzip::{Compression, GzipLayer};
use crate::image::known::{KnownImages, KnownLayers};
use crate::image::resolve::{self, Blobs, Found, Request};
use crate::image::spool::Spooled;
use crate::image::{Image, ImageError};
use crate::services::docker::{DockerEngine, EngineImage};

/// What came of it.
pub(super) enum Taken {
    /// The registry has all of the image.
    Same(Image),
    /// What was missing came.
    Some(Image),
}

/// Why nothing came.
pub(super) enum Untaken {
    /// This way does not work, in words; the image can still be exported.
    Way(String),
    /// The image is not what is wanted, whichever way it takes.
    Image(ImageError),
}

impl From<String> for Untaken {
    fn from(why: String) -> Self {
        Self::Way(why)
    }
}

impl From<ImageError> for Untaken {
    fn from(error: ImageError) -> Self {
        // Where there is no room for what comes, there is none whichever way it takes.
        let is_lost = error.is_refusal() || matches!(error, ImageError::Spool { .. });
        if is_lost { Self::Image(error) } else { Self::Way(error.to_string()) }
    }
}

/// Takes an image from the engine, all but the layers that are known.
pub(super) async fn take(
    engine: &DockerEngine,
    found: &EngineImage,
    known: &KnownImages,
    request: Request<'_>,
) -> Result<Taken, Untaken> {
    let name = request.name;
    let door = Door::open(request.reporter).await?;
    let (last, ()) = tokio::join!(door.admit(engine, found), engine.remove_leftovers());
    let last = last?;
    let manifests = std::mem::take(&mut door.received().manifests);
    let mut blobs = EngineBlobs { name, manifests, received: Received::default(), known: HashMap::new() };
    let (media_type, bytes) = resolve::manifest(&blobs, last, request).await?;
    let manifest: Manifest = resolve::parse(name, "manifest", &bytes)?;
    if let Some(image) = known.with_manifest(Digest::of(&bytes), &manifest, request).await {
        return Ok(Taken::Same(image));
    }

    let (known_layers, diff_ids) = match fitting(found, &manifest) {
        Some(diff_ids) => (known.layers(diff_ids).await, diff_ids),
        None => Default::default(),
    };
    for (diff_id, layer) in diff_ids.iter().zip(&manifest.layers) {
        blobs.known.extend(known_layers.get(diff_id).map(|known| (layer.digest, known.clone())));
    }
    request.reporter.report(Event::TransferPlanned(plan(&manifest, diff_ids, &known_layers)));
    let missing = |layer: &&Descriptor| !blobs.known.contains_key(&layer.digest);
    door.want(manifest.layers.iter().filter(missing).chain([&manifest.config]).map(|blob| blob.digest));
    if let Some(made) = known.made() {
        let gzip = diff_ids.iter().zip(&manifest.layers).filter(|(_, layer)| is_gzip(layer));
        let layers: HashMap<Digest, DiffId> = gzip.map(|(diff_id, layer)| (layer.digest, *diff_id)).collect();
        door.on_arrival(move |blob| {
            if let Some(diff_id) = layers.get(&blob.digest).copied() {
                let Spooled { digest, size, source } = blob.clone();
                // Nobody may wait for it.
                let _ = made.send(GzipLayer { diff_id, digest, size, source });
            }
        });
    }
    door.admit(engine, found).await?;
    blobs.received = door.close();
    Ok(Taken::Some(resolve::open_manifest(&blobs, &media_type, bytes, request).await?))
}

/// The diff IDs of the layers, where the engine speaks of the same machine's image.
fn fitting<'a>(found: &'a EngineImage, manifest: &Manifest) -> Option<&'a [DiffId]> {
    (found.diff_ids.len() == manifest.layers.len()).then_some(&found.diff_ids)
}

fn is_gzip(layer: &Descriptor) -> bool {
    Compression::of_layer(&layer.media_type) == Some(Compression::Gzip)
}

/// Which way each layer will take.
fn plan(manifest: &Manifest, diff_ids: &[DiffId], known: &KnownLayers) -> TransferPlan {
    let layers = manifest.layers.iter().enumerate().map(|(index, layer)| {
        let diff_id = diff_ids.get(index).copied();
        let there = diff_id.and_then(|diff_id| known.get(&diff_id).zip(known.known_by(&diff_id)));
        match there {
            Some((known, by)) => PlannedLayer {
                digest: Some(known.digest),
                diff_id,
                size: Some(known.size),
                uncompressed: None,
                way: Way::There(by),
            },
            None if is_gzip(layer) => PlannedLayer {
                digest: Some(layer.digest),
                diff_id,
                size: Some(layer.size),
                uncompressed: None,
                way: Way::Send,
            },
            None => {
                PlannedLayer { digest: None, diff_id, size: None, uncompressed: None, way: Way::Compress }
            }
        }
    });
    TransferPlan { layers: layers.collect() }
}

/// What an engine has pushed, and what it need not push.
struct EngineBlobs<'a> {
    name: &'a str,
    manifests: HashMap<Digest, Bytes>,
    received: Received,
    /// Layers that a registry has, by their digests in the engine.
    known: HashMap<Digest, GzipLayer>,
}

impl EngineBlobs<'_> {
    fn missing(&self, descriptor: &Descriptor) -> ImageError {
        ImageError::MissingBlob { image: self.name.to_owned(), digest: descriptor.digest }
    }
}

impl Blobs for EngineBlobs<'_> {
    async fn document(&self, descriptor: &Descriptor) -> Result<Bytes, ImageError> {
        if let Some(bytes) = self.manifests.get(&descriptor.digest) {
            return Ok(bytes.clone());
        }
        let blob = self.received.blobs.get(&descriptor.digest).filter(|blob| blob.size <= LARGEST_DOCUMENT);
        let unreadable = |why| ImageError::Damaged { image: self.name.to_owned(), problem: why };
        read(blob.ok_or_else(|| self.missing(descriptor))?).await.map_err(unreadable)
    }

    async fn layer(&self, descriptor: &Descriptor) -> Result<Found, ImageError> {
        Ok(match (self.known.get(&descriptor.digest), self.received.blobs.get(&descriptor.digest)) {
            (Some(known), _) if known.digest == descriptor.digest => Found::AsDescribed(known.source.clone()),
            // The same content in another compression.
            (Some(known), _) => Found::Compressed(known.clone()),
            (None, Some(blob)) => Found::AsDescribed(blob.source.clone()),
            (None, None) => return Err(self.missing(descriptor)),
        })
    }
}
