//! Images of the Docker Engine: what no registry has yet is taken out, and compressed where it is
//! not.
//!
//! There are three ways out. Where this process may read the engine's own files, the missing layers
//! are read from them, and the engine does nothing. Else there is the save call, which streams every
//! layer, and a push into a registry of our own, which sends chosen ones. Where layers lie as
//! directories, engines compress what they push, and slowly: `Estimate` chooses. Where they lie
//! compressed, in the containerd store, a push is always faster. An engine elsewhere cannot push to
//! here, and has its images saved.
//!
//! No engine pushes to the registry itself: that takes more round trips than it saves, and what
//! arrives may be an index, or compressed in a way that Lambda does not take.

mod bases;
mod blobs;
mod directories;
mod door;
mod estimate;
mod layers;
mod prefix;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use tokio_util::io::StreamReader;

use self::blobs::{Taken, Untaken};
use self::estimate::Estimate;
use super::archive::{self, Expected};
use super::deflate;
use super::known::{KnownImages, KnownLayers};
use super::resolve::Request;
use super::seal::{self, Stored};
use super::{Image, ImageError};
use crate::domain::digest::DiffId;
use crate::domain::platform::Architecture;
use crate::domain::size;
use crate::domain::transfer::{KnownBy, PlannedLayer, TransferPlan, Way};
use crate::event::{Event, SharedReporter};
use crate::services::docker::{DockerEngine, DockerError, EngineImage, LayerDirectories};

/// How many exported bytes go by between two reports.
const REPORT_EVERY: u64 = 1 << 20;

/// Finds the image `name` (or an ID) in the engine.
///
/// # Errors
/// Where there is none, or the engine does not answer.
pub async fn find(engine: &DockerEngine, name: &str) -> Result<EngineImage, DockerError> {
    engine.inspect(name).await?.ok_or_else(|| DockerError::ImageNotFound { name: name.to_owned() })
}

/// Reads the image `name` (or an ID) of the engine, all but the layers that are `known`.
pub async fn read(
    engine: &DockerEngine,
    name: &str,
    architecture: Option<Architecture>,
    known: &KnownImages,
    reporter: &SharedReporter,
) -> Result<Image, ImageError> {
    read_found(engine, name, find(engine, name).await?, architecture, known, reporter).await
}

/// The same for an image that was `found` already.
///
/// Its platform is looked at before a byte of it is moved. Where a registry has all of it, none
/// is.
pub async fn read_found(
    engine: &DockerEngine,
    name: &str,
    found: EngineImage,
    architecture: Option<Architecture>,
    known: &KnownImages,
    reporter: &SharedReporter,
) -> Result<Image, ImageError> {
    let request = Request {
        level: known.compression(),
        documents: known.documents(),
        ..Request::new(name, architecture, reporter)
    };
    // An engine takes a while to tell how it keeps images, which nobody has to know of an image that
    // is there.
    let elsewhere = async {
        match known.the_same_as(&found, request).await {
            Some(image) => Err(image),
            None => Ok(known.layers(&found.diff_ids).await),
        }
    };
    let directories = engine.directories(&found);
    let engines = async {
        Ok(match &directories {
            // That is seen at once, when it is needed.
            Ok(_) => None,
            Err(_) => Some(tokio::join!(engine.store(&found), engine.layer_sizes(&found))),
        })
    };
    let (layers, told) = match tokio::try_join!(elsewhere, engines) {
        Ok(all) => all,
        Err(image) => {
            reporter.report(is_there(name));
            return Ok(image);
        }
    };
    let (store, sizes) = match told {
        Some(told) => told,
        None => {
            let sizes = directories.as_ref().ok().and_then(|directories| directories.sizes().ok());
            (engine.store(&found).await, sizes)
        }
    };
    // With containerd it speaks of one machine's image, and may have others.
    if let Some(wanted) = architecture
        && !found.platform.runs_on(wanted)
        && !store.is_containerd
    {
        let (image, found) = (name.to_owned(), found.platform);
        return Err(DockerError::PlatformMismatch { image, found, wanted }.into());
    }
    let source = Source { engine, found: &found, request };
    if store.is_near && store.is_containerd {
        match source.blobs(known).await {
            Ok(image) => return Ok(image),
            Err(Untaken::Image(error)) => return Err(error),
            Err(Untaken::Way(why)) => source.report_export(&why),
        }
    }
    let (mut layers, sizes) = match store.is_containerd {
        // There they lie as the registry of a base image has them.
        true => (layers, None),
        false => (bases::add(engine, &found, sizes.as_deref(), known, layers, reporter).await, sizes),
    };
    reporter.report(Event::TransferPlanned(plan(&found, &layers, sizes.as_deref())));
    // Of an image nothing of which was pushed, an engine remembers no digests.
    let is_partly_known = !layers.is_empty();
    if !store.is_containerd {
        match source.directories(directories, sizes.as_deref(), &mut layers, known).await {
            Ok(image) => return Ok(image),
            Err(Untaken::Image(error)) => return Err(error),
            Err(Untaken::Way(why)) => source.report_unread(&why),
        }
    }
    // From far away, what comes by twice would take the way twice.
    let sizes_if_near = sizes.clone().filter(|_| store.is_near);
    if store.is_near && !store.is_containerd && is_partly_known {
        match source.layers(known, &layers, sizes).await {
            Ok(Some(image)) => return Ok(image),
            Ok(None) => {}
            Err(why) => source.report_export(&why),
        }
    }
    source.export(layers, sizes_if_near.as_deref(), known).await
}

fn is_there(name: &str) -> Event {
    Event::Detail(format!("`{name}` is in the registry as it is: nothing is exported"))
}

/// An image to be read.
#[derive(Clone, Copy)]
struct Source<'a> {
    engine: &'a DockerEngine,
    found: &'a EngineImage,
    request: Request<'a>,
}

impl Source<'_> {
    /// Has blobs pushed to here.
    async fn blobs(&self, known: &KnownImages) -> Result<Image, Untaken> {
        let Self { engine, found, request } = *self;
        let patience = Duration::from_secs(10) + Estimate::seconds(found.size, Estimate::SLOWEST_PUSH);
        let taking = blobs::take(engine, found, known, request);
        let taken = tokio::time::timeout(patience, taking).await;
        let slow = |_| Untaken::Way(format!("it took longer than {} s", patience.as_secs()));
        match taken.map_err(slow)?? {
            Taken::Same(image) => {
                request.reporter.report(is_there(request.name));
                Ok(image)
            }
            Taken::Some(image) => {
                self.report_taken();
                Ok(without_remarks(image))
            }
        }
    }

    /// Has layers compressed and pushed to here, where that is the faster way.
    async fn layers(
        &self,
        known: &KnownImages,
        layers: &KnownLayers,
        sizes: Option<Vec<u64>>,
    ) -> Result<Option<Image>, String> {
        let Self { engine, found, request } = *self;
        let estimate = Estimate::of(found, layers, sizes);
        if estimate.push >= estimate.save {
            return Ok(None);
        }
        let image = layers::take(engine, found, known, layers, &estimate, request).await?;
        self.report_taken();
        Ok(Some(image))
    }

    /// Reads layers where the engine keeps them; those that were made are known then in any case.
    async fn directories(
        &self,
        directories: Result<LayerDirectories, String>,
        sizes: Option<&[u64]>,
        layers: &mut KnownLayers,
        known: &KnownImages,
    ) -> Result<Image, Untaken> {
        let image = directories::read(*self, directories?, sizes, layers, known).await?;
        let remark =
            format!("of `{}`, what is missing was read where the engine keeps it", self.request.name);
        self.request.reporter.report(Event::Detail(remark));
        Ok(without_remarks(image))
    }

    fn report_unread(&self, why: &str) {
        let remark = format!("`{}` cannot be read where the engine keeps it: {why}", self.request.name);
        self.request.reporter.report(Event::Detail(remark));
    }

    fn report_taken(&self) {
        let remark = format!("of `{}`, only what is missing was taken from the engine", self.request.name);
        self.request.reporter.report(Event::Detail(remark));
    }

    fn report_prefix(&self, what: &str) {
        let remark = format!("of `{}`, {what}", self.request.name);
        self.request.reporter.report(Event::Detail(remark));
    }

    fn report_export(&self, why: &str) {
        let remark = format!("`{}` is exported whole: {why}", self.request.name);
        self.request.reporter.report(Event::Detail(remark));
    }

    /// Reads what the save call streams, all but the `layers` that are known, and where the `sizes`
    /// tell that it pays, some of the lowest ones sooner than the others.
    async fn export(
        &self,
        mut layers: KnownLayers,
        sizes: Option<&[u64]>,
        known: &KnownImages,
    ) -> Result<Image, ImageError> {
        let turn = Turn::begin();
        let prefix = sizes.and_then(|sizes| {
            let sizes = self.found.diff_ids.iter().zip(sizes);
            let sizes = sizes.map(|(diff_id, size)| (*size, layers.get(diff_id).is_none()));
            prefix::worthwhile(&sizes.collect::<Vec<_>>(), turn.cores())
        });
        let exported = Exported::of(self.found, self.request.reporter);
        // By ID: the name may move to another image meanwhile.
        let archive = exported.count(self.engine.export(&self.found.id.to_string()));
        let mut archive = Box::pin(archive.peekable());
        if let Some(count) = prefix {
            // The engine keeps the rest back while nobody reads it.
            let begins = async {
                archive.as_mut().peek().await;
            };
            match prefix::read(*self, count, &layers, known, &exported, begins).await {
                Ok(image) => {
                    layers.add(&image, &self.found.diff_ids);
                    self.report_prefix(&format!("{} came before the others", size::count(count, "layer")));
                }
                Err(why) => self.report_prefix(&format!("no layer came before the others: {why}")),
            }
        }
        match self.read_archive(archive, layers.clone(), known).await {
            // Both together may have been too much for the engine's disk.
            Err(error @ ImageError::Read { .. }) if prefix.is_some() => {
                self.report_export(&error.to_string());
                let archive = exported.count(self.engine.export(&self.found.id.to_string()));
                self.read_archive(Box::pin(archive), layers, known).await
            }
            read => read,
        }
    }

    /// Reads an archive of the image, all but the `layers` that are known.
    async fn read_archive(
        &self,
        archive: impl Stream<Item = Result<Bytes, DockerError>> + Send + Unpin + 'static,
        layers: KnownLayers,
        known: &KnownImages,
    ) -> Result<Image, ImageError> {
        let expected = expected(&self.found.diff_ids, layers, known);
        let archive = StreamReader::new(archive.map_err(std::io::Error::other));
        archive::read_missing(archive, expected, self.request).await.map(without_remarks)
    }
}

/// Puts an image together from its configuration and its layers, all of which are known by now.
async fn put_together(
    found: &EngineImage,
    configuration: Bytes,
    layers: &KnownLayers,
    request: Request<'_>,
) -> Result<Image, ImageError> {
    let Request { name, architecture, level, reporter, .. } = request;
    let config = seal::config(name, &configuration, architecture)?;
    let layer = |diff_id: &DiffId| {
        let kept = || seal::damaged(name, format!("the engine kept layer {} to itself", diff_id.0.short()));
        layers.get(diff_id).cloned().map(Stored::Compressed).ok_or_else(kept)
    };
    let stored = found.diff_ids.iter().map(layer).collect::<Result<_, _>>()?;
    seal::rebuild(name, configuration, config, stored, level, reporter).await
}

/// The layers of an archive, and who is told of those that are made.
fn expected(diff_ids: &[DiffId], layers: KnownLayers, known: &KnownImages) -> Expected {
    Expected::new(diff_ids, layers).announcing(known.made()).announcing_early(known.begun())
}

/// How many images this process is exporting.
static EXPORTS: AtomicUsize = AtomicUsize::new(0);

/// An export, which keeps one core of the engine busy.
struct Turn;

impl Turn {
    fn begin() -> Self {
        EXPORTS.fetch_add(1, Ordering::Relaxed);
        Self
    }

    /// How many cores there are for each export that is under way.
    fn cores(&self) -> usize {
        deflate::cores() / EXPORTS.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        EXPORTS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells how much of an image has been exported, where some of it comes by twice.
struct Exported {
    total: Option<u64>,
    reported: Arc<AtomicU64>,
    reporter: SharedReporter,
}

impl Exported {
    fn of(found: &EngineImage, reporter: &SharedReporter) -> Self {
        let total = Some(found.size).filter(|size| *size > 0);
        Self { total, reported: Arc::default(), reporter: reporter.clone() }
    }

    /// Counts an archive; the same part of another one is not new.
    fn count<T>(&self, archive: T) -> impl Stream<Item = Result<Bytes, DockerError>> + Send + use<T>
    where
        T: Stream<Item = Result<Bytes, DockerError>> + Send,
    {
        let Self { total, reported, reporter } = self;
        let (total, reported, reporter) = (*total, reported.clone(), reporter.clone());
        let mut bytes = 0;
        archive.inspect_ok(move |chunk| {
            bytes += chunk.len() as u64;
            if bytes >= reported.load(Ordering::Relaxed) + REPORT_EVERY {
                reported.store(bytes, Ordering::Relaxed);
                // There is more to an archive than the files in it.
                let bytes = total.map_or(bytes, |total| bytes.min(total));
                reporter.report(Event::ImageProgress { activity: "exporting", bytes, total });
            }
        })
    }
}

/// How an engine writes or keeps an image is none of its author's business.
fn without_remarks(image: Image) -> Image {
    Image { remarks: Vec::new(), ..image }
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::stream;

    use super::*;
    use crate::event::Reporter;

    #[derive(Debug, Default)]
    struct Counts(Mutex<Vec<(u64, Option<u64>)>>);

    impl Reporter for Counts {
        fn report(&self, event: Event) {
            let Event::ImageProgress { activity: "exporting", bytes, total } = event else {
                panic!("{event:?}")
            };
            self.0.lock().unwrap().push((bytes, total));
        }
    }

    #[tokio::test]
    async fn what_comes_by_twice_is_counted_once() {
        let counts = Arc::new(Counts::default());
        let reporter: SharedReporter = counts.clone();
        let total = Some(5 * REPORT_EVERY);
        let exported = Exported { total, reported: Arc::default(), reporter };
        for halves in [6, 12] {
            let chunk = Bytes::from(vec![0; REPORT_EVERY as usize / 2]);
            let archive = stream::iter((0..halves).map(|_| Ok(chunk.clone())));
            assert_eq!(exported.count(archive).count().await, halves);
        }
        // The second archive has more than the image's files.
        let expected = [1, 2, 3, 4, 5, 5].map(|times| (times * REPORT_EVERY, total));
        assert_eq!(*counts.0.lock().unwrap(), expected);
    }
}
