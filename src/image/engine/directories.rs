//! Reads the missing layers of an image where its engine keeps them. Called by `engine`.
//!
//! Nothing is exported then: several layers are read at once, from their own files, and only those
//! that are missing. An engine compresses and exports one after the other, and all of them. What
//! was read has to have the digests that the engine says it has, else it comes another way.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc::UnboundedSender;

use super::Source;
use super::blobs::Untaken;
use crate::domain::compression::CompressionLevel;
use crate::domain::digest::DiffId;
use crate::image::growing::{self, GrowingLayer};
use crate::image::gzip::{GzipLayer, LayerWriter};
use crate::image::known::{KnownImages, KnownLayers};
use crate::image::seal;
use crate::image::spool::spool_error;
use crate::image::work::{Observed, Progress, blocking};
use crate::image::{Image, ImageError};
use crate::services::docker::LayerDirectories;

/// How many layers are read at a time. Each is compressed on every core.
const AT_ONCE: usize = 2;

/// Reads the image. Where that does not work, the layers that were made by then are known from now
/// on.
pub(super) async fn read(
    source: Source<'_>,
    directories: LayerDirectories,
    sizes: Option<&[u64]>,
    layers: &mut KnownLayers,
    known: &KnownImages,
) -> Result<Image, Untaken> {
    let Source { found, request, .. } = source;
    let mut missing = Vec::new();
    let mut seen = HashSet::new();
    for (index, diff_id) in found.diff_ids.iter().enumerate() {
        // An image may have a layer twice.
        if layers.get(diff_id).is_none() && seen.insert(diff_id) {
            let size = sizes.and_then(|sizes| sizes.get(index)).copied().unwrap_or_default();
            missing.push(Missing { diff_id: *diff_id, size });
        }
    }
    let directories = Arc::new(directories);
    let configuration = {
        let (directories, missing) = (directories.clone(), missing.clone());
        blocking(move |_stop| {
            let unreadable = |source| ImageError::Read { what: "what the engine keeps".to_owned(), source };
            // Whether they can be opened is known of all of them before one is compressed.
            for layer in missing {
                directories.layer(&layer.diff_id).map_err(unreadable)?;
            }
            directories.configuration().map_err(unreadable)
        })
        .await?
    };
    let total = missing.iter().map(|layer| layer.size).sum();
    let progress = Progress::new("compressing", Some(total).filter(|total| *total > 0), request.reporter);
    let making = Making { directories, progress, level: request.level, begun: known.begun() };
    let made = missing.into_iter().map(|layer| making.layer(layer));
    let mut made = stream::iter(made).buffer_unordered(AT_ONCE);
    while let Some(layer) = made.next().await {
        let layer = layer?;
        layers.announce(known.made().as_ref(), &layer);
        layers.insert(layer);
    }
    Ok(super::put_together(found, configuration, layers, request).await?)
}

/// A layer that is to be read.
#[derive(Clone, Copy)]
struct Missing {
    diff_id: DiffId,
    size: u64,
}

/// How layers are made.
struct Making {
    directories: Arc<LayerDirectories>,
    progress: Progress,
    level: CompressionLevel,
    begun: Option<UnboundedSender<GrowingLayer>>,
}

impl Making {
    async fn layer(&self, missing: Missing) -> Result<GzipLayer, ImageError> {
        let Missing { diff_id, size } = missing;
        let (directories, level, begun) = (self.directories.clone(), self.level, self.begun.clone());
        let mut progress = self.progress.clone();
        blocking(move |stop| {
            let unreadable =
                |source| ImageError::Read { what: format!("layer {}", diff_id.0.short()), source };
            let archive = directories.layer(&diff_id).map_err(unreadable)?;
            let mut layer = LayerWriter::create().map_err(spool_error)?.at(level);
            growing::announce(begun.as_ref(), diff_id, size, &mut layer);
            let mut archive = Observed { inner: archive, progress: &mut progress, stop: &stop };
            seal::copy(&mut archive, &mut layer, unreadable)?;
            let layer = layer.finish().map_err(spool_error)?;
            if layer.diff_id != diff_id {
                let source = io::Error::other(format!("it has diff ID {} by now", layer.diff_id));
                return Err(unreadable(source));
            }
            Ok(layer)
        })
        .await
    }
}
