//! Where layers that need not be read lie in an archive of `docker save`.
//!
//! Engines since Docker 25 name a layer's file after its digest. Older ones name its directory
//! after an ID that is computed from the layers below it, except for the top one, whose ID also
//! depends on the configuration.
//! <https://github.com/moby/moby/blob/v20.10.24/image/tarexport/save.go>

use std::collections::{HashMap, HashSet};

use tokio::sync::mpsc::UnboundedSender;

use super::entries::Entry;
use crate::domain::compression::CompressionLevel;
use crate::domain::digest::{DiffId, Digest, chain_ids};
use crate::image::growing::{self, GrowingLayer};
use crate::image::gzip::{Compression, GzipLayer, LayerWriter};
use crate::image::known::KnownLayers;
use crate::image::spool::Spooled;

/// What goes before the chain ID in the document an old engine's layer ID is the digest of.
const BEFORE: &str = r#"{"container_config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null},"created":"1970-01-01T00:00:00Z","layer_id":""#;

/// The layers of an archive that somebody else has.
#[derive(Debug, Default)]
pub(in crate::image) struct Expected {
    known: KnownLayers,
    paths: HashMap<String, Entry>,
    missing: Missing,
    made: Option<UnboundedSender<GzipLayer>>,
    begun: Option<UnboundedSender<GrowingLayer>>,
    /// At which level the other layers are compressed.
    compression: CompressionLevel,
}

/// The layers that nobody has, as far as it can be told from their paths which they are.
#[derive(Debug, Default)]
struct Missing {
    diff_ids: HashSet<DiffId>,
    /// By the directories of old engines.
    directories: HashMap<String, DiffId>,
    /// In the one directory whose name cannot be computed.
    top: Option<DiffId>,
}

impl Expected {
    /// Works out where the known ones among `diff_ids`, lowest first, would lie.
    pub(in crate::image) fn new(diff_ids: &[DiffId], known: KnownLayers) -> Self {
        let mut paths = HashMap::new();
        for layer in known.iter() {
            let as_tar = format!("blobs/sha256/{}", layer.diff_id.0.hex());
            paths.insert(as_tar, Entry::Tar(layer.clone()));
            let as_gzip = format!("blobs/sha256/{}", layer.digest.hex());
            let spooled = Spooled { digest: layer.digest, size: layer.size, source: layer.source.clone() };
            paths.insert(as_gzip, Entry::Large(spooled, Compression::Gzip));
        }
        let is_missing = |diff_id: &&DiffId| known.get(diff_id).is_none();
        let mut missing = Missing {
            diff_ids: diff_ids.iter().filter(is_missing).copied().collect(),
            directories: HashMap::new(),
            top: diff_ids.last().filter(is_missing).copied(),
        };
        let below_top = diff_ids.len().saturating_sub(1);
        for (id, diff_id) in old_ids(diff_ids).into_iter().zip(diff_ids).take(below_top) {
            match known.get(diff_id) {
                Some(layer) => {
                    paths.insert(format!("{}/layer.tar", id.hex()), Entry::Tar(layer.clone()));
                }
                None => {
                    missing.directories.insert(id.hex(), *diff_id);
                }
            }
        }
        let compression = known.compression();
        Self { known, paths, missing, made: None, begun: None, compression }
    }

    /// Expects nothing, and has every layer that is not compressed compressed at this level.
    pub(super) fn nothing(compression: CompressionLevel) -> Self {
        Self { compression, ..Self::default() }
    }

    pub(super) fn compression(&self) -> CompressionLevel {
        self.compression
    }

    /// Announces each layer that had to be made.
    pub(in crate::image) fn announcing(self, made: Option<UnboundedSender<GzipLayer>>) -> Self {
        Self { made, ..self }
    }

    /// Announces each large layer that has to be made as soon as that begins.
    pub(in crate::image) fn announcing_early(self, begun: Option<UnboundedSender<GrowingLayer>>) -> Self {
        Self { begun, ..self }
    }

    /// A layer of `size` bytes, which lies at `path`, begins to be made.
    pub(super) fn announce_early(&self, path: &str, size: u64, layer: &mut LayerWriter) {
        if let Some(diff_id) = self.missing.at(path) {
            growing::announce(self.begun.as_ref(), diff_id, size, layer);
        }
    }

    /// A layer was made.
    pub(super) fn announce(&self, layer: &GzipLayer) {
        self.known.announce(self.made.as_ref(), layer);
    }

    /// The entry at `path`, if it need not be read.
    pub(super) fn at(&self, path: &str) -> Option<Entry> {
        self.paths.get(path).cloned()
    }

    /// The same layer in the registry, for one that had to be read to be recognised.
    pub(super) fn instead_of(&self, diff_id: &DiffId) -> Option<Entry> {
        self.known.get(diff_id).cloned().map(Entry::Tar)
    }
}

impl Missing {
    /// What the layer at `path` has in it, most likely.
    fn at(&self, path: &str) -> Option<DiffId> {
        let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
        // Podman and skopeo write `HEX.tar`.
        let named = Digest::from_hex(file.strip_suffix(".tar").unwrap_or(file)).ok().map(DiffId);
        if let Some(diff_id) = named.filter(|diff_id| self.diff_ids.contains(diff_id)) {
            return Some(diff_id);
        }
        match self.directories.get(directory).copied() {
            None if file == "layer.tar" => self.top,
            known => known,
        }
    }
}

/// The IDs an old engine gives the layers, all but the top one's right.
fn old_ids(diff_ids: &[DiffId]) -> Vec<Digest> {
    let mut ids: Vec<Digest> = Vec::new();
    for chain_id in chain_ids(diff_ids) {
        let parent = ids.last().map(|parent| format!(r#","parent":"{parent}""#)).unwrap_or_default();
        ids.push(Digest::of(format!("{BEFORE}{chain_id}\"{parent}}}").as_bytes()));
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::BlobSource;

    fn known(content: &[u8]) -> (DiffId, GzipLayer) {
        let diff_id = DiffId(Digest::of(content));
        let digest = Digest::of(&[content, b" compressed"].concat());
        (diff_id, GzipLayer { diff_id, digest, size: 7, source: BlobSource::Memory(Default::default()) })
    }

    #[test]
    fn known_layers_are_recognised_by_either_digest() {
        let (diff_id, layer) = known(b"layer");
        let digest = layer.digest;
        let expected = Expected::new(&[diff_id], KnownLayers::of([layer]));
        let at = |digest: Digest| expected.at(&format!("blobs/sha256/{}", digest.hex()));
        assert!(matches!(at(diff_id.0), Some(Entry::Tar(layer)) if layer.digest == digest));
        assert!(matches!(at(digest), Some(Entry::Large(spooled, Compression::Gzip)) if spooled.size == 7));
        assert!(expected.at("blobs/sha256/00").is_none() && expected.instead_of(&diff_id).is_some());
    }

    #[test]
    fn missing_layers_are_told_apart_by_their_paths_whoever_wrote_the_archive() {
        let (lower, middle) = (DiffId(Digest::of(b"lower")), DiffId(Digest::of(b"middle")));
        let top = DiffId(Digest::of(b"top"));
        let (there, layer) = known(b"there");
        let diff_ids = [lower, there, middle, top];
        let Expected { missing, .. } = Expected::new(&diff_ids, KnownLayers::of([layer]));
        let ids = old_ids(&diff_ids);
        let directory = |at: usize| format!("{}/layer.tar", ids[at].hex());
        assert_eq!([missing.at(&directory(0)), missing.at(&directory(2))], [Some(lower), Some(middle)]);
        // Its directory has another name than is computed.
        assert_eq!(missing.at("0123/layer.tar"), Some(top));
        assert_eq!(missing.at(&format!("blobs/sha256/{}", middle.0.hex())), Some(middle));
        assert_eq!(missing.at(&format!("{}.tar", lower.0.hex())), Some(lower));
        assert_eq!(missing.at(&format!("blobs/sha256/{}", there.0.hex())), None);
        assert_eq!(missing.at("manifest.json"), None);
    }
}
