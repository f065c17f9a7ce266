//! Finds out what files a base image has: from whoever knows it without its layers, else from these,
//! whose lists are known by their digests from then on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tar::{Archive, EntryType};
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::asked::{Asked, Source};
use super::content::{Content, Layered, Spooled};
use super::listing::{Entry, EntryKind, Listing};
use super::tree::{Kind, Node, Owner, Place, Unexplored, place as place_of, text};
use super::{Kept, Memory, Stopped, engine};
use crate::domain::digest::Digest;
use crate::event::SharedReporter;
use crate::image::gzip::Compression;
use crate::image::known::KnownImages;
use crate::image::seal::damaged;
use crate::image::spool::{Spool, spool_error};
use crate::image::work::{Observed, Progress, blocking};
use crate::image::{BlobSource, Image, ImageError, Layer};
use crate::services::docker::ImageFiles;

/// Where the list of a layer is remembered, and the list.
type Remembered = (Option<PathBuf>, Option<Listing>);

/// What there is to learn from which files an image has.
pub(super) struct Sources<'a, K, N> {
    /// A directory with the lists of layers, which may be lost at any time.
    pub(super) lists: Option<PathBuf>,
    /// What was asked before.
    pub(super) memory: Option<Arc<dyn Memory>>,
    /// The image in an engine, if one has it and may be asked.
    pub(super) kept: K,
    /// What the registry has that the image goes to.
    pub(super) known: N,
    pub(super) reporter: &'a SharedReporter,
}

/// Who may be asked for files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asking {
    /// Nobody, where anything was asked before, here or elsewhere.
    Memory,
    /// An engine, where the layers were never listed.
    Engine,
    /// The lists of the layers, which are made now if need be.
    Lists,
}

/// A base image whose files can be looked up.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) files: Arc<Asked>,
    /// What an engine keeps for them.
    pub(super) opened: Option<Arc<ImageFiles>>,
    pub(super) image: Image,
}

impl<K, N> Sources<'_, K, N>
where
    K: Future<Output = Option<Kept>>,
    N: Future<Output = KnownImages>,
{
    /// Learns which files an image has. Layers that had to be read for it are kept in temporary
    /// files, so that they need not be read again where they have to be sent.
    pub(super) async fn files(self, mut image: Image, asking: Asking) -> Result<Base, ImageError> {
        if asking == Asking::Memory
            && let Some(before) = Asked::before(&image, self.memory.clone())
        {
            return Ok(Base { files: Arc::new(before), opened: None, image });
        }
        let lists = recalled(&image, self.lists.as_deref()).await?;
        if lists.iter().any(|(_, list)| list.is_none()) && asking < Asking::Lists {
            // It is needed in any case, once the files are known.
            let known = self.known.await;
            if asking == Asking::Memory
                && let Some(noted) = Asked::noted(&image, &known)
            {
                return Ok(Base { files: Arc::new(noted), opened: None, image });
            }
            if let Some(Kept { files, diff_ids }) = self.kept.await
                && diff_ids.len() == image.layers.len()
                && image.config.diff_ids().is_ok_and(|expected| expected == diff_ids)
            {
                let opened = Arc::new(files);
                let source = Source::Engine(engine::Files::new(opened.clone()));
                let files = Arc::new(Asked::of(source, &image, self.memory));
                return Ok(Base { files, opened: Some(opened), image });
            }
        }
        let mut layers = Vec::with_capacity(lists.len());
        for (layer, (file, list)) in image.layers.iter_mut().zip(lists) {
            let list = match list {
                Some(list) => list,
                None => {
                    let (list, source) = read(layer, self.reporter).await?;
                    layer.source = source;
                    if let Some(file) = &file {
                        // Without it, it is only read again.
                        let _ = list.remember(file);
                    }
                    list
                }
            };
            layers.push((list, Arc::new(layer.clone())));
        }
        let source = Source::Lists(Box::new(Files { layers }));
        let files = Arc::new(Asked::of(source, &image, self.memory));
        Ok(Base { files, opened: None, image })
    }
}

/// For each layer, where its list is remembered, and the list. They are long: whoever asks a
/// registry something meanwhile is not kept waiting.
async fn recalled(image: &Image, remembered: Option<&Path>) -> Result<Vec<Remembered>, ImageError> {
    let hex = |layer: &Layer| layer.descriptor.digest.hex();
    let files: Vec<Option<PathBuf>> =
        image.layers.iter().map(|layer| remembered.map(|directory| directory.join(hex(layer)))).collect();
    let recall = |file: Option<PathBuf>| {
        let list = file.as_deref().and_then(Listing::recall);
        (file, list)
    };
    blocking(move |_stop| Ok(files.into_iter().map(recall).collect())).await
}

/// The files of an image, looked up where they are needed.
struct Files {
    /// The lowest first.
    layers: Vec<(Listing, Arc<Layer>)>,
}

impl Unexplored for Files {
    fn get(&self, place: &Place) -> Result<Option<Node>, Stopped> {
        let path = path_in_lists(place);
        let (parent, _) = path.rsplit_once('/').unwrap_or(("", &path));
        // Something may be in a directory that has no entry of its own.
        let mut is_implied = false;
        for (list, layer) in self.layers.iter().rev() {
            if let Some(entry) = list.find(&path).filter(|entry| !entry.is_removal()) {
                return Ok(Some(node(entry, layer)));
            }
            is_implied |= list.below(&path).any(|entry| !entry.is_removal());
            if list.removes(&path) || list.clears(parent) {
                break;
            }
        }
        Ok(is_implied.then(|| Node::directory(Owner::default())))
    }

    fn below(&self, directory: &Place) -> Result<Vec<(Place, Node)>, Stopped> {
        let directory = path_in_lists(directory);
        let mut nodes = BTreeMap::new();
        for (list, layer) in &self.layers {
            if list.clears(&directory) {
                nodes.clear();
            }
            lay(&mut nodes, list, &directory, layer);
        }
        Ok(nodes.into_iter().collect())
    }
}

/// A place as lists have it.
fn path_in_lists(place: &Place) -> String {
    text(place)[1..].to_owned()
}

fn node(entry: Entry<'_>, layer: &Arc<Layer>) -> Node {
    let kind = match entry.kind {
        EntryKind::Directory => Kind::Directory,
        EntryKind::File { path, size, text } => {
            let (layer, path, text) = (layer.clone(), format!("/{path}").into(), text.map(Into::into));
            Kind::File(Content::Layered(Layered { layer, path, size, text }))
        }
        EntryKind::Link(target) => Kind::Link(PathBuf::from(target)),
        EntryKind::Special => Kind::Special,
    };
    Node { kind, mode: entry.mode, owner: entry.owner }
}

/// Reads a layer to its end; what its source is from then on.
async fn read(layer: &Layer, reporter: &SharedReporter) -> Result<(Listing, BlobSource), ImageError> {
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
        let archive = Compression::Gzip.decoder(&mut input).map_err(&unreadable)?;
        let list = Listing::read(archive).map_err(&unreadable)?;
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

/// Lays what a layer has below a directory over what is below it.
fn lay(nodes: &mut BTreeMap<Place, Node>, list: &Listing, directory: &str, layer: &Arc<Layer>) {
    for removal in list.below(directory).filter(Entry::is_removal) {
        let (path, itself) = removal.removed();
        let place = place_of(&path);
        if itself {
            nodes.remove(&place);
        }
        remove_below(nodes, &place);
    }
    let depth = place_of(directory).len();
    for entry in list.below(directory).filter(|entry| !entry.is_removal()) {
        let place = place_of(entry.path);
        for depth in depth + 1..place.len() {
            let parent = place[..depth].to_vec();
            nodes.entry(parent).or_insert_with(|| Node::directory(Owner::default()));
        }
        let node = node(entry, layer);
        if !node.is_directory() {
            remove_below(nodes, &place);
        }
        nodes.insert(place, node);
    }
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
    use super::super::listing::tests::listing;
    use super::super::tree::Tree;
    use super::*;
    use crate::domain::manifest::{Descriptor, MediaType};

    fn files(lists: Vec<Listing>) -> Files {
        let descriptor = Descriptor::new(MediaType::OciLayerGzip, Digest::of(b""), 0);
        let layer = Arc::new(Layer { descriptor, source: BlobSource::Memory(bytes::Bytes::new()) });
        Files { layers: lists.into_iter().map(|list| (list, layer.clone())).collect() }
    }

    fn layered() -> Files {
        files(vec![
            listing(&[
                ("./", 'd', 0o755, 0, ""),
                ("./a/", 'd', 0o755, 0, ""),
                ("a/gone", 'f', 0o644, 1, ""),
                ("a/b/deep", 'f', 0o600, 1, ""),
                ("o/", 'd', 0o700, 0, ""),
                ("o/old", 'f', 0o644, 1, ""),
                ("l", 'l', 0o777, 0, "a"),
                ("second", 'h', 0o644, 0, "a/gone"),
                ("w/x/y", 'f', 0o644, 1, ""),
                ("r/x", 'f', 0o644, 1, ""),
            ]),
            listing(&[
                ("a/", 'd', 0o1777, 0, ""),
                ("a/.wh.gone", 'f', 0, 0, ""),
                ("o/new", 'f', 0o644, 1, ""),
                ("o/.wh..wh..opq", 'f', 0, 0, ""),
                ("/l", 'f', 0o4755, 1, ""),
                (".wh.w", 'f', 0, 0, ""),
                ("r", 'f', 0o640, 1, ""),
            ]),
            listing(&[("w/new", 'f', 0o644, 1, ""), ("r", 'd', 0o750, 0, "")]),
        ])
    }

    #[test]
    fn layers_are_laid_over_each_other() {
        let mut tree = Tree::exploring(Arc::new(layered()));
        let mut mode = |path: &str| tree.get(&place_of(path)).unwrap().map(|node| node.mode);
        assert_eq!(mode("/a"), Some(0o1777));
        assert_eq!(mode("/a/gone"), None);
        assert_eq!(mode("/a/b"), Some(0o755), "a parent without an entry");
        assert_eq!(mode("/a/b/deep"), Some(0o600));
        assert_eq!((mode("/o"), mode("/o/old"), mode("/o/new")), (Some(0o700), None, Some(0o644)));
        assert_eq!(mode("/l"), Some(0o4755));
        assert_eq!((mode("/w"), mode("/w/x"), mode("/w/new")), (Some(0o755), None, Some(0o644)));
        assert_eq!((mode("/r"), mode("/r/x")), (Some(0o750), None));
        let Some(Node { kind: Kind::File(Content::Layered(second)), .. }) =
            tree.get(&place_of("/second")).unwrap()
        else {
            panic!("not a file")
        };
        assert_eq!((&*second.path, second.size), ("/a/gone", 1));
    }

    #[test]
    fn what_is_below_a_directory_is_what_is_found_there_one_by_one() {
        let files = layered();
        let text_of = |nodes: Vec<(Place, Node)>| -> Vec<String> {
            nodes.into_iter().map(|(place, node)| format!("{} {:o}", text(&place), node.mode)).collect()
        };
        let all = files.below(&Place::new()).unwrap();
        assert_eq!(
            text_of(all.clone()),
            [
                "/a 1777",
                "/a/b 755",
                "/a/b/deep 600",
                "/l 4755",
                "/o 700",
                "/o/new 644",
                "/r 750",
                "/second 644",
                "/w 755",
                "/w/new 644"
            ]
        );
        for (place, node) in &all {
            assert_eq!(files.get(place).unwrap().map(|node| node.mode), Some(node.mode), "{}", text(place));
            let below: Vec<_> =
                all.iter().filter(|(p, _)| p.starts_with(place) && p != place).cloned().collect();
            assert_eq!(text_of(files.below(place).unwrap()), text_of(below), "{}", text(place));
        }
    }
}
