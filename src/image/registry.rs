//! Images in a registry: the manifest is read, the layers stay there until somebody needs them.

use bytes::Bytes;
use futures_util::TryStreamExt;
use serde_json::Value;

use super::blob::RegistryBlob;
use super::guesses::Guesses;
use super::layout::LARGEST_DOCUMENT;
use super::resolve::{self, Blobs, Found, Request};
use super::seal::{self, damaged};
use super::{BlobSource, Image, ImageError, Layer};
use crate::domain::digest::Digest;
use crate::domain::manifest::{Descriptor, ImageConfig, Manifest, MediaType};
use crate::domain::platform::Architecture;
use crate::domain::reference::{ImageReference, RepositoryName};
use crate::domain::transfer::KnownBy;
use crate::event::SharedReporter;
use crate::services::registry::{FetchedManifest, RegistryClient, RegistryError};

/// Reads the image `reference` names, resolving an index to `architecture`.
pub async fn read(
    client: &RegistryClient,
    reference: &ImageReference,
    architecture: Option<Architecture>,
    reporter: &SharedReporter,
) -> Result<Image, ImageError> {
    let name = reference.to_string();
    let repository = &reference.repository.name;
    let manifest = client.manifest(repository, &reference.manifest_reference()).await?;
    let manifest =
        manifest.ok_or_else(|| ImageError::NotFound { image: name.clone(), available: Vec::new() })?;
    let descriptor =
        Descriptor::new(manifest.media_type.clone(), manifest.digest, manifest.bytes.len() as u64);
    let blobs = RegistryBlobs { name: &name, client, repository, documents: None, first: Some(manifest) };
    resolve::open(&blobs, descriptor, Request::new(&name, architecture, reporter)).await
}

/// Indexes, manifests and configurations that were read before, by their digests.
pub trait Documents: std::fmt::Debug + Send + Sync {
    /// One that is remembered.
    fn get(&self, digest: &Digest) -> Option<Bytes>;
    /// Remembers one.
    fn keep(&self, bytes: &[u8]);
    /// The digest a reference led to.
    fn led_to(&self, reference: &ImageReference) -> Option<Digest>;
    /// Remembers the digest a reference leads to.
    fn leads_to(&self, reference: &ImageReference, digest: Digest);
}

/// The same as [`read`] where `documents` hold what the reference leads to now: then only the
/// digest is asked for, which registries that count pulls do not count. With `guesses`, nobody
/// waits for the answer.
pub async fn read_again(
    client: &RegistryClient,
    reference: &ImageReference,
    architecture: Option<Architecture>,
    documents: &dyn Documents,
    guesses: Option<&Guesses>,
    reporter: &SharedReporter,
) -> Result<Image, ImageError> {
    let name = reference.to_string();
    let repository = &reference.repository.name;
    let remembered = || documents.led_to(reference).filter(|digest| documents.get(digest).is_some());
    let digest = match (reference.digest, guesses.and_then(|guesses| Some((guesses, remembered()?)))) {
        (Some(digest), _) => Some(digest),
        (None, Some((guesses, digest))) => {
            let (client, reference) = (client.clone(), reference.clone());
            let asking = async move { leads_to(&client, &reference).await.ok().map(|it| it == Some(digest)) };
            guesses.count_on(&name, asking);
            Some(digest)
        }
        (None, None) => {
            let digest = leads_to(client, reference).await?;
            digest.into_iter().for_each(|digest| documents.leads_to(reference, digest));
            digest
        }
    };
    let digest = digest.ok_or_else(|| ImageError::NotFound { image: name.clone(), available: Vec::new() })?;
    let mut blobs =
        RegistryBlobs { name: &name, client, repository, documents: Some(documents), first: None };
    let descriptor = match documents.get(&digest) {
        Some(bytes) => Descriptor::new(media_type(&bytes), digest, bytes.len() as u64),
        None => {
            let manifest = client.manifest(repository, &digest.to_string()).await?;
            let manifest = manifest.ok_or_else(|| ImageError::MissingBlob { image: name.clone(), digest })?;
            documents.keep(&manifest.bytes);
            let descriptor =
                Descriptor::new(manifest.media_type.clone(), manifest.digest, manifest.bytes.len() as u64);
            blobs.first = Some(manifest);
            descriptor
        }
    };
    resolve::open(&blobs, descriptor, Request::new(&name, architecture, reporter)).await
}

/// The digest a reference leads to now.
async fn leads_to(
    client: &RegistryClient,
    reference: &ImageReference,
) -> Result<Option<Digest>, RegistryError> {
    client.manifest_digest(&reference.repository.name, &reference.manifest_reference()).await
}

/// The media type of a manifest or index, where only its bytes are there.
pub(super) fn media_type(bytes: &[u8]) -> MediaType {
    let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
    match document["mediaType"].as_str() {
        Some(own) => own.into(),
        None if document["manifests"].is_array() => MediaType::OciIndex,
        None if document["config"]["mediaType"] == MediaType::DockerConfig.as_str() => {
            MediaType::DockerManifest
        }
        None => MediaType::OciManifest,
    }
}

/// Puts an image that is in `repository` together from its documents, without asking for its
/// layers. `None` where Lambda would not take it as it is, and so never got it from there.
pub fn from_documents(
    client: &RegistryClient,
    repository: &RepositoryName,
    media_type: MediaType,
    manifest_bytes: Bytes,
    config_bytes: Bytes,
    known_by: KnownBy,
) -> Option<Image> {
    let manifest: Manifest = serde_json::from_slice(&manifest_bytes).ok()?;
    let config = ImageConfig::parse(&config_bytes).ok()?;
    let is_whole = manifest.config.digest == Digest::of(&config_bytes)
        && config.diff_ids().is_ok_and(|diff_ids| diff_ids.len() == manifest.layers.len());
    if !is_whole || !seal::is_good(&media_type, &manifest) {
        return None;
    }
    let layer = |descriptor: &Descriptor| {
        let (client, repository) = (client.clone(), repository.clone());
        let blob = RegistryBlob { client, repository, descriptor: descriptor.clone(), known_by };
        Layer { descriptor: descriptor.clone(), source: BlobSource::Registry(blob) }
    };
    let layers = manifest.layers.iter().map(layer).collect();
    let remarks = Vec::new();
    Some(Image { manifest_bytes, manifest, media_type, config_bytes, config, layers, remarks })
}

struct RegistryBlobs<'a> {
    name: &'a str,
    client: &'a RegistryClient,
    repository: &'a RepositoryName,
    documents: Option<&'a dyn Documents>,
    /// The document the reference led to, which need not be read twice.
    first: Option<FetchedManifest>,
}

impl RegistryBlobs<'_> {
    fn missing(&self, descriptor: &Descriptor) -> ImageError {
        ImageError::MissingBlob { image: self.name.to_owned(), digest: descriptor.digest }
    }
}

impl Blobs for RegistryBlobs<'_> {
    async fn document(&self, descriptor: &Descriptor) -> Result<Bytes, ImageError> {
        if let Some(first) = self.first.as_ref().filter(|first| first.digest == descriptor.digest) {
            return Ok(first.bytes.clone());
        }
        if let Some(bytes) = self.documents.and_then(|documents| documents.get(&descriptor.digest)) {
            return Ok(bytes);
        }
        let bytes = self.fetch(descriptor).await?;
        if let Some(documents) = self.documents {
            documents.keep(&bytes);
        }
        Ok(bytes)
    }

    async fn layer(&self, descriptor: &Descriptor) -> Result<Found, ImageError> {
        let (client, repository) = (self.client.clone(), self.repository.clone());
        let (descriptor, known_by) = (descriptor.clone(), KnownBy::BaseImage);
        let blob = RegistryBlob { client, repository, descriptor, known_by };
        Ok(Found::AsDescribed(BlobSource::Registry(blob)))
    }
}

impl RegistryBlobs<'_> {
    async fn fetch(&self, descriptor: &Descriptor) -> Result<Bytes, ImageError> {
        if descriptor.media_type.is_index() || descriptor.media_type.is_manifest() {
            let manifest = self.client.manifest(self.repository, &descriptor.digest.to_string()).await?;
            return Ok(manifest.ok_or_else(|| self.missing(descriptor))?.bytes);
        }
        if descriptor.size > LARGEST_DOCUMENT {
            return Err(damaged(self.name, format!("`{}` is too large for a document", descriptor.digest)));
        }
        let unreadable = |source| ImageError::Read { what: self.name.to_owned(), source };
        let chunks = self.client.blob(self.repository, descriptor).await?;
        let chunks: Vec<Bytes> = chunks.try_collect().await.map_err(unreadable)?;
        Ok(chunks.concat().into())
    }
}
