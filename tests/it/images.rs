//! Images from every source end as one manifest.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use lambdactl::domain::digest::Digest;
use lambdactl::domain::image_source::ArchiveFile;
use lambdactl::domain::manifest::MediaType;
use lambdactl::domain::platform::Architecture;
use lambdactl::domain::reference::ImageReference;
use lambdactl::domain::spec::{AssembledSpec, BaseImage, FileMapping};
use lambdactl::event::{SharedReporter, Silent};
use lambdactl::image::known::KnownImages;
use lambdactl::image::{Image, ImageError, Layer, archive, assembled, layout, registry};
use lambdactl::pipeline::Uploads;
use lambdactl::pipeline::push::push;
use lambdactl::services::http::Trust;
use lambdactl::services::registry::{Authorization, RegistryClient};
use serde_json::{Value, json};

use crate::support::layout::{
    DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, Layout, OCI_INDEX, OCI_LAYER, called, config, digest, gzip,
    on, tar, with, zstd,
};
use crate::support::registry::{DockerRegistry, skopeo};

fn silent() -> SharedReporter {
    Arc::new(Silent)
}

async fn bytes(layer: &Layer) -> Vec<u8> {
    let chunks: Vec<Bytes> = layer.source.open().await.unwrap().try_collect().await.unwrap();
    let bytes = chunks.concat();
    assert_eq!((Digest::of(&bytes), bytes.len() as u64), (layer.descriptor.digest, layer.descriptor.size));
    bytes
}

/// Checks that an image is what Lambda takes, and that its layers are these tar archives.
async fn assert_sealed(image: &Image, tars: &[Vec<u8>]) {
    assert!(image.manifest.is_accepted_by_lambda(), "{:?}", image.manifest);
    assert_eq!(
        serde_json::to_value(&image.manifest).unwrap()["config"]["digest"],
        json!(Digest::of(&image.config_bytes))
    );
    assert_eq!(image.layers.len(), tars.len());
    for ((layer, described), tar) in image.layers.iter().zip(&image.manifest.layers).zip(tars) {
        assert_eq!(layer.descriptor, *described);
        let mut content = Vec::new();
        flate2::read::GzDecoder::new(bytes(layer).await.as_slice()).read_to_end(&mut content).unwrap();
        assert!(content == *tar);
    }
}

#[tokio::test]
async fn an_index_gives_the_function_s_platform_untouched_and_drops_attestations() {
    let layout = Layout::new();
    let (x86, arm) = (layout.image("amd64", "x"), layout.image("arm64", "arm"));
    let attestation = with(
        on(layout.image("unknown", "provenance"), "unknown", "unknown"),
        "annotations",
        json!({ "vnd.docker.reference.type": "attestation-manifest" }),
    );
    let entries = [on(x86.clone(), "linux", "amd64"), on(arm.clone(), "linux", "arm64"), attestation];
    // An index inside `index.json`, as BuildKit and containerd write it.
    let inner = layout.document(OCI_INDEX, &layout.index(&entries));
    layout.write_index(&[called(inner, "v1")]);
    for (architecture, expected) in [(Architecture::X86_64, &x86), (Architecture::Arm64, &arm)] {
        let image = layout.read(Some("v1"), Some(architecture)).await.unwrap();
        assert_eq!(image.digest().to_string(), digest(expected));
        assert_eq!(image.manifest_bytes, fs::read(layout.path(&digest(expected))).unwrap());
        assert_eq!(image.media_type, MediaType::OciManifest);
    }
    let here = layout.read(None, None).await.unwrap();
    let this = Architecture::of_this_machine().unwrap();
    assert_eq!(here.config.platform().architecture, this.oci());
}

#[tokio::test]
async fn the_wrong_platform_is_refused_and_both_sides_are_named() {
    let layout = Layout::new();
    layout.write_index(&[layout.image("arm64", "arm")]);
    let error = layout.read(None, Some(Architecture::X86_64)).await.unwrap_err();
    assert!(matches!(error, ImageError::Platform { .. }) && error.is_refusal(), "{error}");
    assert!(error.to_string().ends_with("is for linux/arm64, not for x86_64"), "{error}");
    layout.write_index(&[on(layout.image("arm64", "arm"), "linux", "arm64")]);
    let error = layout.read(None, Some(Architecture::X86_64)).await.unwrap_err();
    assert!(matches!(error, ImageError::Platform { .. }), "{error}");
    layout.write_index(&[layout.image("s390x", "other")]);
    let error = layout.read(None, None).await.unwrap_err();
    assert!(error.to_string().ends_with("is for linux/s390x, not for x86_64 or arm64"), "{error}");
}

#[tokio::test]
async fn raw_and_zstd_layers_become_gzip_under_a_new_manifest() {
    let layout = Layout::new();
    let tars: Vec<_> = ["raw", "zstd", "gzip"].map(|name| tar(name, &name.repeat(50_000))).into();
    let kept = gzip(&tars[2]);
    let layers = [
        (OCI_LAYER, tars[0].clone()),
        (&format!("{OCI_LAYER}+zstd"), zstd(&tars[1])),
        (&format!("{OCI_LAYER}+gzip"), kept.clone()),
    ];
    layout.write_index(&[layout.manifest("amd64", &tars, &layers)]);
    let image = layout.read(None, None).await.unwrap();
    assert_sealed(&image, &tars).await;
    assert_eq!(bytes(&image.layers[2]).await, kept);
    assert_eq!(layout.read(None, None).await.unwrap().digest(), image.digest());
}

#[tokio::test]
async fn docker_media_types_are_kept_if_good_and_converted_together_if_not() {
    let layout = Layout::new();
    let tars = [tar("a", "a"), tar("b", "b")];
    let config = layout.document(DOCKER_CONFIG, &config("amd64", &tars));
    let gzipped = format!("{DOCKER_LAYER}.gzip");
    let manifest = |second: Value| {
        let layers = [layout.blob(&gzipped, &gzip(&tars[0])), second];
        json!({ "schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": layers })
    };
    let good = layout.document(DOCKER_MANIFEST, &manifest(layout.blob(&gzipped, &gzip(&tars[1]))));
    layout.write_index(std::slice::from_ref(&good));
    let image = layout.read(None, None).await.unwrap();
    assert_eq!((image.digest().to_string(), &image.media_type), (digest(&good), &MediaType::DockerManifest));

    let raw = layout.document(DOCKER_MANIFEST, &manifest(layout.blob(DOCKER_LAYER, &tars[1])));
    layout.write_index(&[raw]);
    let image = layout.read(None, None).await.unwrap();
    assert_eq!(image.media_type, MediaType::OciManifest);
    assert_sealed(&image, &tars).await;
    let written = String::from_utf8_lossy(&image.manifest_bytes).into_owned();
    assert!(!written.contains("docker"), "{written}");
}

#[tokio::test]
async fn a_tag_chooses_and_a_wrong_one_is_told_what_there_is() {
    let layout = Layout::new();
    let (one, two) = (layout.image("amd64", "1"), layout.image("amd64", "2"));
    layout.write_index(&[called(one.clone(), "v1"), called(two, "v2")]);
    assert_eq!(layout.read(Some("v1"), None).await.unwrap().digest().to_string(), digest(&one));
    let error = layout.read(Some("v3"), None).await.unwrap_err();
    assert!(error.to_string().ends_with(":v3`: there is no such image"), "{error}");
    assert_eq!(error.hint().unwrap(), "it holds `v1`, `v2`");
    let error = layout.read(None, None).await.unwrap_err();
    assert!(matches!(error, ImageError::Ambiguous { .. }), "{error}");
    let nothing = tempfile::tempdir().unwrap();
    let error = layout::read(nothing.path(), None, None, &silent()).await.unwrap_err();
    assert!(error.to_string().contains("no `index.json`"), "{error}");
}

#[tokio::test]
async fn damage_is_found_wherever_it_is() {
    let layout = Layout::new();
    let entry = layout.image("amd64", "content");
    layout.write_index(std::slice::from_ref(&entry));
    let image = layout.read(None, None).await.unwrap();
    let layer = layout.path(&image.layers[0].descriptor.digest.to_string());
    let mut damaged = fs::read(&layer).unwrap();
    damaged[20] ^= 1;
    fs::write(&layer, &damaged).unwrap();
    // A layer is checked when it is read, not when the image is opened.
    let image = layout.read(None, None).await.unwrap();
    let read: Result<Vec<Bytes>, _> = image.layers[0].source.open().await.unwrap().try_collect().await;
    assert!(read.unwrap_err().to_string().contains("damaged"));
    fs::write(&layer, &damaged[1..]).unwrap();
    assert!(matches!(layout.read(None, None).await, Err(ImageError::Damaged { .. })));
    fs::remove_file(&layer).unwrap();
    assert!(matches!(layout.read(None, None).await, Err(ImageError::MissingBlob { .. })));

    let manifest = layout.path(&digest(&entry));
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"schemaVersion\":2", "\"schemaVersion\":3")).unwrap();
    assert!(matches!(layout.read(None, None).await, Err(ImageError::Damaged { .. })));

    // A converted layer has to have the diff ID its configuration names.
    let layout = Layout::new();
    layout.write_index(&[layout.manifest("amd64", &[tar("a", "a")], &[(OCI_LAYER, tar("a", "b"))])]);
    let error = layout.read(None, None).await.unwrap_err();
    assert!(error.to_string().contains("diff ID"), "{error}");
}

/// Puts entries into an archive, in this order.
fn archive_of(entries: &[(&str, Entry)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, entry) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        match entry {
            Entry::File(bytes) => {
                header.set_size(bytes.len() as u64);
                archive.append_data(&mut header, path, bytes.as_slice()).unwrap();
            }
            Entry::Link(kind, target) => {
                header.set_entry_type(*kind);
                header.set_size(0);
                archive.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    archive.into_inner().unwrap()
}

enum Entry {
    File(Vec<u8>),
    Link(tar::EntryType, &'static str),
}

async fn read_archive(bytes: Vec<u8>) -> Result<Image, ImageError> {
    archive::read_stream("archive:test", std::io::Cursor::new(bytes), None, &silent()).await
}

#[tokio::test]
async fn docker_save_of_old_engines_with_links_between_layers() {
    let tars = vec![tar("first", "first"), tar("second", "second"), tar("first", "first"), vec![0; 1024]];
    let config = config("amd64", &tars).to_string().into_bytes();
    let name = format!("{}.json", Digest::of(&config).hex());
    let layers = ["a/layer.tar", "b/layer.tar", "c/layer.tar", "d/layer.tar"];
    let manifest = json!([{ "Config": name, "RepoTags": ["hello:v1"], "Layers": layers }]);
    let entries = |link: Entry| {
        archive_of(&[
            ("a/VERSION", Entry::File(b"1.0".to_vec())),
            ("a/layer.tar", Entry::File(tars[0].clone())),
            ("b/layer.tar", Entry::File(tars[1].clone())),
            ("c/layer.tar", link),
            ("d/layer.tar", Entry::File(tars[3].clone())),
            (&name, Entry::File(config.clone())),
            ("repositories", Entry::File(b"{}".to_vec())),
            ("manifest.json", Entry::File(manifest.to_string().into_bytes())),
        ])
    };
    let plain = entries(Entry::Link(tar::EntryType::Symlink, "../a/layer.tar"));
    let image = read_archive(plain.clone()).await.unwrap();
    assert_sealed(&image, &tars).await;
    assert_eq!(image.config_bytes, config);
    let hard = entries(Entry::Link(tar::EntryType::Link, "a/layer.tar"));
    for other in [hard, gzip(&plain), zstd(&plain)] {
        assert_eq!(read_archive(other).await.unwrap().digest(), image.digest());
    }
    let mut damaged = plain;
    let at = damaged.windows(6).position(|window| window == b"second").unwrap() + 600;
    damaged[at] = b'X';
    assert!(read_archive(damaged).await.is_err());
}

/// The files of a layout as entries of an archive, `index.json` last.
fn layout_entries(layout: &Layout) -> Vec<(String, Entry)> {
    let blobs = fs::read_dir(layout.0.path().join("blobs/sha256")).unwrap();
    let mut paths: Vec<_> =
        blobs.map(|blob| format!("blobs/sha256/{}", blob.unwrap().file_name().display())).collect();
    paths.sort();
    paths.extend(["oci-layout".to_owned(), "index.json".to_owned()]);
    let entry = |path: String| {
        let bytes = fs::read(layout.0.path().join(&path)).unwrap();
        (path, Entry::File(bytes))
    };
    paths.into_iter().map(entry).collect()
}

#[tokio::test]
async fn docker_save_of_new_engines_and_oci_archives() {
    // Graph drivers since Docker 25: raw layers, `index.json` and `manifest.json` side by side.
    let layout = Layout::new();
    let tars = vec![tar("first", &"first".repeat(10_000)), tar("second", "second")];
    let raw: Vec<_> = tars.iter().map(|tar| (OCI_LAYER, tar.clone())).collect();
    layout.write_index(&[called(layout.manifest("amd64", &tars, &raw), "v1")]);
    let mut entries = layout_entries(&layout);
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let layers: Vec<_> = tars.iter().map(|tar| path(tar)).collect();
    let config = path(config("amd64", &tars).to_string().as_bytes());
    let manifest = json!([{ "Config": config, "RepoTags": ["hello:v1"], "Layers": layers }]);
    entries.push(("manifest.json".to_owned(), Entry::File(manifest.to_string().into_bytes())));
    let borrowed: Vec<_> = entries.iter().map(|(path, entry)| (path.as_str(), copy(entry))).collect();
    let image = read_archive(archive_of(&borrowed)).await.unwrap();
    assert_sealed(&image, &tars).await;
    // Without `index.json` the other document leads to the same image.
    let docker: Vec<_> = entries
        .iter()
        .filter(|(path, _)| path != "index.json")
        .map(|(path, entry)| (path.as_str(), copy(entry)))
        .collect();
    assert_eq!(read_archive(archive_of(&docker)).await.unwrap().digest(), image.digest());

    // The containerd store: compressed blobs, kept as they are.
    let layout = Layout::new();
    let entry = layout.image("amd64", "content");
    layout.write_index(std::slice::from_ref(&entry));
    let entries = layout_entries(&layout);
    let borrowed: Vec<_> = entries.iter().map(|(path, entry)| (path.as_str(), copy(entry))).collect();
    let image = read_archive(archive_of(&borrowed)).await.unwrap();
    assert_eq!(image.digest().to_string(), digest(&entry));
    bytes(&image.layers[0]).await;
}

fn copy(entry: &Entry) -> Entry {
    match entry {
        Entry::File(bytes) => Entry::File(bytes.clone()),
        Entry::Link(kind, target) => Entry::Link(*kind, target),
    }
}

#[tokio::test]
async fn what_is_no_image_archive_is_refused_in_words() {
    let error = read_archive(archive_of(&[("readme", Entry::File(b"hello".to_vec()))])).await.unwrap_err();
    assert!(error.to_string().contains("no image archive"), "{error}");
    let error = read_archive(b"root:x:0:0:root:/root:/bin/bash\n".repeat(100)).await.unwrap_err();
    assert!(error.to_string().contains("no tar archive") && !error.to_string().contains("root"), "{error}");
    assert!(read_archive(b"short".to_vec()).await.unwrap_err().to_string().contains("no tar archive"));
    let missing = ArchiveFile::Path("/no/such/file.tar".into());
    let error = archive::read(&missing, None, &silent()).await.unwrap_err();
    assert!(matches!(error, ImageError::Read { .. }), "{error}");
}

#[tokio::test]
async fn archives_made_by_skopeo_hold_the_same_image() {
    let layout = Layout::new();
    let tars = vec![tar("first", "first"), tar("second", "second")];
    let layers: Vec<_> = tars.iter().map(|tar| (format!("{OCI_LAYER}+gzip"), gzip(tar))).collect();
    let layers: Vec<_> = layers.iter().map(|(kind, bytes)| (kind.as_str(), bytes.clone())).collect();
    let entry = called(layout.manifest("amd64", &tars, &layers), "v1");
    layout.write_index(std::slice::from_ref(&entry));
    let directory = tempfile::tempdir().unwrap();
    let source = format!("oci:{}:v1", layout.0.path().display());
    let (oci, docker) = (directory.path().join("oci.tar"), directory.path().join("docker.tar"));
    skopeo(&["copy", &source, &format!("oci-archive:{}", oci.display())]);
    skopeo(&["copy", &source, &format!("docker-archive:{}:hello:v1", docker.display())]);
    let read = async |path: &Path| {
        archive::read(&ArchiveFile::Path(path.to_owned()), None, &silent()).await.unwrap()
    };
    assert_eq!(read(&oci).await.digest().to_string(), digest(&entry));
    assert_sealed(&read(&docker).await, &tars).await;
}

fn client(registry: &DockerRegistry) -> RegistryClient {
    let http = Trust::new(&[]).unwrap().client().unwrap();
    RegistryClient::new(http, registry.host(), Authorization::Anonymous, silent())
}

fn program(directory: &Path) -> PathBuf {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(18, 0);
    bytes.extend([62, 0]);
    let path = directory.join("program");
    fs::write(&path, bytes).unwrap();
    path
}

fn spec(from: PathBuf) -> AssembledSpec {
    AssembledSpec {
        base: BaseImage::Scratch,
        files: vec![FileMapping { from, to: "/var/task/bootstrap".to_owned() }],
        entry_point: Some(vec!["/var/task/bootstrap".to_owned()]),
        command: None,
        working_directory: Some("/var/task".to_owned()),
        environment: [("LOG_LEVEL".to_owned(), "info".to_owned())].into(),
        labels: [].into(),
    }
}

#[tokio::test]
async fn an_image_assembled_on_a_registry_s_base_is_pushed_and_read_by_others() {
    let registry = DockerRegistry::plain();
    let (host, client) = (registry.host(), client(&registry));
    // A base with a zstd layer, for two platforms.
    let layout = Layout::new();
    let base = tar("base", &"base".repeat(100_000));
    let zstd = (&*format!("{OCI_LAYER}+zstd"), zstd(&base));
    let x86 = layout.manifest("amd64", std::slice::from_ref(&base), &[zstd]);
    let entries = [on(x86, "linux", "amd64"), on(layout.image("arm64", "arm"), "linux", "arm64")];
    let index = layout.document(OCI_INDEX, &layout.index(&entries));
    layout.write_index(&[called(index, "v1")]);
    let source = format!("oci:{}:v1", layout.0.path().display());
    skopeo(&["copy", "--all", "--dest-tls-verify=false", &source, &format!("docker://{host}/base:v1")]);

    let reference: ImageReference = format!("{host}/base:v1").parse().unwrap();
    let wanted = Some(Architecture::X86_64);
    let read = registry::read(&client, &reference, wanted, &silent()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let spec = spec(program(directory.path()));
    let image =
        assembled::assemble(&spec, Some(read), wanted, &KnownImages::default(), &silent()).await.unwrap();
    assert_eq!(image.layers.len(), 2);

    let target = format!("{host}/hello").parse().unwrap();
    push(&client, &target, Some(&"v1".parse().unwrap()), &image, &Uploads::default(), &silent())
        .await
        .unwrap();
    let inspected = skopeo(&["inspect", "--tls-verify=false", &format!("docker://{target}:v1")]);
    let inspected: Value = serde_json::from_slice(&inspected).unwrap();
    assert_eq!(inspected["Digest"], image.digest().to_string());
    assert_eq!(inspected["Architecture"], "amd64");
    // Unpacked by somebody else's code, our layer holds what it should.
    let copy = tempfile::tempdir().unwrap();
    let path = copy.path().display().to_string();
    skopeo(&["copy", "--src-tls-verify=false", &format!("docker://{target}:v1"), &format!("dir:{path}")]);
    let layer = copy.path().join(image.layers[1].descriptor.digest.hex());
    let listed = std::process::Command::new("tar").args(["--numeric-owner", "-tvzf"]).arg(layer).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    let names: Vec<&str> = listed.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(names, ["var/", "var/task/", "var/task/bootstrap"]);
    assert!(listed.lines().all(|line| line.contains(" 0/0 ") && line.contains("1970-01-01")), "{listed}");
}

#[tokio::test]
async fn assembling_twice_gives_the_same_digest_whatever_times_and_modes_the_files_have() {
    let assemble = async |seconds: u64, mode: u32| {
        let directory = tempfile::tempdir().unwrap();
        let path = program(directory.path());
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assembled::assemble(&spec(path), None, None, &KnownImages::default(), &silent())
            .await
            .unwrap()
            .digest()
    };
    assert_eq!(assemble(1, 0o700).await, assemble(1_700_000_000, 0o755).await);
    assert_ne!(assemble(1, 0o700).await, assemble(1, 0o600).await);
}

#[tokio::test]
async fn an_image_that_is_not_in_the_registry_is_named() {
    let registry = DockerRegistry::plain();
    let reference: ImageReference = format!("{}/nothing:v1", registry.host()).parse().unwrap();
    let error = registry::read(&client(&registry), &reference, None, &silent()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("`{reference}`: there is no such image"));
}
