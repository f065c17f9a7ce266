//! Builds, assembles or reads the image.

use std::sync::OnceLock;

use tokio::sync::oneshot;

use super::ahead::Ahead;
use super::check;
use super::cloud::Cloud;
use super::command;
use super::dockerfile;
use super::error::PipelineError;
use super::knowledge;
use crate::domain::compression::CompressionLevel;
use crate::domain::image_source::ImageSource;
use crate::domain::plan::Step;
use crate::domain::platform::Architecture;
use crate::domain::reference::ImageReference;
use crate::domain::size::{ByteSize, count};
use crate::domain::spec::{AssembledSpec, BaseImage, DeploySpec, ImageSpec};
use crate::event::Event;
use crate::image::check::Wanted;
use crate::image::guesses::{Guesses, Truth};
use crate::image::known::KnownImages;
use crate::image::{self, Image};
use crate::services::docker::{DockerEngine, DockerError};

/// Runs the build command, if there is one, and makes the image; for `architecture`, or for the
/// image's own where `None`. Meanwhile, and only where it can spare work, `knowing` finds out
/// what the registry has.
pub(super) async fn image(
    cloud: &Cloud,
    spec: &DeploySpec,
    architecture: Option<Architecture>,
    knowing: impl Future<Output = KnownImages> + Send,
) -> Result<Image, PipelineError> {
    let command = spec.build_command.as_deref();
    image_after(command, cloud, spec, architecture, Box::pin(knowing), None).await
}

/// Makes the image and holds it against the rules, while it is asked whether the base and what was
/// pushed last are still what they were. Where they are not, it is made again.
pub(super) async fn checked_image(
    cloud: &Cloud,
    spec: &DeploySpec,
    wanted: &Wanted,
    architecture: Option<Architecture>,
    knowing: impl Future<Output = KnownImages> + Send,
    ahead: &Ahead,
    whole: oneshot::Sender<Image>,
) -> Result<Image, PipelineError> {
    let guesses = Guesses::default();
    let known = OnceLock::new();
    // On the heap: whoever waits for it has it in itself, one within the other.
    let knowing = Box::pin(knowing);
    let guessing = async {
        let found = knowing.await;
        // It is made once.
        let _ = known.set(found.clone());
        found.guessing(guesses.clone())
    };
    let making = async {
        let command = spec.build_command.as_deref();
        let image = image_after(command, cloud, spec, architecture, guessing, Some(&guesses)).await?;
        // Nobody may send what it consists of.
        let _ = whole.send(image.clone());
        let right = async { guesses.truth().await == Truth::Right };
        Ok(check::refuse(cloud, spec, wanted, &image, ahead, right).await?.then_some(image))
    };
    match making.await {
        Ok(Some(image)) => return Ok(image),
        // The fault may be in what is no longer so.
        Err(error) if guesses.truth().await != Truth::Wrong => return Err(error),
        Ok(None) | Err(_) => {}
    }
    let remark = "the base, or what was pushed last, is not what it was: the image is made again";
    cloud.report(Event::Detail(remark.to_owned()));
    let known = std::future::ready(known.into_inner().unwrap_or_else(|| knowledge::nothing(cloud)));
    let image = image_after(None, cloud, spec, architecture, known, None).await?;
    check::refuse(cloud, spec, wanted, &image, ahead, std::future::ready(true)).await?;
    Ok(image)
}

async fn image_after(
    command: Option<&[String]>,
    cloud: &Cloud,
    spec: &DeploySpec,
    architecture: Option<Architecture>,
    knowing: impl Future<Output = KnownImages> + Send,
    guesses: Option<&Guesses>,
) -> Result<Image, PipelineError> {
    let _turn = cloud.limits().build().await;
    cloud
        .step(Step::Build, subject(spec), async {
            if let Some(command) = command {
                command::run(command, spec, cloud.reporter()).await?;
            }
            let image = Box::pin(make(cloud, spec, architecture, knowing, guesses)).await?;
            let outcome = format!(
                "{}, {}, {}",
                image.digest().short(),
                count(image.layers.len(), "layer"),
                ByteSize(image.compressed_size())
            );
            Ok((image, outcome))
        })
        .await
}

/// What is built, as it is shown.
fn subject(spec: &DeploySpec) -> String {
    match &spec.image {
        ImageSpec::Dockerfile(dockerfile) => dockerfile.dockerfile.display().to_string(),
        ImageSpec::Assembled(assembled) => match &assembled.base {
            BaseImage::Scratch => "scratch".to_owned(),
            BaseImage::Layout { directory, .. } => format!("oci:{}", directory.display()),
            BaseImage::Registry(reference) => reference.to_string(),
        },
        ImageSpec::Existing(source) => source.to_string(),
    }
}

async fn make(
    cloud: &Cloud,
    spec: &DeploySpec,
    architecture: Option<Architecture>,
    knowing: impl Future<Output = KnownImages> + Send,
    guesses: Option<&Guesses>,
) -> Result<Image, PipelineError> {
    let (reporter, level) = (cloud.reporter(), spec.compression);
    let knowing = async { knowing.await.compressing(level) };
    match &spec.image {
        ImageSpec::Dockerfile(spec) => dockerfile::build(cloud, spec, architecture, knowing, guesses).await,
        ImageSpec::Assembled(assembled) => {
            let base = base(cloud, assembled, architecture, level, guesses);
            image::assembled::assemble_on(assembled, base, architecture, knowing, reporter).await
        }
        ImageSpec::Existing(ImageSource::Engine(name)) => {
            let finding = async {
                let engine = DockerEngine::connect(cloud.engine()).await?;
                let found = image::engine::find(&engine, name).await?;
                Ok::<_, DockerError>((engine, found))
            };
            let (found, known) = tokio::join!(finding, knowing);
            let (engine, found) = found?;
            Ok(image::engine::read_found(&engine, name, found, architecture, &known, reporter).await?)
        }
        ImageSpec::Existing(ImageSource::Layout { directory, tag }) => {
            Ok(image::layout::read_at(directory, tag.as_ref(), architecture, level, reporter).await?)
        }
        ImageSpec::Existing(ImageSource::Archive(file)) => {
            Ok(image::archive::read_at(file, architecture, level, reporter).await?)
        }
        ImageSpec::Existing(ImageSource::Registry(reference)) => {
            from_registry(cloud, reference, architecture, None).await
        }
    }
}

async fn base(
    cloud: &Cloud,
    assembled: &AssembledSpec,
    architecture: Option<Architecture>,
    level: CompressionLevel,
    guesses: Option<&Guesses>,
) -> Result<Option<Image>, PipelineError> {
    match &assembled.base {
        BaseImage::Scratch => Ok(None),
        BaseImage::Layout { directory, tag } => {
            let (tag, reporter) = (tag.as_ref(), cloud.reporter());
            Ok(Some(image::layout::read_at(directory, tag, architecture, level, reporter).await?))
        }
        BaseImage::Registry(reference) => {
            from_registry(cloud, reference, architecture, guesses).await.map(Some)
        }
    }
}

async fn from_registry(
    cloud: &Cloud,
    reference: &ImageReference,
    architecture: Option<Architecture>,
    guesses: Option<&Guesses>,
) -> Result<Image, PipelineError> {
    let client = cloud.registry(&reference.repository.registry).await?;
    Ok(match cloud.cache() {
        Some(cache) => {
            image::registry::read_again(&client, reference, architecture, cache, guesses, cloud.reporter())
                .await?
        }
        None => image::registry::read(&client, reference, architecture, cloud.reporter()).await?,
    })
}
