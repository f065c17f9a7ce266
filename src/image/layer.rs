//! Makes layers from files: sorted, with every parent directory, owned by root, without times.
//!
//! Lambda refuses a layer in which a file's parent directory has no entry of its own
//! (`MissingParentDirectory`), and reports it only after the function was created. Sparse and
//! hard-linked entries are never written: the one breaks Docker, the other is suspicious to
//! Lambda.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};
use walkdir::WalkDir;

use super::ImageError;
use super::elf::{HEADER, Machine};
use super::gzip::{GzipLayer, LayerWriter};
use super::spool::spool_error;
use super::work::{Observed, Progress, Stop};
use crate::domain::compression::CompressionLevel;
use crate::domain::digest::{DiffId, Digest};
use crate::domain::spec::FileMapping;

/// A place in the image, as the names that lead there. Sorted, every directory comes before
/// what is in it.
type Place = Vec<OsString>;

/// What goes to one place.
#[derive(Clone, Debug)]
struct Node {
    /// The file or directory it comes from, or because of which it is there.
    from: PathBuf,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Directory,
    File { size: u64 },
    Link { target: PathBuf },
}

/// The files of a layer that is to be made.
#[derive(Debug, Default)]
pub(super) struct LayerFiles {
    nodes: BTreeMap<Place, Node>,
}

/// What is known about a file of a layer that was made.
#[derive(Clone, Debug)]
pub(super) enum Made {
    /// A directory.
    Directory,
    /// A file, and which machine it is for if it is a program.
    File(Option<Machine>),
    /// A symbolic link.
    Link(PathBuf),
}

/// What is at each place of a layer.
pub(super) type Contents = BTreeMap<Place, Made>;

/// A layer that was made, and what is in it.
#[derive(Debug)]
pub(super) struct FileLayer {
    pub(super) layer: GzipLayer,
    pub(super) contents: Contents,
}

/// Takes an archive for its digest only, which takes a tenth of the time of compressing it.
pub(super) struct DiffIdWriter(Sha256);

impl DiffIdWriter {
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(super) fn finish(self) -> DiffId {
        DiffId(Digest::from_sha256(self.0.finalize().into()))
    }
}

impl Write for DiffIdWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LayerFiles {
    /// Looks at what is to be copied, as `COPY` does: a directory's contents go to `to`, a file
    /// goes to `to`, or into it where it ends in `/`.
    pub(super) fn collect(mappings: &[FileMapping]) -> Result<Self, ImageError> {
        let mut files = Self::default();
        for mapping in mappings {
            files.map(mapping)?;
        }
        Ok(files)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Bytes of all files.
    pub(super) fn size(&self) -> u64 {
        let size = |node: &Node| if let Kind::File { size } = node.kind { size } else { 0 };
        self.nodes.values().map(size).sum()
    }

    fn map(&mut self, mapping: &FileMapping) -> Result<(), ImageError> {
        let FileMapping { from, to } = mapping;
        let mut place = place(to)?;
        let metadata = fs::metadata(from).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ImageError::FromMissing { from: from.clone(), to: to.clone() },
            _ => unreadable(from, source),
        })?;
        if metadata.is_dir() {
            return self.map_directory(from, &place);
        }
        if to.ends_with('/') || place.is_empty() {
            let name = from.file_name().ok_or_else(|| ImageError::InvalidTo { to: to.clone() })?;
            place.push(name.to_owned());
        }
        let kind = kind(from, &metadata)?;
        self.insert(place, Node { from: from.clone(), kind })
    }

    fn map_directory(&mut self, from: &Path, place: &Place) -> Result<(), ImageError> {
        for entry in WalkDir::new(from) {
            let entry = entry.map_err(|error| {
                let path = error.path().unwrap_or(from).to_owned();
                unreadable(&path, error.into())
            })?;
            let below = entry.path().strip_prefix(from).unwrap_or(Path::new(""));
            let place: Place = place.iter().cloned().chain(below.iter().map(OsString::from)).collect();
            let metadata = entry.metadata().map_err(|error| unreadable(entry.path(), error.into()))?;
            let kind = if entry.depth() == 0 { Kind::Directory } else { kind(entry.path(), &metadata)? };
            self.insert(place, Node { from: entry.path().to_owned(), kind })?;
        }
        Ok(())
    }

    fn insert(&mut self, place: Place, node: Node) -> Result<(), ImageError> {
        for length in 1..place.len() {
            let parent = Node { from: node.from.clone(), kind: Kind::Directory };
            self.insert_one(place[..length].to_vec(), parent)?;
        }
        if place.is_empty() {
            return Ok(());
        }
        self.insert_one(place, node)
    }

    fn insert_one(&mut self, place: Place, node: Node) -> Result<(), ImageError> {
        if let Some(there) = self.nodes.get(&place) {
            return match (&there.kind, &node.kind) {
                (Kind::Directory, Kind::Directory) => Ok(()),
                _ => Err(ImageError::Conflict {
                    path: text(&place),
                    first: there.from.clone(),
                    second: node.from,
                }),
            };
        }
        self.nodes.insert(place, node);
        Ok(())
    }

    /// Writes the layer. `mtime` is the time of every entry, in seconds since 1970.
    pub(super) fn write(
        &self,
        mtime: u64,
        level: CompressionLevel,
        progress: &mut Progress,
        stop: &Stop,
    ) -> Result<FileLayer, ImageError> {
        let writer = LayerWriter::create_of_files().map_err(spool_error)?.at(level);
        let (writer, contents) = self.pack(writer, mtime, progress, stop)?;
        Ok(FileLayer { layer: writer.finish().map_err(spool_error)?, contents })
    }

    /// What [`write`](Self::write) would compress: its digest, and what is in it.
    pub(super) fn look_at(
        &self,
        mtime: u64,
        progress: &mut Progress,
        stop: &Stop,
    ) -> Result<(DiffId, Contents), ImageError> {
        let (writer, contents) = self.pack(DiffIdWriter::new(), mtime, progress, stop)?;
        Ok((writer.finish(), contents))
    }

    fn pack<W: Write>(
        &self,
        writer: W,
        mtime: u64,
        progress: &mut Progress,
        stop: &Stop,
    ) -> Result<(W, Contents), ImageError> {
        let mut archive = Builder::new(writer);
        // Sparse entries, which linkers' output would become, are refused by Docker.
        archive.sparse(false);
        let mut contents = Contents::new();
        for (place, node) in &self.nodes {
            let path: PathBuf = place.iter().collect();
            let made = match &node.kind {
                Kind::Directory => {
                    // With a `/` at the end, as every other tool writes directories.
                    let path = path.join("");
                    let mut header =
                        header(EntryType::Directory, Attributes::of_root(0o755), 0, mtime, &path);
                    archive.append_data(&mut header, &path, io::empty()).map_err(spool_error)?;
                    Made::Directory
                }
                Kind::Link { target } => {
                    let mut header = header(EntryType::Symlink, Attributes::of_root(0o777), 0, mtime, &path);
                    archive.append_link(&mut header, &path, target).map_err(spool_error)?;
                    Made::Link(target.clone())
                }
                Kind::File { .. } => {
                    Made::File(append_file(&mut archive, &path, &node.from, None, mtime, progress, stop)?)
                }
            };
            contents.insert(place.clone(), made);
        }
        Ok((archive.into_inner().map_err(spool_error)?, contents))
    }
}

impl FileLayer {
    /// Follows symbolic links of the layer from an absolute path to what it names.
    pub(super) fn find(&self, path: &str) -> Option<&Made> {
        let mut place = place(path).ok()?;
        // As many links in a row as Linux follows.
        for _ in 0..40 {
            match self.contents.get(&place)? {
                Made::Link(target) => {
                    place.pop();
                    let base: PathBuf = [OsString::from("/")].iter().chain(&place).collect();
                    place = normal(&base.join(target));
                }
                made => return Some(made),
            }
        }
        None
    }
}

/// Mode and owner of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) user: u64,
    pub(super) group: u64,
}

impl Attributes {
    fn of_root(mode: u32) -> Self {
        Self { mode, user: 0, group: 0 }
    }
}

/// Appends a file of this machine, which must stay as it is meanwhile; owned by root, and with
/// normal permissions, where no `attributes` are given.
pub(super) fn append_file<W: Write>(
    archive: &mut Builder<W>,
    path: &Path,
    from: &Path,
    attributes: Option<Attributes>,
    mtime: u64,
    progress: &mut Progress,
    stop: &Stop,
) -> Result<Option<Machine>, ImageError> {
    let mut file = File::open(from).map_err(|source| unreadable(from, source))?;
    let before = file.metadata().map_err(|source| unreadable(from, source))?;
    let attributes =
        attributes.unwrap_or_else(|| Attributes::of_root(if is_executable(&before) { 0o755 } else { 0o644 }));
    let mut header = header(EntryType::Regular, attributes, before.len(), mtime, path);
    let observed = Observed { inner: &mut file, progress, stop };
    let mut content = Exact { inner: observed, left: before.len(), start: Vec::new(), failure: None };
    let appended = archive.append_data(&mut header, path, &mut content);
    let Exact { start, failure, .. } = content;
    match failure {
        Some(Failure::Changed) => return Err(ImageError::Changed { path: from.to_owned() }),
        Some(Failure::Read(source)) => return Err(unreadable(from, source)),
        None => appended.map_err(spool_error)?,
    }
    let after = file.metadata().map_err(|source| unreadable(from, source))?;
    if after.len() != before.len() || after.modified().ok() != before.modified().ok() {
        return Err(ImageError::Changed { path: from.to_owned() });
    }
    Ok(Machine::of(&start))
}

/// Reads exactly as many bytes as the entry's header promises, and remembers the first.
struct Exact<R> {
    inner: R,
    left: u64,
    start: Vec<u8>,
    failure: Option<Failure>,
}

enum Failure {
    Changed,
    Read(io::Error),
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.inner.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(Failure::Read(error));
                return Err(kind.into());
            }
        };
        let too_short = count == 0 && self.left > 0 && !buffer.is_empty();
        if too_short || count as u64 > self.left {
            self.failure = Some(Failure::Changed);
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.left -= count as u64;
        let missing = HEADER.saturating_sub(self.start.len());
        self.start.extend_from_slice(&buffer[..count.min(missing)]);
        Ok(count)
    }
}

/// The header of an entry.
pub(super) fn header(kind: EntryType, attributes: Attributes, size: u64, mtime: u64, path: &Path) -> Header {
    // Names that do not fit need the GNU format's own entries for long names.
    let mut header = Header::new_ustar();
    if header.set_path(path).is_err() {
        header = Header::new_gnu();
    }
    header.set_entry_type(kind);
    header.set_mode(attributes.mode);
    header.set_uid(attributes.user);
    header.set_gid(attributes.group);
    header.set_mtime(mtime);
    header.set_size(size);
    header
}

fn kind(path: &Path, metadata: &Metadata) -> Result<Kind, ImageError> {
    let kind = metadata.file_type();
    if kind.is_dir() {
        Ok(Kind::Directory)
    } else if kind.is_symlink() {
        let target = fs::read_link(path).map_err(|source| unreadable(path, source))?;
        Ok(Kind::Link { target })
    } else if kind.is_file() {
        Ok(Kind::File { size: metadata.len() })
    } else {
        Err(ImageError::SpecialFile { path: path.to_owned(), kind: special(kind) })
    }
}

#[cfg(unix)]
fn special(kind: fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_socket() {
        "a socket"
    } else if kind.is_fifo() {
        "a named pipe"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn special(_kind: fs::FileType) -> &'static str {
    "neither a file nor a directory"
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

/// Where files have no such mark, all of them can be executed, as Docker does it there.
#[cfg(not(unix))]
fn is_executable(_metadata: &Metadata) -> bool {
    true
}

/// Reads an absolute path of the image.
fn place(to: &str) -> Result<Place, ImageError> {
    let path = Path::new(to);
    let climbs = path.components().any(|component| component == Component::ParentDir);
    if !to.starts_with('/') || climbs || to.contains('\0') {
        return Err(ImageError::InvalidTo { to: to.to_owned() });
    }
    Ok(normal(path))
}

/// The names that lead to a path, with `.` and `..` resolved.
fn normal(path: &Path) -> Place {
    let mut place = Place::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => place.push(name.to_owned()),
            Component::ParentDir => drop(place.pop()),
            _ => {}
        }
    }
    place
}

fn text(place: &Place) -> String {
    place.iter().map(|name| format!("/{}", name.to_string_lossy())).collect()
}

fn unreadable(path: &Path, source: io::Error) -> ImageError {
    ImageError::Read { what: path.display().to_string(), source }
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
