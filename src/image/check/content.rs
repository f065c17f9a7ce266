//! What the bytes of a file tell: whether Linux can start it, what it needs for that, and whether
//! it knows Lambda's Runtime API. A file is looked at while it streams by; of its bytes only the
//! beginning is kept.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::image::elf::{self, Machine};

/// How much of a file's beginning is kept while it streams by. The program headers of ELF files
/// lie there, and usually the name of the loader.
const HEAD: usize = 4096;

/// No name of a loader is longer (`PATH_MAX`).
const LONGEST_NAME: u64 = 4096;

/// How much of a script's first line Linux reads.
/// <https://github.com/torvalds/linux/blob/v6.1/include/uapi/linux/binfmts.h#L19>
const LINE: usize = 256;

/// The variable by which a program finds the Runtime API.
const VARIABLE: &str = "AWS_LAMBDA_RUNTIME_API";

/// What the entry point of AWS base images says when it is called without a handler.
const AWS_ENTRY_POINT: &str = "entrypoint requires the handler name";

/// What names of files tell in archives, whose contents are compressed: the clients of Java,
/// Python, Node and .NET.
const CLIENTS: [&str; 5] = [
    "com/amazonaws/services/lambda/runtime/api/client/",
    "aws-lambda-java-runtime-interface-client",
    "awslambdaric/",
    "aws-lambda-ric/",
    "Amazon.Lambda.RuntimeSupport",
];

static ASCII: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(VARIABLE));
/// Programs of .NET hold their texts in 16 bits a character.
static WIDE: LazyLock<Finder<'static>> = LazyLock::new(|| {
    let wide: Vec<u8> = VARIABLE.bytes().flat_map(|byte| [byte, 0]).collect();
    Finder::new(&wide).into_owned()
});
static IN_ARCHIVES: LazyLock<Vec<Finder<'static>>> =
    LazyLock::new(|| CLIENTS.iter().map(|name| Finder::new(*name)).collect());

/// What Linux would do with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A program.
    Elf {
        /// Which machine it is for.
        machine: Machine,
        /// The loader it names, if it is linked dynamically.
        loader: Option<String>,
    },
    /// A script: its first line after `#!`, with a carriage return if it ends with one.
    Script(String),
    /// A program for Windows or macOS.
    Foreign(&'static str),
    /// Something that cannot be started.
    Other,
    /// Nobody looked.
    Unseen,
}

/// What a file's bytes told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// What Linux would do with it.
    pub(super) format: Format,
    /// Names the Runtime API, or is an archive that holds a client of it.
    pub(super) speaks_to_lambda: bool,
    /// Is the entry point of an AWS base image.
    pub(super) aws_entry_point: bool,
    /// Is a packed program, whose texts cannot be read.
    pub(super) packed: bool,
}

impl Content {
    /// A file that tells nothing.
    pub(super) const NOTHING: Self =
        Self { format: Format::Other, speaks_to_lambda: false, aws_entry_point: false, packed: false };

    /// A file that may be anything.
    pub(super) const UNSEEN: Self = Self { format: Format::Unseen, ..Self::NOTHING };
}

/// Looks at one file while it streams by.
#[derive(Debug, Default)]
pub(super) struct Look {
    head: Vec<u8>,
    /// The last bytes, where a text may begin that the next ones go on with.
    tail: Vec<u8>,
    /// Bytes so far.
    length: u64,
    /// The name of the loader, where it lies further back.
    loader: Option<Range>,
    found: bool,
    is_archive: bool,
}

#[derive(Debug)]
struct Range {
    offset: u64,
    size: u64,
    bytes: Vec<u8>,
}

impl Look {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.length < HEAD as u64 {
            let rest = HEAD - self.head.len();
            self.head.extend_from_slice(&bytes[..bytes.len().min(rest)]);
            self.is_archive = self.head.starts_with(b"PK\x03\x04");
            if self.head.len() == HEAD {
                self.expect_loader();
            }
        }
        self.catch_loader(bytes);
        if !self.found {
            self.search(bytes);
        }
        self.length += bytes.len() as u64;
    }

    /// Searches the bytes, and what stands on both sides of the border before them.
    fn search(&mut self, bytes: &[u8]) {
        // The longest text is a name in an archive.
        const OVERLAP: usize = 64;
        let is_in = |bytes: &[u8], archive: bool| {
            ASCII.find(bytes).is_some()
                || WIDE.find(bytes).is_some()
                || (archive && IN_ARCHIVES.iter().any(|finder| finder.find(bytes).is_some()))
        };
        if !self.tail.is_empty() {
            self.tail.extend_from_slice(&bytes[..bytes.len().min(OVERLAP)]);
            self.found = is_in(&self.tail, self.is_archive);
        }
        self.found = self.found || is_in(bytes, self.is_archive);
        if bytes.len() >= OVERLAP {
            self.tail.clear();
            self.tail.extend_from_slice(&bytes[bytes.len() - OVERLAP..]);
        } else {
            if self.tail.is_empty() {
                self.tail.extend_from_slice(bytes);
            }
            let surplus = self.tail.len().saturating_sub(OVERLAP);
            self.tail.drain(..surplus);
        }
    }

    /// Finds out where the loader's name lies, if it is not in the head.
    fn expect_loader(&mut self) {
        if let Some((offset, size)) = elf::loader(&self.head)
            && offset + size > HEAD as u64
            && size <= LONGEST_NAME
        {
            self.loader = Some(Range { offset, size, bytes: Vec::new() });
            // Of the bytes that made the head full, the rest is still to come.
            let known = self.head.clone();
            self.catch(&known, 0);
        }
    }

    /// Keeps the part of the bytes that is the loader's name.
    fn catch_loader(&mut self, bytes: &[u8]) {
        if self.loader.is_some() {
            self.catch(bytes, self.length);
        }
    }

    fn catch(&mut self, bytes: &[u8], at: u64) {
        let Some(range) = &mut self.loader else { return };
        let wanted = range.offset + range.bytes.len() as u64;
        let end = range.offset + range.size;
        if wanted < at || wanted >= at + bytes.len() as u64 || wanted >= end {
            return;
        }
        let (from, to) = ((wanted - at) as usize, ((end - at) as usize).min(bytes.len()));
        range.bytes.extend_from_slice(&bytes[from..to]);
    }

    /// Ends with what there is to tell.
    pub(super) fn end(self) -> Content {
        let head = self.head.as_slice();
        let format = match Machine::of(head) {
            Some(machine) => Format::Elf { machine, loader: self.loader_name() },
            None => format_of(head),
        };
        Content {
            speaks_to_lambda: self.found,
            aws_entry_point: matches!(format, Format::Script(_)) && contains(head, AWS_ENTRY_POINT),
            packed: matches!(format, Format::Elf { .. }) && contains(head, "UPX!"),
            format,
        }
    }

    fn loader_name(&self) -> Option<String> {
        let name = match (&self.loader, elf::loader(&self.head)) {
            (Some(range), _) if range.bytes.len() as u64 == range.size => &range.bytes[..],
            (None, Some((offset, size))) => {
                let from = usize::try_from(offset).ok()?;
                self.head.get(from..from.checked_add(usize::try_from(size).ok()?)?)?
            }
            _ => return None,
        };
        let name = name.split(|byte| *byte == 0).next()?;
        (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

fn format_of(head: &[u8]) -> Format {
    match head {
        [b'#', b'!', rest @ ..] => {
            let line = &rest[..rest.len().min(LINE - 2)];
            let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
            Format::Script(String::from_utf8_lossy(line).into_owned())
        }
        [b'M', b'Z', ..] => Format::Foreign("Windows"),
        // Both byte orders, 32 and 64 bits.
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xfe, 0xed, 0xfa, 0xcf | 0xce, ..] => Format::Foreign("macOS"),
        _ => Format::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::platform::Architecture;

    fn look(bytes: &[u8], step: usize) -> Content {
        let mut look = Look::default();
        bytes.chunks(step).for_each(|chunk| look.feed(chunk));
        look.end()
    }

    /// A program whose loader's name lies at `offset`.
    fn program(offset: u64, name: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56 * 2];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&62_u16.to_le_bytes());
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&2_u16.to_le_bytes());
        let interp = 64 + 56;
        bytes[interp..interp + 4].copy_from_slice(&3_u32.to_le_bytes());
        bytes[interp + 8..interp + 16].copy_from_slice(&offset.to_le_bytes());
        bytes[interp + 32..interp + 40].copy_from_slice(&(name.len() as u64).to_le_bytes());
        bytes.resize(offset as usize, 7);
        bytes.extend_from_slice(name);
        bytes.extend([9; 5000]);
        bytes
    }

    #[test]
    fn a_loader_is_found_wherever_it_is_named() {
        let name = b"/lib64/ld-linux-x86-64.so.2\0";
        for offset in [200, 4060, 4080, 4096, 4100, 70_000] {
            for step in [1, 100, 4096, 1 << 20] {
                let content = look(&program(offset, name), step);
                let machine = Machine::Known(Architecture::X86_64);
                let loader = Some("/lib64/ld-linux-x86-64.so.2".to_owned());
                assert_eq!(content.format, Format::Elf { machine, loader }, "at {offset} by {step}");
            }
        }
    }

    #[test]
    fn a_program_that_is_cut_off_names_no_loader() {
        let mut bytes = program(70_000, b"/lib/ld.so\0");
        bytes.truncate(70_003);
        let Format::Elf { loader, .. } = look(&bytes, 1000).format else { panic!("not ELF") };
        assert_eq!(loader, None);
    }

    #[test]
    fn the_variable_is_found_across_every_border_and_in_both_widths() {
        let wide: Vec<u8> = VARIABLE.bytes().flat_map(|byte| [byte, 0]).collect();
        for needle in [VARIABLE.as_bytes(), &wide] {
            for before in [0, 1, 63, 64, 65, 4090, 10_000] {
                let bytes = [&vec![b'x'; before], needle, &[b'y'; 300]].concat();
                for step in [1, 3, 7, 64, 100, 4096] {
                    assert!(look(&bytes, step).speaks_to_lambda, "{before} by {step}");
                }
            }
        }
        assert!(!look(b"AWS_LAMBDA_RUNTIME_AP", 3).speaks_to_lambda);
    }

    #[test]
    fn clients_are_seen_in_archives_and_nowhere_else() {
        let jar = b"PK\x03\x04....com/amazonaws/services/lambda/runtime/api/client/AWSLambda.class";
        assert!(look(jar, 5).speaks_to_lambda);
        assert!(!look(b"see com/amazonaws/services/lambda/runtime/api/client/", 5).speaks_to_lambda);
    }

    #[test]
    fn what_linux_would_do_is_told_by_the_first_bytes() {
        let format = |bytes: &[u8]| look(bytes, 2).format;
        assert_eq!(format(b"#!/bin/sh\r\necho"), Format::Script("/bin/sh\r".to_owned()));
        assert_eq!(format(b"#! /usr/bin/env python3"), Format::Script(" /usr/bin/env python3".to_owned()));
        assert_eq!(format(b"MZ\x90\0"), Format::Foreign("Windows"));
        assert_eq!(format(b"\xcf\xfa\xed\xfe\x07"), Format::Foreign("macOS"));
        assert_eq!(format(b"echo hello"), Format::Other);
        assert_eq!(format(b""), Format::Other);
        let script = b"#!/bin/sh\necho \"entrypoint requires the handler name to be the first argument\"\n";
        assert!(look(script, 4).aws_entry_point);
    }
}
