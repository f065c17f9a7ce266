//! Images of the Docker Engine whose layers the registry has already.

use std::process::Command;

use serde_json::{Value, json};

use crate::deploy::EngineImage;
use crate::support::engine_proxy::EngineProxy;
use crate::support::engines::usual;
use crate::support::needs_docker;
use crate::support::python::aws_json;
use crate::support::registry::DockerRegistry;
use crate::support::world::World;

/// An image of the engine with a layer for each file; the name is removed with this value.
pub fn build(world: &World, name: &str, files: &[(&str, &str)]) -> EngineImage {
    let image = EngineImage(format!("lambdactl-test-{name}:{}", std::process::id()));
    // A label of its own: another test's images must not be this one's cache, as they go any time.
    let label = world.sandbox.path().display();
    let mut dockerfile = format!("FROM scratch\nLABEL lambdactl-test={label}\nCOPY bootstrap /bootstrap\n");
    for (path, content) in files {
        world.project.write(path, content);
        dockerfile += &format!("COPY {path} /{path}\n");
    }
    world.project.write("Dockerfile", format!("{dockerfile}ENTRYPOINT [\"/bootstrap\"]\n"));
    image.build(world);
    image
}

fn push(world: &World, image: &EngineImage) -> Value {
    let source = format!("docker:{}", image.0);
    world.sandbox.json(0, ["push", "--local", "--function", "hello", "--image", &source]).pop().unwrap()
}

/// Forgets what earlier runs have learned.
fn forget(world: &World) {
    std::fs::remove_dir_all(world.sandbox.path().join("home/.cache/lambdactl")).unwrap();
}

fn deploy(world: &World, image: &EngineImage) -> Value {
    let source = format!("docker:{}", image.0);
    world.sandbox.json(0, ["deploy", "--local", "--function", "hello", "--image", &source]).pop().unwrap()
}

#[test]
fn an_image_that_was_pushed_before_costs_one_request_and_no_export() {
    if !needs_docker() {
        return;
    }
    let world = World::new();
    let image = build(&world, "unchanged", &[("data", "the data")]);
    world.sandbox.run(world.arguments("push", &[])).expect(0);
    let mark = world.cloud.log().len();
    let first = push(&world, &image);
    assert_eq!(first["layers_uploaded"], 2, "{first}");
    assert!(first["bytes_uploaded"].as_u64() > Some(100_000), "{first}");
    // Two layers, sent while the image was exported, and the configuration.
    let opened = world.cloud.registry_requests(mark).iter().filter(|asked| *asked == "POST blob").count();
    assert_eq!(opened, 3, "{:#?}", world.cloud.registry_requests(mark));
    let mark = world.cloud.log().len();
    let again = push(&world, &image);
    assert_eq!(world.cloud.registry_requests(mark), ["HEAD manifest"]);
    assert_eq!((&again["image_digest"], &again["layers_uploaded"]), (&first["image_digest"], &json!(0)));
    assert_eq!(again["bytes_uploaded"], 0);
    let source = format!("docker:{}", image.0);
    let told = world.sandbox.run(["push", "-v", "--local", "--function", "hello", "--image", &source]);
    assert!(told.expect(0).stderr.contains("nothing is exported"));

    // Without what was remembered, the same comes out.
    forget(&world);
    assert_eq!(push(&world, &image)["image_digest"], first["image_digest"]);
}

#[test]
fn a_machine_that_knows_nothing_reads_the_layers_off_the_live_image() {
    if !needs_docker() {
        return;
    }
    let world = World::new();
    let before = build(&world, "before", &[("dependencies", "large and old"), ("code", "old")]);
    let first = deploy(&world, &before);
    assert_eq!(first["layers_uploaded"], 3, "{first}");
    forget(&world);
    let mark = world.cloud.log().len();
    let same = deploy(&world, &before);
    assert_eq!(same["action"], "unchanged", "{same}");
    assert_eq!(world.cloud.registry_requests(mark), ["GET manifest", "GET blob"]);

    let after = build(&world, "after", &[("dependencies", "large and old"), ("code", "new")]);
    let mark = world.cloud.log().len();
    let changed = deploy(&world, &after);
    assert_eq!((&changed["layers_uploaded"], &changed["layers_reused"]), (&json!(1), &json!(2)), "{changed}");
    // Nothing but the new layer and the configuration is sent or asked for: the others are known to
    // be there, and what is small and new is not.
    let blobs: Vec<String> =
        world.cloud.registry_requests(mark).into_iter().filter(|asked| asked.ends_with("blob")).collect();
    assert_eq!(blobs.iter().filter(|asked| *asked == "PUT blob").count(), 2, "{blobs:#?}");
    assert!(!blobs.iter().any(|asked| asked == "HEAD blob"), "{blobs:#?}");
}

#[test]
fn an_image_that_was_deleted_from_the_repository_is_sent_again() {
    if !needs_docker() {
        return;
    }
    let world = World::new();
    let image = build(&world, "deleted", &[("data", "gone soon")]);
    let first = push(&world, &image);
    let digest = first["image_digest"].as_str().unwrap();
    let named = format!("imageDigest={digest}");
    let deleted = ["ecr", "batch-delete-image", "--repository-name", "hello", "--image-ids", &named];
    let deleted = aws_json(world.cloud.endpoint(), "us-east-1", &deleted);
    assert_eq!(deleted["imageIds"].as_array().map(Vec::len), Some(1), "{deleted}");
    let again = push(&world, &image);
    assert_eq!(again["image_digest"], digest);
    let listed =
        aws_json(world.cloud.endpoint(), "us-east-1", &["ecr", "list-images", "--repository-name", "hello"]);
    assert_eq!(listed["imageIds"][0]["imageDigest"], digest, "{listed}");
}

#[test]
fn only_missing_layers_leave_the_engine_and_get_the_digest_they_have_by_the_other_way() {
    let Some(usual) = usual() else { return };
    let proxy = EngineProxy::transparent(&usual.host);
    let world = World::behind(&proxy);
    let large: String = (0..3_000_000_u64).map(|number| format!("{:x} ", number * number)).collect();
    let before = build(&world, "door", &[("dependencies", &large), ("code", "old")]);
    push(&world, &before);
    // The engine remembers what it has pushed itself, and need not compress that to be sent nothing of it.
    let elsewhere = DockerRegistry::plain();
    let pushed = EngineImage(format!("{}/door:before", elsewhere.host()));
    for arguments in [["tag", &before.0, &pushed.0].as_slice(), &["push", &pushed.0]] {
        let done = Command::new("docker").args(arguments).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let after = build(&world, "door-after", &[("dependencies", &large), ("code", "new"), ("empty", "")]);
    let source = format!("docker:{}", after.0);
    let told =
        world.sandbox.run(["push", "-v", "--local", "--function", "hello", "--image", &source]).expect(0);
    assert!(told.stderr.contains("only what is missing was taken from the engine"), "{told}");
    let names = Command::new("docker")
        .args(["image", "inspect", "--format", "{{json .RepoTags}} {{json .RepoDigests}}", &after.0])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&names.stdout).trim(), format!("[\"{}\"] []", after.0));

    // A repository that has nothing gets the whole image, from an export.
    let whole = ["push", "--local", "--function", "other", "--image", &source];
    let whole = world.sandbox.json(0, whole).pop().unwrap();
    assert_eq!(whole["layers_uploaded"], 4, "{whole}");
    let digest = whole["image_digest"].as_str().unwrap();
    assert!(told.stdout.trim_end().ends_with(digest), "{digest} {told}");
}

#[test]
fn an_engine_that_never_pushed_sends_what_is_missing_and_is_stopped_then() {
    let Some(usual) = usual() else { return };
    let proxy = EngineProxy::transparent(&usual.host);
    let world = World::behind(&proxy);
    let large: String = (0..1_000_000_u64).map(|number| format!("{:x} ", number * number + 1)).collect();
    let layers = |code| [("dependencies", large.as_str()), ("more", &large[1..]), ("code", code)];
    let before = build(&world, "never", &layers("old"));
    push(&world, &before);
    // Neither remembers anything: the engine would have to compress all of the image, and whoever
    // pushes reads what is there off the image that was pushed last.
    forget(&world);
    let after = build(&world, "never-after", &layers("new"));
    let source = format!("docker:{}", after.0);
    let told = ["push", "-v", "--local", "--function", "hello", "--image", &source];
    let told = world.sandbox.run(told).expect(0);
    assert!(told.stderr.contains("only what is missing was taken from the engine"), "{told}");
    assert!(told.stderr.contains("already there, in an image that was pushed lately"), "{told}");
    let names = ["image", "inspect", "--format", "{{json .RepoTags}}", &after.0];
    let names = Command::new("docker").args(names).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&names.stdout).trim(), format!("[\"{}\"]", after.0));

    let whole = ["push", "--local", "--function", "other", "--image", &source];
    let whole = world.sandbox.json(0, whole).pop().unwrap();
    let digest = whole["image_digest"].as_str().unwrap();
    assert!(told.stdout.trim_end().ends_with(digest), "{digest} {told}");
}
