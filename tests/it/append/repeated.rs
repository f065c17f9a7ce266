//! The same sources give the same bytes, and less work the second time.

use std::fs;
use std::path::Path;
use std::process::Command;

use futures_util::TryStreamExt as _;
use lambdactl::domain::reference::{ImageReference, RepositoryUri};
use lambdactl::image::registry::read;
use lambdactl::image::{BlobSource, Layer, append};
use lambdactl::pipeline::Uploads;
use lambdactl::pipeline::push::push;

use super::Entry::{self, Directory, File, Link};
use super::{Bases, appended, client, fill, silent};
use crate::support::docker::request;
use crate::support::program;
use crate::support::registry::DockerRegistry;
use crate::support::sandbox::Sandbox;

const FILES: &[Entry] = &[
    File(
        "Dockerfile",
        0o644,
        "FROM scratch\nCOPY . /app\nCOPY --chown=1:2 src lib /x/\nWORKDIR /y/z\nCMD [\"/app/a\"]\n",
    ),
    File("a", 0o755, "a"),
    File("src/one", 0o644, "1"),
    File("src/two", 0o600, "2"),
    Directory("src", 0o750),
    Link("lib/l", "../a"),
];

#[tokio::test]
async fn two_copies_of_a_tree_give_the_same_digest() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(one.path(), FILES);
    fill(two.path(), FILES.iter().rev());
    let changed = [two.path().join("a"), two.path().join("src")];
    let touched = Command::new("touch").arg("-d2001-02-03").args(changed).status();
    assert!(touched.unwrap().success());
    let digest = |directory: &Path| {
        let request = request(directory, &[]);
        async move { appended(&request).await.unwrap().digest() }
    };
    let first = digest(one.path()).await;
    assert_eq!(first, digest(two.path()).await);
    fs::write(two.path().join("src/one"), "other").unwrap();
    assert_ne!(first, digest(two.path()).await);
}

#[tokio::test]
async fn every_time_is_the_one_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), FILES);
    let at = |epoch: &'static str| {
        let request = request(directory.path(), &[("SOURCE_DATE_EPOCH", epoch)]);
        async move { appended(&request).await.unwrap() }
    };
    let image = at("1700000000").await;
    let document = &image.config.document;
    assert_eq!(document["created"], "2023-11-14T22:13:20Z");
    assert_eq!(document["history"][0]["created"], "2023-11-14T22:13:20Z");
    for layer in &image.layers {
        let chunks: Vec<_> = layer.source.open().await.unwrap().try_collect().await.unwrap();
        let bytes = chunks.concat();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let times: Vec<u64> =
            archive.entries().unwrap().map(|entry| entry.unwrap().header().mtime().unwrap()).collect();
        assert!(!times.is_empty() && times.iter().all(|time| *time == 1_700_000_000), "{times:?}");
    }
    assert_eq!(image.digest(), at("1700000000").await.digest());
    assert_eq!(at("").await.digest(), appended(&request(directory.path(), &[])).await.unwrap().digest());
}

#[tokio::test]
async fn layers_that_the_registry_has_are_not_made_again() {
    let (directory, registry) = (tempfile::tempdir().unwrap(), DockerRegistry::plain());
    fill(directory.path(), FILES);
    let request = request(directory.path(), &[]);
    let first = appended(&request).await.unwrap();
    let uri: RepositoryUri = format!("{}/known", registry.host()).parse().unwrap();
    push(&client(registry.host()), &uri, None, &first, &Uploads::default(), &silent()).await.unwrap();
    let at = ImageReference::at(uri, first.digest());
    let mut bases = Bases::default();
    bases.known.add(read(&client(registry.host()), &at, None, &silent()).await.unwrap());
    fs::write(directory.path().join("a"), "changed").unwrap();
    let second = append::build(&request, &bases, &silent()).await.unwrap();
    let is_made = |layer: &Layer| matches!(layer.source, BlobSource::File(_));
    assert_eq!(second.layers.iter().map(is_made).collect::<Vec<_>>(), [true, false, false]);
    // It is what would have been made.
    assert_eq!(second.manifest_bytes, appended(&request).await.unwrap().manifest_bytes);
}

#[test]
fn a_dockerfile_without_run_is_deployed_where_there_is_no_engine() {
    let mut sandbox = Sandbox::new();
    sandbox.set("DOCKER_HOST", "unix:///nonexistent.sock");
    let directory = sandbox.path().join("plain");
    fs::create_dir(&directory).unwrap();
    fs::copy(program::function(), directory.join("bootstrap")).unwrap();
    let write = |text: &str| fs::write(directory.join("Dockerfile"), text).unwrap();
    write("FROM scratch\nCOPY bootstrap /var/runtime/\nENTRYPOINT [\"/var/runtime/bootstrap\"]\n");
    let argument = directory.to_str().unwrap();
    let first = sandbox.json(0, ["deploy", "--local", argument]).pop().unwrap();
    assert_eq!((first["action"].as_str(), first["layers_uploaded"].as_u64()), (Some("created"), Some(1)));
    let again = sandbox.json(0, ["deploy", "--local", argument]).pop().unwrap();
    assert_eq!((again["action"].as_str(), again["bytes_uploaded"].as_u64()), (Some("unchanged"), Some(0)));

    // Where it takes one, the reason is said.
    write("FROM scratch\nCOPY bootstrap /\nRUN [\"/bootstrap\"]\nCOPY bootstrap /again\n");
    let needs = sandbox.run(["deploy", "--local", argument]).expect(1);
    assert!(
        needs.stderr.contains("cannot be built without an engine: line 3: `RUN` needs a builder"),
        "{}",
        needs.stderr
    );
    let forced = sandbox.run(["build", "--local", "--builder", "append", argument]).expect(1);
    assert!(forced.stderr.contains("`RUN` needs a builder"), "{}", forced.stderr);
    write("FROM scratch\nCOPY bootstrap /\n");
    let engine = sandbox.run(["build", "--local", "--builder", "engine", argument]).expect(1);
    assert!(engine.stderr.contains("nonexistent.sock"), "{}", engine.stderr);
}

#[tokio::test]
async fn the_architecture_is_that_of_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).unwrap();
    write("other", &program::elf_header(program::other_architecture()));
    write("Dockerfile", b"FROM scratch\nCOPY other /bin/\nENTRYPOINT [\"/bin/other\"]\n");
    let image = appended(&request(directory.path(), &[])).await.unwrap();
    assert_eq!(
        lambdactl::domain::platform::Architecture::from_oci(&image.config.platform().architecture)
            .map(|architecture| architecture.as_str()),
        Some(program::other_architecture())
    );
}
