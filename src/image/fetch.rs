//! Brings the layers of an image that are in a registry onto this machine, for those who read
//! them more than once. `pipeline::check` calls it for an image that is started afterwards.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::seal::damaged;
use super::spool::{Spool, spool_error};
use super::work::{Observed, Progress, blocking};
use super::{Image, ImageError, Layer};
use crate::event::SharedReporter;

/// How many layers are downloaded at a time.
const DOWNLOADS: usize = 3;

impl Image {
    /// The same image with all its layers on this machine, in temporary files that are gone with
    /// the last reader. Those that are here already are left where they are.
    ///
    /// # Errors
    /// Where a layer cannot be read, or is not what the manifest says.
    pub async fn brought_here(self, reporter: &SharedReporter) -> Result<Self, ImageError> {
        let fetching: Vec<_> =
            self.layers.iter().cloned().map(|layer| fetch(layer, reporter.clone())).collect();
        let layers = stream::iter(fetching).buffered(DOWNLOADS).try_collect().await?;
        Ok(Self { layers, ..self })
    }
}

async fn fetch(layer: Layer, reporter: SharedReporter) -> Result<Layer, ImageError> {
    if layer.source.is_at_hand() {
        return Ok(layer);
    }
    let what = format!("layer {}", layer.descriptor.digest.short());
    let unreadable = |what: &str| {
        let what = what.to_owned();
        move |source| ImageError::Read { what, source }
    };
    let stream = layer.source.open().await.map_err(unreadable(&what))?;
    let mut input = SyncIoBridge::new(StreamReader::new(stream));
    let (expected, size) = (layer.descriptor.digest, layer.descriptor.size);
    let spooled = blocking(move |stop| {
        let mut progress = Progress::new("downloading", Some(size), &reporter);
        let mut input = Observed { inner: &mut input, progress: &mut progress, stop: &stop };
        let mut spool = Spool::create().map_err(spool_error)?;
        std::io::copy(&mut input, &mut spool).map_err(unreadable(&what))?;
        let spooled = spool.finish().map_err(spool_error)?;
        if spooled.digest == expected {
            return Ok(spooled);
        }
        Err(damaged(&what, format!("its bytes have the digest {}", spooled.digest)))
    });
    Ok(Layer { source: spooled.await?.source, ..layer })
}
