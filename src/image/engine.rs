//! Images of the Docker Engine: what no registry has yet is exported and compressed.

use futures_util::TryStreamExt;
use tokio_util::io::StreamReader;

use super::archive::{self, Expected};
use super::known::KnownImages;
use super::{Image, ImageError};
use crate::domain::platform::Architecture;
use crate::event::{Event, SharedReporter};
use crate::services::docker::{DockerEngine, DockerError};

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
    let expected = Expected::new(&found.diff_ids, layers);
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
