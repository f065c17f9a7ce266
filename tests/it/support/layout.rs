//! OCI image layouts made by hand, good ones and such as no builder makes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use lambdactl::domain::digest::Digest;
use lambdactl::domain::platform::Architecture;
use lambdactl::event::Silent;
use lambdactl::image::{Image, ImageError, layout};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A media type.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// A media type.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// A media type.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A media type.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A media type.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A media type.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// A media type.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// A tar archive with one file.
pub fn tar(name: &str, content: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, content.as_bytes()).unwrap();
    archive.into_inner().unwrap()
}

/// Compressed as Docker has it.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Compressed in the way Lambda does not take.
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

/// The configuration of an image of these tar archives.
pub fn config(architecture: &str, layers: &[Vec<u8>]) -> Value {
    let diff_ids: Vec<_> = layers.iter().map(|tar| Digest::of(tar).to_string()).collect();
    json!({
        "architecture": architecture, "os": "linux", "config": { "Entrypoint": ["/bootstrap"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
}

/// An OCI layout made by hand.
pub struct Layout(pub TempDir);

impl Layout {
    /// An empty one.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
        fs::write(directory.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self(directory)
    }

    /// Where a blob lies.
    pub fn path(&self, digest: &str) -> PathBuf {
        self.0.path().join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
    }

    /// Stores a blob and describes it.
    pub fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes).to_string();
        fs::write(self.path(&digest), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// Stores a document and describes it.
    pub fn document(&self, media_type: &str, document: &Value) -> Value {
        self.blob(media_type, document.to_string().as_bytes())
    }

    /// A manifest of `layers`: their tar archives, and each one's media type and stored bytes.
    pub fn manifest(&self, architecture: &str, tars: &[Vec<u8>], layers: &[(&str, Vec<u8>)]) -> Value {
        let layers: Vec<_> = layers.iter().map(|(kind, bytes)| self.blob(kind, bytes)).collect();
        let config = self.document(OCI_CONFIG, &config(architecture, tars));
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        self.document(OCI_MANIFEST, &manifest)
    }

    /// A good image of one gzip layer.
    pub fn image(&self, architecture: &str, content: &str) -> Value {
        let tar = tar("bootstrap", content);
        let layer = gzip(&tar);
        self.manifest(architecture, &[tar], &[(&format!("{OCI_LAYER}+gzip"), layer)])
    }

    /// An index of these.
    pub fn index(&self, entries: &[Value]) -> Value {
        json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries })
    }

    /// Makes these the images of the layout.
    pub fn write_index(&self, entries: &[Value]) {
        fs::write(self.0.path().join("index.json"), self.index(entries).to_string()).unwrap();
    }

    /// Reads an image as lambdactl does.
    pub async fn read(
        &self,
        tag: Option<&str>,
        architecture: Option<Architecture>,
    ) -> Result<Image, ImageError> {
        let tag = tag.map(|tag| tag.parse().unwrap());
        layout::read(self.0.path(), tag.as_ref(), architecture, &(Arc::new(Silent) as _)).await
    }
}

/// The same with another member.
pub fn with(mut entry: Value, key: &str, value: Value) -> Value {
    entry[key] = value;
    entry
}

/// The same for a machine.
pub fn on(entry: Value, os: &str, architecture: &str) -> Value {
    with(entry, "platform", json!({ "os": os, "architecture": architecture }))
}

/// The same with a name.
pub fn called(entry: Value, name: &str) -> Value {
    with(entry, "annotations", json!({ "org.opencontainers.image.ref.name": name }))
}

/// The digest of what is described.
pub fn digest(entry: &Value) -> String {
    entry["digest"].as_str().unwrap().to_owned()
}
