//! What a local cloud holds, seen without a server; and wiping it.

use std::fs;
use std::io;
use std::path::Path;

use time::OffsetDateTime;

use super::repository::Repository;
use super::server::{SERVING_LOCK, announcement, lock_exclusively, lock_file};
use super::store::{Store, StoreError, at};
use super::{LocalError, LocalOptions, LocalRepository, LocalStatus, blob, lambda, logs, runner};
use crate::domain::digest::Digest;

/// Everything a local cloud keeps in its directory, besides its locks.
const CONTENTS: [&str; 7] =
    ["documents", "blobs", "uploads", logs::FOLDER, runner::SERVERS, runner::ROOTFS, announcement::FILE];

pub(super) fn status(options: &LocalOptions) -> Result<LocalStatus, LocalError> {
    let directory = &options.directory;
    let mut status = LocalStatus { directory: directory.clone(), ..LocalStatus::default() };
    // Looking must not make one.
    if !directory.join("documents").is_dir() {
        return Ok(status);
    }
    let store = Store::open(directory)?;
    status.endpoint = announcement::running(directory).map(|server| server.endpoint);
    status.blob_bytes = blob::total_bytes(&store)?;
    let now = OffsetDateTime::now_utc();
    let authority = status.endpoint.as_deref().and_then(|endpoint| endpoint.strip_prefix("http://"));
    let (repositories, functions) = store.transaction(|tx| {
        let mut functions = Vec::new();
        for region in tx.folders("")? {
            functions.extend(lambda::functions(tx, &region, now, authority)?);
        }
        Ok::<_, StoreError>((Repository::everywhere(tx)?, functions))
    })??;
    status.functions = functions;
    status.repositories = repositories
        .into_iter()
        .map(|Repository { region, name, images, .. }| LocalRepository { region, name, images: images.len() })
        .collect();
    Ok(status)
}

/// Wipes everything, and returns the images there were, by repository.
pub(super) fn reset(options: &LocalOptions) -> Result<Vec<(String, Digest)>, LocalError> {
    let directory = &options.directory;
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let serving = lock_file(directory, SERVING_LOCK)?;
    if let Err(endpoint) = lock_exclusively(&serving, directory) {
        return Err(LocalError::InUse { directory: directory.clone(), endpoint });
    }
    // A cloud that cannot be read can be wiped all the same.
    let images = images(directory).unwrap_or_default();
    // By name: the directory may have been given by mistake, and hold other things.
    for name in CONTENTS {
        remove(&directory.join(name))?;
    }
    Ok(images)
}

fn images(directory: &Path) -> Result<Vec<(String, Digest)>, StoreError> {
    if !directory.join("documents").is_dir() {
        return Ok(Vec::new());
    }
    let repositories = Store::open(directory)?.transaction(Repository::everywhere)??;
    let of = |repository: Repository| {
        let Repository { name, images, .. } = repository;
        images.into_keys().map(move |digest| (name.to_string(), digest))
    };
    Ok(repositories.into_iter().flat_map(of).collect())
}

fn remove(path: &Path) -> Result<(), LocalError> {
    let removed = if path.is_dir() { runner::remove_tree(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error).into()),
        _ => Ok(()),
    }
}
