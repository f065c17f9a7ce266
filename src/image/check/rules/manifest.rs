//! The manifest: what had to be made of it before Lambda takes it, and how many layers it names.

use super::Context;
use crate::domain::finding::{Finding, Place, Rule};
use crate::domain::size::count;
use crate::image::Remark;

/// How many layers engines with overlayfs take.
/// <https://github.com/moby/moby/blob/v28.0.0/layer/layer_store.go#L23>
const MOST_LAYERS: usize = 127;

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    findings.extend(context.image.remarks.iter().map(remark));
    let layers = context.image.layers.len();
    if layers > MOST_LAYERS {
        let message = format!("the image has {layers} layers, {MOST_LAYERS} are the most");
        findings.push(Finding::new(Rule::TooManyLayers, message, Place::field("layers")));
    }
}

fn remark(remark: &Remark) -> Finding {
    match remark {
        Remark::Chosen { platform, others } => {
            let others = others.iter().map(|other| format!("`{other}`")).collect::<Vec<_>>().join(", ");
            let message =
                format!("of several images, the one for `{platform}` is taken; the others are for {others}");
            Finding::new(Rule::Index, message, Place::field("manifests"))
        }
        Remark::AttestationsLeftOut(number) => {
            let message = format!("{} beside the image left out", count(*number, "attestation"));
            Finding::new(Rule::Attestations, message, Place::field("manifests"))
        }
        Remark::LayersConverted { media_types } => {
            let mut kinds: Vec<&str> = media_types.iter().map(|kind| kind.as_str()).collect();
            kinds.sort_unstable();
            kinds.dedup();
            let kinds = kinds.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
            let message = format!("{} converted to gzip: {kinds}", count(media_types.len(), "layer"));
            Finding::new(Rule::LayerCompression, message, Place::field("layers"))
        }
        Remark::FamiliesMixed { manifest, config } => {
            let message = format!(
                "the manifest is a `{manifest}` with a configuration `{config}` and layers that do not all go with them"
            );
            Finding::new(Rule::MediaTypes, message, Place::field("mediaType"))
        }
    }
}
