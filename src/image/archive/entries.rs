//! One pass over an archive: everything in it is put aside, whatever it turns out to be for.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Component, Path};

use bytes::Bytes;
use tar::{Archive, EntryType};

use super::expected::Expected;
use crate::domain::digest::Digest;
use crate::domain::manifest::Descriptor;
use crate::image::ImageError;
use crate::image::gzip::{Compression, GzipLayer, LayerWriter};
use crate::image::seal::{copy, damaged};
use crate::image::spool::{Spool, Spooled, spool_error};

/// What is not larger is held in memory: manifests and configurations are.
const SMALL: u64 = 4 << 20;
/// How much of a file says what it is: the magic number of tar ends at byte 262.
const START: u64 = 512;
/// How many links may lead to one another.
const LINKS: usize = 16;

/// A file of an archive.
#[derive(Clone, Debug)]
pub(in crate::image) enum Entry {
    /// Something small that is no layer, or a small compressed one.
    Small(Bytes),
    /// Something large, as it is.
    Large(Spooled, Compression),
    /// A layer that was not compressed.
    Tar(GzipLayer),
}

/// The files of an archive.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) name: String,
    files: HashMap<String, Entry>,
    links: HashMap<String, String>,
}

impl Entries {
    /// Finds a file by its path, following links.
    pub(super) fn get(&self, path: &str) -> Option<&Entry> {
        let mut path = normal(Path::new(path));
        for _ in 0..LINKS {
            if let Some(entry) = self.files.get(&path) {
                return Some(entry);
            }
            path = self.links.get(&path)?.clone();
        }
        None
    }

    /// Finds a blob of an OCI layout, and checks that it is the one described.
    pub(super) fn blob(&self, descriptor: &Descriptor) -> Result<&Entry, ImageError> {
        let Descriptor { digest, size, .. } = descriptor;
        let entry = self
            .get(&format!("blobs/sha256/{}", digest.hex()))
            .ok_or_else(|| ImageError::MissingBlob { image: self.name.clone(), digest: *digest })?;
        let (actual, actual_size) = match entry {
            Entry::Small(bytes) => (Digest::of(bytes), Some(bytes.len() as u64)),
            Entry::Large(spooled, _) => (spooled.digest, Some(spooled.size)),
            Entry::Tar(layer) => (layer.diff_id.0, None),
        };
        if actual != *digest || actual_size.is_some_and(|actual| actual != *size) {
            return Err(damaged(&self.name, format!("blob `{digest}` has digest {actual}")));
        }
        Ok(entry)
    }
}

/// Reads an archive to its end; what is expected is passed over.
pub(super) fn read(name: &str, input: impl Read, expected: &Expected) -> Result<Entries, ImageError> {
    let unreadable = |source| ImageError::Read { what: name.to_owned(), source };
    let mut entries = Entries { name: name.to_owned(), files: HashMap::new(), links: HashMap::new() };
    let mut archive = Archive::new(input);
    let mut is_empty = true;
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = match entry {
            // The complaint quotes the first bytes, which may be anything.
            Err(error) if is_empty && is_about_content(&error) => return Err(not_an_archive(name)),
            entry => entry.map_err(unreadable)?,
        };
        is_empty = false;
        let path = entry.path().map_err(unreadable)?.into_owned();
        let key = normal(&path);
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let put_aside = match expected.at(&key) {
                    Some(known) => known,
                    None => {
                        let size = entry.size();
                        match put_aside(&mut entry, &key, size, expected, &unreadable)? {
                            Entry::Tar(layer) => expected.instead_of(&layer.diff_id).unwrap_or_else(|| {
                                expected.announce(&layer);
                                Entry::Tar(layer)
                            }),
                            other => other,
                        }
                    }
                };
                entries.files.insert(key, put_aside);
            }
            EntryType::Symlink => {
                let target = entry.link_name().map_err(unreadable)?.unwrap_or_default();
                // Relative to where the link is.
                let target = path.parent().unwrap_or(Path::new("")).join(target);
                entries.links.insert(key, normal(&target));
            }
            EntryType::Link => {
                // Relative to the archive's root.
                let target = entry.link_name().map_err(unreadable)?.unwrap_or_default();
                entries.links.insert(key, normal(&target));
            }
            _ => {}
        }
    }
    // What writes into a pipe must not find it closed before it is done.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(unreadable)?;
    Ok(entries)
}

/// Tells whether a tar archive's reader complains about what it has read; what keeps it from
/// reading has a kind of its own.
fn is_about_content(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        && error.raw_os_error().is_none()
}

fn not_an_archive(name: &str) -> ImageError {
    ImageError::Unsupported {
        image: name.to_owned(),
        problem: "it is no tar archive, as `docker save` or `skopeo copy SOURCE oci-archive:FILE` make one"
            .to_owned(),
    }
}

fn put_aside(
    entry: &mut impl Read,
    path: &str,
    size: u64,
    expected: &Expected,
    unreadable: &impl Fn(io::Error) -> ImageError,
) -> Result<Entry, ImageError> {
    let mut start = Vec::new();
    entry.take(START).read_to_end(&mut start).map_err(unreadable)?;
    let compression = Compression::of(&start);
    let is_tar = compression == Compression::None && looks_like_tar(&start);
    let mut whole = start.as_slice().chain(entry);
    if is_tar {
        let mut layer = LayerWriter::create().map_err(spool_error)?.at(expected.compression());
        expected.announce_early(path, size, &mut layer);
        copy(&mut whole, &mut layer, unreadable)?;
        return Ok(Entry::Tar(layer.finish().map_err(spool_error)?));
    }
    if compression == Compression::None && size <= SMALL {
        let mut bytes = Vec::new();
        whole.read_to_end(&mut bytes).map_err(unreadable)?;
        return Ok(Entry::Small(bytes.into()));
    }
    let mut spool = Spool::create().map_err(spool_error)?;
    copy(&mut whole, &mut spool, unreadable)?;
    Ok(Entry::Large(spool.finish().map_err(spool_error)?, compression))
}

/// A tar archive has a magic number in its first header; an empty one is zeroes only.
fn looks_like_tar(start: &[u8]) -> bool {
    start.get(257..262) == Some(b"ustar".as_slice())
        || (start.len() as u64 == START && start.iter().all(|byte| *byte == 0))
}

/// The path without `.`, `..` and leading `/`.
fn normal(path: &Path) -> String {
    let mut names: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => drop(names.pop()),
            _ => {}
        }
    }
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_in_one_form() {
        assert_eq!(normal(Path::new("./a/../b//c")), "b/c");
        assert_eq!(normal(Path::new("/abs/../../x")), "x");
    }

    #[test]
    fn empty_layers_count_as_tar_archives() {
        assert!(looks_like_tar(&[0; 512]));
        assert!(!looks_like_tar(&[0; 100]));
        assert!(!looks_like_tar(b"{\"schemaVersion\":2}"));
    }
}
