//! Holds the image against Lambda's rules, between build and push: before anything is written.
//!
//! Layers that were made here were looked at while they were made. Others on this machine are
//! read once; what is in them is remembered by diff ID. Layers that are in a registry only are
//! never downloaded for it, unless the check is all that is asked for: then the rules that would
//! need them say nothing. What a check came to is remembered by everything it depends on, so that
//! a deployment without a change reads nothing at all.
//!
//! One exception to "before anything is written": `push` and `deploy` send layers while the rest of
//! the image is still being made, and while it is checked. No manifest names them, so nobody sees
//! them.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ahead::{Ahead, kept};
use super::cache::Shelf;
use super::cloud::Cloud;
use super::error::PipelineError;
use crate::domain::digest::{DiffId, Digest};
use crate::domain::finding::{CheckReport, Finding, LayerPlace, Place, Rule};
use crate::domain::function::Function;
use crate::domain::plan::Step;
use crate::domain::size::count;
use crate::domain::spec::{DeploySpec, FunctionSpec};
use crate::event::Event;
use crate::image::check::{self, LayerFiles, RULES_VERSION, VARIABLES, Wanted};
use crate::image::{Image, ImageError, Layer};

/// How many layers are read at a time: each keeps a core busy.
const READS: usize = 2;

/// Which layers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those on this machine.
    AtHand,
    /// All of them, wherever they are.
    Everything,
}

/// What the function will be like, as far as its image has to fit.
pub(super) fn wanted(spec: &FunctionSpec, found: Option<&Function>) -> Wanted {
    let overrides = found.map(|found| found.image_config.clone()).unwrap_or_default();
    let environment = found.map(|found| found.environment.clone()).unwrap_or_default();
    let variables = spec.environment.applied_to(&environment).into_iter();
    Wanted {
        overrides: spec.image_config.applied_to(&overrides),
        ephemeral_storage: spec.ephemeral_storage.or(found.map(|found| found.ephemeral_storage)),
        environment: variables
            .filter(|(name, _)| VARIABLES.contains(&name.as_str()))
            .map(|(name, value)| (name, value.expose().to_owned()))
            .collect(),
        snap_start: found.is_some_and(|found| found.snap_start),
        has_this_storage: found.is_some_and(|found| {
            spec.ephemeral_storage.is_none_or(|megabytes| megabytes == found.ephemeral_storage)
        }),
        file_systems: found.map(|found| found.file_systems.clone()).unwrap_or_default(),
        is_settled: true,
    }
}

/// Takes the step of a deployment: everything found is reported, and errors end it. Of an image that
/// turns out not to be the `right` one nothing is told, and the answer is no.
pub(super) async fn refuse(
    cloud: &Cloud,
    spec: &DeploySpec,
    wanted: &Wanted,
    image: &Image,
    ahead: &Ahead,
    right: impl Future<Output = bool>,
) -> Result<bool, PipelineError> {
    let checking = async {
        let report = report(cloud, spec, wanted, image, Reach::AtHand, ahead).await?;
        if !right.await {
            return Ok((false, "to be made again".to_owned()));
        }
        for layer in &report.unread {
            let remark = format!(
                "layer {} ({}) is not on this machine and was not checked",
                layer.number,
                layer.diff_id.0.short()
            );
            cloud.report(Event::Detail(remark));
        }
        for finding in &report.findings {
            cloud.report(Event::Finding(Box::new(finding.clone())));
        }
        let errors: Vec<Finding> = report.errors().cloned().collect();
        if !errors.is_empty() {
            return Err(PipelineError::Unfit { image: subject(image), findings: errors });
        }
        Ok((true, outcome(&report)))
    };
    cloud.step(Step::Check, subject(image), checking).await
}

/// Takes the step where the findings are the result. Where the layers are needed afterwards, they
/// are brought here, and nothing is downloaded twice.
pub(super) async fn tell(
    cloud: &Cloud,
    spec: &DeploySpec,
    wanted: &Wanted,
    image: Image,
    are_layers_needed: bool,
) -> Result<(CheckReport, Image), PipelineError> {
    let subject = subject(&image);
    let checking = async {
        let image = if are_layers_needed { image.brought_here(cloud.reporter()).await? } else { image };
        let ahead = Ahead::new(cloud);
        let report = report(cloud, spec, wanted, &image, Reach::Everything, &ahead).await?;
        let outcome = outcome(&report);
        Ok(((report, image), outcome))
    };
    cloud.step(Step::Check, subject, checking).await
}

fn subject(image: &Image) -> String {
    image.digest().short()
}

/// What a check came to, in a few words.
fn outcome(report: &CheckReport) -> String {
    let unread = match report.unread.len() {
        0 => String::new(),
        unread => format!(", {} not read", count(unread, "layer")),
    };
    format!("{}{unread}", report.summary())
}

/// An image that cannot be had, as a finding; other failures stay what they are.
pub(super) fn of_failure(error: PipelineError) -> Result<Finding, PipelineError> {
    match &error {
        PipelineError::Image(image) if image.is_refusal() => {
            let (rule, member) = if image.is_about_platform() {
                (Rule::Platform, "architecture")
            } else {
                (Rule::UnusableImage, "manifest")
            };
            let finding = Finding::new(rule, image.to_string(), Place::field(member));
            Ok(match image.hint() {
                Some(hint) => finding.mended_by(hint),
                None => finding,
            })
        }
        _ => Err(error),
    }
}

/// What is remembered of a check.
#[derive(Serialize, Deserialize)]
struct Remembered {
    findings: Vec<Finding>,
    size: u64,
}

async fn report(
    cloud: &Cloud,
    spec: &DeploySpec,
    wanted: &Wanted,
    image: &Image,
    reach: Reach,
    ahead: &Ahead,
) -> Result<CheckReport, PipelineError> {
    let key = key(image, wanted);
    if let Some(Remembered { findings, size }) = remembered(cloud, key).await {
        let report = CheckReport::new(findings, &spec.allow);
        return Ok(CheckReport { layers: image.layers.len(), size, ..report });
    }
    let diff_ids = image.config.diff_ids().unwrap_or_default();
    let laid = ahead.laid(&diff_ids).await;
    let open = laid.layers().len();
    let reading = image.layers.iter().zip(&diff_ids).skip(open).map(|(layer, diff_id)| {
        // A future that borrows is not known to be one that can be sent.
        let (cloud, layer, diff_id) = (cloud.clone(), layer.clone(), *diff_id);
        async move { contents(&cloud, &layer, diff_id, reach).await }
    });
    let reading: Vec<_> = reading.collect();
    let layers: Vec<Option<Arc<LayerFiles>>> = stream::iter(reading).buffered(READS).try_collect().await?;
    let (subject, wanted) = (image.clone(), wanted.clone());
    // Laying many files over each other takes a while.
    let judging = tokio::task::spawn_blocking(move || {
        let mut laid = laid;
        layers.into_iter().for_each(|layer| laid.add(layer));
        let findings = check::check(&subject, &wanted, &laid);
        (laid, findings)
    });
    let (laid, findings) = judging.await.map_err(|error| ImageError::Read {
        what: "image".to_owned(),
        source: std::io::Error::other(error),
    })?;
    let unread = laid.layers().iter().zip(&diff_ids).enumerate().filter(|(_, (files, _))| files.is_none());
    let unread: Vec<LayerPlace> =
        unread.map(|(index, (_, diff_id))| LayerPlace { number: index + 1, diff_id: *diff_id }).collect();
    let size = laid.layers().iter().flatten().map(|files| files.size()).sum();
    // So does to let go of them.
    drop(tokio::task::spawn_blocking(move || drop(laid)));
    if unread.is_empty() {
        remember(cloud, key, &Remembered { findings: findings.clone(), size }).await;
    }
    let report = CheckReport::new(findings, &spec.allow);
    Ok(CheckReport { layers: image.layers.len(), unread, size, ..report })
}

/// What is in a layer; `None` where it would have to be downloaded and need not be.
async fn contents(
    cloud: &Cloud,
    layer: &Layer,
    diff_id: DiffId,
    reach: Reach,
) -> Result<Option<Arc<LayerFiles>>, PipelineError> {
    if let Some(files) = layer.source.files().filter(|files| files.diff_id() == diff_id) {
        keep(cloud, files.clone(), false).await;
        return Ok(Some(files.clone()));
    }
    if let Some(cache) = cloud.cache().cloned() {
        let reading = tokio::task::spawn_blocking(move || kept(&cache, diff_id));
        if let Some(files) = reading.await.ok().flatten() {
            return Ok(Some(Arc::new(files)));
        }
    }
    if reach == Reach::AtHand && !layer.source.is_at_hand() {
        return Ok(None);
    }
    let _turn = cloud.limits().build().await;
    let files = Arc::new(check::read_layer(layer, diff_id, cloud.reporter()).await?);
    // What was there could not be read.
    keep(cloud, files.clone(), true).await;
    Ok(Some(files))
}

/// Keeps what is in a layer; where there is something, only if that is `damaged`.
async fn keep(cloud: &Cloud, files: Arc<LayerFiles>, damaged: bool) {
    let Some(cache) = cloud.cache().cloned() else { return };
    let writing = tokio::task::spawn_blocking(move || {
        let key = LayerFiles::key(files.diff_id());
        if (damaged || !cache.has(Shelf::Contents, &key))
            && let Ok(bytes) = files.to_bytes()
        {
            cache.put(Shelf::Contents, &key, &bytes);
        }
    });
    // Without it, the layer is only read again.
    let _ = writing.await;
}

/// The name of everything a check depends on.
fn key(image: &Image, wanted: &Wanted) -> Digest {
    let Wanted {
        overrides,
        ephemeral_storage,
        environment,
        snap_start,
        has_this_storage,
        file_systems,
        is_settled,
    } = wanted;
    let text = json!([
        RULES_VERSION,
        env!("CARGO_PKG_VERSION"),
        image.digest(),
        format!("{:?}", image.remarks),
        overrides.entry_point,
        overrides.command,
        overrides.working_directory,
        ephemeral_storage,
        environment,
        snap_start,
        has_this_storage,
        file_systems,
        is_settled,
    ]);
    Digest::of(text.to_string().as_bytes())
}

async fn remembered(cloud: &Cloud, key: Digest) -> Option<Remembered> {
    let cache = cloud.cache()?.clone();
    let reading = tokio::task::spawn_blocking(move || cache.get(Shelf::Checks, &key));
    serde_json::from_slice(&reading.await.ok()??).ok()
}

async fn remember(cloud: &Cloud, key: Digest, remembered: &Remembered) {
    let (Some(cache), Ok(bytes)) = (cloud.cache().cloned(), serde_json::to_vec(remembered)) else { return };
    let _ = tokio::task::spawn_blocking(move || cache.put(Shelf::Checks, &key, &bytes)).await;
}
