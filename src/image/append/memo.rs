//! Remembers the digests of layers whose files have not changed since, so that they need not be
//! read to learn that: as git remembers the files of its index.
//!
//! A file counts as unchanged where the system says the same of it: its number, its size, and the
//! times at which its content and its state were changed last, of which nobody can set back the
//! second. A file that was changed just now may change again without another time: layers with
//! such files are not remembered. <https://git-scm.com/docs/racy-git>
//!
//! Files of an image are what the digests of its layers say, or its own, and need not be fetched.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use super::content::{Contained, Content, Layered};
use super::tree::{Kind, Node, Place};
use crate::domain::digest::{DiffId, Digest};

/// How long a file must have been as it is: longer than between two times of any file system.
const SETTLED: Duration = Duration::from_secs(2);

/// Keeps small things under the digest of what they depend on; any may be lost at any time.
pub trait Memory: std::fmt::Debug + Send + Sync {
    /// What was kept.
    fn get(&self, key: &Digest) -> Option<Vec<u8>>;
    /// Keeps something.
    fn put(&self, key: &Digest, content: &[u8]);
}

/// The digests of layers by the state of their files.
#[derive(Clone, Debug)]
pub(super) struct Memo {
    memory: Option<Arc<dyn Memory>>,
}

/// What the system says of all the files of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The digest of all of it.
    key: Digest,
    /// When one of them was changed last.
    changed: SystemTime,
}

impl Memo {
    /// Keeps them there; nothing is kept without a memory.
    pub(super) fn new(memory: Option<Arc<dyn Memory>>) -> Self {
        Self { memory }
    }

    /// What the system says of the files of a layer now; `None` where it does not say enough.
    /// `mtime` is the time of every entry, in seconds since 1970.
    pub(super) fn state(&self, nodes: &BTreeMap<Place, Node>, mtime: u64) -> Option<State> {
        self.memory.as_ref()?;
        let mut hasher = Sha256::new();
        hasher.update(mtime.to_le_bytes());
        let mut changed = SystemTime::UNIX_EPOCH;
        for (place, node) in nodes {
            let what = match &node.kind {
                Kind::Directory => "directory".to_owned(),
                Kind::Link(target) => format!("link {target:?}"),
                Kind::File(Content::Host { path, .. }) => {
                    let (told, at) = told(path)?;
                    changed = changed.max(at);
                    told
                }
                // The same bytes whenever they are asked for.
                Kind::File(Content::Layered(Layered { layer, path, .. })) => {
                    format!("{path:?} of layer {}", layer.descriptor.digest)
                }
                Kind::File(Content::Contained(Contained { files, path, .. })) => {
                    format!("{path:?} of image {}", files.image())
                }
                Kind::File(Content::Text(text)) => format!("text {}", Digest::of(text.as_bytes())),
                Kind::File(Content::Spooled(_) | Content::Unread(_)) | Kind::Special => return None,
            };
            // Names are quoted, so that none can be mistaken for what follows it.
            let line = format!("{place:?} {:o} {:?} {what}\n", node.mode, node.owner);
            hasher.update(line.as_bytes());
        }
        Some(State { key: Digest::from_sha256(hasher.finalize().into()), changed })
    }

    /// The digest of the layer whose files were in this state.
    pub(super) fn recall(&self, state: Option<&State>) -> Option<DiffId> {
        let digest = String::from_utf8(self.memory.as_ref()?.get(&state?.key)?).ok()?;
        digest.parse().ok().map(DiffId)
    }

    /// Remembers the digest of a layer, which was read after its files had been seen in this state.
    pub(super) fn keep(&self, state: Option<&State>, diff_id: DiffId) {
        self.keep_at(state, diff_id, SystemTime::now());
    }

    fn keep_at(&self, state: Option<&State>, diff_id: DiffId, now: SystemTime) {
        let (Some(memory), Some(state)) = (&self.memory, state) else { return };
        if now.duration_since(state.changed).is_ok_and(|age| age >= SETTLED) {
            memory.put(&state.key, diff_id.0.to_string().as_bytes());
        }
    }
}

/// What the system says of a file, and when it was changed last.
#[cfg(unix)]
fn told(path: &Path) -> Option<(String, SystemTime)> {
    use std::os::unix::fs::MetadataExt;
    let told = fs::symlink_metadata(path).ok()?;
    let changed = Duration::new(told.ctime().try_into().ok()?, told.ctime_nsec().try_into().ok()?);
    let text = format!(
        "file {} {} {} {}.{} {changed:?}",
        told.dev(),
        told.ino(),
        told.size(),
        told.mtime(),
        told.mtime_nsec(),
    );
    Some((text, SystemTime::UNIX_EPOCH + changed))
}

/// Windows does not tell when a file's state was changed.
#[cfg(not(unix))]
fn told(_path: &Path) -> Option<(String, SystemTime)> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::*;
    use crate::image::append::tree::Owner;

    #[derive(Debug, Default)]
    struct Kept(Mutex<HashMap<Digest, Vec<u8>>>);

    impl Kept {
        fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Vec<u8>>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Memory for Kept {
        fn get(&self, key: &Digest) -> Option<Vec<u8>> {
            self.lock().get(key).cloned()
        }

        fn put(&self, key: &Digest, content: &[u8]) {
            self.lock().insert(*key, content.to_vec());
        }
    }

    fn memo() -> Memo {
        Memo::new(Some(Arc::new(Kept::default())))
    }

    fn layer(path: &Path, mode: u32) -> BTreeMap<Place, Node> {
        let kind = Kind::File(Content::Host { path: path.to_owned(), size: 3 });
        let place: Place = [std::ffi::OsString::from("file")].into_iter().collect();
        BTreeMap::from([(place, Node { kind, mode, owner: Owner::default() })])
    }

    #[test]
    fn a_layer_is_known_again_until_anything_about_its_files_changes() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "abc").unwrap();
        let written = fs::metadata(&file).unwrap().modified().unwrap();
        let memo = memo();
        let (diff_id, later) = (DiffId(Digest::of(b"layer")), SystemTime::now() + 2 * SETTLED);
        let seen = memo.state(&layer(&file, 0o644), 0);
        assert!(seen.is_some() && memo.recall(seen.as_ref()).is_none());
        memo.keep_at(seen.as_ref(), diff_id, later);
        let recall = |mode, mtime| memo.recall(memo.state(&layer(&file, mode), mtime).as_ref());
        assert_eq!(recall(0o644, 0), Some(diff_id));
        assert_eq!((recall(0o755, 0), recall(0o644, 1)), (None, None));
        // The same length, and the time set back: the system still knows.
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&file, "abd").unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(written).unwrap();
        assert_eq!(recall(0o644, 0), None);
    }

    #[test]
    fn files_that_were_just_changed_are_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "abc").unwrap();
        let memo = memo();
        let seen = memo.state(&layer(&file, 0o644), 0);
        memo.keep(seen.as_ref(), DiffId(Digest::of(b"layer")));
        assert_eq!(memo.recall(seen.as_ref()), None);
    }
}
