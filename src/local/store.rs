//! What the local cloud remembers: small JSON documents in a directory, changed under a lock.
//!
//! Several processes may serve the same directory at once (two `--local` deployments, or one
//! beside `local serve`), so nothing is kept in memory: a transaction takes the directory's
//! lock, reads what it needs and writes what it changes, each document by atomic renaming.
//! States that pass with time are computed from stored times, so nobody has to be awake for them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The directory of one local cloud.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

/// Says what could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("local cloud: {path}: {source}", path = path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A document does not have the shape this version writes.
    #[error("local cloud: {path}: {source}", path = path.display())]
    Document {
        /// The document.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// What helps where an error's text says that a local cloud, of this process or of another,
/// cannot keep its state.
///
/// Recorded: `local cloud: /home/ada/.local/state/lambdactl/local/lock: Read-only file system (os
/// error 30)`, `… UNKNOWN: local cloud: No space left on device (os error 28)`.
pub fn advice(text: &str) -> Option<String> {
    let (_, why) = text.split_once("local cloud: ")?;
    let is_any = |codes: &[&str]| codes.iter().any(|code| why.contains(&format!("(os error {code})")));
    if is_any(&["28", "122"]) {
        return Some(
            "make room where the local cloud is kept: `lambdactl local reset` wipes it; or keep it on another disk with `--local-dir DIR`"
                .to_owned(),
        );
    }
    // Of a file; not of an engine that may not be used.
    (why.starts_with('/') && is_any(&["13", "1", "30"])).then(|| {
        "keep the local cloud where you may write: `--local-dir DIR`, or LAMBDACTL_LOCAL_DIR".to_owned()
    })
}

impl Store {
    /// Opens the local cloud in `directory`, making it where it does not exist.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { directory: directory.into() };
        let documents = store.directory.join("documents");
        fs::create_dir_all(&documents).map_err(at(&documents))?;
        Ok(store)
    }

    /// The directory it lives in; blobs and uploads have their own folders below it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs `change` while no other task or process runs one. Blocks for the lock.
    pub fn transaction<T>(&self, change: impl FnOnce(&Transaction<'_>) -> T) -> Result<T, StoreError> {
        let path = self.directory.join("lock");
        let lock = File::create(&path).map_err(at(&path))?;
        lock.lock().map_err(at(&path))?;
        let result = change(&Transaction { store: self });
        drop(lock);
        Ok(result)
    }
}

/// Access to the documents while the lock is held.
///
/// A key is a relative path of plain words, such as `us-east-1/lambda/functions/hello`.
#[derive(Debug)]
pub struct Transaction<'a> {
    store: &'a Store,
}

impl Transaction<'_> {
    fn path(&self, key: &str) -> PathBuf {
        debug_assert!(key.split('/').all(|word| !word.is_empty() && word != "." && word != ".."), "{key}");
        self.store.directory.join("documents").join(format!("{key}.json"))
    }

    /// Reads a document; `None` where there is none.
    pub fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let path = self.path(key);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| StoreError::Document { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::File { path, source }),
        }
    }

    /// Writes a document, whole or not at all.
    pub fn write<T: Serialize>(&self, key: &str, document: &T) -> Result<(), StoreError> {
        let path = self.path(key);
        let bytes = serde_json::to_vec_pretty(document)
            .map_err(|source| StoreError::Document { path: path.clone(), source })?;
        let folder = path.parent().unwrap_or(&self.store.directory);
        fs::create_dir_all(folder).map_err(at(folder))?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(at(folder))?;
        io::Write::write_all(&mut file, &bytes).map_err(at(&path))?;
        file.persist(&path).map_err(|error| StoreError::File { path, source: error.error })?;
        Ok(())
    }

    /// Removes a document; it may be gone already.
    pub fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::File { path, source: error })
            }
            _ => Ok(()),
        }
    }

    /// The last words of all keys directly below `folder`, sorted.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        self.entries(folder, |name| name.strip_suffix(".json"))
    }

    /// The folders directly below `folder` (`""` for the regions and global services), sorted.
    pub fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        self.entries(folder, |name| (!name.contains(".json")).then_some(name))
    }

    fn entries(&self, folder: &str, pick: impl Fn(&str) -> Option<&str>) -> Result<Vec<String>, StoreError> {
        let path = self.store.directory.join("documents").join(folder);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StoreError::File { path, source }),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(at(&path))?.file_name();
            // Half-written documents begin with a dot.
            let name = name.to_str().filter(|name| !name.starts_with('.'));
            names.extend(name.and_then(&pick).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }
}

/// Says which file an I/O error is about.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_survive_and_are_listed_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let write = Store::open(directory.path()).unwrap();
        write
            .transaction(|tx| {
                tx.write("r/f/b", &2).unwrap();
                tx.write("r/f/a", &1).unwrap();
            })
            .unwrap();
        let read = Store::open(directory.path()).unwrap();
        read.transaction(|tx| {
            assert_eq!(tx.list("r/f").unwrap(), ["a", "b"]);
            assert_eq!(tx.read::<u32>("r/f/b").unwrap(), Some(2));
            tx.delete("r/f/b").unwrap();
            tx.delete("r/f/b").unwrap();
            assert_eq!(tx.read::<u32>("r/f/b").unwrap(), None);
            assert!(tx.list("none").unwrap().is_empty());
            assert_eq!(
                (tx.folders("").unwrap(), tx.folders("r").unwrap()),
                (vec!["r".into()], vec!["f".into()])
            );
        })
        .unwrap();
    }

    #[test]
    fn concurrent_transactions_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let store = Store::open(directory.path()).unwrap();
                    for _ in 0..25 {
                        store
                            .transaction(|tx| {
                                tx.write("n", &(tx.read::<u32>("n").unwrap().unwrap_or(0) + 1)).unwrap()
                            })
                            .unwrap();
                    }
                });
            }
        });
        let count =
            Store::open(directory.path()).unwrap().transaction(|tx| tx.read::<u32>("n").unwrap()).unwrap();
        assert_eq!(count, Some(100));
    }
}
