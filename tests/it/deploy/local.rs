//! The local cloud as a user meets it: it survives, is shared, shows what it holds, and is wiped.

use std::process::Stdio;

use serde_json::Value;

use crate::support::local_server::LocalServer;
use crate::support::project::Project;
use crate::support::sandbox::{Sandbox, finish_child};
use crate::support::world::World;

fn status(sandbox: &Sandbox) -> Value {
    sandbox.run(["local", "status", "--output", "json"]).expect(0).last_json()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|entry| entry["name"].as_str().unwrap()).collect()
}

#[test]
fn what_was_deployed_is_there_for_the_next_process_and_gone_after_a_reset() {
    let sandbox = Sandbox::new();
    let project = Project::assembled(sandbox.path(), "hello");
    sandbox.run(["deploy", "--local", project.argument()]).expect(0);
    let held = status(&sandbox);
    assert_eq!(names(&held["functions"]), ["hello"]);
    assert_eq!(held["functions"][0]["state"], "Active");
    assert_eq!(names(&held["repositories"]), ["hello"]);
    assert!(held["blob_bytes"].as_u64() > Some(0));
    assert!(sandbox.local_state().is_dir());

    sandbox.run(["local", "reset", "--yes"]).expect(0);
    let held = status(&sandbox);
    assert_eq!((names(&held["functions"]), names(&held["repositories"])), (vec![], vec![]));
    assert_eq!(held["blob_bytes"], 0);
    let again = sandbox.json(0, ["deploy", "--local", project.argument()]).pop().unwrap();
    assert_eq!(again["action"], "created");
}

#[test]
fn two_deployments_at_the_same_time_both_arrive() {
    let sandbox = Sandbox::new();
    let children = ["one", "two"].map(|name| {
        let project = Project::assembled(sandbox.path(), name);
        project.write("data", name);
        let mut command = sandbox.lambdactl(["deploy", "--local", project.argument()]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        (format!("{command:?}"), command.spawn().unwrap())
    });
    for (line, child) in children {
        finish_child(line, child).expect(0);
    }
    assert_eq!(names(&status(&sandbox)["functions"]), ["one", "two"]);
}

#[test]
fn a_running_server_is_used_keeps_its_state_and_image_uris_outlive_its_port() {
    let mut world = World::new();
    let first = world.deploy(&[]);
    assert_eq!(status(&world.sandbox)["endpoint"], world.cloud.endpoint());
    let refused = world.sandbox.run(["local", "reset", "--yes"]);
    assert_ne!(refused.code, Some(0), "nothing is wiped below a running server: {refused}");

    let old = std::mem::replace(&mut world.cloud, LocalServer::serve(&Sandbox::new()));
    assert_eq!(old.interrupt(), Some(0), "Ctrl-C is how a server is meant to end");
    assert_eq!(status(&world.sandbox)["endpoint"], Value::Null);
    world.cloud = LocalServer::serve(&world.sandbox);

    let again = world.deploy(&[]);
    assert_eq!(again["action"], "unchanged");
    assert_eq!(again["image_digest"], first["image_digest"]);
    world.deploy(&["--memory-size", "512"]);
}

#[test]
fn the_local_server_can_be_chosen_by_the_environment_and_live_elsewhere() {
    let mut sandbox = Sandbox::new();
    let elsewhere = sandbox.path().join("elsewhere");
    sandbox.set("LAMBDACTL_LOCAL", "1");
    sandbox.set("LAMBDACTL_LOCAL_DIR", elsewhere.to_str().unwrap());
    sandbox.set("AWS_REGION", "eu-north-1");
    let project = Project::assembled(sandbox.path(), "hello");
    let done = sandbox.run(["deploy", project.argument()]).expect(0);
    assert_eq!(done.stdout, "arn:aws:lambda:eu-north-1:000000000000:function:hello\n");
    assert!(elsewhere.is_dir());
    assert!(!sandbox.local_state().exists());
}

#[test]
fn the_status_names_the_commit_the_image_was_made_from() {
    let world = World::new();
    world.deploy(&[]);
    let status = |world: &World| world.sandbox.json(0, ["status", "hello", "--local"]).pop().unwrap();
    assert_eq!(status(&world)["source_commit"], Value::Null);
    world.project.configure("[image.labels]\n\"org.opencontainers.image.revision\" = \"4c1d2e9\"\n");
    world.deploy(&[]);
    assert_eq!(status(&world)["source_commit"], "4c1d2e9");
}
