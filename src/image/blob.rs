//! Where the bytes of a blob can be read, again and again.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};

use super::check::LayerFiles;
use crate::domain::digest::Digest;
use crate::domain::manifest::Descriptor;
use crate::domain::reference::{RegistryHost, RepositoryName, RepositoryUri};
use crate::domain::transfer::KnownBy;
use crate::services::registry::{BlobContent, ByteStream, RegistryClient, verified};

/// How much of a file is read at a time: all that a transfer holds in memory, times two.
pub(super) const CHUNK: usize = 256 << 10;

/// Where the bytes of a blob are.
#[derive(Clone, Debug)]
pub enum BlobSource {
    /// In memory: small things only.
    Memory(Bytes),
    /// In a file.
    File(FileBlob),
    /// In a registry, until somebody needs them.
    Registry(RegistryBlob),
}

/// A part of a file that stays open, so that it can be read even when its name is gone.
#[derive(Clone, Debug)]
pub struct FileBlob {
    file: Arc<File>,
    offset: u64,
    length: u64,
    /// Checked while reading, where the file is not our own.
    digest: Option<Digest>,
    origin: Origin,
    /// What is in it, where that was seen when it was written.
    files: Option<Arc<LayerFiles>>,
}

/// How the bytes of a file came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// They are as they came.
    Stored,
    /// So many bytes of a layer that came were compressed.
    Compressed(u64),
    /// So many bytes of a layer were made of files, and compressed.
    Made(u64),
}

/// A blob in a repository.
#[derive(Clone, Debug)]
pub struct RegistryBlob {
    /// The registry.
    pub client: RegistryClient,
    /// The repository.
    pub repository: RepositoryName,
    /// Its digest and size, which are checked while reading.
    pub descriptor: Descriptor,
    /// What tells that it is there.
    pub known_by: KnownBy,
}

impl BlobSource {
    /// The first `length` bytes of a file that nobody else can change.
    pub fn private_file(file: impl Into<Arc<File>>, length: u64) -> Self {
        let file = file.into();
        Self::File(FileBlob { file, offset: 0, length, digest: None, origin: Origin::Stored, files: None })
    }

    /// A file that must have this size and digest whenever it is read.
    pub fn checked_file(file: File, size: u64, digest: Digest) -> Self {
        let (file, digest) = (Arc::new(file), Some(digest));
        Self::File(FileBlob { file, offset: 0, length: size, digest, origin: Origin::Stored, files: None })
    }

    /// The same bytes, and how they came about.
    #[must_use]
    pub(super) fn of_origin(self, origin: Origin) -> Self {
        match self {
            Self::File(blob) => Self::File(FileBlob { origin, ..blob }),
            other => other,
        }
    }

    /// The same layer, with what was seen of it when it was written.
    #[must_use]
    pub(super) fn with_files(self, files: LayerFiles) -> Self {
        match self {
            Self::File(blob) => Self::File(FileBlob { files: Some(Arc::new(files)), ..blob }),
            other => other,
        }
    }

    /// How the bytes came about.
    pub fn origin(&self) -> Origin {
        match self {
            Self::File(blob) => blob.origin,
            Self::Memory(_) | Self::Registry(_) => Origin::Stored,
        }
    }

    /// What is in the layer, where that was seen when it was written: then it need not be read
    /// for it.
    pub fn files(&self) -> Option<&Arc<LayerFiles>> {
        match self {
            Self::File(blob) => blob.files.as_ref(),
            _ => None,
        }
    }

    /// Whether the bytes are on this machine; reading others means downloading them.
    pub fn is_at_hand(&self) -> bool {
        !matches!(self, Self::Registry(_))
    }

    /// The repository the bytes are in, whichever registry that is of.
    pub fn repository(&self) -> Option<RepositoryUri> {
        match self {
            Self::Registry(RegistryBlob { client, repository, .. }) => {
                Some(RepositoryUri { registry: client.host().clone(), name: repository.clone() })
            }
            _ => None,
        }
    }

    /// The repository of the registry at `host` the bytes are in, and what tells so.
    pub fn known_at(&self, host: &RegistryHost) -> Option<(&RepositoryName, KnownBy)> {
        match self {
            Self::Registry(blob) if blob.client.host() == host => Some((&blob.repository, blob.known_by)),
            _ => None,
        }
    }

    /// Opens the bytes from the beginning.
    ///
    /// Fails where the file or registry cannot be read, and at the end of the stream where the
    /// bytes are not what the digest promises.
    pub async fn open(&self) -> io::Result<ByteStream> {
        match self {
            Self::Memory(bytes) => Ok(stream::iter([Ok(bytes.clone())]).boxed()),
            Self::File(blob) => Ok(blob.open()),
            Self::Registry(RegistryBlob { client, repository, descriptor, .. }) => {
                client.blob(repository, descriptor).await.map_err(io::Error::other)
            }
        }
    }
}

impl BlobContent for BlobSource {
    fn open(&self) -> BoxFuture<'_, io::Result<ByteStream>> {
        Self::open(self).boxed()
    }
}

impl FileBlob {
    fn open(&self) -> ByteStream {
        let Self { file, offset, length, digest, .. } = self.clone();
        let end = offset + length;
        let chunks = stream::try_unfold((file, offset), move |(file, position)| async move {
            if position >= end {
                return Ok(None);
            }
            let length = usize::try_from(end - position).unwrap_or(CHUNK).min(CHUNK);
            let read =
                tokio::task::spawn_blocking(move || read_chunk(&file, position, length).map(|c| (c, file)));
            let (chunk, file) = read.await.map_err(io::Error::other)??;
            let next = position + chunk.len() as u64;
            Ok(Some((chunk, (file, next))))
        })
        .boxed();
        match digest {
            Some(digest) => verified(chunks, digest, length),
            None => chunks,
        }
    }
}

pub(super) fn read_chunk(file: &File, position: u64, length: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; length];
    let mut filled = 0;
    while filled < length {
        let count = read_at(file, &mut buffer[filled..], position + filled as u64)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than it was"));
        }
        filled += count;
    }
    Ok(buffer.into())
}

/// Reads without moving the file's position, so that several tasks can read one file.
#[cfg(unix)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, position)
}

/// Reads at a position that is given with each call.
#[cfg(windows)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, position)
}

/// Writes without moving the file's position.
#[cfg(unix)]
pub(super) fn write_at(file: &File, bytes: &[u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, position)
}

/// Writes at a position that is given with each call.
#[cfg(windows)]
pub(super) fn write_at(file: &File, bytes: &[u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, position)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    async fn read(source: &BlobSource) -> io::Result<Vec<u8>> {
        let mut stream = source.open().await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await.transpose()? {
            assert!(chunk.len() <= CHUNK);
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[tokio::test]
    async fn files_are_read_in_chunks_and_as_often_as_needed() {
        let bytes: Vec<u8> = (0..CHUNK * 2 + 17).map(|i| i as u8).collect();
        let source = BlobSource::private_file(file(&bytes), bytes.len() as u64);
        assert_eq!(read(&source).await.unwrap(), bytes);
        assert_eq!(read(&source.clone()).await.unwrap(), bytes);
    }

    #[tokio::test]
    async fn a_file_that_was_changed_or_cut_is_an_error() {
        let changed = BlobSource::checked_file(file(b"abd"), 3, Digest::of(b"abc"));
        assert_eq!(read(&changed).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let cut = BlobSource::checked_file(file(b"ab"), 3, Digest::of(b"abc"));
        assert_eq!(read(&cut).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
