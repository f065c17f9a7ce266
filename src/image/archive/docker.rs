//! Archives with `manifest.json` only, as `docker save` wrote them before Docker 25 and as
//! skopeo and Podman still do: a configuration and tar archives of layers, no manifest.
//! <https://github.com/moby/docker-image-spec/blob/main/v1.2.md#combined-image-json--filesystem-changeset-format>

use bytes::Bytes;
use serde::Deserialize;

use super::entries::{Entries, Entry};
use crate::domain::digest::Digest;
use crate::domain::platform::Architecture;
use crate::image::gzip::Compression;
use crate::image::resolve::{Request, parse};
use crate::image::seal::{self, Stored, damaged};
use crate::image::{BlobSource, Image, ImageError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Opens the only image, or the one for the right machine.
pub(super) async fn image(
    entries: &Entries,
    manifest: &[u8],
    request: Request<'_>,
) -> Result<Image, ImageError> {
    let items: Vec<Item> = parse(request.name, "manifest.json", manifest)?;
    let (config_bytes, item) = choose(entries, &items, request)?;
    let config = seal::config(request.name, &config_bytes, request.architecture)?;
    let stored = item.layers.iter().map(|path| layer(entries, path)).collect::<Result<_, _>>()?;
    seal::rebuild(request.name, config_bytes, config, stored, request.level, request.reporter).await
}

fn choose<'a>(
    entries: &Entries,
    items: &'a [Item],
    request: Request<'_>,
) -> Result<(Bytes, &'a Item), ImageError> {
    let mut candidates: Vec<(Bytes, &Item)> = Vec::new();
    for item in items {
        let config = document(entries, &item.config)?;
        if !candidates.iter().any(|(known, _)| *known == config) {
            candidates.push((config, item));
        }
    }
    let all: Vec<String> = items.iter().flat_map(names).collect();
    if candidates.len() > 1 {
        let wanted = request.architecture.or_else(Architecture::of_this_machine);
        candidates.retain(|(config, _)| seal::config(request.name, config, wanted).is_ok());
    }
    match candidates.len() {
        1 => Ok(candidates.remove(0)),
        0 if all.is_empty() => Err(damaged(request.name, "its manifest.json names no image")),
        _ => Err(ImageError::Ambiguous { image: request.name.to_owned(), available: all }),
    }
}

fn names(item: &Item) -> Vec<String> {
    match item.repo_tags.as_deref() {
        None | Some([]) => vec![format!("`{}`", item.config)],
        Some(tags) => tags.iter().map(|tag| format!("`{tag}`")).collect(),
    }
}

fn document(entries: &Entries, path: &str) -> Result<Bytes, ImageError> {
    let Some(Entry::Small(bytes)) = entries.get(path) else {
        return Err(damaged(&entries.name, format!("`{path}` is missing or not a document")));
    };
    check_name(entries, path, Digest::of(bytes))?;
    Ok(bytes.clone())
}

fn layer(entries: &Entries, path: &str) -> Result<Stored, ImageError> {
    let missing = || damaged(&entries.name, format!("layer `{path}` is missing"));
    Ok(match entries.get(path).ok_or_else(missing)? {
        Entry::Tar(layer) => Stored::Compressed(layer.clone()),
        Entry::Large(spooled, compression) => {
            check_name(entries, path, spooled.digest)?;
            Stored::Blob {
                compression: *compression,
                digest: spooled.digest,
                size: spooled.size,
                source: spooled.source.clone(),
            }
        }
        Entry::Small(bytes) => Stored::Blob {
            compression: Compression::None,
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            source: BlobSource::Memory(bytes.clone()),
        },
    })
}

/// Where a file is named after its digest, it has to be right. Layers that were not compressed
/// are checked against the configuration anyway.
fn check_name(entries: &Entries, path: &str, actual: Digest) -> Result<(), ImageError> {
    let file = path.rsplit('/').next().unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default();
    match Digest::from_hex(stem) {
        Ok(named) if named != actual => Err(damaged(&entries.name, format!("`{path}` has digest {actual}"))),
        _ => Ok(()),
    }
}
