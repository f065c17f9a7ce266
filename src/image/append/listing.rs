//! The files of one layer: what there is to say of each, looked up in a list that is kept.
//!
//! A base image may have a hundred thousand files, of which a Dockerfile touches a dozen. So what
//! was read from a layer is kept as `blocks`, sorted so that everything in a directory stands
//! together, and an entry is made of it when somebody asks. Called by `base`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use tar::{Archive, EntryType};

use super::accounts;
use super::blocks::{Blocks, Row, order};
use super::tree::{Owner, place, text};

/// Marks what a layer takes away.
/// <https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts>
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// All entries of a layer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing(Blocks);

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
        let mut entries = Vec::new();
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
            let (mode, Owner { user, group }) = (header.mode()? & 0o7777, owner(&header)?);
            let what = format!("{kind} {mode} {user} {group} {}", entry.size());
            entries.push((path, what, target));
        }
        Self::of(entries)
    }

    /// Of paths, what is there, and targets.
    fn of(mut entries: Vec<(String, String, String)>) -> io::Result<Self> {
        entries.sort_by(|(one, ..), (other, ..)| order(one, other));
        // Where an archive has a path twice, the last one counts.
        entries.reverse();
        entries.dedup_by(|(one, ..), (other, ..)| one == other);
        entries.reverse();
        Blocks::of(entries.iter().map(|(path, what, target)| Row { path, what, target })).map(Self)
    }

    /// Reads a list that was remembered; `None` where there is none that is whole.
    pub(super) fn recall(file: &Path) -> Option<Self> {
        Blocks::from_bytes(fs::read(file).ok()?).map(Self)
    }

    /// Remembers it.
    pub(super) fn remember(&self, file: &Path) -> io::Result<()> {
        let directory = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
        temporary.write_all(self.0.bytes())?;
        temporary.persist(file)?;
        Ok(())
    }

    /// What is at a path.
    pub(super) fn find(&self, path: &str) -> Option<Entry<'_>> {
        self.entry(self.0.find(path)?)
    }

    /// What is below a directory, in order.
    pub(super) fn below<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = Entry<'a>> {
        let below = self.0.behind(directory).take_while(move |row| is_below(row.path, directory));
        below.filter_map(|row| self.entry(row))
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

    fn entry<'a>(&'a self, row: Row<'a>) -> Option<Entry<'a>> {
        let Row { path, target, .. } = row;
        let Facts { kind, mode, owner, size } = facts(row)?;
        let kind = match kind {
            "d" => EntryKind::Directory,
            "f" => EntryKind::File { path, size, text: Some(target).filter(|text| !text.is_empty()) },
            "h" => match self.0.find(target).and_then(|row| Some((row.path, facts(row)?))) {
                Some((path, Facts { kind: "f", size, .. })) => EntryKind::File { path, size, text: None },
                // Of a layer below; nobody writes that.
                _ => EntryKind::Special,
            },
            "l" => EntryKind::Link(target),
            _ => EntryKind::Special,
        };
        Some(Entry { path, kind, mode, owner })
    }
}

/// What is at a path, as it is written.
struct Facts<'a> {
    kind: &'a str,
    mode: u32,
    owner: Owner,
    size: u64,
}

fn facts(row: Row<'_>) -> Option<Facts<'_>> {
    let mut parts = row.what.split(' ');
    let kind = parts.next()?;
    let mut number = || parts.next()?.parse::<u64>().ok();
    let (mode, user, group, size) = (number()?, number()?, number()?, number()?);
    Some(Facts { kind, mode: u32::try_from(mode).ok()?, owner: Owner { user, group }, size })
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

/// Whose something is. A field that is left blank is a zero, as engines read it.
pub(super) fn owner(header: &tar::Header) -> io::Result<Owner> {
    let or_blank =
        |number: io::Result<u64>, field: &[u8]| match field.iter().all(|byte| b"\0 ".contains(byte)) {
            true => Ok(0),
            false => number,
        };
    let fields = header.as_old();
    Ok(Owner { user: or_blank(header.uid(), &fields.uid)?, group: or_blank(header.gid(), &fields.gid)? })
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
            (tidy(path), format!("{kind} {mode} 0 7 {size}"), (*target).to_owned())
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
        fs::write(&file, b"[{\"p\":\"a\"}]").unwrap();
        assert_eq!(Listing::recall(&file), None);
    }

    #[test]
    fn an_empty_layer_has_an_empty_list() {
        let list = listing(&[]);
        assert_eq!((paths(list.below("")), list.find("a")), (Vec::new(), None));
        assert_eq!(Blocks::from_bytes(list.0.bytes().to_vec()).map(Listing), Some(list));
    }

    #[test]
    fn an_owner_that_is_left_blank_is_root() {
        let mut header = tar::Header::new_gnu();
        header.set_uid(7);
        let [uid, gid] = [header.as_old().uid, header.as_old().gid];
        assert_eq!((uid.last(), gid), (Some(&0), [0; 8]));
        assert_eq!(owner(&header).unwrap(), Owner { user: 7, group: 0 });
        header.as_old_mut().uid = *b"       \0";
        assert_eq!(owner(&header).unwrap(), Owner::default());
        header.as_old_mut().uid = *b"x      \0";
        assert!(owner(&header).is_err());
    }
}
