//! A function in Python as people write them: AWS's own runtime client in a Debian.

use serde_json::{Value, json};

use super::sandbox::NOWHERE;
use crate::support::python::function_parts;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{needs_docker, needs_namespaces};

const APP: &str = r#"
import json, logging, os, sys

print("the module is loaded")

def handler(event, context):
    print("hello from", context.function_name)
    logging.getLogger().warning("a warning")
    if event.get("do") == "raise":
        raise ValueError("as asked")
    if event.get("do") == "exit":
        sys.exit(4)
    return {
        "event": event,
        "python": list(sys.version_info[:2]),
        "directory": os.getcwd(),
        "user": os.getuid(),
        "memory": context.memory_limit_in_mb,
        "left": context.get_remaining_time_in_millis(),
        "arn": context.invoked_function_arn,
    }
"#;

/// A local cloud with the function `hello`, in Python.
fn world(sandbox: Sandbox) -> Option<World> {
    let parts = function_parts()?;
    let world = World::in_sandbox(sandbox);
    world.project.write("app.py", APP);
    world.project.write_python(&parts, "[function]\nmemory_size = 256\ntimeout = 60");
    world.deploy(&[]);
    Some(world)
}

/// It answers, logs, raises and is called again, as in Lambda.
fn scenario(world: &World) {
    let answer = world.answer(&json!({"name": "Ada"}));
    for (name, value) in [
        ("event", json!({"name": "Ada"})),
        ("python", json!([3, 11])),
        ("directory", json!("/var/task")),
        ("user", json!(993)),
        ("memory", json!("256")),
        ("arn", json!("arn:aws:lambda:us-east-1:000000000000:function:hello")),
    ] {
        assert_eq!(answer[name], value, "{name}: {answer}");
    }
    assert!((1..=60_000).contains(&answer["left"].as_i64().unwrap()), "{answer}");
    let done = world.invoke(&json!({"do": "raise"}), &["--log-tail", "--output", "json"]).expect(1);
    let error = done.last_json();
    assert_eq!(error["code"], "ValueError", "{done}");
    for part in ["as asked", "/var/task/app.py", "in handler"] {
        assert!(done.stdout.contains(part), "{part}: {done}");
    }
    let (code, text) = world.failure(&json!({"do": "exit"}));
    assert_eq!(code, "Runtime.ExitError", "{text}");
    assert!(text.contains("exit status 4"), "{text}");
    assert_eq!(world.answer(&json!({}))["event"], json!({}), "a new environment answers");
    let log = world.sandbox.run(["logs", "--local", "hello"]).expect(0).stdout;
    let count = |text: &str| log.matches(text).count();
    assert_eq!(count("the module is loaded"), 2, "{log}");
    assert_eq!(count("hello from hello"), 4, "{log}");
    for part in ["[WARNING]", "a warning", "[ERROR] ValueError: as asked", "REPORT RequestId: "] {
        assert!(log.contains(part), "{part}: {log}");
    }
    // What it imports but is not there.
    world.project.write("app.py", "import nothing_like_it\n");
    world.deploy(&[]);
    let done = world.invoke(&Value::Null, &["--output", "json"]).expect(1);
    assert_eq!(done.last_json()["code"], "Runtime.ImportModuleError", "{done}");
    assert!(done.stdout.contains("nothing_like_it"), "{done}");
}

#[test]
fn a_function_in_python_runs_in_a_container() {
    if needs_docker()
        && let Some(world) = world(Sandbox::new())
    {
        scenario(&world);
    }
}

#[test]
fn a_function_in_python_runs_without_an_engine() {
    let mut sandbox = Sandbox::new();
    sandbox.set("DOCKER_HOST", NOWHERE);
    if needs_namespaces()
        && let Some(world) = world(sandbox)
    {
        scenario(&world);
    }
}
