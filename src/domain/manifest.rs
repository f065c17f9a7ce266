//! Manifests, indexes and descriptors of the OCI image-spec and of Docker's schema 2.
//!
//! Only the members this program decides by are typed; a manifest that is passed on is passed
//! on as the bytes it came in, so that its digest holds.
//! <https://github.com/opencontainers/image-spec/blob/main/manifest.md>

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::digest::{DiffId, Digest};
use super::platform::{Architecture, Platform};

/// The media types that matter to Lambda, and every other one as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum MediaType {
    /// `application/vnd.oci.image.manifest.v1+json`
    OciManifest,
    /// `application/vnd.oci.image.index.v1+json`
    OciIndex,
    /// `application/vnd.oci.image.config.v1+json`
    OciConfig,
    /// `application/vnd.oci.image.layer.v1.tar`
    OciLayer,
    /// `application/vnd.oci.image.layer.v1.tar+gzip`
    OciLayerGzip,
    /// `application/vnd.oci.image.layer.v1.tar+zstd`
    OciLayerZstd,
    /// `application/vnd.docker.distribution.manifest.v2+json`
    DockerManifest,
    /// `application/vnd.docker.distribution.manifest.list.v2+json`
    DockerManifestList,
    /// `application/vnd.docker.container.image.v1+json`
    DockerConfig,
    /// `application/vnd.docker.image.rootfs.diff.tar`
    DockerLayer,
    /// `application/vnd.docker.image.rootfs.diff.tar.gzip`
    DockerLayerGzip,
    /// Anything else.
    Other(String),
}

const MEDIA_TYPES: [(MediaType, &str); 11] = [
    (MediaType::OciManifest, "application/vnd.oci.image.manifest.v1+json"),
    (MediaType::OciIndex, "application/vnd.oci.image.index.v1+json"),
    (MediaType::OciConfig, "application/vnd.oci.image.config.v1+json"),
    (MediaType::OciLayer, "application/vnd.oci.image.layer.v1.tar"),
    (MediaType::OciLayerGzip, "application/vnd.oci.image.layer.v1.tar+gzip"),
    (MediaType::OciLayerZstd, "application/vnd.oci.image.layer.v1.tar+zstd"),
    (MediaType::DockerManifest, "application/vnd.docker.distribution.manifest.v2+json"),
    (MediaType::DockerManifestList, "application/vnd.docker.distribution.manifest.list.v2+json"),
    (MediaType::DockerConfig, "application/vnd.docker.container.image.v1+json"),
    (MediaType::DockerLayer, "application/vnd.docker.image.rootfs.diff.tar"),
    (MediaType::DockerLayerGzip, "application/vnd.docker.image.rootfs.diff.tar.gzip"),
];

impl MediaType {
    /// The registered name.
    pub fn as_str(&self) -> &str {
        if let Self::Other(name) = self {
            return name;
        }
        MEDIA_TYPES.iter().find_map(|(kind, name)| (kind == self).then_some(*name)).unwrap_or_default()
    }

    /// An OCI index or a Docker manifest list: several manifests under one digest.
    pub fn is_index(&self) -> bool {
        matches!(self, Self::OciIndex | Self::DockerManifestList)
    }

    /// A manifest of one image, of either family.
    pub fn is_manifest(&self) -> bool {
        matches!(self, Self::OciManifest | Self::DockerManifest)
    }

    /// A layer that Lambda is known to accept: a tar archive compressed with gzip.
    pub fn is_gzip_layer(&self) -> bool {
        matches!(self, Self::OciLayerGzip | Self::DockerLayerGzip)
    }

    /// The `Accept` header that asks for every kind of manifest, so that a registry has no
    /// reason to convert one into another.
    pub fn accept_manifests() -> String {
        [Self::OciManifest, Self::DockerManifest, Self::OciIndex, Self::DockerManifestList]
            .iter()
            .map(Self::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl From<String> for MediaType {
    fn from(text: String) -> Self {
        // Parameters such as `; charset=utf-8` do not change what it is.
        let essence = text.split(';').next().unwrap_or_default().trim();
        MEDIA_TYPES
            .into_iter()
            .find_map(|(kind, name)| (name == essence).then_some(kind))
            .unwrap_or(Self::Other(text))
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<MediaType> for String {
    fn from(media_type: MediaType) -> Self {
        media_type.as_str().to_owned()
    }
}

impl std::fmt::Display for MediaType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Points at a blob: what it is, how many bytes, and their digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: MediaType,
    /// The digest of the blob's bytes as stored.
    pub digest: Digest,
    /// Bytes as stored.
    pub size: u64,
    /// For which machine, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Free-form remarks, such as `vnd.docker.reference.type`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Describes a blob without platform and annotations.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self { media_type, digest, size, platform: None, annotations: BTreeMap::new() }
    }

    /// Tells whether the entry of an index is an attestation, not an image.
    ///
    /// BuildKit marks provenance and SBOM with this annotation and the platform
    /// `unknown/unknown`. <https://docs.docker.com/build/metadata/attestations/attestation-storage/>
    pub fn is_attestation(&self) -> bool {
        self.annotations.get("vnd.docker.reference.type").is_some_and(|kind| kind == "attestation-manifest")
            || self.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
    }
}

/// The manifest of one image for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Optional in OCI; we always write it, because some readers demand it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The image configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

impl Manifest {
    /// An OCI manifest of `config` and `layers`, which must carry OCI media types.
    pub fn oci(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: Some(MediaType::OciManifest), config, layers }
    }

    /// What Lambda refuses about this manifest's media types, if anything.
    ///
    /// Accepted: Docker v2 schema 2 or OCI, never mixed, with gzip layers.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/images-create.html>
    pub fn is_accepted_by_lambda(&self) -> bool {
        match self.config.media_type {
            MediaType::OciConfig => {
                self.layers.iter().all(|layer| layer.media_type == MediaType::OciLayerGzip)
            }
            MediaType::DockerConfig => {
                self.layers.iter().all(|layer| layer.media_type == MediaType::DockerLayerGzip)
            }
            _ => false,
        }
    }
}

/// Several manifests, one a platform, under one digest. Lambda refuses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// Always 2.
    pub schema_version: u32,
    /// Optional in OCI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// Its entries.
    pub manifests: Vec<Descriptor>,
}

impl ImageIndex {
    /// The entries that are images: attestations are left out.
    pub fn images(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().filter(|entry| !entry.is_attestation())
    }

    /// The entry for `architecture`; an only entry without a platform is taken as it is.
    pub fn select(&self, architecture: Architecture) -> Option<&Descriptor> {
        let matching = |entry: &&Descriptor| {
            entry.platform.as_ref().is_some_and(|platform| platform.runs_on(architecture))
        };
        self.images().find(matching).or_else(|| {
            let mut images = self.images();
            let only = images.next().filter(|entry| entry.platform.is_none())?;
            images.next().is_none().then_some(only)
        })
    }
}

/// The parts of an image configuration this program reads, with everything else kept.
///
/// <https://github.com/opencontainers/image-spec/blob/main/config.md>
#[derive(Clone, Debug, PartialEq)]
pub struct ImageConfig {
    /// The whole document, so that members we do not know survive a rewrite.
    pub document: Value,
}

/// Says that a blob is not an image configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an image configuration: {0}")]
pub struct InvalidImageConfig(pub String);

impl ImageConfig {
    /// Reads the bytes of a configuration blob.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidImageConfig> {
        let document: Value =
            serde_json::from_slice(bytes).map_err(|error| InvalidImageConfig(error.to_string()))?;
        let config = Self { document };
        config.diff_ids()?;
        Ok(config)
    }

    /// The machine the image is for.
    pub fn platform(&self) -> Platform {
        let text = |key: &str| self.document[key].as_str().unwrap_or_default().to_owned();
        Platform {
            os: text("os"),
            architecture: text("architecture"),
            variant: self.document["variant"].as_str().map(str::to_owned),
        }
    }

    /// The uncompressed digests of the layers, lowest first.
    pub fn diff_ids(&self) -> Result<Vec<DiffId>, InvalidImageConfig> {
        let list = &self.document["rootfs"]["diff_ids"];
        if list.is_null() {
            return Ok(Vec::new());
        }
        serde_json::from_value(list.clone())
            .map_err(|error| InvalidImageConfig(format!("rootfs.diff_ids: {error}")))
    }

    /// A list of words of the `config` member: `Entrypoint`, `Cmd`, `Env`.
    pub fn words(&self, key: &str) -> Vec<String> {
        let list = self.document["config"][key].as_array();
        list.into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(os: &str, architecture: &str) -> Descriptor {
        let mut entry = Descriptor::new(MediaType::OciManifest, Digest::of(architecture.as_bytes()), 1);
        entry.platform =
            Some(Platform { os: os.to_owned(), architecture: architecture.to_owned(), variant: None });
        entry
    }

    fn index(manifests: Vec<Descriptor>) -> ImageIndex {
        ImageIndex { schema_version: 2, media_type: None, manifests }
    }

    #[test]
    fn an_index_gives_the_platform_asked_for_and_never_an_attestation() {
        let index =
            index(vec![entry("unknown", "unknown"), entry("linux", "arm64"), entry("linux", "amd64")]);
        assert_eq!(index.select(Architecture::X86_64).unwrap().digest, Digest::of(b"amd64"));
        assert_eq!(index.images().count(), 2);
    }

    #[test]
    fn an_only_entry_without_platform_is_the_image() {
        let bare = Descriptor::new(MediaType::OciManifest, Digest::of(b"only"), 1);
        assert_eq!(
            index(vec![bare.clone(), entry("unknown", "unknown")]).select(Architecture::Arm64),
            Some(&bare)
        );
        assert_eq!(index(vec![bare.clone(), bare]).select(Architecture::Arm64), None);
        assert_eq!(index(vec![entry("linux", "arm64")]).select(Architecture::X86_64), None);
    }

    #[test]
    fn media_types_survive_a_round_trip_and_ignore_parameters() {
        for (kind, name) in MEDIA_TYPES {
            assert_eq!(MediaType::from(name), kind);
            assert_eq!(kind.as_str(), name);
        }
        assert_eq!(
            MediaType::from("application/vnd.oci.image.index.v1+json; charset=utf-8"),
            MediaType::OciIndex
        );
        assert_eq!(MediaType::from("text/plain").as_str(), "text/plain");
    }

    #[test]
    fn mixed_families_and_other_compressions_are_not_accepted() {
        let digest = Digest::of(b"");
        let config = |kind| Descriptor::new(kind, digest, 0);
        let accepted = |config_type, layer_type| {
            Manifest::oci(config(config_type), vec![config(layer_type)]).is_accepted_by_lambda()
        };
        assert!(accepted(MediaType::OciConfig, MediaType::OciLayerGzip));
        assert!(accepted(MediaType::DockerConfig, MediaType::DockerLayerGzip));
        assert!(!accepted(MediaType::OciConfig, MediaType::DockerLayerGzip));
        assert!(!accepted(MediaType::OciConfig, MediaType::OciLayerZstd));
        assert!(!accepted(MediaType::DockerConfig, MediaType::DockerLayer));
    }
}
