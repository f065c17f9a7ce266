//! The way of each layer, told before the first byte moves.

use serde_json::{Value, json};

use crate::support::oci_layout;
use crate::support::program::{architecture, static_program};
use crate::support::world::World;

/// A project with a layer of its base and one of its own.
fn with_a_base(world: &World) {
    let program = std::fs::read(static_program()).unwrap();
    let base: [&[oci_layout::File<'_>]; 1] = [&[("bootstrap", &program)]];
    oci_layout::write(&world.project.file("base"), architecture(), &["/bootstrap"], &base);
    world.project.write(
        "lambdactl.toml",
        "[image]\nbase = \"oci:base\"\nfiles = [{ from = \"data\", to = \"/data\" }]\n",
    );
}

/// The layers of the image in a plan.
fn layers(steps: &Value) -> Vec<Value> {
    let steps = steps.as_array().expect("steps");
    let image = steps.iter().find(|step| step["step"] == "image").expect("the image");
    image["layers"].as_array().expect("layers").clone()
}

fn ways(layers: &[Value]) -> Vec<(&str, Option<&str>)> {
    layers.iter().map(|layer| (layer["way"].as_str().unwrap(), layer["known_by"].as_str())).collect()
}

#[test]
fn the_plan_names_the_way_of_each_layer_and_writes_nothing() {
    let world = World::new();
    with_a_base(&world);
    let plan = world.plan(0, &[]);
    let first = layers(&plan["steps"]);
    assert_eq!(ways(&first), [("send", None), ("make", None)]);
    assert!(first[0]["size"].as_u64() > Some(100_000), "{first:#?}");
    assert!(first[1]["uncompressed_size"].as_u64() >= Some(1024), "{first:#?}");

    world.deploy(&[]);
    let mark = world.cloud.log().len();
    let settled = world.plan(0, &[]);
    assert_eq!(
        ways(&layers(&settled["steps"])),
        [("there", Some("same-image")), ("there", Some("same-image"))]
    );
    // Whoever has nothing to send asks nothing about layers.
    let log = world.cloud.log();
    assert!(!log[mark..].iter().any(|entry| entry.path.contains("/blobs/")), "{:#?}", &log[mark..]);

    world.project.write("data", "second\n");
    let mark = world.cloud.log().len();
    let changed = world.plan(0, &[]);
    assert_eq!(ways(&layers(&changed["steps"])), [("there", Some("live-image")), ("make", None)]);
    assert!(world.cloud.writes(mark).is_empty(), "{:#?}", world.cloud.writes(mark));
    let shown = world.sandbox.run(world.arguments("plan", &[])).expect(0).stdout;
    assert!(shown.contains(": already there, "), "{shown}");
    assert!(shown.contains(": made here, "), "{shown}");
    assert!(shown.contains("to send: 1 layer, "), "{shown}");

    // What was planned is asked for once, and done.
    let mark = world.cloud.log().len();
    let lines = world.sandbox.json(0, world.arguments("deploy", &[]));
    let asked = world.cloud.log()[mark..].iter().filter(|entry| entry.method == "HEAD").count();
    // Whether the image is there that has the other layer.
    assert!(asked <= 1, "{:#?}", &world.cloud.log()[mark..]);
    let place = |reason: &str| lines.iter().position(|line| line["reason"] == reason).expect("an event");
    assert!(place("transfer-planned") < place("blob-started"));
    assert_eq!(lines[place("transfer-planned")]["layers"], json!(layers(&lines[place("planned")]["steps"])));
    let total = lines[place("transfer-started")]["bytes"].as_u64().unwrap();
    assert_eq!(lines.last().unwrap()["bytes_uploaded"].as_u64(), Some(total));
    let told = lines.iter().rfind(|line| line["reason"] == "transfer-progress").expect("progress");
    assert_eq!((told["total"].as_u64(), told["layers"].as_u64()), (Some(total), Some(1)));
}

#[test]
fn whoever_asks_for_details_is_told_the_way_of_each_layer() {
    let world = World::new();
    with_a_base(&world);
    world.deploy(&[]);
    world.project.write("data", "second\n");
    let quiet = world.sandbox.run(world.arguments("push", &["--tag", "quiet"])).expect(0).stderr;
    assert!(!quiet.contains("image: layer "), "{quiet}");
    world.project.write("data", "third\n");
    let told = world.try_deploy(&["-v"]).expect(0).stderr;
    for part in [": already there, ", ": made here, ", "image: to send: 1 layer, "] {
        assert!(told.contains(part), "`{part}`: {told}");
    }
}

#[test]
fn after_the_last_byte_only_the_manifest_and_the_update_come_before_the_function_is_looked_at() {
    let world = World::new();
    with_a_base(&world);
    world.deploy(&[]);
    world.project.write("data", "second\n");
    let mark = world.cloud.log().len();
    assert_eq!(world.deploy(&[])["layers_uploaded"], 1);
    let log = world.cloud.log();
    let is_blob = |method: &str, path: &str| method == "PUT" && path.starts_with("/v2/hello/blobs/uploads");
    let last = log.iter().rposition(|it| is_blob(&it.method, &it.path)).expect("a blob was sent");
    assert!(last > mark);
    let after = &log[last + 1..];
    let look = after.iter().position(|entry| entry.operation.as_deref() == Some("GetFunction"));
    // The manifest, and the update.
    assert!(look.expect("the function is watched") <= 2, "{after:#?}");
}

#[test]
fn empty_layers_and_layers_that_come_twice_are_sent_once_and_stay() {
    let world = World::new();
    let program = std::fs::read(static_program()).unwrap();
    let layers: [&[oci_layout::File<'_>]; 5] = [&[], &[("bootstrap", &program)], &[], &[("a", b"")], &[]];
    let layout = world.sandbox.path().join("layout");
    let digest = oci_layout::write(&layout, architecture(), &["/bootstrap"], &layers);
    oci_layout::archive(&layout, &world.sandbox.path().join("image.tar"));
    let push = |name: &str, image: &str| {
        world.sandbox.json(0, ["push", "--local", "--function", name, "--image", image]).pop().unwrap()
    };
    for (name, image) in [("one", "oci:layout"), ("two", "archive:image.tar")] {
        let pushed = push(name, image);
        assert_eq!(pushed["image_digest"], digest, "{pushed}");
        assert_eq!(
            (&pushed["layers_uploaded"], &pushed["layers_reused"]),
            (&json!(3), &json!(2)),
            "{pushed}"
        );
    }
}
