//! Whatever an image comes from, it arrives as skopeo would have it, for Lambda.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use lambdactl::domain::image_source::ArchiveFile;
use lambdactl::event::{SharedReporter, Silent};
use lambdactl::image::{Image, archive, engine, layout};
use lambdactl::pipeline::Uploads;
use lambdactl::pipeline::push::push;
use lambdactl::services::docker::DockerEngine;
use lambdactl::services::http::Trust;
use lambdactl::services::registry::{Authorization, RegistryClient};
use serde_json::Value;

use crate::support::engines::{self, Engine};
use crate::support::layout::{Layout, OCI_LAYER, called, gzip, tar};
use crate::support::oci_layout;
use crate::support::registry::{DockerRegistry, skopeo};

fn silent() -> SharedReporter {
    Arc::new(Silent)
}

/// The architecture of this machine, as images name it.
const HERE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// An image with an empty layer, one that is there twice, and one that has been compressed in
/// another way than lambdactl does.
fn layered(count: usize) -> (Layout, Value) {
    let layout = Layout::new();
    let mut tars: Vec<_> =
        (0..count).map(|at| tar(&format!("file{at}"), &format!("{at}\n").repeat(at))).collect();
    tars.extend([vec![0; 1024], tar("file1", "1\n")]);
    let kind = format!("{OCI_LAYER}+gzip");
    let layers: Vec<_> = tars.iter().map(|tar| (kind.as_str(), gzip(tar))).collect();
    let entry = called(layout.manifest(HERE, &tars, &layers), "v1");
    layout.write_index(std::slice::from_ref(&entry));
    (layout, entry)
}

async fn of_engine(engine: &Engine, name: &str) -> Image {
    let connected = DockerEngine::connect(&engine.location()).await.unwrap();
    engine::read(&connected, name, None, &Default::default(), &silent()).await.unwrap()
}

/// Pushes an image, has skopeo fetch it, and compares it with what skopeo makes of the source.
async fn compare(registry: &DockerRegistry, name: &str, image: &Image, source: &[&str]) {
    let http = Trust::new(&[]).unwrap().client().unwrap();
    let client = RegistryClient::new(http, registry.host(), Authorization::Anonymous, silent());
    let target = format!("{}/{name}", registry.host()).parse().unwrap();
    push(&client, &target, None, image, &Uploads::default(), &silent()).await.unwrap();
    let reference = format!("docker://{target}@{}", image.digest());
    let directory = tempfile::tempdir().unwrap();
    let arrived = fetched(&directory.path().join("arrived"), &["--src-tls-verify=false", &reference]);
    let wanted = fetched(&directory.path().join("wanted"), source);
    // What runs: the configuration, byte for byte, and the layers' content.
    assert_eq!(arrived.config, wanted.config, "{name}");
    assert_eq!(arrived.diff_ids, wanted.diff_ids, "{name}");
    let described: Value = serde_json::from_slice(&arrived.config).unwrap();
    assert_eq!(described["rootfs"]["diff_ids"], serde_json::json!(arrived.diff_ids), "{name}");
    let manifest = &arrived.manifest;
    assert!(manifest["manifests"].is_null(), "{name}: {manifest}");
    for layer in manifest["layers"].as_array().unwrap() {
        assert!(layer["mediaType"].as_str().unwrap().ends_with("gzip"), "{name}: {manifest}");
    }
}

struct Fetched {
    manifest: Value,
    config: Vec<u8>,
    diff_ids: Vec<String>,
}

/// What skopeo copies into a directory.
fn fetched(directory: &Path, source: &[&str]) -> Fetched {
    let target = format!("dir:{}", directory.display());
    skopeo(&[&["copy", "--quiet"], source, &[target.as_str()]].concat());
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap();
        std::fs::read(directory.join(digest.trim_start_matches("sha256:"))).unwrap()
    };
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(directory.join("manifest.json")).unwrap()).unwrap();
    let diff_id = |layer: &Value| {
        let mut bytes = blob(layer);
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut content = Vec::new();
            GzDecoder::new(bytes.as_slice()).read_to_end(&mut content).unwrap();
            bytes = content;
        }
        oci_layout::digest(&bytes)
    };
    Fetched {
        config: blob(&manifest["config"]),
        diff_ids: manifest["layers"].as_array().unwrap().iter().map(diff_id).collect(),
        manifest,
    }
}

#[tokio::test]
async fn layouts_and_archives_arrive_as_skopeo_would_have_them() {
    let registry = DockerRegistry::plain();
    let (source, _) = layered(3);
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let oci = format!("oci:{}:v1", source.0.path().display());
    let (saved, packed) = (path("saved.tar"), path("packed.tar"));
    let docker_archive = format!("docker-archive:{}", saved.display());
    let oci_archive = format!("oci-archive:{}", packed.display());
    skopeo(&["copy", "--quiet", &oci, &format!("{docker_archive}:hello:v1")]);
    skopeo(&["copy", "--quiet", &oci, &oci_archive]);

    let image = layout::read(source.0.path(), None, None, &silent()).await.unwrap();
    compare(&registry, "layout", &image, &[&oci]).await;
    let read = async |file: &Path| {
        archive::read(&ArchiveFile::Path(file.to_owned()), None, &silent()).await.unwrap()
    };
    compare(&registry, "docker-archive", &read(&saved).await, &[&docker_archive]).await;
    compare(&registry, "oci-archive", &read(&packed).await, &[&oci_archive]).await;
}

#[tokio::test]
async fn images_of_every_kind_of_engine_arrive_as_skopeo_would_have_them() {
    let registry = DockerRegistry::plain();
    let engines = [
        ("containerd", engines::containerd as fn() -> Option<Engine>),
        ("remote", engines::remote),
        ("usual", engines::usual),
    ];
    let (source, entry) = layered(3);
    for (name, engine) in engines {
        let Some(engine) = engine() else { continue };
        let loaded = match name {
            // It knows no OCI layouts.
            "usual" => {
                let directory = tempfile::tempdir().unwrap();
                let tag = format!("lambdactl-test-sources:{}", std::process::id());
                let saved = directory.path().join("saved.tar").display().to_string();
                let oci = format!("oci:{}:v1", source.0.path().display());
                skopeo(&["copy", "--quiet", &oci, &format!("docker-archive:{saved}:{tag}")]);
                engine.load_archive(&saved, tag)
            }
            _ => engine.load(&source, entry.clone()),
        };
        let image = of_engine(&engine, &loaded.name).await;
        if name == "usual" {
            let host = format!("--src-daemon-host={}", engine.host);
            let daemon = format!("docker-daemon:{}", loaded.name);
            compare(&registry, name, &image, &[&host, &daemon]).await;
        } else {
            // Newer engines do not talk to skopeo of Debian 12.
            let saved = tempfile::NamedTempFile::new().unwrap();
            let path = saved.path().display().to_string();
            engine.docker(&["image", "save", "--output", &path, &loaded.name]);
            compare(&registry, name, &image, &[&format!("docker-archive:{path}")]).await;
        }
        // The table goes on with the layout as it was.
        source.write_index(std::slice::from_ref(&entry));
    }
}

#[tokio::test]
async fn as_many_layers_as_an_image_can_have_arrive() {
    // Engines stop at 127.
    let (source, entry) = layered(125);
    let registry = DockerRegistry::plain();
    let image = layout::read(source.0.path(), None, None, &silent()).await.unwrap();
    assert_eq!(image.layers.len(), 127);
    compare(&registry, "layout", &image, &[&format!("oci:{}:v1", source.0.path().display())]).await;
    let Some(engine) = engines::containerd() else { return };
    let loaded = engine.load(&source, entry);
    let taken = of_engine(&engine, &loaded.name).await;
    assert_eq!(taken.digest(), image.digest());
}
