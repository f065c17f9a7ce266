//! Takes the missing layers of an image from an engine that keeps them as directories. Called by
//! `engine`.
//!
//! Such an engine asks for a blob only where it remembers the digest some registry gave a layer of
//! this image, and is told that it is there: the layer is known by what is in it, and its digest
//! elsewhere does not matter. The configuration has to have the image's ID for its digest, and each
//! layer that came the diff ID the configuration names. What comes is compressed again, so that a
//! layer has the same digest whichever way it took.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::door::{Door, LARGEST_DOCUMENT};
use crate::domain::digest::{DiffId, Digest};
use crate::domain::manifest::{Descriptor, Manifest};
use crate::image::gzip::{Compression, GzipLayer};
use crate::image::known::{KnownImages, KnownLayers};
use crate::image::resolve::Request;
use crate::image::seal::{self, Stored};
use crate::image::spool::Spooled;
use crate::image::{Image, ImageError};
use crate::services::docker::{DockerEngine, EngineImage};

/// Takes an image from the engine, which is given up when it sends more than `most` layers. The
/// error says in words why that did not work; the image can still be exported then.
pub(super) async fn take(
    engine: &DockerEngine,
    found: &EngineImage,
    known: &KnownImages,
    layers: &KnownLayers,
    most: usize,
    request: Request<'_>,
) -> Result<Image, String> {
    let door = Door::open(request.reporter).await?;
    door.want([found.id]);
    let source = Source { door: &door, found, layers, request };
    let (sender, arrivals) = mpsc::unbounded_channel();
    door.on_arrival(move |blob| {
        // Nobody may wait for it any more.
        let _ = sender.send(blob.clone());
    });
    let taking = async {
        let manifest = async {
            let manifest = source.push(engine).await;
            // Nothing comes any more.
            door.received().forget_arrivals();
            manifest
        };
        tokio::try_join!(manifest, source.compress(arrivals, known.made()))
    };
    let (manifest, made) = tokio::select! {
        taken = taking => taken?,
        () = door.begins_unasked_more_than(most) => {
            return Err("the engine does not remember what was pushed or pulled of it".to_owned());
        }
    };
    source.image(&manifest, &made).await
}

/// An image that is on its way from an engine.
struct Source<'a> {
    door: &'a Door,
    found: &'a EngineImage,
    layers: &'a KnownLayers,
    request: Request<'a>,
}

impl Source<'_> {
    /// Has pushed what is missing.
    async fn push(&self, engine: &DockerEngine) -> Result<Manifest, String> {
        let Self { door, found, .. } = *self;
        let (last, ()) = tokio::join!(door.admit(engine, found), engine.remove_leftovers());
        let manifest = manifest(door, found, &last?)?;
        // Layers that nobody has and that the engine did not send, because it remembers them from
        // another registry. Now that their digests there are known, it is told that they are missing.
        let kept = kept(door, found, self.layers, &manifest);
        if kept.is_empty() {
            return Ok(manifest);
        }
        door.want(kept);
        let last = door.admit(engine, found).await?;
        self::manifest(door, found, &last)
    }

    /// Compresses each layer that comes, while the engine goes on; unless it sends more than are
    /// missing, and which those are is only known from the manifest. They are found again by the
    /// digests they came with.
    async fn compress(
        &self,
        mut arrivals: UnboundedReceiver<Spooled>,
        made: Option<UnboundedSender<GzipLayer>>,
    ) -> Result<HashMap<Digest, GzipLayer>, String> {
        let missing = self.found.diff_ids.iter().filter(|diff_id| self.is_missing(diff_id)).count();
        let mut layers = HashMap::new();
        while let Some(blob) = arrivals.recv().await {
            if blob.digest == self.found.id || self.door.unasked() > missing {
                continue;
            }
            let layer = self.compressed(&blob).await?;
            let goes_early = self.is_missing(&layer.diff_id) && self.layers.sends_early(&layer);
            if let Some(made) = made.as_ref().filter(|_| goes_early) {
                // Nobody may wait for it.
                let _ = made.send(layer.clone());
            }
            layers.insert(blob.digest, layer);
        }
        Ok(layers)
    }

    async fn compressed(&self, blob: &Spooled) -> Result<GzipLayer, String> {
        let Request { name, level, reporter, .. } = self.request;
        let what = format!("{name} layer {}", blob.digest.short());
        let layer = seal::convert(&what, Compression::Gzip, &blob.source, level, reporter).await;
        layer.map_err(|error| error.to_string())
    }

    fn is_missing(&self, diff_id: &DiffId) -> bool {
        self.found.diff_ids.contains(diff_id) && self.layers.get(diff_id).is_none()
    }

    /// Puts together what came and what is known.
    async fn image(&self, manifest: &Manifest, made: &HashMap<Digest, GzipLayer>) -> Result<Image, String> {
        let Request { name, architecture, level, reporter, .. } = self.request;
        let config = self.door.received().blobs.get(&self.found.id).cloned();
        let config = config.filter(|blob| blob.size <= LARGEST_DOCUMENT);
        let config_bytes = read(&config.ok_or("the engine sent no configuration")?).await?;
        let say = |error: ImageError| error.to_string();
        let config = seal::config(name, &config_bytes, architecture).map_err(say)?;
        let mut stored = Vec::new();
        for (diff_id, descriptor) in self.found.diff_ids.iter().zip(&manifest.layers) {
            let layer = match self.layers.get(diff_id).or_else(|| made.get(&descriptor.digest)) {
                Some(layer) => layer.clone(),
                None => {
                    let blob = self.door.received().blobs.get(&descriptor.digest).cloned();
                    let kept = || format!("the engine kept layer {} to itself", diff_id.0.short());
                    self.compressed(&blob.ok_or_else(kept)?).await?
                }
            };
            stored.push(Stored::Compressed(layer));
        }
        seal::rebuild(name, config_bytes, config, stored, level, reporter).await.map_err(say)
    }
}

fn manifest(door: &Door, found: &EngineImage, last: &Descriptor) -> Result<Manifest, String> {
    let bytes = door.received().manifests.get(&last.digest).cloned().unwrap_or_default();
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if manifest.config.digest != found.id || manifest.layers.len() != found.diff_ids.len() {
        return Err("the engine pushed another image".to_owned());
    }
    Ok(manifest)
}

fn kept(door: &Door, found: &EngineImage, known: &KnownLayers, manifest: &Manifest) -> Vec<Digest> {
    let received = door.received();
    let layers = found.diff_ids.iter().zip(&manifest.layers);
    let is_kept = |diff_id, layer: &Descriptor| {
        known.get(diff_id).is_none() && !received.blobs.contains_key(&layer.digest)
    };
    layers.filter(|(diff_id, layer)| is_kept(diff_id, layer)).map(|(_, layer)| layer.digest).collect()
}

/// Reads a small blob.
pub(super) async fn read(blob: &Spooled) -> Result<Bytes, String> {
    let stream = blob.source.open().await.map_err(|error| error.to_string())?;
    let chunks: Vec<Bytes> = stream.try_collect().await.map_err(|error| error.to_string())?;
    Ok(chunks.concat().into())
}
