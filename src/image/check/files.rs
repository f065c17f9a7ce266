//! What is in one layer: every entry of its tar archive, without the bytes.
//!
//! Made by `scan`, kept by `stored`, and laid over each other by `tree`. It grows with the number of files in
//! a layer, never with their sizes.

use std::sync::Arc;

use super::content::Content;
use super::text::Text;
use crate::domain::digest::DiffId;

/// An entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path, as names joined by `/`; the root is empty.
    pub(super) path: Text,
    pub(super) kind: Kind,
    /// The permission bits.
    pub(super) mode: u16,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File {
        size: u64,
        /// `None` where it tells nothing, which is so for most files.
        content: Option<Arc<Content>>,
    },
    Directory,
    Symlink(Text),
    /// The path of another entry, from the root.
    HardLink(Text),
    /// A device, pipe or socket.
    Special,
}

/// What is in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerFiles {
    /// The digest of the archive.
    pub(super) diff_id: DiffId,
    /// Bytes of the archive.
    pub(super) size: u64,
    /// In the archive's order.
    pub(super) entries: Vec<Entry>,
}

impl LayerFiles {
    /// The digest of the archive.
    pub fn diff_id(&self) -> DiffId {
        self.diff_id
    }

    /// Bytes of the archive.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// A path in the form all of them are compared in: without `.`, `..` and surplus slashes.
pub(super) fn normal(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        for (path, expected) in
            [("./usr/bin/", "usr/bin"), ("/a//b/../c", "a/c"), (".", ""), ("../x", "x"), ("a/./b", "a/b")]
        {
            assert_eq!(normal(path), expected, "{path}");
        }
    }
}
