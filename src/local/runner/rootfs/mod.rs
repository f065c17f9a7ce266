//! The files of an image, unpacked once and shared by all environments that run it.
//!
//! A root file system appears under its manifest's digest by renaming, whole or not at all, and
//! locks beside it say who unpacks and who uses it: several processes can serve one directory.

mod layer;
mod tree;

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{LocalImage, ROOTFS as FOLDER};
use crate::image::gzip::Compression;
use crate::local::store::StoreError;
use layer::{LayerError, Unpacking};
use tree::Tree;
pub(in crate::local) use tree::remove_tree;

/// How many are kept; of those nobody uses, the ones used longest ago go first.
const KEPT: usize = 10;
/// The user and the group functions run as.
pub(super) const FUNCTION: (u32, u32) = layer::FUNCTION;
/// Directories something is mounted on.
pub(super) const MOUNT_POINTS: [&str; 3] = ["dev", "proc", "tmp"];
/// Files of the host that functions share its network with, as engines provide them.
pub(super) const NETWORK_FILES: [&str; 2] = ["etc/hosts", "etc/resolv.conf"];

/// Says why an image has no files here.
#[derive(Debug, thiserror::Error)]
pub(super) enum RootfsError {
    #[error("the image is not in the registry any more")]
    Missing,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Interrupted(String),
    #[error("not a manifest: {0}")]
    Manifest(serde_json::Error),
    #[error("layer {layer}: {source}")]
    Layer { layer: String, source: LayerError },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// An unpacked image, which stays as long as the value.
#[derive(Debug)]
pub(super) struct Rootfs {
    path: PathBuf,
    _used: File,
}

impl Rootfs {
    /// Unpacks an image, unless that was done before. Files get the owners the image names, or
    /// are all the function's own. Blocks, also for another process that is unpacking it.
    pub(super) fn of(image: &LocalImage, keeps_owners: bool) -> Result<Self, RootfsError> {
        let folder = image.store.directory().join(FOLDER);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let folder = fs::canonicalize(&folder).map_err(at(&folder))?;
        let owners = if keeps_owners { "" } else { "-own" };
        let path = folder.join(format!("{}{owners}", image.digest.hex()));
        loop {
            let used = lock_file(&used(&path))?;
            used.lock_shared().map_err(at(&path))?;
            if path.is_dir() {
                // By this is told which was used longest ago.
                let _as_good_as_it_gets = used.set_modified(SystemTime::now());
                return Ok(Self { path, _used: used });
            }
            drop(used);
            // Another lock: whoever waits for this one must not wait for those who use the
            // files, which may be for as long as there is a server.
            let unpacking = lock_file(&unpacking(&path))?;
            unpacking.lock().map_err(at(&path))?;
            if !path.is_dir() {
                unpack(image, &path, keeps_owners)?;
                evict(&folder, &path);
            }
        }
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> RootfsError {
    let path = path.to_owned();
    move |source| RootfsError::File { path: path.clone(), source }
}

fn lock_file(path: &Path) -> Result<File, RootfsError> {
    File::options().create(true).append(true).open(path).map_err(at(path))
}

/// Locked alone while the image is being unpacked or removed.
fn unpacking(path: &Path) -> PathBuf {
    path.with_extension("unpacking")
}

/// Locked by everybody who uses the image.
fn used(path: &Path) -> PathBuf {
    path.with_extension("used")
}

/// What is there of it meanwhile.
fn partial(path: &Path) -> PathBuf {
    path.with_extension("partial")
}

/// Unpacks while nobody else does.
fn unpack(image: &LocalImage, path: &Path, keeps_owners: bool) -> Result<(), RootfsError> {
    let partial = partial(path);
    // What somebody who was killed has left.
    remove_tree(&partial).map_err(at(&partial))?;
    fs::create_dir(&partial).map_err(at(&partial))?;
    // Whatever the mask of the process is: the function has to get in.
    fs::set_permissions(&partial, Permissions::from_mode(0o755)).map_err(at(&partial))?;
    let unpacked = layers(image, &partial, keeps_owners);
    let unpacked = unpacked.and_then(|()| fs::rename(&partial, path).map_err(at(path)));
    if unpacked.is_err() {
        let _best_effort = remove_tree(&partial);
    }
    unpacked
}

fn layers(image: &LocalImage, root: &Path, keeps_owners: bool) -> Result<(), RootfsError> {
    let manifest = image.manifest()?.ok_or(RootfsError::Missing)?.map_err(RootfsError::Manifest)?;
    let tree = Tree::open(root).map_err(at(root))?;
    let mut unpacking = Unpacking::new(&tree, keeps_owners);
    for layer in &manifest.layers {
        let told = |source| RootfsError::Layer { layer: layer.digest.short(), source };
        let file = match image.open(&layer.digest) {
            Ok((_, file)) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(RootfsError::Missing),
            Err(error) => return Err(told(error.into())),
        };
        let mut file = BufReader::with_capacity(256 * 1024, file);
        // By its bytes: a media type may be wrong, and an engine would not care either.
        let compression = Compression::of(file.fill_buf().map_err(|error| told(error.into()))?);
        let archive = compression.decoder(file).map_err(|error| told(error.into()))?;
        unpacking.layer(archive).map_err(told)?;
    }
    // Modes come last: they may close ways.
    furnish(&tree).and_then(|()| unpacking.finish()).map_err(at(root))
}

/// Makes what a sandbox mounts something on, whatever the image has there.
fn furnish(tree: &Tree) -> io::Result<()> {
    for directory in MOUNT_POINTS {
        tree.place(Path::new(directory), true)?.make_directory()?;
    }
    for file in NETWORK_FILES {
        let path = Path::new(file);
        let folder = tree.place(path.parent().unwrap_or(path), true)?;
        if folder.stat()?.is_none() {
            folder.make_directory()?;
        } else if !folder.is_directory()? {
            continue;
        }
        let place = tree.place(path, true)?;
        // A link could lead anywhere.
        let is_file = place.stat()?.is_some_and(|stat| {
            rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile
        });
        if !is_file {
            place.create()?.set_permissions(Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}

/// Removes what nobody uses beyond [`KEPT`]. What cannot be removed stays.
fn evict(folder: &Path, newest: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut unpacked: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_none() && path != newest)
        .filter_map(|path| Some((fs::metadata(used(&path)).ok()?.modified().ok()?, path)))
        .collect();
    unpacked.sort();
    let surplus = (unpacked.len() + 1).saturating_sub(KEPT);
    for (_, path) in unpacked.into_iter().take(surplus) {
        let (Ok(unpacking), Ok(used)) = (lock_file(&unpacking(&path)), lock_file(&used(&path))) else {
            continue;
        };
        let is_free = unpacking.try_lock().is_ok() && used.try_lock().is_ok();
        // Half of one must never be found under its name.
        let removed =
            is_free && fs::rename(&path, partial(&path)).is_ok() && remove_tree(&partial(&path)).is_ok();
        tracing::debug!(removed, path = %path.display(), "an unpacked image is not needed any more");
    }
}

#[cfg(test)]
mod tests;
