//! Uploads of blobs: sessions that any process serving the directory can go on with.
//!
//! A session is a document (what was received, in which parts) and a file of bytes. The
//! registry's `…/blobs/uploads/` and the ECR API's `UploadLayerPart` both work on it. Whoever
//! writes holds a [`Claim`]; a claim that is dropped before its part is complete takes the whole
//! session with it, as a connection that breaks leaves nothing behind.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::blob;
use super::call::{ACCOUNT, Call};
use super::repository::{BlobLink, Repository, milliseconds, no_such_repository};
use super::store::{Store, StoreError, Transaction, at};
use crate::domain::digest::Digest;

/// Every part but the last has at least this many bytes.
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html>
pub const SMALLEST_PART: u64 = 5 * 1024 * 1024;

/// A session nobody has finished for so long is swept away when a server starts.
const ABANDONED_AFTER_MILLISECONDS: i64 = 24 * 60 * 60 * 1000;

/// Says why an upload does not go on, in ECR's words where they are known.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The repository does not exist.
    #[error("{}", no_such_repository(.0))]
    NoRepository(String),
    /// No such session; the text is modelled on `EmptyUploadException`'s.
    #[error(
        "The upload with id '{id}' in the repository with name '{repository}' in registry with id '{ACCOUNT}' does not exist"
    )]
    NotFound {
        /// The session.
        id: String,
        /// The repository.
        repository: String,
    },
    /// The part does not begin where the last one ended.
    #[error("First byte of the layer part is {first} instead of {expected}")]
    OutOfOrder {
        /// Where it begins.
        first: u64,
        /// Where it should.
        expected: u64,
    },
    /// Nothing was uploaded: ECR takes no empty blobs.
    #[error(
        "The upload with id '{id}' in the repository with name '{repository}' in registry with id '{ACCOUNT}' cannot be completed because it does not have any parts"
    )]
    Empty {
        /// The session.
        id: String,
        /// The repository.
        repository: String,
    },
    /// A part before the last is too small.
    #[error("All layer parts except the last part should be at least 5MB")]
    PartTooSmall,
    /// The bytes have another digest.
    #[error("None of the provided layer digests match the calculated layer digest")]
    DigestMismatch,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, Serialize, Deserialize)]
struct Session {
    repository: String,
    started_at: i64,
    parts: Vec<u64>,
    claimed: bool,
}

impl Session {
    fn received(&self) -> u64 {
        self.parts.iter().sum()
    }
}

/// Hashes of the bytes received so far, so that finishing need not read a file again. A session
/// begun in another process has none, and is read.
#[derive(Clone, Debug, Default)]
pub struct Hashes(Arc<Mutex<HashMap<String, (u64, sha2::Sha256)>>>);

impl Hashes {
    fn take(&self, id: &str) -> Option<(u64, sha2::Sha256)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }

    fn keep(&self, id: &str, length: u64, hash: sha2::Sha256) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), (length, hash));
    }
}

/// The right to append to a session, held by one writer at a time.
#[derive(Debug)]
pub struct Claim {
    store: Arc<Store>,
    key: String,
    hashes: Hashes,
    /// Which session.
    pub id: String,
    /// Which repository the blob is for.
    pub repository: String,
    /// Bytes received before.
    pub received: u64,
    /// The hash of all bytes so far; `None` where an earlier part went through another process.
    pub hash: Option<sha2::Sha256>,
    open: bool,
}

impl Claim {
    /// The file to append to.
    pub fn file(&self) -> PathBuf {
        file(&self.store, &self.id)
    }

    /// Records that `length` bytes were appended, and lets go. Returns the length of the first
    /// part, which is all ECR's `Range` ever tells.
    pub fn complete_part(mut self, length: u64) -> Result<u64, UploadError> {
        let first = self.store.transaction(|tx| {
            let mut session = self.session(tx)?;
            session.parts.push(length);
            session.claimed = false;
            tx.write(&self.key, &session)?;
            Ok::<_, UploadError>(session.parts.first().copied().unwrap_or_default())
        })??;
        self.open = false;
        if let Some(hash) = self.hash.take() {
            self.hashes.keep(&self.id, self.received + length, hash);
        }
        Ok(first)
    }

    /// Makes the blob of everything received, `length` bytes of a last part included, if its
    /// digest is one of `accepted`. The session is gone afterwards, either way.
    pub fn finish(
        mut self,
        length: u64,
        accepted: &[Digest],
        tells: Exists,
    ) -> Result<Finished, UploadError> {
        if self.received + length == 0 {
            return Err(UploadError::Empty { id: self.id.clone(), repository: self.repository.clone() });
        }
        let digest = match self.hash.take() {
            Some(hash) => Digest::from_sha256(hash.finalize().into()),
            None => hash_file(&self.file())?,
        };
        if !accepted.contains(&digest) {
            return Err(UploadError::DigestMismatch);
        }
        self.store.transaction(|tx| {
            let session = self.session(tx)?;
            // A last part of its own, if it has bytes, makes all others earlier ones.
            let earlier =
                if length > 0 { session.parts.len() } else { session.parts.len().saturating_sub(1) };
            if session.parts.iter().take(earlier).any(|part| *part < SMALLEST_PART) {
                return Err(UploadError::PartTooSmall);
            }
            let mut repository = find(tx, &self.key, &self.repository)?;
            let existed = repository.blobs.contains_key(&digest);
            if existed && tells == Exists::IsAnError {
                return Ok(Finished { digest, existed });
            }
            blob::adopt(&self.store, &self.file(), &digest)?;
            let size = self.received + length;
            repository.blobs.entry(digest).or_insert(BlobLink { size, media_type: None });
            repository.save(tx)?;
            Ok(Finished { digest, existed })
        })?
    }

    fn session(&self, tx: &Transaction<'_>) -> Result<Session, UploadError> {
        tx.read(&self.key)?
            .ok_or_else(|| UploadError::NotFound { id: self.id.clone(), repository: self.repository.clone() })
    }
}

impl Drop for Claim {
    /// Removes a session that was not left in order: finished, broken off, or refused.
    fn drop(&mut self) {
        if self.open {
            let _ = fs::remove_file(self.file());
            let _ = self.store.transaction(|tx| tx.delete(&self.key));
        }
    }
}

/// Whether it matters that the repository had the blob already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exists {
    /// The registry does not mind.
    IsFine,
    /// The API answers `LayerAlreadyExistsException`.
    IsAnError,
}

/// A finished upload.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// The blob.
    pub digest: Digest,
    /// The repository had it before.
    pub existed: bool,
}

/// Opens a session and returns its id.
pub fn start(call: &Call, repository: &str) -> Result<String, UploadError> {
    let id = uuid::Uuid::new_v4().to_string();
    let session = Session {
        repository: repository.to_owned(),
        started_at: milliseconds(call.now),
        parts: Vec::new(),
        claimed: false,
    };
    let key = key(&call.region, &id);
    call.store.transaction(|tx| {
        find(tx, &key, repository)?;
        Ok::<_, UploadError>(tx.write(&key, &session)?)
    })??;
    Ok(id)
}

/// Claims a session to append a part that begins at `first_byte` (`None`: wherever the last
/// one ended).
pub fn claim(
    call: &Call,
    hashes: &Hashes,
    repository: &str,
    id: &str,
    first_byte: Option<u64>,
) -> Result<Claim, UploadError> {
    let missing = || UploadError::NotFound { id: id.to_owned(), repository: repository.to_owned() };
    // Also keeps everything but a plain word out of paths.
    if uuid::Uuid::try_parse(id).is_err() {
        return Err(missing());
    }
    let key = key(&call.region, id);
    let received = call.store.transaction(|tx| {
        let session: Option<Session> = tx.read(&key)?;
        let mut session = session.filter(|session| session.repository == repository).ok_or_else(missing)?;
        let expected = session.received();
        let first = first_byte.unwrap_or(expected);
        // Somebody else is writing: what this part follows is not known yet.
        if first != expected || session.claimed {
            return Err(UploadError::OutOfOrder { first, expected });
        }
        session.claimed = true;
        tx.write(&key, &session)?;
        Ok(expected)
    })??;
    let hash = match hashes.take(id) {
        _ if received == 0 => Some(sha2::Sha256::new()),
        Some((length, hash)) if length == received => Some(hash),
        _ => None,
    };
    let uploads = folder(&call.store);
    fs::create_dir_all(&uploads).map_err(at(&uploads))?;
    Ok(Claim {
        store: call.store.clone(),
        key,
        hashes: hashes.clone(),
        id: id.to_owned(),
        repository: repository.to_owned(),
        received,
        hash,
        open: true,
    })
}

/// Removes sessions that were abandoned long ago.
pub fn sweep(store: &Store, now: time::OffsetDateTime) -> Result<(), StoreError> {
    store.transaction(|tx| {
        for region in tx.folders("")? {
            for id in tx.list(&format!("{region}/ecr/uploads"))? {
                let key = key(&region, &id);
                let session: Option<Session> = tx.read(&key)?;
                let age = session.map_or(0, |session| milliseconds(now) - session.started_at);
                if age > ABANDONED_AFTER_MILLISECONDS {
                    let _ = fs::remove_file(file(store, &id));
                    tx.delete(&key)?;
                }
            }
        }
        Ok(())
    })?
}

/// The folder of bytes on their way.
pub fn folder(store: &Store) -> PathBuf {
    store.directory().join("uploads")
}

fn file(store: &Store, id: &str) -> PathBuf {
    folder(store).join(id)
}

fn key(region: &str, id: &str) -> String {
    format!("{region}/ecr/uploads/{id}")
}

/// The repository a session's key belongs to the region of.
fn find(tx: &Transaction<'_>, key: &str, repository: &str) -> Result<Repository, UploadError> {
    let region = key.split('/').next().unwrap_or_default();
    Repository::find(tx, region, repository)?.ok_or_else(|| UploadError::NoRepository(repository.to_owned()))
}

fn hash_file(path: &std::path::Path) -> Result<Digest, StoreError> {
    let mut file = fs::File::open(path).map_err(at(path))?;
    let mut hash = sha2::Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).map_err(at(path))? {
            0 => return Ok(Digest::from_sha256(hash.finalize().into())),
            length => hash.update(&buffer[..length]),
        }
    }
}
