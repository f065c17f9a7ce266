//! Layers of a base image, which its own registry has in the form they are pushed in.

use std::io::Read as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::deploy::EngineImage;
use crate::support::needs_docker;
use crate::support::python::aws_json;
use crate::support::registry::{DockerRegistry, skopeo};
use crate::support::world::World;

fn docker(world: &World, arguments: &[&str]) {
    let mut command = Command::new("docker");
    // Credentials for the local cloud, and none of the developer's.
    command.args(arguments).env("DOCKER_CONFIG", world.sandbox.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A base image that was pushed to the registry at `host`, and an image that stands on it.
fn build(world: &World, host: &str, name: &str) -> (EngineImage, EngineImage) {
    let base = EngineImage(format!("{host}/lambdactl-test/{name}:{}", std::process::id()));
    let mut bytes = Vec::new();
    // More than is sooner exported than asked for.
    std::fs::File::open("/dev/urandom").unwrap().take(17 << 20).read_to_end(&mut bytes).unwrap();
    world.project.write("dependencies", bytes);
    world.project.write("Dockerfile", "FROM scratch\nCOPY dependencies /opt/dependencies\n");
    base.build(world);
    docker(world, &["push", &base.0]);
    let image = EngineImage(format!("lambdactl-test-{name}:{}", std::process::id()));
    let dockerfile = format!("FROM {}\nCOPY bootstrap /bootstrap\nENTRYPOINT [\"/bootstrap\"]\n", base.0);
    world.project.write("Dockerfile", dockerfile);
    image.build(world);
    (base, image)
}

/// The digests of the layers an image has in the local cloud.
fn layers(world: &World) -> Vec<String> {
    let arguments = ["ecr", "batch-get-image", "--repository-name", "hello", "--image-ids", "imageTag=v1"];
    let found = aws_json(world.cloud.endpoint(), "us-east-1", &arguments);
    digests(found["images"][0]["imageManifest"].as_str().unwrap())
}

fn digests(manifest: &str) -> Vec<String> {
    let manifest: Value = serde_json::from_str(manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn layers_of_a_base_image_are_copied_from_its_registry_and_not_exported() {
    if !needs_docker() {
        return;
    }
    let (world, publisher) = (World::new(), DockerRegistry::plain());
    let (base, image) = build(&world, &publisher.address().to_string(), "based");
    let source = format!("docker:{}", image.0);
    let pushed = world.sandbox.run([
        "push",
        "-v",
        "--local",
        "--function",
        "hello",
        "--image",
        &source,
        "--tag",
        "v1",
    ]);
    let pushed = pushed.expect(0);
    assert!(pushed.stderr.contains("1 layer of the base can be copied from"), "{pushed}");
    // Whichever way an engine of this kind allows.
    let ways = ["what is missing was read where the engine keeps it", "only what is missing was taken"];
    assert!(ways.iter().any(|way| pushed.stderr.contains(way)), "{pushed}");
    let published = skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{}", base.0)]);
    let published = digests(&String::from_utf8(published).unwrap());
    let layers = layers(&world);
    assert_eq!((layers.len(), &layers[0]), (2, &published[0]));
}

#[test]
fn where_the_registry_of_the_base_is_gone_the_engine_has_all_of_it() {
    if !needs_docker() {
        return;
    }
    let (world, publisher) = (World::new(), DockerRegistry::plain());
    let (_base, image) = build(&world, &publisher.address().to_string(), "orphan");
    drop(publisher);
    let source = format!("docker:{}", image.0);
    let pushed =
        world.sandbox.run(["push", "--local", "--function", "hello", "--image", &source, "--tag", "v1"]);
    pushed.expect(0);
    assert_eq!(layers(&world).len(), 2);
}

#[test]
fn layers_of_a_base_in_the_same_registry_are_taken_over_while_the_rest_is_made() {
    if !needs_docker() {
        return;
    }
    let world = World::new();
    world.deploy(&[]);
    let aws = |arguments: &[&str]| aws_json(world.cloud.endpoint(), "us-east-1", arguments);
    aws(&["ecr", "create-repository", "--repository-name", "lambdactl-test/taken"]);
    aws(&["ecr", "put-account-setting", "--name", "BLOB_MOUNTING", "--value", "ENABLED"]);
    let token = aws(&["ecr", "get-authorization-token"]);
    let host = world.cloud.endpoint().trim_start_matches("http://");
    let auths = json!({ host: { "auth": token["authorizationData"][0]["authorizationToken"] } });
    std::fs::write(world.sandbox.path().join("config.json"), json!({ "auths": auths }).to_string()).unwrap();
    let (_base, image) = build(&world, host, "taken");
    let source = format!("docker:{}", image.0);
    let mark = world.cloud.log().len();
    let deployed = world
        .sandbox
        .json(0, ["deploy", "--local", "--function", "hello", "--image", &source])
        .pop()
        .unwrap();
    let (sent, reused) = (&deployed["layers_uploaded"], &deployed["layers_reused"]);
    assert_eq!((sent, reused), (&json!(1), &json!(1)), "{deployed}");
    let log = world.cloud.log();
    let sent =
        log[mark..].iter().filter(|it| it.method == "PUT" && it.path.starts_with("/v2/hello/blobs/uploads"));
    assert_eq!(sent.count(), 2, "one layer and the configuration: {:#?}", &log[mark..]);
}
