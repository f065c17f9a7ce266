//! Makes the layers of a stage that is done. Those that a registry has are recognised by what is in
//! them, and not compressed; where that is remembered, they are not even read.

use super::content::Content;
use super::memo::{Memo, State};
use super::tree::{Kind, Node};
use super::work::Finished;
use super::{base, engine, layer};
use crate::domain::digest::DiffId;
use crate::event::SharedReporter;
use crate::image::ImageError;
use crate::image::gzip::GzipLayer;
use crate::image::known::KnownImages;
use crate::image::work::{Progress, blocking};

/// Layers below this are not worth sending before the others are made.
const SMALL: u64 = 1 << 20;

/// A stage whose layers are to be made, and what is remembered of each.
pub(super) struct Making {
    finished: Finished,
    layers: Vec<Seen>,
    memo: Memo,
    /// The time of every entry, in seconds since 1970.
    epoch: u64,
}

struct Seen {
    /// How the files were before they were read.
    state: Option<State>,
    /// What was made of them.
    diff_id: Option<DiffId>,
    /// The layer, where a registry is known to have it.
    there: Option<GzipLayer>,
}

impl Making {
    /// Looks which layers are remembered, and takes out of images what is in the others.
    pub(super) async fn begin(
        finished: Finished,
        memo: Memo,
        epoch: u64,
        reporter: &SharedReporter,
    ) -> Result<Self, ImageError> {
        let making = blocking(move |_stop| {
            let see = |nodes| {
                let state = memo.state(nodes, epoch);
                Seen { diff_id: memo.recall(state.as_ref()), state, there: None }
            };
            let layers = finished.layers().map(see).collect();
            Ok(Self { finished, layers, memo, epoch })
        })
        .await?;
        let is_unknown = making.layers.iter().map(|seen| seen.diff_id.is_none()).collect();
        making.taken_out(is_unknown, reporter).await
    }

    /// Takes out of images what is to be in the layers that are `wanted`.
    async fn taken_out(mut self, wanted: Vec<bool>, reporter: &SharedReporter) -> Result<Self, ImageError> {
        base::take_out(nodes(&mut self.finished, &wanted), reporter).await?;
        let is_contained = |node: &&mut Node| matches!(node.kind, Kind::File(Content::Contained(_)));
        if !nodes(&mut self.finished, &wanted).iter().any(is_contained) {
            return Ok(self);
        }
        blocking(move |_stop| {
            engine::take_out(nodes(&mut self.finished, &wanted))?;
            Ok(self)
        })
        .await
    }

    /// Finds the layers that a registry has. Images are not asked for anything afterwards.
    pub(super) async fn compared(
        mut self,
        known: &KnownImages,
        reporter: &SharedReporter,
    ) -> Result<Self, ImageError> {
        if !known.is_empty() {
            self = self.identified(reporter).await?;
            let diff_ids: Vec<DiffId> = self.layers.iter().filter_map(|seen| seen.diff_id).collect();
            let layers = known.layers(&diff_ids).await;
            for seen in &mut self.layers {
                seen.there = seen.diff_id.and_then(|diff_id| layers.get(&diff_id).cloned());
            }
        }
        let is_missing = self.layers.iter().map(|seen| seen.there.is_none()).collect();
        self.taken_out(is_missing, reporter).await
    }

    /// Makes the layers that are missing.
    pub(super) async fn finish(
        self,
        known: &KnownImages,
        reporter: &SharedReporter,
    ) -> Result<(Finished, Vec<GzipLayer>), ImageError> {
        let (made, level, reporter) = (known.made(), known.compression(), reporter.clone());
        blocking(move |stop| {
            let Self { finished, layers, memo, epoch } = self;
            let missing = finished.layers().zip(&layers).filter(|(_, seen)| seen.there.is_none());
            let size = missing.map(|(nodes, _)| layer::size(nodes)).sum();
            let mut progress = Progress::new("compressing", Some(size), &reporter);
            let make = |(nodes, seen): (_, Seen)| {
                if let Some(layer) = seen.there {
                    return Ok(layer);
                }
                let layer = layer::write(nodes, epoch, level, &mut progress, &stop)?;
                if seen.diff_id.is_none() {
                    memo.keep(seen.state.as_ref(), layer.diff_id);
                }
                if let Some(made) = made.as_ref().filter(|_| layer.size > SMALL) {
                    // Whoever sends layers early may have given up.
                    let _ = made.send(layer.clone());
                }
                Ok(layer)
            };
            let made = finished.layers().zip(layers).map(make).collect::<Result<_, ImageError>>()?;
            Ok((finished, made))
        })
        .await
    }

    /// Reads the layers that are not remembered, so that all are known by what is in them.
    async fn identified(mut self, reporter: &SharedReporter) -> Result<Self, ImageError> {
        if self.layers.iter().all(|seen| seen.diff_id.is_some()) {
            return Ok(self);
        }
        let reporter = reporter.clone();
        blocking(move |stop| {
            let unknown = self.finished.layers().zip(&self.layers).filter(|(_, seen)| seen.diff_id.is_none());
            let size = unknown.map(|(nodes, _)| layer::size(nodes)).sum();
            let mut progress = Progress::new("reading", Some(size), &reporter);
            for (nodes, seen) in self.finished.layers().zip(&mut self.layers) {
                if seen.diff_id.is_none() {
                    let diff_id = layer::diff_id(nodes, self.epoch, &mut progress, &stop)?;
                    self.memo.keep(seen.state.as_ref(), diff_id);
                    seen.diff_id = Some(diff_id);
                }
            }
            Ok(self)
        })
        .await
    }
}

/// What is in the layers that are `wanted`.
fn nodes<'a>(finished: &'a mut Finished, wanted: &[bool]) -> Vec<&'a mut Node> {
    let wanted = finished.layers_mut().zip(wanted).filter(|(_, is_wanted)| **is_wanted);
    wanted.flat_map(|(nodes, _)| nodes.values_mut()).collect()
}
