//! A real Docker Engine, a program to run in images, and a stand-in that records contexts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use lambdactl::domain::secret::Secret;
use lambdactl::event::{Event, Reporter};
use lambdactl::services::docker::{BuildRequest, DockerError, EngineLocation};

/// Where the engine is that tests may use; `None` where there is none, and then the test says
/// that it was skipped. With `CI=true` that is a failure instead.
pub fn engine() -> Option<EngineLocation> {
    super::needs_docker().then(|| {
        let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        EngineLocation { host: Some(host), ..EngineLocation::default() }
    })
}

/// Builds until it works. The classic builder of Docker 20.10 sometimes loses what it has just made,
/// while other tests remove images.
pub async fn persistently<T>(build: impl AsyncFn() -> Result<T, DockerError>) -> Result<T, DockerError> {
    let lost = |error: &DockerError| format!("{error:?}").contains("unable to find image");
    let mut built = build().await;
    for _ in 0..4 {
        if !built.as_ref().is_err_and(lost) {
            break;
        }
        built = build().await;
    }
    built
}

/// What the program made by [`tool`] can do; statically linked, so that it runs on `scratch`.
const TOOL: &str = r#"
use std::{env, fs, process, thread, time};
fn main() {
    let args: Vec<String> = env::args().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    args[1..].split(|arg| *arg == "--").for_each(run);
}
fn run(args: &[&str]) {
    let check = |good: bool| if !good { eprintln!("not as expected: {args:?}"); process::exit(9) };
    match args {
        ["say", words @ ..] => words.iter().for_each(|word| println!("{word}")),
        ["fail", words @ ..] => { words.iter().for_each(|word| eprintln!("{word}")); process::exit(3) }
        ["sleep", seconds, ..] => {
            println!("sleeping");
            thread::sleep(time::Duration::from_secs(seconds.parse().unwrap()));
        }
        ["write", path, words @ ..] => {
            fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
            fs::write(path, words.join(" ")).unwrap();
        }
        ["link", target, path] => std::os::unix::fs::symlink(target, path).unwrap(),
        ["mode", mode, path] => {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(u32::from_str_radix(mode, 8).unwrap());
            fs::set_permissions(path, mode).unwrap();
        }
        ["own", user, group, path] => {
            std::os::unix::fs::chown(path, user.parse().ok(), group.parse().ok()).unwrap();
        }
        ["expect-env", name, value] => check(env::var(name).as_deref() == Ok(*value)),
        ["expect-size", path, size] => check(fs::metadata(path).is_ok_and(|file| file.len().to_string() == *size)),
        ["expect-list", path, names @ ..] => {
            let mut found: Vec<String> = fs::read_dir(path).unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            found.sort();
            if found != names { eprintln!("found {found:?}"); }
            check(found == names);
        }
        other => { eprintln!("unknown: {other:?}"); process::exit(64) }
    }
}
"#;

/// Compiles the program, once for all tests.
pub fn tool() -> &'static Path {
    static TOOL_FILE: OnceLock<PathBuf> = OnceLock::new();
    TOOL_FILE.get_or_init(|| {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("tool");
        std::fs::create_dir_all(&directory).unwrap();
        let source = directory.join("tool.rs");
        std::fs::write(&source, TOOL).unwrap();
        let program = directory.join(format!("tool-{}", std::process::id()));
        let compiled = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
            .args(["--edition=2024", "-Ctarget-feature=+crt-static", "-Cstrip=symbols", "-o"])
            .args([&program, &source])
            .status();
        assert!(compiled.unwrap().success(), "the program for the images does not compile");
        program
    })
}

/// A directory to build, whose images go when it goes.
pub struct Context {
    directory: tempfile::TempDir,
    label: String,
    host: Option<String>,
}

impl Context {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Waits until no container is left of its builds, which nobody else waits for.
    #[track_caller]
    pub fn is_cleaned_up(&self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            for _ in 0..500 {
                if self.containers().await.is_empty() {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            panic!("{caller}: {:?} are still there", self.containers().await);
        }
    }

    /// The containers its builds have left behind.
    pub async fn containers(&self) -> Vec<String> {
        let host = self.host.clone().unwrap();
        let docker = bollard::Docker::connect_with_host(&host).unwrap();
        let filters = std::collections::HashMap::from([("label".to_owned(), vec![self.label.clone()])]);
        let list = bollard::query_parameters::ListContainersOptionsBuilder::default();
        let found = docker.list_containers(Some(list.all(true).filters(&filters).build())).await.unwrap();
        found.into_iter().filter_map(|container| container.id).collect()
    }
}

/// A directory with a Dockerfile, the program as `tool`, and further files. What is built from
/// `scratch` there has a label of its own, so that it can be found and nobody else's cache is hit.
pub fn context(dockerfile: &str, files: &[(&str, &str)]) -> Context {
    context_in(engine().unwrap_or_default(), dockerfile, files)
}

/// The same for another engine than the usual one.
pub fn context_in(engine: EngineLocation, dockerfile: &str, files: &[(&str, &str)]) -> Context {
    let label = format!("lambdactl-test={}", uuid::Uuid::new_v4());
    let directory = tempfile::tempdir().unwrap();
    let dockerfile = match dockerfile.strip_prefix("FROM scratch").and_then(|rest| rest.split_once('\n')) {
        Some((stage, rest)) => format!("FROM scratch{stage}\nLABEL {label}\n{rest}"),
        None => dockerfile.to_owned(),
    };
    std::fs::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
    std::fs::copy(tool(), directory.path().join("tool")).unwrap();
    for (path, content) in files {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    Context { directory, label, host: engine.host }
}

impl Drop for Context {
    fn drop(&mut self) {
        let Some(host) = self.host.clone() else { return };
        let label = self.label.clone();
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(remove_labelled(&host, &label));
        });
        let _ = removing.join();
    }
}

/// Removes every image with the label, also what the classic builder keeps as its cache.
async fn remove_labelled(host: &str, label: &str) {
    use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder};
    let docker = bollard::Docker::connect_with_host(host).unwrap();
    let filters = std::collections::HashMap::from([("label".to_owned(), vec![label.to_owned()])]);
    let list = ListImagesOptionsBuilder::default().all(true).filters(&filters).build();
    let remove = RemoveImageOptionsBuilder::default().force(true).build();
    // An image others stand on goes only after them.
    loop {
        let mut removed = false;
        for image in docker.list_images(Some(list.clone())).await.unwrap_or_default() {
            removed |= docker.remove_image(&image.id, Some(remove.clone()), None).await.is_ok();
        }
        if !removed {
            return;
        }
    }
}

/// The request to build that directory.
pub fn request(directory: &Path, args: &[(&str, &str)]) -> BuildRequest {
    BuildRequest {
        context: directory.to_owned(),
        dockerfile: directory.join("Dockerfile"),
        target: None,
        args: args
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
            .collect::<BTreeMap<_, _>>(),
        architecture: None,
        credentials: BTreeMap::new(),
    }
}

/// Keeps every event.
#[derive(Default)]
pub struct Events(pub Mutex<Vec<Event>>);

impl Reporter for Events {
    fn report(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Events {
    /// What the builder printed.
    pub fn build_output(&self) -> Vec<String> {
        let events = self.0.lock().unwrap();
        let lines = events.iter().filter_map(|event| match event {
            Event::BuildOutput(line) => Some(line.clone()),
            _ => None,
        });
        lines.collect()
    }
}

/// Answers like an engine with the classic builder only, and keeps the context it is sent.
pub struct RecordingEngine {
    /// Its address, as `DOCKER_HOST`.
    pub host: String,
    received: Arc<Mutex<Option<Bytes>>>,
}

impl RecordingEngine {
    /// Starts it on a free port; it refuses to build.
    pub async fn start() -> Self {
        Self::answering(
            "{\"errorDetail\":{\"message\":\"recorded\"},\"error\":\"recorded\"}\r\n".to_owned(),
            "",
        )
        .await
    }

    /// Starts it on a free port; it answers a build with this text, and knows the image `id`.
    pub async fn answering(text: String, id: &str) -> Self {
        let received = Arc::new(Mutex::new(None));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("tcp://{}", listener.local_addr().unwrap());
        let version = || async {
            (
                [("api-version", "1.38"), ("content-type", "application/json")],
                r#"{"ApiVersion":"1.38","MinAPIVersion":"1.12","Version":"18.06","Os":"linux","Arch":"amd64"}"#,
            )
        };
        let build = |State(received): State<Arc<Mutex<Option<Bytes>>>>, body: Bytes| async move {
            *received.lock().unwrap() = Some(body);
            (StatusCode::OK, text)
        };
        let image = format!(r#"{{"Id":"{id}","Os":"linux","Architecture":"amd64"}}"#);
        let inspect = || async move { ([("content-type", "application/json")], image) };
        let app = axum::Router::new()
            .route("/version", get(version))
            .route("/_ping", get(version).head(version))
            .route("/build", post(build.clone()))
            .route("/v1.38/build", post(build))
            .route("/v1.38/version", get(version))
            .route(&format!("/images/{id}/json"), get(inspect))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(received.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { host, received }
    }

    /// The paths of the context that was sent last, and of every directory on the way to them.
    pub fn take(&self) -> Option<Vec<String>> {
        let body = self.received.lock().unwrap().take()?;
        let mut paths = std::collections::BTreeSet::new();
        for entry in tar::Archive::new(&*body).entries().unwrap() {
            let path = entry.unwrap().path().unwrap().to_string_lossy().trim_end_matches('/').to_owned();
            let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
            paths.extend(ends.map(|end| path[..end].to_owned()));
        }
        Some(paths.into_iter().collect())
    }
}
