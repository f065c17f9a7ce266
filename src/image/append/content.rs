//! Where the bytes of a file are that goes into a layer.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::engine;
use super::{NotUnderstood, Stopped};
use crate::image::blob::read_at;
use crate::image::{ImageError, Layer};
use crate::services::docker::ImageFiles;

/// The bytes of one file.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A file of this machine, which must not change meanwhile.
    Host { path: PathBuf, size: u64 },
    /// A part of a temporary file of ours.
    Spooled(Spooled),
    /// In a layer of an image, to be taken out when it is needed.
    Layered(Layered),
    /// In an image of an engine, to be taken out when it is needed.
    Contained(Contained),
    /// Here.
    Text(Arc<str>),
    /// Nobody has looked at it, as it only matters where it is copied.
    Unread(Unread),
}

/// The content of a file that is known to be there.
#[derive(Clone, Debug)]
pub(super) struct Unread {
    /// Set where it is needed.
    pub(super) is_wanted: Arc<AtomicBool>,
}

/// A file in an image of an engine.
#[derive(Clone, Debug)]
pub(super) struct Contained {
    pub(super) files: Arc<ImageFiles>,
    pub(super) path: String,
    pub(super) size: u64,
}

/// A file in a layer of an image.
#[derive(Clone, Debug)]
pub(super) struct Layered {
    pub(super) layer: Arc<Layer>,
    /// As the layer has it.
    pub(super) path: Arc<str>,
    pub(super) size: u64,
    /// The bytes themselves, where the list of the layer has them.
    pub(super) text: Option<Arc<str>>,
}

/// A part of a file that nobody else can change.
#[derive(Clone, Debug)]
pub(super) struct Spooled {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Content {
    /// How many bytes it has.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Host { size, .. } => *size,
            Self::Spooled(spooled) => spooled.size,
            Self::Layered(layered) => layered.size,
            Self::Contained(contained) => contained.size,
            Self::Text(text) => text.len() as u64,
            Self::Unread(_) => 0,
        }
    }

    /// All of its bytes, which should be few; `None` where they cannot be had at once. May block.
    pub(super) fn bytes(&self) -> Result<Option<Vec<u8>>, Stopped> {
        let mut bytes = Vec::new();
        match self {
            Self::Host { path, .. } => {
                let unreadable = |source| ImageError::Read { what: path.display().to_string(), source };
                bytes = std::fs::read(path).map_err(unreadable)?;
            }
            Self::Spooled(spooled) => {
                let unreadable = |source| ImageError::Read { what: "a temporary file".to_owned(), source };
                spooled.reader().read_to_end(&mut bytes).map_err(unreadable)?;
            }
            Self::Layered(layered) => match &layered.text {
                Some(text) => bytes = text.as_bytes().to_vec(),
                None => return Ok(None),
            },
            Self::Contained(contained) => bytes = engine::bytes(contained)?,
            Self::Text(text) => bytes = text.as_bytes().to_vec(),
            Self::Unread(unread) => return Err(unread.want()),
        }
        Ok(Some(bytes))
    }
}

impl Unread {
    /// Notes that it has to be known.
    pub(super) fn want(&self) -> Stopped {
        self.is_wanted.store(true, Ordering::Relaxed);
        NotUnderstood::new("a file that is not at hand").into()
    }
}

impl Spooled {
    /// Reads it from the beginning.
    pub(super) fn reader(&self) -> impl Read {
        SpooledReader { spooled: self.clone(), position: 0 }
    }
}

struct SpooledReader {
    spooled: Spooled,
    position: u64,
}

impl Read for SpooledReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.spooled.size - self.position).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = read_at(&self.spooled.file, &mut buffer[..wanted], self.spooled.offset + self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
