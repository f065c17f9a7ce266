//! What files a base image has: read once from its layers, then known by their digests.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tar::{Archive, EntryType};
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::content::{Content, Layered, Spooled};
use super::tree::{Kind, Node, Owner, Place, Tree, place as place_of, text};
use crate::domain::digest::Digest;
use crate::event::SharedReporter;
use crate::image::gzip::Compression;
use crate::image::seal::damaged;
use crate::image::spool::{Spool, spool_error};
use crate::image::work::{Observed, Progress, blocking};
use crate::image::{BlobSource, Image, ImageError, Layer};

/// An entry of a layer, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    #[serde(rename = "p")]
    path: String,
    #[serde(rename = "k")]
    kind: ListedKind,
    #[serde(rename = "m")]
    mode: u32,
    #[serde(rename = "u", default, skip_serializing_if = "is_zero")]
    user: u64,
    #[serde(rename = "g", default, skip_serializing_if = "is_zero")]
    group: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum ListedKind {
    #[serde(rename = "d")]
    Directory,
    /// With its size.
    #[serde(rename = "f")]
    File(u64),
    /// Another name of a file of the same layer.
    #[serde(rename = "h")]
    Name(String),
    #[serde(rename = "l")]
    Link(String),
    #[serde(rename = "s")]
    Special,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Marks what a layer takes away.
/// <https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts>
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// Reads which files an image has. Layers that had to be read for it are kept in temporary files,
/// so that they need not be read again where they have to be sent. `remembered` is a directory
/// with the lists of layers, which may be lost at any time.
pub(super) async fn files(
    mut image: Image,
    remembered: Option<&Path>,
    reporter: &SharedReporter,
) -> Result<(Tree, Image), ImageError> {
    let mut nodes = BTreeMap::new();
    for layer in &mut image.layers {
        let digest = layer.descriptor.digest;
        let file = remembered.map(|directory| directory.join(digest.hex()));
        let list = match file.as_deref().and_then(recall) {
            Some(list) => list,
            None => {
                let (list, source) = read(layer, reporter).await?;
                layer.source = source;
                if let Some(file) = &file {
                    // Without it, it is only read again.
                    let _ = remember(file, &list);
                }
                list
            }
        };
        lay(&mut nodes, list, &Arc::new(layer.clone()));
    }
    Ok((Tree::of(nodes), image))
}

fn recall(file: &Path) -> Option<Vec<Listed>> {
    let bytes = zstd::stream::decode_all(fs::File::open(file).ok()?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn remember(file: &Path, list: &[Listed]) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
    let mut encoder = zstd::stream::write::Encoder::new(&mut temporary, 3)?;
    // So that damage is noticed.
    encoder.include_checksum(true)?;
    serde_json::to_writer(&mut encoder, list)?;
    encoder.finish()?.flush()?;
    temporary.persist(file)?;
    Ok(())
}

/// Reads a layer to its end; what its source is from then on.
async fn read(layer: &Layer, reporter: &SharedReporter) -> Result<(Vec<Listed>, BlobSource), ImageError> {
    let what = format!("layer {}", layer.descriptor.digest.short());
    let unreadable = {
        let what = what.clone();
        move |source| ImageError::Read { what: what.clone(), source }
    };
    let input = SyncIoBridge::new(StreamReader::new(layer.source.open().await.map_err(&unreadable)?));
    let (reporter, total, digest) = (reporter.clone(), layer.descriptor.size, layer.descriptor.digest);
    // What is far away is kept.
    let is_remote = matches!(layer.source, BlobSource::Registry(_));
    let source = layer.source.clone();
    blocking(move |stop| {
        let mut progress = Progress::new("reading", Some(total), &reporter);
        let input = Observed { inner: input, progress: &mut progress, stop: &stop };
        let spool = is_remote.then(Spool::create).transpose().map_err(spool_error)?;
        let mut input = Tee { input, spool };
        let list = list(Compression::Gzip.decoder(&mut input).map_err(&unreadable)?).map_err(&unreadable)?;
        // The digest is checked at the end, which a decoder need not reach.
        io::copy(&mut input, &mut io::sink()).map_err(&unreadable)?;
        let source = match input.spool {
            Some(spool) => kept(spool, digest, &what)?,
            None => source,
        };
        Ok((list, source))
    })
    .await
}

fn kept(spool: Spool, digest: Digest, what: &str) -> Result<BlobSource, ImageError> {
    let spooled = spool.finish().map_err(spool_error)?;
    match spooled.digest == digest {
        true => Ok(spooled.source),
        false => Err(damaged(what, format!("its bytes have the digest {}", spooled.digest))),
    }
}

/// Puts aside what is read.
struct Tee<R> {
    input: R,
    spool: Option<Spool>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        if let Some(spool) = &mut self.spool {
            spool.write_all(&buffer[..count])?;
        }
        Ok(count)
    }
}

/// Where the files of one layer go.
type ByPath<'a> = HashMap<Arc<str>, Vec<&'a mut Node>>;

/// Takes files out of the layers they are in: afterwards all of `nodes` can be written.
pub(super) async fn take_out(nodes: Vec<&mut Node>, reporter: &SharedReporter) -> Result<(), ImageError> {
    let mut wanted: BTreeMap<Digest, (Arc<Layer>, ByPath<'_>)> = BTreeMap::new();
    for node in nodes {
        let Kind::File(Content::Layered(Layered { layer, path, .. })) = &node.kind else { continue };
        let (layer, path) = (layer.clone(), path.clone());
        let (_, of_layer) = wanted.entry(layer.descriptor.digest).or_insert_with(|| (layer, HashMap::new()));
        of_layer.entry(path).or_default().push(node);
    }
    for (layer, mut nodes) in wanted.into_values() {
        let paths = nodes.keys().cloned().collect();
        for (path, spooled) in taken_out(&layer, paths, reporter).await? {
            for node in nodes.remove(&path).into_iter().flatten() {
                node.kind = Kind::File(Content::Spooled(spooled.clone()));
            }
        }
        if let Some(missing) = nodes.into_keys().next() {
            return Err(damaged(&missing, "its layer does not have it any more"));
        }
    }
    Ok(())
}

/// Reads a layer once, and puts the files with these paths aside.
async fn taken_out(
    layer: &Layer,
    mut paths: HashSet<Arc<str>>,
    reporter: &SharedReporter,
) -> Result<Vec<(Arc<str>, Spooled)>, ImageError> {
    let what = format!("layer {}", layer.descriptor.digest.short());
    let unreadable = move |source| ImageError::Read { what: what.clone(), source };
    let input = SyncIoBridge::new(StreamReader::new(layer.source.open().await.map_err(&unreadable)?));
    let (reporter, total) = (reporter.clone(), layer.descriptor.size);
    blocking(move |stop| {
        let mut progress = Progress::new("reading", Some(total), &reporter);
        let mut input = Observed { inner: input, progress: &mut progress, stop: &stop };
        let mut file = tempfile::tempfile().map_err(spool_error)?;
        let (mut offset, mut found) = (0, Vec::new());
        let mut archive = Archive::new(Compression::Gzip.decoder(&mut input).map_err(&unreadable)?);
        for entry in archive.entries().map_err(&unreadable)? {
            let mut entry = entry.map_err(&unreadable)?;
            let path = entry.path().map_err(&unreadable)?.to_string_lossy().into_owned();
            if !matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Continuous) {
                continue;
            }
            let Some(path) = paths.take(text(&place_of(&path)).as_str()) else { continue };
            let size = io::copy(&mut entry, &mut file).map_err(&unreadable)?;
            found.push((path, offset, size));
            offset += size;
        }
        drop(archive);
        // The digest is checked at the end.
        io::copy(&mut input, &mut io::sink()).map_err(&unreadable)?;
        let file = Arc::new(file);
        let spooled = |(path, offset, size)| (path, Spooled { file: file.clone(), offset, size });
        Ok(found.into_iter().map(spooled).collect())
    })
    .await
}

fn list(archive: impl Read) -> io::Result<Vec<Listed>> {
    let mut list = Vec::new();
    for entry in Archive::new(archive).entries()? {
        let mut entry = entry?;
        let header = entry.header().clone();
        let kind = match header.entry_type() {
            EntryType::Directory => ListedKind::Directory,
            EntryType::Symlink => {
                let target = entry.link_name()?.unwrap_or_default();
                ListedKind::Link(target.to_string_lossy().into_owned())
            }
            EntryType::Link => {
                let target = entry.link_name()?.unwrap_or_default();
                ListedKind::Name(target.to_string_lossy().into_owned())
            }
            EntryType::Regular | EntryType::Continuous if has_attributes(&mut entry)? => ListedKind::Special,
            EntryType::Regular | EntryType::Continuous => ListedKind::File(entry.size()),
            EntryType::Char | EntryType::Block | EntryType::Fifo | EntryType::GNUSparse => {
                ListedKind::Special
            }
            _ => continue,
        };
        list.push(Listed {
            path: entry.path()?.to_string_lossy().into_owned(),
            kind,
            mode: header.mode()? & 0o7777,
            user: header.uid()?,
            group: header.gid()?,
        });
    }
    Ok(list)
}

/// Whether a file has extended attributes, such as capabilities, which layers of ours have not.
pub(super) fn has_attributes(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<bool> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(false) };
    for extension in extensions {
        if extension?.key_bytes().starts_with(b"SCHILY.xattr.") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Lays a layer over what is below it.
fn lay(nodes: &mut BTreeMap<Place, Node>, list: Vec<Listed>, layer: &Arc<Layer>) {
    let sizes: HashMap<Place, u64> = list
        .iter()
        .filter_map(|entry| match entry.kind {
            ListedKind::File(size) => Some((place_of(&entry.path), size)),
            _ => None,
        })
        .collect();
    let file = |path: &str, size| {
        let (layer, path) = (layer.clone(), Arc::from(text(&place_of(path))));
        Kind::File(Content::Layered(Layered { layer, path, size }))
    };
    let (removals, entries): (Vec<_>, Vec<_>) = list.into_iter().partition(|entry| is_whiteout(&entry.path));
    for removal in removals {
        let mut place = place_of(&removal.path);
        let name = place.pop().unwrap_or_default();
        let name = name.to_string_lossy();
        if name != OPAQUE {
            place.push(name.trim_start_matches(WHITEOUT).into());
            nodes.remove(&place);
        }
        remove_below(nodes, &place);
    }
    for Listed { path, kind, mode, user, group } in entries {
        let place = place_of(&path);
        if place.is_empty() {
            continue;
        }
        for depth in 1..place.len() {
            let parent = place[..depth].to_vec();
            nodes.entry(parent).or_insert_with(|| Node::directory(Owner::default()));
        }
        let kind = match kind {
            ListedKind::Directory => Kind::Directory,
            ListedKind::File(size) => file(&path, size),
            ListedKind::Name(first) => match sizes.get(&place_of(&first)) {
                Some(size) => file(&first, *size),
                // Of a layer below; nobody writes that.
                None => Kind::Special,
            },
            ListedKind::Link(target) => Kind::Link(PathBuf::from(target)),
            ListedKind::Special => Kind::Special,
        };
        let node = Node { kind, mode, owner: Owner { user, group } };
        if !node.is_directory() {
            remove_below(nodes, &place);
        }
        nodes.insert(place, node);
    }
}

fn is_whiteout(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with(WHITEOUT))
}

fn remove_below(nodes: &mut BTreeMap<Place, Node>, place: &Place) {
    let below: Vec<Place> = nodes
        .range(place.clone()..)
        .map(|(below, _)| below)
        .take_while(|below| below.starts_with(place))
        .filter(|below| below.len() > place.len())
        .cloned()
        .collect();
    for place in below {
        nodes.remove(&place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::manifest::{Descriptor, MediaType};

    fn listed(path: &str, kind: ListedKind, mode: u32) -> Listed {
        Listed { path: path.to_owned(), kind, mode, user: 0, group: 7 }
    }

    #[test]
    fn layers_are_laid_over_each_other() {
        use ListedKind::{Directory, Link};
        const FILE: ListedKind = ListedKind::File(1);
        let descriptor = Descriptor::new(MediaType::OciLayerGzip, Digest::of(b""), 0);
        let layer = Arc::new(Layer { descriptor, source: BlobSource::Memory(bytes::Bytes::new()) });
        let mut nodes = BTreeMap::new();
        let mut put = |list| lay(&mut nodes, list, &layer);
        put(vec![
            listed("./", Directory, 0o755),
            listed("./a/", Directory, 0o755),
            listed("a/gone", FILE, 0o644),
            listed("a/b/deep", FILE, 0o600),
            listed("o/", Directory, 0o700),
            listed("o/old", FILE, 0o644),
            listed("l", Link("a".to_owned()), 0o777),
            listed("second", ListedKind::Name("a/gone".to_owned()), 0o644),
        ]);
        put(vec![
            listed("a/", Directory, 0o1777),
            listed("a/.wh.gone", FILE, 0),
            listed("o/new", FILE, 0o644),
            listed("o/.wh..wh..opq", FILE, 0),
            listed("/l", FILE, 0o4755),
        ]);
        let mut tree = Tree::of(nodes);
        let mut mode = |path: &str| tree.get(&place_of(path)).unwrap().map(|node| node.mode);
        assert_eq!(mode("/a"), Some(0o1777));
        assert_eq!(mode("/a/gone"), None);
        assert_eq!(mode("/a/b"), Some(0o755), "a parent without an entry");
        assert_eq!(mode("/a/b/deep"), Some(0o600));
        assert_eq!((mode("/o/old"), mode("/o/new")), (None, Some(0o644)));
        assert_eq!(mode("/l"), Some(0o4755));
        let Some(Node { kind: Kind::File(Content::Layered(second)), .. }) =
            tree.get(&place_of("/second")).unwrap()
        else {
            panic!("not a file")
        };
        assert_eq!((&*second.path, second.size), ("/a/gone", 1));
    }

    #[test]
    fn lists_are_remembered_and_damage_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lists/abc");
        let list = vec![listed("a", ListedKind::Link("b".to_owned()), 0o777)];
        assert_eq!(recall(&file), None);
        remember(&file, &list).unwrap();
        assert_eq!(recall(&file), Some(list));
        let mut bytes = fs::read(&file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert_eq!(recall(&file), None);
    }
}
