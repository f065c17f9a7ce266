//! Images of the lower layers of another one, so that these can be exported on their own. Called
//! by `DockerEngine`.
//!
//! An engine that keeps layers as directories looks for those of an image that is loaded among its
//! own before it reads them: so an archive that holds nothing but a configuration makes an image of
//! layers that are there, within milliseconds and without a byte of them. So it is from Docker
//! 20.10 to 29. <https://github.com/moby/moby/blob/v28.5.2/image/tarexport/load.go>
//!
//! Such an image has no name, and goes as soon as its archive begins: an export that is under way
//! holds the layers itself. An engine deletes no layer that another image has. What a run leaves
//! behind that is killed, the next one removes.

use std::collections::HashMap;

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::task::JoinHandle;

use super::cleanup::{Mark, in_any_case, is_over};
use super::{DockerError, EngineImage, GraphDriver, container, export};
use crate::domain::digest::{DiffId, Digest};
use crate::domain::platform::Platform;

/// The label of these images: the mark of the run that made one, while it needs it.
const LABEL: &str = "lambdactl.prefix";

/// An image of the lower layers of another one. The engine keeps it until this is removed, or
/// dropped.
#[derive(Debug)]
pub struct Prefix {
    docker: Docker,
    image: EngineImage,
    /// An engine may go on making an image that nobody waits for any more.
    making: Option<JoinHandle<Result<(), DockerError>>>,
    is_gone: bool,
    _mark: Mark,
}

/// Makes an image of the `count` lowest layers of `image`.
pub(super) async fn make(docker: &Docker, image: &EngineImage, count: usize) -> Result<Prefix, DockerError> {
    let doing = || format!("making an image of {count} layers of `{}`", image.id.short());
    let broken = |error: std::io::Error| DockerError::Broken { doing: doing(), why: error.to_string() };
    let mark = Mark::new().map_err(broken)?;
    let diff_ids = image.diff_ids.iter().copied().take(count).collect::<Vec<_>>();
    let configuration = configuration(&image.platform, &diff_ids, &mark.to_string());
    let archive = Bytes::from(archive(&configuration, count).map_err(broken)?);
    let (name, loading) = (doing(), docker.clone());
    let mut prefix = Prefix {
        docker: docker.clone(),
        image: EngineImage {
            id: Digest::of(&configuration),
            platform: image.platform.clone(),
            size: 0,
            diff_ids,
            tags: Vec::new(),
            graph_driver: image.graph_driver.clone().map(|driver| GraphDriver { top: None, ..driver }),
            has_volumes: false,
        },
        making: Some(tokio::spawn(async move {
            container::load(&loading, &name, stream::iter([Ok(archive)])).await
        })),
        is_gone: false,
        _mark: mark,
    };
    prefix.made().await?;
    Ok(prefix)
}

impl Prefix {
    /// What it is.
    pub fn image(&self) -> &EngineImage {
        &self.image
    }

    async fn made(&mut self) -> Result<(), DockerError> {
        let Some(making) = self.making.as_mut() else { return Ok(()) };
        let made = making.await;
        self.making = None;
        made.unwrap_or_else(|error| {
            let doing = "making an image of layers that are there".to_owned();
            Err(DockerError::Broken { doing, why: error.to_string() })
        })
    }

    /// Removes it from the engine.
    pub async fn remove(mut self) {
        remove(&self.docker, &self.image.id).await;
        self.is_gone = true;
    }
}

impl Drop for Prefix {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        let (docker, id, making) = (self.docker.clone(), self.image.id, self.making.take());
        in_any_case(async move {
            if let Some(making) = making {
                let _ = making.await;
            }
            remove(&docker, &id).await;
        });
    }
}

/// Removes the images that runs of lambdactl have left behind which were killed.
pub(super) async fn remove_leftovers(docker: &Docker) {
    let filters = HashMap::from([("label", vec![LABEL.to_owned()])]);
    let list = ListImagesOptionsBuilder::new().filters(&filters).build();
    // Whoever cannot list them will find them the next time.
    for found in docker.list_images(Some(list)).await.unwrap_or_default() {
        let Some(mark) = found.labels.get(LABEL) else { continue };
        let Some((address, _)) = Mark::read(mark) else { continue };
        let Ok(Some(image)) = export::inspect(docker, &found.id).await else { continue };
        if is_ours(&image, mark) && is_over(address).await {
            remove(docker, &image.id).await;
        }
    }
}

/// Whether an image is one of these, and not one that has its label from elsewhere: it has no name,
/// and there is nothing more to it than what is made here.
fn is_ours(image: &EngineImage, mark: &str) -> bool {
    let made = configuration(&image.platform, &image.diff_ids, mark);
    image.tags.is_empty() && image.id == Digest::of(&made)
}

/// An engine's ID of an image is the digest of this.
fn configuration(platform: &Platform, diff_ids: &[DiffId], mark: &str) -> Vec<u8> {
    let configuration = json!({
        "architecture": platform.architecture,
        "config": { "Labels": { LABEL: mark } },
        "created": "1970-01-01T00:00:00Z",
        "os": platform.os,
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    configuration.to_string().into_bytes()
}

/// An archive to load, without the layers it names.
fn archive(configuration: &[u8], count: usize) -> std::io::Result<Vec<u8>> {
    let layers: Vec<String> = (0..count).map(|number| format!("{number}.tar")).collect();
    let manifest = json!([{ "Config": "config.json", "RepoTags": null, "Layers": layers }]).to_string();
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in [("config.json", configuration), ("manifest.json", manifest.as_bytes())] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content)?;
    }
    archive.into_inner()
}

/// Removes an image that has neither a name nor a container, and nothing else.
async fn remove(docker: &Docker, id: &Digest) {
    // The images it stands on are somebody else's.
    let options = RemoveImageOptionsBuilder::new().noprune(true).build();
    match docker.remove_image(&id.to_string(), Some(options), None).await {
        Ok(_) | Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => {}
        Err(error) => tracing::debug!("the image `{id}` stays in the engine: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_of(mark: &str) -> EngineImage {
        let platform = Platform { os: "linux".to_owned(), architecture: "arm64".to_owned(), variant: None };
        let diff_ids = vec![DiffId(Digest::of(b"lowest")), DiffId(Digest::of(b"next"))];
        let id = Digest::of(&configuration(&platform, &diff_ids, mark));
        EngineImage {
            id,
            platform,
            size: 0,
            diff_ids,
            tags: Vec::new(),
            graph_driver: None,
            has_volumes: false,
        }
    }

    #[test]
    fn only_images_of_our_own_are_left_behind() {
        let mark = Mark::new().unwrap().to_string();
        assert!(is_ours(&made_of(&mark), &mark));
        // A label is inherited by what is built upon an image, and anybody can write one.
        let named = EngineImage { tags: vec!["hello:latest".to_owned()], ..made_of(&mark) };
        let mut built_upon = made_of(&mark);
        built_upon.diff_ids.push(DiffId(Digest::of(b"top")));
        let written = EngineImage { id: Digest::of(b"another configuration"), ..made_of(&mark) };
        for other in [named, built_upon, written] {
            assert!(!is_ours(&other, &mark), "{other:?}");
        }
    }
}
