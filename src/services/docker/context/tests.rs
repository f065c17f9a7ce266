//! What of a directory is sent to the engine.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt as _;
use tar::EntryType;

use super::*;
use crate::event::{Event, Reporter, Silent};

#[derive(Default)]
struct Warnings(Mutex<Vec<(String, String)>>);

impl Reporter for Warnings {
    fn report(&self, event: Event) {
        if let Event::Warning { message, hint } = event {
            self.0.lock().unwrap().push((message, hint.unwrap_or_default()));
        }
    }
}

fn request(context: &Path, dockerfile: &Path) -> BuildRequest {
    BuildRequest {
        context: context.to_owned(),
        dockerfile: dockerfile.to_owned(),
        target: None,
        args: BTreeMap::new(),
        architecture: None,
        credentials: BTreeMap::new(),
    }
}

/// A context with these files, a Dockerfile among them.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in [("Dockerfile", "FROM scratch\n")].iter().chain(files) {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

/// What the engine gets: path, kind, and content or target.
async fn sent(context: &Context, reporter: SharedReporter) -> Vec<(String, EntryType, String)> {
    let (body, task) = context.stream(&reporter);
    let bytes = body.try_collect::<Vec<_>>().await.unwrap().concat();
    task.await.unwrap().unwrap();
    let mut archive = tar::Archive::new(&*bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        if let Some(target) = entry.link_name().unwrap() {
            content = target.to_string_lossy().into_owned();
        }
        (path, header.entry_type(), content)
    });
    entries.collect()
}

async fn names(context: &Context) -> Vec<String> {
    let reporter: SharedReporter = Arc::new(Silent);
    sent(context, reporter)
        .await
        .into_iter()
        .map(|(path, ..)| path.trim_end_matches('/').to_owned())
        .collect()
}

fn open(directory: &tempfile::TempDir) -> Context {
    Context::open(&request(directory.path(), &directory.path().join("Dockerfile")), Walk::BuildKit).unwrap()
}

#[tokio::test]
async fn the_context_is_sorted_and_complete() {
    let long = format!("{}/{}", "d".repeat(90), "f".repeat(90));
    let directory = directory(&[("b/two", "2"), ("a", "1"), (&long, "long")]);
    symlink("b/two", directory.path().join("link")).unwrap();
    let silent: SharedReporter = Arc::new(Silent);
    let entries = sent(&open(&directory), silent).await;
    let paths: Vec<_> = entries.iter().map(|(path, ..)| path.trim_end_matches('/')).collect();
    assert_eq!(paths, ["Dockerfile", "a", "b", "b/two", &"d".repeat(90), &long, "link"]);
    assert_eq!(entries[6], ("link".to_owned(), EntryType::Symlink, "b/two".to_owned()));
    assert_eq!(entries[5].2, "long");
}

/// Trap: the tar library writes sparse files as GNU sparse entries, which Docker refuses.
#[tokio::test]
async fn sparse_files_are_sent_as_plain_files_with_their_modes() {
    let directory = directory(&[]);
    let path = directory.path().join("sparse");
    fs::File::create(&path).unwrap().set_len(300_000).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o751)).unwrap();
    let context = open(&directory);
    let silent: SharedReporter = Arc::new(Silent);
    let (body, _task) = context.stream(&silent);
    let bytes = body.try_collect::<Vec<_>>().await.unwrap().concat();
    let mut archive = tar::Archive::new(&*bytes);
    let entry = archive
        .entries()
        .unwrap()
        .map(Result::unwrap)
        .find(|entry| entry.path().unwrap() == Path::new("sparse"));
    let header = entry.unwrap().header().clone();
    assert_eq!(header.entry_type(), EntryType::Regular);
    assert_eq!((header.size().unwrap(), header.mode().unwrap()), (300_000, 0o751));
}

#[tokio::test]
async fn the_dockerignore_is_obeyed_and_excluded_parents_of_exceptions_are_kept() {
    let directory = directory(&[
        (".dockerignore", "target\n!target/release/hello\nDockerfile\n.dockerignore\n"),
        ("src/main.rs", ""),
        ("target/debug/hello", ""),
        ("target/release/hello", ""),
        ("target/release/other", ""),
    ]);
    assert_eq!(
        names(&open(&directory)).await,
        [
            ".dockerignore",
            "Dockerfile",
            "src",
            "src/main.rs",
            "target",
            "target/release",
            "target/release/hello"
        ]
    );
    assert!(open(&directory).leaves_out("target/debug/hello"));
    assert!(!open(&directory).leaves_out("target/release/hello"));
}

#[tokio::test]
async fn a_dockerfile_from_elsewhere_is_sent_under_a_name_that_stays() {
    let directory = directory(&[("a", "1"), (".dockerignore", "b")]);
    let elsewhere = tempfile::tempdir().unwrap();
    let dockerfile = elsewhere.path().join("Dockerfile");
    fs::write(&dockerfile, "FROM scratch\nCOPY a /\n").unwrap();
    let context = Context::open(&request(directory.path(), &dockerfile), Walk::Classic).unwrap();
    let name = context.dockerfile.name().to_owned();
    assert!(name.starts_with(".dockerfile."), "{name}");
    let silent: SharedReporter = Arc::new(Silent);
    let entries = sent(&context, silent).await;
    let content =
        |wanted: &str| entries.iter().find(|(path, ..)| path == wanted).map(|(.., content)| content.clone());
    assert_eq!(content(&name).as_deref(), Some("FROM scratch\nCOPY a /\n"));
    assert_eq!(content(".dockerignore"), Some(format!("b\n.dockerignore\n{name}\n")));
    let again = Context::open(&request(directory.path(), &dockerfile), Walk::Classic).unwrap();
    assert_eq!(again.dockerfile.name(), name);
}

#[tokio::test]
async fn a_link_to_a_dockerfile_outside_counts_as_outside() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("real"), "FROM scratch\n").unwrap();
    symlink(elsewhere.path().join("real"), directory.path().join("Dockerfile")).unwrap();
    assert!(matches!(open(&directory).dockerfile, SentDockerfile::Outside { .. }));
}

#[tokio::test]
async fn sockets_are_left_out_with_a_word() {
    let directory = directory(&[]);
    let _listener = std::os::unix::net::UnixListener::bind(directory.path().join("s")).unwrap();
    let warnings = Arc::new(Warnings::default());
    let entries = sent(&open(&directory), warnings.clone()).await;
    assert_eq!(entries.len(), 1);
    assert!(warnings.0.lock().unwrap()[0].0.contains("neither file, directory nor link"));
}

#[tokio::test]
async fn a_heavy_context_names_what_weighs_most() {
    let directory = directory(&[("target/x", ""), ("light", "1"), ("left-out", "")]);
    let sized =
        |path: &str, size: u64| fs::File::create(directory.path().join(path)).unwrap().set_len(size).unwrap();
    sized("target/x", 90_000_000);
    sized("data.bin", 20_000_000);
    sized("left-out", 500_000_000);
    fs::write(directory.path().join(".dockerignore"), "left-out\n").unwrap();
    let warnings = Arc::new(Warnings::default());
    let reporter: SharedReporter = warnings.clone();
    let (body, task) = open(&directory).stream(&reporter);
    body.try_for_each(|_| std::future::ready(Ok(()))).await.unwrap();
    task.await.unwrap().unwrap();
    let warnings = warnings.0.lock().unwrap();
    assert_eq!(warnings.len(), 1);
    let (message, hint) = &warnings[0];
    assert!(
        message.starts_with("the build context has 110.0 MB: `target/` 90.0 MB, `data.bin` 20.0 MB"),
        "{message}"
    );
    assert!(hint.contains("`target` as a line of"), "{hint}");
}

#[tokio::test]
async fn an_unreadable_directory_stops_the_archive_before_its_end() {
    let directory = directory(&[("gone/x", "")]);
    let context = open(&directory);
    // A directory that turns into something unreadable between the look and the walk.
    fs::remove_dir_all(directory.path()).unwrap();
    let silent: SharedReporter = Arc::new(Silent);
    let (body, task) = context.stream(&silent);
    assert!(body.try_collect::<Vec<_>>().await.is_err());
    assert_eq!(task.await.unwrap().unwrap_err().path, context.root);
}

#[test]
fn what_is_missing_is_named_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let open = |context: &Path| Context::open(&request(context, &context.join("Dockerfile")), Walk::BuildKit);
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(error, DockerError::DockerfileNotFound { .. }), "{error}");
    let error = open(&directory.path().join("nowhere")).unwrap_err();
    assert!(matches!(error, DockerError::BuildContext { .. }), "{error}");
    fs::write(directory.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    fs::write(directory.path().join(".dockerignore"), "a\n!\n").unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(error.to_string().contains("line 2, `!`"), "{error}");
}
