//! Reads single files and directories out of an image: through a container of it that is never
//! started. Called by `DockerEngine`.
//!
//! What a run leaves behind that is killed, the next one removes.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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

/// How long an engine may take to answer, also one that is very busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// The files of an image. The engine makes a container for them when the first is asked for, and
/// keeps it until this is closed, or dropped.
#[derive(Debug)]
pub struct ImageFiles {
    docker: Docker,
    image: Digest,
    /// That of the container, which is made or about to be made.
    mark: OnceLock<Mark>,
    container: OnceCell<()>,
    is_closed: AtomicBool,
}

/// Those of the image with this ID.
pub(super) fn of(docker: &Docker, image: Digest) -> ImageFiles {
    let (mark, container, is_closed) = (OnceLock::new(), OnceCell::new(), AtomicBool::new(false));
    ImageFiles { docker: docker.clone(), image, mark, container, is_closed }
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
        let doing = format!("reading `{path}` of an image");
        let late = |_| DockerError::Broken {
            doing: doing.clone(),
            why: format!("no answer within {} s", PATIENCE.as_secs()),
        };
        tokio::time::timeout(PATIENCE, self.answer(path, doing.clone())).await.map_err(late)?
    }

    async fn answer(
        &self,
        path: &str,
        doing: String,
    ) -> Result<Option<impl Stream<Item = Result<Bytes, DockerError>> + Send + Unpin + use<>>, DockerError>
    {
        let name = self.container().await?;
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let mut archive = self.docker.download_from_container(&name, Some(options)).boxed();
        match archive.next().await {
            None => Err(DockerError::Broken { doing, why: "the answer is empty".to_owned() }),
            // A container that is gone is answered with the same status.
            Some(Err(BollardError::DockerResponseServerError { status_code: 404, message }))
                if !message.to_lowercase().contains("no such container") =>
            {
                Ok(None)
            }
            Some(Err(error)) => Err(broken(doing, error)),
            Some(Ok(first)) => {
                let rest = archive.map(move |chunk| chunk.map_err(|error| broken(doing.clone(), error)));
                Ok(Some(futures_util::stream::iter([Ok(first)]).chain(rest).boxed()))
            }
        }
    }

    /// The name of the container, which is made where there is none yet.
    async fn container(&self) -> Result<String, DockerError> {
        let doing = || format!("creating a container of `{}`", self.image.short());
        let unable = |why: String| DockerError::Broken { doing: doing(), why };
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(unable("nobody needs it any more".to_owned()));
        }
        let mark = match self.mark.get() {
            Some(mark) => mark,
            None => {
                let mark = Mark::new().map_err(|error| unable(error.to_string()))?;
                self.mark.get_or_init(|| mark)
            }
        };
        let name = name(mark);
        let create = async {
            let body = ContainerCreateBody {
                image: Some(self.image.to_string()),
                // Images need not say what to start, and containers must.
                entrypoint: Some(vec!["/".to_owned()]),
                cmd: Some(Vec::new()),
                // That of the image would be made where it is missing.
                working_dir: Some("/".to_owned()),
                labels: Some(HashMap::from([(LABEL.to_owned(), mark.to_string())])),
                network_disabled: Some(true),
                ..ContainerCreateBody::default()
            };
            let options = CreateContainerOptionsBuilder::new().name(&name).build();
            let created = self.docker.create_container(Some(options), body).await;
            created.map(drop).map_err(|error| broken(doing(), error))
        };
        self.container.get_or_try_init(|| create).await?;
        Ok(name)
    }

    /// Removes the container, and those that runs have left behind which were killed: nobody waits for
    /// that. What is being read meanwhile may not come to its end.
    pub fn close(&self) {
        if self.is_closed.swap(true, Ordering::SeqCst) {
            return;
        }
        let Some(mark) = self.mark.get() else { return };
        let (docker, name) = (self.docker.clone(), name(mark));
        // It may be about to be made.
        let attempts = if self.container.initialized() { 1 } else { 20 };
        in_any_case(async move {
            for _ in 0..attempts {
                if remove(&docker, &name).await {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            remove_leftovers(&docker).await;
        });
    }
}

impl Drop for ImageFiles {
    fn drop(&mut self) {
        self.close();
    }
}

fn name(mark: &Mark) -> String {
    format!("{NAME}{}", mark.id())
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

/// Tells whether the container is gone, or going; one that was never there is neither.
async fn remove(docker: &Docker, container: &str) -> bool {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match docker.remove_container(container, Some(options)).await {
        Ok(()) | Err(BollardError::DockerResponseServerError { status_code: 409, .. }) => true,
        Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => false,
        Err(error) => {
            tracing::debug!("the container `{container}` stays in the engine: {error}");
            true
        }
    }
}
