//! Putting a manifest into a repository: ECR's checks, and what it remembers of an image.
//!
//! The registry's `PUT …/manifests/…` and the API's `PutImage` both come here, and each finds
//! its own code for what is refused; the texts are the same.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;

use super::blob;
use super::call::ACCOUNT;
use super::repository::{Repository, StoredImage, milliseconds};
use super::store::{Store, StoreError};
use crate::domain::digest::Digest;
use crate::domain::manifest::{Descriptor, ImageIndex, Manifest, MediaType};

/// The most bytes ECR takes as a manifest.
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html>
pub const MANIFEST_LIMIT: usize = 4_194_304;

/// A manifest that is to be stored.
#[derive(Clone, Debug)]
pub struct NewImage<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// What the request says it is; else the manifest's own `mediaType` counts.
    pub media_type: Option<&'a str>,
    /// The digest it must have.
    pub digest: Option<Digest>,
    /// The tag it gets.
    pub tag: Option<&'a str>,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct PutImage {
    /// The manifest's digest.
    pub digest: Digest,
    /// The repository had it already, under the same tag.
    pub existed: bool,
    /// The manifest it says something about.
    pub subject: Option<Digest>,
}

/// Says why ECR does not take a manifest, in ECR's words.
#[derive(Debug, thiserror::Error)]
pub enum PutImageError {
    /// Not a manifest of a kind it knows.
    #[error("Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'")]
    Invalid,
    /// Larger than [`MANIFEST_LIMIT`]. The text is not AWS's.
    #[error(
        "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Member must have length less than or equal to 4194304'"
    )]
    TooLarge,
    /// Its digest is another one.
    #[error(
        "The image with digest '{digest}' in repository '{repository}' and registry ID '{ACCOUNT}' does not match the image digest that Amazon ECR has calculated."
    )]
    DigestMismatch {
        /// The digest that was asked for.
        digest: Digest,
        /// The repository.
        repository: String,
    },
    /// Blobs it refers to are not in the repository.
    #[error(
        "Layers with digests '[{}]' required for pushing image into repository with name '{repository}' in the registry with id '{ACCOUNT}' do not exist",
        listed(missing)
    )]
    LayersMissing {
        /// Which.
        missing: Vec<Digest>,
        /// The repository.
        repository: String,
    },
    /// Manifests an index refers to are not in the repository.
    #[error(
        "Images with digests '[{}]' required for pushing image into repository with name '{repository}' in the registry with id '{ACCOUNT}' do not exist",
        listed(missing)
    )]
    ImagesMissing {
        /// Which.
        missing: Vec<Digest>,
        /// The repository.
        repository: String,
    },
    /// The tag names another image and may not be moved.
    #[error(
        "The image tag '{tag}' already exists in the '{repository}' repository and cannot be overwritten because the tag is immutable."
    )]
    TagImmutable {
        /// The tag.
        tag: String,
        /// The repository.
        repository: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn listed(digests: &[Digest]) -> String {
    digests.iter().map(Digest::to_string).collect::<Vec<_>>().join(", ")
}

/// Checks a manifest and puts it into `repository`, which the caller saves in the same
/// transaction.
pub fn put_image(
    store: &Store,
    repository: &mut Repository,
    new: &NewImage<'_>,
    now: OffsetDateTime,
) -> Result<PutImage, PutImageError> {
    if new.bytes.len() > MANIFEST_LIMIT {
        return Err(PutImageError::TooLarge);
    }
    let document: Value = serde_json::from_slice(new.bytes).map_err(|_| PutImageError::Invalid)?;
    let media_type = media_type(&document, new.media_type)?;
    let digest = Digest::of(new.bytes);
    if let Some(wanted) = new.digest.filter(|wanted| *wanted != digest) {
        return Err(PutImageError::DigestMismatch { digest: wanted, repository: repository.name.clone() });
    }
    let mut image = if media_type.is_index() {
        of_index(&document, media_type, repository)?
    } else {
        of_manifest(&document, media_type, repository)?
    };
    image.manifest_size = new.bytes.len() as u64;
    image.pushed_at = milliseconds(now);
    image.subject = document["subject"]["digest"].as_str().and_then(|subject| subject.parse().ok());

    let subject = image.subject;
    let tagged = new.tag.and_then(|tag| repository.tags.get(tag)).copied();
    if let Some(tag) = new.tag.filter(|tag| tagged.is_some() && repository.tag_mutability.protects(tag))
        && tagged != Some(digest)
    {
        return Err(PutImageError::TagImmutable { tag: tag.to_owned(), repository: repository.name.clone() });
    }
    let existed = repository.images.contains_key(&digest) && (new.tag.is_none() || tagged == Some(digest));
    blob::write(store, new.bytes)?;
    repository.images.entry(digest).or_insert(image);
    if let Some(tag) = new.tag {
        repository.tags.insert(tag.to_owned(), digest);
    }
    Ok(PutImage { digest, existed, subject })
}

/// The kind of manifest, by the request and by the manifest, which must not disagree.
fn media_type(document: &Value, requested: Option<&str>) -> Result<MediaType, PutImageError> {
    let own = document["mediaType"].as_str().map(MediaType::from);
    let requested = requested.map(MediaType::from);
    let kind = match (own, requested) {
        (Some(own), Some(requested)) if own != requested => None,
        (own, requested) => own.or(requested),
    };
    kind.filter(|kind| document["schemaVersion"] == 2 && (kind.is_manifest() || kind.is_index()))
        .ok_or(PutImageError::Invalid)
}

fn of_manifest(
    document: &Value,
    media_type: MediaType,
    repository: &mut Repository,
) -> Result<StoredImage, PutImageError> {
    let manifest: Manifest = read(document)?;
    // A document that has both is an attack on readers that choose differently (CVE-2021-41190).
    if document.get("manifests").is_some() {
        return Err(PutImageError::Invalid);
    }
    let parts: Vec<&Descriptor> =
        std::iter::once(&manifest.config).chain(&manifest.layers).filter(|part| !is_foreign(part)).collect();
    let missing = absent(&parts, |part| repository.blobs.contains_key(&part.digest));
    if !missing.is_empty() {
        return Err(PutImageError::LayersMissing { missing, repository: repository.name.clone() });
    }
    for part in &parts {
        let link = repository.blobs.entry(part.digest).or_default();
        // A manifest that lies about sizes cannot be pulled.
        if link.size != part.size {
            return Err(PutImageError::Invalid);
        }
        link.media_type = Some(part.media_type.to_string());
    }
    let artifact_type = document["artifactType"].as_str().map(str::to_owned).or_else(|| {
        let config = &manifest.config.media_type;
        (!matches!(config, MediaType::OciConfig | MediaType::DockerConfig)).then(|| config.to_string())
    });
    Ok(StoredImage {
        media_type,
        manifest_size: 0,
        size: parts.iter().map(|part| part.size).sum(),
        pushed_at: 0,
        artifact_type,
        subject: None,
        blobs: parts.iter().map(|part| part.digest).collect(),
        children: BTreeSet::new(),
    })
}

fn of_index(
    document: &Value,
    media_type: MediaType,
    repository: &Repository,
) -> Result<StoredImage, PutImageError> {
    let index: ImageIndex = read(document)?;
    if document.get("layers").is_some() || document.get("config").is_some() {
        return Err(PutImageError::Invalid);
    }
    let entries: Vec<&Descriptor> = index.manifests.iter().collect();
    let missing = absent(&entries, |entry| repository.images.contains_key(&entry.digest));
    if !missing.is_empty() {
        return Err(PutImageError::ImagesMissing { missing, repository: repository.name.clone() });
    }
    let children: BTreeSet<Digest> = entries.iter().map(|entry| entry.digest).collect();
    Ok(StoredImage {
        media_type,
        manifest_size: 0,
        size: children.iter().filter_map(|child| Some(repository.images.get(child)?.size)).sum(),
        pushed_at: 0,
        artifact_type: document["artifactType"].as_str().map(str::to_owned),
        subject: None,
        blobs: BTreeSet::new(),
        children,
    })
}

/// Layers that are never pushed: their bytes are elsewhere.
fn is_foreign(part: &Descriptor) -> bool {
    let name = part.media_type.as_str();
    name.contains("nondistributable") || name.contains(".foreign.")
}

fn absent(parts: &[&Descriptor], present: impl Fn(&Descriptor) -> bool) -> Vec<Digest> {
    let mut missing: Vec<Digest> =
        parts.iter().filter(|part| !present(part)).map(|part| part.digest).collect();
    missing.dedup();
    missing
}

/// Reads a manifest or an index out of a document that was parsed already.
fn read<T: DeserializeOwned>(document: &Value) -> Result<T, PutImageError> {
    serde_json::from_value(document.clone()).map_err(|_| PutImageError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::repository::BlobLink;

    struct Bench {
        _directory: tempfile::TempDir,
        store: Store,
        repository: Repository,
    }

    impl Bench {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store = Store::open(directory.path()).unwrap();
            let name = "hello".parse().unwrap();
            let repository = Repository::new("us-east-1", &name, OffsetDateTime::UNIX_EPOCH);
            Self { _directory: directory, store, repository }
        }

        fn blob(&mut self, media_type: MediaType, bytes: &[u8]) -> Descriptor {
            let size = bytes.len() as u64;
            self.repository.blobs.insert(Digest::of(bytes), BlobLink { size, media_type: None });
            Descriptor::new(media_type, Digest::of(bytes), size)
        }

        fn manifest(&mut self, layer: &[u8]) -> Vec<u8> {
            let config = self.blob(MediaType::OciConfig, b"{}");
            let layer = self.blob(MediaType::OciLayerGzip, layer);
            serde_json::to_vec(&Manifest::oci(config, vec![layer])).unwrap()
        }

        fn put(&mut self, bytes: &[u8], tag: Option<&str>) -> Result<PutImage, PutImageError> {
            let new = NewImage { bytes, media_type: None, digest: None, tag };
            put_image(&self.store, &mut self.repository, &new, OffsetDateTime::UNIX_EPOCH)
        }
    }

    #[test]
    fn an_image_needs_its_blobs_and_an_index_its_images() {
        let mut bench = Bench::new();
        let manifest = bench.manifest(b"layer");
        let layer = Digest::of(b"layer");
        bench.repository.blobs.remove(&layer);
        let error = bench.put(&manifest, None).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "Layers with digests '[{layer}]' required for pushing image into repository with name 'hello' in the registry with id '000000000000' do not exist"
            )
        );
        let image = Descriptor::new(MediaType::OciManifest, Digest::of(&manifest), manifest.len() as u64);
        let index =
            ImageIndex { schema_version: 2, media_type: Some(MediaType::OciIndex), manifests: vec![image] };
        let index = serde_json::to_vec(&index).unwrap();
        assert!(matches!(bench.put(&index, None), Err(PutImageError::ImagesMissing { .. })));
        bench.blob(MediaType::OciLayerGzip, b"layer");
        bench.put(&manifest, None).unwrap();
        let put = bench.put(&index, Some("all")).unwrap();
        assert_eq!(bench.repository.digest_of("all"), Some(put.digest));
        assert_eq!(bench.repository.images[&put.digest].size, 7);
    }

    #[test]
    fn an_immutable_tag_stays_where_it_is() {
        let mut bench = Bench::new();
        bench.repository.tag_mutability.setting = "IMMUTABLE".into();
        let first = bench.manifest(b"one");
        let second = bench.manifest(b"two");
        assert!(!bench.put(&first, Some("v1")).unwrap().existed);
        assert!(bench.put(&first, Some("v1")).unwrap().existed);
        let error = bench.put(&second, Some("v1")).unwrap_err().to_string();
        assert_eq!(
            error,
            "The image tag 'v1' already exists in the 'hello' repository and cannot be overwritten because the tag is immutable."
        );
        assert!(bench.put(&second, Some("v2")).is_ok());
        assert_eq!(bench.repository.digest_of("v1"), Some(Digest::of(&first)));
    }

    #[test]
    fn what_is_not_a_manifest_is_refused() {
        let mut bench = Bench::new();
        let good = bench.manifest(b"layer");
        let document: Value = serde_json::from_slice(&good).unwrap();
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut document = document.clone();
            change(&mut document);
            serde_json::to_vec(&document).unwrap()
        };
        for bad in [
            b"not json".to_vec(),
            changed(&|d| d["schemaVersion"] = 1.into()),
            changed(&|d| d["mediaType"] = "text/plain".into()),
            changed(&|d| d["manifests"] = Value::Array(Vec::new())),
            changed(&|d| d["layers"][0]["size"] = 4.into()),
            changed(&|d| d["config"] = Value::Null),
        ] {
            let text = String::from_utf8_lossy(&bad).into_owned();
            assert!(matches!(bench.put(&bad, None), Err(PutImageError::Invalid)), "{text}");
        }
        let new = NewImage {
            bytes: &good,
            media_type: Some(MediaType::DockerManifest.as_str()),
            digest: None,
            tag: None,
        };
        let put = put_image(&bench.store, &mut bench.repository, &new, OffsetDateTime::UNIX_EPOCH);
        assert!(matches!(put, Err(PutImageError::Invalid)));
    }
}
