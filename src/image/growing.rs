//! A layer while it is being compressed: what is there of it can be on its way already.
//!
//! The temporary file it is written into stays the one place of its bytes. Whoever reads them
//! follows its end, and waits where the compression is not further.

use std::fs::File;
use std::io;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::blob::{CHUNK, read_chunk};
use super::gzip::{GzipLayer, LayerWriter};
use crate::domain::digest::DiffId;
use crate::domain::manifest::Descriptor;
use crate::services::registry::{ByteStream, GrowingContent};

/// A layer that is being compressed.
#[derive(Clone, Debug)]
pub struct GrowingLayer {
    diff_id: DiffId,
    file: Arc<File>,
    state: watch::Receiver<State>,
}

/// How far it is.
#[derive(Debug, Default)]
struct State {
    /// How many compressed bytes are in the file.
    length: u64,
    /// What it has become.
    made: Option<GzipLayer>,
}

/// What a layer has at least, uncompressed, that is announced when it begins: of less there is
/// hardly a part to send before all of it is there.
const LARGE: u64 = 16 << 20;

/// A layer of `size` bytes, which is expected to have this diff ID, begins to be made: lets it be
/// sent meanwhile, where somebody wants to and that pays.
pub(super) fn announce(
    begun: Option<&UnboundedSender<GrowingLayer>>,
    diff_id: DiffId,
    size: u64,
    layer: &mut LayerWriter,
) {
    if let Some(begun) = begun.filter(|begun| size >= LARGE && !begun.is_closed()) {
        // Nobody may wait for it any more.
        let _ = begun.send(layer.growing(diff_id));
    }
}

/// Tells how far a layer is. Dropped before the layer has ended, it never will.
#[derive(Debug)]
pub(super) struct Growth(watch::Sender<State>);

impl Growth {
    pub(super) fn begin(file: Arc<File>, diff_id: DiffId) -> (Self, GrowingLayer) {
        let (sender, state) = watch::channel(State::default());
        (Self(sender), GrowingLayer { diff_id, file, state })
    }

    /// So many bytes are in the file.
    pub(super) fn reaches(&self, length: u64) {
        self.0.send_modify(|state| state.length = length);
    }

    /// All bytes are in the file.
    pub(super) fn end(self, layer: &GzipLayer) {
        self.0.send_modify(|state| *state = State { length: layer.size, made: Some(layer.clone()) });
    }
}

impl GrowingLayer {
    /// What it is expected to have in it: before it is complete, nobody knows for sure.
    pub fn diff_id(&self) -> DiffId {
        self.diff_id
    }

    /// What it has become, if it is complete.
    pub fn made(&self) -> Option<GzipLayer> {
        self.state.borrow().made.clone()
    }

    /// Waits until it is complete; `None` where it never will be.
    pub async fn completed(&self) -> Option<GzipLayer> {
        let mut state = self.state.clone();
        let state = state.wait_for(|state| state.made.is_some()).await.ok()?;
        state.made.clone()
    }
}

impl GrowingContent for GrowingLayer {
    fn open(&self) -> ByteStream {
        let Self { diff_id, file, state } = self.clone();
        let next = move |(mut state, position): (watch::Receiver<State>, u64)| {
            let file = file.clone();
            async move {
                let is_further = |state: &State| state.length > position || state.made.is_some();
                let reached = state.wait_for(is_further).await;
                let reached = reached.map(|state| (state.length, state.made.as_ref().map(|it| it.diff_id)));
                let Ok((length, made)) = reached else {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the layer was not completed"));
                };
                if position >= length {
                    if made.is_some_and(|made| made != diff_id) {
                        let problem = "the layer has something else in it than was expected";
                        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
                    }
                    return Ok(None);
                }
                let length = usize::try_from(length - position).unwrap_or(CHUNK).min(CHUNK);
                let reading = tokio::task::spawn_blocking(move || read_chunk(&file, position, length));
                let chunk = reading.await.map_err(io::Error::other)??;
                let next = position + chunk.len() as u64;
                Ok(Some((chunk, (state, next))))
            }
        };
        stream::try_unfold((state, 0), next).boxed()
    }

    fn descriptor(&self) -> Option<Descriptor> {
        self.made().filter(|made| made.diff_id == self.diff_id).map(|made| made.descriptor())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use bytes::Bytes;

    use super::*;
    use crate::domain::digest::Digest;
    use crate::image::deflate::{BLOCK, blocks_under_way};
    use crate::image::gzip::LayerWriter;

    /// Bytes that do not compress: what goes in comes out soon.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 88_172_645_463_325_252_u64;
        let words = (0..length / 8).flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        words.collect()
    }

    async fn rest(stream: ByteStream) -> io::Result<Vec<u8>> {
        let chunks: Vec<io::Result<Bytes>> = stream.collect().await;
        Ok(chunks.into_iter().collect::<io::Result<Vec<_>>>()?.concat())
    }

    #[tokio::test]
    async fn the_bytes_come_while_they_are_written_and_are_those_of_the_layer() {
        let input = noise(2 * (blocks_under_way() + 2) * BLOCK);
        let mut writer = LayerWriter::create().unwrap();
        let layer = writer.growing(DiffId(Digest::of(&input)));
        let (half, other) = input.split_at(input.len() / 2);
        writer.write_all(half).unwrap();
        let mut stream = layer.open();
        let mut first = Vec::new();
        // Long before the other half exists.
        while first.len() < 1 << 20 {
            let chunk = stream.next().await.unwrap().unwrap();
            assert!(chunk.len() <= CHUNK);
            first.extend_from_slice(&chunk);
        }
        assert!(layer.made().is_none() && layer.descriptor().is_none());
        let (other, following) = (other.to_vec(), tokio::spawn(rest(stream)));
        let writing = tokio::task::spawn_blocking(move || {
            writer.write_all(&other).unwrap();
            writer.finish().unwrap()
        });
        let made = writing.await.unwrap();
        first.extend(following.await.unwrap().unwrap());
        assert_eq!((Digest::of(&first), first.len() as u64), (made.digest, made.size));
        assert_eq!(layer.descriptor().unwrap(), made.descriptor());
        assert_eq!(layer.completed().await.unwrap().digest, made.digest);
        // Who comes late reads all of it.
        assert_eq!(rest(layer.open()).await.unwrap(), first);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_layer_that_was_given_up() {
        let mut writer = LayerWriter::create().unwrap();
        let layer = writer.growing(DiffId(Digest::of(b"")));
        writer.write_all(&noise((blocks_under_way() + 2) * BLOCK)).unwrap();
        let following = tokio::spawn(rest(layer.open()));
        tokio::task::yield_now().await;
        drop(writer);
        assert_eq!(following.await.unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(layer.completed().await.is_none());
    }

    #[tokio::test]
    async fn a_layer_that_turns_out_to_be_another_does_not_end_well() {
        let mut writer = LayerWriter::create().unwrap();
        let layer = writer.growing(DiffId(Digest::of(b"what was expected")));
        writer.write_all(b"something else").unwrap();
        writer.finish().unwrap();
        assert_eq!(rest(layer.open()).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(layer.made().is_some() && layer.descriptor().is_none());
    }
}
