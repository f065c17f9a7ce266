//! An image of the local registry as the archive `docker load` takes: the blobs as they are.

use std::io::{self, Write};

use bytes::Bytes;
use futures_util::Stream;
use serde_json::json;
use tokio_util::io::{ReaderStream, SyncIoBridge};

use crate::domain::digest::Digest;
use crate::local::runner::LocalImage;

/// What waits between the reader of blobs and the engine.
const BUFFER: usize = 256 * 1024;

/// How the names of all our images in an engine begin.
const OURS: &str = "localhost/lambdactl/";

/// Its name in an engine. Podman would complete a shorter one.
pub(super) fn name(repository: &str, digest: &Digest) -> String {
    format!("{OURS}{repository}:{}", &digest.hex()[..32])
}

/// Tells whether an image with these names is in an engine for others than us, who may remove it
/// at any time.
pub(super) fn is_of_others(names: &[String]) -> bool {
    names.is_empty() || names.iter().any(|name| !name.starts_with(OURS))
}

/// The archive, read while it is sent.
pub(super) fn stream(image: &LocalImage) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (reader, writer) = tokio::io::duplex(BUFFER);
    let image = image.clone();
    let mut writer = SyncIoBridge::new(writer);
    let written = tokio::task::spawn_blocking(move || write(&image, &mut writer));
    // A broken archive must not look like one that has ended.
    let last = futures_util::stream::once(written);
    let last = futures_util::StreamExt::filter_map(last, |result| {
        std::future::ready(match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error)),
            Err(error) => Some(Err(io::Error::other(error))),
        })
    });
    futures_util::StreamExt::chain(ReaderStream::new(reader), last)
}

fn write(image: &LocalImage, archive: &mut impl Write) -> io::Result<()> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, "the image is not in the registry any more");
    let manifest = image.manifest().map_err(io::Error::other)?.ok_or_else(missing)??;
    let config = image.read(&manifest.config.digest).map_err(io::Error::other)?.ok_or_else(missing)?;
    let config_name = format!("{}.json", manifest.config.digest.hex());
    let mut tar = tar::Builder::new(archive);
    append(&mut tar, &config_name, config.len() as u64, config.as_slice())?;
    let mut names: Vec<String> = Vec::new();
    for layer in &manifest.layers {
        let name = format!("{}/layer.tar", layer.digest.hex());
        if !names.contains(&name) {
            let (size, file) = image.open(&layer.digest)?;
            append(&mut tar, &name, size, file)?;
        }
        names.push(name);
    }
    let index = json!([{"Config": config_name, "RepoTags": [name(&image.repository, &image.digest)], "Layers": names}]).to_string();
    append(&mut tar, "manifest.json", index.len() as u64, index.as_bytes())?;
    tar.into_inner()?.flush()
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    size: u64,
    content: impl io::Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content)
}
