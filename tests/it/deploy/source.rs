//! Images that exist already: an OCI layout, an archive, the Docker Engine, and ECR itself.

use serde_json::{Value, json};

use super::EngineImage;
use crate::support::needs_docker;
use crate::support::oci_layout;
use crate::support::program::{architecture, static_program};
use crate::support::sandbox::finish;
use crate::support::world::World;

/// A layout with two layers in the world's directory, and the digest of its manifest.
fn layout(world: &World) -> (std::path::PathBuf, String) {
    let directory = world.sandbox.path().join("layout");
    let program = std::fs::read(static_program()).unwrap();
    let layers: [&[oci_layout::File<'_>]; 2] = [&[("bootstrap", &program)], &[("data", b"data")]];
    let digest = oci_layout::write(&directory, architecture(), &["/bootstrap"], &layers);
    (directory, digest)
}

fn deploy_image(world: &World, image: &str) -> Value {
    let result = world
        .sandbox
        .json(0, ["deploy", "--local", "--function", "hello", "--image", image])
        .pop()
        .expect("a result");
    assert_eq!((&result["action"], &result["state"]), (&json!("created"), &json!("Active")), "{result}");
    result
}

#[test]
fn an_oci_layout_is_deployed_byte_for_byte() {
    let world = World::new();
    let (directory, digest) = layout(&world);
    let result = deploy_image(&world, &format!("oci:{}", directory.display()));
    assert_eq!(result["image_digest"], digest.as_str());
    assert_eq!(result["layers_uploaded"], 2);
}

#[test]
fn an_oci_archive_is_deployed_from_a_file_and_from_standard_input() {
    let world = World::new();
    let (directory, digest) = layout(&world);
    let archive = world.sandbox.path().join("image.tar");
    oci_layout::archive(&directory, &archive);
    let result = deploy_image(&world, &format!("archive:{}", archive.display()));
    assert_eq!(result["image_digest"], digest.as_str());

    let mut command =
        world.sandbox.lambdactl(["deploy", "--local", "--function", "hello", "--image", "archive:-"]);
    command.args(["--output", "json"]).stdin(std::fs::File::open(&archive).unwrap());
    let again = finish(command).expect(0).last_json();
    assert_eq!((&again["action"], &again["image_digest"]), (&json!("unchanged"), &json!(digest)));
}

#[test]
fn an_image_in_the_repository_is_deployed_without_a_push() {
    let world = World::new();
    let pushed = world.sandbox.run(world.arguments("push", &[])).expect(0).stdout;
    let mark = world.cloud.log().len();
    let result = deploy_image(&world, pushed.trim_end());
    assert_eq!(result["image_uri"], pushed.trim_end());
    let uploads: Vec<_> =
        world.cloud.writes(mark).into_iter().filter(|entry| entry.path.starts_with("/v2/")).collect();
    assert!(uploads.is_empty(), "{uploads:#?}");
}

#[test]
fn an_image_that_is_not_there_is_an_error_that_names_it() {
    let world = World::new();
    let done =
        world.sandbox.run(["deploy", "--local", "--function", "hello", "--image", "oci:nowhere"]).expect(1);
    assert!(done.stderr.contains("nowhere"), "{done}");
    assert!(!world.has_function());
}

#[test]
fn an_image_of_the_docker_engine_is_deployed_as_one_manifest_with_gzip_layers() {
    if !needs_docker() {
        return;
    }
    let world = World::new();
    let image = EngineImage(format!("lambdactl-test-source:{}", std::process::id()));
    let dockerfile =
        "FROM scratch\nCOPY bootstrap /bootstrap\nCOPY data /data\nENTRYPOINT [\"/bootstrap\"]\n";
    world.project.write("Dockerfile", dockerfile);
    image.build(&world);

    let result = deploy_image(&world, &format!("docker:{}", image.0));
    assert_eq!(result["layers_uploaded"], 2, "{result}");
    let again = world
        .sandbox
        .json(0, ["deploy", "--local", "--function", "hello", "--image", &format!("docker:{}", image.0)])
        .pop()
        .unwrap();
    assert_eq!((&again["action"], &again["layers_uploaded"]), (&json!("unchanged"), &json!(0)));
}

#[test]
fn a_dockerfile_may_start_from_an_image_that_only_the_caller_may_pull() {
    if !needs_docker() {
        return;
    }
    let world = World::new();
    let base = world.deploy(&[])["image_uri"].as_str().unwrap().to_owned();
    let _pulled = EngineImage(base.clone());
    let next = world.sandbox.path().join("next");
    std::fs::create_dir(&next).unwrap();
    std::fs::write(next.join("Dockerfile"), format!("ARG BASE={base}\nFROM $BASE\nLABEL next=1\n")).unwrap();
    let result = world.sandbox.json(0, ["deploy", "--local", next.to_str().unwrap()]).pop().unwrap();
    assert_eq!(result["function_name"], "next", "{result}");
    assert_eq!(result["action"], "created");
}
