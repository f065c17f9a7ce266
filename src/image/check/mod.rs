//! Holds an image against Lambda's rules: pure, over its manifest, its configuration, the
//! function's settings, and what is in its layers. `pipeline::check` calls it.
//!
//! A layer is looked at once, while it streams by ([`Scan`]), and becomes [`LayerFiles`]: every
//! entry of its archive, without the bytes. The layers are laid over each other (`tree`), and the
//! rules ask what is there. A layer that is not at hand is a hole: what may be in it is never
//! taken for missing, so that no rule is broken by not knowing.

mod content;
mod context;
mod files;
mod header;
mod rules;
mod scan;
mod stored;
mod text;
mod tree;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use tokio_util::io::{StreamReader, SyncIoBridge};

use super::gzip::Compression;
use super::seal::damaged;
use super::work::{Observed, Progress, blocking};
use super::{Image, ImageError, Layer};
use crate::domain::digest::DiffId;
use crate::domain::finding::Finding;
use crate::domain::function::ImageOverrides;
use crate::event::SharedReporter;

use context::Context;
pub use files::LayerFiles;
pub use scan::Scan;
use tree::Tree;

/// How much of a layer is unpacked at a time.
const CHUNK: usize = 128 << 10;

/// Changes whenever a rule finds something else, so that earlier results are not taken for new.
pub const RULES_VERSION: u32 = 1;

/// The variables whose values decide what a rule says. Values of others need not be known.
pub const VARIABLES: [&str; 13] = [
    "PATH",
    "TMPDIR",
    "TMP",
    "TEMP",
    "MPLCONFIGDIR",
    "NUMBA_CACHE_DIR",
    "NPM_CONFIG_CACHE",
    "npm_config_cache",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
    "AWS_LAMBDA_EXEC_WRAPPER",
    "PYTHONPATH",
    "NODE_PATH",
];

/// What the function will be like, as far as its image has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What is started instead of what the image says.
    pub overrides: ImageOverrides,
    /// Megabytes of `/tmp`, where that is known.
    pub ephemeral_storage: Option<u32>,
    /// The function's own values of [`VARIABLES`].
    pub environment: BTreeMap<String, String>,
    /// Whether versions start from a snapshot, or are to.
    pub snap_start: bool,
    /// Whether the function has had this much of `/tmp` before.
    pub has_this_storage: bool,
    /// ARNs of the file systems it mounts.
    pub file_systems: Vec<String>,
    /// Whether these are the function's settings, or it may have others that nobody named here.
    pub is_settled: bool,
}

/// The layers of an image, or the lowest of them, laid over each other.
#[derive(Debug, Default)]
pub struct Laid {
    layers: Vec<Option<Arc<LayerFiles>>>,
    tree: Tree,
}

impl Laid {
    /// Adds the next higher layer; `None` stands for one that was not read. With many files it
    /// takes a while.
    pub fn add(&mut self, layer: Option<Arc<LayerFiles>>) {
        self.tree.add(layer.as_deref());
        self.layers.push(layer);
    }

    /// What there is, the lowest first.
    pub fn layers(&self) -> &[Option<Arc<LayerFiles>>] {
        &self.layers
    }
}

impl FromIterator<Option<Arc<LayerFiles>>> for Laid {
    fn from_iter<T: IntoIterator<Item = Option<Arc<LayerFiles>>>>(layers: T) -> Self {
        let mut laid = Self::default();
        layers.into_iter().for_each(|layer| laid.add(layer));
        laid
    }
}

/// Holds an image, all of whose layers are laid, against the rules.
pub fn check(image: &Image, wanted: &Wanted, laid: &Laid) -> Vec<Finding> {
    rules::all(&Context::new(image, wanted, laid))
}

/// Reads a layer, and finds out what is in it.
///
/// # Errors
/// Where it cannot be read, is no tar archive, or is not what the configuration says.
pub async fn read_layer(
    layer: &Layer,
    diff_id: DiffId,
    reporter: &SharedReporter,
) -> Result<LayerFiles, ImageError> {
    let what = format!("layer {}", diff_id.0.short());
    let unreadable = |what: String| move |source| ImageError::Read { what: what.clone(), source };
    let stream = layer.source.open().await.map_err(unreadable(what.clone()))?;
    let input = SyncIoBridge::new(StreamReader::new(stream));
    let compression = Compression::of_layer(&layer.descriptor.media_type).unwrap_or(Compression::Gzip);
    let reporter = reporter.clone();
    blocking(move |stop| {
        let unreadable = unreadable(what.clone());
        let mut progress = Progress::new("checking", None, &reporter);
        let mut input = input;
        let decoder = compression.decoder(&mut input).map_err(&unreadable)?;
        let mut decoder = Observed { inner: decoder, progress: &mut progress, stop: &stop };
        let mut scan = Scan::new();
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = decoder.read(&mut buffer).map_err(&unreadable)?;
            if count == 0 {
                break;
            }
            scan.write_all(&buffer[..count]).map_err(|error| damaged(&what, error.to_string()))?;
        }
        drop(decoder);
        // The digest of the source is checked at its end, which a decoder need not reach.
        std::io::copy(&mut input, &mut std::io::sink()).map_err(&unreadable)?;
        let files = scan.finish().map_err(|error| damaged(&what, error.to_string()))?;
        if files.diff_id() == diff_id {
            return Ok(files);
        }
        let problem = format!("it has diff ID {}, but its configuration says {diff_id}", files.diff_id());
        Err(damaged(&what, problem))
    })
    .await
}
