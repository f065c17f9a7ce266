//! Finds the images of an engine that came from a registry or went to one, and that another image
//! stands on. Called by `DockerEngine`.

use bollard::Docker;
use bollard::query_parameters::ListImagesOptionsBuilder;
use futures_util::{StreamExt as _, stream};

use super::{DockerError, EngineImage, PublishedImage, export};
use crate::domain::reference::ImageReference;

/// How many images are looked at: the newest. An engine in daily use has hundreds.
const CANDIDATES: usize = 100;
/// How many are looked at at a time.
const AT_ONCE: usize = 8;

/// The images whose layers are the lowest ones of `image`, or all of them: those with the most
/// layers first.
pub(super) async fn below(docker: &Docker, image: &EngineImage) -> Result<Vec<PublishedImage>, DockerError> {
    let options = ListImagesOptionsBuilder::new().digests(true).build();
    let listing = docker.list_images(Some(options)).await;
    let mut listed = listing.map_err(|error| export::broken("listing images".to_owned(), error))?;
    listed.retain(|found| found.repo_digests.iter().any(|name| is_published(name)));
    listed.sort_by_key(|found| std::cmp::Reverse(found.created));
    let looked_at = listed.into_iter().take(CANDIDATES).map(|candidate| async move {
        let found = export::inspect(docker, &candidate.id).await.ok()??;
        let is_below = !found.diff_ids.is_empty() && image.diff_ids.starts_with(&found.diff_ids);
        let names = candidate.repo_digests.iter().filter(|name| is_published(name));
        let references: Vec<_> = names.filter_map(|name| ImageReference::parse_familiar(name).ok()).collect();
        (is_below && !references.is_empty())
            .then_some(PublishedImage { references, layers: found.diff_ids.len() })
    });
    let looked_at = stream::iter(looked_at.collect::<Vec<_>>()).buffered(AT_ONCE);
    let mut below: Vec<PublishedImage> = looked_at.filter_map(std::future::ready).collect().await;
    below.sort_by_key(|found| std::cmp::Reverse(found.layers));
    Ok(below)
}

/// Images that were only ever here are listed with such a digest by some engines.
fn is_published(name: &str) -> bool {
    !name.starts_with("<none>") && name.contains("@sha256:")
}
