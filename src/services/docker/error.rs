//! What can go wrong between this program and an engine, and what to do about it.

use std::path::PathBuf;

use crate::domain::platform::{Architecture, Platform};

use super::discovery::USUAL_PLACE;
use super::failure::BuildFailure;

/// Says what went wrong with the engine.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// Nothing names an engine, and none of the usual sockets is there.
    #[error("no Docker Engine was found: none of {} is there", quoted(looked_at))]
    NoEngine {
        /// The sockets that were looked for.
        looked_at: Vec<PathBuf>,
    },
    /// There is an address, but nothing answers at it.
    #[error("cannot reach the Docker Engine at `{address}` ({origin}): {why}")]
    NotRunning {
        /// The address.
        address: String,
        /// Who named it: `DOCKER_HOST`, a context, or this program.
        origin: String,
        /// What the system said.
        why: String,
    },
    /// The socket is there, and this user may not use it.
    #[error("no right to use the Docker Engine at `{address}` ({origin}): {why}")]
    NotPermitted {
        /// The address.
        address: String,
        /// Who named it.
        origin: String,
        /// What the system said.
        why: String,
    },
    /// Something else than an engine answered, or the way to it is broken.
    #[error("cannot talk to the Docker Engine at `{address}` ({origin}): {why}")]
    Unreachable {
        /// The address.
        address: String,
        /// Who named it.
        origin: String,
        /// What happened.
        why: String,
    },
    /// An address that cannot be used.
    #[error("`{host}` ({origin}) is no address of a Docker Engine: {why}")]
    InvalidHost {
        /// The address.
        host: String,
        /// Who named it.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
    /// A docker context that does not exist.
    #[error("docker context `{name}` ({origin}) does not exist: there is no `{}`", file.display())]
    ContextNotFound {
        /// Its name.
        name: String,
        /// Who named it.
        origin: String,
        /// The file that would describe it.
        file: PathBuf,
    },
    /// A file of the docker client's configuration that cannot be understood.
    #[error("cannot read `{}`: {why}", file.display())]
    Configuration {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The directory to send is not there, or is not a directory.
    #[error("cannot use `{}` as the build context: {why}", directory.display())]
    BuildContext {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no Dockerfile where one was expected.
    #[error("there is no Dockerfile at `{}`", path.display())]
    DockerfileNotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A `.dockerignore` that Docker would refuse, too.
    #[error("cannot use `{}`: {why}", file.display())]
    Dockerignore {
        /// The file.
        file: PathBuf,
        /// Which line, and what is wrong with it.
        why: String,
    },
    /// A file of the context could not be read while it was sent.
    #[error("cannot send `{}` to the engine: {why}", path.display())]
    SendContext {
        /// The file or directory.
        path: PathBuf,
        /// What happened.
        why: String,
    },
    /// The build itself failed.
    #[error(transparent)]
    BuildFailed(#[from] Box<BuildFailure>),
    /// An image for another machine than the wanted one.
    #[error("image `{image}` is for `{found}`, but `{wanted}` is wanted")]
    PlatformMismatch {
        /// Its name or ID.
        image: String,
        /// What it runs on.
        found: Platform,
        /// What was asked for.
        wanted: Architecture,
    },
    /// The engine has no such image.
    #[error("the Docker Engine has no image `{name}`")]
    ImageNotFound {
        /// The name that was asked for.
        name: String,
    },
    /// A text that cannot be a name or an ID of an image.
    #[error("`{name}` is not a name of an image in the Docker Engine")]
    InvalidImageName {
        /// The text.
        name: String,
    },
    /// The engine answered with an error.
    #[error("{doing}: the engine answered with status {status}: {message}")]
    Refused {
        /// What was being done, on what.
        doing: String,
        /// The HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// The connection broke, or an answer made no sense.
    #[error("{doing}: {why}")]
    Broken {
        /// What was being done, on what.
        doing: String,
        /// What happened.
        why: String,
    },
}

/// The way out that is open whatever the engine does.
const WITHOUT_DOCKER: &str =
    "assemble the image without Docker: `base` and `files` in the `[image]` table of lambdactl.toml";

impl DockerError {
    /// What to do about it, where something can be said.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoEngine { .. } => {
                format!("start Docker, or set DOCKER_HOST; or {WITHOUT_DOCKER}")
            }
            Self::NotRunning { address, .. } if address.starts_with("ssh://") => {
                format!("see what `docker --host {address} version` says; or {WITHOUT_DOCKER}")
            }
            Self::NotRunning { origin, .. } if origin == USUAL_PLACE => {
                format!("start Docker, or set DOCKER_HOST; or {WITHOUT_DOCKER}")
            }
            Self::NotRunning { origin, .. } => {
                format!("start Docker there, or let {origin} name another engine; or {WITHOUT_DOCKER}")
            }
            Self::NotPermitted { .. } => format!(
                "join the group that may use it (`sudo usermod -aG docker $USER`, then log in again); or {WITHOUT_DOCKER}"
            ),
            Self::Unreachable { address, .. } => {
                format!("see what `docker --host {address} version` says; or {WITHOUT_DOCKER}")
            }
            Self::InvalidHost { .. } => {
                "use `unix:///path/to/docker.sock`, `tcp://host:port` or `ssh://user@host`".to_owned()
            }
            Self::ContextNotFound { .. } => {
                "`docker context ls` lists the contexts there are; `docker context use default` goes back to the local engine"
                    .to_owned()
            }
            Self::BuildContext { .. } => {
                "name the directory with the files of the build: `context` in the `[image]` table".to_owned()
            }
            Self::DockerfileNotFound { .. } => format!(
                "name it with `--dockerfile`, or with `dockerfile` in the `[image]` table; or {WITHOUT_DOCKER}"
            ),
            Self::BuildFailed(failure) => return failure.hint.clone(),
            Self::PlatformMismatch { wanted, .. } => format!(
                "use a base image that exists for `linux/{}`, or set `architecture` to what the image is for",
                wanted.oci()
            ),
            Self::ImageNotFound { .. } => {
                "`docker images` lists the images there are; `docker pull` fetches one".to_owned()
            }
            Self::Configuration { .. }
            | Self::Dockerignore { .. }
            | Self::SendContext { .. }
            | Self::InvalidImageName { .. }
            | Self::Refused { .. }
            | Self::Broken { .. } => return None,
        })
    }
}

fn quoted(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_engine_the_ways_out_are_named() {
        let error = DockerError::NoEngine { looked_at: vec!["/var/run/docker.sock".into()] };
        assert_eq!(error.to_string(), "no Docker Engine was found: none of `/var/run/docker.sock` is there");
        let hint = error.hint().unwrap();
        assert!(hint.contains("DOCKER_HOST") && hint.contains("`base` and `files`"), "{hint}");
    }

    #[test]
    fn without_the_right_the_group_is_named() {
        let error = DockerError::NotPermitted {
            address: "unix:///var/run/docker.sock".to_owned(),
            origin: "the usual place".to_owned(),
            why: "Permission denied (os error 13)".to_owned(),
        };
        assert!(error.hint().unwrap().contains("usermod -aG docker"));
    }

    #[test]
    fn a_foreign_image_names_both_machines() {
        let error = DockerError::PlatformMismatch {
            image: "hello".to_owned(),
            found: Platform::linux(Architecture::Arm64),
            wanted: Architecture::X86_64,
        };
        assert_eq!(error.to_string(), "image `hello` is for `linux/arm64`, but `x86_64` is wanted");
        assert!(error.hint().unwrap().contains("linux/amd64"));
    }
}
