//! From whatever a source names to one sealed image: indexes are followed to the function's
//! platform, attestations are left out.

use std::collections::BTreeSet;
use std::future::Future;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::gzip::Compression;
use super::registry::Documents;
use super::seal::{self, Stored, damaged};
use super::{BlobSource, Image, ImageError, Layer, Remark};
use crate::domain::compression::CompressionLevel;
use crate::domain::manifest::{Descriptor, ImageIndex, Manifest, MediaType};
use crate::domain::platform::Architecture;
use crate::domain::reference::Tag;
use crate::event::SharedReporter;

/// How many indexes may point at each other.
const DEPTH: usize = 4;

/// The annotation that names an image of a layout.
/// <https://github.com/opencontainers/image-spec/blob/main/annotations.md>
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation of an attestation that says what it is about.
const SUBJECT: &str = "vnd.docker.reference.digest";
/// The annotation Docker and containerd put the whole name into.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Somewhere blobs are found by their digest.
pub(super) trait Blobs: Sync {
    /// Reads a manifest, index or configuration whole, its digest checked.
    fn document(&self, descriptor: &Descriptor) -> impl Future<Output = Result<Bytes, ImageError>> + Send;

    /// Finds a layer.
    fn layer(&self, descriptor: &Descriptor) -> impl Future<Output = Result<Found, ImageError>> + Send;
}

/// A layer that was found.
pub(super) enum Found {
    /// Stored as the descriptor says.
    AsDescribed(BlobSource),
    /// Already compressed on the way, where the descriptor says that it is not.
    Compressed(super::gzip::GzipLayer),
}

/// What an index or manifest is called in errors, and what the image has to run on.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) name: &'a str,
    pub(super) architecture: Option<Architecture>,
    /// At which level layers are compressed that have to be converted.
    pub(super) level: CompressionLevel,
    pub(super) reporter: &'a SharedReporter,
    /// What remembers the indexes and manifests on the way to the image.
    pub(super) documents: Option<&'a dyn Documents>,
}

impl<'a> Request<'a> {
    /// A request that nothing is remembered of, at the usual level.
    pub(super) fn new(
        name: &'a str,
        architecture: Option<Architecture>,
        reporter: &'a SharedReporter,
    ) -> Self {
        Self { name, architecture, level: CompressionLevel::default(), reporter, documents: None }
    }
}

/// Opens the image that `index` leads to.
pub(super) async fn open_index(
    blobs: &impl Blobs,
    index: &ImageIndex,
    request: Request<'_>,
) -> Result<Image, ImageError> {
    let descriptor = choose(index, request)?.clone();
    let mut image = open(blobs, descriptor.clone(), request).await?;
    image.remarks.splice(0..0, remarks_about(index, &descriptor));
    Ok(image)
}

/// Opens the image that `descriptor` leads to.
pub(super) async fn open(
    blobs: &impl Blobs,
    descriptor: Descriptor,
    request: Request<'_>,
) -> Result<Image, ImageError> {
    let (media_type, bytes, remarks) = find_manifest(blobs, descriptor, request).await?;
    let mut image = open_manifest(blobs, &media_type, bytes, request).await?;
    image.remarks.splice(0..0, remarks);
    Ok(image)
}

/// The manifest that `descriptor` leads to, through indexes.
pub(super) async fn manifest(
    blobs: &impl Blobs,
    descriptor: Descriptor,
    request: Request<'_>,
) -> Result<(MediaType, Bytes), ImageError> {
    let (media_type, bytes, _) = find_manifest(blobs, descriptor, request).await?;
    Ok((media_type, bytes))
}

/// The same, with what Lambda would not have taken about the indexes.
async fn find_manifest(
    blobs: &impl Blobs,
    mut descriptor: Descriptor,
    request: Request<'_>,
) -> Result<(MediaType, Bytes, Vec<Remark>), ImageError> {
    let mut remarks = Vec::new();
    for _ in 0..DEPTH {
        let bytes = blobs.document(&descriptor).await?;
        if let Some(documents) = request.documents {
            documents.keep(&bytes);
        }
        if !is_index(request, &descriptor, &bytes)? {
            return Ok((descriptor.media_type, bytes, remarks));
        }
        let index: ImageIndex = parse(request.name, "index", &bytes)?;
        descriptor = choose(&index, request)?.clone();
        remarks.extend(remarks_about(&index, &descriptor));
    }
    Err(damaged(request.name, "its indexes lead nowhere"))
}

fn is_index(request: Request<'_>, descriptor: &Descriptor, bytes: &[u8]) -> Result<bool, ImageError> {
    let media_type = &descriptor.media_type;
    if media_type.is_index() {
        return Ok(true);
    }
    if media_type.is_manifest() {
        return Ok(false);
    }
    let document: serde_json::Value = parse(request.name, "manifest", bytes)?;
    if document["manifests"].is_array() {
        return Ok(true);
    }
    Err(unsupported(request.name, format!("its manifest is a `{media_type}`")))
}

/// Opens the image of a manifest.
pub(super) async fn open_manifest(
    blobs: &impl Blobs,
    media_type: &MediaType,
    bytes: Bytes,
    request: Request<'_>,
) -> Result<Image, ImageError> {
    let name = request.name;
    let manifest: Manifest = parse(name, "manifest", &bytes)?;
    if !matches!(manifest.config.media_type, MediaType::OciConfig | MediaType::DockerConfig) {
        return Err(unsupported(name, format!("its configuration is a `{}`", manifest.config.media_type)));
    }
    let config_bytes = blobs.document(&manifest.config).await?;
    let config = seal::config(name, &config_bytes, request.architecture)?;
    seal::diff_ids(name, &config, manifest.layers.len())?;
    let good = seal::is_good(media_type, &manifest);
    let (mut layers, mut stored) = (Vec::new(), Vec::new());
    for descriptor in &manifest.layers {
        let compression = Compression::of_layer(&descriptor.media_type).ok_or_else(|| {
            unsupported(name, format!("one of its layers is a `{}`", descriptor.media_type))
        })?;
        match blobs.layer(descriptor).await? {
            Found::AsDescribed(source) => {
                layers.push(Layer { descriptor: descriptor.clone(), source: source.clone() });
                let Descriptor { digest, size, .. } = *descriptor;
                stored.push(Stored::Blob { compression, digest, size, source });
            }
            Found::Compressed(layer) => stored.push(Stored::Compressed(layer)),
        }
    }
    if good && layers.len() == manifest.layers.len() {
        let (media_type, remarks) = (media_type.clone(), Vec::new());
        return Ok(Image {
            manifest_bytes: bytes,
            manifest,
            media_type,
            config_bytes,
            config,
            layers,
            remarks,
        });
    }
    let mut image =
        seal::rebuild(name, config_bytes, config, stored, request.level, request.reporter).await?;
    let others = manifest.layers.iter().map(|layer| &layer.media_type).filter(|kind| !kind.is_gzip_layer());
    let media_types: Vec<MediaType> = others.cloned().collect();
    image.remarks.push(if media_types.is_empty() {
        Remark::FamiliesMixed { manifest: media_type.clone(), config: manifest.config.media_type }
    } else {
        Remark::LayersConverted { media_types }
    });
    Ok(image)
}

/// What Lambda would not have taken about an index of which one image was chosen.
fn remarks_about(index: &ImageIndex, chosen: &Descriptor) -> Vec<Remark> {
    let platform = |entry: &Descriptor| {
        entry.platform.as_ref().map_or("an unnamed platform".to_owned(), ToString::to_string)
    };
    let others = index.images().filter(|entry| entry.digest != chosen.digest).map(platform);
    let (others, mut remarks): (Vec<String>, _) = (others.collect(), Vec::new());
    if !others.is_empty() {
        remarks.push(Remark::Chosen { platform: platform(chosen), others });
    }
    let attestations = index.manifests.iter().filter(|entry| entry.is_attestation()).count();
    if attestations > 0 {
        remarks.push(Remark::AttestationsLeftOut(attestations));
    }
    remarks
}

/// Chooses the entry for the function's platform: the only one, or this machine's where nobody
/// said which.
fn choose<'a>(index: &'a ImageIndex, request: Request<'_>) -> Result<&'a Descriptor, ImageError> {
    let images: Vec<&Descriptor> = index.images().collect();
    let found = match (request.architecture, images.as_slice()) {
        (None, [only]) => Some(*only),
        (Some(architecture), _) => index.select(architecture),
        (None, _) => Architecture::of_this_machine().and_then(|architecture| index.select(architecture)),
    };
    if let Some(found) = found {
        return Ok(found);
    }
    if images.is_empty() {
        return Err(damaged(request.name, "its index names no image"));
    }
    let platform = |entry: &&Descriptor| {
        entry.platform.as_ref().map_or("an unnamed platform".to_owned(), ToString::to_string)
    };
    let found = images.iter().map(platform).collect();
    Err(ImageError::Platform { image: request.name.to_owned(), wanted: request.architecture, found })
}

/// The part of a layout's index that holds one image: the one named `tag`, or the only one.
pub(super) fn named(name: &str, index: &ImageIndex, tag: Option<&Tag>) -> Result<ImageIndex, ImageError> {
    let available = || {
        let names: BTreeSet<String> =
            index.images().map(|entry| format!("`{}`", display_name(entry))).collect();
        names.into_iter().collect()
    };
    let mut manifests: Vec<Descriptor> = Vec::new();
    for entry in index.images().filter(|entry| tag.is_none_or(|tag| is_named(entry, tag))) {
        if !manifests.iter().any(|known| known.digest == entry.digest) {
            manifests.push(entry.clone());
        }
    }
    if manifests.is_empty() {
        let image = tag.map_or(name.to_owned(), |tag| format!("{name}:{tag}"));
        return Err(ImageError::NotFound { image, available: available() });
    }
    let names: BTreeSet<_> = manifests.iter().map(|entry| entry.annotations.get(REF_NAME)).collect();
    let platforms: BTreeSet<_> =
        manifests.iter().map(|entry| entry.platform.as_ref().map(ToString::to_string)).collect();
    // Several entries are one image only if they are its platforms.
    let one_image = manifests.len() == 1 || (names.len() == 1 && platforms.len() == manifests.len());
    if !one_image {
        return Err(ImageError::Ambiguous { image: name.to_owned(), available: available() });
    }
    // What is said about these images stays with them.
    let is_about = |entry: &&Descriptor| {
        let subject = entry.annotations.get(SUBJECT);
        entry.is_attestation()
            && manifests.iter().any(|image| subject.is_some_and(|it| *it == image.digest.to_string()))
    };
    let attestations: Vec<Descriptor> = index.manifests.iter().filter(is_about).cloned().collect();
    manifests.extend(attestations);
    Ok(ImageIndex { manifests, ..index.clone() })
}

fn is_named(entry: &Descriptor, tag: &Tag) -> bool {
    let ends = |name: &String| name == tag.as_str() || name.ends_with(&format!(":{tag}"));
    [REF_NAME, CONTAINERD_NAME].iter().any(|key| entry.annotations.get(*key).is_some_and(ends))
}

fn display_name(entry: &Descriptor) -> String {
    let name = entry.annotations.get(REF_NAME).or_else(|| entry.annotations.get(CONTAINERD_NAME));
    name.cloned().unwrap_or_else(|| entry.digest.to_string())
}

/// Reads a JSON document of a source.
pub(super) fn parse<T: DeserializeOwned>(name: &str, what: &str, bytes: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(name, format!("its {what}: {error}")))
}

fn unsupported(name: &str, problem: String) -> ImageError {
    ImageError::Unsupported { image: name.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::digest::Digest;
    use crate::domain::platform::Platform;
    use crate::event::Silent;

    fn entry(name: Option<&str>, platform: Option<&str>, content: &str) -> Descriptor {
        let mut entry = Descriptor::new(MediaType::OciManifest, Digest::of(content.as_bytes()), 1);
        entry.annotations.extend(name.map(|name| (REF_NAME.to_owned(), name.to_owned())));
        entry.platform = platform.map(|architecture| Platform {
            os: if architecture == "unknown" { "unknown" } else { "linux" }.to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
        });
        entry
    }

    fn index(manifests: &[Descriptor]) -> ImageIndex {
        ImageIndex { schema_version: 2, media_type: None, manifests: manifests.to_vec() }
    }

    fn chosen(index: &ImageIndex, architecture: Option<Architecture>) -> Result<Digest, ImageError> {
        let reporter: SharedReporter = Arc::new(Silent);
        choose(index, Request::new("image", architecture, &reporter)).map(|entry| entry.digest)
    }

    #[test]
    fn the_function_s_platform_is_chosen_and_attestations_never() {
        let both = index(&[
            entry(None, Some("unknown"), "attestation"),
            entry(None, Some("amd64"), "x"),
            entry(None, Some("arm64"), "arm"),
        ]);
        assert_eq!(chosen(&both, Some(Architecture::Arm64)).unwrap(), Digest::of(b"arm"));
        let here = Architecture::of_this_machine().unwrap();
        assert_eq!(chosen(&both, None).unwrap(), chosen(&both, Some(here)).unwrap());
        let only = index(&[entry(None, Some("arm64"), "arm"), entry(None, Some("unknown"), "attestation")]);
        assert_eq!(chosen(&only, None).unwrap(), Digest::of(b"arm"));
        let error = chosen(&only, Some(Architecture::X86_64)).unwrap_err();
        assert_eq!(error.to_string(), "`image` is for linux/arm64, not for x86_64");
    }

    #[test]
    fn an_image_of_a_layout_is_chosen_by_name() {
        let two = index(&[entry(Some("v1"), None, "1"), entry(Some("docker.io/library/x:v2"), None, "2")]);
        let pick = |tag: &str| named("oci:dir", &two, Some(&tag.parse().unwrap()));
        assert_eq!(pick("v1").unwrap().manifests[0].digest, Digest::of(b"1"));
        assert_eq!(pick("v2").unwrap().manifests[0].digest, Digest::of(b"2"));
        let missing = pick("v3").unwrap_err();
        assert!(missing.to_string().contains("oci:dir:v3"), "{missing}");
        assert_eq!(missing.hint().unwrap(), "it holds `docker.io/library/x:v2`, `v1`");
        assert!(matches!(named("oci:dir", &two, None), Err(ImageError::Ambiguous { .. })));
    }

    #[test]
    fn platforms_and_second_names_of_one_image_are_one_image() {
        let platforms = index(&[entry(None, Some("amd64"), "x"), entry(None, Some("arm64"), "arm")]);
        assert_eq!(named("oci:dir", &platforms, None).unwrap().manifests.len(), 2);
        let names = index(&[entry(Some("v1"), None, "same"), entry(Some("latest"), None, "same")]);
        assert_eq!(named("oci:dir", &names, None).unwrap().manifests.len(), 1);
    }
}
