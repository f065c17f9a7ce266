//! Images of an engine that keeps them as blobs, in containerd.

use std::sync::Arc;

use lambdactl::domain::platform::Architecture;
use lambdactl::event::{SharedReporter, Silent};
use lambdactl::services::docker::{Builder, DockerEngine};
use serde_json::{Value, json};

use super::PUSH;
use crate::support::docker::{context_in, request};
use crate::support::engines::{Engine, Loaded, containerd};
use crate::support::layout::{Layout, OCI_INDEX, OCI_LAYER, digest, gzip, on, tar, with, zstd};
use crate::support::sandbox::{Finished, Sandbox};
use crate::support::world::World;

/// A cloud, and commands that use the engine.
fn world(engine: &Engine) -> World {
    let mut sandbox = Sandbox::new();
    sandbox.set("DOCKER_HOST", &engine.host);
    let world = World::in_sandbox(sandbox);
    // The repository is made by a push of something else, so that only pushes are counted.
    world.sandbox.run(world.arguments("push", &[])).expect(0);
    world
}

fn told(world: &World, image: &Loaded, options: &[&str]) -> Finished {
    let source = image.source();
    let mut arguments = [&PUSH[..], &["-v", "--image", &source]].concat();
    arguments.extend(options);
    world.sandbox.run(arguments)
}

fn push(world: &World, image: &Loaded) -> Value {
    let source = image.source();
    world.sandbox.json(0, [&PUSH[..], &["--image", &source]].concat()).pop().unwrap()
}

/// An image of gzip layers with these contents, lowest first.
fn image(layout: &Layout, architecture: &str, contents: &[&str]) -> Value {
    let tars: Vec<_> =
        contents.iter().enumerate().map(|(at, content)| tar(&format!("file{at}"), content)).collect();
    let kind = format!("{OCI_LAYER}+gzip");
    let layers: Vec<_> = tars.iter().map(|tar| (kind.as_str(), gzip(tar))).collect();
    layout.manifest(architecture, &tars, &layers)
}

/// Content nobody else has.
fn own(what: &str) -> String {
    format!("{what} {}\n", uuid::Uuid::new_v4()).repeat(5000)
}

/// Architecture of this machine, and another one, as images name them.
fn architectures() -> (&'static str, &'static str) {
    match Architecture::of_this_machine() {
        Some(Architecture::Arm64) => ("arm64", "amd64"),
        _ => ("amd64", "arm64"),
    }
}

#[test]
fn blobs_leave_the_engine_as_they_lie_there_and_only_once() {
    let Some(engine) = containerd() else { return };
    let world = world(&engine);
    let (here, _) = architectures();
    let (dependencies, layout) = (own("dependencies"), Layout::new());
    let entry = image(&layout, here, &[&dependencies, &own("code"), ""]);
    let before = engine.load(&layout, entry.clone());
    let first = push(&world, &before);
    // The manifest of the engine itself: nothing was compressed again.
    assert_eq!(first["image_digest"], digest(&entry), "{first}");
    assert_eq!((&first["layers_uploaded"], &first["layers_reused"]), (&json!(3), &json!(0)), "{first}");

    let mark = world.cloud.log().len();
    let again = push(&world, &before);
    assert_eq!(world.cloud.registry_requests(mark), ["HEAD manifest"]);
    assert_eq!((&again["image_digest"], &again["bytes_uploaded"]), (&first["image_digest"], &json!(0)));

    let layout = Layout::new();
    let entry = image(&layout, here, &[&dependencies, &own("code"), ""]);
    let after = engine.load(&layout, entry.clone());
    let mark = world.cloud.log().len();
    let told = told(&world, &after, &[]).expect(0);
    assert!(told.stderr.contains("only what is missing was taken from the engine"), "{told}");
    assert!(told.stderr.contains("1 layer sent"), "{told}");
    assert!(told.stdout.trim_end().ends_with(&digest(&entry)), "{told}");
    let opened = world.cloud.registry_requests(mark).iter().filter(|asked| *asked == "POST blob").count();
    assert_eq!(opened, 2, "the layer and the configuration: {:#?}", world.cloud.registry_requests(mark));
    let names = engine.docker(&["image", "inspect", "--format", "{{json .RepoTags}}", &after.name]);
    assert_eq!(names, format!("[\"{}\"]", after.name));
}

#[test]
fn an_index_with_attestations_becomes_one_manifest_which_is_known_again() {
    let Some(engine) = containerd() else { return };
    let world = world(&engine);
    let layout = Layout::new();
    let child = on(image(&layout, architectures().0, &[&own("code")]), "linux", architectures().0);
    let attestation = with(
        on(image(&layout, "unknown", &[&own("provenance")]), "unknown", "unknown"),
        "annotations",
        json!({ "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest(&child) }),
    );
    let index = layout.document(OCI_INDEX, &layout.index(&[child.clone(), attestation]));
    let image = engine.load(&layout, index.clone());
    assert_eq!(image.id(), digest(&index), "the engine knows it by its index");
    let first = push(&world, &image);
    assert_eq!(first["image_digest"], digest(&child), "{first}");
    assert_eq!(first["layers_uploaded"], 1, "{first}");
    let mark = world.cloud.log().len();
    assert_eq!(push(&world, &image)["image_digest"], first["image_digest"]);
    assert_eq!(world.cloud.registry_requests(mark), ["HEAD manifest"]);
}

#[test]
fn of_an_index_for_several_machines_the_function_s_is_taken() {
    let Some(engine) = containerd() else { return };
    let world = world(&engine);
    let layout = Layout::new();
    let (x86, arm) = (own("x86"), own("arm"));
    let x86 = on(image(&layout, "amd64", &[&x86]), "linux", "amd64");
    let arm = on(image(&layout, "arm64", &[&arm]), "linux", "arm64");
    let index = layout.document(OCI_INDEX, &layout.index(&[x86.clone(), arm.clone()]));
    let both = engine.load(&layout, index);
    for (architecture, wanted) in [("arm64", &arm), ("x86_64", &x86), ("arm64", &arm)] {
        let told = told(&world, &both, &["--architecture", architecture]).expect(0);
        assert!(told.stdout.trim_end().ends_with(&digest(wanted)), "{architecture}: {told}");
        assert!(!told.stderr.contains("exported whole"), "{told}");
    }

    // An image for one machine is not taken for another, and not a byte of it is moved.
    let (layout, here) = (Layout::new(), architectures());
    let entry = image(&layout, here.0, &[&own("code")]);
    let only = engine.load(&layout, entry);
    let other = if here.1 == "amd64" { "x86_64" } else { "arm64" };
    let told = told(&world, &only, &["--architecture", other]).expect(6);
    assert!(told.stderr.contains(&format!("is for linux/{}", here.0)), "{told}");
    assert!(!told.stderr.contains("exported whole"), "{told}");
}

#[test]
fn layers_that_lambda_does_not_take_are_converted_and_known_again() {
    let Some(engine) = containerd() else { return };
    let world = world(&engine);
    let layout = Layout::new();
    let tars = ["zstd", "gzip"].map(|what| tar(what, &own(what)));
    let (as_zstd, as_gzip) = (format!("{OCI_LAYER}+zstd"), format!("{OCI_LAYER}+gzip"));
    let layers = [(as_zstd.as_str(), zstd(&tars[0])), (as_gzip.as_str(), gzip(&tars[1]))];
    let image = engine.load(&layout, layout.manifest(architectures().0, &tars, &layers));
    let first = push(&world, &image);
    assert_eq!(first["layers_uploaded"], 2, "{first}");
    let mark = world.cloud.log().len();
    assert_eq!(push(&world, &image)["image_digest"], first["image_digest"]);
    assert_eq!(world.cloud.registry_requests(mark), ["HEAD manifest"]);
}

/// What BuildKit of this engine cannot do: <https://github.com/moby/moby/issues/47717>
#[tokio::test]
async fn an_engine_whose_buildkit_takes_no_context_builds_with_the_classic_builder() {
    let Some(location) = containerd().map(|engine| engine.location()) else { return };
    let engine = DockerEngine::connect(&location).await.unwrap();
    assert_eq!(engine.builder(), Builder::Classic);
    let directory = context_in(location, "FROM scratch\nCOPY tool /tool\n", &[]);
    let reporter: SharedReporter = Arc::new(Silent);
    let id = engine.build(&request(directory.path(), &[]), &reporter).await.unwrap();
    let read = lambdactl::image::engine::read;
    let image = read(&engine, &id.to_string(), None, &Default::default(), &reporter).await.unwrap();
    assert_eq!(image.layers.len(), 1);
    assert!(image.manifest.is_accepted_by_lambda());
    // It had no name, and goes on without one.
    assert_eq!(engine.inspect(&id.to_string()).await.unwrap().unwrap().tags, [""; 0]);
}
