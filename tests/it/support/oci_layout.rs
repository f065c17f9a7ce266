//! OCI image layouts and archives, written by hand: a second opinion on what lambdactl reads.

use std::io::Write;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// One file of a layer: where it lies in the image, and what it holds.
pub type File<'a> = (&'a str, &'a [u8]);

/// Writes a layout with one image of these layers, lowest first, and returns the digest of its
/// manifest.
pub fn write(directory: &Path, architecture: &str, entry_point: &[&str], layers: &[&[File<'_>]]) -> String {
    begin(directory);
    let mut descriptors = Vec::new();
    let mut diff_ids = Vec::new();
    for files in layers {
        let tar = tar_of(files);
        diff_ids.push(digest(&tar));
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::default());
        gzip.write_all(&tar).unwrap();
        descriptors.push(blob(directory, LAYER, &gzip.finish().unwrap()));
    }
    end(directory, architecture, json!({ "Entrypoint": entry_point }), diff_ids, descriptors)
}

/// Writes a layout with one image whose only layer is this `.tar.gz`, which may be large.
pub fn write_archive(directory: &Path, architecture: &str, layer: &Path) {
    begin(directory);
    let hash_of = |source: &mut dyn std::io::Read| {
        let (mut hash, mut size, mut piece) = (Sha256::new(), 0, vec![0; 1 << 16]);
        while let count @ 1.. = source.read(&mut piece).unwrap() {
            hash.update(&piece[..count]);
            size += count;
        }
        (format!("sha256:{}", hex::encode(hash.finalize())), size)
    };
    let open = || std::io::BufReader::new(std::fs::File::open(layer).unwrap());
    let (diff_id, _) = hash_of(&mut flate2::read::GzDecoder::new(open()));
    let (digest, size) = hash_of(&mut open());
    std::fs::copy(layer, directory.join("blobs").join(digest.replace(':', "/"))).unwrap();
    let descriptor = json!({ "mediaType": LAYER, "digest": digest, "size": size });
    end(directory, architecture, json!({}), vec![diff_id], vec![descriptor]);
}

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn begin(directory: &Path) {
    std::fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

/// Writes the documents of an image whose layers are there.
fn end(
    directory: &Path,
    architecture: &str,
    start: Value,
    diff_ids: Vec<String>,
    descriptors: Vec<Value>,
) -> String {
    let platform = match architecture {
        "arm64" => "arm64",
        _ => "amd64",
    };
    let config = json!({
        "architecture": platform,
        "os": "linux",
        "config": start,
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = blob(directory, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": descriptors });
    let mut descriptor = blob(directory, media_type, manifest.to_string().as_bytes());
    descriptor["platform"] = json!({ "os": "linux", "architecture": platform });
    let index = json!({ "schemaVersion": 2, "manifests": [&descriptor] });
    std::fs::write(directory.join("index.json"), index.to_string()).unwrap();
    descriptor["digest"].as_str().unwrap().to_owned()
}

/// Packs a layout into an OCI archive.
pub fn archive(layout: &Path, file: &Path) {
    let mut builder = tar::Builder::new(std::fs::File::create(file).unwrap());
    builder.append_dir_all(".", layout).unwrap();
    builder.finish().unwrap();
}

/// The digest of some bytes, as registries write it.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn tar_of(files: &[File<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn blob(directory: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digest = digest(bytes);
    std::fs::write(directory.join("blobs").join(digest.replace(':', "/")), bytes).unwrap();
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}
