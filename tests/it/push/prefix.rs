//! Lower layers of an engine's image that are exported before the others.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lambdactl::services::docker::DockerEngine;
use serde_json::Value;

use super::PUSH;
use super::unchanged::build;
use crate::deploy::EngineImage;
use crate::support::engine_proxy::{EngineProxy, Treatment};
use crate::support::engines::{Engine, usual};
use crate::support::sandbox::signal;
use crate::support::wait_for;
use crate::support::world::World;

/// An image that its engine prepares for most of a second, of which a part is worth an export of
/// its own.
fn large(world: &World, name: &str) -> EngineImage {
    let id = uuid::Uuid::new_v4().to_string();
    let [one, two] = [1_100_000, 1_300_000].map(|times| id.repeat(times));
    build(world, name, &[("one", &one), ("two", &two)])
}

fn layers(engine: &Engine, image: &str) -> Vec<String> {
    let layers = engine.docker(&["image", "inspect", "--format", "{{json .RootFS.Layers}}", image]);
    serde_json::from_str(&layers).unwrap()
}

/// A way to an engine that prepares the whole of `image` slowly: not before a request to `address`
/// is answered.
fn slow(engine: &Engine, image: &EngineImage, address: &'static str) -> EngineProxy {
    let whole = whole(engine, image);
    EngineProxy::start(&engine.host, move |line| match line.contains(&whole) {
        true => Treatment::After(address),
        false => Treatment::Pass,
    })
}

/// Where an engine is asked for the whole of `image`.
fn whole(engine: &Engine, image: &EngineImage) -> String {
    format!("/images/{}/get", engine.docker(&["image", "inspect", "--format", "{{.Id}}", &image.0]))
}

/// The nameless images of the lower layers of `image` that are in the engine.
fn prefixes(engine: &Engine, image: &EngineImage) -> Vec<String> {
    let of = layers(engine, &image.0);
    let list = ["image", "ls", "--all", "--quiet", "--no-trunc", "--filter", "label=lambdactl.prefix"];
    let found = engine.docker(&list);
    let is_prefix = |id: &&str| {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", &engine.host);
        // Another test's may be gone by now.
        let output = command.args(["image", "inspect", id]).stderr(Stdio::null()).output().unwrap();
        let inspected: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let layers = inspected[0]["RootFS"]["Layers"].as_array();
        // Images of all tests have the lowest one.
        layers.is_some_and(|layers| layers.len() > 1 && layers.iter().eq(of.iter().take(layers.len())))
    };
    found.lines().filter(is_prefix).map(str::to_owned).collect()
}

#[test]
fn layers_that_come_before_the_others_make_the_same_image() {
    let Some(usual) = usual() else { return };
    let image = large(&World::new(), "prefix");
    let proxy = slow(&usual, &image, "/get");
    let push = |source: &str| {
        World::behind(&proxy).sandbox.json(0, [&PUSH[..], &["-v", "--image", source]].concat())
    };
    let lines = push(&format!("docker:{}", image.0));
    let told = format!("of `{}`, 2 layers came before the others", image.0);
    assert!(lines.iter().any(|line| line["message"] == *told), "{lines:#?}");
    assert_eq!(prefixes(&usual, &image), [""; 0]);
    // What comes by twice is counted once.
    let progress: Vec<_> = lines
        .iter()
        .filter(|line| line["reason"] == "image-progress")
        .map(|line| (line["activity"].as_str(), line["bytes"].as_u64(), line["total"].as_u64()))
        .collect();
    assert!(progress.len() > 1 && progress.is_sorted_by_key(|(_, bytes, _)| bytes), "{progress:?}");
    assert!(
        progress.iter().all(|(what, bytes, total)| *what == Some("exporting") && bytes <= total),
        "{progress:?}"
    );

    let saved = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let path = saved.display().to_string();
    usual.docker(&["image", "save", "--output", &path, &image.0]);
    let whole = push(&format!("archive:{path}"));
    assert_eq!(lines.last().unwrap()["image_digest"], whole.last().unwrap()["image_digest"]);
    assert_eq!(lines.last().unwrap()["layers_uploaded"], 3);
}

#[tokio::test]
async fn an_image_of_lower_layers_goes_when_nobody_waits_for_it() {
    let Some(usual) = usual() else { return };
    let world = World::new();
    let image = build(&world, "dropped", &[("one", "1"), ("two", "2")]);
    let connected = DockerEngine::connect(&usual.location()).await.unwrap();
    let found = connected.inspect(&image.0).await.unwrap().unwrap();
    let prefix = connected.prefix(&found, 2).await.unwrap();
    let id = prefix.image().id.to_string();
    assert_eq!(prefixes(&usual, &image), std::slice::from_ref(&id));
    assert_eq!(layers(&usual, &id), layers(&usual, &image.0)[..2]);
    // Others leave it alone while this run goes on.
    connected.remove_leftovers().await;
    assert!(connected.inspect(&id).await.unwrap().is_some());
    drop(prefix);
    for _ in 0..500 {
        if connected.inspect(&id).await.unwrap().is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(connected.inspect(&id).await.unwrap().is_none());
    assert_eq!(connected.inspect(&image.0).await.unwrap().unwrap().diff_ids, found.diff_ids);
}

/// A push that waits for its engine for ever, with the image of lower layers it has made there.
struct Held {
    child: Child,
    image: EngineImage,
    source: String,
    _world: World,
    _proxy: EngineProxy,
}

impl Held {
    fn begin(usual: &Engine, name: &str) -> Self {
        let proxy = EngineProxy::start(&usual.host, |line| match line.contains("/get") {
            true => Treatment::Hold,
            false => Treatment::Pass,
        });
        let world = World::behind(&proxy);
        let image = large(&world, name);
        let source = format!("docker:{}", image.0);
        let mut command = world.sandbox.lambdactl([&PUSH[..], &["--image", &source]].concat());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for("an image of lower layers", Duration::from_secs(60), || prefixes(usual, &image).pop());
        Self { child, image, source, _world: world, _proxy: proxy }
    }
}

#[test]
fn an_image_of_lower_layers_that_a_killed_run_has_left_behind_goes_with_the_next_run() {
    let Some(usual) = usual() else { return };
    let mut held = Held::begin(&usual, "killed");
    signal(held.child.id(), "KILL");
    held.child.wait().unwrap();
    // It is there until the next run, which may be another test's.
    let proxy = EngineProxy::transparent(&usual.host);
    World::behind(&proxy).sandbox.run([&PUSH[..], &["--image", &held.source]].concat()).expect(0);
    let gone = || prefixes(&usual, &held.image).is_empty().then_some(());
    wait_for("the image to be gone", Duration::from_secs(30), gone);
    assert_eq!(layers(&usual, &held.image.0).len(), 3);
}

#[test]
fn an_image_of_lower_layers_goes_with_a_run_that_is_interrupted() {
    let Some(usual) = usual() else { return };
    let mut held = Held::begin(&usual, "interrupted");
    signal(held.child.id(), "INT");
    assert_eq!(held.child.wait().unwrap().code(), Some(130));
    // The engine was asked, and may be busy.
    let gone = || prefixes(&usual, &held.image).is_empty().then_some(());
    wait_for("the image to be gone", Duration::from_secs(30), gone);
}

#[test]
fn an_engine_that_fails_with_a_part_beside_the_whole_exports_the_whole_again() {
    let Some(usual) = usual() else { return };
    let image = large(&World::new(), "again");
    let (whole, has_failed) = (whole(&usual, &image), AtomicBool::new(false));
    let proxy = EngineProxy::start(&usual.host, move |line| {
        let fails = line.contains(&whole) && !has_failed.swap(true, Ordering::SeqCst);
        if fails { Treatment::Refuse } else { Treatment::Pass }
    });
    let world = World::behind(&proxy);
    let source = format!("docker:{}", image.0);
    let told = world.sandbox.run([&PUSH[..], &["-v", "--image", &source]].concat()).expect(0);
    assert!(told.stderr.contains("is exported whole: "), "{told}");
    assert_eq!(prefixes(&usual, &image), [""; 0]);
}

#[test]
fn an_engine_that_takes_no_images_exports_the_whole() {
    let Some(usual) = usual() else { return };
    let image = large(&World::new(), "refused-load");
    let whole = whole(&usual, &image);
    let proxy = EngineProxy::start(&usual.host, move |line| {
        if line.contains("/images/load") {
            Treatment::Refuse
        } else if line.contains(&whole) {
            Treatment::After("/images/load")
        } else {
            Treatment::Pass
        }
    });
    let world = World::behind(&proxy);
    let source = format!("docker:{}", image.0);
    let told = world.sandbox.run([&PUSH[..], &["-v", "--image", &source]].concat()).expect(0);
    assert!(told.stderr.contains("no layer came before the others"), "{told}");
    assert!(told.stderr.contains("not for you"), "{told}");
    let proxy = slow(&usual, &image, "/get");
    let directly =
        World::behind(&proxy).sandbox.run([&PUSH[..], &["-v", "--image", &source]].concat()).expect(0);
    assert!(directly.stderr.contains("2 layers came before the others"), "{directly}");
    let digest = |told: &str| told.split_once('@').map(|(_, digest)| digest.to_owned()).unwrap();
    assert_eq!(digest(&told.stdout), digest(&directly.stdout));
}
