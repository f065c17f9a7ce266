//! Lets an engine push an image to a registry on this machine, under a name that goes afterwards.
//! Called by `DockerEngine`.

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{PushImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::TryStreamExt as _;

use super::export::broken;
use super::{DockerError, EngineImage};

/// What an image without any other name is called, because an engine deletes an image with its
/// last name. The next one takes the name over, and this one is nameless again.
const KEPT: (&str, &str) = ("lambdactl-build", "latest");

/// The tag the image is pushed under; its repository is used once.
const TAG: &str = "image";

/// Pushes `image` to `repository`, such as `127.0.0.1:5000/name`.
pub(super) async fn push(docker: &Docker, image: &EngineImage, repository: &str) -> Result<(), DockerError> {
    let id = image.id.to_string();
    let failed = |error| broken(format!("having image `{}` pushed", image.id.short()), error);
    if image.tags.is_empty() {
        tag(docker, &id, KEPT.0, KEPT.1).await.map_err(failed)?;
    }
    tag(docker, &id, repository, TAG).await.map_err(failed)?;
    let name = Name { docker: docker.clone(), name: Some(format!("{repository}:{TAG}")) };
    let options = PushImageOptionsBuilder::new().tag(TAG).build();
    // Some engines demand credentials even where none are needed.
    let pushing = docker.push_image(repository, Some(options), Some(DockerCredentials::default()));
    let pushed = pushing.try_for_each(|_| std::future::ready(Ok(()))).await;
    name.remove().await;
    pushed.map_err(failed)
}

async fn tag(docker: &Docker, id: &str, repository: &str, tag: &str) -> Result<(), bollard::errors::Error> {
    docker.tag_image(id, Some(TagImageOptionsBuilder::new().repo(repository).tag(tag).build())).await
}

/// A name that goes, also where nobody waits for the push to end.
struct Name {
    docker: Docker,
    name: Option<String>,
}

impl Name {
    async fn remove(mut self) {
        if let Some(name) = self.name.take() {
            remove(&self.docker, &name).await;
        }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else { return };
        let docker = self.docker.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { remove(&docker, &name).await });
        }
    }
}

async fn remove(docker: &Docker, name: &str) {
    // The images it stands on are somebody else's cache.
    let options = RemoveImageOptionsBuilder::new().noprune(true).build();
    if let Err(error) = docker.remove_image(name, Some(options), None).await {
        tracing::debug!("the name `{name}` stays in the engine: {error}");
    }
}
