//! How much there is: of the limit, of what nobody sees, and of what nobody needs.

use std::cmp::Reverse;

use super::Context;
use crate::domain::finding::{Finding, Place, Rule};
use crate::domain::size::{ByteSize, count};
use crate::image::check::tree::NodeKind;

/// Lambda's limit: all layers, uncompressed.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub(super) const LIMIT: u64 = 10_737_418_240;

/// From here on people are told.
const NEAR: u64 = LIMIT / 10 * 9;

/// Less than this is not worth a word.
const NOTABLE: u64 = 10_000_000;

/// How many layers and files are listed where an image is too large.
const LISTED: usize = 5;

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    total(context, findings);
    compilers(context, findings);
    deleted(context, findings);
}

/// Bytes of every layer; those that were not read have at least what they have compressed.
fn sizes(context: &Context<'_>) -> Vec<u64> {
    let layers = context.layers.iter().zip(&context.image.layers);
    layers
        .map(|(files, layer)| match files {
            Some(files) => files.size(),
            // What cannot be compressed grows by less than a hundredth.
            None => layer.descriptor.size / 100 * 99,
        })
        .collect()
}

fn total(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let sizes = sizes(context);
    let total: u64 = sizes.iter().sum();
    if total <= NEAR {
        return;
    }
    let mut layers: Vec<(usize, u64)> = sizes.into_iter().enumerate().collect();
    layers.sort_by_key(|(_, size)| Reverse(*size));
    let mut files: Vec<_> = context.tree.all().filter(|(_, node)| node.size() > 0).collect();
    files.sort_by_key(|(_, node)| Reverse(node.size()));
    let largest_layers = layers.iter().take(LISTED);
    let largest_files = files.iter().take(LISTED);
    let listed = largest_layers
        .clone()
        .map(|(number, size)| format!("layer {} {}", number + 1, ByteSize(*size)))
        .chain(largest_files.clone().map(|(path, node)| format!("`/{path}` {}", ByteSize(node.size()))));
    let message = format!(
        "the layers have {} bytes ({}) uncompressed, and {LIMIT} are the most; the largest: {}",
        total,
        ByteSize(total),
        listed.collect::<Vec<_>>().join(", ")
    );
    let places = largest_layers
        .map(|(number, _)| context.layer(*number))
        .chain(largest_files.map(|(path, node)| context.place(path, node)));
    let rule = if total > LIMIT { Rule::TooLarge } else { Rule::NearlyTooLarge };
    findings.push(Finding::new(rule, message, Place::default()).at_all(places));
}

/// The directory a compiler fills, if this is one.
fn toolchain(path: &str) -> Option<&str> {
    let (directory, name) = path.rsplit_once('/')?;
    match name {
        "cc1" | "cc1plus" if directory.contains("/gcc/") => Some(directory),
        "go" | "rustc" => directory.strip_suffix("/bin"),
        "MSBuild.dll" if directory.contains("dotnet/sdk/") => Some(directory),
        _ => None,
    }
}

fn compilers(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let tree = &context.tree;
    let mut roots: Vec<&str> = Vec::new();
    for (path, node) in tree.all() {
        // rustup puts small programs of the same names before the real ones.
        let is_program = matches!(node.kind, NodeKind::File { .. }) && node.size() > 0;
        if let Some(root) = toolchain(path).filter(|root| is_program && !root.is_empty())
            && !matches!(root, "usr" | "usr/local")
            && !roots.contains(&root)
        {
            roots.push(root);
        }
    }
    let weigh = |root: &str| tree.below(root).map(|(_, node)| node.size()).sum::<u64>();
    let mut weighed: Vec<(&str, u64)> = roots.into_iter().map(|root| (root, weigh(root))).collect();
    weighed.sort_by_key(|(_, size)| Reverse(*size));
    let total: u64 = weighed.iter().map(|(_, size)| size).sum();
    if total < NOTABLE {
        return;
    }
    let message = format!("{} of compilers are in the image", ByteSize(total));
    let places = weighed.iter().filter_map(|(root, _)| Some(context.place(root, tree.node(root)?)));
    findings.push(Finding::new(Rule::CompilerLeft, message, Place::default()).at_all(places));
}

fn deleted(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let lost = &context.tree.lost;
    let total: u64 = lost.iter().map(|lost| lost.bytes).sum();
    if total < NOTABLE {
        return;
    }
    let mut layers: Vec<_> = lost.iter().enumerate().filter(|(_, lost)| lost.bytes > 0).collect();
    layers.sort_by_key(|(_, lost)| Reverse(lost.bytes));
    let largest = layers.first().and_then(|(_, lost)| lost.largest.as_ref());
    let example = largest.map(|(size, path)| format!(", such as `{path}` with {}", ByteSize(*size)));
    let message = format!(
        "{} in {} are deleted or replaced by later ones{}",
        ByteSize(total),
        count(layers.len(), "layer"),
        example.unwrap_or_default()
    );
    let places = layers.iter().map(|(number, lost)| {
        let layer = context.layer(*number);
        match &lost.largest {
            Some((_, path)) => layer.at(path.as_str()),
            None => layer,
        }
    });
    findings.push(Finding::new(Rule::DeletedFiles, message, Place::default()).at_all(places));
}
