//! Deterministic gzip: the same bytes in, the same bytes out, on every machine.
//!
//! A layer's digest is the digest of its compressed bytes, so time, name and operating system
//! stay out of the header, and level and implementation are fixed. [`LayerWriter`] takes a tar
//! archive as it comes; the layers of one image can be compressed on as many threads.

use std::io::{self, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression as Level, GzBuilder};
use sha2::{Digest as _, Sha256};

use super::BlobSource;
use super::spool::Spool;
use crate::domain::digest::{DiffId, Digest};
use crate::domain::manifest::{Descriptor, MediaType};

/// The level of every layer made here. Another level gives other digests, so that every layer
/// of every user is sent again: change it for a good reason only.
const LEVEL: u32 = 6;

/// The encoder is given blocks of this size, because its output depends on how its input is
/// cut, and a pipe cuts anywhere. It belongs to the digest as much as the level does.
const BLOCK: usize = 128 << 10;

/// "Unknown" in the gzip header: <https://www.rfc-editor.org/rfc/rfc1952#page-8>
const OS_UNKNOWN: u8 = 255;

/// A layer that was compressed here.
#[derive(Clone, Debug)]
pub struct GzipLayer {
    /// The digest of the tar archive.
    pub diff_id: DiffId,
    /// The digest of the compressed bytes.
    pub digest: Digest,
    /// How many compressed bytes there are.
    pub size: u64,
    /// Where they are.
    pub source: BlobSource,
}

impl GzipLayer {
    /// Describes it in an OCI manifest.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(MediaType::OciLayerGzip, self.digest, self.size)
    }
}

/// Compresses a layer while it is written to, into a temporary file.
pub struct LayerWriter {
    hasher: Sha256,
    block: Vec<u8>,
    encoder: GzEncoder<Spool>,
}

impl LayerWriter {
    /// Starts a layer.
    pub fn create() -> io::Result<Self> {
        let encoder =
            GzBuilder::new().mtime(0).operating_system(OS_UNKNOWN).write(Spool::create()?, Level::new(LEVEL));
        Ok(Self { hasher: Sha256::new(), block: Vec::with_capacity(BLOCK), encoder })
    }

    /// Ends the layer.
    pub fn finish(mut self) -> io::Result<GzipLayer> {
        self.compress_block()?;
        let spooled = self.encoder.finish()?.finish()?;
        Ok(GzipLayer {
            diff_id: DiffId(Digest::from_sha256(self.hasher.finalize().into())),
            digest: spooled.digest,
            size: spooled.size,
            source: spooled.source,
        })
    }

    fn compress_block(&mut self) -> io::Result<()> {
        self.hasher.update(&self.block);
        self.encoder.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }
}

impl std::fmt::Debug for LayerWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LayerWriter")
    }
}

impl Write for LayerWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        if self.block.len() == BLOCK {
            self.compress_block()?;
        }
        Ok(count)
    }

    /// Does nothing: where the compressed stream is cut must depend on its content only.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// Recognises the first bytes of a compressed stream; anything else is `None`.
    pub fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame may come first: <https://www.rfc-editor.org/rfc/rfc8878#section-3.1.2>
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// What a layer's media type says; `None` for media types that are no layer.
    pub fn of_layer(media_type: &MediaType) -> Option<Self> {
        match media_type {
            MediaType::OciLayer | MediaType::DockerLayer => Some(Self::None),
            MediaType::OciLayerGzip | MediaType::DockerLayerGzip => Some(Self::Gzip),
            MediaType::OciLayerZstd => Some(Self::Zstd),
            // Docker's own name for what BuildKit writes.
            MediaType::Other(name) if name == "application/vnd.docker.image.rootfs.diff.tar.zstd" => {
                Some(Self::Zstd)
            }
            _ => None,
        }
    }

    /// Undoes it.
    pub fn decoder<'a>(self, input: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(MultiGzDecoder::new(input)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::new(input)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    fn compress(bytes: &[u8], step: usize) -> GzipLayer {
        let mut writer = LayerWriter::create().unwrap();
        for chunk in bytes.chunks(step) {
            writer.write_all(chunk).unwrap();
        }
        writer.finish().unwrap()
    }

    async fn bytes(layer: &GzipLayer) -> Vec<u8> {
        let chunks: Vec<_> = layer.source.open().await.unwrap().try_collect().await.unwrap();
        chunks.concat()
    }

    #[tokio::test]
    async fn the_same_bytes_give_the_same_layer_however_they_come() {
        let input: Vec<u8> = (0..300_000_u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        let (small, large) = (compress(&input, 1000), compress(&input, input.len()));
        assert_eq!((small.digest, small.size), (large.digest, large.size));
        assert_eq!(small.diff_id, DiffId(Digest::of(&input)));
        let compressed = bytes(&small).await;
        assert_eq!(Digest::of(&compressed), small.digest);
        assert_eq!(compressed.len() as u64, small.size);
        let mut back = Vec::new();
        Compression::Gzip.decoder(compressed.as_slice()).unwrap().read_to_end(&mut back).unwrap();
        assert!(back == input);
    }

    #[tokio::test]
    async fn the_header_holds_no_time_name_or_system() {
        let compressed = bytes(&compress(b"hello", 5)).await;
        assert_eq!(compressed[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, OS_UNKNOWN]);
    }

    #[test]
    fn the_bytes_are_pinned() {
        // Fails when level or implementation change: then every layer would be sent again.
        let layer = compress(&b"lambdactl ".repeat(1000), 10_000);
        assert_eq!(
            layer.digest.to_string(),
            "sha256:43cc86b99f42385e33eeb5836f2ac94fc6c249317c57f4ba7c402365b7cff062"
        );
    }

    #[test]
    fn compressions_are_recognised() {
        let zstd = zstd::stream::encode_all(&b"hello"[..], 3).unwrap();
        assert_eq!(Compression::of(&zstd), Compression::Zstd);
        let mut back = String::new();
        Compression::Zstd.decoder(zstd.as_slice()).unwrap().read_to_string(&mut back).unwrap();
        assert_eq!(back, "hello");
        assert_eq!(Compression::of(b"bootstrap"), Compression::None);
        assert_eq!(Compression::of(b""), Compression::None);
    }
}
