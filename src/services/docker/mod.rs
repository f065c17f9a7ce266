//! The Docker Engine (or Podman behind the same API): building, inspecting, exporting and pushing images, running containers.
//!
//! The pipeline builds with it; `image::engine` reads from it. `bollard`'s types end here.

mod bases;
mod build;
mod cleanup;
mod configuration;
mod connection;
mod container;
mod context;
mod description;
mod directories;
mod discovery;
mod dockerignore;
mod error;
mod export;
mod failure;
mod files;
mod greeting;
mod prefix;
mod progress;
mod published;
mod push;
mod raw;
mod transcript;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use bollard::Docker;
use bytes::Bytes;
use futures_util::Stream;

use self::connection::Greeted;
use self::discovery::Endpoint;
use crate::domain::digest::{DiffId, Digest};
use crate::domain::platform::{Architecture, Platform};
use crate::domain::reference::{ImageReference, RegistryHost};
use crate::domain::secret::Secret;
use crate::event::SharedReporter;

pub use cleanup::finish_cleaning_up;
pub use container::{Container, ContainerExit, ContainerOutput, ContainerRequest, ExecRequest, Execution};
pub use context::ContextFile;
pub use description::{BINFMT_MISC, EngineDescription, emulates};
pub use directories::{GraphDriver, KeptLayer, LayerDirectories};
pub use error::DockerError;
pub use failure::BuildFailure;
pub use files::ImageFiles;
pub use prefix::Prefix;
pub use push::{PushName, name_for_a_push};

/// Where to look for an engine: what the environment says, read once by `cli`.
#[derive(Clone, Debug, Default)]
pub struct EngineLocation {
    /// `DOCKER_HOST`.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub context: Option<String>,
    /// `DOCKER_CONFIG`, else `~/.docker`.
    pub config_directory: Option<PathBuf>,
    /// `DOCKER_CERT_PATH`, used where `DOCKER_TLS_VERIFY` is set.
    pub certificates: Option<PathBuf>,
    /// The home directory, for sockets below it.
    pub home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, for sockets below it.
    pub runtime_directory: Option<PathBuf>,
}

/// One build of a Dockerfile.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The directory that is sent.
    pub context: PathBuf,
    /// The Dockerfile, in the context or elsewhere.
    pub dockerfile: PathBuf,
    /// The stage to stop at.
    pub target: Option<String>,
    /// Values of ARG.
    pub args: BTreeMap<String, Secret>,
    /// What to build for; the engine's own where `None`.
    pub architecture: Option<Architecture>,
    /// Who the builder is at the registries it pulls from.
    pub credentials: BTreeMap<RegistryHost, Login>,
}

/// A user and password for a registry.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// The images a Dockerfile names, as far as its text tells; none where it cannot be read.
pub async fn base_images(dockerfile: &Path, args: &BTreeMap<String, Secret>) -> Vec<ImageReference> {
    match tokio::fs::read(dockerfile).await {
        Ok(text) => bases::images(&String::from_utf8_lossy(&text), args),
        Err(_) => Vec::new(),
    }
}

impl BuildRequest {
    /// The registries the Dockerfile takes images from, as far as its text tells; none where it
    /// cannot be read, which the build will say.
    pub async fn registries(&self) -> BTreeSet<RegistryHost> {
        match tokio::fs::read(&self.dockerfile).await {
            Ok(text) => bases::registries(&String::from_utf8_lossy(&text), &self.args),
            Err(_) => BTreeSet::new(),
        }
    }

    /// The files of the context that a builder gets to see. Walks directories, and blocks.
    pub fn files(&self) -> Result<Vec<ContextFile>, DockerError> {
        context::Context::open(self, dockerignore::Walk::BuildKit)?.files()
    }
}

/// An image in the engine.
#[derive(Clone, Debug)]
pub struct EngineImage {
    /// Its ID.
    pub id: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// Uncompressed bytes, as the engine counts them.
    pub size: u64,
    /// Its layers, lowest first.
    pub diff_ids: Vec<DiffId>,
    /// Its names.
    pub tags: Vec<String>,
    /// Where the engine says that its layers lie as directories; some do not say so, and have them.
    pub graph_driver: Option<GraphDriver>,
    /// Whether its containers have directories that it may not have itself.
    /// <https://docs.docker.com/reference/dockerfile/#volume>
    pub has_volumes: bool,
}

/// An image of the engine that is in a registry too.
#[derive(Clone, Debug)]
pub struct PublishedImage {
    /// What it is called there, each name with its digest.
    pub references: Vec<ImageReference>,
    /// How many layers it has.
    pub layers: usize,
}

/// How an engine keeps images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageStore {
    /// As the blobs a registry has, in containerd; else every layer is a directory.
    pub is_containerd: bool,
    /// Whether the engine may reach what listens on this machine's loopback address, so that it
    /// can push to here. It may still turn out not to.
    pub is_near: bool,
}

/// A connected engine.
#[derive(Clone, Debug)]
pub struct DockerEngine {
    docker: Docker,
    builder: Builder,
    is_docker: bool,
    is_near: bool,
    endpoint: Endpoint,
}

/// The two builders engines have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builder {
    /// Stages in parallel, cache mounts, structured progress.
    BuildKit,
    /// One instruction after the other; also what Podman answers to.
    Classic,
}

impl DockerEngine {
    /// Finds and greets an engine.
    ///
    /// Where the user names one, only that one is tried; of the usual sockets, the first that
    /// answers is taken, and if none does, the error is the first one's.
    pub async fn connect(location: &EngineLocation) -> Result<Self, DockerError> {
        let candidates = discovery::candidates(location)?;
        let mut first_error = None;
        for candidate in &candidates {
            match connection::connect(candidate).await {
                Ok(Greeted { docker, builder, is_docker }) => {
                    let is_near = candidate.is_here() && is_docker;
                    let endpoint = candidate.endpoint.clone();
                    return Ok(Self { docker, builder, is_docker, is_near, endpoint });
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or(DockerError::NoEngine { looked_at: Vec::new() }))
    }

    /// Whether it is a Docker Engine, and not Podman behind the same API.
    pub fn is_docker(&self) -> bool {
        self.is_docker
    }

    /// Whether it is asked over a socket of this machine.
    pub fn has_socket(&self) -> bool {
        self.endpoint.is_socket()
    }

    /// The builder [`Self::build`] uses.
    pub fn builder(&self) -> Builder {
        self.builder
    }

    /// The same engine, made to build with `builder`; every engine has the classic one.
    #[must_use]
    pub fn with_builder(self, builder: Builder) -> Self {
        Self { builder, ..self }
    }

    /// Builds an image and returns its ID. It gets no tag.
    ///
    /// Dropping the future ends the build.
    pub async fn build(
        &self,
        request: &BuildRequest,
        reporter: &SharedReporter,
    ) -> Result<Digest, DockerError> {
        build::build(&self.docker, self.builder, request, reporter).await
    }

    /// Looks an image up by name or ID; `None` where there is none.
    pub async fn inspect(&self, name: &str) -> Result<Option<EngineImage>, DockerError> {
        export::inspect(&self.docker, name).await
    }

    /// The images `image` stands on that are in a registry too: those with the most layers first.
    pub async fn published_below(&self, image: &EngineImage) -> Result<Vec<PublishedImage>, DockerError> {
        published::below(&self.docker, image).await
    }

    /// How it keeps images, such as this one. Where it does not tell, it is taken for one that is far
    /// away.
    pub async fn store(&self, image: &EngineImage) -> ImageStore {
        // To describe itself, an engine looks at all its parts, which takes longer than to find an
        // image.
        let is_of_this_system = || self.endpoint.is_of_this_system() || self.directories(image).is_ok();
        if image.graph_driver.is_some() && is_of_this_system() {
            return ImageStore { is_containerd: false, is_near: self.is_near };
        }
        match self.docker.info().await {
            Ok(info) => ImageStore {
                is_containerd: description::is_containerd(&info),
                // In a virtual machine, loopback is another.
                is_near: self.is_near && !description::is_desktop(&info),
            },
            Err(_) => ImageStore { is_containerd: false, is_near: false },
        }
    }

    /// Where the layers of an image can be read without the engine. The error says in words why they
    /// cannot. Looks for a file, and blocks.
    pub fn directories(&self, image: &EngineImage) -> Result<LayerDirectories, String> {
        match self.endpoint.is_of_service() {
            true => LayerDirectories::of(image),
            false => Err("the engine may be on another system".to_owned()),
        }
    }

    /// Uncompressed bytes of the layers of an image, lowest first; `None` where the engine does
    /// not tell which is which.
    pub async fn layer_sizes(&self, image: &EngineImage) -> Option<Vec<u64>> {
        export::layer_sizes(&self.docker, image).await
    }

    /// Gives an image a name in a repository on this machine, as which it can be pushed.
    pub async fn name(&self, image: &EngineImage, repository: &str) -> Result<PushName, DockerError> {
        push::name(&self.docker, image, repository).await
    }

    /// The configuration of the image that is called `name` and has this ID, byte for byte. The
    /// error says in words why the engine did not tell it.
    pub async fn configuration(&self, name: &str, id: Digest) -> Result<Bytes, String> {
        configuration::read(&self.endpoint, name, id).await
    }

    /// Makes an image of the `count` lowest layers of an image, to be exported sooner than all of it.
    /// Only for an engine that is near and keeps layers as directories: another one would need them
    /// to be sent.
    pub async fn prefix(&self, image: &EngineImage, count: usize) -> Result<Prefix, DockerError> {
        prefix::make(&self.docker, image, count).await
    }

    /// Removes what runs that were killed have left in it: the names under which it pushed images to
    /// this machine, images of the lower layers of others, and containers to read files from.
    pub async fn remove_leftovers(&self) {
        tokio::join!(
            push::remove_leftovers(&self.docker),
            prefix::remove_leftovers(&self.docker),
            files::remove_leftovers(&self.docker),
        );
    }

    /// Streams the archive `docker save` would write.
    pub fn export(
        &self,
        name: &str,
    ) -> impl Stream<Item = Result<Bytes, DockerError>> + Send + 'static + use<> {
        export::export(self.docker.clone(), name.to_owned())
    }

    /// The files and directories of the image with this ID, to be read one by one. Podman gives all of
    /// them the owner its containers run as.
    pub fn files(&self, image: Digest) -> ImageFiles {
        files::of(&self.docker, image)
    }

    /// What kind of engine it is.
    pub async fn describe(&self) -> Result<EngineDescription, DockerError> {
        description::describe(&self.docker, self.builder, &self.endpoint.to_string()).await
    }

    /// Tells whether the engine is reached through a socket of this machine.
    pub fn is_local(&self) -> bool {
        self.endpoint.is_socket()
    }

    /// Loads an image from an archive that names it `name`.
    pub async fn load(
        &self,
        name: &str,
        archive: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> Result<(), DockerError> {
        container::load(&self.docker, name, archive).await
    }

    /// Removes a name, and the image where it has no other; both may be gone or in use.
    pub async fn forget(&self, name: &str) {
        container::forget(&self.docker, name).await;
    }

    /// Makes a container, which is still to be started.
    pub async fn create(&self, request: &ContainerRequest) -> Result<Container, DockerError> {
        container::create(&self.docker, request).await
    }

    /// Removes the containers that have `label` and for whose labels `is_abandoned` holds.
    pub async fn remove_abandoned(
        &self,
        label: &str,
        is_abandoned: impl Fn(&HashMap<String, String>) -> bool,
    ) -> Result<(), DockerError> {
        container::remove_abandoned(&self.docker, label, is_abandoned).await
    }
}
