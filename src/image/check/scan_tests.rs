//! The archive reader against the `tar` crate and the real `tar` program.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use tar::{Builder, EntryType, Header};

use super::*;

fn scan(archive: &[u8], step: usize) -> io::Result<LayerFiles> {
    let mut scan = Scan::new();
    for chunk in archive.chunks(step) {
        scan.write_all(chunk)?;
    }
    scan.finish()
}

/// Path, kind, size and mode, as the `tar` crate sees them.
fn expected(archive: &[u8]) -> Vec<(String, String, u64, u32)> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let path = normal(&entry.path().unwrap().to_string_lossy());
        let link = entry.link_name().unwrap().unwrap_or_default().to_string_lossy().into_owned();
        let (kind, size) = match entry.header().entry_type() {
            EntryType::Directory => ("directory".to_owned(), 0),
            EntryType::Symlink => (format!("symlink to {link}"), 0),
            EntryType::Link => (format!("link to {}", normal(&link)), 0),
            _ => ("file".to_owned(), entry.size()),
        };
        (path, kind, size, entry.header().mode().unwrap() & 0o7777)
    });
    entries.collect()
}

fn seen(files: &LayerFiles) -> Vec<(String, String, u64, u32)> {
    let entries = files.entries.iter().map(|entry| {
        let (kind, size) = match &entry.kind {
            Kind::File { size, .. } => ("file".to_owned(), *size),
            Kind::Directory => ("directory".to_owned(), 0),
            Kind::Symlink(link) => (format!("symlink to {link}"), 0),
            Kind::HardLink(link) => (format!("link to {link}"), 0),
            Kind::Special => ("special".to_owned(), 0),
        };
        (entry.path.to_string(), kind, size, u32::from(entry.mode))
    });
    entries.collect()
}

#[track_caller]
fn assert_same(archive: &[u8]) -> LayerFiles {
    let whole = scan(archive, archive.len().max(1)).unwrap();
    assert_eq!(seen(&whole), expected(archive));
    for step in [1, 511, 512, 513, 10_000] {
        assert_eq!(scan(archive, step).unwrap(), whole, "by {step}");
    }
    assert_eq!((whole.diff_id, whole.size), (DiffId(Digest::of(archive)), archive.len() as u64));
    whole
}

fn header(kind: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header
}

#[test]
fn archives_of_the_tar_crate_are_read_alike() {
    let mut builder = Builder::new(Vec::new());
    let long = format!("deep/{}", "x".repeat(180));
    builder.append_data(&mut header(EntryType::Directory, 0, 0o755), "./deep/", &[][..]).unwrap();
    for (path, content) in [("deep/empty", &b""[..]), ("deep/full", &[7; 512]), (long.as_str(), &[8; 5000])] {
        builder
            .append_data(&mut header(EntryType::Regular, content.len() as u64, 0o640), path, content)
            .unwrap();
    }
    builder.append_link(&mut header(EntryType::Symlink, 0, 0o777), "link", &long).unwrap();
    builder.append_link(&mut header(EntryType::Link, 0, 0o640), "hard", "./deep/full").unwrap();
    let archive = builder.into_inner().unwrap();
    let files = assert_same(&archive);
    assert_eq!(files.entries.len(), 6);
}

#[test]
fn archives_of_the_tar_program_are_read_alike() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let deep = root.join("d".repeat(120)).join("e".repeat(120));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("f\u{fc}r"), vec![1; 3000]).unwrap();
    std::fs::write(root.join("script"), "#!/bin/sh\n").unwrap();
    std::fs::hard_link(root.join("script"), root.join("again")).unwrap();
    std::os::unix::fs::symlink(&deep, root.join("link")).unwrap();
    for format in ["gnu", "pax", "ustar"] {
        let archive = pack(&root, &[&format!("--format={format}")]);
        // ustar leaves out what does not fit, which is part of the test.
        let Some(archive) = archive else { continue };
        let files = assert_same(&archive);
        assert!(files.entries.iter().any(|entry| &*entry.path == "script"), "{format}");
    }
}

fn pack(root: &Path, options: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("tar").args(options).arg("-c").arg("-C").arg(root).arg(".").output().unwrap();
    (!output.stdout.is_empty()).then_some(output.stdout)
}

#[test]
fn sparse_files_have_the_size_they_are_unpacked_to() {
    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(directory.path().join("sparse")).unwrap();
    file.set_len(40 << 20).unwrap();
    for position in 0..30_u64 {
        std::os::unix::fs::FileExt::write_at(&file, b"data", position << 20).unwrap();
    }
    std::fs::write(directory.path().join("after"), "#!/bin/sh\n").unwrap();
    for options in [&["--sparse"][..], &["--sparse", "--format=pax"]] {
        let archive = pack(directory.path(), options).unwrap();
        let files = scan(&archive, 1000).unwrap();
        let size = |path: &str| {
            let entry = files.entries.iter().find(|entry| &*entry.path == path).unwrap();
            if let Kind::File { size, .. } = &entry.kind { *size } else { panic!("{path}") }
        };
        assert!(archive.len() < 10 << 20, "the archive is sparse");
        assert_eq!((size("sparse"), size("after")), (40 << 20, 10), "{options:?}");
    }
}

#[test]
fn what_is_cut_off_or_no_archive_is_an_error() {
    let mut builder = Builder::new(Vec::new());
    builder.append_data(&mut header(EntryType::Regular, 2000, 0o644), "file", &[5; 2000][..]).unwrap();
    let archive = builder.into_inner().unwrap();
    for length in [100, 512, 513, 2000] {
        assert!(scan(&archive[..length], 64).is_err(), "{length}");
    }
    // The end may be missing, as some writers leave it out.
    assert_eq!(scan(&archive[..512 + 2048], 64).unwrap().entries.len(), 1);
    assert_eq!(scan(&[], 1).unwrap().entries.len(), 0);
    assert_eq!(scan(&[0; 10_240], 1000).unwrap().entries.len(), 0);
    assert!(scan(&[b'x'; 1024], 100).is_err());
}
