//! The example functions: they compile as their files say, stand alone, and answer.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::program::wants_a_loader;
use crate::support::sandbox::{Sandbox, finish};
use crate::support::{needs_docker, needs_namespaces};

/// An event for the function, and the place where its answer arrives.
struct RuntimeApi {
    events: Mutex<Vec<Value>>,
    answers: mpsc::UnboundedSender<(String, Value)>,
}

/// `GET /runtime/invocation/next`: the next event; once there is none, the function is kept waiting.
async fn next(State(api): State<Arc<RuntimeApi>>) -> impl IntoResponse {
    let event = api.events.lock().unwrap().pop();
    let Some(event) = event else { return std::future::pending().await };
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        ("Lambda-Runtime-Deadline-Ms", "4102444800000"),
        ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:hello"),
        ("Content-Type", "application/json"),
    ];
    (headers, event.to_string())
}

/// `POST /runtime/invocation/ID/response` and `…/error`.
async fn answer(
    State(api): State<Arc<RuntimeApi>>,
    UrlPath((_, kind)): UrlPath<(String, String)>,
    body: String,
) -> impl IntoResponse {
    let body = serde_json::from_str(&body).expect("the function answers in JSON");
    api.answers.send((kind, body)).expect("the test is waiting");
    http::StatusCode::ACCEPTED
}

/// Ends the function when the test is over, however it is over.
struct Function(Child);

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The events' answers, by a function that runs with nothing but what Lambda gives it.
fn invoke(program: &Path, events: Vec<Value>, variables: &[(&str, &str)]) -> Vec<(String, Value)> {
    let count = events.len();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (sender, mut answers) = mpsc::unbounded_channel();
        let events = Mutex::new(events.into_iter().rev().collect());
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{kind}", post(answer))
            .with_state(Arc::new(RuntimeApi { events, answers: sender }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let _function = Function(
            Command::new(program)
                .env_clear()
                .env("AWS_LAMBDA_RUNTIME_API", address)
                .env("AWS_LAMBDA_FUNCTION_NAME", "hello")
                .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
                .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
                .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/hello")
                .env("AWS_LAMBDA_LOG_STREAM_NAME", "local")
                .envs(variables.iter().copied())
                .spawn()
                .expect("the program starts"),
        );
        let mut found = Vec::new();
        while found.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(20), answers.recv()).await;
            found.push(next.expect("the function answers").expect("the server lives"));
        }
        found
    })
}

/// Runs the `[build] command` of an example in its directory, as `lambdactl build` does, and
/// returns that directory.
fn build(example: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
    let settings = std::fs::read_to_string(directory.join("lambdactl.toml")).unwrap();
    let settings: toml::Table = toml::from_str(&settings).expect("lambdactl.toml is TOML");
    let words: Vec<&str> =
        settings["build"]["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(words[0]);
    command.args(&words[1..]).current_dir(&directory);
    // Both examples compile the same crates: the second finds what the first has made.
    command.env("CARGO_BUILD_BUILD_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples"));
    finish(command).expect(0);
    assert!(settings["function"].get("role").is_none(), "an example runs in anybody's account");
    directory
}

#[test]
fn hello_is_one_static_program_that_greets() {
    let program = build("hello").join("target/release/hello");
    assert!(!wants_a_loader(&std::fs::read(&program).unwrap()), "an image on `scratch` has no loader");
    let answers = invoke(&program, vec![json!({ "name": "Ada" }), json!({})], &[]);
    assert_eq!(
        answers,
        [
            ("response".to_owned(), json!({ "message": "Hello, Ada!" })),
            ("response".to_owned(), json!({ "message": "Hello, world!" })),
        ]
    );
    let answers = invoke(&program, vec![json!({ "name": "Ada" })], &[("GREETING", "Salut")]);
    assert_eq!(answers, [("response".to_owned(), json!({ "message": "Salut, Ada!" }))]);
}

#[test]
fn an_event_hello_does_not_understand_is_reported_and_it_lives_on() {
    let program = build("hello").join("target/release/hello");
    let answers = invoke(&program, vec![json!({ "name": 7 }), json!({ "name": "Bo" })], &[]);
    assert_eq!(answers[0].0, "error", "{answers:?}");
    assert_eq!(answers[1], ("response".to_owned(), json!({ "message": "Hello, Bo!" })));
}

/// Deploys `hello` to a local cloud and calls it.
fn call_hello(engine: Option<&str>) {
    let directory = build("hello");
    let mut sandbox = Sandbox::new();
    if let Some(engine) = engine {
        sandbox.set("DOCKER_HOST", engine);
    }
    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
    sandbox.set("CARGO_BUILD_BUILD_DIR", build.to_str().unwrap());
    let lines = sandbox.json(0, ["deploy", "--local", directory.to_str().unwrap()]);
    let findings: Vec<_> = lines.iter().filter(|line| line["reason"] == "finding").collect();
    assert!(findings.is_empty(), "{findings:#?}");
    let runner = if engine.is_some() { "sandbox" } else { "container" };
    let invoke =
        |event: &str| sandbox.run(["invoke", "--local", "hello", "--payload", event, "--runner", runner]);
    assert_eq!(invoke(r#"{"name":"Ada"}"#).expect(0).stdout, r#"{"message":"Hello, Ada!"}"#);
    let failed = invoke(r#"{"name":7}"#).expect(1);
    assert!(failed.stderr.contains("invalid type"), "{failed}");
}

#[test]
fn hello_is_deployed_and_called_without_an_engine() {
    if needs_namespaces() {
        call_hello(Some("unix:///nonexistent/docker.sock"));
    }
}

#[test]
fn hello_is_called_in_a_container() {
    if needs_docker() {
        call_hello(None);
    }
}

#[test]
fn the_dockerfile_gets_the_same_static_program_and_nothing_else() {
    let directory = build("dockerfile");
    let program = std::fs::read(directory.join("target/release/hello")).unwrap();
    assert!(!wants_a_loader(&program));
    let dockerfile = std::fs::read_to_string(directory.join("Dockerfile")).unwrap();
    let pulled: Vec<&str> =
        dockerfile.lines().filter(|line| line.starts_with("FROM ") && *line != "FROM scratch").collect();
    assert_eq!(pulled, [""; 0], "nothing is pulled");
}
