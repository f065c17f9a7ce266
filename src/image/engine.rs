//! Images of the Docker Engine: what no registry has yet is taken out and compressed.
//!
//! There are two ways out: the save call, which streams every layer, and a push into a registry
//! of our own, which sends chosen layers, but compresses them slowly. `Estimate` chooses.

mod bases;
mod door;

use std::time::Duration;

use futures_util::TryStreamExt;
use tokio_util::io::StreamReader;

use super::archive::{self, Expected};
use super::known::{KnownImages, KnownLayers};
use super::{Image, ImageError};
use crate::domain::platform::Architecture;
use crate::domain::transfer::{KnownBy, PlannedLayer, TransferPlan, Way};
use crate::event::{Event, SharedReporter};
use crate::services::docker::{DockerEngine, DockerError, EngineImage};

/// How many exported bytes go by between two reports.
const REPORT_EVERY: u64 = 1 << 20;

/// Reads the image `name` (or an ID) of the engine, all but the layers that are `known`.
///
/// The image is asked for its platform before a byte of it is moved. Where a registry has all of
/// it, none is.
pub async fn read(
    engine: &DockerEngine,
    name: &str,
    architecture: Option<Architecture>,
    known: &KnownImages,
    reporter: &SharedReporter,
) -> Result<Image, ImageError> {
    let found =
        engine.inspect(name).await?.ok_or_else(|| DockerError::ImageNotFound { name: name.to_owned() })?;
    if let Some(wanted) = architecture.filter(|wanted| !found.platform.runs_on(*wanted)) {
        let (image, found) = (name.to_owned(), found.platform);
        return Err(DockerError::PlatformMismatch { image, found, wanted }.into());
    }
    if let Some(image) = known.the_same_as(&found).await {
        reporter.report(Event::Detail(format!("`{name}` is in the registry as it is: nothing is exported")));
        return Ok(image);
    }
    let layers = known.layers(&found.diff_ids).await;
    let sizes = engine.layer_sizes(&found).await;
    let layers = bases::add(engine, &found, sizes.as_deref(), known, layers, reporter).await;
    reporter.report(Event::TransferPlanned(plan(&found, &layers, sizes.as_deref())));
    if !layers.is_empty() && engine.can_push_here().await {
        let estimate = Estimate::of(&found, &layers, sizes);
        if estimate.push < estimate.save {
            let taking = door::take(engine, name, &found, architecture, &layers, reporter);
            // An engine that knows less of its layers than expected sends more of them.
            let patience = estimate.push * 2 + estimate.save / 2 + Duration::from_secs(6);
            let why = match tokio::time::timeout(patience, taking).await {
                Ok(Ok(image)) => {
                    let remark = format!("of `{name}`, only what is missing was taken from the engine");
                    reporter.report(Event::Detail(remark));
                    return Ok(image);
                }
                Ok(Err(why)) => why,
                Err(_) => format!("it took longer than {} s", patience.as_secs()),
            };
            reporter.report(Event::Detail(format!("`{name}` is exported whole: {why}")));
        }
    }
    let expected = Expected::new(&found.diff_ids, layers).announcing(known.made());
    // By ID: the name may move to another image meanwhile.
    let id = found.id.to_string();
    let total = Some(found.size).filter(|size| *size > 0);
    let (mut bytes, mut reported) = (0, 0);
    let progress = reporter.clone();
    let archive = engine.export(&id).inspect_ok(move |chunk| {
        bytes += chunk.len() as u64;
        if bytes - reported >= REPORT_EVERY {
            reported = bytes;
            progress.report(Event::ImageProgress { activity: "exporting", bytes, total });
        }
    });
    let archive = StreamReader::new(Box::pin(archive.map_err(std::io::Error::other)));
    archive::read_missing(name, archive, architecture, expected, reporter).await
}

/// Which way each layer will take, as far as it is known before one leaves the engine.
fn plan(found: &EngineImage, known: &KnownLayers, sizes: Option<&[u64]>) -> TransferPlan {
    let layers = found.diff_ids.iter().enumerate().map(|(index, diff_id)| {
        let there = known.get(diff_id).zip(known.known_by(diff_id));
        PlannedLayer {
            digest: there.map(|(layer, _)| layer.digest),
            diff_id: Some(*diff_id),
            size: there.map(|(layer, _)| layer.size),
            uncompressed: sizes.and_then(|sizes| sizes.get(index).copied()).filter(|_| there.is_none()),
            way: match there {
                Some((layer, KnownBy::BaseImage)) => layer.source.repository().map_or(Way::Send, Way::Copy),
                Some((_, by)) => Way::There(by),
                None => Way::Compress,
            },
        }
    });
    TransferPlan { layers: layers.collect() }
}

/// How long each way takes, roughly.
struct Estimate {
    push: Duration,
    save: Duration,
}

impl Estimate {
    /// Bytes a second at which engines compress one layer when they push it; several at once.
    const PUSH: u64 = 22_000_000;
    /// How many layers an engine pushes at once.
    const PUSHED_AT_ONCE: u64 = 5;
    /// Bytes a second at which engines write an image out.
    const SAVE: u64 = 115_000_000;
    /// Bytes a second that one core compresses here.
    const COMPRESS: u64 = 70_000_000;

    fn of(found: &EngineImage, known: &KnownLayers, sizes: Option<Vec<u64>>) -> Self {
        let is_missing = found.diff_ids.iter().map(|diff_id| known.get(diff_id).is_none());
        // All of one size is as good a guess as any.
        let guess = || vec![found.size / found.diff_ids.len().max(1) as u64; found.diff_ids.len()];
        let sizes = sizes.unwrap_or_else(guess);
        let missing: Vec<u64> =
            sizes.iter().zip(is_missing).filter(|(_, missing)| *missing).map(|(size, _)| *size).collect();
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        Self::between(found.size, &missing, cores)
    }

    fn between(total: u64, missing: &[u64], cores: u64) -> Self {
        let seconds = |bytes: u64, rate: u64| Duration::from_secs_f64(bytes as f64 / rate as f64);
        let (all, largest) = (missing.iter().sum(), missing.iter().max().copied().unwrap_or_default());
        let at_once = cores.min(Self::PUSHED_AT_ONCE);
        Self {
            push: seconds(largest, Self::PUSH).max(seconds(all, Self::PUSH * at_once)),
            save: seconds(total, Self::SAVE) + seconds(all, Self::COMPRESS * cores),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_that_is_missing_is_pushed_and_much_is_saved() {
        const MB: u64 = 1_000_000;
        let pushes = |total: u64, missing: &[u64]| {
            let missing: Vec<u64> = missing.iter().map(|size| size * MB).collect();
            let estimate = Estimate::between(total * MB, &missing, 2);
            estimate.push < estimate.save
        };
        assert!(pushes(282, &[1]) && pushes(282, &[31, 1]) && pushes(2280, &[100, 100]));
        assert!(!pushes(282, &[126, 101, 14, 31, 1]) && !pushes(2280, &[670]) && !pushes(40, &[31]));
    }
}
