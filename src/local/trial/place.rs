//! A directory for one trial: gone with the value, and where its process was killed, with the
//! next one that is made beside it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::local::runner::remove_tree;

/// How all of them begin.
const PREFIX: &str = "trial-";
/// Held as long as the directory is in use.
const LOCK: &str = "lock";

/// A directory of its own.
#[derive(Debug)]
pub(super) struct Place {
    name: String,
    directory: PathBuf,
    _lock: File,
}

impl Place {
    /// Makes one in `folder`, and removes what others have left there.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let folder = fs::canonicalize(folder)?;
        sweep(&folder);
        let name = format!("{PREFIX}{}", uuid::Uuid::new_v4().simple());
        // Locked before it has its name, so that nobody finds it unlocked.
        let lock = tempfile::NamedTempFile::new_in(&folder)?;
        lock.as_file().lock()?;
        let directory = folder.join(&name);
        let lock = lock.persist(lock_of(&directory)).map_err(|error| error.error)?;
        let place = Self { name, directory, _lock: lock };
        fs::create_dir(&place.directory)?;
        Ok(place)
    }

    /// Its name, which no other has.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        remove(&self.directory);
    }
}

fn lock_of(directory: &Path) -> PathBuf {
    directory.with_extension(LOCK)
}

/// What cannot be removed is left to the next one.
fn remove(directory: &Path) {
    match remove_tree(directory) {
        Ok(()) => drop(fs::remove_file(lock_of(directory))),
        Err(error) => tracing::warn!(%error, directory = %directory.display(), "a trial is left behind"),
    }
}

fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let is_ours = path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with(PREFIX));
        if is_ours && path.extension() == Some(OsStr::new(LOCK)) {
            let is_dead = File::open(&path).is_ok_and(|lock| lock.try_lock().is_ok());
            if is_dead {
                remove(&path.with_extension(""));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_has_left_is_removed_by_the_next_and_what_is_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let used = Place::new(folder.path()).unwrap();
        let left = folder.path().join(format!("{PREFIX}left"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("file"), "").unwrap();
        fs::write(lock_of(&left), "").unwrap();
        let next = Place::new(folder.path()).unwrap();
        assert!(used.directory().is_dir() && next.directory().is_dir());
        assert!(!left.exists() && !lock_of(&left).exists());
        drop((used, next));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
