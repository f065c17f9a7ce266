//! OCI image layouts: a directory with `oci-layout`, `index.json` and `blobs/`.
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::resolve::{self, Blobs, Found, Request};
use super::seal::damaged;
use super::{BlobSource, Image, ImageError};
use crate::domain::compression::CompressionLevel;
use crate::domain::digest::Digest;
use crate::domain::manifest::{Descriptor, ImageIndex};
use crate::domain::platform::Architecture;
use crate::domain::reference::Tag;
use crate::event::SharedReporter;

/// The most bytes a manifest or configuration may have: they are held in memory.
pub(super) const LARGEST_DOCUMENT: u64 = 16 << 20;

/// Reads the image `tag` (or the only one) of the layout in `directory`.
///
/// Layers stay where they are; their digests are checked whenever they are read.
pub async fn read(
    directory: &Path,
    tag: Option<&Tag>,
    architecture: Option<Architecture>,
    reporter: &SharedReporter,
) -> Result<Image, ImageError> {
    read_at(directory, tag, architecture, CompressionLevel::default(), reporter).await
}

/// The same as [`read`], where layers that are not compressed with gzip are, at `level`.
pub async fn read_at(
    directory: &Path,
    tag: Option<&Tag>,
    architecture: Option<Architecture>,
    level: CompressionLevel,
    reporter: &SharedReporter,
) -> Result<Image, ImageError> {
    let name = format!("oci:{}", directory.display());
    let path = directory.join("index.json");
    let index = match tokio::fs::read(&path).await {
        Ok(bytes) => resolve::parse::<ImageIndex>(&name, "index.json", &bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && directory.is_dir() => {
            return Err(not_a_layout(&name));
        }
        Err(error) => return Err(unreadable(&path, error)),
    };
    let index = resolve::named(&name, &index, tag)?;
    let blobs = LayoutBlobs { name: name.clone(), directory: directory.join("blobs").join("sha256") };
    let request = Request { level, ..Request::new(&name, architecture, reporter) };
    resolve::open_index(&blobs, &index, request).await
}

fn not_a_layout(name: &str) -> ImageError {
    ImageError::Unsupported {
        image: name.to_owned(),
        problem: "it has no `index.json`, so it is no OCI layout".to_owned(),
    }
}

struct LayoutBlobs {
    name: String,
    directory: PathBuf,
}

impl LayoutBlobs {
    /// Opens a blob whose size has to be the one described.
    async fn file(&self, descriptor: &Descriptor) -> Result<std::fs::File, ImageError> {
        let path = self.directory.join(descriptor.digest.hex());
        let file = match tokio::fs::File::open(&path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ImageError::MissingBlob { image: self.name.clone(), digest: descriptor.digest });
            }
            Err(error) => return Err(unreadable(&path, error)),
        };
        let size = file.metadata().await.map_err(|error| unreadable(&path, error))?.len();
        if size != descriptor.size {
            let Descriptor { digest, size: expected, .. } = descriptor;
            return Err(damaged(
                &self.name,
                format!("blob `{digest}` has {size} bytes instead of {expected}"),
            ));
        }
        Ok(file.into_std().await)
    }
}

impl Blobs for LayoutBlobs {
    async fn document(&self, descriptor: &Descriptor) -> Result<Bytes, ImageError> {
        let path = self.directory.join(descriptor.digest.hex());
        if descriptor.size > LARGEST_DOCUMENT {
            return Err(damaged(&self.name, format!("`{}` is too large for a document", descriptor.digest)));
        }
        self.file(descriptor).await?;
        let bytes = tokio::fs::read(&path).await.map_err(|error| unreadable(&path, error))?;
        check(&self.name, descriptor, bytes.into())
    }

    async fn layer(&self, descriptor: &Descriptor) -> Result<Found, ImageError> {
        let file = self.file(descriptor).await?;
        Ok(Found::AsDescribed(BlobSource::checked_file(file, descriptor.size, descriptor.digest)))
    }
}

/// Makes sure that a document is the one described.
pub(super) fn check(name: &str, descriptor: &Descriptor, bytes: Bytes) -> Result<Bytes, ImageError> {
    let actual = Digest::of(&bytes);
    if actual == descriptor.digest {
        return Ok(bytes);
    }
    Err(damaged(name, format!("blob `{}` has digest {actual}", descriptor.digest)))
}

fn unreadable(path: &Path, source: io::Error) -> ImageError {
    ImageError::Read { what: path.display().to_string(), source }
}
