//! Which way each blob of an image takes into a repository, found out before any of them is sent.
//! Called by `plan` and `deploy` for the plan, and by `push`, which goes those ways.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::early::{Arrival, Arrivals};
use crate::domain::digest::{DiffId, Digest};
use crate::domain::manifest::Descriptor;
use crate::domain::reference::RepositoryUri;
use crate::domain::transfer::{KnownBy, PlannedLayer, SMALL, TransferPlan, Way};
use crate::image::gzip::GzipLayer;
use crate::image::{BlobSource, Image, Origin};
use crate::services::registry::{RegistryClient, RegistryError};

/// How many questions are asked at a time.
const CHECKS: usize = 8;

/// A blob of the image, and whether it is a layer.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub(super) descriptor: Descriptor,
    pub(super) source: BlobSource,
    pub(super) is_layer: bool,
    /// What is in it, if it is a layer whose configuration says so.
    pub(super) diff_id: Option<DiffId>,
}

impl From<GzipLayer> for Blob {
    fn from(layer: GzipLayer) -> Self {
        let descriptor = layer.descriptor();
        Self { descriptor, source: layer.source, is_layer: true, diff_id: Some(layer.diff_id) }
    }
}

/// Every blob of an image once, the configuration among them, each with its way.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    blobs: Vec<(Blob, Way)>,
}

impl Ways {
    /// The ways into a repository that is not there yet.
    pub(super) fn into_nothing(image: &Image) -> Self {
        let as_sent = |blob: Blob| {
            let way = as_sent(&blob.source);
            (blob, way)
        };
        Self { blobs: distinct(image).map(as_sent).collect() }
    }

    /// The ways into a repository that has the whole image.
    pub(super) fn nowhere(image: &Image) -> Self {
        let there = Way::There(KnownBy::SameImage);
        Self { blobs: distinct(image).map(|blob| (blob, there.clone())).collect() }
    }

    /// Finds the ways into a repository. It is asked about what nobody knows of, and not about
    /// what is on its way already.
    pub(super) async fn find(
        client: &RegistryClient,
        repository: &RepositoryUri,
        image: &Image,
        arrivals: &Arrivals,
    ) -> Result<Self, RegistryError> {
        let find = |blob: Blob| async move {
            let Descriptor { digest, .. } = blob.descriptor;
            let arrival = arrivals.of(&digest, blob.diff_id.as_ref());
            let way = match (blob.source.known_at(&repository.registry), arrival) {
                (Some((name, known_by)), _) if *name == repository.name => Way::There(known_by),
                (_, Some(Arrival::Found)) => Way::There(KnownBy::Registry),
                (Some((other, _)), _) => Way::Mount(other.clone()),
                (None, Some(Arrival::Sent | Arrival::UnderWay)) => as_sent(&blob.source),
                (None, None) if !blob.is_layer || is_likely_new(&blob, image, repository) => {
                    as_sent(&blob.source)
                }
                (None, None) if client.has_blob(&repository.name, &digest).await? => {
                    Way::There(KnownBy::Registry)
                }
                (None, None) => as_sent(&blob.source),
            };
            Ok::<_, RegistryError>((blob, way))
        };
        let finding: Vec<_> = distinct(image).map(find).collect();
        let blobs = stream::iter(finding).buffered(CHECKS).try_collect().await?;
        Ok(Self { blobs })
    }

    /// The ways into a repository that has others of the image, where it need not be asked for any
    /// blob: what it most likely lacks is small.
    pub(super) fn without_a_question(image: &Image, repository: &RepositoryUri) -> Option<Self> {
        let known = |blob: Blob| {
            let way = match blob.source.known_at(&repository.registry) {
                Some((name, known_by)) if *name == repository.name => Way::There(known_by),
                None if !blob.is_layer || is_likely_new(&blob, image, repository) => as_sent(&blob.source),
                _ => return None,
            };
            Some((blob, way))
        };
        let blobs = distinct(image).map(known).collect::<Option<_>>()?;
        image.is_partly_in(repository).then_some(Self { blobs })
    }

    /// Those that are sent.
    pub(super) fn into_missing(self) -> impl Iterator<Item = Blob> {
        self.blobs.into_iter().filter(|(_, way)| !matches!(way, Way::There(_))).map(|(blob, _)| blob)
    }

    /// The blobs and their ways.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Blob, Way)> {
        self.blobs.iter()
    }

    /// The same, as it is shown: the layers, in the image's order.
    pub(super) fn plan(&self, image: &Image) -> TransferPlan {
        let ways: HashMap<Digest, &Way> =
            self.iter().map(|(blob, way)| (blob.descriptor.digest, way)).collect();
        let layers = image.layers.iter().zip(diff_ids(image)).map(|(layer, diff_id)| {
            let Descriptor { digest, size, .. } = layer.descriptor;
            let uncompressed = match layer.source.origin() {
                Origin::Compressed(bytes) | Origin::Made(bytes) => Some(bytes),
                Origin::Stored => None,
            };
            let way = ways.get(&digest).map_or(Way::Send, |way| (*way).clone());
            PlannedLayer { digest: Some(digest), diff_id, size: Some(size), uncompressed, way }
        });
        TransferPlan { layers: layers.collect() }
    }
}

/// Whether a layer is small, and the repository most likely lacks it because it has others of the
/// image.
fn is_likely_new(blob: &Blob, image: &Image, repository: &RepositoryUri) -> bool {
    let is_small = blob.descriptor.size <= SMALL && blob.source.is_at_hand();
    is_small && image.is_partly_in(repository)
}

/// The way of a blob that is not there.
fn as_sent(source: &BlobSource) -> Way {
    if let Some(from) = source.repository() {
        return Way::Copy(from);
    }
    match source.origin() {
        Origin::Stored => Way::Send,
        Origin::Compressed(_) => Way::Compress,
        Origin::Made(_) => Way::Make,
    }
}

/// What is in each layer, as far as the configuration says it.
fn diff_ids(image: &Image) -> impl Iterator<Item = Option<DiffId>> {
    let diff_ids = image.config.diff_ids().unwrap_or_default();
    diff_ids.into_iter().map(Some).chain(std::iter::repeat(None))
}

fn distinct(image: &Image) -> impl Iterator<Item = Blob> {
    let config = Blob {
        descriptor: image.manifest.config.clone(),
        source: BlobSource::Memory(image.config_bytes.clone()),
        is_layer: false,
        diff_id: None,
    };
    let layers = image.layers.iter().zip(diff_ids(image)).map(|(layer, diff_id)| Blob {
        descriptor: layer.descriptor.clone(),
        source: layer.source.clone(),
        is_layer: true,
        diff_id,
    });
    let mut seen = HashSet::new();
    layers.chain([config]).filter(move |blob| seen.insert(blob.descriptor.digest))
}
