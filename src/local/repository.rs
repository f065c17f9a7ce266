//! A repository as the local cloud remembers it: one document with its settings, its images,
//! its tags, and the blobs it may show.
//!
//! The registry, the ECR API and Lambda's resolving of images all work on it, each within a
//! transaction of the store.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::blob;
use super::call::ACCOUNT;
use super::store::{Store, StoreError, Transaction};
use crate::domain::arn::Partition;
use crate::domain::digest::Digest;
use crate::domain::manifest::MediaType;
use crate::domain::reference::RepositoryName;

/// A blob a repository may show.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BlobLink {
    /// Bytes as stored.
    pub size: u64,
    /// What a manifest said it is; unknown until one refers to it.
    pub media_type: Option<String>,
}

/// A manifest in a repository; its bytes are a blob.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredImage {
    /// The media type it was put with.
    pub media_type: MediaType,
    /// Bytes of its manifest.
    pub manifest_size: u64,
    /// Compressed bytes of its configuration and layers.
    pub size: u64,
    /// When it was put first, in milliseconds since 1970.
    pub pushed_at: i64,
    /// What kind of artifact it is, where it says so.
    pub artifact_type: Option<String>,
    /// The manifest it says something about (OCI referrers).
    pub subject: Option<Digest>,
    /// The blobs it refers to.
    pub blobs: BTreeSet<Digest>,
    /// The manifests it refers to, where it is an index.
    pub children: BTreeSet<Digest>,
}

/// Whether tags may be moved, with exceptions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagMutability {
    /// `MUTABLE`, `IMMUTABLE`, or one of them `_WITH_EXCLUSION`.
    pub setting: String,
    /// Wildcards for tags that are the other way round.
    pub exclusions: Vec<String>,
}

impl Default for TagMutability {
    fn default() -> Self {
        Self { setting: "MUTABLE".to_owned(), exclusions: Vec::new() }
    }
}

impl TagMutability {
    /// Tells whether `tag` may not be moved.
    pub fn protects(&self, tag: &str) -> bool {
        let excluded = self.setting.ends_with("_WITH_EXCLUSION")
            && self.exclusions.iter().any(|wildcard| matches_wildcard(wildcard, tag));
        self.setting.starts_with("IMMUTABLE") != excluded
    }
}

/// Matches `*` against any run of characters (and nothing else specially).
pub fn matches_wildcard(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    let mut rest = rest;
    for piece in pieces {
        match rest.find(piece) {
            Some(position) => rest = &rest[position + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// One repository of one region.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Repository {
    /// Its region.
    pub region: String,
    /// Its name.
    pub name: String,
    /// In milliseconds since 1970.
    pub created_at: i64,
    /// Whether tags may be moved.
    pub tag_mutability: TagMutability,
    /// Echoed only.
    pub scan_on_push: bool,
    /// Echoed only.
    pub encryption: Value,
    /// Its AWS tags.
    pub resource_tags: BTreeMap<String, String>,
    /// The text of its policy, as it was set.
    pub policy: Option<String>,
    /// The blobs it may show.
    pub blobs: BTreeMap<Digest, BlobLink>,
    /// Its manifests.
    pub images: BTreeMap<Digest, StoredImage>,
    /// Its tags.
    pub tags: BTreeMap<String, Digest>,
}

impl Repository {
    /// An empty repository with ECR's defaults.
    pub fn new(region: &str, name: &RepositoryName, now: OffsetDateTime) -> Self {
        Self {
            region: region.to_owned(),
            name: name.to_string(),
            created_at: milliseconds(now),
            tag_mutability: TagMutability::default(),
            scan_on_push: false,
            encryption: serde_json::json!({ "encryptionType": "AES256" }),
            resource_tags: BTreeMap::new(),
            policy: None,
            blobs: BTreeMap::new(),
            images: BTreeMap::new(),
            tags: BTreeMap::new(),
        }
    }

    /// Reads a repository; `None` where there is none.
    pub fn find(tx: &Transaction<'_>, region: &str, name: &str) -> Result<Option<Self>, StoreError> {
        tx.read(&key(region, name))
    }

    /// Reads all repositories of a region, by name.
    pub fn all(tx: &Transaction<'_>, region: &str) -> Result<Vec<Self>, StoreError> {
        let folder = format!("{region}/ecr/repositories");
        let mut repositories: Vec<Self> = Vec::new();
        for word in tx.list(&folder)? {
            repositories.extend(tx.read(&format!("{folder}/{word}"))?);
        }
        repositories.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(repositories)
    }

    /// Reads all repositories of all regions, by region and name.
    pub fn everywhere(tx: &Transaction<'_>) -> Result<Vec<Self>, StoreError> {
        let mut repositories = Vec::new();
        for region in tx.folders("")? {
            repositories.extend(Self::all(tx, &region)?);
        }
        Ok(repositories)
    }

    /// Writes it back.
    pub fn save(&self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        tx.write(&key(&self.region, &self.name), self)
    }

    /// Removes it, and every blob that no repository needs any more.
    pub fn delete(&self, store: &Store, tx: &Transaction<'_>) -> Result<(), StoreError> {
        tx.delete(&key(&self.region, &self.name))?;
        let remaining = Self::everywhere(tx)?;
        let wanted = remaining.iter().flat_map(|other| other.blobs.keys().chain(other.images.keys()));
        blob::sweep(store, &wanted.copied().collect())
    }

    /// Its Amazon resource name.
    pub fn arn(&self) -> String {
        let partition = Partition::of_region(&self.region);
        format!("arn:{partition}:ecr:{}:{ACCOUNT}:repository/{}", self.region, self.name)
    }

    /// The digest a tag or a digest names here.
    pub fn digest_of(&self, reference: &str) -> Option<Digest> {
        match reference.parse::<Digest>() {
            Ok(digest) => self.images.contains_key(&digest).then_some(digest),
            Err(_) => self.tags.get(reference).copied(),
        }
    }

    /// The tags of an image, sorted.
    pub fn tags_of(&self, digest: &Digest) -> Vec<&str> {
        self.tags.iter().filter(|(_, tagged)| *tagged == digest).map(|(tag, _)| tag.as_str()).collect()
    }

    /// Tells whether a manifest here refers to the blob: only such blobs can be mounted.
    pub fn refers_to(&self, blob: &Digest) -> bool {
        self.images.values().any(|image| image.blobs.contains(blob))
    }
}

/// What ECR says about a repository that does not exist.
pub fn no_such_repository(name: &str) -> String {
    format!("The repository with name '{name}' does not exist in the registry with id '{ACCOUNT}'")
}

/// The time as documents keep it.
pub fn milliseconds(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

fn key(region: &str, name: &str) -> String {
    // Slashes would make folders of namespaces; `+` is in no name. A file's name has 255 bytes,
    // a repository's up to 256.
    let word = if name.len() > 200 { Digest::of(name.as_bytes()).hex() } else { name.replace('/', "+") };
    format!("{region}/ecr/repositories/{word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_ecr_describes_them() {
        for (pattern, text, expected) in [
            ("latest", "latest", true),
            ("latest", "latest1", false),
            ("*", "anything", true),
            ("dev-*", "dev-1", true),
            ("dev-*", "prod-dev-1", false),
            ("*-rc*", "1.0-rc2", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches_wildcard(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn exclusions_turn_the_setting_round() {
        let mutability = |setting: &str| TagMutability {
            setting: setting.to_owned(),
            exclusions: vec!["dev-*".to_owned()],
        };
        assert!(!mutability("MUTABLE").protects("v1"));
        assert!(mutability("IMMUTABLE").protects("dev-1"));
        assert!(mutability("IMMUTABLE_WITH_EXCLUSION").protects("v1"));
        assert!(!mutability("IMMUTABLE_WITH_EXCLUSION").protects("dev-1"));
        assert!(mutability("MUTABLE_WITH_EXCLUSION").protects("dev-1"));
        assert!(!mutability("MUTABLE_WITH_EXCLUSION").protects("v1"));
    }

    #[test]
    fn the_longest_name_can_be_kept() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let name: RepositoryName = "a".repeat(256).parse().unwrap();
        store
            .transaction(|tx| {
                Repository::new("us-east-1", &name, OffsetDateTime::UNIX_EPOCH).save(tx).unwrap();
                assert_eq!(Repository::all(tx, "us-east-1").unwrap()[0].name, name.as_str());
            })
            .unwrap();
    }
}
