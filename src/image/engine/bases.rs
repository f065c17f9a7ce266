//! Finds layers of an engine's image in the registry its base image was pulled from. Called by
//! `engine`.
//!
//! An engine keeps no compressed layer: to have one of a base image it has to be exported and
//! compressed, though the registry it came from has it as it is to be sent. So it is copied from
//! there, and while it is, nothing is exported for it.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::domain::digest::DiffId;
use crate::domain::platform::Architecture;
use crate::domain::reference::ImageReference;
use crate::domain::size::count;
use crate::event::{Event, SharedReporter};
use crate::image::gzip::GzipLayer;
use crate::image::known::{KnownImages, KnownLayers, Published};
use crate::image::{BlobSource, Image};
use crate::services::docker::{DockerEngine, EngineImage};

/// Less than this, uncompressed, is taken from the engine sooner than a registry is found and asked.
const WORTHWHILE: u64 = 16_000_000;
/// How many images below, and how many names of each, are tried.
const TRIES: usize = 3;
/// How long it may take to find a registry that shows that it gives the layers away.
const PATIENCE: Duration = Duration::from_secs(10);

/// Adds to the layers that are known those of a base image that a registry has.
pub(super) async fn add(
    engine: &DockerEngine,
    found: &EngineImage,
    sizes: Option<&[u64]>,
    known: &KnownImages,
    mut layers: KnownLayers,
    reporter: &SharedReporter,
) -> KnownLayers {
    let Some(published) = known.published() else { return layers };
    if missing(found, sizes, &layers) < WORTHWHILE {
        return layers;
    }
    // Not to know only means more work.
    let searching = find(engine, found, published, &layers);
    let Ok(Some((reference, image))) = timeout(PATIENCE, searching).await else { return layers };
    let new = layers.add(&image, &found.diff_ids);
    let layers_of_base = count(new.len(), "layer");
    reporter.report(Event::Detail(format!("{layers_of_base} of the base can be copied from `{reference}`")));
    // They can be on their way while the rest leaves the engine.
    if let Some(made) = known.made() {
        new.into_iter().for_each(|layer| drop(made.send(layer)));
    }
    layers
}

/// Finds an image below that a registry gives away, with layers that are not known yet.
async fn find(
    engine: &DockerEngine,
    found: &EngineImage,
    published: &dyn Published,
    layers: &KnownLayers,
) -> Option<(ImageReference, Image)> {
    let architecture = Architecture::from_oci(&found.platform.architecture);
    for base in engine.published_below(found).await.ok()?.into_iter().take(TRIES) {
        for reference in base.references.into_iter().take(TRIES) {
            let Some(image) = read(published, &reference, architecture, found).await else { continue };
            let new = layers.clone().add(&image, &found.diff_ids);
            if is_given(&new).await {
                return Some((reference, image));
            }
        }
    }
    None
}

/// How many bytes would leave the engine; all where it does not tell.
fn missing(found: &EngineImage, sizes: Option<&[u64]>, layers: &KnownLayers) -> u64 {
    let is_missing = |diff_id: &DiffId| layers.get(diff_id).is_none();
    match sizes {
        _ if !found.diff_ids.iter().any(is_missing) => 0,
        None => found.size,
        Some(sizes) => {
            let sizes = found.diff_ids.iter().zip(sizes);
            sizes.filter(|(diff_id, _)| is_missing(diff_id)).map(|(_, size)| *size).sum()
        }
    }
}

/// Reads the image, and makes sure that it is what the engine takes it for.
async fn read(
    published: &dyn Published,
    reference: &ImageReference,
    architecture: Option<Architecture>,
    found: &EngineImage,
) -> Option<Image> {
    let image = published.read(reference, architecture).await?;
    let is_below = image.config.diff_ids().is_ok_and(|diff_ids| found.diff_ids.starts_with(&diff_ids));
    is_below.then_some(image)
}

/// Whether the largest of these layers begins to come when it is asked for: a push that has begun
/// should not find out that it does not.
async fn is_given(layers: &[GzipLayer]) -> bool {
    let Some(largest) = layers.iter().max_by_key(|layer| layer.size) else { return false };
    let BlobSource::Registry(_) = &largest.source else { return false };
    let Ok(mut bytes) = largest.source.open().await else { return false };
    matches!(bytes.next().await, Some(Ok(_)))
}
