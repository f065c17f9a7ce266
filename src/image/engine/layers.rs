//! Takes the missing layers of an image from an engine that keeps them as directories. Called by
//! `engine`.
//!
//! Such an engine asks for a blob only where it remembers the digest some registry gave a layer of
//! this image, and is told that it is there: the layer is known by what is in it, and its digest
//! elsewhere does not matter. The configuration has to have the image's ID for its digest, and each
//! layer that came the diff ID the configuration names. What comes is compressed again, so that a
//! layer has the same digest whichever way it took.

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::door::{Door, LARGEST_DOCUMENT};
use crate::domain::digest::Digest;
use crate::domain::manifest::{Descriptor, Manifest};
use crate::image::gzip::Compression;
use crate::image::known::KnownLayers;
use crate::image::resolve::Request;
use crate::image::seal::{self, Stored};
use crate::image::spool::Spooled;
use crate::image::{Image, ImageError};
use crate::services::docker::{DockerEngine, EngineImage};

/// Takes an image from the engine. The error says in words why that did not work; the image can
/// still be exported then.
pub(super) async fn take(
    engine: &DockerEngine,
    found: &EngineImage,
    known: &KnownLayers,
    request: Request<'_>,
) -> Result<Image, String> {
    let Request { name, architecture, level, reporter, .. } = request;
    let door = Door::open(reporter).await?;
    door.want([found.id]);
    let (last, ()) = tokio::join!(door.admit(engine, found), engine.remove_leftovers());
    let last = last?;
    let mut manifest = manifest(&door, found, &last)?;
    // Layers that nobody has and that the engine did not send, because it remembers them from
    // another registry. Now that their digests there are known, it is told that they are missing.
    let kept = kept(&door, found, known, &manifest);
    if !kept.is_empty() {
        door.want(kept);
        let last = door.admit(engine, found).await?;
        manifest = self::manifest(&door, found, &last)?;
    }
    let received = door.close();
    let config = received.blobs.get(&found.id).filter(|blob| blob.size <= LARGEST_DOCUMENT);
    let config_bytes = read(config.ok_or("the engine sent no configuration")?).await?;
    let say = |error: ImageError| error.to_string();
    let config = seal::config(name, &config_bytes, architecture).map_err(say)?;
    let mut stored = Vec::new();
    for (diff_id, descriptor) in found.diff_ids.iter().zip(&manifest.layers) {
        let layer = match (known.get(diff_id), received.blobs.get(&descriptor.digest)) {
            (Some(known), _) => known.clone(),
            (None, Some(blob)) => {
                let what = format!("{name} layer {}", diff_id.0.short());
                seal::convert(&what, Compression::Gzip, &blob.source, level, reporter).await.map_err(say)?
            }
            (None, None) => return Err(format!("the engine kept layer {} to itself", diff_id.0.short())),
        };
        stored.push(Stored::Compressed(layer));
    }
    seal::rebuild(name, config_bytes, config, stored, level, reporter).await.map_err(say)
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
