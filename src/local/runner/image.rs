//! The image a runner runs: from the local cloud's registry, or one that is in none.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::io::{StreamReader, SyncIoBridge};
use tokio_util::sync::CancellationToken;

use crate::domain::digest::Digest;
use crate::domain::manifest::Manifest;
use crate::image::Image;
use crate::local::blob;
use crate::local::store::{Store, StoreError};

/// An image to run.
#[derive(Clone, Debug)]
pub struct LocalImage {
    /// The repository it was taken from, for names.
    pub repository: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Where the manifest, the configuration and the layers are (see [`blob`]), and where it is
    /// unpacked.
    pub store: Arc<Store>,
    /// Where its parts are instead, if it is in no registry.
    pub given: Option<GivenImage>,
}

/// An image that is in no registry; cheap to clone.
#[derive(Clone, Debug)]
pub struct GivenImage {
    /// The image.
    pub image: Arc<Image>,
    /// Ends all reading of it.
    pub stop: CancellationToken,
}

impl LocalImage {
    /// Its manifest or configuration; `None` where it is not there any more.
    pub fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(GivenImage { image, .. }) = &self.given else { return blob::read(&self.store, digest) };
        let parts =
            [(image.digest(), &image.manifest_bytes), (image.manifest.config.digest, &image.config_bytes)];
        Ok(parts.into_iter().find(|(own, _)| own == digest).map(|(_, bytes)| bytes.to_vec()))
    }

    /// Its manifest.
    pub fn manifest(&self) -> Result<Option<serde_json::Result<Manifest>>, StoreError> {
        Ok(self.read(&self.digest)?.map(|bytes| serde_json::from_slice(&bytes)))
    }

    /// A layer and its size. Blocks, and has to be read on a thread that may block.
    pub(super) fn open(&self, digest: &Digest) -> io::Result<(u64, Box<dyn Read + Send>)> {
        let Some(GivenImage { image, stop }) = &self.given else {
            let file = File::open(blob::path(&self.store, digest))?;
            return Ok((file.metadata()?.len(), Box::new(file)));
        };
        let layer = image.layers.iter().find(|layer| layer.descriptor.digest == *digest);
        let layer = layer.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let stream = Handle::current().block_on(layer.source.open())?;
        let inner = SyncIoBridge::new(StreamReader::new(stream));
        Ok((layer.descriptor.size, Box::new(Stoppable { inner, stop: stop.clone() })))
    }
}

/// A reader that fails as soon as nobody wants its bytes any more.
struct Stoppable<R> {
    inner: R,
    stop: CancellationToken,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "nobody waits for it any more"));
        }
        self.inner.read(buffer)
    }
}
