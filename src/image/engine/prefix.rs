//! Has the lower layers of an image exported on their own while the engine prepares the whole.
//! Called by `engine`.
//!
//! An engine that keeps layers as directories writes all of them into a temporary directory before
//! it sends the first byte of an archive, and uses one core for that. Meanwhile nothing could be
//! compressed or sent. The archive of a part is ready sooner; what came with it is passed over where
//! the whole comes by.

use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::time::timeout;
use tokio_util::io::StreamReader;

use super::estimate::Estimate;
use super::{Exported, Source};
use crate::image::Image;
use crate::image::archive;
use crate::image::known::{KnownImages, KnownLayers};
use crate::image::resolve::Request;

/// How long the image waits at most for what others have left behind to go.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many of the lowest layers are worth an export of their own, where any are. `layers` has the
/// size of each and whether it is missing, lowest first; `cores` are those for this export.
pub(super) fn worthwhile(layers: &[(u64, bool)], cores: usize) -> Option<usize> {
    let total: u64 = layers.iter().map(|(size, _)| size).sum();
    if cores < 2 || Estimate::seconds(total, Estimate::SAVE) < Estimate::LONG_SILENCE {
        return None;
    }
    let portion = |percent: u64| total / 100 * percent;
    let (mut size, mut missing) = (0, 0);
    let prefixes = layers.iter().enumerate().map(|(index, (layer, is_missing))| {
        size += layer;
        missing += if *is_missing { *layer } else { 0 };
        // The top layer of an archive may be recognised only once it is read.
        let pays = *is_missing && missing >= size / 2;
        (index + 1, size, pays)
    });
    let within = portion(Estimate::SMALLEST_PREFIX)..=portion(Estimate::LARGEST_PREFIX);
    let worthwhile = prefixes.filter(|(_, size, pays)| *pays && within.contains(size));
    let best = worthwhile.min_by_key(|(_, size, _)| size.abs_diff(portion(Estimate::BEST_PREFIX)));
    best.map(|(count, ..)| count)
}

/// Reads the `count` lowest layers of an image that are not among the known `layers`, while `whole` is getting ready.
/// The error says in words why that did not work; they come with the whole then.
pub(super) async fn read(
    source: Source<'_>,
    count: usize,
    layers: &KnownLayers,
    known: &KnownImages,
    exported: &Exported,
    whole: impl Future<Output = ()>,
) -> Result<Image, String> {
    let Source { engine, found, request } = source;
    let mut whole = pin!(whole);
    let begin = async {
        let prefix = engine.prefix(found, count).await.map_err(|error| error.to_string())?;
        let archive = exported.count(engine.export(&prefix.image().id.to_string()));
        let mut archive = Box::pin(archive.peekable());
        archive.as_mut().peek().await;
        Ok::<_, String>((prefix, archive))
    };
    let reading = async {
        let (prefix, archive) = tokio::select! {
            begun = begin => begun?,
            () = &mut whole => return Err("all of it was ready sooner".to_owned()),
        };
        let expected = super::expected(&prefix.image().diff_ids, layers.clone(), known);
        let archive = StreamReader::new(archive.map_err(std::io::Error::other));
        // It is none of the images that lead to this one.
        let reading = archive::read_missing(archive, expected, Request { documents: None, ..request });
        let (image, (), ()) = tokio::join!(reading, prefix.remove(), whole);
        image.map_err(|error| error.to_string())
    };
    let (image, _) = tokio::join!(reading, timeout(PATIENCE, engine.remove_leftovers()));
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_that_is_made_about_when_the_whole_is_ready_is_worthwhile() {
        const MB: u64 = 1_000_000;
        let of = |layers: &[(u64, bool)], cores| {
            let layers: Vec<_> = layers.iter().map(|(size, missing)| (size * MB, *missing)).collect();
            worthwhile(&layers, cores)
        };
        let missing = |sizes: &[u64]| of(&sizes.iter().map(|size| (*size, true)).collect::<Vec<_>>(), 2);
        assert_eq!(missing(&[126, 101, 14, 31, 1]), Some(1));
        assert_eq!(missing(&[60, 40, 30, 40, 60, 50]), Some(3));
        // Too much of it, too little of it, or too little of all.
        assert_eq!((missing(&[250, 31, 1]), missing(&[10, 250]), missing(&[30, 20, 10])), (None, None, None));
        assert_eq!((missing(&[]), missing(&[300])), (None, None));
        // Both would be made on one core.
        assert_eq!(of(&[(126, true), (150, true)], 1), None);
        // What is known need not be exported, and not be the top.
        assert_eq!(of(&[(126, false), (101, false), (50, true)], 2), None);
        assert_eq!(of(&[(60, true), (60, false), (150, true)], 2), Some(1));
        assert_eq!(of(&[(40, false), (60, true), (20, false), (150, true)], 2), Some(2));
        assert_eq!(of(&[(80, false), (20, true), (150, true)], 2), None);
    }
}
