//! Layers that are read where the engine keeps them.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tar::{Builder, EntryType, Header};

use super::PUSH;
use super::unchanged::build;
use crate::deploy::EngineImage;
use crate::support::engine_proxy::EngineProxy;
use crate::support::engines::{Engine, usual};
use crate::support::skip;
use crate::support::world::World;

const READ: &str = "what is missing was read where the engine keeps it";

/// The usual engine, if its files are at hand; not to those who are not root.
fn with_files() -> Option<Engine> {
    let usual = usual()?;
    let driver = usual.docker(&["info", "--format", "{{.Driver}}"]);
    if driver != "overlay2" {
        eprintln!("`{driver}` keeps layers in another way than is read");
        return None;
    }
    let root = PathBuf::from(usual.docker(&["info", "--format", "{{.DockerRootDir}}"]));
    if fs::read_dir(root.join("image")).is_err() {
        skip("only root may read the engine's files");
        return None;
    }
    Some(usual)
}

/// Pushes an image, and returns all lines.
fn push(world: &World, image: &EngineImage) -> Vec<Value> {
    let source = format!("docker:{}", image.0);
    world.sandbox.json(0, [&PUSH[..], &["-v", "--image", &source]].concat())
}

fn tells(lines: &[Value], what: &str) -> bool {
    lines.iter().any(|line| line["message"].as_str().is_some_and(|message| message.contains(what)))
}

fn digest(lines: &[Value]) -> String {
    lines.last().unwrap()["image_digest"].as_str().unwrap().to_owned()
}

/// An archive with what is not just a file with a plain name.
fn archive(path: &Path) {
    let mut archive = Builder::new(fs::File::create(path).unwrap());
    archive.sparse(false);
    let mut entry = |kind: EntryType, name: &[u8], link: &str, content: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o640);
        header.set_mtime(1_234_567_890);
        header.set_size(content.len() as u64);
        let name = Path::new(std::ffi::OsStr::from_bytes(name));
        match link {
            "" => archive.append_data(&mut header, name, content).unwrap(),
            link => archive.append_link(&mut header, name, link).unwrap(),
        }
    };
    entry(EntryType::Directory, b"real/", "", b"");
    entry(EntryType::Regular, b"real/first", "", b"first");
    entry(EntryType::Regular, b"real/empty", "", b"");
    // Whoever follows it out of the layer finds something else.
    entry(EntryType::Symlink, b"etc", "/real", b"");
    entry(EntryType::Regular, b"etc/hostname", "", b"of the layer");
    entry(EntryType::Link, b"real/again", "real/first", b"");
    entry(EntryType::Regular, b"caf\xe9", "", b"not UTF-8");
    entry(EntryType::Directory, "long/".repeat(30).as_bytes(), "", b"");
    entry(EntryType::Regular, format!("{}name", "long/".repeat(30)).as_bytes(), "", &[7; 100_000]);
    entry(EntryType::Fifo, b"pipe", "", b"");
    archive.finish().unwrap();
}

#[test]
fn an_image_that_is_read_from_its_directories_is_the_one_the_engine_exports() {
    let Some(usual) = with_files() else { return };
    let world = World::new();
    let image = EngineImage(format!("lambdactl-test-directories:{}", std::process::id()));
    archive(&world.project.file("strange.tar"));
    fs::create_dir(world.project.file("hidden")).unwrap();
    world.project.write("hidden/one", "1");
    world.project.write("hidden/two", "2");
    let dockerfile = format!(
        "FROM scratch\nLABEL lambdactl-test={}\nCOPY bootstrap /bootstrap\nADD strange.tar /\nCOPY hidden /real\n\
         COPY hidden /again\nENTRYPOINT [\"/bootstrap\"]\n",
        world.sandbox.path().display()
    );
    world.project.write("Dockerfile", dockerfile);
    image.build(&world);
    let lines = push(&world, &image);
    assert!(tells(&lines, READ), "{lines:#?}");
    assert_eq!(lines.last().unwrap()["layers_uploaded"], 4, "{lines:#?}");
    // How far it is, is told of all layers together.
    let progress: Vec<_> = lines
        .iter()
        .filter(|line| line["reason"] == "image-progress")
        .map(|line| (line["activity"].as_str(), line["bytes"].as_u64(), line["total"].as_u64()))
        .collect();
    assert!(!progress.is_empty() && progress.is_sorted_by_key(|(_, bytes, _)| *bytes), "{progress:?}");
    assert!(progress.iter().all(|(what, bytes, total)| *what == Some("compressing") && bytes <= total));

    let saved = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let path = saved.display().to_string();
    usual.docker(&["image", "save", "--output", &path, &image.0]);
    let whole = format!("archive:{path}");
    let whole = World::new().sandbox.json(0, [&PUSH[..], &["--image", &whole]].concat());
    assert_eq!(digest(&lines), digest(&whole));

    // Where they are not at hand, it comes another way.
    let elsewhere = push(&World::behind(&EngineProxy::transparent(&usual.host)), &image);
    assert!(!tells(&elsewhere, READ) && tells(&elsewhere, "cannot be read where the engine keeps it"));
    assert_eq!(digest(&lines), digest(&elsewhere));
}

#[test]
fn only_the_layers_that_are_missing_are_read() {
    let Some(_usual) = with_files() else { return };
    let world = World::new();
    let before = build(&world, "read-before", &[("dependencies", "the same"), ("code", "old")]);
    let after = build(&world, "read-after", &[("dependencies", "the same"), ("code", "new"), ("more", "")]);
    push(&world, &before);
    let lines = push(&world, &after);
    assert!(tells(&lines, READ), "{lines:#?}");
    assert_eq!(lines.last().unwrap()["layers_uploaded"], 2, "{lines:#?}");
    let elsewhere = World::new();
    assert_eq!(digest(&push(&elsewhere, &after)), digest(&lines));
}

/// What an engine has written down about a layer, changed until this value goes. The engine holds it
/// in memory.
struct Changed {
    file: PathBuf,
    before: Vec<u8>,
}

impl Changed {
    fn new(file: &Path, content: &[u8]) -> Self {
        let before = fs::read(file).unwrap();
        fs::write(file, content).unwrap();
        Self { file: file.to_owned(), before }
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        fs::write(&self.file, &self.before).unwrap();
    }
}

/// What the engine has written down about the second layer of an image.
fn about_second(usual: &Engine, image: &EngineImage) -> PathBuf {
    let layers = usual.docker(&["image", "inspect", "--format", "{{json .RootFS.Layers}}", &image.0]);
    let layers: Vec<String> = serde_json::from_str(&layers).unwrap();
    let root = PathBuf::from(usual.docker(&["info", "--format", "{{.DockerRootDir}}"]));
    let driver = usual.docker(&["info", "--format", "{{.Driver}}"]);
    let all = fs::read_dir(root.join("image").join(driver).join("layerdb/sha256")).unwrap();
    let mut all = all.map(|entry| entry.unwrap().path());
    let says = |path: &Path, name: &str, what: &str| {
        fs::read_to_string(path.join(name)).is_ok_and(|text| text.trim() == what)
    };
    all.find(|path| says(path, "diff", &layers[1]) && says(path, "parent", &layers[0])).unwrap()
}

#[test]
fn what_is_not_as_the_engine_says_comes_another_way() {
    let Some(usual) = with_files() else { return };
    let images = World::new();
    let one = build(&images, "read-one", &[("code", "one"), ("more", "1")]);
    let two = build(&images, "read-two", &[("code", "two"), ("more", "2")]);
    let right = digest(&push(&World::new(), &two));
    let other = fs::read(about_second(&usual, &one).join("cache-id")).unwrap();
    let file = about_second(&usual, &two).join("cache-id");
    for (content, why) in [
        // A directory with the same names and sizes; one that is not there; nonsense.
        (other.as_slice(), "it has diff ID"),
        (b"gone", "No such file"),
        (b"a.b", "a strange name"),
    ] {
        let changed = Changed::new(&file, content);
        let lines = push(&World::new(), &two);
        drop(changed);
        assert!(tells(&lines, why) && !tells(&lines, READ), "{why}: {lines:#?}");
        assert_eq!(digest(&lines), right, "{why}");
    }
}
