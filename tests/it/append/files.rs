//! The merged root file system of an image, and its configuration, in a form that can be compared.

use std::collections::BTreeMap;
use std::io::Read as _;

use futures_util::TryStreamExt as _;
use lambdactl::domain::digest::Digest;
use lambdactl::image::Image;
use serde_json::Value;

/// What is at each path: kind, mode, owner, and content.
pub async fn files(image: &Image) -> BTreeMap<String, String> {
    let mut merged = BTreeMap::new();
    for layer in &image.layers {
        let chunks: Vec<_> = layer.source.open().await.unwrap().try_collect().await.unwrap();
        let bytes = chunks.concat();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let mut entries = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let path = path.trim_start_matches("./").trim_end_matches('/').to_owned();
            let header = entry.header().clone();
            let what = match header.entry_type() {
                tar::EntryType::Directory => "directory".to_owned(),
                tar::EntryType::Symlink => {
                    format!("link to {}", entry.link_name().unwrap().unwrap().display())
                }
                tar::EntryType::Link => {
                    let target = entry.link_name().unwrap().unwrap().to_string_lossy().into_owned();
                    format!("hard link to {target}")
                }
                _ => {
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content).unwrap();
                    format!("file {}", Digest::of(&content).short())
                }
            };
            let mode = header.mode().unwrap() & 0o7777;
            entries
                .push((path, format!("{what} {mode:o} {}:{}", header.uid().unwrap(), header.gid().unwrap())));
        }
        for (path, _) in &entries {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            if name == ".wh..wh..opq" {
                merged.retain(|there: &String, _| !there.starts_with(&format!("{parent}/")));
            } else if let Some(name) = name.strip_prefix(".wh.") {
                let gone = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
                merged.retain(|there: &String, _| there != &gone && !there.starts_with(&format!("{gone}/")));
            }
        }
        let kept = entries
            .into_iter()
            .filter(|(path, _)| !path.is_empty() && !path.rsplit('/').next().unwrap().starts_with(".wh."));
        merged.extend(kept);
    }
    merged
}

/// The configuration as far as it matters to whoever runs the image; what is empty counts as
/// absent.
pub fn configuration(image: &Image) -> Value {
    let document = &image.config.document;
    let mut config = document["config"].clone();
    if let Some(members) = config.as_object_mut() {
        members.retain(|_, value| match value {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::Object(object) => !object.is_empty(),
            Value::Number(_) => true,
        });
        // The classic builder notes the image it continued from.
        members.remove("Image");
        members.sort_keys();
    }
    serde_json::json!({
        "architecture": document["architecture"],
        "os": document["os"],
        "author": document["author"],
        "config": config,
    })
}

/// Checks that the history has an entry for each layer, in order.
pub fn history_is_in_step(image: &Image) -> bool {
    let history = image.config.document["history"].as_array().cloned().unwrap_or_default();
    let layers = history.iter().filter(|entry| entry["empty_layer"] != true).count();
    layers == image.layers.len() && image.config.diff_ids().unwrap().len() == layers
}
