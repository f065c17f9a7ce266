//! Temporary files for bytes that are too many for memory: hashed while they are written,
//! without a name, gone with the last reader.

use std::env;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::blob::write_at;
use super::{BlobSource, ImageError};
use crate::domain::digest::Digest;

/// Where temporary files go.
///
/// `TMPDIR` decides. Where it leaves the default, `/var/tmp` is taken if it exists, as other
/// container tools do: `/tmp` is often held in memory, and layers are large.
/// <https://github.com/containers/image/blob/main/docs/containers-transports.5.md>
fn directory() -> PathBuf {
    let default = env::temp_dir();
    let disk = Path::new("/var/tmp");
    if default == Path::new("/tmp") && disk.is_dir() { disk.to_owned() } else { default }
}

/// A temporary file that is being written.
pub(super) struct Spool {
    file: BufWriter<Appended>,
    hasher: Sha256,
    size: u64,
}

/// A temporary file that is complete.
#[derive(Clone, Debug)]
pub(super) struct Spooled {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) source: BlobSource,
}

impl Spool {
    /// Makes one. It has no name, so nothing is left behind however the process ends.
    pub(super) fn create() -> io::Result<Self> {
        let file = Appended { file: Arc::new(tempfile::tempfile_in(directory())?), length: 0 };
        Ok(Self { file: BufWriter::with_capacity(256 << 10, file), hasher: Sha256::new(), size: 0 })
    }

    /// How many bytes it has.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The file itself, for who reads what is in it already: all that was there at the last
    /// `flush`.
    pub(super) fn file(&self) -> Arc<File> {
        self.file.get_ref().file.clone()
    }

    /// Ends it.
    pub(super) fn finish(self) -> io::Result<Spooled> {
        let Appended { file, .. } = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Spooled {
            digest: Digest::from_sha256(self.hasher.finalize().into()),
            size: self.size,
            source: BlobSource::private_file(file, self.size),
        })
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file that grows, whoever reads it meanwhile: readers move its position on some systems.
struct Appended {
    file: Arc<File>,
    length: u64,
}

impl Write for Appended {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = write_at(&self.file, bytes, self.length)?;
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The error of a temporary file.
pub(super) fn spool_error(source: io::Error) -> ImageError {
    ImageError::Spool { directory: directory(), source }
}
