//! Lets an engine push an image to a registry on this machine, under a name that goes afterwards.
//! Called by `DockerEngine`.

use std::collections::HashMap;
use std::net::SocketAddr;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error as BollardError;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListImagesOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptionsBuilder,
    TagImageOptionsBuilder,
};
use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::cleanup::{in_any_case, is_over, left_by};
use super::export::broken;
use super::{DockerError, EngineImage};

/// An image of nothing, for taking names over: an engine deletes an image with its last name, but
/// not one whose name has moved on.
const EMPTY: (&str, &str) = ("lambdactl-empty", "latest");

/// A tar archive of nothing.
const EMPTY_ARCHIVE: Bytes = Bytes::from_static(&[0; 1024]);

/// The tag an image is pushed under; its repository is used once.
const TAG: &str = "image";

/// How the names begin that images are pushed under.
const NAME: &str = "lambdactl-";

/// A name that nothing else has, for an image to be pushed under.
pub fn name_for_a_push() -> String {
    format!("{NAME}{}", uuid::Uuid::new_v4().simple())
}

/// Gives an image a name in `repository`, such as `127.0.0.1:5000/name`, as which it can be pushed.
pub(super) async fn name(
    docker: &Docker,
    image: &EngineImage,
    repository: &str,
) -> Result<PushName, DockerError> {
    let doing = format!("having image `{}` pushed", image.id.short());
    if let Err(error) = tag(docker, &image.id.to_string(), repository, TAG).await {
        return Err(broken(doing, error));
    }
    let name = Name { repository: repository.to_owned(), is_last: image.tags.is_empty() };
    Ok(PushName { docker: docker.clone(), doing, name: Some(name) })
}

/// Removes the names that runs of lambdactl have left behind which were killed: those of
/// registries on this machine that are no more.
pub(super) async fn remove_leftovers(docker: &Docker) {
    let filters = HashMap::from([("reference", vec![format!("127.0.0.1:*/{NAME}*")])]);
    let list = ListImagesOptionsBuilder::new().filters(&filters).build();
    // Whoever cannot list them will find them the next time.
    let images = docker.list_images(Some(list)).await.unwrap_or_default();
    for name in images.iter().flat_map(|image| &image.repo_tags).filter_map(|name| left_behind(name)) {
        let (address, repository) = name;
        if is_over(address).await {
            // The other names of its image may go meanwhile.
            remove(docker, &Name { repository: repository.to_owned(), is_last: true }).await;
        }
    }
}

/// The registry and the repository of a name that is ours.
fn left_behind(name: &str) -> Option<(SocketAddr, &str)> {
    let repository = name.strip_suffix(TAG)?.strip_suffix(':')?;
    let (address, path) = repository.split_once('/')?;
    let id = path.strip_prefix(NAME)?;
    Some((left_by(address, id)?, repository))
}

async fn tag(docker: &Docker, image: &str, repository: &str, tag: &str) -> Result<(), BollardError> {
    docker.tag_image(image, Some(TagImageOptionsBuilder::new().repo(repository).tag(tag).build())).await
}

/// A name an image was pushed under.
#[derive(Debug)]
struct Name {
    repository: String,
    /// Whether the image may have no other.
    is_last: bool,
}

impl Name {
    fn reference(&self) -> String {
        format!("{}:{TAG}", self.repository)
    }
}

/// The name of an image that is pushed. It goes, also where nobody waits for that.
#[derive(Debug)]
pub struct PushName {
    docker: Docker,
    /// What goes on, for errors.
    doing: String,
    name: Option<Name>,
}

impl PushName {
    /// The name as engines know it.
    pub fn reference(&self) -> String {
        self.name.as_ref().map(Name::reference).unwrap_or_default()
    }

    /// Pushes the image under this name. Dropping the future ends the push.
    pub async fn push(&self) -> Result<(), DockerError> {
        let repository = self.name.as_ref().map(|name| name.repository.as_str()).unwrap_or_default();
        let options = PushImageOptionsBuilder::new().tag(TAG).build();
        // Some engines demand credentials even where none are needed.
        let pushing = self.docker.push_image(repository, Some(options), Some(DockerCredentials::default()));
        let pushed = pushing.try_for_each(|_| std::future::ready(Ok(()))).await;
        pushed.map_err(|error| broken(self.doing.clone(), error))
    }

    /// Removes it now.
    pub async fn remove(mut self) {
        if let Some(name) = self.name.take() {
            remove(&self.docker, &name).await;
        }
    }
}

impl Drop for PushName {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else { return };
        let docker = self.docker.clone();
        in_any_case(async move { remove(&docker, &name).await });
    }
}

/// Removes a name, but never an image.
async fn remove(docker: &Docker, name: &Name) {
    let removing = async {
        if name.is_last {
            take_over(docker, &name.repository).await?;
        }
        // The images it stands on are somebody else's cache.
        let options = RemoveImageOptionsBuilder::new().noprune(true).build();
        docker.remove_image(&name.reference(), Some(options), None).await
    };
    if let Err(error) = removing.await {
        tracing::debug!("the name `{}` stays in the engine: {error}", name.repository);
    }
}

/// Gives a name to the image of nothing, so that the one that had it is nameless.
async fn take_over(docker: &Docker, repository: &str) -> Result<(), BollardError> {
    let empty = format!("{}:{}", EMPTY.0, EMPTY.1);
    match tag(docker, &empty, repository, TAG).await {
        Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => {}
        done => return done,
    }
    let options = CreateImageOptionsBuilder::new().from_src("-").repo(EMPTY.0).tag(EMPTY.1).build();
    let importing = docker.create_image(Some(options), Some(bollard::body_full(EMPTY_ARCHIVE)), None);
    importing.try_for_each(|_| std::future::ready(Ok(()))).await?;
    tag(docker, &empty, repository, TAG).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_own_are_left_behind() {
        let ours = format!("127.0.0.1:45123/{}:{TAG}", name_for_a_push());
        let (address, repository) = left_behind(&ours).unwrap();
        assert_eq!(address, "127.0.0.1:45123".parse().unwrap());
        assert_eq!(format!("{repository}:{TAG}"), ours);
        let id = uuid::Uuid::new_v4().simple();
        for other in [
            format!("127.0.0.1:45123/lambdactl-{id}:latest"),
            format!("192.0.2.1:45123/lambdactl-{id}:image"),
            "127.0.0.1:45123/lambdactl-hello:image".to_owned(),
            format!("127.0.0.1:45123/{id}:image"),
            format!("lambdactl-{id}:image"),
        ] {
            assert!(left_behind(&other).is_none(), "{other}");
        }
    }
}
