//! Containers under Lambda's conditions: read-only, without rights, with little memory. The
//! local cloud's container runner uses it.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, ExecConfig, HostConfig, HostConfigLogConfig,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, DownloadFromContainerOptionsBuilder,
    ImportImageOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptions, StartContainerOptions, WaitContainerOptions,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio_util::io::{StreamReader, SyncIoBridge};

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
    /// Megabytes; those in `/tmp` count where the engine itself holds the limit.
    pub memory: u64,
    /// Megabytes of `/tmp`.
    pub ephemeral_storage: u64,
    /// By which it is found again.
    pub labels: Vec<(String, String)>,
    /// Whether it shares the network of this machine, so that loopback is ours.
    pub host_network: bool,
}

/// A program to be started in a container that runs.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// Its variables, besides those of the container.
    pub environment: Vec<(String, String)>,
    /// Variables of the container that are not for it. Podman leaves it these.
    pub without: Vec<String>,
}

/// A program in a container.
#[derive(Clone, Debug)]
pub struct Execution {
    docker: Docker,
    id: String,
}

impl Execution {
    /// How it ended; nothing while it runs.
    pub async fn exit_code(&self) -> Option<i64> {
        self.docker.inspect_exec(&self.id).await.ok()?.exit_code
    }
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

/// Removes a name, and the image where it has no other.
pub(super) async fn forget(docker: &Docker, name: &str) {
    if let Err(error) = docker.remove_image(name, None::<RemoveImageOptions>, None).await {
        tracing::debug!("the name `{name}` stays in the engine: {error}");
    }
}

/// Makes a container, which does not run yet.
pub(super) async fn create(docker: &Docker, request: &ContainerRequest) -> Result<Container, DockerError> {
    let created = docker
        .create_container(None::<CreateContainerOptions>, body(request))
        .await
        .map_err(|error| broken(format!("creating a container of `{}`", request.image), error))?;
    Ok(Container { docker: docker.clone(), id: created.id })
}

/// What of a program's output there is, piece by piece; `input` is kept, as the connection lives
/// as long as both its halves.
fn pieces(
    output: impl Stream<Item = Result<LogOutput, BollardError>> + Send + 'static,
    input: impl Send + 'static,
) -> ContainerOutput {
    Box::pin(output.filter_map(move |piece| {
        let _input = &input;
        let bytes = match piece {
            Ok(LogOutput::StdIn { .. }) | Err(_) => None,
            Ok(output) => Some(output.into_bytes()),
        };
        std::future::ready(bytes)
    }))
}

fn bytes(megabytes: u64) -> i64 {
    i64::try_from(megabytes.saturating_mul(MEGABYTE)).unwrap_or(i64::MAX)
}

fn body(request: &ContainerRequest) -> ContainerCreateBody {
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
        env: Some(variables(&request.environment)),
        working_dir: Some(request.working_directory.clone()),
        user: Some(USER.to_owned()),
        labels: Some(request.labels.iter().cloned().collect()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

fn variables(environment: &[(String, String)]) -> Vec<String> {
    environment.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// The executable files right below the only directory of an archive.
fn executables(archive: impl io::Read) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in tar::Archive::new(archive).entries()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        let is_executable = entry.header().mode()? & 0o111 == 0o111;
        if !entry.header().entry_type().is_dir() && is_executable && path.components().count() == 2 {
            names.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
        }
    }
    names.sort_unstable();
    Ok(names)
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
        Ok(pieces(attached.output, attached.input))
    }

    /// Starts it; one that does not start is removed.
    pub async fn start(&self) -> Result<ContainerOutput, DockerError> {
        let begun = self.begin().await;
        if begun.is_err() {
            self.remove().await?;
        }
        begun
    }

    /// The names of the files in a directory of it that everybody may execute. There may be no
    /// such directory.
    pub async fn executables(&self, directory: &str) -> Result<Vec<String>, DockerError> {
        let options = DownloadFromContainerOptionsBuilder::new().path(directory).build();
        let doing = || format!("reading `{directory}` in a container");
        let mut pieces = Box::pin(self.docker.download_from_container(&self.id, Some(options)));
        let first = match pieces.next().await {
            None => return Ok(Vec::new()),
            Some(Err(BollardError::DockerResponseServerError { status_code: 404, .. })) => {
                return Ok(Vec::new());
            }
            Some(first) => first.map_err(|error| broken(doing(), error))?,
        };
        let pieces = futures_util::stream::once(std::future::ready(Ok(first))).chain(pieces);
        let archive =
            SyncIoBridge::new(StreamReader::new(pieces.map(|piece| piece.map_err(io::Error::other))));
        let read = tokio::task::spawn_blocking(move || executables(archive)).await;
        read.unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| broken(doing(), error.into()))
    }

    /// Starts another program in it, while it runs, and tells how to see its end.
    pub async fn execute(&self, request: ExecRequest) -> Result<(Execution, ContainerOutput), DockerError> {
        let doing = || format!("starting `{}` in a container", request.arguments.join(" "));
        let config = |environment| ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(request.arguments.clone()),
            env: Some(environment),
            user: Some(USER.to_owned()),
            working_dir: Some("/".to_owned()),
            ..ExecConfig::default()
        };
        let own = variables(&request.environment);
        // A name without a value takes the variable away; Podman refuses such a name.
        // <https://github.com/moby/moby/blob/v28.0.0/container/env.go>
        let all = [own.as_slice(), &request.without].concat();
        let mut made = self.docker.create_exec(&self.id, config(all)).await;
        if let Err(BollardError::DockerResponseServerError { status_code: 400, .. }) = &made {
            made = self.docker.create_exec(&self.id, config(own)).await;
        }
        let id = made.map_err(|error| broken(doing(), error))?.id;
        let started = self.docker.start_exec(&id, None::<StartExecOptions>).await;
        let output = match started.map_err(|error| broken(doing(), error))? {
            StartExecResults::Attached { output, input } => pieces(output, input),
            StartExecResults::Detached => Box::pin(futures_util::stream::empty()),
        };
        Ok((Execution { docker: self.docker.clone(), id }, output))
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

    /// By which engines and control groups know it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Lowers the megabytes it may use.
    pub async fn limit_memory(&self, megabytes: u64) -> Result<(), DockerError> {
        let limit = Some(bytes(megabytes));
        let change = ContainerUpdateBody { memory: limit, memory_swap: limit, ..Default::default() };
        let updated = self.docker.update_container(&self.id, change).await;
        updated.map_err(|error| broken("limiting the memory of a container".to_owned(), error))
    }

    /// Stops its own program for good. Others that were started in it go on, as they would not if
    /// it were killed. It may have ended already.
    pub async fn freeze(&self) -> Result<(), DockerError> {
        let options = KillContainerOptionsBuilder::new().signal("SIGSTOP").build();
        match self.docker.kill_container(&self.id, Some(options)).await {
            Ok(()) | Err(BollardError::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(broken("stopping a program in a container".to_owned(), error)),
        }
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
