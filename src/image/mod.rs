//! Where layers come from: Docker Engine, OCI layout, archive, registry or plain files, all
//! ending in one [`Image`] that a push or a check can read.
//!
//! An [`Image`] is sealed: one platform, one manifest whose digest is known, every layer
//! compressed with gzip, every blob readable as often as a retry needs it. What is large stays
//! on disk or at its registry; nothing here holds a layer in memory.

pub mod append;
pub mod archive;
pub mod assembled;
pub mod blob;
pub mod check;
mod deflate;
mod dockerfile;
mod document;
mod elf;
pub mod engine;
pub mod error;
mod fetch;
pub mod growing;
pub mod guesses;
pub mod gzip;
pub mod known;
pub mod layer;
pub mod layout;
mod packed;
pub mod registry;
mod resolve;
mod seal;
mod spool;
mod work;

use bytes::Bytes;

use crate::domain::digest::Digest;
use crate::domain::manifest::{Descriptor, ImageConfig, Manifest, MediaType};
use crate::domain::reference::RepositoryUri;

pub use blob::{BlobSource, Origin};
pub use error::ImageError;

/// One single-platform image that Lambda accepts, from whatever source.
#[derive(Clone, Debug)]
pub struct Image {
    /// The bytes of the manifest, exactly as they are pushed.
    pub manifest_bytes: Bytes,
    /// What those bytes say.
    pub manifest: Manifest,
    /// Media type the manifest is pushed under.
    pub media_type: MediaType,
    /// The bytes of the configuration blob.
    pub config_bytes: Bytes,
    /// What those bytes say.
    pub config: ImageConfig,
    /// The layers, lowest first, in the manifest's order.
    pub layers: Vec<Layer>,
    /// What had to be done to get it, that its author may want to know.
    pub remarks: Vec<Remark>,
}

/// Something about a source that Lambda would not have taken as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// One image of an index was chosen.
    Chosen {
        /// What it is for.
        platform: String,
        /// What the others are for.
        others: Vec<String>,
    },
    /// So many attestations stood beside the image.
    AttestationsLeftOut(usize),
    /// Layers were not compressed with gzip.
    LayersConverted {
        /// What each of them was.
        media_types: Vec<MediaType>,
    },
    /// The manifest mixed the media types of Docker and of OCI.
    FamiliesMixed {
        /// What the manifest was.
        manifest: MediaType,
        /// What its configuration was.
        config: MediaType,
    },
}

/// A compressed layer and where its bytes can be read.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Digest, size and media type as in the manifest.
    pub descriptor: Descriptor,
    /// Where the compressed bytes are.
    pub source: BlobSource,
}

impl Image {
    /// The digest of the manifest: what Lambda calls `CodeSha256`.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest_bytes)
    }

    /// Tells whether some layers are known to be in a repository and others are on this machine: then
    /// the repository most likely lacks those, and the image.
    pub fn is_partly_in(&self, repository: &RepositoryUri) -> bool {
        let is_there = |layer: &Layer| {
            layer.source.known_at(&repository.registry).is_some_and(|(name, _)| *name == repository.name)
        };
        self.layers.iter().any(is_there) && self.layers.iter().any(|layer| layer.source.is_at_hand())
    }

    /// Bytes of all compressed layers.
    pub fn compressed_size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.descriptor.size).sum()
    }
}
