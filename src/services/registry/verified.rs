//! Bytes that are checked against their digest while they pass by.

use std::io;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use sha2::{Digest as _, Sha256};

use super::ByteStream;
use crate::domain::digest::Digest;

/// Says that a blob does not hold the bytes its name promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("blob `{expected}` of {size} bytes is damaged: read {read} bytes with digest {actual}")]
pub struct BlobMismatch {
    /// The digest it should have.
    pub expected: Digest,
    /// The size it should have.
    pub size: u64,
    /// The digest of what was read.
    pub actual: Digest,
    /// How many bytes were read (at most one chunk more than `size`).
    pub read: u64,
}

struct Check<S> {
    content: S,
    hasher: Sha256,
    read: u64,
}

/// Passes bytes on, and ends with an error where they are not what `digest` and `size` promise.
pub fn verified<S>(content: S, digest: Digest, size: u64) -> ByteStream
where
    S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
{
    let check = Check { content, hasher: Sha256::new(), read: 0 };
    stream::try_unfold(Some(check), move |check| async move {
        let Some(mut check) = check else { return Ok(None) };
        let chunk = check.content.next().await.transpose()?;
        if let Some(chunk) = &chunk {
            check.hasher.update(chunk);
            check.read += chunk.len() as u64;
        }
        // The last chunk is held back until it is known to be right: a receiver that counts
        // bytes must not take a damaged blob for complete.
        if chunk.is_none() || check.read >= size {
            let end = if check.read == size { end_of(&mut check, chunk.is_none()).await? } else { false };
            let actual = Digest::from_sha256(check.hasher.clone().finalize().into());
            if !end || actual != digest {
                let mismatch = BlobMismatch { expected: digest, size, actual, read: check.read };
                return Err(io::Error::new(io::ErrorKind::InvalidData, mismatch));
            }
            return Ok(chunk.map(|chunk| (chunk, None)));
        }
        Ok(chunk.map(|chunk| (chunk, Some(check))))
    })
    .boxed()
}

/// Makes sure that nothing follows.
async fn end_of<S>(check: &mut Check<S>, ended: bool) -> io::Result<bool>
where
    S: Stream<Item = io::Result<Bytes>> + Unpin,
{
    if ended {
        return Ok(true);
    }
    while let Some(chunk) = check.content.next().await.transpose()? {
        if !chunk.is_empty() {
            check.hasher.update(&chunk);
            check.read += chunk.len() as u64;
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(chunks: &'static [&'static [u8]], whole: &[u8]) -> io::Result<Vec<u8>> {
        let content = stream::iter(chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk))));
        let mut stream = verified(content, Digest::of(whole), whole.len() as u64);
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await.transpose()? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn good_bytes_pass() {
        assert_eq!(read(&[b"ab", b"", b"c"], b"abc").await.unwrap(), b"abc");
        assert_eq!(read(&[b"abc", b""], b"abc").await.unwrap(), b"abc");
        assert_eq!(read(&[], b"").await.unwrap(), b"");
    }

    #[tokio::test]
    async fn damaged_short_and_long_blobs_end_in_an_error() {
        const DAMAGED: [&[&[u8]]; 5] = [&[b"abx"], &[b"ab"], &[b"abc", b"d"], &[b"abcd"], &[]];
        for chunks in DAMAGED {
            let error = read(chunks, b"abc").await.unwrap_err();
            let mismatch = error.get_ref().unwrap().downcast_ref::<BlobMismatch>().unwrap();
            assert_eq!(mismatch.expected, Digest::of(b"abc"), "{chunks:?}");
        }
    }
}
