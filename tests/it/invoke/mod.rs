//! Functions that run: by `lambdactl invoke`, the AWS CLI and boto3, against the local cloud with
//! the Docker Engine, and without any engine.

mod dev;
mod extensions;
mod logs;
mod python;
mod run;
mod sandbox;
mod scenarios;
mod stream;
mod url;

use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::local_server::LocalServer;
use crate::support::podman::Podman;
use crate::support::program::function;
use crate::support::project::Project;
use crate::support::python::{aws, aws_json, boto3};
use crate::support::sandbox::{Finished, Sandbox, finish_child, signal};
use crate::support::world::World;
use crate::support::{needs_docker, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// A local cloud in which `hello` is deployed and does what its events say.
fn world(settings: &str) -> Option<World> {
    if !needs_docker() {
        return None;
    }
    let world = World::new();
    std::fs::copy(function(), world.project.file("bootstrap")).unwrap();
    world.project.configure(settings);
    world.deploy(&[]);
    Some(world)
}

impl World {
    fn invoke(&self, event: &Value, options: &[&str]) -> Finished {
        let event = event.to_string();
        let mut arguments = vec!["invoke", "--local", "hello", "--payload", &event];
        arguments.extend(options);
        self.sandbox.run(arguments)
    }

    #[track_caller]
    fn answer(&self, event: &Value) -> Value {
        let done = self.invoke(event, &[]).expect(0);
        serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{done}"))
    }

    /// The error of a call that has to fail, and what is said of it.
    #[track_caller]
    fn failure(&self, event: &Value) -> (String, String) {
        let done = self.invoke(event, &["--output", "json"]).expect(1);
        let error = done.last_json();
        assert_eq!(error["reason"], "error", "{done}");
        (error["code"].as_str().unwrap_or_default().to_owned(), error["message"].to_string())
    }

    /// The containers of this local cloud, running or not.
    fn containers(&self) -> Vec<String> {
        let folder = self.sandbox.local_state().join("servers");
        let output = Command::new("docker")
            .args(["ps", "--all", "--format", "{{.ID}} {{.Label \"lambdactl.local.server\"}}"])
            .output()
            .expect("docker runs");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter(|line| line.contains(folder.to_str().unwrap())).map(str::to_owned).collect()
    }
}

#[test]
fn a_function_answers_with_its_bytes_and_stays_warm() {
    let Some(world) = world("") else { return };
    let done = world.invoke(&json!({"do": "echo", "name": "Ada"}), &[]).expect(0);
    assert_eq!(done.stdout, r#"{"do":"echo","name":"Ada"}"#);
    let first = world.answer(&json!({"do": "who"}));
    let second = world.answer(&json!({"do": "who"}));
    assert_eq!(second["served"], first["served"].as_i64().unwrap() + 1, "the environment is used again");
    assert_ne!(first["id"], second["id"]);
    let context = ["--client-context", r#"{"custom":{"a":"b"}}"#];
    let done = world.invoke(&json!({"do": "who"}), &context).expect(0);
    assert!(done.stdout.contains(r#""context":{"custom":{"a":"b"}}"#), "{done}");
    // A change of the configuration is live at once.
    world.project.configure("[function.environment]\nLEVEL = \"new\"");
    world.deploy(&[]);
    assert_eq!(world.answer(&json!({"do": "environment"}))["LEVEL"], "new");
}

#[test]
fn a_function_runs_under_lambdas_conditions() {
    let Some(world) = world(scenarios::CONDITIONS) else { return };
    scenarios::conditions(&world);
}

#[test]
fn every_limit_is_told_in_lambdas_words_and_the_next_call_is_fine() {
    let Some(world) = world(scenarios::LIMITS) else { return };
    scenarios::limits(&world);
    wait_for("one container to be left", PATIENCE, || (world.containers().len() == 1).then_some(()));
}

#[test]
fn the_room_in_tmp_ends_where_lambdas_does_and_is_no_memory() {
    let Some(world) = world(scenarios::FILLING) else { return };
    scenarios::filling(&world);
}

#[test]
fn what_cannot_start_says_why() {
    let Some(world) = world(scenarios::NO_ENTRY_POINT) else { return };
    scenarios::no_start(&world);
}

#[test]
fn a_start_of_more_than_ten_seconds_counts_as_part_of_the_invocation() {
    let Some(world) = world(scenarios::SLOW_START) else { return };
    scenarios::slow_start(&world);
}

#[test]
fn the_log_tail_has_the_lines_of_the_call() {
    let Some(world) = world("") else { return };
    let done = world.invoke(&json!({"do": "log"}), &["--log-tail", "--output", "json"]).expect(0);
    let result = done.last_json();
    assert_eq!(result["reason"], "invocation");
    let lines: Vec<&str> =
        result["log_tail"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let id = result["request_id"].as_str().unwrap();
    assert_eq!(lines[0], format!("START RequestId: {id} Version: $LATEST"));
    assert!(lines.contains(&"a line of output") && lines.contains(&"a line of error"), "{lines:?}");
    let report = lines.last().unwrap();
    for part in ["REPORT RequestId: ", "\tBilled Duration: ", "\tMemory Size: 128 MB", "\tInit Duration: "] {
        assert!(report.contains(part), "{report}");
    }
    let plain = world.invoke(&json!({"do": "log"}), &["--log-tail"]).expect(0);
    assert_eq!(plain.stdout, r#"{"do":"log"}"#);
    assert!(plain.stderr.contains("a line of output\n"), "{plain}");
}

#[test]
fn events_that_lambda_would_refuse_are_not_sent() {
    let Some(world) = world("") else { return };
    let large = format!("\"{}\"", "x".repeat(6 * 1024 * 1024));
    std::fs::write(world.project.file("large.json"), &large).unwrap();
    let file = world.project.file("large.json");
    let calls = world.cloud.calls("Invoke");
    let arguments = ["invoke", "--local", "hello", "--payload-file", file.to_str().unwrap()];
    let done = world.sandbox.run(arguments).expect(2);
    assert!(done.stderr.contains("6291458 bytes") && done.stderr.contains("6291456"), "{done}");
    let done = world.sandbox.run(["invoke", "--local", "hello", "--payload", "{no"]).expect(2);
    assert!(done.stderr.contains("the event is not JSON"), "{done}");
    assert_eq!(world.cloud.calls("Invoke"), calls);
}

#[test]
fn a_function_that_cannot_be_found_is_answered_with_what_to_type() {
    let world = World::new();
    world.deploy(&[]);
    let call = |options: &[&str]| {
        let options = [&["invoke", "--local", "--payload", "{}", "--output", "json"], options].concat();
        world.sandbox.run(options)
    };
    let missing = call(&["nobody"]).expect(1).last_json();
    assert!(missing["message"].as_str().unwrap().contains("`nobody`"), "{missing}");
    assert!(missing["hints"][0].as_str().unwrap().contains("lambdactl local status"), "{missing}");
    let missing = call(&["hello", "--qualifier", "7"]).expect(1).last_json();
    assert!(missing["message"].as_str().unwrap().contains("no version or alias `7`"), "{missing}");
    assert!(missing["hints"][0].as_str().unwrap().contains("lambdactl status hello"), "{missing}");
    let calls = world.cloud.calls("Invoke");
    let unnamed = call(&["not a name"]).expect(2).last_json();
    assert!(unnamed["message"].as_str().unwrap().contains("expected a function's name"), "{unnamed}");
    assert_eq!(world.cloud.calls("Invoke"), calls);
}

#[test]
fn the_aws_cli_and_boto3_invoke_too() {
    let Some(world) = world("") else { return };
    let (endpoint, region) = (world.cloud.endpoint(), "us-east-1");
    let answer = world.project.file("answer.json");
    let call = |options: &[&str]| {
        let mut arguments = vec!["lambda", "invoke", "--function-name", "hello"];
        arguments.extend(options);
        arguments.push(answer.to_str().unwrap());
        aws_json(endpoint, region, &arguments)
    };
    let told = call(&["--payload", r#"{"do":"log"}"#, "--log-type", "Tail"]);
    assert_eq!((&told["StatusCode"], &told["ExecutedVersion"]), (&json!(200), &json!("$LATEST")));
    assert_eq!(std::fs::read_to_string(&answer).unwrap(), r#"{"do":"log"}"#);
    let log = base64::engine::general_purpose::STANDARD.decode(told["LogResult"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8(log).unwrap().contains("a line of output\n"));
    let told = call(&["--payload", r#"{"do":"exit"}"#]);
    assert_eq!(told["FunctionError"], "Unhandled");
    assert_eq!(call(&["--invocation-type", "DryRun"])["StatusCode"], 204);
    assert_eq!(call(&["--invocation-type", "Event"])["StatusCode"], 202);
    let missing =
        aws(endpoint, region, &["lambda", "invoke", "--function-name", "hello:9", answer.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("ResourceNotFoundException"));
    let script = r#"
client = boto3.client("lambda")
version = client.publish_version(FunctionName="hello")["Version"]
client.create_alias(FunctionName="hello", Name="live", FunctionVersion=version)
client.get_waiter("function_active_v2").wait(FunctionName="hello", Qualifier=version)
answer = client.invoke(FunctionName="hello", Qualifier="live", Payload=b'{"do":"echo"}')
print(answer["ExecutedVersion"], answer["Payload"].read().decode())
for size, kind in [(6291457, "RequestResponse"), (1048577, "Event")]:
    try:
        client.invoke(FunctionName="hello", InvocationType=kind, Payload=b'"' + b"x" * (size - 2) + b'"')
    except client.exceptions.RequestTooLargeException as error:
        print(error.response["ResponseMetadata"]["HTTPStatusCode"])
try:
    client.invoke(FunctionName="hello", Payload=b"{no")
except client.exceptions.InvalidRequestContentException as error:
    print("not JSON")
"#;
    assert_eq!(boto3(endpoint, region, script), "1 {\"do\":\"echo\"}\n413\n413\nnot JSON\n");
}

#[test]
fn asynchronous_calls_that_fail_are_tried_again() {
    let Some(world) = sandbox::world("") else { return };
    let script = r#"
client = boto3.client("lambda")
print(client.invoke(FunctionName="hello", InvocationType="Event", Payload=b'{"do":"exit"}')["StatusCode"])
"#;
    let calls = || {
        let log = world.sandbox.run(["logs", "--local", "hello"]).expect(0).stdout;
        let calls = log.lines().filter_map(|line| Some(line.split_once("END RequestId: ")?.1.to_owned()));
        calls.collect::<Vec<_>>()
    };
    assert_eq!(boto3(world.cloud.endpoint(), "us-east-1", script), "202\n");
    let tries = wait_for("three tries", PATIENCE, || Some(calls()).filter(|calls| calls.len() == 3));
    assert!(tries.iter().all(|id| *id == tries[0]), "it is one call: {tries:?}");
    let script = r#"
client = boto3.client("lambda")
client.put_function_event_invoke_config(FunctionName="hello", MaximumRetryAttempts=0)
config = client.update_function_event_invoke_config(FunctionName="hello", MaximumEventAgeInSeconds=60)
print(config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"], config["FunctionArn"].split(":")[-1])
for body in ['{"do":"exit"}', '{"do":"log"}']:
    client.invoke(FunctionName="hello", InvocationType="Event", Payload=body.encode())
"#;
    assert_eq!(boto3(world.cloud.endpoint(), "us-east-1", script), "0 60 $LATEST\n");
    wait_for("two more calls", PATIENCE, || (calls().len() == 5).then_some(()));
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(calls().len(), 5, "neither is tried again");
    let script = r#"
client = boto3.client("lambda")
client.delete_function_event_invoke_config(FunctionName="hello")
try:
    client.get_function_event_invoke_config(FunctionName="hello")
except client.exceptions.ResourceNotFoundException as error:
    print(error.response["Error"]["Message"])
"#;
    assert_eq!(
        boto3(world.cloud.endpoint(), "us-east-1", script),
        "The function arn:aws:lambda:us-east-1:000000000000:function:hello:$LATEST doesn't have an EventInvokeConfig\n"
    );
}

#[test]
fn an_alias_with_weights_calls_both_of_its_versions() {
    let Some(world) = sandbox::world("") else { return };
    let script = r#"
client = boto3.client("lambda")
for level in ["a", "b"]:
    client.update_function_configuration(FunctionName="hello", Environment={"Variables": {"LEVEL": level}})
    client.get_waiter("function_updated_v2").wait(FunctionName="hello", WaiterConfig={"Delay": 1})
    version = client.publish_version(FunctionName="hello")["Version"]
    client.get_waiter("function_active_v2").wait(FunctionName="hello", Qualifier=version, WaiterConfig={"Delay": 1})
client.create_alias(FunctionName="hello", Name="live", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
seen = set()
for _ in range(60):
    answer = client.invoke(FunctionName="hello", Qualifier="live", Payload=b'{"do":"environment"}')
    seen.add((answer["ExecutedVersion"], json.load(answer["Payload"])["LEVEL"]))
print(sorted(seen))
"#;
    assert_eq!(boto3(world.cloud.endpoint(), "us-east-1", script), "[('1', 'a'), ('2', 'b')]\n");
}

#[test]
fn a_thousand_calls_ten_at_a_time_get_each_their_own_answer() {
    let Some(world) = world(scenarios::MANY_CALLS) else { return };
    scenarios::many_calls(&world, 100);
    assert!(world.containers().len() <= 10, "{:?}", world.containers());
}

#[test]
fn nothing_is_left_behind_however_the_server_ends() {
    let Some(mut world) = world("") else { return };
    world.answer(&json!({"do": "echo"}));
    assert_eq!(world.containers().len(), 1);
    signal(world.cloud.id(), "KILL");
    world.cloud = LocalServer::serve(&world.sandbox);
    world.answer(&json!({"do": "echo"}));
    assert_eq!(world.containers().len(), 1, "the killed server's container is removed by the next");
    let cloud = std::mem::replace(&mut world.cloud, LocalServer::nobody());
    assert_eq!(cloud.interrupt(), Some(0));
    assert_eq!(world.containers(), [""; 0]);
    // A command that serves for itself takes everything with it, also one nobody waits for.
    world.answer(&json!({"do": "echo"}));
    world.invoke(&json!({"do": "echo"}), &["--async"]).expect(0);
    assert_eq!(world.containers(), [""; 0]);
}

#[test]
fn a_wiped_cloud_leaves_no_image_in_the_engine_and_a_lost_one_is_loaded_again() {
    let Some(mut world) = world("") else { return };
    // An image nobody else has.
    world.project.write("data", world.project.argument());
    let digest = world.deploy(&[])["image_digest"].as_str().unwrap().to_owned();
    let name = format!("localhost/lambdactl/hello:{}", &digest.strip_prefix("sha256:").unwrap()[..32]);
    let docker = |words: &[&str]| {
        let output = Command::new("docker").args(words).output().expect("docker runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let is_there = || docker(&["image", "inspect", "--format", "{{.Id}}", &name]).0;
    world.answer(&json!({"do": "echo"}));
    assert!(is_there());
    // Somebody tidies up: `docker image prune --all` while nothing runs.
    world.failure(&json!({"do": "exit"}));
    wait_for("the container to be gone", PATIENCE, || world.containers().is_empty().then_some(()));
    assert!(docker(&["rmi", "--force", &name]).0 && !is_there());
    world.answer(&json!({"do": "echo"}));
    assert!(is_there());
    let cloud = std::mem::replace(&mut world.cloud, LocalServer::nobody());
    assert_eq!(cloud.interrupt(), Some(0));
    world.sandbox.run(["local", "reset", "--yes"]).expect(0);
    assert!(!is_there());
}

#[test]
fn podman_runs_functions_too() {
    let Some(podman) = Podman::start() else { return };
    let mut sandbox = Sandbox::new();
    sandbox.set("DOCKER_HOST", podman.location().host.as_deref().unwrap());
    let project = Project::assembled(sandbox.path(), "hello");
    std::fs::copy(function(), project.file("bootstrap")).unwrap();
    sandbox.run(["deploy", "--local", project.argument()]).expect(0);
    let invoke = |event: &str| sandbox.run(["invoke", "--local", "hello", "--payload", event]);
    let done = invoke(r#"{"do":"system"}"#).expect(0);
    assert!(done.stdout.starts_with(r#"{"uid":993,"gid":990,"root":"Read-only file system""#), "{done}");
    let done = invoke(r#"{"do":"exit"}"#).expect(1);
    assert!(done.stderr.contains("Runtime.ExitError") && done.stderr.contains("exit status 7"), "{done}");
}

#[test]
fn without_an_engine_the_way_out_is_named() {
    let mut sandbox = Sandbox::new();
    sandbox.set("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let project = Project::assembled(sandbox.path(), "hello");
    sandbox.run(["deploy", "--local", project.argument()]).expect(0);
    let arguments = ["invoke", "--local", "hello", "--payload", "{}", "--runner", "container"];
    let done = sandbox.run(arguments).expect(1);
    assert!(done.stderr.contains("start Docker or Podman"), "{done}");
}

#[test]
fn an_interrupted_call_leaves_nothing_behind() {
    let Some(mut world) = world("[function]\ntimeout = 60") else { return };
    let cloud = std::mem::replace(&mut world.cloud, LocalServer::nobody());
    assert_eq!(cloud.interrupt(), Some(0));
    let mut command =
        world.sandbox.lambdactl(["invoke", "--local", "hello", "--payload", r#"{"do":"sleep"}"#]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_for("the function to run", PATIENCE, || (world.containers().len() == 1).then_some(()));
    signal(child.id(), "INT");
    finish_child("lambdactl invoke".to_owned(), child).expect(130);
    assert_eq!(world.containers(), [""; 0]);
}

#[test]
fn functions_get_the_callers_credentials_only_when_asked() {
    if !needs_docker() {
        return;
    }
    let mut sandbox = Sandbox::new();
    sandbox.set("AWS_ACCESS_KEY_ID", "AKIDTEST");
    sandbox.set("AWS_SECRET_ACCESS_KEY", "secret");
    let project = Project::assembled(sandbox.path(), "hello");
    std::fs::copy(function(), project.file("bootstrap")).unwrap();
    sandbox.run(["deploy", "--local", project.argument()]).expect(0);
    let arguments = ["invoke", "--local", "hello", "--payload", r#"{"do":"environment"}"#];
    let key = |done: Finished| -> Value { done.last_json()["AWS_ACCESS_KEY_ID"].clone() };
    assert_eq!(key(sandbox.run(arguments).expect(0)), "local");
    let asked = arguments.iter().chain(&["--with-credentials"]);
    assert_eq!(key(sandbox.run(asked).expect(0)), "AKIDTEST");
}
