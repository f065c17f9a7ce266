//! Blobs of the local cloud: content-addressed files that all repositories share.
//!
//! A file appears under its digest by renaming, whole or not at all, so that several processes
//! can serve one directory. Which repository may show a blob is [`super::repository`]'s matter.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::store::{Store, StoreError, at};
use crate::domain::digest::Digest;

/// The folder of all blobs, below the store's directory.
pub fn folder(store: &Store) -> PathBuf {
    store.directory().join("blobs").join("sha256")
}

/// The file of the blob `digest`, whether or not it exists.
pub fn path(store: &Store, digest: &Digest) -> PathBuf {
    folder(store).join(digest.hex())
}

/// The number of bytes of a blob; `None` where there is none.
pub fn size(store: &Store, digest: &Digest) -> Option<u64> {
    fs::metadata(path(store, digest)).ok().map(|metadata| metadata.len())
}

/// Reads a small blob (a manifest or a configuration) whole; `None` where there is none.
pub fn read(store: &Store, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
    let path = path(store, digest);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::File { path, source }),
    }
}

/// Stores a small blob and returns its digest.
pub fn write(store: &Store, bytes: &[u8]) -> Result<Digest, StoreError> {
    let digest = Digest::of(bytes);
    let folder = folder(store);
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(at(&folder))?;
    file.write_all(bytes).map_err(at(&folder))?;
    let path = path(store, &digest);
    file.persist(&path).map_err(|error| StoreError::File { path, source: error.error })?;
    Ok(digest)
}

/// Moves a finished upload to its digest.
pub fn adopt(store: &Store, file: &Path, digest: &Digest) -> Result<(), StoreError> {
    let folder = folder(store);
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    fs::rename(file, path(store, digest)).map_err(at(file))
}

/// Removes every blob that is not in `wanted`. Call it inside a transaction that decided so:
/// blobs are linked in the transaction that adopts them.
pub fn sweep(store: &Store, wanted: &BTreeSet<Digest>) -> Result<(), StoreError> {
    for (name, file) in files(store)? {
        let unwanted = Digest::from_hex(&name).is_ok_and(|digest| !wanted.contains(&digest));
        if unwanted {
            fs::remove_file(&file).map_err(at(&file))?;
        }
    }
    Ok(())
}

/// The bytes of all blobs together.
pub fn total_bytes(store: &Store) -> Result<u64, StoreError> {
    Ok(files(store)?.iter().filter_map(|(_, file)| Some(fs::metadata(file).ok()?.len())).sum())
}

fn files(store: &Store) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let folder = folder(store);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(StoreError::File { path: folder, source }),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at(&folder))?;
        files.extend(entry.file_name().to_str().map(|name| (name.to_owned(), entry.path())));
    }
    Ok(files)
}
