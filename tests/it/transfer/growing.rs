//! Layers that go while they are being compressed, into repositories that have nothing yet.

use std::io::Write as _;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use lambdactl::domain::compression::CompressionLevel;
use lambdactl::domain::digest::{DiffId, Digest};
use lambdactl::domain::reference::RepositoryName;
use lambdactl::event::{SharedReporter, Silent};
use lambdactl::image::growing::GrowingLayer;
use lambdactl::image::gzip::{GzipLayer, LayerWriter};
use lambdactl::services::http::Trust;
use lambdactl::services::registry::{Authorization, RegistryClient, RegistryError};
use serde_json::{Value, json};

use super::space::noise;
use crate::deploy::EngineImage;
use crate::push::unchanged::build;
use crate::support::local_server::{Fault, Logged};
use crate::support::needs_docker;
use crate::support::registry::DockerRegistry;
use crate::support::registry::scripted::{self, ScriptedRegistry, refuse};
use crate::support::world::World;

/// A world whose repository is there, and empty: the push that made it was not let in.
fn with_an_empty_repository() -> World {
    let world = World::new();
    let denied = json!({ "errors": [{ "code": "DENIED", "message": "not yet" }] });
    let uploads = Fault::request("POST", "/v2/hello/blobs/uploads").times(1000);
    world.cloud.inject(&[uploads.answers(403, denied)]);
    world.sandbox.run(world.arguments("push", &[])).expect(1);
    world.cloud.mend();
    world
}

/// An image with a layer that takes a while to be compressed, one that is there twice, and small ones.
fn large(world: &World, name: &str) -> EngineImage {
    let large: String = (0..2_000_000_u64).map(|number| format!("{:x} ", number * number)).collect();
    build(world, name, &[("small", name), ("large", &large), ("large", &large), ("empty", "")])
}

fn push(world: &World, repository: &str, image: &EngineImage, options: &[&str]) -> Vec<Value> {
    let source = format!("docker:{}", image.0);
    let what = ["push", "--local", "--function", "hello", "--repository", repository, "--image", &source];
    // So that there is time to send it meanwhile.
    world.sandbox.json(0, [what.as_slice(), &["--compression", "best"], options].concat())
}

/// How often the registry was asked to take something, by methods.
fn uploads(log: &[Logged]) -> [usize; 3] {
    ["POST", "PATCH", "PUT"].map(|method| {
        log.iter().filter(|it| it.method == method && it.path.contains("/blobs/uploads")).count()
    })
}

fn details(lines: &[Value]) -> String {
    lines.iter().filter_map(|line| line["message"].as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_first_push_sends_a_large_layer_while_it_is_compressed_and_nothing_twice() {
    if !needs_docker() {
        return;
    }
    let world = with_an_empty_repository();
    let image = large(&world, "growing");
    let mark = world.cloud.log().len();
    let lines = push(&world, "hello", &image, &[]);
    let log = world.cloud.log();
    // Four layers (one of which is there twice) and the configuration, each in one session.
    assert_eq!(uploads(&log[mark..]), [5, 1, 5], "{:#?}", &log[mark..]);
    let done = lines.last().unwrap();
    assert_eq!((&done["layers_uploaded"], &done["layers_reused"]), (&json!(4), &json!(1)), "{done}");
    // What is told is what happened.
    let all =
        |reason: &str| -> Vec<&Value> { lines.iter().filter(|line| line["reason"] == reason).collect() };
    assert_eq!(done["bytes_uploaded"], all("transfer-started")[0]["bytes"]);
    let sizes = all("blob-finished").iter().map(|line| line["size"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(done["bytes_uploaded"], sizes);
    assert!(all("blob-finished").iter().all(|line| line["reused"] == false), "{lines:#?}");
    assert_eq!((all("blob-started").len(), all("blob-finished").len()), (5, 5), "{lines:#?}");

    // The same image as by the other way, which a repository that is not there yet takes.
    let whole = push(&world, "other", &image, &[]);
    assert_eq!(whole.last().unwrap()["image_digest"], done["image_digest"]);
    let mark = log.len();
    let log = world.cloud.log();
    assert_eq!(uploads(&log[mark..]), [5, 0, 5], "{:#?}", &log[mark..]);

    // Now the repository has images. A machine that knows nothing of them asks, and sends only
    // what they have not.
    std::fs::remove_dir_all(world.sandbox.path().join("home/.cache/lambdactl")).unwrap();
    let mark = log.len();
    let again = push(&world, "hello", &image, &[]);
    let log = world.cloud.log();
    assert_eq!(uploads(&log[mark..]), [0, 0, 0], "{:#?}", &log[mark..]);
    assert_eq!(again.last().unwrap()["layers_reused"], 5);
}

#[test]
fn a_layer_that_could_not_go_while_it_was_compressed_goes_when_it_is() {
    if !needs_docker() {
        return;
    }
    let broken = json!({ "errors": [{ "code": "UNKNOWN", "message": "out of order" }] });
    let patch = || Fault::request("PATCH", "/v2/hello/blobs/uploads");
    for fault in [patch().answers(500, broken), patch().cuts()] {
        let world = with_an_empty_repository();
        let image = large(&world, "broken");
        let mark = world.cloud.log().len();
        world.cloud.inject(&[fault]);
        let lines = push(&world, "hello", &image, &["-v"]);
        assert!(world.cloud.has_misbehaved());
        let done = lines.last().unwrap();
        assert_eq!((&done["layers_uploaded"], &done["layers_reused"]), (&json!(4), &json!(1)), "{done}");
        assert!(details(&lines).contains("could not be sent while it was made"), "{}", details(&lines));
        // In a session of its own, and no other layer was tried that way.
        let log = world.cloud.log();
        assert_eq!((uploads(&log[mark..])[0], uploads(&log[mark..])[2]), (6, 5), "{:#?}", &log[mark..]);
        // All of it is there, as the other way has it.
        let again = push(&world, "hello", &image, &[]);
        assert_eq!(again.last().unwrap()["image_digest"], done["image_digest"]);
    }
}

#[test]
fn a_push_that_was_interrupted_is_not_begun_anew_without_asking() {
    if !needs_docker() {
        return;
    }
    let world = with_an_empty_repository();
    let image = large(&world, "interrupted");
    let broken = json!({ "errors": [{ "code": "DENIED", "message": "no images today" }] });
    world.cloud.inject(&[Fault::request("PUT", "/v2/hello/manifests").answers(403, broken)]);
    let source = format!("docker:{}", image.0);
    let what = ["push", "--local", "--function", "hello", "--image", &source, "--compression", "best"];
    world.sandbox.run(what).expect(1);
    let mark = world.cloud.log().len();
    let done = push(&world, "hello", &image, &[]).pop().unwrap();
    let log = world.cloud.log();
    assert_eq!(uploads(&log[mark..])[1], 0, "{:#?}", &log[mark..]);
    assert_eq!(done["layers_reused"], 5, "{done}");
}

/// Sends a layer to `registry` while it is made of `input`.
async fn send(
    client: &RegistryClient,
    input: Vec<u8>,
    breaks: bool,
) -> (Result<Digest, RegistryError>, Option<GzipLayer>) {
    let name: RepositoryName = "team/hello".parse().unwrap();
    let mut writer = LayerWriter::create().unwrap().at(CompressionLevel::Level(9));
    let layer: GrowingLayer = writer.growing(DiffId(Digest::of(&input)));
    let writing = tokio::task::spawn_blocking(move || {
        for chunk in input.chunks(1 << 20) {
            writer.write_all(chunk).unwrap();
        }
        (!breaks).then(|| writer.finish().unwrap())
    });
    let sent = client.upload_growing_blob(&name, layer.diff_id(), Arc::new(layer)).await;
    (sent, writing.await.unwrap())
}

fn client(host: lambdactl::domain::reference::RegistryHost) -> RegistryClient {
    let reporter: SharedReporter = Arc::new(Silent);
    let http = Trust::new(&[]).unwrap().client().unwrap();
    RegistryClient::new(http, host, Authorization::Anonymous, reporter)
}

#[tokio::test]
async fn a_real_registry_takes_a_layer_that_is_still_being_made() {
    let registry = DockerRegistry::plain();
    let client = client(registry.host());
    let name: RepositoryName = "team/hello".parse().unwrap();
    let (sent, made) = send(&client, noise(24 << 20), false).await;
    let made = made.unwrap();
    assert_eq!(sent.unwrap(), made.digest);
    // The registry's bytes have this digest, or reading them fails.
    let bytes: Vec<bytes::Bytes> =
        client.blob(&name, &made.descriptor()).await.unwrap().try_collect().await.unwrap();
    assert_eq!(bytes.iter().map(bytes::Bytes::len).sum::<usize>() as u64, made.size);

    // One that is given up leaves nothing.
    let (sent, _) = send(&client, noise(25 << 20), true).await;
    assert!(matches!(sent.unwrap_err(), RegistryError::Content { .. }));
    let (sent, _) = send(&client, noise(1 << 20), false).await;
    assert!(client.has_blob(&name, &sent.unwrap()).await.unwrap());
}

#[tokio::test]
async fn a_registry_that_fails_in_the_middle_is_an_error_and_not_tried_again() {
    for what in ["POST upload", "PATCH upload", "PUT upload"] {
        for fault in [refuse(500, "UNKNOWN", "try again"), scripted::Fault::Cut(1 << 20)] {
            if matches!(fault, scripted::Fault::Cut(_)) && what != "PATCH upload" {
                continue;
            }
            let registry =
                ScriptedRegistry::start(move |seen| (seen.what == what).then(|| fault.clone())).await;
            let (sent, made) = send(&client(registry.host()), noise(8 << 20), false).await;
            assert!(sent.is_err() && made.is_some(), "{what}");
            assert_eq!((registry.count("POST upload"), registry.count(what)), (1, 1), "{what}");
        }
    }
}
