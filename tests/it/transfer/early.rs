//! Layers of an engine's image that go while the others are being exported and compressed.

use serde_json::json;

use crate::push::unchanged::build;
use crate::support::needs_docker;
use crate::support::python::aws_json;
use crate::support::world::World;

/// Some megabytes that take a while to be compressed.
fn large(seed: u64) -> String {
    (0..900_000_u64).map(|number| format!("{:x} ", number * number + seed)).collect()
}

#[test]
fn a_deployment_sends_layers_before_all_of_them_are_made() {
    if !needs_docker() {
        return;
    }
    let world = World::new();
    world.deploy(&[]);
    let image = build(&world, "early", &[("one", &large(1)), ("two", &large(2))]);
    let source = format!("docker:{}", image.0);
    let mark = world.cloud.log().len();
    let lines = world.sandbox.json(0, ["deploy", "--local", "--function", "hello", "--image", &source]);
    let done = lines.last().unwrap();
    assert_eq!((&done["action"], &done["layers_uploaded"]), (&json!("updated"), &json!(3)), "{done}");
    let digest = done["image_digest"].as_str().unwrap();
    let log = world.cloud.log();
    let place = |what: &str, method: &str, part: &str| {
        let found = log[mark..].iter().position(|it| it.method == method && it.path.contains(part));
        found.unwrap_or_else(|| panic!("{what}: {:#?}", &log[mark..]))
    };
    // Only when it is complete does anybody know the digest to ask for.
    let asked = place("the image is asked for", "HEAD", &format!("/manifests/{digest}"));
    assert!(place("a layer is sent", "POST", "/blobs/uploads") < asked, "{:#?}", &log[mark..]);
    let opened = log[mark..].iter().filter(|it| it.method == "POST" && it.path.contains("/blobs/uploads"));
    assert_eq!(opened.count(), 4, "three layers and the configuration, each once: {:#?}", &log[mark..]);
    // The plan comes before any layer, with what is known then.
    let place = |reason: &str| lines.iter().position(|line| line["reason"] == reason).expect("an event");
    let planned = &lines[place("transfer-planned")];
    assert!(place("transfer-planned") < place("blob-started"));
    assert!(
        planned["layers"].as_array().unwrap().iter().all(|layer| layer["way"] == "compress"),
        "{planned}"
    );
    // The sum of what is sent is what was said to be sent.
    let total = lines[place("transfer-started")]["bytes"].as_u64();
    assert_eq!(done["bytes_uploaded"].as_u64(), total);
}

#[test]
fn nothing_goes_early_where_the_deployment_is_refused_or_only_planned() {
    if !needs_docker() {
        return;
    }
    let world = World::new();
    world.deploy(&[]);
    let image = build(&world, "refused", &[("one", &large(3)), ("two", &large(4))]);
    let source = format!("docker:{}", image.0);
    let arguments = |verb| [verb, "--local", "--function", "hello", "--image", &source];
    let mark = world.cloud.log().len();
    world.sandbox.run(arguments("plan")).expect(0);
    assert!(world.cloud.writes(mark).is_empty(), "{:#?}", world.cloud.writes(mark));

    let principal = json!({ "Service": "lambda.amazonaws.com" });
    let deny = json!({ "Effect": "Deny", "Principal": principal, "Action": "ecr:BatchGetImage" });
    let policy = json!({ "Version": "2012-10-17", "Statement": [deny] }).to_string();
    let set = ["ecr", "set-repository-policy", "--repository-name", "hello", "--policy-text", &policy];
    aws_json(world.cloud.endpoint(), "us-east-1", &set);
    let mark = world.cloud.log().len();
    world.sandbox.run(arguments("deploy")).expect(6);
    assert!(world.cloud.writes(mark).is_empty(), "{:#?}", world.cloud.writes(mark));
}
