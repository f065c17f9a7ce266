//! Reads a layer's tar archive while it streams by, and keeps what is in it without the bytes.
//!
//! It is written to, not read from, so that a layer can be looked at while it is compressed; the
//! archive is never read a second time for it. It understands what Docker and containerd do:
//! ustar, GNU's long names and sparse files, and pax headers.
//! <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>

use std::io::{self, Write};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::content::{Content, Look};
use super::files::{Entry, Kind, LayerFiles, normal};
use super::header::{Header, Names};
use super::text::Texts;
use crate::domain::digest::{DiffId, Digest};

/// The size of a header, and what contents are rounded up to.
const BLOCK: usize = 512;

/// No name or pax header is longer; GNU tar and Go read as much.
const LONGEST_NAMES: u64 = 1 << 20;

/// Takes a tar archive as it is written, and ends as [`LayerFiles`].
#[derive(Debug)]
pub struct Scan {
    hasher: Option<Sha256>,
    size: u64,
    state: State,
    /// The part of a header that is there.
    block: Vec<u8>,
    names: Names,
    entries: Vec<Entry>,
    texts: Texts,
}

#[derive(Debug)]
enum State {
    /// The next bytes are a header.
    Header,
    /// More headers of a sparse file, before its contents.
    SparseHeader(Box<Pending>),
    /// Contents of a file, and what they are followed by.
    File(Box<Pending>),
    /// A name or pax header.
    Names { kind: u8, rest: u64, padding: u64, bytes: Vec<u8> },
    /// Bytes that tell nothing.
    Skip(u64),
    /// One block of zeroes; two end the archive.
    Zero,
    /// Whatever follows the end.
    End,
}

#[derive(Debug)]
struct Pending {
    path: String,
    mode: u16,
    /// What it is when it is unpacked.
    size: u64,
    rest: u64,
    padding: u64,
    /// Sparse files are not looked at: their bytes are not where they will be.
    look: Option<Look>,
}

impl Default for Scan {
    fn default() -> Self {
        Self::new()
    }
}

impl Scan {
    /// Starts with an archive whose digest is computed here.
    pub fn new() -> Self {
        Self { hasher: Some(Sha256::new()), ..Self::without_digest() }
    }

    /// Starts with an archive whose digest somebody else computes.
    pub fn without_digest() -> Self {
        Self {
            hasher: None,
            size: 0,
            state: State::Header,
            block: Vec::with_capacity(BLOCK),
            names: Names::default(),
            entries: Vec::new(),
            texts: Texts::default(),
        }
    }

    /// Ends with what was in the archive; for one that was started with [`Scan::new`].
    ///
    /// # Errors
    /// Where the archive is cut off.
    pub fn finish(mut self) -> io::Result<LayerFiles> {
        let digest = self.hasher.take().unwrap_or_default().finalize();
        self.finish_as(DiffId(Digest::from_sha256(digest.into())))
    }

    /// Ends with what was in the archive, whose digest is known.
    ///
    /// # Errors
    /// Where the archive is cut off.
    pub fn finish_as(self, diff_id: DiffId) -> io::Result<LayerFiles> {
        let at_border =
            self.block.is_empty() && matches!(self.state, State::Header | State::Zero | State::End);
        // The padding of the last file may be missing, as in an archive without its end.
        let only_padding = matches!(&self.state, State::Skip(rest) if *rest < BLOCK as u64);
        if !at_border && !only_padding {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the tar archive is cut off"));
        }
        let Self { size, mut entries, .. } = self;
        entries.shrink_to_fit();
        Ok(LayerFiles { diff_id, size, entries })
    }

    /// Takes what the present state wants of the bytes; returns how many that were.
    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Header | State::Zero | State::SparseHeader(_) => self.take_header(bytes),
            State::File(pending) => {
                let count = at_most(bytes.len(), pending.rest);
                if let Some(look) = &mut pending.look {
                    look.feed(&bytes[..count]);
                }
                pending.rest -= count as u64;
                if pending.rest == 0 {
                    self.end_file();
                }
                Ok(count)
            }
            State::Names { rest, bytes: names, .. } => {
                let count = at_most(bytes.len(), *rest);
                names.extend_from_slice(&bytes[..count]);
                *rest -= count as u64;
                if *rest == 0 {
                    self.end_names()?;
                }
                Ok(count)
            }
            State::Skip(rest) => {
                let count = at_most(bytes.len(), *rest);
                *rest -= count as u64;
                if *rest == 0 {
                    self.state = State::Header;
                }
                Ok(count)
            }
            State::End => Ok(bytes.len()),
        }
    }

    fn take_header(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        if self.block.len() == BLOCK {
            let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
            match std::mem::replace(&mut self.state, State::Header) {
                State::SparseHeader(pending) => self.begin_sparse(pending, block[504] != 0),
                state => self.header(&block, matches!(state, State::Zero))?,
            }
        }
        Ok(count)
    }

    fn header(&mut self, block: &[u8], after_zeroes: bool) -> io::Result<()> {
        if block.iter().all(|byte| *byte == 0) {
            self.state = if after_zeroes { State::End } else { State::Zero };
            return Ok(());
        }
        let header = Header::parse(block)?;
        if header.is_names() {
            if header.size > LONGEST_NAMES {
                return Err(invalid("a name in the tar archive is too long"));
            }
            let padding = padding(header.size);
            self.state = State::Names { kind: header.kind, rest: header.size, padding, bytes: Vec::new() };
            return if header.size == 0 { self.end_names() } else { Ok(()) };
        }
        self.entry(header, block[482] != 0);
        Ok(())
    }

    fn entry(&mut self, header: Header, more_sparse_headers: bool) {
        let mut names = std::mem::take(&mut self.names);
        let raw = names.path().unwrap_or(header.path);
        let path = normal(&raw);
        let mode = header.mode;
        let link = names.link.unwrap_or(header.link);
        let stored = names.size.unwrap_or(header.size);
        let kind = match header.kind {
            // Before there was a type for them, directories were files whose name ends in `/`.
            b'0' | b'\0' | b'7' | b'S' if !raw.ends_with('/') => None,
            b'0' | b'\0' | b'7' | b'S' | b'5' => Some(Kind::Directory),
            b'2' => Some(Kind::Symlink(self.texts.add(&link))),
            b'1' => Some(Kind::HardLink(self.texts.add(&normal(&link)))),
            b'3' | b'4' | b'6' => Some(Kind::Special),
            // A kind that nobody knows is unpacked by nobody.
            _ => {
                self.skip(stored + padding(stored));
                return;
            }
        };
        let Some(kind) = kind else {
            let is_sparse = header.kind == b'S';
            let size = names.real_size.or(header.real_size.filter(|_| is_sparse)).unwrap_or(stored);
            let look = (!is_sparse && names.real_size.is_none()).then(Look::default);
            let pending = Pending { path, mode, size, rest: stored, padding: padding(stored), look };
            if is_sparse {
                self.begin_sparse(Box::new(pending), more_sparse_headers);
            } else {
                self.begin_file(Box::new(pending));
            }
            return;
        };
        // Links and the like have no contents, whatever their size says.
        // <https://github.com/golang/go/blob/go1.25.0/src/archive/tar/reader.go#L84>
        self.entries.push(Entry { path: self.texts.add(&path), kind, mode });
        self.state = State::Header;
    }

    fn begin_sparse(&mut self, pending: Box<Pending>, more_headers: bool) {
        if more_headers {
            self.state = State::SparseHeader(pending);
        } else {
            self.begin_file(pending);
        }
    }

    fn begin_file(&mut self, pending: Box<Pending>) {
        let is_empty = pending.rest == 0;
        self.state = State::File(pending);
        if is_empty {
            self.end_file();
        }
    }

    fn end_file(&mut self) {
        if let State::File(pending) = std::mem::replace(&mut self.state, State::Header) {
            let Pending { path, mode, size, padding, look, .. } = *pending;
            let content = look.map_or(Content::UNSEEN, Look::end);
            let content = (content != Content::NOTHING).then(|| Arc::new(content));
            let path = self.texts.add(&path);
            self.entries.push(Entry { path, kind: Kind::File { size, content }, mode });
            self.skip(padding);
        }
    }

    fn end_names(&mut self) -> io::Result<()> {
        if let State::Names { kind, bytes, padding, .. } = std::mem::replace(&mut self.state, State::Header) {
            self.names.read(kind, &bytes)?;
            self.skip(padding);
        }
        Ok(())
    }

    fn skip(&mut self, count: u64) {
        self.state = if count == 0 { State::Header } else { State::Skip(count) };
    }
}

impl Write for Scan {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = self.take(rest)?;
            rest = &rest[count..];
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn at_most(length: usize, rest: u64) -> usize {
    usize::try_from(rest).map_or(length, |rest| rest.min(length))
}

fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

pub(super) fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
