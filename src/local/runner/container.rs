//! Runs functions in containers of the Docker Engine or Podman. Its image goes into the engine
//! once, straight from the local registry's blobs.
//!
//! A container carries the server it belongs to as a label. While a server lives it holds a
//! lock, so that what a killed one left behind is found and removed by the next.

mod archive;
mod extensions;
mod watched;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::task::JoinHandle;

use super::{
    BoxFuture, EXTENSIONS, Exit, GivenImage, KEPT_BACK, Launch, Lines, LocalImage, OutputSink, Runner,
    RunnerError, Running, StartError,
};
use crate::domain::digest::Digest;
use crate::local::store::Store;
use crate::services::docker::EngineLocation;
use crate::services::docker::{Container, ContainerOutput, ContainerRequest, DockerEngine, DockerError};
use extensions::RunningExtensions;
use watched::Watched;

/// What users call it.
pub(in crate::local) const NAME: &str = "container";
const SERVER_LABEL: &str = "lambdactl.local.server";
const FUNCTION_LABEL: &str = "lambdactl.local.function";
/// Files whose locks tell which servers live.
pub(in crate::local) const SERVERS: &str = "servers";
/// How long an engine may take to answer that is only asked to forget images.
const PATIENCE: Duration = Duration::from_secs(3);
/// What is still on its way when a container has ended.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// An engine that runs functions.
#[derive(Debug)]
pub(super) struct ContainerRunner {
    engine: DockerEngine,
    /// The path of the lock, which is the value of the label.
    server: PathBuf,
    _lock: File,
    /// The images the engine has, and the extensions in each, once somebody has looked.
    loaded: tokio::sync::Mutex<HashMap<Digest, Option<Vec<String>>>>,
}

impl ContainerRunner {
    /// Connects to an engine on this machine, and removes what dead servers have left in it.
    pub(super) async fn connect(location: &EngineLocation, store: &Store) -> Result<Self, RunnerError> {
        let unavailable = |why: String| RunnerError::Unavailable { runner: "container", why };
        let engine = DockerEngine::connect(location).await.map_err(|error| {
            let way_out = match &error {
                DockerError::NotPermitted { .. } => {
                    "join the group that may use it (`sudo usermod -aG docker $USER`), or choose the runner `sandbox`"
                }
                _ => "start Docker or Podman, or name another engine with DOCKER_HOST",
            };
            unavailable(format!("{error}; {way_out}"))
        })?;
        if !engine.is_local() {
            return Err(unavailable(
                "the engine is on another machine, from where the local cloud cannot be reached".to_owned(),
            ));
        }
        let (server, lock) = be_alive(store.directory()).map_err(|error| unavailable(error.to_string()))?;
        let left_behind = engine.remove_abandoned(SERVER_LABEL, |labels| {
            labels.get(SERVER_LABEL).is_some_and(|server| is_dead(Path::new(server)))
        });
        left_behind.await.map_err(|error| unavailable(error.to_string()))?;
        Ok(Self { engine, server, _lock: lock, loaded: tokio::sync::Mutex::default() })
    }

    /// Sees to it that the engine has the image, and returns its name there.
    async fn load(&self, image: &LocalImage) -> Result<String, RunnerError> {
        // One that may come from this very engine need not go there again, nor be known by a
        // further name, whose removal might take the image along. One that is there for somebody
        // else's start only gets a further name: the last that is removed takes it along.
        if let Some(GivenImage { image, .. }) = &image.given {
            let id = image.manifest.config.digest.to_string();
            let found = self.engine.inspect(&id).await.map_err(failed)?;
            if found.is_some_and(|found| archive::is_of_others(&found.tags)) {
                return Ok(id);
            }
        }
        let name = archive::name(&image.repository, &image.digest);
        // Several environments may start at once; the first loads.
        let mut loaded = self.loaded.lock().await;
        if let Entry::Vacant(place) = loaded.entry(image.digest) {
            if self.engine.inspect(&name).await.map_err(failed)?.is_none() {
                self.engine.load(&name, archive::stream(image)).await.map_err(failed)?;
            }
            place.insert(None);
        }
        Ok(name)
    }

    /// The extensions in an image, of which there is a container.
    async fn extensions(
        &self,
        image: &LocalImage,
        container: &Container,
    ) -> Result<Vec<String>, DockerError> {
        if let Some(Some(known)) = self.loaded.lock().await.get(&image.digest) {
            return Ok(known.clone());
        }
        let found = container.executables(EXTENSIONS).await?;
        self.loaded.lock().await.insert(image.digest, Some(found.clone()));
        Ok(found)
    }

    async fn create(&self, request: &ContainerRequest, image: &LocalImage) -> Result<Container, RunnerError> {
        match self.engine.create(request).await {
            Err(error) if is_about_a_missing_image(&error) => {
                // Somebody has tidied up in the engine since it was loaded.
                self.loaded.lock().await.remove(&image.digest);
                self.load(image).await?;
                self.engine.create(request).await.map_err(failed)
            }
            created => created.map_err(failed),
        }
    }

    async fn run(&self, launch: Launch) -> Result<Box<dyn Running>, RunnerError> {
        let request = ContainerRequest {
            image: self.load(&launch.image).await?,
            arguments: launch.arguments.clone(),
            working_directory: launch.working_directory.clone(),
            environment: launch.environment.iter().cloned().map(reachable).collect(),
            memory: watched::limit(&launch),
            ephemeral_storage: launch.ephemeral_storage,
            labels: vec![
                (SERVER_LABEL.to_owned(), self.server.to_string_lossy().into_owned()),
                (FUNCTION_LABEL.to_owned(), launch.function.clone()),
            ],
            host_network: cfg!(target_os = "linux"),
        };
        let entry_point = launch.arguments.first().cloned().unwrap_or_default();
        let container = self.create(&request, &launch.image).await?;
        let extensions = match self.extensions(&launch.image, &container).await {
            Ok(extensions) => extensions,
            Err(error) => {
                container.remove().await.map_err(failed)?;
                return Err(failed(error));
            }
        };
        match container.start().await {
            Ok(output) => {
                Ok(Box::new(RunningContainer::new(container, output, launch, entry_point, extensions)))
            }
            Err(DockerError::Refused { message, .. }) if is_about_the_start(&message) => {
                Ok(Box::new(NeverStarted(start_error(&message, &entry_point))))
            }
            Err(error) => Err(failed(error)),
        }
    }
}

impl Drop for ContainerRunner {
    fn drop(&mut self) {
        // A lock that nobody holds means the same.
        let _ = std::fs::remove_file(&self.server);
    }
}

impl Runner for ContainerRunner {
    fn name(&self) -> &'static str {
        NAME
    }

    fn lost_fidelity(&self) -> Option<&str> {
        None
    }

    fn output_delay(&self) -> Duration {
        Duration::from_millis(15)
    }

    fn start(&self, launch: Launch) -> BoxFuture<'_, Result<Box<dyn Running>, RunnerError>> {
        Box::pin(self.run(launch))
    }
}

fn failed(error: DockerError) -> RunnerError {
    RunnerError::Failed { doing: "running a function in a container".to_owned(), why: error.to_string() }
}

/// Removes the images of a local cloud that is wiped from an engine, if there is one; those that
/// are in use stay.
pub(in crate::local) async fn forget_images(location: &EngineLocation, images: &[(String, Digest)]) {
    let Ok(Ok(engine)) = tokio::time::timeout(PATIENCE, DockerEngine::connect(location)).await else {
        return;
    };
    for (repository, digest) in images {
        engine.forget(&archive::name(repository, digest)).await;
    }
}

/// Recorded: `No such image: localhost/lambdactl/hello:0f…`; Podman's is `…: no such image`, or
/// `image not known`.
fn is_about_a_missing_image(error: &DockerError) -> bool {
    let text = error.to_string().to_lowercase();
    text.contains("no such image") || text.contains("image not known")
}

/// Takes a lock of its own in the directory.
fn be_alive(directory: &Path) -> std::io::Result<(PathBuf, File)> {
    let folder = std::path::absolute(directory)?.join(SERVERS);
    std::fs::create_dir_all(&folder)?;
    for entry in std::fs::read_dir(&folder)?.filter_map(Result::ok) {
        if is_dead(&entry.path()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    // Locked before it has its name, so that nobody finds it unlocked.
    let file = tempfile::NamedTempFile::new_in(folder.parent().unwrap_or(&folder))?;
    file.as_file().lock()?;
    let path = folder.join(uuid::Uuid::new_v4().to_string());
    let file = file.persist(&path).map_err(|error| error.error)?;
    Ok((path, file))
}

/// Tells whether nobody holds the lock of a server.
fn is_dead(server: &Path) -> bool {
    match File::open(server) {
        Ok(file) => file.try_lock().is_ok(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// The Runtime API is on loopback; an engine in a virtual machine has another name for it.
fn reachable((name, value): (String, String)) -> (String, String) {
    if name == "AWS_LAMBDA_RUNTIME_API" && !cfg!(target_os = "linux") {
        return (name, value.replace("127.0.0.1", "host.docker.internal"));
    }
    (name, value)
}

/// Tells whether an engine's refusal is about what was to be started.
///
/// Recorded: ``failed to create shim task: OCI runtime create failed: runc create failed: unable
/// to start container process: exec: "/nope": stat /nope: no such file or directory: unknown``.
fn is_about_the_start(message: &str) -> bool {
    ["OCI runtime", "exec: ", "chdir", "crun:", "no command specified", "No command specified"]
        .iter()
        .any(|part| message.contains(part))
}

fn start_error(message: &str, entry_point: &str) -> StartError {
    let entry_point = entry_point.to_owned();
    let lower = message.to_lowercase();
    if lower.contains("chdir") || lower.contains("cwd") {
        let directory = message.split('"').nth(1).unwrap_or_default().to_owned();
        StartError::WorkingDirectory { directory }
    } else if lower.contains("permission denied") {
        StartError::PermissionDenied { entry_point }
    } else if lower.contains("exec format error") {
        StartError::ExecFormat { entry_point }
    } else if lower.contains("no such file") || lower.contains("not found") {
        StartError::EntrypointNotFound { entry_point }
    } else {
        StartError::Other { entry_point, why: message.to_owned() }
    }
}

/// What the engine refused to start.
struct NeverStarted(StartError);

impl Running for NeverStarted {
    fn retire(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn wait(&mut self) -> BoxFuture<'_, Exit> {
        let exit = Exit { start_error: Some(self.0.clone()), ..Exit::default() };
        Box::pin(std::future::ready(exit))
    }

    fn kill(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn memory_used(&self) -> Option<u64> {
        None
    }
}

struct RunningContainer {
    container: Container,
    entry_point: String,
    output: JoinHandle<()>,
    /// The last line, which is runc's own where it could not execute the program.
    last_line: Arc<Mutex<String>>,
    watched: Arc<Watched>,
    watcher: JoinHandle<()>,
    extensions: RunningExtensions,
    is_removed: bool,
}

impl RunningContainer {
    fn new(
        container: Container,
        output: ContainerOutput,
        launch: Launch,
        entry_point: String,
        names: Vec<String>,
    ) -> Self {
        let environment: Vec<_> = launch.extension_environment().into_iter().map(reachable).collect();
        let extensions =
            RunningExtensions::start(&names, &environment, &KEPT_BACK, &container, &launch.output);
        launch.gate.expect(names);
        let last_line = Arc::new(Mutex::new(String::new()));
        let watched = Arc::new(Watched::default());
        let watcher = tokio::spawn({
            let (container, watched) = (container.clone(), watched.clone());
            async move { watched.watch(&container, launch.memory).await }
        });
        let output = tokio::spawn(copy(output, launch.output, last_line.clone()));
        Self { container, entry_point, output, last_line, watched, watcher, extensions, is_removed: false }
    }

    async fn exit(&mut self) -> Exit {
        let ended = tokio::select! {
            biased;
            // Its end may take the engine long, and makes no difference any more.
            () = self.watched.is_out_of_memory() => {
                return Exit { code: Some(137), out_of_memory: true, ..Exit::default() };
            }
            ended = self.container.wait() => ended,
            exit = self.extensions.one_ended() => return exit,
        };
        let _in_time = tokio::time::timeout(LAST_OUTPUT, &mut self.output).await;
        let last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // ``standard_init_linux.go:228: exec user process caused: exec format error``,
        // ``exec /bootstrap: exec format error``
        let not_executed = last.contains("exec user process caused")
            || last.starts_with(&format!("exec {}: ", self.entry_point));
        Exit {
            code: ended.code,
            signal: None,
            out_of_memory: ended.out_of_memory,
            start_error: (not_executed && matches!(ended.code, Some(1 | 126 | 127 | 255)))
                .then(|| start_error(&last, &self.entry_point)),
            extension: None,
        }
    }
}

async fn copy(mut output: ContainerOutput, sink: OutputSink, last: Arc<Mutex<String>>) {
    let mut lines = Lines::default();
    let keep = |line: &String| last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(line);
    while let Some(piece) = output.next().await {
        for line in lines.push(&piece) {
            keep(&line);
            sink.line(line).await;
        }
    }
    if let Some(line) = lines.rest() {
        keep(&line);
        sink.line(line).await;
    }
}

impl Running for RunningContainer {
    fn wait(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(self.exit())
    }

    fn retire(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // Killed, the first program of a container would take the extensions along.
            if let Err(error) = self.container.freeze().await {
                tracing::debug!(%error, "a function goes on while its extensions end");
            }
            self.extensions.all_ended().await;
        })
    }

    fn kill(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Err(error) = self.container.remove().await {
                tracing::warn!(%error, "a container is left behind");
            }
            self.is_removed = true;
        })
    }

    fn memory_used(&self) -> Option<u64> {
        self.watched.memory_used()
    }
}

impl Drop for RunningContainer {
    fn drop(&mut self) {
        self.watcher.abort();
        if self.is_removed {
            return;
        }
        // The runtime is going away under us, so nothing of it can be used.
        let container = self.container.clone();
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(container.remove()).ok()
        });
        let _removed = removal.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_refuses_to_start_is_told_as_lambda_tells_it() {
        for (message, told) in [
            (
                r#"failed to create shim: OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "/nope": stat /nope: no such file or directory: unknown"#,
                "fork/exec /nope: no such file or directory",
            ),
            (
                r#"OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "/nope": permission denied: unknown"#,
                "fork/exec /nope: permission denied",
            ),
            ("exec /nope: exec format error", "fork/exec /nope: exec format error"),
        ] {
            // The last is the container's own last line, which is not asked.
            assert!(is_about_the_start(message) || message.starts_with("exec "));
            assert_eq!(start_error(message, "/nope").to_string(), told);
        }
        assert!(!is_about_the_start("No such image: hello"));
    }

    #[test]
    fn a_server_is_dead_when_its_lock_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let (server, lock) = be_alive(directory.path()).unwrap();
        assert!(!is_dead(&server));
        drop(lock);
        assert!(is_dead(&server));
        let (other, _lock) = be_alive(directory.path()).unwrap();
        assert!(!server.exists() && other.exists());
        assert!(is_dead(&server));
    }
}
