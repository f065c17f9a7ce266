//! What a registry has already: images read off it, whose layers need neither be exported nor
//! compressed nor sent again. The pipeline gathers it; `image::engine`,
//! `append` and `assembled` look layers up in it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use super::growing::GrowingLayer;
use super::guesses::Guesses;
use super::gzip::GzipLayer;
use super::registry::{Documents, media_type};
use super::resolve::{self, Blobs, Found, Request};
use super::{BlobSource, Image, ImageError, Layer};
use crate::domain::compression::CompressionLevel;
use crate::domain::digest::{DiffId, Digest};
use crate::domain::manifest::{Descriptor, Manifest};
use crate::domain::platform::Architecture;
use crate::domain::reference::ImageReference;
use crate::domain::transfer::{KnownBy, SMALL};
use crate::services::docker::EngineImage;

/// Images that a registry may have, and their layers by the digest of what is in them.
///
/// What is here was read or stored earlier and may have been deleted since: an image is asked for
/// before it is relied on, or at least meanwhile.
#[derive(Clone, Debug, Default)]
pub struct KnownImages {
    images: Vec<Image>,
    made: Option<UnboundedSender<GzipLayer>>,
    begun: Option<UnboundedSender<GrowingLayer>>,
    published: Option<Arc<dyn Published>>,
    compression: CompressionLevel,
    documents: Option<Arc<dyn Documents>>,
    foresight: Option<Arc<dyn Foresight>>,
    pushed_from_here: bool,
    guesses: Option<Guesses>,
}

/// Reads images that are in some registry, such as those that others build upon.
pub trait Published: fmt::Debug + Send + Sync {
    /// The image that `reference` names, if its registry gives it to us; its layers stay there.
    fn read<'a>(
        &'a self,
        reference: &'a ImageReference,
        architecture: Option<Architecture>,
    ) -> BoxFuture<'a, Option<Image>>;
}

/// Prepares for an image that is still being made.
pub trait Foresight: fmt::Debug + Send + Sync {
    /// Called when it is known that the image is none of those the registry has, with the layers it
    /// most likely stands on, the lowest first.
    fn expect(&self, layers: Vec<DiffId>);
}

/// Layers that a registry was seen to have, by the digest of what is in them.
#[derive(Clone, Debug, Default)]
pub struct KnownLayers {
    layers: HashMap<DiffId, GzipLayer>,
    compression: CompressionLevel,
}

impl KnownImages {
    /// Adds an image whose layers are in a registry.
    pub fn add(&mut self, image: Image) {
        if !self.images.iter().any(|known| known.digest() == image.digest()) {
            self.images.push(image);
        }
    }

    /// Announces each layer that has to be sent as soon as it is made.
    #[must_use]
    pub fn announcing(self, made: UnboundedSender<GzipLayer>) -> Self {
        Self { made: Some(made), ..self }
    }

    /// Announces each large layer also when it begins to be made, where no image of the repository
    /// is known: then the repository most likely lacks it.
    #[must_use]
    pub fn announcing_early(self, begun: UnboundedSender<GrowingLayer>) -> Self {
        Self { begun: Some(begun), ..self }
    }

    /// Takes the layers of base images from the registries those were pulled from.
    #[must_use]
    pub fn reading(self, published: Arc<dyn Published>) -> Self {
        Self { published: Some(published), ..self }
    }

    pub(super) fn published(&self) -> Option<&dyn Published> {
        self.published.as_deref()
    }

    /// Has layers that nobody knows compressed at this level. Those that are known have whatever
    /// level they have: what is in them is the same.
    #[must_use]
    pub fn compressing(self, compression: CompressionLevel) -> Self {
        Self { compression, ..self }
    }

    pub(super) fn compression(&self) -> CompressionLevel {
        self.compression
    }

    /// Remembers what the names of engines' images lead to.
    #[must_use]
    pub fn remembering(self, documents: Arc<dyn Documents>) -> Self {
        Self { documents: Some(documents), ..self }
    }

    pub(super) fn documents(&self) -> Option<&dyn Documents> {
        self.documents.as_deref()
    }

    /// Tells somebody as soon as can be what will be below what is new.
    #[must_use]
    pub fn foreseen_by(self, foresight: Arc<dyn Foresight>) -> Self {
        Self { foresight: Some(foresight), ..self }
    }

    /// Takes it for granted that the images are there as long as the registry has not answered.
    #[must_use]
    pub fn guessing(self, guesses: Guesses) -> Self {
        Self { guesses: Some(guesses), ..self }
    }

    pub(super) fn made(&self) -> Option<UnboundedSender<GzipLayer>> {
        self.made.clone()
    }

    pub(super) fn begun(&self) -> Option<UnboundedSender<GrowingLayer>> {
        self.begun.clone().filter(|_| self.is_empty())
    }

    /// Notes that this machine has pushed to the repository lately: it will do so again, and what
    /// its engine learns is not lost, as it is on machines that live for one run.
    pub fn note_earlier_push(&mut self) {
        self.pushed_from_here = true;
    }

    pub(super) fn pushed_from_here(&self) -> bool {
        self.pushed_from_here
    }

    /// A member of the configurations of the images whose lowest layers are these blobs.
    pub(super) fn members<'a>(
        &'a self,
        name: &'static str,
        lowest: &'a [Digest],
    ) -> impl Iterator<Item = &'a Value> {
        let stands_on = move |image: &&Image| {
            let layers = image.layers.iter().map(|layer| layer.descriptor.digest);
            layers.take(lowest.len()).eq(lowest.iter().copied())
        };
        self.images.iter().filter(stands_on).filter_map(move |image| image.config.document.get(name))
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Asks at once for the image that is most likely relied on, so that nobody waits for the
    /// answer when it is needed.
    pub(super) async fn look_ahead(&self) {
        let Some(image) = self.images.first() else { return };
        match &self.guesses {
            Some(guesses) => guesses.ask(&image.digest().to_string(), ask(image.clone())),
            None => drop(is_there(image).await),
        }
    }

    /// Whether an image is there, or taken to be.
    async fn is_counted_on(&self, image: &Image) -> bool {
        let Some(guesses) = &self.guesses else { return is_there(image).await };
        guesses.count_on(&image.digest().to_string(), ask(image.clone()));
        true
    }

    /// Notes which of these layers the registry has, so that they are neither asked for one by one
    /// nor taken over from where they come from.
    pub(super) async fn find(&self, layers: &mut [Layer]) {
        let mut open: Vec<&mut Layer> = layers.iter_mut().collect();
        for image in &self.images {
            let there: HashMap<Digest, &BlobSource> =
                image.layers.iter().map(|layer| (layer.descriptor.digest, &layer.source)).collect();
            let is_here = |layer: &&mut Layer| there.contains_key(&layer.descriptor.digest);
            if !open.iter().any(is_here) || !self.is_counted_on(image).await {
                continue;
            }
            open.retain_mut(|layer| match there.get(&layer.descriptor.digest) {
                Some(source) => {
                    layer.source = (*source).clone();
                    false
                }
                None => true,
            });
        }
    }

    /// The image that an engine holds under another name, if the registry still has it.
    ///
    /// The engine's ID is the digest of the configuration (or, with the containerd store, of the
    /// manifest), and a configuration names the layers: nothing but the whole image has it.
    pub(super) async fn the_same_as(&self, found: &EngineImage, request: Request<'_>) -> Option<Image> {
        let same = self.that(request, |image| {
            let id = image.manifest.config.digest == found.id || image.digest() == found.id;
            id && image.config.diff_ids().is_ok_and(|diff_ids| diff_ids == found.diff_ids)
        });
        if let Some(image) = same.await {
            return Some(image);
        }
        // The ID may be that of an index, or of a manifest whose layers had to be converted.
        let documents = Remembered(self.documents.as_deref()?);
        let bytes = documents.0.get(&found.id)?;
        let descriptor = Descriptor::new(media_type(&bytes), found.id, bytes.len() as u64);
        let (_, bytes) = resolve::manifest(&documents, descriptor, request).await.ok()?;
        let manifest = serde_json::from_slice(&bytes).ok()?;
        self.with_manifest(Digest::of(&bytes), &manifest, request).await
    }

    /// The image with this manifest, or with another one of the same content, if the registry
    /// still has it.
    pub(super) async fn with_manifest(
        &self,
        digest: Digest,
        manifest: &Manifest,
        request: Request<'_>,
    ) -> Option<Image> {
        let config = manifest.config.digest;
        self.that(request, |image| image.digest() == digest || image.manifest.config.digest == config).await
    }

    async fn that(&self, request: Request<'_>, is_wanted: impl Fn(&Image) -> bool) -> Option<Image> {
        let fits =
            |image: &Image| request.architecture.is_none_or(|wanted| image.config.platform().runs_on(wanted));
        for image in &self.images {
            if is_wanted(image) && fits(image) && is_there(image).await {
                return Some(image.clone());
            }
        }
        None
    }

    /// The layers among `wanted` that the registry has.
    pub(super) async fn layers(&self, wanted: &[DiffId]) -> KnownLayers {
        let mut known = KnownLayers { compression: self.compression, ..KnownLayers::default() };
        for image in &self.images {
            let diff_ids = image.config.diff_ids().unwrap_or_default();
            let is_new = |diff_id: &DiffId| wanted.contains(diff_id) && !known.layers.contains_key(diff_id);
            if !diff_ids.iter().any(is_new) || !self.is_counted_on(image).await {
                continue;
            }
            known.add(image, wanted);
        }
        if let Some((foresight, image)) = self.foresight.as_ref().zip(self.images.first())
            && wanted.iter().any(|diff_id| known.get(diff_id).is_none())
        {
            foresight.expect(below(&image.config.diff_ids().unwrap_or_default(), wanted));
        }
        known
    }
}

/// The layers that an image with the layers `wanted` at its top most likely has below what is new,
/// judging from an earlier one with as many layers.
fn below(earlier: &[DiffId], wanted: &[DiffId]) -> Vec<DiffId> {
    let base = earlier.len().saturating_sub(wanted.len());
    let same = earlier[base..].iter().zip(wanted).take_while(|(earlier, wanted)| earlier == wanted).count();
    earlier[..base + same].to_vec()
}

/// Documents that were kept, and nothing else.
struct Remembered<'a>(&'a dyn Documents);

impl Blobs for Remembered<'_> {
    async fn document(&self, descriptor: &Descriptor) -> Result<Bytes, ImageError> {
        let digest = descriptor.digest;
        let missing = || ImageError::MissingBlob { image: "an image of an engine".to_owned(), digest };
        self.0.get(&digest).ok_or_else(missing)
    }

    async fn layer(&self, descriptor: &Descriptor) -> Result<Found, ImageError> {
        self.document(descriptor).await.map(|bytes| Found::AsDescribed(BlobSource::Memory(bytes)))
    }
}

/// Tells whether the registry has an image now; where it cannot be asked, it counts as missing.
async fn is_there(image: &Image) -> bool {
    ask(image.clone()).await.unwrap_or(false)
}

/// Asks the registry whether it has an image now; `None` where it cannot be asked.
async fn ask(image: Image) -> Option<bool> {
    let Some(BlobSource::Registry(blob)) = image.layers.first().map(|layer| &layer.source) else {
        return Some(false);
    };
    blob.client.has_manifest(&blob.repository, &image.digest()).await.ok()
}

impl KnownLayers {
    /// Adds the layers of an image that are among `wanted`, and returns those that are new.
    pub(super) fn add(&mut self, image: &Image, wanted: &[DiffId]) -> Vec<GzipLayer> {
        let mut new = Vec::new();
        let diff_ids = image.config.diff_ids().unwrap_or_default();
        for (diff_id, layer) in diff_ids.into_iter().zip(&image.layers) {
            if wanted.contains(&diff_id) && !self.layers.contains_key(&diff_id) {
                let (digest, size) = (layer.descriptor.digest, layer.descriptor.size);
                let layer = GzipLayer { diff_id, digest, size, source: layer.source.clone() };
                new.push(layer.clone());
                self.layers.insert(diff_id, layer);
            }
        }
        new
    }

    /// Whether none is known.
    pub(super) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// A layer by what is in it.
    pub(super) fn get(&self, diff_id: &DiffId) -> Option<&GzipLayer> {
        self.layers.get(diff_id)
    }

    /// At which level the others are to be compressed.
    pub(super) fn compression(&self) -> CompressionLevel {
        self.compression
    }

    /// What tells that a layer is in the registry.
    pub(super) fn known_by(&self, diff_id: &DiffId) -> Option<KnownBy> {
        match &self.get(diff_id)?.source {
            BlobSource::Registry(blob) => Some(blob.known_by),
            BlobSource::Memory(_) | BlobSource::File(_) => None,
        }
    }

    /// A layer was made, to be sent before the image is whole. What is small waits for the
    /// configuration, where the repository has others of the image: then it is likely new, and goes
    /// without a question.
    pub(super) fn announce(&self, made: Option<&UnboundedSender<GzipLayer>>, layer: &GzipLayer) {
        let is_there = |layer: &DiffId| self.known_by(layer).is_some_and(|by| by != KnownBy::BaseImage);
        if let Some(made) = made.filter(|_| layer.size > SMALL || !self.layers.keys().any(is_there)) {
            // Nobody may wait for it.
            let _ = made.send(layer.clone());
        }
    }

    /// Adds a layer that was made.
    pub(super) fn insert(&mut self, layer: GzipLayer) {
        self.layers.insert(layer.diff_id, layer);
    }

    #[cfg(test)]
    pub(super) fn of(layers: impl IntoIterator<Item = GzipLayer>) -> Self {
        let layers = layers.into_iter().map(|layer| (layer.diff_id, layer)).collect();
        Self { layers, ..Self::default() }
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &GzipLayer> {
        self.layers.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_change_is_told_from_an_earlier_image() {
        let ids =
            |names: &str| -> Vec<DiffId> { names.bytes().map(|name| DiffId(Digest::of(&[name]))).collect() };
        for (earlier, wanted, expected) in [
            // All layers are named, as of an engine's image, or the upper ones, as those made here.
            ("abcd", "abcX", "abc"),
            ("abcd", "X", "abc"),
            ("abcd", "cX", "abc"),
            ("abcd", "Xd", "ab"),
            ("abcd", "aXcd", "a"),
            ("abcd", "XYZVW", ""),
            ("", "X", ""),
        ] {
            assert_eq!(below(&ids(earlier), &ids(wanted)), ids(expected), "{wanted} over {earlier}");
        }
    }
}
