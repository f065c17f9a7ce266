//! A directory for one trial: gone with the value, and where its process was killed, with the
//! next one that is made beside it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::domain::digest::Digest;
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

/// The name of a place, and the image that was on trial there.
pub(super) type Trace = (String, Digest);

impl Place {
    /// Makes one in `folder` for an image, and removes what others have left there, whose traces
    /// may be elsewhere, too.
    pub(super) fn new(folder: &Path, image: Digest) -> io::Result<(Self, Vec<Trace>)> {
        fs::create_dir_all(folder)?;
        let folder = fs::canonicalize(folder)?;
        let traces = sweep(&folder);
        let name = format!("{PREFIX}{}", uuid::Uuid::new_v4().simple());
        // Locked before it has its name, so that nobody finds it unlocked.
        let mut lock = tempfile::NamedTempFile::new_in(&folder)?;
        lock.as_file().lock()?;
        lock.write_all(image.hex().as_bytes())?;
        let directory = folder.join(&name);
        let lock = lock.persist(lock_of(&directory)).map_err(|error| error.error)?;
        let place = Self { name, directory, _lock: lock };
        fs::create_dir(&place.directory)?;
        Ok((place, traces))
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

fn sweep(folder: &Path) -> Vec<Trace> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let locks = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let locks = locks.filter(|path| path.extension() == Some(OsStr::new(LOCK)));
    locks.filter_map(|lock| remove_abandoned(&lock.with_extension(""))).flatten().collect()
}

/// Removes a place that nobody uses any more; `None` where it is none, or in use.
fn remove_abandoned(directory: &Path) -> Option<Option<Trace>> {
    let name = directory.file_name()?.to_str().filter(|name| name.starts_with(PREFIX))?;
    let mut lock = File::open(lock_of(directory)).ok()?;
    lock.try_lock().ok()?;
    let mut image = String::new();
    let _unknown = lock.read_to_string(&mut image);
    remove(directory);
    Some(Digest::from_hex(&image).ok().map(|image| (name.to_owned(), image)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_has_left_is_removed_by_the_next_and_what_is_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let image = Digest::of(b"manifest");
        let (used, traces) = Place::new(folder.path(), image).unwrap();
        assert!(traces.is_empty());
        let left = folder.path().join(format!("{PREFIX}left"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("file"), "").unwrap();
        fs::write(lock_of(&left), image.hex()).unwrap();
        let (next, traces) = Place::new(folder.path(), image).unwrap();
        assert_eq!(traces, [(format!("{PREFIX}left"), image)]);
        assert!(used.directory().is_dir() && next.directory().is_dir());
        assert!(!left.exists() && !lock_of(&left).exists());
        drop((used, next));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
