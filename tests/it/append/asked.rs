//! What an engine is asked for about images it has, and what it keeps for that.

use std::fs;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use lambdactl::domain::digest::Digest;
use lambdactl::domain::platform::Architecture;
use lambdactl::image::append::{self, Stopped};
use lambdactl::services::docker::{DockerEngine, DockerError, EngineLocation, ImageFiles};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::requests::{base, projects};
use super::{Bases, appended, silent};
use crate::support::docker::{context_in, request};
use crate::support::engine_proxy::{EngineProxy, Treatment};
use crate::support::engines::{Engine, usual};
use crate::support::registry::DockerRegistry;
use crate::support::sandbox::signal;
use crate::support::wait_for;
use crate::support::world::World;

/// The containers of an image that files are read from.
fn containers(engine: &Engine, image: &str) -> Vec<String> {
    let ancestor = format!("ancestor={image}");
    let list = ["ps", "--all", "--format", "{{.Names}}", "--filter", "label=lambdactl.files", "--filter"];
    engine.docker(&[&list[..], &[&ancestor]].concat()).lines().map(str::to_owned).collect()
}

/// Waits until there are none: nobody else does.
fn gone(engine: &Engine, image: &str) {
    let gone = || containers(engine, image).is_empty().then_some(());
    wait_for("containers to be gone", Duration::from_secs(30), gone);
}

/// Removes a base from the engine, once nothing is read from it any more.
pub fn remove(engine: &Engine, base: &str) {
    gone(engine, base);
    engine.docker(&["rmi", base]);
}

/// Content that gives a base another ID than those of other tests have.
fn unique() -> &'static str {
    uuid::Uuid::new_v4().to_string().leak()
}

#[test]
fn what_a_base_has_is_asked_of_an_engine_once() {
    let Some(usual) = usual() else { return };
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = requests.clone();
    let proxy = EngineProxy::start(&usual.host, move |line| {
        seen.lock().unwrap().push(line.to_owned());
        Treatment::Pass
    });
    let (registry, world) = (DockerRegistry::plain(), World::behind(&proxy));
    let base = Runtime::new().unwrap().block_on(base(&registry, unique()));
    usual.docker(&["pull", "-q", &base]);
    let [project, _] = projects(&world, &base);
    let push = |builder: &str| {
        let arguments = ["push", "--local", "--function", "hello", "--builder", builder];
        let project = project.to_str().unwrap();
        let mut lines = world.sandbox.json(0, [&arguments[..], &[project]].concat());
        (lines.pop().unwrap()["image_digest"].clone(), std::mem::take(&mut *requests.lock().unwrap()))
    };
    // Without an engine the layers have to be fetched.
    let text = fs::read_to_string(project.join("Dockerfile")).unwrap();
    fs::write(project.join("Dockerfile"), text.replace("code /", "code /elsewhere/")).unwrap();
    let (_, asked) = push("append");
    assert!(!asked.iter().any(|line| line.contains("/containers/")), "{asked:#?}");
    fs::remove_dir_all(world.sandbox.path().join("home/.cache/lambdactl")).unwrap();
    registry.lose_layers();
    fs::write(project.join("Dockerfile"), text).unwrap();
    let (told, asked) = push("auto");
    assert!(asked.iter().any(|line| line.contains("/containers/create")), "{asked:#?}");
    gone(&usual, &base);
    let (again, asked) = push("auto");
    assert_eq!((&again, asked), (&told, Vec::new()), "it was told before");
    fs::write(project.join("code"), "new").unwrap();
    let (changed, asked) = push("auto");
    assert_eq!(asked, [""; 0], "other files go to the same places");
    assert_ne!(changed, told);
    remove(&usual, &base);
}

#[test]
fn what_is_kept_for_an_interrupted_run_goes() {
    let Some(usual) = usual() else { return };
    let (asked, is_asked) = std::sync::mpsc::channel();
    let proxy = EngineProxy::start(&usual.host, move |line| match line.contains("/archive?") {
        true => {
            asked.send(()).unwrap();
            Treatment::Hold
        }
        false => Treatment::Pass,
    });
    let (registry, world) = (DockerRegistry::plain(), World::behind(&proxy));
    let base = Runtime::new().unwrap().block_on(base(&registry, unique()));
    usual.docker(&["pull", "-q", &base]);
    let [project, _] = projects(&world, &base);
    let mut command = world.sandbox.lambdactl(["push", "--local", project.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    is_asked.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(containers(&usual, &base).len(), 1);
    signal(child.id(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    remove(&usual, &base);
}

/// An image in the engine, with the directory it was built from.
async fn image(usual: &Engine, engine: &DockerEngine) -> (impl Drop + use<>, Digest) {
    let directory = context_in(usual.location(), "FROM scratch\nCOPY tool /tool\n", &[]);
    let id = engine.build(&request(directory.path(), &[]), &silent()).await.unwrap();
    (directory, id)
}

/// Reads what is at `path` to its end, as long as which an engine keeps the container locked; tells
/// whether anything is there.
async fn read(files: &ImageFiles, path: &str) -> Result<bool, DockerError> {
    let Some(archive) = files.archive(path).await? else { return Ok(false) };
    archive.try_for_each(|_| std::future::ready(Ok(()))).await?;
    Ok(true)
}

#[tokio::test]
async fn a_file_is_not_absent_because_its_container_is() {
    let Some(usual) = usual() else { return };
    let engine = DockerEngine::connect(&usual.location()).await.unwrap();
    let (_directory, id) = image(&usual, &engine).await;
    let files = engine.files(id);
    assert!(read(&files, "/tool").await.unwrap());
    assert!(!read(&files, "/none").await.unwrap());
    let containers = containers(&usual, &id.to_string());
    assert_eq!(containers.len(), 1);
    usual.docker(&["rm", &containers[0]]);
    assert!(read(&files, "/tool").await.is_err());
}

#[tokio::test]
async fn a_container_that_a_killed_run_has_left_behind_goes_and_no_other() {
    let Some(usual) = usual() else { return };
    let engine = DockerEngine::connect(&usual.location()).await.unwrap();
    let (_directory, id) = image(&usual, &engine).await;
    let files = engine.files(id);
    read(&files, "/tool").await.unwrap();
    let live = containers(&usual, &id.to_string()).pop().unwrap();
    let inspected: Vec<Value> = serde_json::from_str(&usual.docker(&["inspect", &live])).unwrap();
    let mark = inspected[0]["Config"]["Labels"]["lambdactl.files"].as_str().unwrap();
    let (_, here) = mark.rsplit_once('/').unwrap();
    // Nobody listens at port 1.
    let create = |name: &str, mark: &str| {
        let (label, id) = (format!("lambdactl.files={mark}"), id.to_string());
        usual.docker(&["create", "--name", name, "--label", &label, &id, "/tool"]);
    };
    let new = || uuid::Uuid::new_v4().simple().to_string();
    let (left, elsewhere, named) = (new(), new(), new());
    create(&format!("lambdactl-files-{left}"), &format!("127.0.0.1:1/{left}/{here}"));
    create(&format!("lambdactl-files-{elsewhere}"), &format!("127.0.0.1:1/{elsewhere}/sha256:012345678901"));
    create(&format!("lambdactl-test-{named}"), &format!("127.0.0.1:1/{named}/{here}"));
    engine.remove_leftovers().await;
    let others = [format!("lambdactl-files-{elsewhere}"), format!("lambdactl-test-{named}")];
    let mut expected = [&others[..], &[live]].concat();
    expected.sort();
    // Another test's run may be about it.
    wait_for("what was left to be gone", Duration::from_secs(30), || {
        let mut there = containers(&usual, &id.to_string());
        there.sort();
        (there == expected).then_some(())
    });
    for name in others {
        usual.docker(&["rm", &name]);
    }
    files.close();
    gone(&usual, &id.to_string());
}

/// An archive of a root directory that is not root's.
fn foreign_root() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_path("./").unwrap();
    header.set_mode(0o755);
    header.set_uid(100_000);
    header.set_gid(100_000);
    header.set_size(0);
    header.set_cksum();
    archive.append(&header, std::io::empty()).unwrap();
    archive.into_inner().unwrap()
}

#[tokio::test]
async fn an_engine_that_tells_other_owners_is_not_believed() {
    let Some(usual) = usual() else { return };
    // As one with a user namespace of its own.
    let root: &[u8] = foreign_root().leak();
    let proxy = EngineProxy::start(&usual.host, move |line| match line.contains("/archive?path=%2F ") {
        true => Treatment::Answer(root),
        false => Treatment::Pass,
    });
    let location = EngineLocation { host: Some(proxy.host()), ..EngineLocation::default() };
    let keeping = Some(DockerEngine::connect(&location).await.unwrap());
    let registry = DockerRegistry::plain();
    let base = base(&registry, unique()).await;
    usual.docker(&["pull", "-q", &base]);
    let context = context_in(usual.location(), &format!("FROM {base}\nCOPY tool /base/\n"), &[]);
    let mut request = request(context.path(), &[]);
    request.architecture = Architecture::of_this_machine();
    let asking = Bases { keeping, ..Bases::default() };
    let made = append::build(&request, &asking, &silent()).await.unwrap();
    assert_eq!(made.digest(), appended(&request).await.unwrap().digest());
    gone(&usual, &base);
    registry.lose_layers();
    let made = append::build(&request, &asking, &silent()).await;
    assert!(matches!(made, Err(Stopped::Failed(_))), "the layers were not read");
    remove(&usual, &base);
}

#[tokio::test]
async fn what_an_engine_adds_to_containers_is_not_the_image_s() {
    let Some(usual) = usual() else { return };
    let engine = DockerEngine::connect(&usual.location()).await.unwrap();
    let (registry, directory) = (DockerRegistry::plain(), tempfile::tempdir().unwrap());
    let file = directory.path().join("root.tar");
    let mut archive = tar::Builder::new(fs::File::create(&file).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(0);
    archive.append_data(&mut header, "file", std::io::empty()).unwrap();
    archive.finish().unwrap();
    for (number, (change, instruction)) in [
        ("WORKDIR /nowhere", "COPY --chown=7 tool /nowhere/"),
        ("VOLUME /nothing/here", "COPY --chown=7 tool /nothing/here/"),
        ("ENV A=B", "COPY --chown=7 tool /etc/"),
        ("ENV A=B", "COPY --chown=7 tool /dev/"),
    ]
    .iter()
    .enumerate()
    {
        let base = format!("{}/base:{number}", registry.host());
        usual.docker(&["import", "--change", change, file.to_str().unwrap(), &base]);
        usual.docker(&["push", "-q", &base]);
        let context = context_in(usual.location(), &format!("FROM {base}\n{instruction}\n"), &[]);
        let request = request(context.path(), &[]);
        let asking = Bases { keeping: Some(engine.clone()), ..Bases::default() };
        let told = append::build(&request, &asking, &silent()).await.unwrap();
        assert_eq!(told.digest(), appended(&request).await.unwrap().digest(), "{change}, {instruction}");
        remove(&usual, &base);
    }
}
