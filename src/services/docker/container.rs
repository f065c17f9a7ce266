//! Containers under Lambda's conditions: read-only, without rights, with little memory. The
//! local cloud's container runner uses it.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, ImportImageOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::DockerError;
use super::export::broken;

/// The user and group Lambda runs functions as.
const USER: &str = "993:990";
const MEGABYTE: u64 = 1024 * 1024;

/// A container to be made.
#[derive(Clone, Debug)]
pub struct ContainerRequest {
    /// Name or ID of the image.
    pub image: String,
    /// Entry point and command.
    pub arguments: Vec<String>,
    /// Where it starts.
    pub working_directory: String,
    /// All variables.
    pub environment: Vec<(String, String)>,
    /// Megabytes.
    pub memory: u64,
    /// Megabytes of `/tmp`.
    pub ephemeral_storage: u64,
    /// By which it is found again.
    pub labels: Vec<(String, String)>,
    /// Whether it shares the network of this machine, so that loopback is ours.
    pub host_network: bool,
}

/// The output of a container, standard output and error together.
pub type ContainerOutput = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// A container that runs.
#[derive(Clone, Debug)]
pub struct Container {
    docker: Docker,
    id: String,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerExit {
    /// The exit code; 128 and a signal's number where one ended it.
    pub code: Option<i32>,
    /// Whether it used more than its memory.
    pub out_of_memory: bool,
}

/// Loads an image from the archive `docker save` would write.
pub(super) async fn load(
    docker: &Docker,
    name: &str,
    archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<(), DockerError> {
    let mut answers = docker.import_image_stream(ImportImageOptions::default(), archive, None).boxed();
    // The status is 200 also where it fails: the stream has to be read to its end.
    while let Some(answer) = answers.next().await {
        answer.map_err(|error| broken(format!("loading image `{name}`"), error))?;
    }
    Ok(())
}

/// Makes and starts a container.
pub(super) async fn start(
    docker: &Docker,
    request: &ContainerRequest,
) -> Result<(Container, ContainerOutput), DockerError> {
    let created = docker
        .create_container(None::<CreateContainerOptions>, body(request))
        .await
        .map_err(|error| broken(format!("creating a container of `{}`", request.image), error))?;
    let container = Container { docker: docker.clone(), id: created.id };
    match container.begin().await {
        Ok(output) => Ok((container, output)),
        Err(error) => {
            container.remove().await?;
            Err(error)
        }
    }
}

fn body(request: &ContainerRequest) -> ContainerCreateBody {
    let bytes = |megabytes: u64| i64::try_from(megabytes * MEGABYTE).unwrap_or(i64::MAX);
    let tmp = format!("rw,exec,nosuid,nodev,mode=1777,size={}m", request.ephemeral_storage);
    let host = HostConfig {
        network_mode: request.host_network.then(|| "host".to_owned()),
        readonly_rootfs: Some(true),
        tmpfs: Some(HashMap::from([("/tmp".to_owned(), tmp)])),
        memory: Some(bytes(request.memory)),
        memory_swap: Some(bytes(request.memory)),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        pids_limit: Some(1024),
        // The output is read as it comes; a second copy would only fill the disk.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(request.image.clone()),
        entrypoint: Some(request.arguments.clone()),
        cmd: Some(Vec::new()),
        env: Some(request.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: Some(request.working_directory.clone()),
        user: Some(USER.to_owned()),
        labels: Some(request.labels.iter().cloned().collect()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// Removes every container with a label for whose value `is_abandoned` holds.
pub(super) async fn remove_abandoned(
    docker: &Docker,
    label: &str,
    is_abandoned: impl Fn(&HashMap<String, String>) -> bool,
) -> Result<(), DockerError> {
    let filters = HashMap::from([("label", vec![label])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let found = docker
        .list_containers(Some(options))
        .await
        .map_err(|error| broken("listing containers".to_owned(), error))?;
    for summary in found {
        let (Some(id), Some(labels)) = (summary.id, summary.labels) else { continue };
        if is_abandoned(&labels) {
            Container { docker: docker.clone(), id }.remove().await?;
        }
    }
    Ok(())
}

impl Container {
    async fn begin(&self) -> Result<ContainerOutput, DockerError> {
        let options = AttachContainerOptionsBuilder::new().stream(true).stdout(true).stderr(true).build();
        let attached = self
            .docker
            .attach_container(&self.id, Some(options))
            .await
            .map_err(|error| broken("attaching to a container".to_owned(), error))?;
        self.docker
            .start_container(&self.id, None::<StartContainerOptions>)
            .await
            .map_err(|error| broken("starting a container".to_owned(), error))?;
        let input = attached.input;
        let output = attached.output.filter_map(move |piece| {
            // The connection lives as long as both its halves.
            let _input = &input;
            let bytes = match piece {
                Ok(LogOutput::StdIn { .. }) | Err(_) => None,
                Ok(output) => Some(output.into_bytes()),
            };
            std::future::ready(bytes)
        });
        Ok(Box::pin(output))
    }

    /// Waits for the end and says how it came.
    pub async fn wait(&self) -> ContainerExit {
        let mut waiting = self.docker.wait_container(&self.id, None::<WaitContainerOptions>);
        let mut code = match waiting.next().await {
            Some(Ok(answer)) => Some(answer.status_code),
            // The library's word for every code but 0.
            Some(Err(BollardError::DockerContainerWaitError { code, .. })) => Some(code),
            _ => None,
        };
        let state = match self.docker.inspect_container(&self.id, None).await {
            Ok(found) => found.state.unwrap_or_default(),
            Err(_) => Default::default(),
        };
        code = code.or(state.exit_code);
        ContainerExit {
            code: code.and_then(|code| i32::try_from(code).ok()),
            out_of_memory: state.oom_killed.unwrap_or_default(),
        }
    }

    /// The process on this machine, where the engine runs on it.
    pub async fn process_id(&self) -> Option<i64> {
        let found = self.docker.inspect_container(&self.id, None).await.ok()?;
        found.state?.pid.filter(|pid| *pid > 0)
    }

    /// Kills and removes it; it may be gone already.
    pub async fn remove(&self) -> Result<(), DockerError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self.docker.remove_container(&self.id, Some(options)).await {
            Ok(()) | Err(BollardError::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(broken("removing a container".to_owned(), error)),
        }
    }
}
