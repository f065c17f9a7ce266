//! The layers laid over each other, as a function sees them, and what went wrong or got lost on
//! the way. Called by `check`; the rules ask it for paths.
//!
//! Layers that were not read leave holes. What could be in a hole is [`Lookup::Unknown`], so that
//! no rule takes it for missing.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, btree_map};
use std::ops::Bound;
use std::sync::Arc;

use super::content::Content;
use super::files::{Entry, Kind, LayerFiles, normal};
use super::text::Text;

/// What marks a deleted file, and a directory whose earlier contents are gone.
/// <https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts>
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// How AUFS marks what is its own; layers of old engines have it, and nobody unpacks it.
/// <https://github.com/moby/moby/blob/v28.0.0/pkg/archive/whiteouts.go>
const AUFS: &str = ".wh..wh.";

/// Where something is when the function runs that is in no image: what Linux shows there, and
/// file systems that are mounted (Lambda mounts EFS below `/mnt`).
const MOUNTED: [&str; 4] = ["dev", "mnt", "proc", "sys"];

/// How many symbolic links are followed, as in Linux.
const LINKS: usize = 40;

/// A file or directory of the image.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    /// The permission bits; `None` for a directory without an entry of its own.
    pub(super) mode: Option<u16>,
    /// See [`Node::layer`]; short, because there are as many as files.
    layer: u32,
}

#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    File { size: u64, content: Option<Arc<Content>> },
    Directory,
    Symlink(Text),
    Special,
}

impl Node {
    fn new(kind: NodeKind, mode: Option<u16>, layer: usize) -> Self {
        Self { kind, mode, layer: layer as u32 }
    }

    /// The layer it is from, the lowest being 0.
    pub(super) fn layer(&self) -> usize {
        self.layer as usize
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.kind, NodeKind::Directory)
    }

    pub(super) fn content(&self) -> Option<&Content> {
        match &self.kind {
            NodeKind::File { content, .. } => content.as_deref(),
            _ => None,
        }
    }

    pub(super) fn size(&self) -> u64 {
        if let NodeKind::File { size, .. } = self.kind { size } else { 0 }
    }

    /// Whether users who do not own it have all of these rights (4 read, 2 write, 1 execute).
    /// Where the rights are not known, they are taken for given.
    pub(super) fn lets_others(&self, rights: u16) -> bool {
        self.mode.is_none_or(|mode| mode & rights == rights)
    }
}

/// Something wrong with an entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) layer: usize,
    pub(super) path: String,
    /// The missing directory or the missing target.
    pub(super) missing: String,
}

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Lookup<'a> {
    Found(Found<'a>),
    /// Certainly not there.
    Absent,
    /// There or not: a layer that was not read decides.
    Unknown,
}

/// Where a path led.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// Its path after all links.
    pub(super) path: String,
    pub(super) node: &'a Node,
    /// The directories that were passed, the root left out.
    pub(super) passed: Vec<String>,
}

/// The directories of a layer's entries, and where they really are if that is elsewhere: entries of
/// one directory do not always come together.
type Parents = HashMap<Text, Option<String>>;

/// The files of an image.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<Text, Node>,
    /// Of the layer that is being laid.
    parents: Parents,
    /// The layers that were read, by their number.
    read: Vec<bool>,
    pub(super) missing_parents: Vec<Fault>,
    pub(super) broken_links: Vec<Fault>,
    /// For each layer, bytes of files that later ones delete or replace, and the largest of them.
    pub(super) lost: Vec<Lost>,
}

/// Files of a layer that nobody sees.
#[derive(Clone, Debug, Default)]
pub(super) struct Lost {
    pub(super) bytes: u64,
    pub(super) largest: Option<(u64, String)>,
}

impl Tree {
    /// Lays a layer over those that are there, the lowest coming first; `None` for one that was not
    /// read.
    pub(super) fn add(&mut self, layer: Option<&LayerFiles>) {
        let number = self.read.len();
        self.read.push(layer.is_some());
        self.lost.push(Lost::default());
        if let Some(layer) = layer {
            self.lay(number, layer);
        }
    }

    /// Whether every layer was read.
    pub(super) fn is_whole(&self) -> bool {
        self.read.iter().all(|read| *read)
    }

    #[expect(clippy::mutable_key_type, reason = "texts are complete before a layer can be laid")]
    fn lay(&mut self, number: usize, layer: &LayerFiles) {
        // Where it applies is decided by what was there before this layer, wherever it stands.
        for entry in &layer.entries {
            let (parent, name) = split(&entry.path);
            if name == OPAQUE {
                let parent = self.real(parent);
                self.remove_below(&parent, number);
            } else if let Some(name) = name.strip_prefix(WHITEOUT) {
                let path = join(&self.real(parent), name);
                self.remove(&path, number);
            }
        }
        let mut parents = std::mem::take(&mut self.parents);
        for entry in &layer.entries {
            let (parent, name) = split(&entry.path);
            if name.starts_with(WHITEOUT) || name.is_empty() || entry.path.starts_with(AUFS) {
                continue;
            }
            if !parents.contains_key(parent) {
                let real = self.real(parent);
                self.ensure(&real, entry, number);
                let elsewhere = (real != parent).then(|| real.into_owned());
                parents.insert(entry.path.up_to(parent.len()), elsewhere);
            }
            let path = match &parents[parent] {
                Some(real) => join(real, name).into(),
                None => entry.path.clone(),
            };
            if self.put(path, entry, number) {
                parents.clear();
            }
        }
        // Its room is used again.
        parents.clear();
        self.parents = parents;
    }

    /// Makes sure that the directory of an entry is there, and remembers where it was not.
    fn ensure(&mut self, parent: &str, entry: &Entry, number: usize) {
        if parent.is_empty() || self.nodes.get(parent).is_some_and(Node::is_directory) {
            return;
        }
        // A layer below that was not read may have it.
        if self.is_whole() {
            let (path, missing) = (format!("/{}", entry.path), format!("/{parent}"));
            self.missing_parents.push(Fault { layer: number, path, missing });
        }
        let mut directory = String::new();
        for name in parent.split('/') {
            directory = join(&directory, name);
            if !self.nodes.get(directory.as_str()).is_some_and(Node::is_directory) {
                let node = Node::new(NodeKind::Directory, None, number);
                self.nodes.insert(directory.as_str().into(), node);
            }
        }
    }

    /// Puts an entry to its real path. Returns whether something went through which other paths
    /// may lead.
    fn put(&mut self, path: Text, entry: &Entry, number: usize) -> bool {
        let mut mode = entry.mode;
        let kind = match &entry.kind {
            Kind::File { size, content } => NodeKind::File { size: *size, content: content.clone() },
            Kind::Directory => NodeKind::Directory,
            Kind::Symlink(target) => NodeKind::Symlink(target.clone()),
            Kind::Special => NodeKind::Special,
            Kind::HardLink(target) => {
                let (parent, name) = split(target);
                let real = join(&self.real(parent), name);
                match self.nodes.get(real.as_str()) {
                    Some(node) => {
                        mode = node.mode.unwrap_or(mode);
                        match &node.kind {
                            // Its bytes are counted once.
                            NodeKind::File { content, .. } => {
                                NodeKind::File { size: 0, content: content.clone() }
                            }
                            other => other.clone(),
                        }
                    }
                    None => {
                        if self.is_whole() && !target.starts_with(AUFS) {
                            let missing = format!("/{target}");
                            let fault = Fault { layer: number, path: format!("/{path}"), missing };
                            self.broken_links.push(fault);
                        }
                        NodeKind::Special
                    }
                }
            }
        };
        let node = Node::new(kind, Some(mode), number);
        let is_directory = node.is_directory();
        let mut occupied = match self.nodes.entry(path) {
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(node);
                return false;
            }
            btree_map::Entry::Occupied(occupied) => occupied,
        };
        let (old, path) = (occupied.insert(node), occupied.key().clone());
        if is_directory && old.is_directory() {
            return false;
        }
        self.lose(&path, &old, number);
        if old.is_directory() {
            self.remove_below(&path, number);
        }
        matches!(old.kind, NodeKind::Directory | NodeKind::Symlink(_))
    }

    fn remove(&mut self, path: &str, by: usize) {
        if let Some(node) = self.nodes.remove(path) {
            let had_contents = node.is_directory();
            self.lose(path, &node, by);
            if had_contents {
                self.remove_below(path, by);
            }
        }
    }

    fn remove_below(&mut self, path: &str, by: usize) {
        let gone: Vec<Text> = self.range(path).map(|(path, _)| path.clone()).collect();
        for path in gone {
            if let Some(node) = self.nodes.remove(&path) {
                self.lose(&path, &node, by);
            }
        }
    }

    fn lose(&mut self, path: &str, node: &Node, by: usize) {
        let size = node.size();
        if node.layer() < by && size > 0 {
            let lost = &mut self.lost[node.layer()];
            lost.bytes += size;
            if lost.largest.as_ref().is_none_or(|(largest, _)| *largest < size) {
                lost.largest = Some((size, format!("/{path}")));
            }
        }
    }

    /// Everything below a directory; everything, where it is the root.
    pub(super) fn below(&self, path: &str) -> impl Iterator<Item = (&str, &Node)> {
        self.range(path).map(|(path, node)| (&**path, node))
    }

    fn range(&self, path: &str) -> impl Iterator<Item = (&Text, &Node)> {
        let (from, to) = if path.is_empty() {
            (Bound::Unbounded, Bound::Unbounded)
        } else {
            // `0` comes right after `/`.
            (Bound::Excluded(format!("{path}/")), Bound::Excluded(format!("{path}0")))
        };
        let range = (from.as_ref().map(String::as_str), to.as_ref().map(String::as_str));
        self.nodes.range::<str, _>(range)
    }

    /// All files and directories.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (&**path, node))
    }

    /// Whether no layer that was not read can hide or replace what a layer has.
    pub(super) fn is_final(&self, node: &Node) -> bool {
        self.read[node.layer()..].iter().all(|read| *read)
    }

    /// The path of a directory after all links in it, whether or not it exists.
    fn real<'a>(&self, path: &'a str) -> Cow<'a, str> {
        // What is here is here by its real path.
        if self.nodes.get(path).is_some_and(Node::is_directory) {
            return Cow::Borrowed(path);
        }
        self.follow(path, true).map_or(Cow::Borrowed(path), Cow::Owned)
    }

    /// Follows the links in a path, the last name included where `last` is set. `None` where links
    /// lead to one another.
    fn follow(&self, path: &str, last: bool) -> Option<String> {
        let mut links = 0;
        let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut real = String::new();
        while let Some(name) = rest.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    real.truncate(real.rfind('/').unwrap_or_default());
                    continue;
                }
                _ => {}
            }
            let next = join(&real, &name);
            match self.nodes.get(next.as_str()).map(|node| &node.kind) {
                Some(NodeKind::Symlink(target)) if last || !rest.is_empty() => {
                    links += 1;
                    if links > LINKS {
                        return None;
                    }
                    if target.starts_with('/') {
                        real.clear();
                    }
                    rest.extend(target.split('/').rev().map(str::to_owned));
                }
                _ => real = next,
            }
        }
        Some(real)
    }

    /// Looks up a path, following every link.
    pub(super) fn look_up(&self, path: &str) -> Lookup<'_> {
        let Some(real) = self.follow(path, true) else { return Lookup::Absent };
        let is_mounted = real.split('/').next().is_some_and(|top| MOUNTED.contains(&top));
        let unknown = || if self.is_whole() && !is_mounted { Lookup::Absent } else { Lookup::Unknown };
        let Some(node) = self.nodes.get(real.as_str()) else { return unknown() };
        if !self.is_final(node) {
            return Lookup::Unknown;
        }
        let mut passed: Vec<String> = Vec::new();
        // Links are passed through the directories they lie in, too.
        for path in [normal(path), real.clone()] {
            for (at, _) in path.match_indices('/') {
                let directory = &path[..at];
                let is_directory = self.nodes.get(directory).is_some_and(Node::is_directory);
                if is_directory && !passed.iter().any(|known| known == directory) {
                    passed.push(directory.to_owned());
                }
            }
        }
        Lookup::Found(Found { path: real, node, passed })
    }

    /// Whether a path leads somewhere, so far as that can be told.
    pub(super) fn has(&self, path: &str) -> bool {
        matches!(self.look_up(path), Lookup::Found(_))
    }

    /// A node by its real path.
    pub(super) fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }
}

/// A path's directory and last name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        return name.to_owned();
    }
    // As long as it will be: there are as many as files.
    let mut path = String::with_capacity(directory.len() + 1 + name.len());
    path.push_str(directory);
    path.push('/');
    path.push_str(name);
    path
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
