//! The files of one layer, in a form that is small in memory and looked up in place.
//!
//! A base image may have a hundred thousand files, of which a Dockerfile touches a dozen. So a list
//! is one text: for each entry its path, what it is, and where a link leads or what a list of
//! accounts says, each ended by a zero byte, and sorted so that everything in a directory stands
//! together. Called by `base`.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use tar::{Archive, EntryType};

use super::accounts;
use super::tree::{Owner, place, text};
use crate::image::packed::{pack, unpack};

/// What a list begins with; another number is another form.
const VERSION: &str = "layer 2\0";

/// Marks what a layer takes away.
/// <https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts>
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// All entries of a layer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    text: String,
    /// Where the entries begin, sorted by path.
    starts: Vec<u32>,
}

/// An entry of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Without a `/` at the beginning or end.
    pub(super) path: &'a str,
    pub(super) kind: EntryKind<'a>,
    pub(super) mode: u32,
    pub(super) owner: Owner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind<'a> {
    Directory,
    /// The bytes are under this path of the same layer, which is another one for hard links.
    File {
        path: &'a str,
        size: u64,
        /// Its bytes, where it lists accounts.
        text: Option<&'a str>,
    },
    /// Leads there.
    Link(&'a str),
    Special,
}

impl Listing {
    /// Reads the archive of a layer to its end.
    pub(super) fn read(archive: impl Read) -> io::Result<Self> {
        let mut entries: Vec<(String, String)> = Vec::new();
        for entry in Archive::new(archive).entries()? {
            let mut entry = entry?;
            let header = entry.header().clone();
            let target = |entry: &tar::Entry<'_, _>| {
                Ok::<_, io::Error>(entry.link_name()?.unwrap_or_default().to_string_lossy().into_owned())
            };
            let path = tidy(&entry.path()?.to_string_lossy());
            let (kind, target) = match header.entry_type() {
                EntryType::Directory => ('d', String::new()),
                EntryType::Symlink => ('l', target(&entry)?),
                EntryType::Link => ('h', tidy(&target(&entry)?)),
                EntryType::Regular | EntryType::Continuous if has_attributes(&mut entry)? => {
                    ('s', String::new())
                }
                EntryType::Regular | EntryType::Continuous => ('f', accounts_of(&mut entry, &path)?),
                EntryType::Char | EntryType::Block | EntryType::Fifo | EntryType::GNUSparse => {
                    ('s', String::new())
                }
                _ => continue,
            };
            let (mode, user, group) = (header.mode()? & 0o7777, header.uid()?, header.gid()?);
            let rest = format!("{kind} {mode} {user} {group} {}\0{target}\0", entry.size());
            entries.push((path, rest));
        }
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a path in it holds a NUL character");
        Self::of(entries).ok_or_else(damaged)
    }

    /// `None` where an entry cannot be told from the next.
    fn of(mut entries: Vec<(String, String)>) -> Option<Self> {
        entries.sort_by(|(one, _), (other, _)| order(one, other));
        // Where an archive has a path twice, the last one counts.
        entries.reverse();
        entries.dedup_by(|(one, _), (other, _)| one == other);
        entries.reverse();
        let length = entries.iter().map(|(path, rest)| path.len() + rest.len() + 1).sum::<usize>();
        let mut text = String::with_capacity(VERSION.len() + length);
        text.push_str(VERSION);
        for (path, rest) in entries {
            text.push_str(&path);
            text.push('\0');
            text.push_str(&rest);
        }
        Self::index(text)
    }

    /// Finds where the entries begin; `None` where it is no list of this form.
    fn index(text: String) -> Option<Self> {
        if !text.starts_with(VERSION) || u32::try_from(text.len()).is_err() {
            return None;
        }
        let mut starts = vec![VERSION.len() as u32];
        // Searched for as text, it is found many bytes at a time; the first ends the version.
        let ends = text.match_indices('\0').skip(1);
        starts.extend(ends.skip(2).step_by(3).map(|(end, _)| end as u32 + 1));
        // The last one begins where the text ends.
        (starts.pop()? as usize == text.len()).then_some(Self { text, starts })
    }

    /// Reads a list that was remembered; `None` where there is none that is whole.
    pub(super) fn recall(file: &Path) -> Option<Self> {
        Self::index(String::from_utf8(unpack(&fs::read(file).ok()?)?).ok()?)
    }

    /// Remembers it.
    pub(super) fn remember(&self, file: &Path) -> io::Result<()> {
        let directory = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
        temporary.write_all(&pack(self.text.as_bytes())?)?;
        temporary.persist(file)?;
        Ok(())
    }

    /// What is at a path.
    pub(super) fn find(&self, path: &str) -> Option<Entry<'_>> {
        self.entry(self.position(path)?)
    }

    fn position(&self, path: &str) -> Option<u32> {
        let at = self.starts.binary_search_by(|start| order(self.path(*start), path)).ok()?;
        self.starts.get(at).copied()
    }

    /// What is below a directory, in order.
    pub(super) fn below<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = Entry<'a>> {
        let from = match directory {
            "" => 0,
            _ => self.starts.partition_point(|start| order(self.path(*start), directory).is_le()),
        };
        let entries = self.starts[from..].iter().filter_map(|start| self.entry(*start));
        entries
            .take_while(move |entry| is_below(entry.path, directory))
            .filter(|entry| !entry.path.is_empty())
    }

    /// Whether nothing of the layers beneath is left below a directory.
    pub(super) fn clears(&self, directory: &str) -> bool {
        let replaces = |path: &str| {
            let is_file = |entry: Entry<'_>| entry.kind != EntryKind::Directory;
            let is_empty = self.find(&join(path, OPAQUE)).is_some();
            is_empty || !path.is_empty() && (self.removes(path) || self.find(path).is_some_and(is_file))
        };
        let ends = directory.match_indices('/').map(|(end, _)| end).chain([0, directory.len()]);
        ends.map(|end| &directory[..end]).any(replaces)
    }

    /// Whether it takes away what the layers beneath have at a path.
    pub(super) fn removes(&self, path: &str) -> bool {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.find(&join(parent, &format!("{WHITEOUT}{name}"))).is_some()
    }

    fn path(&self, start: u32) -> &str {
        self.text[start as usize..].split('\0').next().unwrap_or_default()
    }

    fn entry(&self, start: u32) -> Option<Entry<'_>> {
        let Fields { path, kind, mode, owner, size, target } = self.fields(start)?;
        let kind = match kind {
            "d" => EntryKind::Directory,
            "f" => EntryKind::File { path, size, text: Some(target).filter(|text| !text.is_empty()) },
            "h" => match self.position(target).and_then(|start| self.fields(start)) {
                Some(Fields { path, kind: "f", size, .. }) => EntryKind::File { path, size, text: None },
                // Of a layer below; nobody writes that.
                _ => EntryKind::Special,
            },
            "l" => EntryKind::Link(target),
            _ => EntryKind::Special,
        };
        Some(Entry { path, kind, mode, owner })
    }

    fn fields(&self, start: u32) -> Option<Fields<'_>> {
        let mut parts = self.text[start as usize..].split('\0');
        let (path, what, target) = (parts.next()?, parts.next()?, parts.next()?);
        let mut what = what.split(' ');
        let kind = what.next()?;
        let mut number = || what.next()?.parse::<u64>().ok();
        let (mode, user, group, size) = (number()?, number()?, number()?, number()?);
        let mode = u32::try_from(mode).ok()?;
        Some(Fields { path, kind, mode, owner: Owner { user, group }, size, target })
    }
}

/// An entry as it is written.
struct Fields<'a> {
    path: &'a str,
    kind: &'a str,
    mode: u32,
    owner: Owner,
    size: u64,
    target: &'a str,
}

impl Entry<'_> {
    /// Whether it only takes something away.
    pub(super) fn is_removal(&self) -> bool {
        self.path.rsplit('/').next().is_some_and(|name| name.starts_with(WHITEOUT))
    }

    /// What it takes away: a path, or what is below it.
    pub(super) fn removed(&self) -> (String, bool) {
        let (parent, name) = self.path.rsplit_once('/').unwrap_or(("", self.path));
        match name {
            OPAQUE => (parent.to_owned(), false),
            _ => (join(parent, name.trim_start_matches(WHITEOUT)), true),
        }
    }
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

/// The bytes of a file that lists accounts; empty for all others, and where they are no text.
fn accounts_of(entry: &mut tar::Entry<'_, impl Read>, path: &str) -> io::Result<String> {
    let is_one = accounts::FILES.iter().any(|file| file.trim_start_matches('/') == path);
    if !is_one || entry.size() > accounts::LARGEST {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).unwrap_or_default())
}

/// Sorts a directory, and what is below it, before everything else that begins with its name.
fn order(one: &str, other: &str) -> Ordering {
    let key = |byte: u8| if byte == b'/' { 0 } else { byte };
    one.bytes().map(key).cmp(other.bytes().map(key))
}

fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

/// A path as it is listed.
pub(super) fn tidy(path: &str) -> String {
    let names: Vec<OsString> = place(path);
    text(&names)[1..].to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A list of these paths: kind, mode, size, target.
    pub(in super::super) fn listing(entries: &[(&str, char, u32, u64, &str)]) -> Listing {
        let line = |(path, kind, mode, size, target): &(&str, char, u32, u64, &str)| {
            (tidy(path), format!("{kind} {mode} 0 7 {size}\0{target}\0"))
        };
        Listing::of(entries.iter().map(line).collect()).unwrap()
    }

    fn paths<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<&'a str> {
        entries.map(|entry| entry.path).collect()
    }

    #[test]
    fn a_directory_s_entries_stand_together() {
        let list = listing(&[
            ("a-b", 'f', 0o644, 1, ""),
            ("./a/x", 'f', 0o644, 2, ""),
            ("a/x/deep/er", 'd', 0o700, 0, ""),
            ("a", 'd', 0o755, 0, ""),
            ("./", 'd', 0o755, 0, ""),
            ("a/x", 'd', 0o711, 0, ""),
        ]);
        assert_eq!(paths(list.below("a")), ["a/x", "a/x/deep/er"]);
        assert_eq!(paths(list.below("")), ["a", "a/x", "a/x/deep/er", "a-b"]);
        assert_eq!(paths(list.below("a/x/deep")), ["a/x/deep/er"]);
        assert_eq!(paths(list.below("b")), [""; 0]);
        // The last one of the same path counts.
        assert_eq!(
            list.find("a/x").map(|entry| (entry.kind, entry.mode)),
            Some((EntryKind::Directory, 0o711))
        );
        assert_eq!(list.find("a/x/deep"), None);
    }

    #[test]
    fn hard_links_are_the_files_they_name_and_circles_are_not_followed() {
        let list = listing(&[
            ("one", 'f', 0o644, 5, ""),
            ("two", 'h', 0o600, 0, "one"),
            ("x", 'h', 0o644, 0, "y"),
            ("y", 'h', 0o644, 0, "x"),
        ]);
        assert_eq!(list.find("two").unwrap().kind, EntryKind::File { path: "one", size: 5, text: None });
        assert_eq!(list.find("x").unwrap().kind, EntryKind::Special);
    }

    #[test]
    fn lists_are_remembered_and_damage_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lists/abc");
        let list = listing(&[("a", 'l', 0o777, 0, "b"), ("line\nbreak", 'f', 0o644, 1, "")]);
        assert_eq!(Listing::recall(&file), None);
        list.remember(&file).unwrap();
        assert_eq!(Listing::recall(&file), Some(list));
        let mut bytes = fs::read(&file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert_eq!(Listing::recall(&file), None);
        let other = pack(b"[{\"p\":\"a\"}]").unwrap();
        fs::write(&file, other).unwrap();
        assert_eq!(Listing::recall(&file), None);
    }

    #[test]
    fn an_empty_layer_has_an_empty_list() {
        let list = listing(&[]);
        assert_eq!((paths(list.below("")), list.find("a")), (Vec::new(), None));
        assert_eq!(Listing::index(list.text.clone()), Some(list));
    }
}
