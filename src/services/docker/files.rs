//! Reads single files and directories out of an image: through a container of it that is never
//! started. Called by `DockerEngine`.
//!
//! What a run leaves behind that is killed, the next one removes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::OnceCell;

use super::DockerError;
use super::cleanup::{Mark, in_any_case, is_over};
use super::export::broken;
use crate::domain::digest::Digest;

/// The label of these containers: the mark of the run that made one, while it needs it.
const LABEL: &str = "lambdactl.files";

/// How the names of these containers begin; the ID of their mark comes after it.
const NAME: &str = "lambdactl-files-";

/// The files of an image. The engine makes a container for them when the first is asked for, and
/// keeps it until this is closed, or dropped.
#[derive(Debug)]
pub struct ImageFiles {
    docker: Docker,
    image: Digest,
    container: OnceCell<Container>,
    is_closed: AtomicBool,
}

#[derive(Debug)]
struct Container {
    name: String,
    _mark: Mark,
}

/// Those of the image with this ID.
pub(super) fn of(docker: &Docker, image: Digest) -> ImageFiles {
    let (container, is_closed) = (OnceCell::new(), AtomicBool::new(false));
    ImageFiles { docker: docker.clone(), image, container, is_closed }
}

async fn create(docker: &Docker, image: &Digest) -> Result<Container, DockerError> {
    let doing = || format!("creating a container of `{image}`");
    let mark = Mark::new().map_err(|error| DockerError::Broken { doing: doing(), why: error.to_string() })?;
    let body = ContainerCreateBody {
        image: Some(image.to_string()),
        // Images need not say what to start, and containers must.
        entrypoint: Some(vec!["/".to_owned()]),
        cmd: Some(Vec::new()),
        // That of the image would be made where it is missing.
        working_dir: Some("/".to_owned()),
        labels: Some(HashMap::from([(LABEL.to_owned(), mark.to_string())])),
        network_disabled: Some(true),
        ..ContainerCreateBody::default()
    };
    let name = format!("{NAME}{}", mark.id());
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    docker.create_container(Some(options), body).await.map_err(|error| broken(doing(), error))?;
    Ok(Container { name, _mark: mark })
}

impl ImageFiles {
    /// The ID of the image.
    pub fn image(&self) -> &Digest {
        &self.image
    }

    /// The tar archive of what is at `path`, a directory with all there is in it; links above it
    /// are followed, one at its end is not. `None` where nothing is there.
    pub async fn archive(
        &self,
        path: &str,
    ) -> Result<Option<impl Stream<Item = Result<Bytes, DockerError>> + Send + Unpin + use<>>, DockerError>
    {
        let failed = {
            let doing = format!("reading `{path}` of an image");
            move |error| broken(doing.clone(), error)
        };
        let container = self.container.get_or_try_init(|| create(&self.docker, &self.image)).await?;
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let mut archive = self.docker.download_from_container(&container.name, Some(options)).boxed();
        match archive.next().await {
            None => Ok(None),
            // Nor is there anything where the container is gone: that is another matter.
            Some(Err(BollardError::DockerResponseServerError { status_code: 404, message }))
                if !message.to_lowercase().contains("no such container") =>
            {
                Ok(None)
            }
            Some(Err(error)) => Err(failed(error)),
            Some(Ok(first)) => {
                let rest = archive.map(move |chunk| chunk.map_err(&failed));
                Ok(Some(futures_util::stream::iter([Ok(first)]).chain(rest).boxed()))
            }
        }
    }

    /// Removes the container, and those that runs have left behind which were killed.
    pub async fn close(&self) {
        if let Some(container) = self.to_remove() {
            tokio::join!(remove(&self.docker, container), remove_leftovers(&self.docker));
        }
    }

    /// Removes the container although nobody waits for it, while others may still be reading.
    pub fn abandon(&self) {
        if let Some(container) = self.to_remove() {
            let (docker, container) = (self.docker.clone(), container.to_owned());
            in_any_case(async move { remove(&docker, &container).await });
        }
    }

    /// The container, where there is one that is not removed yet.
    fn to_remove(&self) -> Option<&str> {
        let container = self.container.get()?;
        (!self.is_closed.swap(true, Ordering::Relaxed)).then_some(container.name.as_str())
    }
}

impl Drop for ImageFiles {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// Removes the containers that runs of lambdactl have left behind which were killed.
pub(super) async fn remove_leftovers(docker: &Docker) {
    let filters = HashMap::from([("label", vec![LABEL.to_owned()])]);
    let list = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    // Whoever cannot list them will find them the next time.
    for found in docker.list_containers(Some(list)).await.unwrap_or_default() {
        let Some(mark) = found.labels.as_ref().and_then(|labels| labels.get(LABEL)) else { continue };
        let Some((address, id)) = Mark::read(mark) else { continue };
        let name = format!("{NAME}{id}");
        // Images may have the label, too, and their containers inherit it.
        let is_ours = found.names.unwrap_or_default().contains(&format!("/{name}"));
        if is_ours && is_over(address).await {
            remove(docker, &name).await;
        }
    }
}

async fn remove(docker: &Docker, container: &str) {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match docker.remove_container(container, Some(options)).await {
        Ok(()) | Err(BollardError::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
        Err(error) => tracing::debug!("the container `{container}` stays in the engine: {error}"),
    }
}
