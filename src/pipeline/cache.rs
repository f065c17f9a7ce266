//! What earlier runs learned about registries, in the user's cache directory.
//!
//! Manifests and configurations lie under their digest and are checked against it, so that an
//! entry is right or counts as absent. Beside them is, for each repository, which manifests were
//! put there lately, and for names of base images, where they led; whoever relies on one asks the
//! registry, at least meanwhile. All of it may be lost, damaged or written by several runs at once,
//! and a full disk stops nothing.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::domain::digest::Digest;
use crate::domain::reference::RepositoryUri;

/// How many manifests of a repository are remembered.
const LATELY: usize = 4;
/// How many documents are kept; half of them go when there are more.
const DOCUMENTS: usize = 1000;
/// How exactly it is known when something was used last.
const RECENTLY: Duration = Duration::from_secs(60 * 60);
/// Nothing larger is kept: manifests have some 10 KB, what is in a large layer some MB.
const LARGEST: u64 = 16 << 20;

/// What is kept besides documents, by digests that are not the content's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shelf {
    /// What is in layers, by diff ID.
    Contents,
    /// What checks came to, by everything they depend on.
    Checks,
    /// Digests of layers, by the state of their files.
    Files,
    /// Digests of images, by their names.
    References,
}

impl Shelf {
    /// How many entries are kept; half of them go when there are more.
    fn most(self) -> usize {
        match self {
            Self::Contents | Self::References => 200,
            Self::Checks | Self::Files => 1000,
        }
    }
}

/// A directory that may disappear at any time.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    directory: PathBuf,
}

impl Cache {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// A document by its digest.
    pub(super) fn document(&self, digest: &Digest) -> Option<Bytes> {
        let bytes = read(&self.documents().join(digest.hex()))?;
        (Digest::of(&bytes) == *digest).then(|| bytes.into())
    }

    /// Keeps a document.
    pub(super) fn keep(&self, bytes: &[u8]) {
        let path = self.documents().join(Digest::of(bytes).hex());
        if read(&path).is_some_and(|there| there == bytes) {
            return;
        }
        // Without it, it is only read again.
        let _ = write(&path, bytes);
        let _ = tidy(&self.documents(), DOCUMENTS);
    }

    /// What was kept under a key; damaged entries count as absent.
    pub(super) fn get(&self, shelf: Shelf, key: &Digest) -> Option<Vec<u8>> {
        let mut bytes = read(&self.shelf(shelf).join(key.hex()))?;
        let (digest, content) = bytes.split_at_checked(64)?;
        let is_whole = Digest::of(content).hex().as_bytes() == digest;
        is_whole.then(|| {
            bytes.drain(..64);
            bytes
        })
    }

    /// Whether something is kept under a key.
    pub(super) fn has(&self, shelf: Shelf, key: &Digest) -> bool {
        self.shelf(shelf).join(key.hex()).exists()
    }

    /// Keeps something under a key.
    pub(super) fn put(&self, shelf: Shelf, key: &Digest, content: &[u8]) {
        let bytes = [Digest::of(content).hex().as_bytes(), content].concat();
        if bytes.len() as u64 <= LARGEST {
            let _ = write(&self.shelf(shelf).join(key.hex()), &bytes);
            let _ = tidy(&self.shelf(shelf), shelf.most());
        }
    }

    fn shelf(&self, shelf: Shelf) -> PathBuf {
        self.directory.join(match shelf {
            Shelf::Contents => "contents",
            Shelf::Checks => "checks",
            Shelf::Files => "files",
            Shelf::References => "references",
        })
    }

    /// The manifests that were put into a repository lately, the last one first.
    pub(super) fn lately(&self, repository: &RepositoryUri) -> Vec<Digest> {
        let text = read(&self.list(repository)).and_then(|bytes| String::from_utf8(bytes).ok());
        let lines = text.as_deref().unwrap_or_default().lines();
        lines.filter_map(|line| line.parse().ok()).take(LATELY).collect()
    }

    /// Remembers that a manifest is in a repository; says whether that is new. Two runs at once may
    /// forget one of theirs.
    pub(super) fn remember(&self, repository: &RepositoryUri, digest: Digest) -> bool {
        let mut list = self.lately(repository);
        if list.first() == Some(&digest) {
            return false;
        }
        list.retain(|known| *known != digest);
        list.insert(0, digest);
        list.truncate(LATELY);
        let text: String = list.iter().map(|digest| format!("{digest}\n")).collect();
        let _ = write(&self.list(repository), text.as_bytes());
        true
    }

    /// Notes that something is sent to a repository.
    pub(super) fn begin(&self, repository: &RepositoryUri) {
        if !self.has_begun(repository) {
            let _ = write(&self.list(repository), b"");
        }
    }

    /// Whether something was sent to a repository.
    pub(super) fn has_begun(&self, repository: &RepositoryUri) -> bool {
        self.list(repository).exists()
    }

    /// Where lists of the files in layers are.
    pub(super) fn lists(&self) -> PathBuf {
        self.directory.join("layers")
    }

    fn documents(&self) -> PathBuf {
        self.directory.join("documents")
    }

    fn list(&self, repository: &RepositoryUri) -> PathBuf {
        // Names of repositories have slashes in them.
        let name = Digest::of(repository.to_string().as_bytes()).hex();
        self.directory.join("repositories").join(name)
    }
}

/// Takes half of the files of a directory away when there are more than `most`, the older ones.
fn tidy(directory: &Path, most: usize) -> io::Result<()> {
    let entries: Vec<_> = fs::read_dir(directory)?.filter_map(Result::ok).collect();
    if entries.len() <= most {
        return Ok(());
    }
    let age = |entry: &fs::DirEntry| entry.metadata().and_then(|it| it.modified());
    let mut dated: Vec<(SystemTime, PathBuf)> =
        entries.iter().filter_map(|entry| Some((age(entry).ok()?, entry.path()))).collect();
    dated.sort();
    for (_, path) in dated.iter().take(most / 2) {
        let _ = fs::remove_file(path);
    }
    Ok(())
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let told = fs::metadata(path).ok()?;
    if told.len() > LARGEST {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    if told.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > RECENTLY)) {
        // What is used goes last; where that cannot be noted, it is only learned again one day.
        let _ = fs::File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    }
    Some(bytes)
}

/// Writes a file that others see whole or not at all, and that only its owner can read: a
/// configuration holds whatever the image's author put into it.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(name: &str) -> RepositoryUri {
        format!("registry.test/team/{name}").parse().unwrap()
    }

    #[test]
    fn documents_are_right_or_absent() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path().join("cache"));
        let digest = Digest::of(b"document");
        assert_eq!(cache.document(&digest), None);
        cache.keep(b"document");
        assert_eq!(cache.document(&digest).unwrap(), "document");
        let path = cache.documents().join(digest.hex());
        for damage in [&b""[..], b"documenT", b"document and more"] {
            fs::write(&path, damage).unwrap();
            assert_eq!(cache.document(&digest), None);
        }
        cache.keep(b"document");
        assert_eq!(cache.document(&digest).unwrap(), "document");
    }

    #[test]
    fn the_last_manifests_are_remembered_and_rubbish_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path().to_owned());
        let digests: Vec<Digest> = (0..6_u8).map(|number| Digest::of(&[number])).collect();
        for digest in &digests {
            cache.remember(&uri("a"), *digest);
        }
        assert!(cache.remember(&uri("a"), digests[3]) && !cache.remember(&uri("a"), digests[3]));
        assert_eq!(cache.lately(&uri("a")), [digests[3], digests[5], digests[4], digests[2]]);
        assert!(cache.lately(&uri("b")).is_empty());
        fs::write(cache.list(&uri("a")), b"\xff\xfe").unwrap();
        assert!(cache.lately(&uri("a")).is_empty());
        fs::write(cache.list(&uri("a")), format!("rubbish\n{}\n", digests[0])).unwrap();
        assert_eq!(cache.lately(&uri("a")), [digests[0]]);
    }

    #[test]
    fn a_cache_that_cannot_be_written_stops_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cache = Cache::new(file.path().join("below a file"));
        cache.keep(b"document");
        cache.remember(&uri("a"), Digest::of(b"x"));
        assert_eq!(cache.document(&Digest::of(b"document")), None);
        assert!(cache.lately(&uri("a")).is_empty());
    }

    #[test]
    fn what_is_used_is_not_what_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path().to_owned());
        let keys: Vec<Digest> =
            (0..=Shelf::Contents.most() as u32).map(|number| Digest::of(&number.to_le_bytes())).collect();
        for key in &keys {
            cache.put(Shelf::Contents, key, b"what is in a layer");
            let file = fs::File::open(cache.shelf(Shelf::Contents).join(key.hex())).unwrap();
            file.set_modified(SystemTime::now() - 48 * RECENTLY).unwrap();
            assert!(*key != keys[3] || cache.get(Shelf::Contents, key).is_some());
        }
        cache.put(Shelf::Contents, &Digest::of(b"another"), b"");
        assert!(cache.has(Shelf::Contents, &keys[3]));
        let left = keys.iter().filter(|key| cache.has(Shelf::Contents, key)).count();
        assert!(left < keys.len() / 2 + 2, "{left}");
    }

    #[test]
    fn the_cache_does_not_grow_for_ever_and_runs_do_not_disturb_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path().to_owned());
        let threads: Vec<_> = (0..4_u32)
            .map(|thread| {
                let cache = cache.clone();
                std::thread::spawn(move || {
                    for number in 0..DOCUMENTS as u32 / 3 {
                        cache.keep(&(thread * 10_000 + number).to_le_bytes());
                        cache.remember(&uri("a"), Digest::of(&number.to_le_bytes()));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(fs::read_dir(cache.documents()).unwrap().count() <= DOCUMENTS + 4);
        assert_eq!(cache.lately(&uri("a")).len(), LATELY);
    }
}
