//! Reads single files and directories out of an image: through a container of it that is never
//! started. Called by `DockerEngine`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptionsBuilder, RemoveContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::runtime::Handle;

use super::DockerError;
use super::export::broken;

/// Marks the containers, should one be left behind.
const LABEL: &str = "lambdactl.files";

/// The files of an image. The engine keeps a container for it until this is closed, or dropped.
#[derive(Debug)]
pub struct ImageFiles {
    docker: Docker,
    container: String,
    is_closed: AtomicBool,
}

/// Makes the container.
pub(super) async fn open(docker: &Docker, image: &str) -> Result<ImageFiles, DockerError> {
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        // Images need not say what to start, and containers must.
        entrypoint: Some(vec!["/".to_owned()]),
        cmd: Some(Vec::new()),
        labels: Some(HashMap::from([(LABEL.to_owned(), String::new())])),
        network_disabled: Some(true),
        ..ContainerCreateBody::default()
    };
    let created = docker
        .create_container(None::<CreateContainerOptions>, body)
        .await
        .map_err(|error| broken(format!("creating a container of `{image}`"), error))?;
    Ok(ImageFiles { docker: docker.clone(), container: created.id, is_closed: AtomicBool::new(false) })
}

impl ImageFiles {
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
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let mut archive = self.docker.download_from_container(&self.container, Some(options)).boxed();
        match archive.next().await {
            None => Ok(None),
            Some(Err(BollardError::DockerResponseServerError { status_code: 404, .. })) => Ok(None),
            Some(Err(error)) => Err(failed(error)),
            Some(Ok(first)) => {
                let rest = archive.map(move |chunk| chunk.map_err(&failed));
                Ok(Some(futures_util::stream::iter([Ok(first)]).chain(rest).boxed()))
            }
        }
    }

    /// Removes the container.
    pub async fn close(&self) {
        if !self.is_closed.swap(true, Ordering::Relaxed) {
            remove(&self.docker, &self.container).await;
        }
    }
}

impl Drop for ImageFiles {
    fn drop(&mut self) {
        if self.is_closed.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let (docker, container) = (self.docker.clone(), std::mem::take(&mut self.container));
        runtime.spawn(async move { remove(&docker, &container).await });
    }
}

async fn remove(docker: &Docker, container: &str) {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    if let Err(error) = docker.remove_container(container, Some(options)).await {
        tracing::debug!("the container `{container}` stays in the engine: {error}");
    }
}
