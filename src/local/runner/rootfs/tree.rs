//! A directory that nothing leads out of: paths are walked one name at a time, and links are
//! followed as a process sees them that has this directory as its root.
//!
//! The layers of an image are written by strangers. Their paths and links are never handed to
//! the kernel whole, so that none of them can name a file of the host.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// As many links as Linux follows in one path.
const LINKS: usize = 40;
/// Directories below each other: more only exhaust file descriptors.
const DEPTH: usize = 200;
/// Of directories that no layer has an entry for.
const PLAIN_DIRECTORY: Mode = Mode::from_raw_mode(0o755);
const OPEN_TO_OWNER: Mode = Mode::from_raw_mode(0o700);

/// An open directory, seen as the root of everything.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
}

/// A name in a directory of the tree.
#[derive(Debug)]
pub(super) struct Place {
    directory: OwnedFd,
    name: OsString,
}

impl Tree {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: fs::open(path, flags, Mode::empty())? })
    }

    /// The directory a path leads to; the last name, too, may be a link. Missing directories are
    /// made where `make` says so.
    pub(super) fn directory(&self, path: &Path, make: bool) -> io::Result<OwnedFd> {
        let mut left = VecDeque::new();
        push_front(&mut left, path);
        let mut below: Vec<OwnedFd> = Vec::new();
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            if name == ".." {
                // At the root, `..` is the root.
                below.pop();
                continue;
            }
            let here = below.last().unwrap_or(&self.root).as_fd();
            match open_directory(here, &name) {
                Ok(directory) if below.len() < DEPTH => below.push(directory),
                Ok(_) => return Err(io::Error::other("directories lie too deep")),
                Err(Errno::NOENT) if make => {
                    make_directory(here, &name)?;
                    left.push_front(name);
                }
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let target = match fs::readlinkat(here, &name, Vec::new()) {
                        Ok(target) => target,
                        Err(Errno::INVAL) => return Err(Errno::NOTDIR.into()),
                        Err(error) => return Err(error.into()),
                    };
                    links += 1;
                    if links > LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                    if target.is_absolute() {
                        below.clear();
                    }
                    push_front(&mut left, target);
                }
                Err(error) => return Err(error.into()),
            }
        }
        match below.pop() {
            Some(directory) => Ok(directory),
            None => Ok(self.root.try_clone()?),
        }
    }

    /// The place a path names; its last name is not followed.
    pub(super) fn place(&self, path: &Path, make: bool) -> io::Result<Place> {
        let name = path.file_name().ok_or(Errno::INVAL)?.to_owned();
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok(Place { directory: self.directory(parent, make)?, name })
    }
}

fn push_front(left: &mut VecDeque<OsString>, path: &Path) {
    for part in path.components().rev() {
        match part {
            Component::Normal(name) => left.push_front(name.to_owned()),
            Component::ParentDir => left.push_front("..".into()),
            _ => {}
        }
    }
}

fn open_directory(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(parent, name, flags, Mode::empty())
}

/// Whatever the mask of the process is.
fn make_directory(parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    fs::mkdirat(parent, name, PLAIN_DIRECTORY)?;
    fs::chmodat(parent, name, PLAIN_DIRECTORY, AtFlags::empty())
}

impl Place {
    pub(super) fn of(directory: OwnedFd, name: &str) -> Self {
        Self { directory, name: name.into() }
    }

    pub(super) fn beside(&self, name: &OsStr) -> io::Result<Self> {
        Ok(Self { directory: self.directory.try_clone()?, name: name.to_owned() })
    }

    /// What is there, not followed.
    pub(super) fn stat(&self) -> io::Result<Option<Stat>> {
        match fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn is_directory(&self) -> io::Result<bool> {
        Ok(self.stat()?.is_some_and(|stat| is_directory(&stat)))
    }

    /// Removes what is there, with everything below it.
    pub(super) fn remove(&self) -> io::Result<()> {
        match self.stat()? {
            None => Ok(()),
            Some(stat) => remove(self.directory.as_fd(), &self.name, &stat),
        }
    }

    /// Makes an empty file, in the place of whatever is there.
    pub(super) fn create(&self) -> io::Result<File> {
        self.remove()?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(&self.directory, &self.name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Makes a directory, unless there is one.
    pub(super) fn make_directory(&self) -> io::Result<()> {
        if self.is_directory()? {
            return Ok(());
        }
        self.remove()?;
        Ok(make_directory(self.directory.as_fd(), &self.name)?)
    }

    pub(super) fn link_to(&self, target: &OsStr) -> io::Result<()> {
        self.remove()?;
        Ok(fs::symlinkat(target, &self.directory, &self.name)?)
    }

    /// Makes it another name of the file at `other`.
    pub(super) fn same_as(&self, other: &Self) -> io::Result<()> {
        let (Some(theirs), ours) = (other.stat()?, self.stat()?) else { return Err(Errno::NOENT.into()) };
        if ours.is_some_and(|ours| (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)) {
            return Ok(());
        }
        self.remove()?;
        let flags = AtFlags::empty();
        Ok(fs::linkat(&other.directory, &other.name, &self.directory, &self.name, flags)?)
    }

    /// Gives it to somebody, who may be root: to be called as root only.
    pub(super) fn set_owner(&self, user: u32, group: u32) -> io::Result<()> {
        let (user, group) = (fs::Uid::from_raw(user), fs::Gid::from_raw(group));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(fs::chownat(&self.directory, &self.name, Some(user), Some(group), flags)?)
    }

    /// Sets the mode of a directory; nothing else is touched.
    pub(super) fn set_directory_mode(&self, mode: u32) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = fs::openat(&self.directory, &self.name, flags, Mode::empty())?;
        Ok(fs::fchmod(directory, Mode::from_raw_mode(mode))?)
    }

    /// The names in the directory that is there.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        names(&fs::openat(&self.directory, &self.name, flags, Mode::empty())?)
    }
}

/// Removes a directory of the host with everything in it, also where a mode forbids to look into
/// parts of it. It may be gone.
pub(in crate::local) fn remove_tree(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else { return Err(Errno::INVAL.into()) };
    match Tree::open(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(tree) => tree.place(Path::new(path.file_name().unwrap_or_default()), false)?.remove(),
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn remove(parent: BorrowedFd<'_>, name: &OsStr, stat: &Stat) -> io::Result<()> {
    if !is_directory(stat) {
        return Ok(fs::unlinkat(parent, name, AtFlags::empty())?);
    }
    if stat.st_mode & OPEN_TO_OWNER.as_raw_mode() != OPEN_TO_OWNER.as_raw_mode() {
        // It was a directory a moment ago, and nobody else writes here.
        fs::chmodat(parent, name, OPEN_TO_OWNER, AtFlags::empty())?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = fs::openat(parent, name, flags, Mode::empty())?;
    for name in names(&directory)? {
        let stat = fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        remove(directory.as_fd(), &name, &stat)?;
    }
    Ok(fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

fn names(directory: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}
