//! COPY and ADD, as BuildKit copies: which sources there are, where each of them goes, and what
//! becomes of directories on the way.
//!
//! <https://docs.docker.com/reference/dockerfile/#copy>, and for what it leaves open
//! <https://github.com/tonistiigi/fsutil/blob/master/copy/copy.go>

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::Stopped;
use super::glob;
use super::tree::{Kind, Node, Owner, Place, Tree, place, text};
use crate::image::dockerfile::NotUnderstood;

/// How files are copied.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    /// `--chown`; files keep their owners where `None`.
    pub(super) owner: Option<Owner>,
    /// `--chmod`.
    pub(super) mode: Option<u32>,
}

/// Finds what the sources of an instruction name.
pub(super) fn sources(tree: &mut Tree, sources: &[String]) -> Result<Vec<Place>, Stopped> {
    let mut found = Vec::new();
    for source in sources {
        if source.contains('\\') {
            return Err(NotUnderstood::new(format!("a backslash in `{source}`")).into());
        }
        if !glob::is_pattern(source) {
            found.push(place(source));
            continue;
        }
        let bad = |_| NotUnderstood::new(format!("the pattern `{source}`"));
        let pattern = place(source);
        let plain = pattern.iter().take_while(|part| !glob::is_pattern(&part.to_string_lossy())).count();
        let start = tree.real(&pattern[..plain].to_vec())?;
        let mut matched = vec![start];
        for part in &pattern[plain..] {
            let part = part.to_string_lossy();
            let mut next = Vec::new();
            for directory in matched {
                if !tree.get(&directory)?.is_some_and(|node| node.is_directory()) {
                    continue;
                }
                for name in tree.names(&directory)? {
                    let Some(text) = name.to_str() else {
                        return Err(NotUnderstood::new("a file name that is not UTF-8").into());
                    };
                    if glob::matches(&part, text).map_err(bad)? {
                        next.push(joined(&directory, name));
                    }
                }
            }
            matched = next;
        }
        found.extend(matched);
    }
    Ok(found)
}

/// Copies `sources` of one tree into another; gives the places that were written.
///
/// `directory` says that the destination was written as one.
pub(super) fn copy(
    from: &mut Tree,
    sources: &[Place],
    to: &mut Tree,
    destination: &Place,
    directory: bool,
    manner: Manner,
) -> Result<BTreeSet<Place>, Stopped> {
    let mut copying = Copying { from, to, manner, written: BTreeSet::new() };
    if sources.len() > 1 && !directory {
        let there = copying.to.real(destination)?;
        if !copying.to.get(&there)?.is_some_and(|node| node.is_directory()) {
            // One would overwrite the other, or worse.
            return Err(NotUnderstood::new("several sources for one file").into());
        }
    }
    for source in sources {
        copying.one(source, destination, directory)?;
    }
    Ok(copying.written)
}

/// Makes a directory and those above it, where they are missing; gives the places that were made.
pub(super) fn make_directory(
    tree: &mut Tree,
    place: &Place,
    owner: Owner,
) -> Result<BTreeSet<Place>, Stopped> {
    let manner = Manner { owner: Some(owner), mode: None };
    let mut copying = Copying { from: &mut Tree::empty(), to: tree, manner, written: BTreeSet::new() };
    let place = copying.to.real(place)?;
    copying.make_directories(&place)?;
    Ok(copying.written)
}

struct Copying<'a> {
    from: &'a mut Tree,
    to: &'a mut Tree,
    manner: Manner,
    written: BTreeSet<Place>,
}

impl Copying<'_> {
    fn one(&mut self, source: &Place, destination: &Place, directory: bool) -> Result<(), Stopped> {
        let followed = self.from.real(source)?;
        let node = self.from.get(&followed)?.ok_or_else(|| {
            NotUnderstood::new(format!(
                "`{}` does not exist, or is left out",
                text(source).trim_start_matches('/')
            ))
        })?;
        if directory || !destination.is_empty() {
            let above = if directory { destination.len() } else { destination.len() - 1 };
            let above = self.to.real(&destination[..above].to_vec())?;
            self.make_directories(&above)?;
        }
        let mut target = self.to.real(destination)?;
        let there = self.to.get(&target)?;
        if node.is_directory() {
            if there.is_none() {
                self.make_directories(&target)?;
            }
        } else if there.is_some_and(|there| there.is_directory()) {
            // By the name in the Dockerfile, where that is a link's.
            let name = source.last().or(followed.last());
            target.extend(name.cloned());
        }
        self.node(&followed, node, target, false)
    }

    /// Makes what is missing on the way to `place`, which has no links in it.
    fn make_directories(&mut self, place: &Place) -> Result<(), Stopped> {
        for depth in 1..=place.len() {
            let place = place[..depth].to_vec();
            match self.to.get(&place)? {
                Some(node) if node.is_directory() => {}
                Some(_) => {
                    return Err(NotUnderstood::new(format!("`{}` is not a directory", text(&place))).into());
                }
                None => {
                    // Builders differ in whether these get the mode, too.
                    if self.manner.mode.is_some_and(|mode| mode != 0o755) {
                        let what = format!("`--chmod` where `{}` has to be made", text(&place));
                        return Err(NotUnderstood::new(what).into());
                    }
                    self.write(place, Node::directory(self.manner.owner.unwrap_or_default()));
                }
            }
        }
        Ok(())
    }

    /// `overwrite` says that a directory that is there takes the mode and owner of the source, as
    /// all do but the one that was named.
    fn node(&mut self, source: &Place, node: Node, target: Place, overwrite: bool) -> Result<(), Stopped> {
        let there = self.to.get(&target)?;
        match (&node.kind, there.as_ref().map(|there| &there.kind)) {
            (Kind::Special, _) => {
                Err(NotUnderstood::new(format!("`{}` is more than a file, directory or link", text(source)))
                    .into())
            }
            (Kind::Directory, Some(Kind::Directory)) => {
                if overwrite {
                    let node = self.mannered(node, source)?;
                    self.write(target.clone(), node);
                }
                self.contents(source, &target)
            }
            (Kind::Directory, None) => {
                let node = self.mannered(node, source)?;
                self.write(target.clone(), node);
                self.contents(source, &target)
            }
            (Kind::Directory, Some(_)) => {
                Err(NotUnderstood::new(format!("`{}` is not a directory", text(&target))).into())
            }
            (_, Some(Kind::Directory)) => {
                Err(NotUnderstood::new(format!("`{}` is a directory", text(&target))).into())
            }
            (Kind::File(_) | Kind::Link(_), _) => {
                let node = self.mannered(node, source)?;
                self.write(target, node);
                Ok(())
            }
        }
    }

    fn contents(&mut self, source: &Place, target: &Place) -> Result<(), Stopped> {
        for name in self.from.names(source)? {
            let below = joined(source, name.clone());
            if let Some(node) = self.from.get(&below)? {
                self.node(&below, node, joined(target, name), true)?;
            }
        }
        Ok(())
    }

    fn mannered(&self, mut node: Node, source: &Place) -> Result<Node, Stopped> {
        if let Some(owner) = self.manner.owner {
            node.owner = owner;
        }
        match (&node.kind, self.manner.mode) {
            (Kind::Link(_), _) => node.mode = 0o777,
            (_, Some(_)) if node.mode & !0o777 != 0 => {
                let what = format!("`--chmod` of `{}`, which has a special mode", text(source));
                return Err(NotUnderstood::new(what).into());
            }
            (_, Some(mode)) => node.mode = mode,
            (_, None) => {}
        }
        Ok(node)
    }

    fn write(&mut self, place: Place, node: Node) {
        self.written.insert(place.clone());
        self.to.put(place, node);
    }
}

fn joined(place: &Place, name: OsString) -> Place {
    let mut place = place.clone();
    place.push(name);
    place
}
