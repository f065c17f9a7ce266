//! What is in a layer as bytes to be kept: small, fast to read, and refused when damaged.
//!
//! The pipeline keeps them by diff ID, so that a layer that is in a registry can be checked
//! without being downloaded again.

use std::io;
use std::sync::Arc;

use super::content::{Content, Format};
use super::files::{Entry, Kind, LayerFiles};
use super::text::{Text, Texts};
use crate::domain::digest::{DiffId, Digest};
use crate::domain::platform::Architecture;
use crate::image::elf::Machine;
use crate::image::packed::{pack, unpack};

/// Changes whenever what is kept means something else; older ones count as absent then.
const VERSION: &[u8] = b"lambdactl layer 2\n";

impl LayerFiles {
    /// The name under which what is in a layer is kept: other versions keep theirs elsewhere.
    pub fn key(diff_id: DiffId) -> Digest {
        Digest::of(&[VERSION, diff_id.0.to_string().as_bytes()].concat())
    }

    /// The bytes to keep: first what entries are, then all their texts in one piece, each packed.
    ///
    /// # Errors
    /// Where memory for the compression cannot be had.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut plain = VERSION.to_vec();
        text(&mut plain, &self.diff_id.0.hex());
        number(&mut plain, self.size);
        number(&mut plain, self.entries.len() as u64);
        let mut texts = String::new();
        for Entry { path, kind, mode } in &self.entries {
            number(&mut plain, path.len() as u64);
            texts.push_str(path);
            number(&mut plain, u64::from(*mode));
            self::kind(&mut plain, kind);
            if let Kind::Symlink(target) | Kind::HardLink(target) = kind {
                number(&mut plain, target.len() as u64);
                texts.push_str(target);
            }
        }
        let entries = pack(&plain)?;
        let mut bytes = Vec::new();
        number(&mut bytes, entries.len() as u64);
        Ok([bytes, entries, pack(texts.as_bytes())?].concat())
    }

    /// Reads them; `None` where they are damaged, or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut parts = Reader(bytes);
        let length = usize::try_from(parts.number()?).ok()?;
        let (entries, texts) = parts.0.split_at_checked(length)?;
        let texts = String::from_utf8(unpack(texts)?).ok()?;
        let (end, texts) = (texts.len(), Texts::from(texts));
        let plain = unpack(entries)?;
        let mut reader = Reader(plain.strip_prefix(VERSION)?);
        let diff_id = DiffId(Digest::from_hex(reader.text()?).ok()?);
        let (size, count) = (reader.number()?, reader.number()?);
        let mut at = 0;
        let mut next = |length: u64| {
            let length = usize::try_from(length).ok()?;
            let text = texts.part(at, length)?;
            at += length;
            Some(text)
        };
        // No entry has fewer bytes.
        let mut entries = Vec::with_capacity(usize::try_from(count).ok()?.min(reader.0.len() / 3));
        for _ in 0..count {
            entries.push(reader.entry(&mut next)?);
        }
        (reader.0.is_empty() && at == end).then_some(Self { diff_id, size, entries })
    }
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn text(to: &mut Vec<u8>, text: &str) {
    number(to, text.len() as u64);
    to.extend_from_slice(text.as_bytes());
}

fn kind(to: &mut Vec<u8>, kind: &Kind) {
    match kind {
        Kind::Directory => to.push(b'd'),
        Kind::Special => to.push(b's'),
        Kind::Symlink(_) => to.push(b'l'),
        Kind::HardLink(_) => to.push(b'h'),
        Kind::File { size, content: None } => {
            to.push(b'f');
            number(to, *size);
        }
        Kind::File { size, content: Some(content) } => {
            to.push(b'c');
            number(to, *size);
            self::content(to, content);
        }
    }
}

fn content(to: &mut Vec<u8>, content: &Content) {
    let marks = [content.speaks_to_lambda, content.aws_entry_point, content.packed];
    to.push(marks.iter().fold(0, |bits, mark| bits << 1 | u8::from(*mark)));
    match &content.format {
        Format::Other => to.push(b'o'),
        Format::Unseen => to.push(b'u'),
        Format::Script(line) => {
            to.push(b's');
            text(to, line);
        }
        Format::Foreign(system) => {
            to.push(b'f');
            text(to, system);
        }
        Format::Elf { machine, loader } => {
            to.push(b'e');
            match machine {
                Machine::Known(architecture) => text(to, architecture.as_str()),
                Machine::Other(machine) => text(to, &machine.to_string()),
            }
            // No loader has an empty name.
            text(to, loader.as_deref().unwrap_or_default());
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// Reads an entry whose texts come from `next`.
    fn entry(&mut self, mut next: impl FnMut(u64) -> Option<Text>) -> Option<Entry> {
        let path = next(self.number()?)?;
        let mode = u16::try_from(self.number()?).ok()?;
        let kind = match self.byte()? {
            b'd' => Kind::Directory,
            b's' => Kind::Special,
            b'l' => Kind::Symlink(next(self.number()?)?),
            b'h' => Kind::HardLink(next(self.number()?)?),
            b'f' => Kind::File { size: self.number()?, content: None },
            b'c' => Kind::File { size: self.number()?, content: Some(Arc::new(self.content()?)) },
            _ => return None,
        };
        Some(Entry { path, kind, mode })
    }

    fn content(&mut self) -> Option<Content> {
        let marks = self.byte()?;
        let format = match self.byte()? {
            b'o' => Format::Other,
            b'u' => Format::Unseen,
            b's' => Format::Script(self.text()?.to_owned()),
            b'f' if self.text()? == "macOS" => Format::Foreign("macOS"),
            b'f' => Format::Foreign("Windows"),
            b'e' => {
                let machine = self.text()?;
                let machine = match machine.parse::<Architecture>() {
                    Ok(architecture) => Machine::Known(architecture),
                    Err(_) => Machine::Other(machine.parse().ok()?),
                };
                let loader = Some(self.text()?.to_owned()).filter(|name| !name.is_empty());
                Format::Elf { machine, loader }
            }
            _ => return None,
        };
        let mark = |bit: u8| marks & bit != 0;
        Some(Content { format, speaks_to_lambda: mark(4), aws_entry_point: mark(2), packed: mark(1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> LayerFiles {
        let content = |format: Format| {
            Some(Arc::new(Content { format, speaks_to_lambda: true, aws_entry_point: false, packed: true }))
        };
        let elf = |machine: Machine, loader: Option<&str>| Format::Elf {
            machine,
            loader: loader.map(str::to_owned),
        };
        let kinds = [
            Kind::Directory,
            Kind::Special,
            Kind::Symlink("../x".into()),
            Kind::HardLink("a/b".into()),
            Kind::File { size: 1 << 40, content: None },
            Kind::File { size: 0, content: content(Format::Other) },
            Kind::File { size: 5, content: content(Format::Unseen) },
            Kind::File { size: 127, content: content(Format::Script("/bin/sh\r".to_owned())) },
            Kind::File { size: 128, content: content(Format::Foreign("macOS")) },
            Kind::File { size: 1, content: content(Format::Foreign("Windows")) },
            Kind::File {
                size: 1,
                content: content(elf(Machine::Known(Architecture::Arm64), Some("/lib/ld"))),
            },
            Kind::File { size: 1, content: content(elf(Machine::Other(243), None)) },
        ];
        let entry = |(number, kind)| Entry { path: format!("dir/\u{fc}{number}").into(), kind, mode: 0o4755 };
        let entries = kinds.into_iter().enumerate().map(entry).collect();
        LayerFiles { diff_id: DiffId(Digest::of(b"layer")), size: u64::MAX, entries }
    }

    #[test]
    fn what_is_kept_comes_back_as_it_was() {
        let files = files();
        assert_eq!(LayerFiles::from_bytes(&files.to_bytes().unwrap()), Some(files));
    }

    #[test]
    fn what_is_no_list_of_this_form_is_refused() {
        let bytes = files().to_bytes().unwrap();
        let mut reader = Reader(&bytes);
        let length = reader.number().unwrap() as usize;
        let (entries, texts) = reader.0.split_at(length);
        let (entries, texts) = (unpack(entries).unwrap(), unpack(texts).unwrap());
        let read = |entries: &[u8], texts: &[u8]| {
            let (entries, texts) = (pack(entries).unwrap(), pack(texts).unwrap());
            let mut bytes = Vec::new();
            number(&mut bytes, entries.len() as u64);
            LayerFiles::from_bytes(&[bytes, entries, texts].concat())
        };
        assert_eq!(read(&entries, &texts), Some(files()));
        for length in 0..entries.len() {
            assert_eq!(read(&entries[..length], &texts), None, "{length}");
        }
        for length in 0..texts.len() {
            assert_eq!(read(&entries, &texts[..length]), None, "{length}");
        }
        assert_eq!(read(&[&entries[..], b"x"].concat(), &texts), None);
        assert_eq!(read(&entries, &[&texts[..], b"x"].concat()), None);
        for length in 0..bytes.len() {
            assert_eq!(LayerFiles::from_bytes(&bytes[..length]), None, "{length}");
        }
        assert_eq!(LayerFiles::from_bytes(b"rubbish"), None);
    }
}
