//! What layers may do to a root file system, and what they may not.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::sync::Arc;

use tar::{Builder, EntryType, Header};

use super::*;
use crate::domain::digest::Digest;
use crate::domain::manifest::{Descriptor, Manifest, MediaType};
use crate::local::blob;
use crate::local::store::Store;

/// A layer written by somebody who does not keep to what tools write.
#[derive(Default)]
struct Layer(Vec<u8>);

impl Layer {
    fn entry(mut self, kind: EntryType, path: &str, target: &str, mode: u32, content: &str) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        // Past the checks that the crate makes of honest writers.
        let names = header.as_old_mut();
        names.name[..path.len()].copy_from_slice(path.as_bytes());
        names.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut archive = Builder::new(Vec::new());
        archive.append(&header, content.as_bytes()).unwrap();
        let bytes = archive.into_inner().unwrap();
        // Without the two blocks that end an archive.
        self.0.extend(&bytes[..bytes.len() - 1024]);
        self
    }

    fn file(self, path: &str, content: &str) -> Self {
        self.entry(EntryType::Regular, path, "", 0o644, content)
    }

    fn directory(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", 0o755, "")
    }

    fn link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, 0o777, "")
    }

    fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path, target, 0o644, "")
    }
}

/// A host with something to lose, and a root file system on it.
struct Host {
    directory: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("root")).unwrap();
        fs::write(directory.path().join("secret"), "host").unwrap();
        Self { directory }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    fn try_unpack(&self, layers: &[Layer]) -> Result<(), LayerError> {
        let tree = Tree::open(&self.root())?;
        let mut unpacking = Unpacking::new(&tree, false);
        for layer in layers {
            unpacking.layer(layer.0.as_slice())?;
        }
        unpacking.finish()?;
        Ok(())
    }

    fn unpack(&self, layers: &[Layer]) {
        self.try_unpack(layers).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn has(&self, path: &str) -> bool {
        self.root().join(path).symlink_metadata().is_ok()
    }

    /// Everything outside the root is as it was.
    fn is_untouched(&self) {
        let mut names: Vec<_> =
            fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["root", "secret"]);
        assert_eq!(fs::read_to_string(self.directory.path().join("secret")).unwrap(), "host");
    }
}

#[test]
fn paths_that_go_up_are_refused() {
    for path in ["../secret", "a/../../secret", "/../secret", "a/.."] {
        let host = Host::new();
        let error = host.try_unpack(&[Layer::default().file(path, "layer")]).unwrap_err();
        assert!(error.to_string().contains("leads out of the image"), "{path}: {error}");
        let link = Layer::default().hard_link("taken", path);
        assert!(host.try_unpack(&[link]).is_err(), "{path}");
        host.is_untouched();
    }
}

#[test]
fn absolute_paths_begin_at_the_root() {
    let host = Host::new();
    host.unpack(&[Layer::default().file("/etc/name", "inside").file("//./etc//other", "too")]);
    assert_eq!((host.read("etc/name"), host.read("etc/other")), ("inside".into(), "too".into()));
}

#[test]
fn links_are_followed_inside_the_root_only() {
    let host = Host::new();
    let outside = host.directory.path().to_str().unwrap().to_owned();
    host.unpack(&[Layer::default()
        .link("up", "../..")
        .file("up/secret", "one")
        .link("absolute", &outside)
        .file("absolute/secret", "two")
        .link("deep/up", "../../../..")
        .file("deep/up/other", "three")]);
    host.is_untouched();
    assert_eq!(host.read("secret"), "one", "the root is its own parent");
    assert_eq!(host.read(&format!(".{outside}/secret")), "two");
    assert_eq!(host.read("other"), "three");
}

#[test]
fn a_link_in_the_place_of_a_file_is_replaced_and_never_written_through() {
    let host = Host::new();
    let secret = host.directory.path().join("secret").to_str().unwrap().to_owned();
    host.unpack(&[
        Layer::default().link("file", &secret).link("directory", "/").link("dangling", "/none"),
        Layer::default()
            .file("file", "own")
            .entry(EntryType::Directory, "directory", "", 0o700, "")
            .file("directory/inside", "own")
            .file("dangling/inside", "made"),
    ]);
    host.is_untouched();
    assert_eq!(host.read("file"), "own");
    assert!(!host.root().join("directory").symlink_metadata().unwrap().is_symlink());
    assert_eq!(host.read("none/inside"), "made");
}

#[test]
fn hard_links_reach_files_of_the_image_only() {
    let host = Host::new();
    let secret = host.directory.path().join("secret").to_str().unwrap().to_owned();
    for target in [secret.as_str(), "../secret", "none"] {
        assert!(host.try_unpack(&[Layer::default().hard_link("taken", target)]).is_err(), "{target}");
    }
    // A hard link to a link is the link, not what it names.
    host.unpack(&[Layer::default().link("link", &secret).hard_link("same", "link")]);
    assert!(host.root().join("same").symlink_metadata().unwrap().is_symlink());
    host.unpack(&[Layer::default().file("a", "text").hard_link("b", "/a").hard_link("b", "a")]);
    let inode = |name: &str| host.root().join(name).metadata().unwrap().ino();
    assert_eq!(inode("a"), inode("b"));
    let error = host.try_unpack(&[Layer::default().directory("d").hard_link("e", "d")]).unwrap_err();
    assert!(error.to_string().contains("hard link to a directory"), "{error}");
    host.is_untouched();
}

#[test]
fn a_new_file_does_not_change_what_an_older_name_of_it_shows() {
    let host = Host::new();
    host.unpack(&[Layer::default().file("a", "old").hard_link("b", "a"), Layer::default().file("a", "new")]);
    assert_eq!((host.read("a"), host.read("b")), ("new".into(), "old".into()));
}

#[test]
fn links_without_end_are_an_error() {
    let host = Host::new();
    let layer = Layer::default().link("a", "b").link("b", "a").file("a/file", "");
    assert!(host.try_unpack(&[layer]).is_err());
    let mut deep = Layer::default().link("here", ".");
    deep = deep.file(&format!("{}file", "here/".repeat(10)), "fine");
    host.unpack(&[deep]);
    assert_eq!(host.read("file"), "fine");
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_else() {
    let host = Host::new();
    let outside = host.directory.path().to_str().unwrap().to_owned();
    host.unpack(&[
        Layer::default()
            .file("gone/deep/file", "")
            .file("kept", "kept")
            .file("opaque/old", "")
            .file("opaque/sub/old", "")
            .file("opaque/sub/both", "old")
            .link("way", &outside),
        // An opaque directory's own files may come before its marker.
        Layer::default()
            .file(".wh.gone", "")
            .file("opaque/new", "new")
            .file("opaque/sub/both", "new")
            .file("opaque/.wh..wh..opq", "")
            .file(".wh.none", "")
            .file("nowhere/.wh.file", "")
            .file(".wh..wh.plnk", "")
            .file("way/.wh.secret", ""),
    ]);
    host.is_untouched();
    assert!(!host.has("gone") && !host.has("nowhere") && !host.has(".wh.gone"));
    assert!(!host.has("opaque/old") && !host.has("opaque/sub/old"));
    assert_eq!((host.read("opaque/new"), host.read("opaque/sub/both")), ("new".into(), "new".into()));
    assert_eq!(host.read("kept"), "kept");
    for name in [".wh.", ".wh..", ".wh..."] {
        assert!(host.try_unpack(&[Layer::default().file(name, "")]).is_err(), "{name}");
    }
}

#[test]
fn a_whiteout_keeps_what_its_own_layer_has_brought() {
    let host = Host::new();
    host.unpack(&[
        Layer::default().file("lib/old", "").file("lib/same", "old"),
        Layer::default().file("lib/same", "new").file(".wh.lib", ""),
    ]);
    assert!(!host.has("lib/old"));
    assert_eq!(host.read("lib/same"), "new");
}

#[test]
fn devices_and_pipes_are_left_out() {
    let host = Host::new();
    host.unpack(&[Layer::default()
        .entry(EntryType::Char, "dev/mem", "", 0o666, "")
        .entry(EntryType::Block, "dev/sda", "", 0o666, "")
        .entry(EntryType::Fifo, "pipe", "", 0o666, "")
        .file("after", "here")]);
    assert!(!host.has("dev/mem") && !host.has("dev/sda") && !host.has("pipe"));
    assert_eq!(host.read("after"), "here");
}

#[test]
fn rights_are_those_of_somebody_else_and_privileges_are_dropped() {
    let host = Host::new();
    host.unpack(&[Layer::default()
        .entry(EntryType::Regular, "su", "", 0o4755, "")
        .entry(EntryType::Regular, "private", "", 0o600, "")
        .entry(EntryType::Directory, "closed", "", 0o700, "")
        .file("closed/file", "")
        .file("plain", "")]);
    let mode = |path: &str| host.root().join(path).symlink_metadata().unwrap().mode() & 0o7777;
    assert_eq!(mode("su"), 0o555, "the bits of others, and no set-user-id");
    assert_eq!(mode("private"), 0, "root's own");
    assert_eq!(mode("closed"), 0);
    assert_eq!(mode("plain"), 0o444);
    assert_eq!(host.root().join("plain").metadata().unwrap().mtime(), 1_000_000_000);
    // What is closed can still be removed.
    remove_tree(&host.root()).unwrap();
    remove_tree(&host.root()).unwrap();
    assert!(!host.root().exists());
}

#[test]
fn removing_does_not_follow_links() {
    let host = Host::new();
    symlink(host.directory.path(), host.root().join("out")).unwrap();
    remove_tree(&host.root()).unwrap();
    assert_eq!(fs::read_to_string(host.directory.path().join("secret")).unwrap(), "host");
}

#[test]
fn deep_directories_are_refused() {
    let host = Host::new();
    let mut archive = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(0);
    archive.append_data(&mut header, format!("{}file", "d/".repeat(900)), io::empty()).unwrap();
    let error = host.try_unpack(&[Layer(archive.into_inner().unwrap())]).unwrap_err();
    assert!(error.to_string().contains("too deep"), "{error}");
}

/// An image of the local registry with these layers.
fn image(store: &Arc<Store>, layers: &[Vec<u8>]) -> LocalImage {
    let config = blob::write(store, b"{}").unwrap();
    let layer = |bytes: &Vec<u8>| {
        let digest = blob::write(store, bytes).unwrap();
        Descriptor::new(MediaType::OciLayerGzip, digest, bytes.len() as u64)
    };
    let manifest =
        Manifest::oci(Descriptor::new(MediaType::OciConfig, config, 2), layers.iter().map(layer).collect());
    let digest = blob::write(store, &serde_json::to_vec(&manifest).unwrap()).unwrap();
    LocalImage { repository: "hello".to_owned(), digest, store: store.clone(), given: None }
}

fn compressed(layer: Layer) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::Write::write_all(&mut encoder, &layer.0).unwrap();
    encoder.finish().unwrap()
}

fn store() -> (tempfile::TempDir, Arc<Store>) {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(directory.path()).unwrap());
    (directory, store)
}

#[test]
fn an_image_is_unpacked_once_for_everybody_who_comes_at_the_same_time() {
    let (_directory, store) = store();
    let zstd = zstd::encode_all(Layer::default().file("b", "zstd").0.as_slice(), 1).unwrap();
    let plain = Layer::default().file("c", "plain").0;
    let image = image(&store, &[compressed(Layer::default().file("a", "gzip")), zstd, plain]);
    let found: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| Rootfs::of(&image, false).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let path = found[0].path().to_owned();
    assert!(found.iter().all(|rootfs| rootfs.path() == path));
    for (name, content) in [("a", "gzip"), ("b", "zstd"), ("c", "plain"), ("etc/hosts", "")] {
        assert_eq!(fs::read_to_string(path.join(name)).unwrap(), content, "{name}");
    }
    assert!(MOUNT_POINTS.iter().all(|name| path.join(name).is_dir()));
    assert!(!partial(&path).exists());
}

#[test]
fn half_an_image_is_never_found() {
    let (_directory, store) = store();
    let broken = image(&store, &[compressed(Layer::default().file("a", "")), b"\x1f\x8bno".to_vec()]);
    let error = Rootfs::of(&broken, false).unwrap_err();
    assert!(matches!(error, RootfsError::Layer { .. }), "{error}");
    let folder = store.directory().join(FOLDER);
    assert!(!folder.join(broken.digest.hex() + "-own").exists());
    // What a killed process has left is no obstacle.
    let whole = image(&store, &[compressed(Layer::default().file("a", "whole"))]);
    fs::create_dir_all(partial(&folder.join(whole.digest.hex() + "-own")).join("left")).unwrap();
    let rootfs = Rootfs::of(&whole, false).unwrap();
    assert!(!rootfs.path().join("left").exists());
    fs::remove_dir_all(blob::folder(&store)).unwrap();
    let missing = LocalImage { digest: Digest::of(b"other"), ..whole };
    assert!(matches!(Rootfs::of(&missing, false), Err(RootfsError::Missing)));
}

#[test]
fn the_images_used_longest_ago_make_room_unless_they_are_in_use() {
    let (_directory, store) = store();
    let unpack = |number: usize| {
        let content = number.to_string();
        Rootfs::of(&image(&store, &[compressed(Layer::default().file("a", &content))]), false).unwrap()
    };
    let first = unpack(0);
    let second = unpack(1).path().to_owned();
    for number in 2..KEPT + 3 {
        unpack(number);
    }
    assert!(first.path().is_dir(), "in use");
    assert!(!second.exists(), "used longest ago");
    let left = fs::read_dir(store.directory().join(FOLDER)).unwrap();
    let left = left.filter(|entry| entry.as_ref().unwrap().path().extension().is_none()).count();
    assert!(left <= KEPT + 1, "{left}");
}

#[test]
fn nobody_waits_for_the_end_of_a_function_that_uses_the_same_image() {
    let (_directory, store) = store();
    for round in 0..40 {
        let content = round.to_string();
        let image = image(&store, &[compressed(Layer::default().file("a", &content))]);
        let (sender, receiver) = std::sync::mpsc::channel();
        let start = Arc::new(std::sync::Barrier::new(8));
        for _ in 0..8 {
            let (image, sender, start) = (image.clone(), sender.clone(), start.clone());
            std::thread::spawn(move || {
                start.wait();
                drop(sender.send(Rootfs::of(&image, false).unwrap()));
            });
        }
        // All at the same time: none is let go before the last is there.
        let all: Vec<_> = (0..8)
            .map(|_| receiver.recv_timeout(std::time::Duration::from_secs(20)).expect("a root file system"))
            .collect();
        assert!(all.iter().all(|rootfs| rootfs.path() == all[0].path()));
    }
}
