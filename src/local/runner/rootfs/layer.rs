//! One layer of an image, laid over the ones before it.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/layer.md>

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::{self, Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tar::{Archive, Entry, EntryType, Header};

use super::tree::{Place, Tree};

/// What Lambda takes of an image, unpacked.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const LARGEST_IMAGE: u64 = 10 * 1024 * 1024 * 1024;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Names in which the storage drivers of engines keep their own records.
const RESERVED: &[u8] = b".wh..wh.";
/// The user and the group functions run as.
pub(super) const FUNCTION: (u32, u32) = (993, 990);

/// Says what is wrong with a layer.
#[derive(Debug, thiserror::Error)]
pub(in crate::local::runner) enum LayerError {
    #[error(transparent)]
    Read(#[from] io::Error),
    /// An entry that no honest image has.
    #[error("`{entry}`: {why}")]
    Refused { entry: String, why: &'static str },
    #[error("`{entry}`: {source}")]
    Write { entry: String, source: io::Error },
}

/// Lays layers over each other.
#[derive(Debug)]
pub(super) struct Unpacking<'a> {
    tree: &'a Tree,
    /// Whether files are given to those the image names, which takes root.
    keeps_owners: bool,
    /// Modes of directories, which are set when nothing is written any more.
    directories: BTreeMap<PathBuf, (u32, (u32, u32))>,
    bytes: u64,
}

impl<'a> Unpacking<'a> {
    pub(super) fn new(tree: &'a Tree, keeps_owners: bool) -> Self {
        Self { tree, keeps_owners, directories: BTreeMap::new(), bytes: 0 }
    }

    /// Unpacks one layer, from its uncompressed archive.
    pub(super) fn layer(&mut self, archive: impl Read) -> Result<(), LayerError> {
        let mut archive = Archive::new(archive);
        // What this layer has brought itself is not hidden by its whiteouts, whatever the order.
        let mut own = BTreeSet::new();
        for entry in archive.entries()? {
            let mut entry = entry?;
            let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            self.entry(&mut entry, &mut own).map_err(|error| match error {
                Fault::Refused(why) => LayerError::Refused { entry: shown, why },
                Fault::Failed(source) => LayerError::Write { entry: shown, source },
            })?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &mut Entry<'_, impl Read>, own: &mut BTreeSet<PathBuf>) -> Result<(), Fault> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let path = inside(&entry.path_bytes())?;
        let Some(name) = path.file_name() else {
            // The root itself: its mode stays ours, so that the function can enter it.
            return Ok(());
        };
        if name.as_bytes().starts_with(WHITEOUT) {
            return self.whiteout(&path, name, own);
        }
        let special = matches!(kind, EntryType::Char | EntryType::Block | EntryType::Fifo);
        if special {
            // Nobody may make devices here, and Lambda's functions get none of an image.
            return Ok(());
        }
        let place = self.tree.place(&path, true)?;
        match kind {
            EntryType::Directory => place.make_directory()?,
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or(Fault::Refused("a link without a target"))?;
                place.link_to(OsStr::from_bytes(&target))?;
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().ok_or(Fault::Refused("a link without a target"))?;
                let target = self.tree.place(&inside(&target)?, false)?;
                if target.is_directory()? {
                    return Err(Fault::Refused("a hard link to a directory"));
                }
                place.same_as(&target)?;
            }
            _ => self.file(&place, entry)?,
        }
        if self.keeps_owners
            && matches!(kind, EntryType::Directory | EntryType::Symlink)
            && let (Ok(user), Ok(group)) = owner(entry.header())
        {
            place.set_owner(user, group)?;
        }
        if kind == EntryType::Directory {
            let owner = owner(entry.header());
            let owner = (owner.0.unwrap_or(0), owner.1.unwrap_or(0));
            self.directories.insert(path.clone(), (entry.header().mode()?, owner));
        }
        mark(own, &path);
        Ok(())
    }

    fn file(&mut self, place: &Place, entry: &mut Entry<'_, impl Read>) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(entry.size());
        if self.bytes > LARGEST_IMAGE {
            return Err(Fault::Refused("the image is larger than the 10 GB Lambda takes"));
        }
        let mut file = place.create()?;
        io::copy(entry, &mut file)?;
        file.flush()?;
        let header = entry.header();
        let owner = owner(header);
        if self.keeps_owners
            && let (Ok(user), Ok(group)) = owner
        {
            // Before the mode: it would take bits away.
            place.set_owner(user, group)?;
        }
        let owner = (owner.0.unwrap_or(0), owner.1.unwrap_or(0));
        let mode = self.mode(header.mode()?, owner);
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(mode))?;
        // Python, for one, holds the time of a source against the one in its compiled form.
        if let Ok(seconds @ 1..) = header.mtime() {
            let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
            let _as_near_as_possible = time.map(|time| file.set_modified(time));
        }
        Ok(())
    }

    /// The mode a file gets: without set-user-id bits, which nobody needs who cannot gain
    /// privileges.
    ///
    /// Where owners are not kept, every file is the function's own, and its owner's rights would count
    /// where in Lambda somebody else's do. So those become the owner's.
    fn mode(&self, mode: u32, (user, group): (u32, u32)) -> u32 {
        if self.keeps_owners {
            return mode & 0o1777;
        }
        let rights = match (user, group) {
            (user, _) if user == FUNCTION.0 => mode >> 6,
            (_, group) if group == FUNCTION.1 => mode >> 3,
            _ => mode,
        } & 0o7;
        (mode & 0o1000) | (rights << 6) | (rights << 3) | rights
    }

    /// Hides something of the layers below.
    fn whiteout(&mut self, path: &Path, name: &OsStr, own: &BTreeSet<PathBuf>) -> Result<(), Fault> {
        let place = match self.tree.place(path, false) {
            Ok(place) => place,
            // Nothing is there to hide.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let name = name.as_bytes();
        if name == OPAQUE {
            let folder = path.parent().unwrap_or(Path::new(""));
            let directory = self.tree.directory(folder, false)?;
            for name in Place::of(directory, ".").names()? {
                self.hide(&folder.join(&name), &place.beside(&name)?, own)?;
            }
            return Ok(());
        }
        if name.starts_with(RESERVED) {
            return Ok(());
        }
        let hidden = OsStr::from_bytes(&name[WHITEOUT.len()..]);
        if hidden.is_empty() || hidden == "." || hidden == ".." {
            return Err(Fault::Refused("a whiteout of nothing"));
        }
        self.hide(&path.with_file_name(hidden), &place.beside(hidden)?, own)
    }

    /// Removes what is at a place, as far as it is not of this layer.
    fn hide(&mut self, path: &Path, place: &Place, own: &BTreeSet<PathBuf>) -> Result<(), Fault> {
        if !own.contains(path) {
            self.directories.retain(|directory, _| !directory.starts_with(path));
            return Ok(place.remove()?);
        }
        if place.is_directory()? {
            for name in place.names()? {
                let below = path.join(&name);
                let child = self.tree.place(&below, false)?;
                self.hide(&below, &child, own)?;
            }
        }
        Ok(())
    }

    /// Sets the modes of all directories.
    pub(super) fn finish(self) -> io::Result<()> {
        // The deepest first: a mode may close the way to what lies below.
        for (path, (mode, owner)) in self.directories.iter().rev() {
            let place = match self.tree.place(path, false) {
                Ok(place) => place,
                // Taken away, or replaced by something else, later on.
                Err(_) => continue,
            };
            if place.is_directory()? {
                place.set_directory_mode(self.mode(*mode, *owner))?;
            }
        }
        Ok(())
    }
}

/// What went wrong with an entry.
enum Fault {
    Refused(&'static str),
    Failed(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<rustix::io::Errno> for Fault {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Failed(error.into())
    }
}

/// A path of an archive, relative to the root. One that goes up is refused: where it leads
/// depends on links, and no tool writes such.
fn inside(path: &[u8]) -> Result<PathBuf, Fault> {
    let mut inside = PathBuf::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return Err(Fault::Refused("the path leads out of the image")),
            name if name.contains(&0) => return Err(Fault::Refused("the path has a zero byte in it")),
            name => inside.push(OsStr::from_bytes(name)),
        }
    }
    Ok(inside)
}

/// Remembers a path and all directories above it.
fn mark(own: &mut BTreeSet<PathBuf>, path: &Path) {
    for path in path.ancestors() {
        if !own.insert(path.to_owned()) {
            return;
        }
    }
}

fn owner(header: &Header) -> (io::Result<u32>, io::Result<u32>) {
    let number = |id: io::Result<u64>| id.and_then(|id| u32::try_from(id).map_err(io::Error::other));
    (number(header.uid()), number(header.gid()))
}
