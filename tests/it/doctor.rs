//! `doctor`, with each thing missing in turn.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::local_server::Fault;
use crate::support::needs_docker;
use crate::support::python::aws_json;
use crate::support::sandbox::{Sandbox, finish};
use crate::support::world::World;

const NOBODY: &str = "unix:///nonexistent/docker.sock";
const REGION: &str = "us-east-1";

/// What was found, by check; and the tally.
struct Found {
    checks: BTreeMap<String, Value>,
    tally: Value,
}

impl Found {
    /// Runs a command with `--output json` that has to end with `code`.
    #[track_caller]
    fn by(mut command: Command, code: i32) -> Self {
        command.args(["--output", "json"]);
        let mut lines = finish(command).expect(code).json_lines();
        let tally = lines.pop().expect("a summary");
        assert_eq!(tally["reason"], "doctor", "{tally}");
        let checks = lines
            .into_iter()
            .inspect(|line| assert_eq!(line["reason"], "diagnosis", "{line}"))
            .map(|line| (line["check"].as_str().unwrap().to_owned(), line))
            .collect();
        Self { checks, tally }
    }

    #[track_caller]
    fn finding(&self, check: &str) -> &str {
        let found = self.checks.get(check).unwrap_or_else(|| panic!("`{check}`: {:#?}", self.checks));
        found["finding"].as_str().unwrap()
    }

    /// Expects a finding whose message and hint hold some words.
    #[track_caller]
    fn expect(&self, check: &str, finding: &str, words: &str) {
        let found = &self.checks[check];
        assert_eq!(self.finding(check), finding, "{found}");
        assert!(format!("{} {}", found["message"], found["hint"]).contains(words), "`{words}`: {found}");
    }
}

impl World {
    fn doctor(&self, code: i32, options: &[&str]) -> Found {
        let mut command = self.sandbox.lambdactl(self.arguments("doctor", options));
        command.env("DOCKER_HOST", NOBODY);
        Found::by(command, code)
    }

    /// As from AWS: the endpoints come from the environment.
    fn doctor_of_endpoints(&self, code: i32, options: &[&str]) -> Found {
        let mut command = self.sandbox.lambdactl(["doctor", self.project.argument()]);
        command.args(options).envs([
            ("DOCKER_HOST", NOBODY),
            ("AWS_ENDPOINT_URL", self.cloud.endpoint()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", REGION),
        ]);
        Found::by(command, code)
    }

    fn aws(&self, arguments: &[&str]) -> Value {
        aws_json(self.cloud.endpoint(), REGION, arguments)
    }
}

#[test]
fn where_all_is_well_it_says_so_and_writes_nothing() {
    let world = World::new();
    let found = world.doctor(0, &[]);
    found.expect("function", "ok", "does not exist yet");
    found.expect("repository", "ok", "does not exist yet");
    found.expect("role", "ok", "a deployment makes it");
    world.deploy(&[]);
    let since = world.cloud.log().len();
    let found = world.doctor(0, &[]);
    assert!(world.cloud.writes(since).is_empty(), "{:?}", world.cloud.writes(since));
    for check in [
        "configuration",
        "image",
        "local-cloud",
        "region",
        "credentials",
        "clock",
        "registry-token",
        "function",
        "repository",
        "repository-policy",
        "role",
    ] {
        assert_eq!(found.finding(check), "ok", "{}", found.checks[check]);
    }
    found.expect("docker-engine", "skipped", "needs none");
    assert_eq!(found.tally, json!({"reason": "doctor", "ok": 11, "warnings": 0, "errors": 0, "skipped": 1}));

    let mut command = world.sandbox.lambdactl(world.arguments("doctor", &[]));
    let done = finish({
        command.env("DOCKER_HOST", NOBODY);
        command
    })
    .expect(0);
    assert!(done.stdout.lines().any(|line| line.starts_with("ok       repository-policy ")), "{done}");
    assert!(done.stderr.contains("nothing stands in the way"), "{done}");
}

#[test]
fn without_anything_every_check_still_runs() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.lambdactl(["doctor"]);
    command.env("DOCKER_HOST", NOBODY);
    let found = Found::by(command, 1);
    found.expect("configuration", "ok", "no lambdactl.toml");
    found.expect("docker-engine", "warning", "needed for Dockerfiles with RUN");
    found.expect("region", "error", "--region");
    found.expect("credentials", "skipped", "no region");
    assert!(!found.checks.contains_key("repository"), "there is nothing to deploy");

    let mut command = sandbox.lambdactl(["doctor", "--function", "hello"]);
    command
        .env("DOCKER_HOST", NOBODY)
        .env("AWS_REGION", REGION)
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let found = Found::by(command, 1);
    found.expect("endpoints", "warning", "AWS_ENDPOINT_URL");
    found.expect("credentials", "error", "AWS_ACCESS_KEY_ID");
    found.expect("clock", "error", "network");
    for check in ["function", "repository", "role", "registry-token"] {
        found.expect(check, "skipped", "no credentials");
    }

    let mut command = sandbox.lambdactl(["doctor"]);
    command.env("DOCKER_HOST", NOBODY).env("AWS_ENDPOINT_URL", "127.0.0.1");
    let found = Found::by(command, 1);
    found.expect("aws-settings", "error", "AWS_ENDPOINT_URL");
    assert_eq!(found.finding("docker-engine"), "warning");
}

#[test]
fn a_metadata_service_that_never_answers_holds_nothing_up_for_long() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let sandbox = Sandbox::new();
    let mut command = sandbox.lambdactl(["doctor", "--function", "hello", "--region", REGION]);
    command.env("DOCKER_HOST", NOBODY).env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    command.env("AWS_EC2_METADATA_DISABLED", "false").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint);
    let begin = Instant::now();
    let found = Found::by(command, 1);
    assert_eq!(found.finding("credentials"), "error");
    // All checks wait at the same time, ten seconds at most; the rest is for a busy machine.
    assert!(begin.elapsed() < Duration::from_secs(45), "{:?}", begin.elapsed());
}

#[test]
fn a_configuration_that_is_wrong_keeps_nothing_else_from_being_checked() {
    let world = World::new();
    world.project.write("lambdactl.toml", "[function]\nmemory = 1\n");
    let found = world.doctor(1, &[]);
    found.expect("configuration", "error", "memory_size");
    assert_eq!(found.finding("credentials"), "ok");

    world.project.write("lambdactl.toml", "[image]\ndockerfile = \"none\"\n");
    let found = world.doctor(1, &[]);
    assert_eq!((found.finding("configuration"), found.finding("image")), ("ok", "error"));
}

#[test]
fn a_dockerfile_needs_an_engine() {
    let world = World::new();
    world.project.write("lambdactl.toml", "[function]\nname = \"hello\"\n");
    world.project.write("Dockerfile", "FROM scratch\nRUN true\n");
    let found = world.doctor(1, &[]);
    found.expect("docker-engine", "error", "nonexistent");
    if !needs_docker() {
        return;
    }
    let found = Found::by(world.sandbox.lambdactl(world.arguments("doctor", &[])), 0);
    for check in
        ["docker-engine", "docker-version", "docker-builder", "docker-platform", "docker-image-store"]
    {
        assert_eq!(found.finding(check), "ok", "{}", found.checks[check]);
    }
}

#[test]
fn a_clock_that_is_off_is_told_with_what_to_do() {
    let world = World::new();
    let answer = Fault::operation("GetCallerIdentity").times(20).answers(403, json!({}));
    world.cloud.inject(&[answer.with_header("date", "Sun, 06 Nov 1994 08:49:37 GMT")]);
    let found = world.doctor(1, &[]);
    found.expect("clock", "error", "ahead of AWS's");
    found.expect("clock", "error", "timedatectl");
    assert_eq!(found.finding("function"), "ok");
}

#[test]
fn a_role_has_to_exist_and_to_trust_lambda() {
    let world = World::new();
    let found = world.doctor_of_endpoints(1, &[]);
    found.expect("role", "error", "--create-role");
    world.doctor_of_endpoints(1, &["--role", "runner"]).expect("role", "error", "does not exist");
    world.doctor_of_endpoints(0, &["--role", "runner", "--create-role"]).expect("role", "ok", "makes it");
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    world.aws(&["iam", "create-role", "--role-name", "runner", "--assume-role-policy-document", trust]);
    let found = world.doctor_of_endpoints(1, &["--role", "runner"]);
    found.expect("role", "error", "lambda.amazonaws.com");
    world.doctor_of_endpoints(0, &["--role", "arn:aws:iam::123456789012:role/far"]).expect(
        "role",
        "skipped",
        "123456789012",
    );
}

#[test]
fn the_repository_and_its_policy_are_judged_by_what_a_deployment_would_do() {
    let world = World::new();
    let found = world.doctor(1, &["--no-create-repository"]);
    found.expect("repository", "error", "create-repository");
    world.aws(&["ecr", "create-repository", "--repository-name", "hello"]);
    let found = world.doctor(0, &["--no-create-repository"]);
    found.expect("repository-policy", "warning", "policy ensure");
    let deny = r#"{"Version":"2012-10-17","Statement":[{"Sid":"No","Effect":"Deny","Principal":"*","Action":"ecr:*"}]}"#;
    world.aws(&["ecr", "set-repository-policy", "--repository-name", "hello", "--policy-text", deny]);
    world.doctor(1, &[]).expect("repository-policy", "error", "`No`");
    let elsewhere = "999999999999.dkr.ecr.eu-west-1.amazonaws.com/hello";
    world.doctor_of_endpoints(1, &["--repository", elsewhere, "--create-role"]).expect(
        "repository",
        "error",
        "eu-west-1",
    );
}

#[test]
fn permissions_that_are_missing_are_named_and_keep_nothing_else_from_being_checked() {
    let world = World::new();
    world.deploy(&[]);
    let text = "User: arn:aws:iam::000000000000:user/ci is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action";
    let denied = json!({"__type": "AccessDeniedException", "message": text});
    world.cloud.inject(&[Fault::operation("GetAuthorizationToken").times(20).answers(400, denied)]);
    let found = world.doctor(1, &[]);
    found.expect("registry-token", "error", "ecr:GetAuthorizationToken");
    assert_eq!((found.finding("repository"), found.finding("function")), ("ok", "ok"));
}

#[test]
fn a_function_that_is_not_well_is_explained() {
    let world = World::new();
    world.sandbox.run(["local", "fail", "hello", "InvalidImage"]).expect(0);
    world.try_deploy(&[]).expect(4);
    world.doctor(1, &[]).expect("function", "error", "deploy --yes");
    world.deploy(&["--yes"]);
    world.sandbox.run(["local", "idle", "hello"]).expect(0);
    world.doctor(0, &[]).expect("function", "warning", "lambdactl wake hello");
}
