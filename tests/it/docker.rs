//! Builds and exports with a real Docker Engine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use lambdactl::domain::platform::Architecture;
use lambdactl::event::{SharedReporter, Silent};
use lambdactl::image::ImageError;
use lambdactl::services::docker::{Builder, DockerEngine, DockerError, EngineLocation};
use sha2::Digest as _;

use crate::support::docker::{Events, RecordingEngine, context, engine, persistently, request};
use crate::support::podman::Podman;

const BUILDERS: [Builder; 2] = [Builder::BuildKit, Builder::Classic];

async fn connect() -> Option<DockerEngine> {
    Some(DockerEngine::connect(&engine()?).await.unwrap())
}

fn silent() -> SharedReporter {
    Arc::new(Silent)
}

#[tokio::test]
async fn arguments_target_and_dockerignore_reach_both_builders() {
    let Some(engine) = connect().await else { return };
    for builder in BUILDERS {
        let dockerfile = format!(
            r#"FROM scratch AS first
ARG GREETING
COPY tool /tool
COPY . /context
RUN ["/tool", "expect-env", "GREETING", "hello & goodbye", "--", \
     "expect-list", "/context", ".dockerignore", "Dockerfile", "kept", "sparse", "tool", "--", \
     "expect-list", "/context/kept", "inner", "--", \
     "expect-size", "/context/sparse", "5000000", "--", \
     "say", "it {builder:?} works"]
FROM first AS second
RUN ["/tool", "fail", "the second stage was built"]
"#
        );
        let directory = context(
            &dockerfile,
            &[
                (".dockerignore", "tool\n!tool\nleft-out\n**/*.log\n"),
                ("left-out/x", ""),
                ("kept/inner", ""),
                ("kept/a.log", ""),
            ],
        );
        // Linkers leave holes in files, and Docker refuses sparse entries.
        std::fs::File::create(directory.path().join("sparse")).unwrap().set_len(5_000_000).unwrap();
        let mut request = request(directory.path(), &[("GREETING", "hello & goodbye")]);
        request.target = Some("first".to_owned());
        request.architecture = Architecture::of_this_machine();
        let events = Arc::new(Events::default());
        let reporter: SharedReporter = events.clone();
        let id = engine.clone().with_builder(builder).build(&request, &reporter).await.unwrap();
        let found = engine.inspect(&id.to_string()).await.unwrap().unwrap();
        assert_eq!(found.id, id);
        assert!(found.platform.runs_on(request.architecture.unwrap()));
        assert!(!found.diff_ids.is_empty() && found.size > 5_000_000, "{found:?}");
        let output = events.build_output();
        let said = format!("it {builder:?} works");
        assert!(output.iter().any(|line| line.ends_with(&said) && !line.contains("RUN")), "{output:#?}");
    }
}

#[tokio::test]
async fn a_second_build_is_taken_from_the_cache_and_says_so() {
    let Some(engine) = connect().await else { return };
    for builder in BUILDERS {
        let engine = engine.clone().with_builder(builder);
        let nonce = uuid::Uuid::new_v4();
        let directory =
            context(&format!("FROM scratch\nCOPY tool /tool\nRUN [\"/tool\", \"say\", \"{nonce}\"]\n"), &[]);
        let request = request(directory.path(), &[]);
        let twice = async || {
            let first = engine.build(&request, &silent()).await?;
            let events = Arc::new(Events::default());
            let reporter: SharedReporter = events.clone();
            let second = engine.build(&request, &reporter).await?;
            Ok::<_, DockerError>((first, second, events.build_output()))
        };
        let built = persistently(twice).await;
        let (first, second, output) = built.unwrap();
        assert_eq!(first, second);
        let cached = match builder {
            Builder::BuildKit => "CACHED",
            Builder::Classic => "Using cache",
        };
        assert!(output.iter().any(|line| line.contains(cached)), "{output:#?}");
    }
}

#[tokio::test]
async fn a_dockerfile_outside_the_context_is_used() {
    let Some(engine) = connect().await else { return };
    for builder in BUILDERS {
        let directory = context("not this one", &[]);
        // The classic builder takes the Dockerfile away before it copies; BuildKit does not.
        let check = match builder {
            Builder::Classic => r#"RUN ["/context/tool", "expect-list", "/context", "Dockerfile", "tool"]"#,
            Builder::BuildKit => r#"RUN ["/context/tool", "say", "fine"]"#,
        };
        let elsewhere = context(&format!("FROM scratch\nCOPY . /context\n{check}\n"), &[]);
        let mut request = request(directory.path(), &[]);
        request.dockerfile = elsewhere.path().join("Dockerfile");
        engine.clone().with_builder(builder).build(&request, &silent()).await.unwrap();
    }
}

#[tokio::test]
async fn a_failing_instruction_is_shown_with_what_it_printed() {
    let Some(engine) = connect().await else { return };
    for builder in BUILDERS {
        let directory = context(
            "FROM scratch\nARG TOKEN\nCOPY tool /tool\nRUN [\"/tool\", \"fail\", \"the reason\", \"and more\"]\n",
            &[],
        );
        let request = request(directory.path(), &[("TOKEN", "hunter2")]);
        let events = Arc::new(Events::default());
        let reporter: SharedReporter = events.clone();
        let error = engine.clone().with_builder(builder).build(&request, &reporter).await.unwrap_err();
        let DockerError::BuildFailed(failure) = &error else { panic!("{error}") };
        assert!(failure.instruction.as_deref().unwrap().contains("RUN [\"/tool\""), "{failure:?}");
        assert_eq!(failure.output, ["the reason", "and more"], "{failure:?}");
        let text = error.to_string();
        assert!(text.contains("the reason") && text.contains('3'), "{text}");
        let shown = format!("{error:?} {text} {:?}", events.0.lock().unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        // The classic builder would keep it for whoever wants to look into it.
        assert_eq!(directory.containers().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_source_that_is_left_out_is_explained() {
    let Some(engine) = connect().await else { return };
    for builder in BUILDERS {
        let directory = context(
            "FROM scratch\nCOPY target/hello /\n",
            &[(".dockerignore", "target\n"), ("target/hello", "")],
        );
        let request = request(directory.path(), &[]);
        let error = engine.clone().with_builder(builder).build(&request, &silent()).await.unwrap_err();
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains("add the line `!target"), "{error}: {hint}");
    }
}

#[tokio::test]
async fn a_faulty_dockerfile_is_a_failed_build() {
    let Some(engine) = connect().await else { return };
    for builder in BUILDERS {
        let directory = context("FROM scratch\nCOBY a b\n", &[]);
        let request = request(directory.path(), &[]);
        let error = engine.clone().with_builder(builder).build(&request, &silent()).await.unwrap_err();
        assert!(matches!(error, DockerError::BuildFailed(_)), "{error:?}");
        assert!(error.to_string().contains("COBY"), "{error}");
    }
}

#[tokio::test]
async fn an_image_for_another_machine_is_refused() {
    let Some(engine) = connect().await else { return };
    let directory = context("FROM scratch\nCOPY tool /tool\n", &[]);
    let mut base = request(directory.path(), &[]);
    let (own, other) = match Architecture::of_this_machine() {
        Some(Architecture::Arm64) => (Architecture::Arm64, Architecture::X86_64),
        _ => (Architecture::X86_64, Architecture::Arm64),
    };
    base.architecture = Some(other);
    let foreign = engine.build(&base, &silent()).await.unwrap().to_string();
    let found = engine.inspect(&foreign).await.unwrap().unwrap();
    assert!(found.platform.runs_on(other), "{found:?}");

    // The classic builder takes the foreign base image, or stumbles over it later.
    let on_foreign = context(&format!("FROM {foreign}\nENV A=b\n"), &[]);
    let mut request = request(on_foreign.path(), &[]);
    request.architecture = Some(own);
    match engine.with_builder(Builder::Classic).build(&request, &silent()).await {
        Err(DockerError::PlatformMismatch { wanted, found, .. }) => {
            assert_eq!(wanted, own);
            assert!(found.runs_on(other));
        }
        other => panic!("{other:?}"),
    }
    drop(on_foreign);
}

#[tokio::test]
async fn dropping_the_build_ends_it_in_the_engine() {
    let Some(engine) = connect().await else { return };
    for builder in BUILDERS {
        let token = uuid::Uuid::new_v4().to_string();
        let directory = context(
            &format!("FROM scratch\nCOPY tool /tool\nRUN [\"/tool\", \"sleep\", \"100\", \"{token}\"]\n"),
            &[],
        );
        let request = request(directory.path(), &[]);
        let events = Arc::new(Events::default());
        let reporter: SharedReporter = events.clone();
        let engine = engine.clone().with_builder(builder);
        let build = tokio::spawn(async move { engine.build(&request, &reporter).await });
        until("the instruction runs", || events.build_output().iter().any(|line| line.ends_with("sleeping")))
            .await;
        if !is_running(&token) {
            // The engine is in another machine, whose processes cannot be seen.
            continue;
        }
        build.abort();
        assert!(build.await.unwrap_err().is_cancelled());
        until("the instruction is ended", || !is_running(&token)).await;
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Looks for a process with this argument.
fn is_running(argument: &str) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    processes.filter_map(Result::ok).any(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        // The client's own line would hold it inside of a longer argument.
        line.split(|byte| *byte == 0).any(|part| part == argument.as_bytes())
    })
}

#[tokio::test]
async fn an_export_is_the_archive_docker_save_writes() {
    let Some(engine) = connect().await else { return };
    let directory = context("FROM scratch\nCOPY tool /tool\n", &[]);
    let id = engine.build(&request(directory.path(), &[]), &silent()).await.unwrap().to_string();
    let bytes = engine.export(&id).try_collect::<Vec<_>>().await.unwrap().concat();
    let mut archive = tar::Archive::new(&*bytes);
    let names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
        .collect();
    assert!(names.iter().any(|name| name == "manifest.json"), "{names:?}");
}

#[tokio::test]
async fn an_image_that_is_not_there_is_none_and_not_an_empty_archive() {
    let Some(engine) = connect().await else { return };
    let name = "lambdactl-test/nothing:here";
    assert!(engine.inspect(name).await.unwrap().is_none());
    let items: Vec<_> = engine.export(name).collect().await;
    assert!(matches!(&items[..], [Err(DockerError::ImageNotFound { .. })]), "{items:?}");
    let items: Vec<_> = engine.export("a?b").collect().await;
    assert!(matches!(&items[..], [Err(DockerError::InvalidImageName { .. })]), "{items:?}");
}

#[tokio::test]
async fn an_image_that_cannot_be_read_is_refused_before_it_is_exported() {
    let Some(engine) = connect().await else { return };
    let read = |name: String, architecture| {
        let engine = engine.clone();
        async move {
            lambdactl::image::engine::read(&engine, &name, architecture, &Default::default(), &silent())
                .await
                .unwrap_err()
        }
    };
    let error = read("lambdactl-test/nothing:here".to_owned(), None).await;
    assert!(matches!(error, ImageError::Engine(DockerError::ImageNotFound { .. })), "{error}");
    let directory = context("FROM scratch\nCOPY tool /tool\n", &[]);
    let mut request = request(directory.path(), &[]);
    request.architecture = Some(Architecture::Arm64);
    let id = engine.build(&request, &silent()).await.unwrap().to_string();
    let error = read(id, Some(Architecture::X86_64)).await;
    assert!(matches!(error, ImageError::Engine(DockerError::PlatformMismatch { .. })), "{error}");
}

/// A good build whose stream ends badly, as the library reports it when a line break falls
/// between two reads.
#[tokio::test]
async fn a_spurious_error_behind_the_image_id_is_ignored() {
    let id = format!("sha256:{}", "ab".repeat(32));
    let recorder =
        RecordingEngine::answering(format!("{{\"aux\":{{\"ID\":\"{id}\"}}}}\n{{\"stream\":\"cut o"), &id)
            .await;
    let location = EngineLocation { host: Some(recorder.host.clone()), ..EngineLocation::default() };
    let engine = DockerEngine::connect(&location).await.unwrap();
    let directory = context("FROM scratch\n", &[]);
    let built = engine.build(&request(directory.path(), &[]), &silent()).await.unwrap();
    assert_eq!(built.to_string(), id);
}

#[tokio::test]
async fn the_engine_of_the_chosen_context_is_used() {
    let Some(location) = engine() else { return };
    let config = tempfile::tempdir().unwrap();
    let id = hex::encode(sha2::Sha256::digest(b"mine"));
    let directory = config.path().join("contexts/meta").join(id);
    std::fs::create_dir_all(&directory).unwrap();
    let host = location.host.unwrap();
    let meta =
        serde_json::json!({ "Name": "mine", "Metadata": {}, "Endpoints": { "docker": { "Host": host } } });
    std::fs::write(directory.join("meta.json"), meta.to_string()).unwrap();
    std::fs::write(config.path().join("config.json"), r#"{"currentContext":"mine"}"#).unwrap();
    let location =
        EngineLocation { config_directory: Some(config.path().to_owned()), ..EngineLocation::default() };
    assert!(DockerEngine::connect(&location).await.is_ok());
    std::fs::remove_dir_all(config.path().join("contexts")).unwrap();
    let error = DockerEngine::connect(&location).await.unwrap_err();
    assert!(matches!(error, DockerError::ContextNotFound { .. }), "{error}");
}

/// Compares what is sent with what the docker client sends, over generated files and patterns.
///
/// Needs the `docker` program, but no engine. `LAMBDACTL_TEST_DOCKERIGNORE_CASES` widens it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_dockerignores_mean_what_they_mean_to_the_docker_client() {
    if Command::new("docker").arg("--version").output().is_err() {
        return;
    }
    let cases = std::env::var("LAMBDACTL_TEST_DOCKERIGNORE_CASES");
    let cases: u32 = cases.map_or(40, |text| text.parse().unwrap());
    let recorder = RecordingEngine::start().await;
    let location = EngineLocation { host: Some(recorder.host.clone()), ..EngineLocation::default() };
    let ours = DockerEngine::connect(&location).await.unwrap();
    assert_eq!(ours.builder(), Builder::Classic);
    let directory = tempfile::tempdir().unwrap();
    for path in [
        "Dockerfile",
        "a/a/a",
        "a/a/b",
        "a/b.c",
        "a/c/x.md",
        "b/a/c",
        "b/b",
        "b/.h",
        "c",
        "ab",
        "b.c",
        ".h",
        "x.md",
        "d/Dockerfile",
        "d/b.c/a",
        "a b/c",
        "[a]",
        "a+b",
    ] {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    let mut random = Random(0x5EED);
    let (mut compared, mut refused) = (0, 0);
    for case in 0..cases {
        let text: Vec<_> = (0..1 + random.below(5)).map(|_| random.pattern()).collect();
        let text = text.join("\n");
        std::fs::write(directory.path().join(".dockerignore"), &text).unwrap();
        let theirs = docker_build(directory.path(), &recorder.host);
        let theirs = recorder.take().ok_or(theirs);
        let error = ours.build(&request(directory.path(), &[]), &silent()).await.unwrap_err();
        match (theirs, recorder.take()) {
            (Ok(theirs), Some(ours)) => {
                assert_eq!(ours, theirs, "case {case}: {text:?}");
                compared += 1;
            }
            (Err(said), None) => {
                assert!(matches!(error, DockerError::Dockerignore { .. }), "{text:?}: {error}, but {said}");
                refused += 1;
            }
            (theirs, ours) => panic!("case {case}: {text:?}: {theirs:?} but {ours:?} ({error})"),
        }
    }
    assert!(compared > refused, "{compared} compared, {refused} refused");
}

/// Lets the docker client send the directory the classic way, and returns what it says.
fn docker_build(directory: &Path, host: &str) -> String {
    let output = Command::new("docker")
        .args(["build", "."])
        .current_dir(directory)
        .env("DOCKER_HOST", host)
        .env("DOCKER_BUILDKIT", "0")
        .env("DOCKER_CONFIG", directory.join("no-configuration"))
        .env("HOME", "/nonexistent")
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // Knuth's MMIX constants.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn pattern(&mut self) -> String {
        const PARTS: [&str; 30] = [
            "a",
            "b",
            "c",
            "d",
            "ab",
            "b.c",
            ".h",
            "x.md",
            "*",
            "*",
            "**",
            "**",
            "?",
            "[ab]",
            "[^a]",
            "[a-c]*",
            "*.md",
            "*.c",
            "a*",
            "**a",
            "a**",
            ".",
            "..",
            "",
            "Dockerfile",
            r"\a",
            r"a\+b",
            "a+b",
            "[[]a]",
            "a b",
        ];
        let mut pattern = String::new();
        if self.below(3) == 0 {
            pattern.push('!');
        }
        if self.below(8) == 0 {
            pattern.push_str(["/", " ", "./", "#"][self.below(4) as usize]);
        }
        for index in 0..1 + self.below(3) {
            if index > 0 {
                pattern.push('/');
            }
            pattern.push_str(PARTS[self.below(30) as usize]);
        }
        if self.below(8) == 0 {
            pattern.push_str(["/", " ", "/**", "/."][self.below(4) as usize]);
        }
        pattern
    }
}

#[tokio::test]
async fn podman_builds_and_exports_behind_the_same_api() {
    let Some(podman) = Podman::start() else { return };
    let engine = DockerEngine::connect(&podman.location()).await.unwrap();
    assert!(!engine.is_docker(), "it does not tell whose files are");
    assert_eq!(engine.builder(), Builder::Classic);
    let directory = context("FROM scratch\nARG WHO\nCOPY tool /tool\nLABEL who=$WHO\n", &[]);
    let mut request = request(directory.path(), &[("WHO", "ada")]);
    request.architecture = Architecture::of_this_machine();
    let reporter: SharedReporter = Arc::new(Silent);
    let id = engine.build(&request, &reporter).await.unwrap().to_string();
    let image =
        lambdactl::image::engine::read(&engine, &id, request.architecture, &Default::default(), &reporter)
            .await
            .unwrap();
    assert_eq!(image.layers.len(), 1);
    assert!(image.manifest.is_accepted_by_lambda());
    assert_eq!(image.config.document["config"]["Labels"]["who"], "ada");

    std::fs::write(directory.path().join("Dockerfile"), "FROM scratch\nCOPY nothing /x\n").unwrap();
    let error = engine.build(&request, &reporter).await.unwrap_err();
    assert!(error.to_string().contains("COPY nothing /x"), "{error}");
}
