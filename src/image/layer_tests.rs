//! What layers made from files promise: see `layer`, whose tests these are.

use std::fs;
use std::sync::Arc;

use futures_util::TryStreamExt;

use super::*;
use crate::domain::digest::DiffId;
use crate::event::{SharedReporter, Silent};
use crate::image::gzip::Compression;

fn mapping(from: &Path, to: &str) -> FileMapping {
    FileMapping { from: from.to_owned(), to: to.to_owned() }
}

fn write(mappings: &[FileMapping], mtime: u64) -> Result<FileLayer, ImageError> {
    let reporter: SharedReporter = Arc::new(Silent);
    let mut progress = Progress::new("compressing", None, &reporter);
    LayerFiles::collect(mappings)?.write(mtime, CompressionLevel::default(), &mut progress, &Stop::default())
}

/// One line an entry: kind, mode, owner, time, name, and where a link points.
async fn listing(layer: &FileLayer) -> Vec<String> {
    let chunks: Vec<_> = layer.layer.source.open().await.unwrap().try_collect().await.unwrap();
    let mut tar = Vec::new();
    Compression::Gzip.decoder(chunks.concat().as_slice()).unwrap().read_to_end(&mut tar).unwrap();
    assert_eq!(DiffId(Digest::of(&tar)), layer.layer.diff_id);
    let mut archive = tar::Archive::new(tar.as_slice());
    let line = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
        let entry = entry.unwrap();
        let header = entry.header();
        let kind = match header.entry_type() {
            EntryType::Directory => 'd',
            EntryType::Regular => 'f',
            EntryType::Symlink => 'l',
            _ => '?',
        };
        let owner = (header.uid().unwrap(), header.gid().unwrap());
        assert_eq!(owner, (0, 0));
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let link =
            entry.link_name().unwrap().map(|link| format!(" -> {}", link.display())).unwrap_or_default();
        format!("{kind}{:o} {} {path}{link}", header.mode().unwrap(), header.mtime().unwrap())
    };
    archive.entries().unwrap().map(line).collect()
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn every_parent_has_an_entry_before_its_children_and_owners_and_modes_are_fixed() {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::write(tree.join("sub/data"), "data").unwrap();
    fs::write(tree.join("tool"), "#!/bin/sh").unwrap();
    std::os::unix::fs::symlink("sub/data", tree.join("link")).unwrap();
    set_mode(&tree.join("sub/data"), 0o600);
    set_mode(&tree.join("tool"), 0o710);
    set_mode(&tree.join("sub"), 0o700);
    let layer = write(&[mapping(&tree, "/var/task"), mapping(&tree.join("tool"), "/opt/")], 7).unwrap();
    assert_eq!(
        listing(&layer).await,
        [
            "d755 7 opt/",
            "f755 7 opt/tool",
            "d755 7 var/",
            "d755 7 var/task/",
            "l777 7 var/task/link -> sub/data",
            "d755 7 var/task/sub/",
            "f644 7 var/task/sub/data",
            "f755 7 var/task/tool",
        ]
    );
    assert!(matches!(layer.find("/var/task/link"), Some(Made::File(None))));
    assert!(layer.find("/var/task/nothing").is_none());
}

#[tokio::test]
async fn times_modes_and_order_of_the_sources_do_not_change_the_layer() {
    let make = |mode: u32, reverse: bool| {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        let mut files = [(&a, "first"), (&b, "second")];
        if reverse {
            files.reverse();
        }
        for (path, content) in files {
            fs::write(path, content).unwrap();
            set_mode(path, mode);
        }
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(u64::from(mode));
        File::options().write(true).open(&a).unwrap().set_modified(old).unwrap();
        let mut mappings = vec![mapping(&a, "/a"), mapping(&b, "/b")];
        if reverse {
            mappings.reverse();
        }
        write(&mappings, 0).unwrap().layer
    };
    let (one, two) = (make(0o644, false), make(0o600, true));
    assert_eq!((one.digest, one.diff_id), (two.digest, two.diff_id));
}

#[tokio::test]
async fn sparse_files_and_long_names_come_out_as_plain_entries() {
    let directory = tempfile::tempdir().unwrap();
    let sparse = directory.path().join("sparse");
    File::create(&sparse).unwrap().set_len(3 << 20).unwrap();
    let long = format!("/{}/{}", "d".repeat(120), "f".repeat(140));
    let layer = write(&[mapping(&sparse, &long)], 0).unwrap();
    let listing = listing(&layer).await;
    assert_eq!(listing[0], format!("d755 0 {}/", "d".repeat(120)));
    assert_eq!(listing[1], format!("f644 0 {}", &long[1..]));
}

#[test]
fn mistakes_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = |mappings: &[FileMapping]| write(mappings, 0).unwrap_err();

    let missing = error(&[mapping(&directory.path().join("none"), "/x")]);
    assert!(matches!(&missing, ImageError::FromMissing { .. }), "{missing}");
    for to in ["relative", "", "/a/../b"] {
        let invalid = error(&[mapping(&file, to)]);
        assert!(matches!(&invalid, ImageError::InvalidTo { .. }), "{to}: {invalid}");
    }
    let twice = error(&[mapping(&file, "/bin/x"), mapping(&file, "/bin/x")]);
    assert!(matches!(&twice, ImageError::Conflict { path, .. } if path == "/bin/x"), "{twice}");
    let below_a_file = error(&[mapping(&file, "/bin"), mapping(&file, "/bin/x")]);
    assert!(matches!(&below_a_file, ImageError::Conflict { path, .. } if path == "/bin"), "{below_a_file}");
}

#[test]
#[cfg(unix)]
fn sockets_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    let error = write(&[mapping(directory.path(), "/run")], 0).unwrap_err();
    assert!(error.to_string().ends_with("it is a socket"), "{error}");
}

#[test]
fn a_file_that_grows_or_shrinks_is_an_error() {
    for (promised, is) in [(3, "ab"), (3, "abcd")] {
        let mut content = Exact { inner: is.as_bytes(), left: promised, start: Vec::new(), failure: None };
        assert!(io::copy(&mut content, &mut io::sink()).is_err());
        assert!(matches!(content.failure, Some(Failure::Changed)));
    }
    let mut content = Exact { inner: &b"abc"[..], left: 3, start: Vec::new(), failure: None };
    assert_eq!(io::copy(&mut content, &mut io::sink()).unwrap(), 3);
}
