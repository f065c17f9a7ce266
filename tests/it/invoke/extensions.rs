//! Extensions of an image: started with the function, told of every event, and of the end.

use serde_json::json;

use super::sandbox::NOWHERE;
use crate::support::local_server::LocalServer;
use crate::support::podman::Podman;
use crate::support::program::{extension, function};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{needs_docker, needs_namespaces};

const SETTINGS: &str = r#"
[function]
timeout = 60

[image]
base = "scratch"
files = [
    { from = "bootstrap", to = "/bootstrap" },
    { from = "extension", to = "/opt/extensions/first" },
    { from = "extension", to = "/opt/extensions/second" },
    { from = "data", to = "/opt/extensions/no-program" },
    { from = "extension", to = "/opt/extensions/folder/deeper" },
]
entry_point = ["/bootstrap"]
"#;

/// A local cloud with the function `hello`, which has two extensions.
fn world(sandbox: Sandbox) -> World {
    let world = World::in_sandbox(sandbox);
    std::fs::copy(function(), world.project.file("bootstrap")).unwrap();
    std::fs::copy(extension(), world.project.file("extension")).unwrap();
    world.project.write("lambdactl.toml", SETTINGS);
    world.deploy(&[]);
    world
}

/// They take part in every event and the end, with no more variables than they should have;
/// without an engine also before the function starts.
fn take_part(mut world: World, are_first: bool, handler: &str) {
    let answer = world.answer(&json!({"do": "extension"}));
    assert_eq!(answer["now"], true, "they share `/tmp`: {answer}");
    if are_first {
        assert_eq!(answer["before"], true, "the function starts when they have registered: {answer}");
    }
    let done = world.invoke(&json!({"do": "who"}), &["--output", "json"]).expect(0).last_json();
    assert_eq!(done["payload"]["served"], 2, "the environment is used again: {done}");
    let request = done["request_id"].as_str().unwrap();
    let cloud = std::mem::replace(&mut world.cloud, LocalServer::nobody());
    assert_eq!(cloud.interrupt(), Some(0));
    let log = world.sandbox.run(["logs", "--local", "hello"]).expect(0).stdout;
    for name in ["first", "second"] {
        for line in [
            format!("EXTENSION Name: {name} State: Ready Events: [INVOKE, SHUTDOWN]"),
            format!("{name} has {handler} handler"),
            format!("{name} is told of INVOKE {request}"),
            format!("{name} is told of SHUTDOWN spindown"),
        ] {
            assert_eq!(log.matches(&line).count(), 1, "{line}: {log}");
        }
    }
    assert!(!log.contains("deeper") && !log.contains("no-program"), "{log}");
}

/// The end comes also where the function takes too long, which does nothing meanwhile.
fn time_out(world: &World) {
    world.project.write("lambdactl.toml", SETTINGS.replace("timeout = 60", "timeout = 1"));
    world.deploy(&[]);
    let (code, text) = world.failure(&json!({"do": "sleep"}));
    assert_eq!(code, "Sandbox.Timedout", "{text}");
    let log = world.sandbox.run(["logs", "--local", "hello"]).expect(0).stdout;
    for name in ["first", "second"] {
        assert_eq!(log.matches(&format!("{name} is told of SHUTDOWN timeout")).count(), 1, "{log}");
    }
    assert!(log.contains("Duration: 1000.00 ms"), "their last words are no part of it: {log}");
}

/// One that ends takes its environment with it.
fn crash(world: &World) {
    world
        .project
        .write("lambdactl.toml", format!("[function.environment]\nEXTENSION = \"crash\"\n{SETTINGS}"));
    world.deploy(&[]);
    let (code, text) = world.failure(&json!({"do": "sleep"}));
    assert_eq!(code, "Extension.Crash", "{text}");
    assert!(text.contains("exit status 5"), "{text}");
    // One that cannot be executed at all.
    world.project.write("extension", "no program");
    world.project.write("lambdactl.toml", SETTINGS);
    world.deploy(&[]);
    let done = world.invoke(&json!({}), &["--output", "json"]).expect(1).last_json();
    let code = done["code"].as_str().unwrap();
    assert!(["Extension.LaunchError", "Extension.Crash"].contains(&code), "{done}");
}

fn without_an_engine() -> Option<World> {
    if !needs_namespaces() {
        return None;
    }
    let mut sandbox = Sandbox::new();
    sandbox.set("DOCKER_HOST", NOWHERE);
    Some(world(sandbox))
}

#[test]
fn extensions_take_part_without_an_engine() {
    let Some(world) = without_an_engine() else { return };
    take_part(world, true, "no");
}

#[test]
fn extensions_that_end_without_an_engine_end_the_environment() {
    let Some(world) = without_an_engine() else { return };
    crash(&world);
}

#[test]
fn extensions_learn_of_a_time_out_without_an_engine() {
    let Some(world) = without_an_engine() else { return };
    time_out(&world);
}

#[test]
fn extensions_learn_of_a_time_out_in_a_container() {
    if needs_docker() {
        time_out(&world(Sandbox::new()));
    }
}

#[test]
fn extensions_take_part_in_a_container() {
    if needs_docker() {
        take_part(world(Sandbox::new()), false, "no");
    }
}

#[test]
fn extensions_take_part_in_podman() {
    let Some(podman) = Podman::start() else { return };
    let mut sandbox = Sandbox::new();
    sandbox.set("DOCKER_HOST", podman.location().host.as_deref().unwrap());
    // Podman can take no variable away.
    take_part(world(sandbox), false, "a");
}

#[test]
fn extensions_that_end_in_a_container_end_the_environment() {
    if needs_docker() {
        crash(&world(Sandbox::new()));
    }
}
