//! Seals an image: one platform, gzip layers, one family of media types.
//!
//! A manifest that is good as it is stays as it is, byte for byte, so that its digest is the one
//! other tools show. Otherwise its layers are converted and an OCI manifest is written for them.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::io::{self, Read};
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::gzip::{Compression, GzipLayer, LayerWriter};
use super::layer::DiffIdWriter;
use super::spool::spool_error;
use super::work::{Observed, Progress, blocking};
use super::{BlobSource, Image, ImageError, Layer};
use crate::domain::compression::CompressionLevel;
use crate::domain::digest::{DiffId, Digest};
use crate::domain::manifest::{Descriptor, ImageConfig, Manifest, MediaType};
use crate::domain::platform::Architecture;
use crate::event::SharedReporter;

/// How many layers are converted at a time: each keeps every core busy as soon as it is large,
/// and holds blocks in memory.
const CONVERSIONS: usize = 2;

/// A layer as its source holds it.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    /// Was not compressed in the source, and was compressed while it was read.
    Compressed(GzipLayer),
    /// Bytes as they are.
    Blob { compression: Compression, digest: Digest, size: u64, source: BlobSource },
}

/// The configuration of an image, checked to be for the right machine.
pub(super) fn config(
    name: &str,
    bytes: &[u8],
    architecture: Option<Architecture>,
) -> Result<ImageConfig, ImageError> {
    let config = ImageConfig::parse(bytes).map_err(|error| damaged(name, error.to_string()))?;
    let platform = config.platform();
    let fits = match architecture {
        Some(architecture) => platform.runs_on(architecture),
        None => platform.os == "linux" && Architecture::from_oci(&platform.architecture).is_some(),
    };
    if fits {
        return Ok(config);
    }
    let found = if platform.os.is_empty() { "an unknown machine".to_owned() } else { platform.to_string() };
    Err(ImageError::Platform { image: name.to_owned(), wanted: architecture, found: vec![found] })
}

/// Tells whether a manifest can be pushed as it is.
pub(super) fn is_good(media_type: &MediaType, manifest: &Manifest) -> bool {
    let same_family = matches!(
        (media_type, &manifest.config.media_type),
        (MediaType::OciManifest, MediaType::OciConfig) | (MediaType::DockerManifest, MediaType::DockerConfig)
    );
    let says_the_same = manifest.media_type.as_ref().is_none_or(|own| own == media_type);
    same_family && says_the_same && manifest.is_accepted_by_lambda()
}

/// Writes an OCI manifest for a configuration and its layers, converting what is not gzip.
pub(super) async fn rebuild(
    name: &str,
    config_bytes: Bytes,
    config: ImageConfig,
    stored: Vec<Stored>,
    level: CompressionLevel,
    reporter: &SharedReporter,
) -> Result<Image, ImageError> {
    let diff_ids = diff_ids(name, &config, stored.len())?;
    let conversions: Vec<_> = stored
        .into_iter()
        .zip(diff_ids)
        .map(|(stored, diff_id)| gzip(name.to_owned(), stored, diff_id, level, reporter.clone()))
        .collect();
    let layers: Vec<Layer> = stream::iter(conversions).buffered(CONVERSIONS).try_collect().await?;
    Ok(oci_image(config_bytes, config, layers))
}

/// Puts an image together from a configuration and gzip layers.
pub(super) fn oci_image(config_bytes: Bytes, config: ImageConfig, layers: Vec<Layer>) -> Image {
    let descriptors = layers.iter().map(|layer| layer.descriptor.clone()).collect();
    let config_size = config_bytes.len() as u64;
    let about = Descriptor::new(MediaType::OciConfig, Digest::of(&config_bytes), config_size);
    let manifest = Manifest::oci(about, descriptors);
    // Serializing plain structures of texts and numbers cannot fail.
    let manifest_bytes = serde_json::to_vec(&manifest).unwrap_or_default().into();
    let media_type = MediaType::OciManifest;
    Image { manifest_bytes, manifest, media_type, config_bytes, config, layers, remarks: Vec::new() }
}

/// The diff IDs of a configuration that has to describe `count` layers.
pub(super) fn diff_ids(name: &str, config: &ImageConfig, count: usize) -> Result<Vec<DiffId>, ImageError> {
    let diff_ids = config.diff_ids().map_err(|error| damaged(name, error.to_string()))?;
    if diff_ids.len() != count {
        let problem = format!("its configuration describes {} layers, but it has {count}", diff_ids.len());
        return Err(damaged(name, problem));
    }
    Ok(diff_ids)
}

async fn gzip(
    name: String,
    stored: Stored,
    diff_id: DiffId,
    level: CompressionLevel,
    reporter: SharedReporter,
) -> Result<Layer, ImageError> {
    let layer = match stored {
        Stored::Blob { compression: Compression::Gzip, digest, size, source } => {
            let descriptor = Descriptor::new(MediaType::OciLayerGzip, digest, size);
            return Ok(Layer { descriptor, source });
        }
        Stored::Blob { compression, digest, source, .. } => {
            convert(&format!("{name} layer {}", digest.short()), compression, &source, level, &reporter)
                .await?
        }
        Stored::Compressed(layer) => layer,
    };
    if layer.diff_id != diff_id {
        let problem = format!("a layer has diff ID {}, but its configuration says {diff_id}", layer.diff_id);
        return Err(damaged(&name, problem));
    }
    Ok(Layer { descriptor: layer.descriptor(), source: layer.source })
}

/// Reads a layer and compresses it with gzip, at `level`.
pub(super) async fn convert(
    what: &str,
    compression: Compression,
    source: &BlobSource,
    level: CompressionLevel,
    reporter: &SharedReporter,
) -> Result<GzipLayer, ImageError> {
    let read_error = |what: String| move |source| ImageError::Read { what: what.clone(), source };
    let unreadable = read_error(what.to_owned());
    let input = SyncIoBridge::new(StreamReader::new(source.open().await.map_err(unreadable)?));
    let (unreadable, reporter) = (read_error(what.to_owned()), reporter.clone());
    blocking(move |stop| {
        let mut progress = Progress::new("compressing", None, &reporter);
        let mut input = input;
        let mut layer = LayerWriter::create().map_err(spool_error)?.at(level);
        let decoder = compression.decoder(&mut input).map_err(&unreadable)?;
        let mut decoder = Observed { inner: decoder, progress: &mut progress, stop: &stop };
        copy(&mut decoder, &mut layer, &unreadable)?;
        drop(decoder);
        // The digest of the source is checked at its end, which a decoder need not reach.
        io::copy(&mut input, &mut io::sink()).map_err(&unreadable)?;
        layer.finish().map_err(spool_error)
    })
    .await
}

/// Reads a layer for the digest of what is in it.
pub(super) async fn diff_id(
    what: &str,
    compression: Compression,
    source: &BlobSource,
) -> Result<DiffId, ImageError> {
    let what = what.to_owned();
    let unreadable = move |source| ImageError::Read { what: what.clone(), source };
    let input = SyncIoBridge::new(StreamReader::new(source.open().await.map_err(&unreadable)?));
    blocking(move |_| {
        let mut content = DiffIdWriter::new();
        copy(&mut compression.decoder(input).map_err(&unreadable)?, &mut content, &unreadable)?;
        Ok(content.finish())
    })
    .await
}

/// Copies bytes, and tells a source that cannot be read from a disk that cannot be written.
pub(super) fn copy(
    from: &mut impl Read,
    to: &mut impl io::Write,
    unreadable: impl Fn(io::Error) -> ImageError,
) -> Result<(), ImageError> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count]).map_err(spool_error)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
}

/// The error of a source that contradicts itself.
pub(super) fn damaged(image: &str, problem: impl Into<String>) -> ImageError {
    ImageError::Damaged { image: image.to_owned(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_whose_families_are_mixed_is_not_good() {
        let digest = Digest::of(b"");
        let manifest = |config: MediaType, layer: MediaType, own: Option<MediaType>| Manifest {
            media_type: own,
            ..Manifest::oci(Descriptor::new(config, digest, 0), vec![Descriptor::new(layer, digest, 0)])
        };
        use MediaType::{
            DockerConfig, DockerLayerGzip, DockerManifest, OciConfig, OciLayerGzip, OciManifest,
        };
        let oci = manifest(OciConfig, OciLayerGzip, None);
        assert!(is_good(&OciManifest, &oci));
        assert!(!is_good(&DockerManifest, &oci));
        assert!(is_good(&DockerManifest, &manifest(DockerConfig, DockerLayerGzip, Some(DockerManifest))));
        assert!(!is_good(&OciManifest, &manifest(OciConfig, OciLayerGzip, Some(DockerManifest))));
        assert!(!is_good(&OciManifest, &manifest(OciConfig, DockerLayerGzip, None)));
    }
}
