//! What assembled images promise: see `assembled`, whose tests these are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::domain::digest::Digest;
use crate::domain::manifest::{Descriptor, Manifest};
use crate::domain::spec::{BaseImage, FileMapping};
use crate::event::Silent;
use crate::image::BlobSource;

const X86_64: [u8; 2] = [62, 0];
const ARM64: [u8; 2] = [183, 0];

fn program(directory: &Path, machine: [u8; 2]) -> PathBuf {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(18, 0);
    bytes.extend(machine);
    bytes.extend([0; 100]);
    let path = directory.join("program");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn spec(files: &[(&Path, &str)], entry_point: Option<&str>) -> AssembledSpec {
    AssembledSpec {
        base: BaseImage::Scratch,
        files: files
            .iter()
            .map(|(from, to)| FileMapping { from: (*from).to_owned(), to: (*to).to_owned() })
            .collect(),
        entry_point: entry_point.map(|word| vec![word.to_owned()]),
        command: None,
        working_directory: None,
        environment: [("B".to_owned(), "new".to_owned())].into(),
        labels: [("l".to_owned(), "v".to_owned())].into(),
    }
}

/// A Docker-type base with one layer, a command and a member nobody knows.
fn base(architecture: &str) -> Image {
    let layer = Bytes::from_static(b"\x1f\x8b compressed");
    let document = json!({
        "architecture": architecture, "os": "linux", "os.features": ["kept"],
        "config": {
            "Entrypoint": ["/base"], "Cmd": ["base"], "Env": ["A=1", "B=old"], "OnBuild": ["kept"],
        },
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(b"tar").to_string()] },
    });
    let config_bytes = Bytes::from(document.to_string());
    let config = Descriptor::new(MediaType::DockerConfig, Digest::of(&config_bytes), 1);
    let descriptor = Descriptor::new(MediaType::DockerLayerGzip, Digest::of(&layer), layer.len() as u64);
    Image {
        remarks: Vec::new(),
        manifest_bytes: Bytes::new(),
        manifest: Manifest::oci(config, vec![descriptor.clone()]),
        media_type: MediaType::DockerManifest,
        config: ImageConfig::parse(&config_bytes).unwrap(),
        config_bytes,
        layers: vec![Layer { descriptor, source: BlobSource::Memory(layer) }],
    }
}

async fn run(
    spec: &AssembledSpec,
    base: Option<Image>,
    architecture: Option<Architecture>,
) -> Result<Image, ImageError> {
    let reporter: SharedReporter = Arc::new(Silent);
    assemble(spec, base, architecture, &KnownImages::default(), &reporter).await
}

#[tokio::test]
async fn the_program_decides_the_architecture_of_an_image_from_scratch() {
    let directory = tempfile::tempdir().unwrap();
    let file = program(directory.path(), ARM64);
    let image = run(&spec(&[(&file, "/bootstrap")], Some("/bootstrap")), None, None).await.unwrap();
    assert_eq!(image.config.platform().to_string(), "linux/arm64");
    assert_eq!(image.config.words("Entrypoint"), ["/bootstrap"]);
    assert_eq!(image.config.document["created"], "1970-01-01T00:00:00Z");
    assert_eq!(image.config.document["history"].as_array().unwrap().len(), 1);
    assert!(image.manifest.is_accepted_by_lambda());
    let without_entry_point = run(&spec(&[(&file, "/bootstrap")], None), None, None).await.unwrap();
    assert_eq!(without_entry_point.config.platform().architecture, "arm64");
}

#[tokio::test]
async fn the_wrong_architecture_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = program(directory.path(), ARM64);
    let wanted = Some(Architecture::X86_64);
    let wrong_program = run(&spec(&[(&file, "/b")], Some("/b")), None, wanted).await.unwrap_err();
    assert_eq!(wrong_program.to_string(), "`/b` is for arm64, not for x86_64");
    let wrong_base = run(&spec(&[(&file, "/b")], Some("/b")), Some(base("arm64")), wanted).await;
    assert!(wrong_base.unwrap_err().is_refusal());
    let against_base = run(&spec(&[(&file, "/b")], Some("/b")), Some(base("amd64")), None).await;
    assert!(against_base.unwrap_err().is_refusal());
}

#[tokio::test]
async fn nothing_that_names_a_machine_is_an_error_not_a_guess() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("script");
    std::fs::write(&script, "#!/bin/sh").unwrap();
    let error = run(&spec(&[(&script, "/s")], Some("/s")), None, None).await.unwrap_err();
    assert!(matches!(error, ImageError::UnknownArchitecture));
    assert!(matches!(run(&spec(&[], None), None, None).await, Err(ImageError::Empty)));
}

#[tokio::test]
async fn a_base_keeps_what_nobody_names_and_becomes_oci_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let file = program(directory.path(), X86_64);
    let image = run(&spec(&[(&file, "/b")], None), Some(base("amd64")), None).await.unwrap();
    let config = &image.config.document["config"];
    assert_eq!(image.config.words("Entrypoint"), ["/base"]);
    assert_eq!(image.config.words("Cmd"), ["base"]);
    assert_eq!(image.config.words("Env"), ["A=1", "B=new"]);
    assert_eq!(config["OnBuild"], json!(["kept"]));
    assert_eq!(config["Labels"], json!({ "l": "v" }));
    assert_eq!(image.config.document["os.features"], json!(["kept"]));
    assert_eq!(image.config.diff_ids().unwrap().len(), 2);
    assert_eq!(image.config.document["history"].as_array().unwrap().len(), 2);
    assert_eq!(image.media_type, MediaType::OciManifest);
    assert!(image.manifest.is_accepted_by_lambda());
    assert_eq!(image.layers.len(), 2);
}

#[tokio::test]
async fn an_entry_point_of_one_s_own_drops_the_base_s_command() {
    let directory = tempfile::tempdir().unwrap();
    let file = program(directory.path(), X86_64);
    let mut own = spec(&[(&file, "/b")], Some("/b"));
    let image = run(&own, Some(base("amd64")), None).await.unwrap();
    assert_eq!(image.config.document["config"].get("Cmd"), None);
    own.command = Some(vec!["app.handler".to_owned()]);
    let image = run(&own, Some(base("amd64")), None).await.unwrap();
    assert_eq!(image.config.words("Cmd"), ["app.handler"]);
}

#[tokio::test]
async fn the_same_files_give_the_same_digest() {
    let assemble = async || {
        let directory = tempfile::tempdir().unwrap();
        let file = program(directory.path(), X86_64);
        run(&spec(&[(&file, "/b")], Some("/b")), None, None).await.unwrap().digest()
    };
    assert_eq!(assemble().await, assemble().await);
}
