//! Takes the missing layers of an image from an engine that keeps them as directories. Called by
//! `engine`.
//!
//! Such an engine asks for a blob only where it remembers the digest some registry gave a layer of
//! this image, and is told that it is there: the layer is known by what is in it, and its digest
//! elsewhere does not matter. The configuration has to have the image's ID for its digest, and each
//! layer that came the diff ID the configuration names. What comes is compressed again, so that a
//! layer has the same digest whichever way it took.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, TryStreamExt as _};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::door::{Door, LARGEST_DOCUMENT};
use super::estimate::Estimate;
use crate::domain::digest::{DiffId, Digest};
use crate::domain::manifest::{Descriptor, Manifest};
use crate::image::Image;
use crate::image::gzip::{Compression, GzipLayer};
use crate::image::known::{KnownImages, KnownLayers};
use crate::image::resolve::Request;
use crate::image::seal;
use crate::image::spool::Spooled;
use crate::services::docker::{DockerEngine, EngineImage, PushName};

/// How long an engine may take to end a push after the manifest.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Takes an image from the engine. The error says in words why that did not work; the image can
/// still be exported then.
///
/// It ends as soon as the layers that are missing are here, whatever the engine would go on with.
/// The configuration comes last of all, and after layers that nobody needs where the engine does
/// not remember their digests: so it is asked for apart.
pub(super) async fn take(
    engine: &DockerEngine,
    found: &EngineImage,
    known: &KnownImages,
    layers: &KnownLayers,
    estimate: &Estimate,
    request: Request<'_>,
) -> Result<Image, String> {
    let door = Door::open(request.reporter).await?;
    door.want([found.id]);
    let name = door.name(engine, found).await?;
    let reference = name.reference();
    let configuration = engine.configuration(&reference, found.id).shared();
    let source = Source { door: &door, found, layers, request };
    let (sender, arrivals) = mpsc::unbounded_channel();
    door.on_arrival(move |blob| {
        // Nobody may wait for it any more.
        let _ = sender.send(blob.clone());
    });
    let pushing = async {
        let (pushed, ()) = tokio::join!(source.push(&name), engine.remove_leftovers());
        // Nothing comes any more.
        door.received().forget_arrivals();
        pushed
    };
    let giving_up = async {
        let remembers = estimate.patience();
        if tokio::time::timeout(remembers, door.begins_unasked_more_than(estimate.missing)).await.is_err() {
            return format!("it took longer than {} s", remembers.as_secs());
        }
        let knows_configuration = configuration.clone().await.is_ok();
        if let Some(patience) = estimate.patience_for_all(knows_configuration, known.pushed_from_here()) {
            tokio::time::sleep(patience).await;
        }
        "the engine does not remember what was pushed or pulled of it".to_owned()
    };
    let taking = source.take(arrivals, configuration.clone(), known.made());
    let taken = {
        let (mut taking, mut pushing, mut giving_up) = (pin!(taking), pin!(pushing), pin!(giving_up));
        let mut is_over = false;
        let taken = loop {
            tokio::select! {
                taken = &mut taking => break taken,
                pushed = &mut pushing, if !is_over => {
                    is_over = true;
                    if let Err(why) = pushed {
                        break Err(why);
                    }
                }
                why = &mut giving_up => break Err(why),
            }
        };
        // An engine that has stored the manifest is about to name the image after it: that name goes
        // with the other, but only if it is there by then.
        if !is_over && !door.refuse_manifests() {
            let _ = tokio::time::timeout(LAST_WORDS, pushing).await;
        }
        taken
    };
    let building = async { source.image(taken?).await };
    tokio::join!(building, name.remove()).0
}

/// An image that is on its way from an engine.
struct Source<'a> {
    door: &'a Door,
    found: &'a EngineImage,
    layers: &'a KnownLayers,
    request: Request<'a>,
}

/// What has come of an image.
#[derive(Default)]
struct Taken {
    config: Option<Bytes>,
    layers: HashMap<DiffId, GzipLayer>,
}

impl Source<'_> {
    /// Has pushed what is missing.
    async fn push(&self, name: &PushName) -> Result<(), String> {
        let Self { door, found, .. } = *self;
        let manifest = manifest(door, found, &door.admit_as(name).await?)?;
        // Layers that nobody has and that the engine did not send, because it remembers them from
        // another registry. Now that their digests there are known, it is told that they are missing.
        let kept = kept(door, found, self.layers, &manifest);
        if !kept.is_empty() {
            door.want(kept);
            door.admit_as(name).await?;
        }
        Ok(())
    }

    /// Takes what comes, and compresses each layer while the engine goes on, until nothing is
    /// missing or nothing comes any more.
    async fn take(
        &self,
        mut arrivals: UnboundedReceiver<Spooled>,
        configuration: impl Future<Output = Result<Bytes, String>>,
        made: Option<UnboundedSender<GzipLayer>>,
    ) -> Result<Taken, String> {
        let missing: HashSet<DiffId> = self
            .found
            .diff_ids
            .iter()
            .copied()
            .filter(|diff_id| self.layers.get(diff_id).is_none())
            .collect();
        let mut taken = Taken::default();
        let mut configuration = std::pin::pin!(configuration.fuse());
        while taken.config.is_none() || taken.layers.len() < missing.len() {
            let blob = tokio::select! {
                told = &mut configuration, if taken.config.is_none() => {
                    // Else it comes last.
                    taken.config = told.ok();
                    continue;
                }
                blob = arrivals.recv() => blob,
            };
            let Some(blob) = blob else { return Ok(taken) };
            if blob.digest == self.found.id {
                taken.config = Some(read(&blob).await?);
                continue;
            }
            // Where it sends more than what is missing, only its content tells which this is.
            let is_needed =
                self.door.unasked() <= missing.len() || missing.contains(&self.diff_id(&blob).await?);
            if !is_needed {
                continue;
            }
            let layer = self.compressed(&blob).await?;
            if missing.contains(&layer.diff_id) {
                self.layers.announce(made.as_ref(), &layer);
                taken.layers.insert(layer.diff_id, layer);
            }
        }
        Ok(taken)
    }

    async fn diff_id(&self, blob: &Spooled) -> Result<DiffId, String> {
        let diff_id = seal::diff_id(&self.what(blob), Compression::Gzip, &blob.source).await;
        diff_id.map_err(|error| error.to_string())
    }

    async fn compressed(&self, blob: &Spooled) -> Result<GzipLayer, String> {
        let Request { level, reporter, .. } = self.request;
        let layer = seal::convert(&self.what(blob), Compression::Gzip, &blob.source, level, reporter).await;
        layer.map_err(|error| error.to_string())
    }

    fn what(&self, blob: &Spooled) -> String {
        format!("{} layer {}", self.request.name, blob.digest.short())
    }

    /// Puts together what came and what is known.
    async fn image(&self, taken: Taken) -> Result<Image, String> {
        let configuration = taken.config.ok_or("the engine sent no configuration")?;
        let mut layers = self.layers.clone();
        taken.layers.into_values().for_each(|layer| layers.insert(layer));
        let image = super::put_together(self.found, configuration, &layers, self.request).await;
        image.map_err(|error| error.to_string())
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
    if blob.size > LARGEST_DOCUMENT {
        return Err(format!("its document {} is too large", blob.digest.short()));
    }
    let stream = blob.source.open().await.map_err(|error| error.to_string())?;
    let chunks: Vec<Bytes> = stream.try_collect().await.map_err(|error| error.to_string())?;
    Ok(chunks.concat().into())
}
