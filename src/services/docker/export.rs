//! Looks images up in the engine and streams them out. Called by `DockerEngine`.

use std::path::PathBuf;

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::models::{DriverData, ImageInspect};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::connection::deepest;
use super::{DockerError, EngineImage, GraphDriver};
use crate::domain::digest::DiffId;
use crate::domain::platform::Platform;

/// Asks the engine about an image; `None` where it has none of that name.
pub(super) async fn inspect(docker: &Docker, name: &str) -> Result<Option<EngineImage>, DockerError> {
    check_name(name)?;
    let doing = || format!("inspecting image `{name}`");
    match docker.inspect_image(name).await {
        Ok(found) => engine_image(found).map(Some).map_err(|why| DockerError::Broken { doing: doing(), why }),
        Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(broken(doing(), error)),
    }
}

/// The sizes of an image's layers. The history has an entry for each instruction; those that
/// wrote nothing cannot be told from those that made an empty layer.
pub(super) async fn layer_sizes(docker: &Docker, image: &EngineImage) -> Option<Vec<u64>> {
    let history = docker.image_history(&image.id.to_string()).await.ok()?;
    let sizes = history.iter().rev().map(|entry| u64::try_from(entry.size).unwrap_or_default());
    let sizes: Vec<u64> = sizes.filter(|size| *size > 0).collect();
    (sizes.len() == image.diff_ids.len()).then_some(sizes)
}

/// Streams the archive of an image.
pub(super) fn export(
    docker: Docker,
    name: String,
) -> impl Stream<Item = Result<Bytes, DockerError>> + Send + 'static {
    let bytes = match check_name(&name) {
        Ok(()) => docker.export_image(&name).left_stream(),
        Err(_) => futures_util::stream::empty().right_stream(),
    };
    let invalid = futures_util::stream::iter(check_name(&name).err().map(Err));
    invalid.chain(bytes.map(move |item| {
        item.map_err(|error| match error {
            BollardError::DockerResponseServerError { status_code: 404, .. } => {
                DockerError::ImageNotFound { name: name.clone() }
            }
            error => broken(format!("exporting image `{name}`"), error),
        })
    }))
}

/// Refuses what would change the address of the request it becomes part of.
fn check_name(name: &str) -> Result<(), DockerError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if name.is_empty()
        || !name.chars().all(is_name)
        || name.split('/').any(|part| matches!(part, "" | "." | ".."))
    {
        return Err(DockerError::InvalidImageName { name: name.to_owned() });
    }
    Ok(())
}

fn engine_image(found: ImageInspect) -> Result<EngineImage, String> {
    let id = found.id.unwrap_or_default().parse().map_err(|error| format!("{error}"))?;
    let layers = found.root_fs.and_then(|root| root.layers).unwrap_or_default();
    let diff_ids = layers
        .iter()
        .map(|layer| layer.parse().map(DiffId))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{error}"))?;
    let volumes = found.config.and_then(|config| config.volumes);
    Ok(EngineImage {
        id,
        has_volumes: volumes.is_some_and(|volumes| !volumes.is_empty()),
        platform: Platform {
            os: found.os.unwrap_or_default(),
            architecture: found.architecture.unwrap_or_default(),
            variant: found.variant.filter(|variant| !variant.is_empty()),
        },
        tags: found.repo_tags.unwrap_or_default().into_iter().filter(|tag| tag != "<none>:<none>").collect(),
        size: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        diff_ids,
        graph_driver: found.graph_driver.and_then(graph_driver),
    })
}

/// With containerd there are no directories to name.
fn graph_driver(mut driver: DriverData) -> Option<GraphDriver> {
    let lies_in_directories = !driver.data.is_empty();
    let top = driver.data.remove("UpperDir").map(PathBuf::from);
    lies_in_directories.then_some(GraphDriver { name: driver.name, top })
}

/// An error of the library, in the words of what was being done.
pub(super) fn broken(doing: String, error: BollardError) -> DockerError {
    match error {
        BollardError::DockerResponseServerError { status_code, message } => {
            DockerError::Refused { doing, status: status_code, message }
        }
        error => DockerError::Broken { doing, why: deepest(&error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_the_address() {
        for name in ["hello", "hello:v1", "registry.example:5000/team/hello@sha256:00", "sha256:00"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "../containers", "a/../b", "a?force=1", "a#b", "a%2fb", "/a", "a//b"] {
            assert!(matches!(check_name(name), Err(DockerError::InvalidImageName { .. })), "{name}");
        }
    }

    #[test]
    fn an_answer_of_docker_20_10_is_understood() {
        let found: ImageInspect = serde_json::from_str(
            r#"{"Id":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","RepoTags":[],
                "Architecture":"arm64","Variant":"","Os":"linux","Size":12,"VirtualSize":12,
                "RootFS":{"Type":"layers","Layers":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#,
        )
        .unwrap();
        let image = engine_image(found).unwrap();
        assert_eq!(image.platform.to_string(), "linux/arm64");
        assert_eq!((image.size, image.diff_ids.len()), (12, 1));
    }

    #[test]
    fn an_answer_without_an_id_is_an_error_not_a_wrong_image() {
        assert!(engine_image(ImageInspect::default()).is_err());
    }
}
