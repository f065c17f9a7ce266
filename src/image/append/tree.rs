//! The files of a stage or context: what there is, and what was put there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::ops::Bound;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::Stopped;
use super::content::Content;
use crate::image::dockerfile::NotUnderstood;

/// A place in the image, as the names that lead there. Sorted, every directory comes before
/// what is in it.
pub(super) type Place = Vec<OsString>;

/// As many links as are followed on one way.
const LINKS: usize = 255;

/// Something in a file system.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Permissions, with the bits for set-ID and sticky.
    pub(super) mode: u32,
    pub(super) owner: Owner,
}

/// User and group by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user: u64,
    pub(super) group: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Directory,
    File(Content),
    Link(PathBuf),
    /// A device, pipe or socket, or a file with extended attributes.
    Special,
}

/// Answers what is in a file system that is not known yet. May block.
pub(super) trait Unexplored: Send + Sync {
    /// What is at `place`, links not followed. What is above is a directory.
    fn get(&self, place: &Place) -> Result<Option<Node>, Stopped>;
    /// All there is below the directory `place`.
    fn below(&self, place: &Place) -> Result<Vec<(Place, Node)>, Stopped>;
}

/// A file system, without the bytes of its files.
#[derive(Clone, Default)]
pub(super) struct Tree {
    unexplored: Option<Arc<dyn Unexplored>>,
    /// What is known; `None` is known to be absent.
    nodes: BTreeMap<Place, Option<Node>>,
    /// The directories below which all is known.
    explored: BTreeSet<Place>,
}

impl Tree {
    /// An empty file system.
    pub(super) fn empty() -> Self {
        Self::default()
    }

    /// A file system with these files.
    pub(super) fn of(nodes: impl IntoIterator<Item = (Place, Node)>) -> Self {
        let nodes = nodes.into_iter().map(|(place, node)| (place, Some(node))).collect();
        Self { nodes, ..Self::default() }
    }

    /// A file system that is explored as far as it has to be.
    pub(super) fn exploring(unexplored: Arc<dyn Unexplored>) -> Self {
        Self { unexplored: Some(unexplored), ..Self::default() }
    }

    /// What is at `place`, links not followed.
    pub(super) fn get(&mut self, place: &Place) -> Result<Option<Node>, Stopped> {
        if place.is_empty() {
            return Ok(Some(Node::directory(Owner::default())));
        }
        if let Some(known) = self.nodes.get(place) {
            return Ok(known.clone());
        }
        let Some(unexplored) = self.unexplored.clone().filter(|_| !self.is_explored(place)) else {
            return Ok(None);
        };
        let is_in_directory =
            self.get(&place[..place.len() - 1].to_vec())?.is_some_and(|node| node.is_directory());
        // What is above may just have turned out to be absent.
        let found = if is_in_directory && !self.is_explored(place) { unexplored.get(place)? } else { None };
        self.nodes.insert(place.clone(), found.clone());
        Ok(found)
    }

    fn is_explored(&self, place: &Place) -> bool {
        (0..=place.len()).any(|depth| self.explored.contains(&place[..depth]))
    }

    pub(super) fn put(&mut self, place: Place, node: Node) {
        if node.is_directory() && matches!(self.nodes.get(&place), Some(None)) {
            // There was none, so that nothing else is in it.
            self.explored.insert(place.clone());
        }
        self.nodes.insert(place, Some(node));
    }

    /// Follows links, also the last one, as if `/` were the root. What does not exist is taken as
    /// it is written.
    pub(super) fn real(&mut self, place: &Place) -> Result<Place, Stopped> {
        let mut open: Vec<OsString> = place.iter().rev().cloned().collect();
        let (mut real, mut links) = (Place::new(), 0);
        while let Some(name) = open.pop() {
            if name == ".." {
                real.pop();
                continue;
            }
            real.push(name);
            let Some(Node { kind: Kind::Link(target), .. }) = self.get(&real)? else { continue };
            links += 1;
            if links > LINKS {
                return Err(NotUnderstood::new(format!("`{}` is a circle of links", text(place))).into());
            }
            real.pop();
            if target.is_absolute() {
                real.clear();
            }
            open.extend(target.components().rev().filter_map(|component| match component {
                Component::Normal(name) => Some(name.to_owned()),
                Component::ParentDir => Some("..".into()),
                _ => None,
            }));
        }
        Ok(real)
    }

    /// The names in a directory, sorted.
    pub(super) fn names(&mut self, directory: &Place) -> Result<Vec<OsString>, Stopped> {
        if let Some(unexplored) = self.unexplored.clone().filter(|_| !self.is_explored(directory)) {
            for (place, node) in unexplored.below(directory)? {
                self.nodes.entry(place).or_insert(Some(node));
            }
            self.explored.insert(directory.clone());
        }
        let depth = directory.len();
        let from = (Bound::Excluded(directory.clone()), Bound::Unbounded);
        let below = self.nodes.range(from).take_while(|(place, _)| place.starts_with(directory));
        Ok(below
            .filter(|(place, node)| place.len() == depth + 1 && node.is_some())
            .map(|(place, _)| place[depth].clone())
            .collect())
    }
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree").field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}

impl Node {
    /// A directory as it is made where one is missing.
    pub(super) fn directory(owner: Owner) -> Self {
        Self { kind: Kind::Directory, mode: 0o755, owner }
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }
}

/// The names that lead to a path, with `.` and `..` resolved as text.
pub(super) fn place(path: &str) -> Place {
    let mut place = Place::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => place.push(name.to_owned()),
            Component::ParentDir => drop(place.pop()),
            _ => {}
        }
    }
    place
}

/// A place as people write it.
pub(super) fn text(place: &Place) -> String {
    match place.as_slice() {
        [] => "/".to_owned(),
        names => names.iter().map(|name| format!("/{}", name.to_string_lossy())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(target: &str) -> Node {
        Node { kind: Kind::Link(target.into()), mode: 0o777, owner: Owner::default() }
    }

    fn tree(nodes: &[(&str, Node)]) -> Tree {
        Tree::of(nodes.iter().map(|(path, node)| (place(path), node.clone())))
    }

    #[test]
    fn links_are_followed_within_the_root() {
        let directory = || Node::directory(Owner::default());
        let mut tree = tree(&[
            ("/usr", directory()),
            ("/usr/bin", directory()),
            ("/bin", link("usr/bin")),
            ("/up", link("../../usr")),
            ("/abs", link("/bin/tool")),
            ("/here", link("./up/../usr/./bin")),
            ("/a", link("b")),
            ("/b", link("a")),
        ]);
        for (path, real) in [
            ("/bin/x", "/usr/bin/x"),
            ("/up/y/z", "/usr/y/z"),
            ("/abs", "/usr/bin/tool"),
            ("/here/x", "/usr/bin/x"),
            ("/none/../x", "/x"),
            ("/", "/"),
        ] {
            assert_eq!(text(&tree.real(&place(path)).unwrap()), real, "{path}");
        }
        assert!(tree.real(&place("/a")).is_err());
    }

    #[test]
    fn names_are_those_of_one_directory() {
        let directory = || Node::directory(Owner::default());
        let mut tree = tree(&[
            ("/a", directory()),
            ("/a/x", directory()),
            ("/a/x/deep", directory()),
            ("/a/y", directory()),
            ("/a-b", directory()),
        ]);
        assert_eq!(tree.names(&place("/a")).unwrap(), ["x", "y"]);
        assert_eq!(tree.names(&place("/")).unwrap(), ["a", "a-b"]);
        assert_eq!(tree.names(&place("/a/y")).unwrap(), [""; 0]);
    }

    /// Has `/d` with `/d/x` in it, and counts the questions.
    #[derive(Default)]
    struct Counting(std::sync::Mutex<Vec<String>>);

    impl Unexplored for Counting {
        fn get(&self, place: &Place) -> Result<Option<Node>, Stopped> {
            self.0.lock().unwrap().push(text(place));
            let there = matches!(text(place).as_str(), "/d" | "/d/x");
            Ok(there.then(|| Node::directory(Owner::default())))
        }

        fn below(&self, directory: &Place) -> Result<Vec<(Place, Node)>, Stopped> {
            self.0.lock().unwrap().push(format!("{}/*", text(directory)));
            Ok(vec![(place("/d/x"), Node::directory(Owner::default()))])
        }
    }

    #[test]
    fn what_is_known_is_not_asked_for() {
        let counting = Arc::new(Counting::default());
        let mut tree = Tree::exploring(counting.clone());
        for path in ["/n/a/b", "/n/c", "/d/y", "/d/y"] {
            assert!(tree.get(&place(path)).unwrap().is_none(), "{path}");
        }
        tree.put(place("/n"), Node::directory(Owner::default()));
        assert!(tree.get(&place("/n/new")).unwrap().is_none());
        tree.put(place("/d/z"), Node::directory(Owner::default()));
        assert_eq!(tree.names(&place("/d")).unwrap(), ["x", "z"]);
        assert!(tree.get(&place("/d/w")).unwrap().is_none());
        assert_eq!(*counting.0.lock().unwrap(), ["/n", "/d", "/d/y", "/d/*"]);
    }
}
