//! What scripts rely on: standard output, JSON lines, errors, and no control characters.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::local_server::Fault;
use crate::support::sandbox::Finished;
use crate::support::world::World;

#[track_caller]
fn assert_no_control_characters(done: &Finished) {
    for text in [&done.stdout, &done.stderr] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn into_a_pipe_go_plain_lines_without_control_characters() {
    let world = World::new();
    let done = world.try_deploy(&[]).expect(0);
    assert_no_control_characters(&done);
    assert_eq!(done.stdout.lines().count(), 1, "{done}");
    assert!(done.stderr.lines().count() > 3, "the story is told: {done}");
    assert!(done.stderr.ends_with('\n'));
}

#[test]
fn quiet_leaves_only_the_result() {
    let world = World::new();
    let done = world.try_deploy(&["--quiet"]).expect(0);
    assert_eq!(done.stderr, "");
    assert!(done.stdout.starts_with("arn:aws:lambda:"), "{done}");
}

#[test]
fn every_line_of_json_has_a_reason_and_the_last_is_the_deployment() {
    let world = World::new();
    let done = world.try_deploy(&["--output", "json"]).expect(0);
    assert_eq!(done.stderr, "");
    assert_no_control_characters(&done);
    let kebab = regex::Regex::new("^[a-z]+(-[a-z]+)*$").unwrap();
    let lines = done.json_lines();
    for line in &lines {
        assert!(kebab.is_match(line["reason"].as_str().expect("a reason")), "{line}");
    }
    let expected = [
        "reason",
        "function_name",
        "function_arn",
        "version",
        "image_uri",
        "image_digest",
        "action",
        "state",
        "last_update_status",
        "bytes_uploaded",
        "layers_uploaded",
        "layers_reused",
        "elapsed_ms",
    ];
    assert_eq!(keys(lines.last().unwrap()), expected.into());
    let uri = regex::Regex::new(r"^[^@]+/hello@sha256:[0-9a-f]{64}$").unwrap();
    assert!(uri.is_match(lines.last().unwrap()["image_uri"].as_str().unwrap()));
}

#[test]
fn every_step_of_a_plan_in_json_has_its_members() {
    let world = World::new();
    let plan = world.plan(0, &[]);
    for step in plan["steps"].as_array().unwrap() {
        for member in ["step", "action", "changes"] {
            assert!(keys(step).contains(member), "{step}");
        }
        for change in step["changes"].as_array().unwrap() {
            assert_eq!(keys(change), ["path", "from", "to"].into(), "{change}");
        }
    }
}

#[test]
fn an_error_in_json_is_the_last_line_and_keeps_the_code_and_request_id_of_the_service() {
    let world = World::new();
    world.cloud.inject(&[Fault::operation("CreateFunction")
        .times(10)
        .answers(
            403,
            serde_json::json!({ "Message": "User is not authorized to perform: lambda:CreateFunction" }),
        )
        .with_header("x-amzn-ErrorType", "AccessDeniedException")
        .with_header("x-amzn-RequestId", "11111111-2222-3333-4444-555555555555")]);
    let done = world.try_deploy(&["--output", "json"]).expect(1);
    assert_eq!(done.stderr, "");
    let error = done.last_json();
    assert_eq!(error["reason"], "error");
    assert_eq!(error["code"], "AccessDeniedException");
    assert_eq!(error["request_id"], "11111111-2222-3333-4444-555555555555");
    let whole = error.to_string();
    assert!(whole.contains("lambda:CreateFunction"), "{whole}");
    assert!(error["causes"].is_array() && error["hints"].is_array(), "{error}");
    assert!(!error["hints"].as_array().unwrap().is_empty(), "{error}");
}

#[test]
fn a_mistake_of_the_command_line_or_the_file_is_code_two() {
    let world = World::new();
    world.sandbox.run(["deploy", "--no-such-option"]).expect(2);
    world.project.configure("[function]\nmemory_siz = 512");
    let done = world.try_deploy(&[]).expect(2);
    assert!(done.stderr.contains("memory_size") && done.stderr.contains("lambdactl.toml"), "{done}");
    assert!(!world.has_function());
}

#[test]
fn push_prints_the_repository_and_the_digest_and_nothing_else() {
    let world = World::new();
    let done = world.sandbox.run(world.arguments("push", &[])).expect(0);
    let line = regex::Regex::new(r"^[^@\s]+/hello@sha256:[0-9a-f]{64}\n$").unwrap();
    assert!(line.is_match(&done.stdout), "{done}");
    let result = world.deploy(&[]);
    assert_eq!(result["layers_uploaded"], 0, "what was pushed is not sent again");
}

#[test]
fn nobody_reading_the_result_is_not_an_error() {
    let world = World::new();
    let shell = format!(
        "'{}' deploy --local '{}' --output json | true",
        env!("CARGO_BIN_EXE_lambdactl"),
        world.project.argument()
    );
    let mut command = world.sandbox.command("bash");
    command.args(["-o", "pipefail", "-c", &shell]);
    let done = crate::support::sandbox::finish(command).expect(0);
    assert!(!done.stderr.contains("panicked"), "{done}");
}
