//! Writes what an instruction made as a layer: sorted, every parent an entry, one fixed time.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use tar::{Builder, EntryType};

use super::content::Content;
use super::tree::{Kind, Node, Place, text};
use crate::domain::compression::CompressionLevel;
use crate::domain::digest::DiffId;
use crate::image::ImageError;
use crate::image::gzip::{GzipLayer, LayerWriter};
use crate::image::layer::{Attributes, DiffIdWriter, append_file, header};
use crate::image::seal::damaged;
use crate::image::spool::spool_error;
use crate::image::work::{Observed, Progress, Stop};

/// Writes a layer. `mtime` is the time of every entry, in seconds since 1970.
pub(super) fn write(
    nodes: &BTreeMap<Place, Node>,
    mtime: u64,
    level: CompressionLevel,
    progress: &mut Progress,
    stop: &Stop,
) -> Result<GzipLayer, ImageError> {
    let writer = LayerWriter::create_of_files().map_err(spool_error)?.at(level);
    pack(nodes, writer, mtime, progress, stop)?.finish().map_err(spool_error)
}

/// The digest of what [`write`] would compress.
pub(super) fn diff_id(
    nodes: &BTreeMap<Place, Node>,
    mtime: u64,
    progress: &mut Progress,
    stop: &Stop,
) -> Result<DiffId, ImageError> {
    Ok(pack(nodes, DiffIdWriter::new(), mtime, progress, stop)?.finish())
}

fn pack<W: Write>(
    nodes: &BTreeMap<Place, Node>,
    writer: W,
    mtime: u64,
    progress: &mut Progress,
    stop: &Stop,
) -> Result<W, ImageError> {
    let mut archive = Builder::new(writer);
    // Sparse entries, which linkers' output would become, are refused by Docker.
    archive.sparse(false);
    for (place, node) in nodes {
        let path: PathBuf = place.iter().collect();
        let attributes = Attributes { mode: node.mode, user: node.owner.user, group: node.owner.group };
        match &node.kind {
            Kind::Directory => {
                // With a `/` at the end, as every other tool writes directories.
                let path = path.join("");
                let mut header = header(EntryType::Directory, attributes, 0, mtime, &path);
                archive.append_data(&mut header, &path, io::empty()).map_err(spool_error)?;
            }
            Kind::Link(target) => {
                let mut header = header(EntryType::Symlink, attributes, 0, mtime, &path);
                archive.append_link(&mut header, &path, target).map_err(spool_error)?;
            }
            Kind::File(Content::Host { path: from, .. }) => {
                append_file(&mut archive, &path, from, Some(attributes), mtime, progress, stop)?;
            }
            Kind::File(Content::Spooled(spooled)) => {
                let mut header = header(EntryType::Regular, attributes, spooled.size, mtime, &path);
                let content = Observed { inner: spooled.reader(), progress, stop };
                archive.append_data(&mut header, &path, content).map_err(spool_error)?;
            }
            Kind::File(Content::Text(content)) => {
                let mut header = header(EntryType::Regular, attributes, content.len() as u64, mtime, &path);
                archive.append_data(&mut header, &path, content.as_bytes()).map_err(spool_error)?;
            }
            Kind::File(Content::Layered(_) | Content::Contained(_) | Content::Unread(_)) | Kind::Special => {
                return Err(damaged(&text(place), "its content cannot be copied"));
            }
        }
    }
    archive.into_inner().map_err(spool_error)
}

/// Bytes of all files.
pub(super) fn size(nodes: &BTreeMap<Place, Node>) -> u64 {
    let size = |node: &Node| if let Kind::File(content) = &node.kind { content.size() } else { 0 };
    nodes.values().map(size).sum()
}
