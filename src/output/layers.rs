//! Which way each layer takes, as people and programs read it.

use serde_json::{Value, json};

use crate::domain::size::{ByteSize, count};
use crate::domain::transfer::{KnownBy, PlannedLayer, Way};

/// A line for each layer, and one for all of them.
pub(super) fn lines(layers: &[PlannedLayer]) -> Vec<String> {
    let mut lines: Vec<String> = layers.iter().map(line).collect();
    lines.push(summary(layers));
    lines
}

fn line(layer: &PlannedLayer) -> String {
    let name = layer.digest.or(layer.diff_id.map(|diff_id| diff_id.0)).map(|digest| digest.short());
    let name = name.unwrap_or_else(|| "(not known yet)".to_owned());
    let way = match &layer.way {
        Way::There(KnownBy::LiveImage) => "already there, in the image that is live".to_owned(),
        Way::There(KnownBy::RecentPush) => "already there, in an image that was pushed lately".to_owned(),
        Way::There(KnownBy::BaseImage) => "already there, in the base image".to_owned(),
        Way::There(KnownBy::SameImage | KnownBy::Registry) => "already there".to_owned(),
        Way::Mount(from) => format!("taken over from `{from}`, or else sent"),
        Way::Send => "sent as it is".to_owned(),
        Way::Copy(from) => format!("copied from `{from}`"),
        Way::Compress if layer.size.is_none() => "to be compressed".to_owned(),
        Way::Compress => "compressed here".to_owned(),
        Way::Make => "made here".to_owned(),
    };
    let size = match (layer.size, layer.uncompressed) {
        (Some(size), Some(from)) if !layer.is_there() => {
            format!(", {} of {}", ByteSize(size), ByteSize(from))
        }
        (Some(size), _) => format!(", {}", ByteSize(size)),
        (None, Some(from)) => format!(", {} uncompressed", ByteSize(from)),
        (None, None) => String::new(),
    };
    format!("layer {name}: {way}{size}")
}

fn summary(layers: &[PlannedLayer]) -> String {
    let (there, moved): (Vec<_>, Vec<_>) = layers.iter().partition(|layer| layer.is_there());
    let part = |layers: &[&PlannedLayer]| {
        let sizes: Option<u64> = layers.iter().map(|layer| layer.size).sum();
        let sizes = sizes.filter(|_| !layers.is_empty());
        let size = sizes.map(|bytes| format!(", {}", ByteSize(bytes))).unwrap_or_default();
        format!("{}{size}", count(layers.len(), "layer"))
    };
    match (moved.as_slice(), there.as_slice()) {
        ([], there) => format!("nothing to send; already there: {}", part(there)),
        (moved, []) => format!("to send: {}", part(moved)),
        (moved, there) => format!("to send: {}; already there: {}", part(moved), part(there)),
    }
}

/// The layers as JSON has them.
pub(super) fn to_json(layers: &[PlannedLayer]) -> Value {
    layers.iter().map(one_to_json).collect()
}

fn one_to_json(layer: &PlannedLayer) -> Value {
    let (way, known_by, from) = match &layer.way {
        Way::There(by) => ("there", Some(by.as_str()), None),
        Way::Mount(from) => ("mount", None, Some(from.to_string())),
        Way::Send => ("send", None, None),
        Way::Copy(from) => ("copy", None, Some(from.to_string())),
        Way::Compress => ("compress", None, None),
        Way::Make => ("make", None, None),
    };
    let mut object = json!({
        "digest": layer.digest, "diff_id": layer.diff_id, "size": layer.size,
        "uncompressed_size": layer.uncompressed, "way": way,
    });
    if let Some(by) = known_by {
        object["known_by"] = by.into();
    }
    if let Some(from) = from {
        object["from"] = from.into();
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::{DiffId, Digest};

    fn layer(way: Way, size: Option<u64>, uncompressed: Option<u64>) -> PlannedLayer {
        let diff_id = Some(DiffId(Digest::of(b"content")));
        PlannedLayer { digest: size.map(|_| Digest::of(b"layer")), diff_id, size, uncompressed, way }
    }

    #[test]
    fn each_layer_has_its_way_and_the_sum_says_what_is_sent() {
        let there = layer(Way::There(KnownBy::LiveImage), Some(240_000_000), Some(500_000_000));
        let mount = layer(Way::Mount("team/base".parse().unwrap()), Some(1_000_000), None);
        let made = layer(Way::Make, Some(2_000_000), Some(9_000_000));
        let exported = layer(Way::Compress, None, Some(31_000_000));
        let shown = lines(&[there.clone(), mount, made]);
        let name = Digest::of(b"layer").short();
        assert_eq!(
            shown,
            [
                format!("layer {name}: already there, in the image that is live, 240.0 MB"),
                format!("layer {name}: taken over from `team/base`, or else sent, 1.0 MB"),
                format!("layer {name}: made here, 2.0 MB of 9.0 MB"),
                "to send: 2 layers, 3.0 MB; already there: 1 layer, 240.0 MB".to_owned(),
            ]
        );
        let shown = lines(std::slice::from_ref(&exported));
        let name = Digest::of(b"content").short();
        assert_eq!(shown[0], format!("layer {name}: to be compressed, 31.0 MB uncompressed"));
        assert_eq!(shown[1], "to send: 1 layer");
        assert_eq!(lines(&[there])[1], "nothing to send; already there: 1 layer, 240.0 MB");
    }

    #[test]
    fn programs_read_how_a_layer_is_known_and_where_it_comes_from() {
        let layers = to_json(&[
            layer(Way::There(KnownBy::RecentPush), Some(1), None),
            layer(Way::Mount("team/base".parse().unwrap()), Some(1), None),
            layer(Way::Compress, None, Some(7)),
        ]);
        assert_eq!((&layers[0]["way"], &layers[0]["known_by"]), (&json!("there"), &json!("recent-push")));
        assert_eq!((&layers[1]["way"], &layers[1]["from"]), (&json!("mount"), &json!("team/base")));
        assert_eq!((&layers[2]["digest"], &layers[2]["uncompressed_size"]), (&Value::Null, &json!(7)));
        assert!(layers[2].get("known_by").is_none() && layers[2].get("from").is_none());
    }
}
