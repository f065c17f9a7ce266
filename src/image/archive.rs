//! Archives: what `docker save` writes (both its layouts) and OCI archives, compressed or not.
//!
//! An archive is read once, from beginning to end, as it may come from a pipe, and what says
//! which layers matter often comes last. Layers that are not compressed are compressed while
//! they pass by; the others are put aside as they are.

mod docker;
mod entries;
mod expected;

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio_util::io::SyncIoBridge;

use self::entries::{Entries, Entry};
pub(super) use self::expected::Expected;
use super::gzip::Compression;
use super::resolve::{self, Blobs, Found, Request};
use super::work::{Observed, Progress, Stop, blocking};
use super::{Image, ImageError};
use crate::domain::compression::CompressionLevel;
use crate::domain::image_source::ArchiveFile;
use crate::domain::manifest::{Descriptor, ImageIndex};
use crate::domain::platform::Architecture;
use crate::event::{SharedReporter, Silent};

/// Reads an archive from a file or standard input.
pub async fn read(
    file: &ArchiveFile,
    architecture: Option<Architecture>,
    reporter: &SharedReporter,
) -> Result<Image, ImageError> {
    read_at(file, architecture, CompressionLevel::default(), reporter).await
}

/// The same as [`read`], where layers that are not compressed are compressed at `level`.
pub async fn read_at(
    file: &ArchiveFile,
    architecture: Option<Architecture>,
    level: CompressionLevel,
    reporter: &SharedReporter,
) -> Result<Image, ImageError> {
    let expected = Expected::nothing(level);
    let entries = match file {
        ArchiveFile::StandardInput => {
            let name = "archive:-".to_owned();
            // Read on the blocking thread itself: the async standard input would be read ahead.
            entries(name, None, expected, reporter, || Ok(io::stdin().lock())).await?
        }
        ArchiveFile::Path(path) => read_file(path, expected, reporter).await?,
    };
    let name = entries.name.clone();
    image(entries, Request { level, ..Request::new(&name, architecture, reporter) }).await
}

async fn read_file(
    path: &Path,
    expected: Expected,
    reporter: &SharedReporter,
) -> Result<Entries, ImageError> {
    let name = format!("archive:{}", path.display());
    let unreadable = |source| ImageError::Read { what: path.display().to_string(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let total = file.metadata().map_err(unreadable)?;
    let total = total.is_file().then_some(total.len());
    entries(name, total, expected, reporter, || Ok(file)).await
}

/// Reads an archive as it streams by; it is never held in memory nor read twice.
pub async fn read_stream(
    name: &str,
    stream: impl AsyncRead + Unpin + Send + 'static,
    architecture: Option<Architecture>,
    reporter: &SharedReporter,
) -> Result<Image, ImageError> {
    let request = Request::new(name, architecture, reporter);
    read_missing(stream, Expected::default(), request).await
}

/// Reads an archive as it streams by, all but the layers that are `expected` in it.
pub(super) async fn read_missing(
    stream: impl AsyncRead + Unpin + Send + 'static,
    expected: Expected,
    request: Request<'_>,
) -> Result<Image, ImageError> {
    let bridge = SyncIoBridge::new(stream);
    let name = request.name.to_owned();
    // Whoever has it stream by knows how much there is of it, and tells.
    let silent: SharedReporter = Arc::new(Silent);
    let entries = entries(name, None, expected, &silent, || Ok(bridge)).await?;
    image(entries, request).await
}

async fn entries<R: Read>(
    name: String,
    total: Option<u64>,
    expected: Expected,
    reporter: &SharedReporter,
    open: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> Result<Entries, ImageError> {
    let reporter = reporter.clone();
    blocking(move |stop| {
        let progress = Progress::new("reading", total, &reporter);
        let input = open().map_err(|source| ImageError::Read { what: name.clone(), source })?;
        read_entries(name, input, &expected, progress, &stop)
    })
    .await
}

fn read_entries(
    name: String,
    input: impl Read,
    expected: &Expected,
    mut progress: Progress,
    stop: &Stop,
) -> Result<Entries, ImageError> {
    let unreadable = |source| ImageError::Read { what: name.clone(), source };
    let mut input = Observed { inner: input, progress: &mut progress, stop };
    let mut start = Vec::new();
    (&mut input).take(4).read_to_end(&mut start).map_err(unreadable)?;
    let compression = Compression::of(&start);
    let whole = start.as_slice().chain(input);
    match compression {
        Compression::None => entries::read(&name, whole, expected),
        Compression::Gzip => entries::read(&name, flate2::read::MultiGzDecoder::new(whole), expected),
        Compression::Zstd => {
            entries::read(&name, zstd::stream::read::Decoder::new(whole).map_err(unreadable)?, expected)
        }
    }
}

/// Finds the image among the entries: by `index.json`, whose manifests can be kept as they are,
/// else by Docker's `manifest.json`.
async fn image(entries: Entries, request: Request<'_>) -> Result<Image, ImageError> {
    let name = request.name;
    if let Some(Entry::Small(bytes)) = entries.get("index.json") {
        let index: ImageIndex = resolve::parse(name, "index.json", bytes)?;
        let index = resolve::named(name, &index, None)?;
        return resolve::open_index(&entries, &index, request).await;
    }
    match entries.get("manifest.json") {
        Some(Entry::Small(bytes)) => docker::image(&entries, bytes, request).await,
        _ => Err(ImageError::Unsupported {
            image: name.to_owned(),
            problem: "it holds neither `index.json` nor `manifest.json`, so it is no image archive"
                .to_owned(),
        }),
    }
}

impl Blobs for Entries {
    async fn document(&self, descriptor: &Descriptor) -> Result<Bytes, ImageError> {
        match self.blob(descriptor)? {
            Entry::Small(bytes) => Ok(bytes.clone()),
            _ => Err(super::seal::damaged(&self.name, format!("`{}` is not a document", descriptor.digest))),
        }
    }

    async fn layer(&self, descriptor: &Descriptor) -> Result<Found, ImageError> {
        Ok(match self.blob(descriptor)? {
            Entry::Small(bytes) => Found::AsDescribed(super::BlobSource::Memory(bytes.clone())),
            Entry::Large(spooled, _) => Found::AsDescribed(spooled.source.clone()),
            Entry::Tar(layer) => Found::Compressed(layer.clone()),
        })
    }
}
