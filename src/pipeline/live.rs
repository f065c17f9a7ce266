//! What is live: the function, and the commit its image was made from. Called by `status`.

use super::cloud::Cloud;
use super::error::PipelineError;
use super::watch;
use crate::domain::function::Function;
use crate::domain::reference::ImageReference;
use crate::event::Event;
use crate::image;

/// The label that names the commit an image was made from.
/// <https://github.com/opencontainers/image-spec/blob/main/annotations.md>
const REVISION: &str = "org.opencontainers.image.revision";

/// A function and where its image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The function.
    pub function: Function,
    /// The commit in the image's `org.opencontainers.image.revision` label, where the image has
    /// one and may be read.
    pub source_commit: Option<String>,
}

/// Reads the function and, as far as possible, its image.
pub(super) async fn status(cloud: &Cloud, function: &str) -> Result<Live, PipelineError> {
    cloud.session().region()?;
    let read = cloud.lambda().function(function).await;
    let found = read.map_err(PipelineError::api(format!("read function `{function}`")))?;
    let function = found.map(|found| found.function).ok_or_else(|| watch::missing(cloud, function))?;
    let source_commit = match function.resolved_image_uri.as_deref().map(str::parse) {
        Some(Ok(reference)) => source_commit(cloud, &reference).await.unwrap_or_else(|error| {
            cloud.report(Event::Detail(format!(
                "image `{reference}` cannot be asked for its commit: {error}"
            )));
            None
        }),
        _ => None,
    };
    Ok(Live { function, source_commit })
}

async fn source_commit(cloud: &Cloud, reference: &ImageReference) -> Result<Option<String>, PipelineError> {
    let client = cloud.registry(&reference.repository.registry).await?;
    let image = image::registry::read(&client, reference, None, cloud.reporter()).await?;
    Ok(image.config.document["config"]["Labels"][REVISION].as_str().map(str::to_owned))
}
