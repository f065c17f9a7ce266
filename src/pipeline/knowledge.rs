//! Finds out what a registry has, while the image is being built: the image that is live, and
//! those that were pushed lately.
//!
//! An image in the registry lists what is in its layers, so that nothing has to be remembered to
//! know which layers need not be sent; what is remembered spares the reading. Nothing here fails:
//! not to know only means more work.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::cloud::Cloud;
use super::published::Bases;
use crate::domain::digest::Digest;
use crate::domain::manifest::{Descriptor, Manifest, MediaType};
use crate::domain::reference::{ImageReference, RepositoryUri};
use crate::domain::transfer::KnownBy;
use crate::event::Event;
use crate::image::known::KnownImages;
use crate::image::registry::from_documents;
use crate::image::{Image, ImageError};
use crate::services::ecr::{Newest, Repository};
use crate::services::lambda::FoundFunction;
use crate::services::registry::RegistryClient;

/// No configuration is read that is larger.
const LARGEST_CONFIG: u64 = 4 << 20;

/// The image a function runs, and what was pushed to its repository lately.
pub(super) async fn of_function(cloud: &Cloud, found: Option<&FoundFunction>) -> KnownImages {
    let mut known = nothing(cloud);
    let uri = found.and_then(|found| found.function.resolved_image_uri.as_deref());
    let Some(reference) = uri.and_then(|uri| uri.parse::<ImageReference>().ok()) else { return known };
    if let Some(digest) = reference.digest {
        add(cloud, &mut known, &reference.repository, digest, KnownBy::LiveImage).await;
    }
    lately(cloud, &mut known, &reference.repository).await;
    known
}

/// What was pushed to a repository lately: from here, else by whomever.
pub(super) async fn of_repository(cloud: &Cloud, repository: &Repository) -> KnownImages {
    let mut known = nothing(cloud);
    let uri = &repository.uri;
    lately(cloud, &mut known, uri).await;
    if known.is_empty() {
        let newest = newest(cloud, repository).await;
        let has_begun = has_begun(cloud, uri);
        let is_new = async { newest == Some(Newest::Nothing) && !has_begun };
        cloud.limits().uploads.is_new(uri, is_new).await;
        if let Some(Newest::Image(digest)) = newest {
            add(cloud, &mut known, uri, digest, KnownBy::RecentPush).await;
        }
    }
    known
}

/// Whether a repository has no image, and no layer of one as far as is known here: an earlier push
/// may have ended before its image was there.
pub(super) async fn is_new(cloud: &Cloud, repository: &Repository) -> bool {
    let uri = &repository.uri;
    let ask = async { !has_begun(cloud, uri) && newest(cloud, repository).await == Some(Newest::Nothing) };
    cloud.limits().uploads.is_new(uri, ask).await
}

fn has_begun(cloud: &Cloud, repository: &RepositoryUri) -> bool {
    cloud.cache().is_some_and(|cache| cache.has_begun(repository))
}

/// What ECR says was pushed last; whoever may push need not be allowed to ask.
async fn newest(cloud: &Cloud, Repository { uri, account, .. }: &Repository) -> Option<Newest> {
    let newest = cloud.ecr().newest_image(Some(account), &uri.name).await;
    newest.inspect_err(|error| tracing::debug!("the images of `{uri}` are not listed: {error}")).ok()
}

/// No image of the repository; base images are found when they are needed.
pub(super) fn nothing(cloud: &Cloud) -> KnownImages {
    let known = KnownImages::default().reading(Arc::new(Bases(cloud.clone())));
    match cloud.cache() {
        Some(cache) => known.remembering(Arc::new(cache.clone())),
        None => known,
    }
}

/// Remembers an image that is in a repository.
pub(super) async fn remember(cloud: &Cloud, repository: &RepositoryUri, image: &Image) {
    let Some(cache) = cloud.cache().cloned() else { return };
    let (repository, digest) = (repository.clone(), image.digest());
    let documents = [image.manifest_bytes.clone(), image.config_bytes.clone()];
    let writing = tokio::task::spawn_blocking(move || {
        if cache.remember(&repository, digest) {
            documents.iter().for_each(|document| cache.keep(document));
        }
    });
    let _ = writing.await;
}

async fn lately(cloud: &Cloud, known: &mut KnownImages, repository: &RepositoryUri) {
    for digest in cloud.cache().map(|cache| cache.lately(repository)).unwrap_or_default() {
        known.note_earlier_push();
        add(cloud, known, repository, digest, KnownBy::RecentPush).await;
    }
}

async fn add(
    cloud: &Cloud,
    known: &mut KnownImages,
    repository: &RepositoryUri,
    digest: Digest,
    by: KnownBy,
) {
    let Ok(client) = cloud.registry(&repository.registry).await else { return };
    match look_up(cloud, &client, repository, digest, by).await {
        Ok(Some(image)) => known.add(image),
        Ok(None) => {}
        Err(error) => {
            let remark = format!("`{repository}@{digest}` cannot be asked for its layers: {error}");
            cloud.report(Event::Detail(remark));
        }
    }
}

/// Reads an image's documents, from the cache where they are there.
async fn look_up(
    cloud: &Cloud,
    client: &RegistryClient,
    repository: &RepositoryUri,
    digest: Digest,
    by: KnownBy,
) -> Result<Option<Image>, ImageError> {
    let cached = |digest: &Digest| cloud.cache().and_then(|cache| cache.document(digest));
    let keep = |bytes: &Bytes| cloud.cache().into_iter().for_each(|cache| cache.keep(bytes));
    let name = &repository.name;
    let manifest_bytes = match cached(&digest) {
        Some(bytes) => bytes,
        None => match client.manifest(name, &digest.to_string()).await? {
            Some(manifest) => {
                keep(&manifest.bytes);
                manifest.bytes
            }
            None => return Ok(None),
        },
    };
    let Ok(manifest) = serde_json::from_slice::<Manifest>(&manifest_bytes) else { return Ok(None) };
    let config_bytes = match cached(&manifest.config.digest) {
        Some(bytes) => bytes,
        None if manifest.config.size > LARGEST_CONFIG => return Ok(None),
        None => {
            let bytes = read(client, repository, &manifest.config).await?;
            keep(&bytes);
            bytes
        }
    };
    let media_type = manifest.media_type.unwrap_or(match manifest.config.media_type {
        MediaType::DockerConfig => MediaType::DockerManifest,
        _ => MediaType::OciManifest,
    });
    Ok(from_documents(client, name, media_type, manifest_bytes, config_bytes, by))
}

async fn read(
    client: &RegistryClient,
    repository: &RepositoryUri,
    config: &Descriptor,
) -> Result<Bytes, ImageError> {
    let unreadable = |source| ImageError::Read { what: format!("{repository}@{}", config.digest), source };
    let chunks: Vec<Bytes> =
        client.blob(&repository.name, config).await?.try_collect().await.map_err(unreadable)?;
    Ok(chunks.concat().into())
}
