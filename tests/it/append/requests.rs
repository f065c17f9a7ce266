//! What a change costs, counted by the registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lambdactl::domain::platform::Architecture;
use lambdactl::domain::reference::{RepositoryUri, Tag};
use lambdactl::pipeline::Uploads;
use lambdactl::pipeline::push::push;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::Entry::File;
use super::{appended, client, fill, silent};
use crate::support::docker::request;
use crate::support::local_server::Fault;
use crate::support::program;
use crate::support::registry::DockerRegistry;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// Puts an image of two layers into another registry; its name there.
pub async fn base(registry: &DockerRegistry, content: &'static str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let dockerfile = "FROM scratch\nCOPY one /base/\nCOPY two /base/\nENV BASE=1\n";
    let files = [File("one", 0o644, "1"), File("two", 0o644, content), File("Dockerfile", 0o644, dockerfile)];
    fill(directory.path(), &files);
    let mut request = request(directory.path(), &[]);
    request.architecture = Architecture::of_this_machine();
    let image = appended(&request).await.unwrap();
    let name = format!("{}/base", registry.host());
    let (uri, tag): (RepositoryUri, Tag) = (name.parse().unwrap(), "1".parse().unwrap());
    push(&client(registry.host()), &uri, Some(&tag), &image, &Uploads::default(), &silent()).await.unwrap();
    format!("{name}:1")
}

/// Runs a command, and gives what it asked the registry of the cloud for, sorted.
fn asked(world: &World, command: &str, directory: &Path) -> Vec<String> {
    let mark = world.cloud.log().len();
    world.sandbox.json(0, [command, "--local", directory.to_str().unwrap()]);
    let mut asked = world.cloud.registry_requests(mark);
    asked.sort();
    asked
}

/// Two projects on `base`, the second one without a Dockerfile. They have a file `code`.
pub fn projects(world: &World, base: &str) -> [PathBuf; 2] {
    let dockerfile = world.sandbox.path().join("dockerfile");
    let assembled = world.sandbox.path().join("assembled");
    for directory in [&dockerfile, &assembled] {
        fs::create_dir(directory).unwrap();
        fs::copy(program::function(), directory.join("bootstrap")).unwrap();
        fs::write(directory.join("code"), "old").unwrap();
    }
    let text = format!("FROM {base}\nCOPY bootstrap /bootstrap\nCOPY code /\nENTRYPOINT [\"/bootstrap\"]\n");
    fs::write(dockerfile.join("Dockerfile"), text).unwrap();
    let text = format!(
        "[image]\nbase = \"{base}\"\nfiles = [{{ from = \"bootstrap\", to = \"/bootstrap\" }}, \
         {{ from = \"code\", to = \"/code\" }}]\nentry_point = [\"/bootstrap\"]\n"
    );
    fs::write(assembled.join("lambdactl.toml"), text).unwrap();
    [dockerfile, assembled]
}

#[test]
fn a_change_costs_six_requests_and_none_costs_one() {
    let (registry, world) = (DockerRegistry::plain(), World::new());
    let base = Runtime::new().unwrap().block_on(base(&registry, "2"));
    let [dockerfile, assembled] = projects(&world, &base);
    for (command, directory) in
        [("deploy", &dockerfile), ("push", &dockerfile), ("deploy", &assembled), ("push", &assembled)]
    {
        let what = format!("{command} {}", directory.display());
        asked(&world, command, directory);
        assert_eq!(asked(&world, command, directory), ["HEAD manifest"], "{what}, nothing changed");
        fs::write(directory.join("code"), what.as_bytes()).unwrap();
        // The image that is there, the new layer, the configuration, the manifest. Where one layer
        // holds all files, it is large enough to ask for it.
        let mut expected =
            vec!["HEAD manifest", "POST blob", "POST blob", "PUT blob", "PUT blob", "PUT manifest"];
        if directory == &assembled && fs::metadata(directory.join("bootstrap")).unwrap().len() > 2 << 20 {
            expected.insert(0, "HEAD blob");
        }
        assert_eq!(asked(&world, command, directory), expected, "{what}, one file changed");
    }
}

#[test]
fn files_of_another_image_are_fetched_once() {
    let (registry, world) = (DockerRegistry::plain(), World::new());
    let other = Runtime::new().unwrap().block_on(base(&registry, "2"));
    let [directory, _] = projects(&world, &other);
    let text = format!(
        "FROM scratch\nCOPY --from={other} /base/one /copied\nCOPY bootstrap code /\nENTRYPOINT [\"/bootstrap\"]\n"
    );
    fs::write(directory.join("Dockerfile"), text).unwrap();
    asked(&world, "push", &directory);
    registry.lose_layers();
    assert_eq!(asked(&world, "push", &directory), ["HEAD manifest"]);
    fs::write(directory.join("code"), "new").unwrap();
    let lines = world.sandbox.json(0, ["push", "--local", directory.to_str().unwrap()]);
    assert_eq!(lines.last().unwrap()["layers_uploaded"], 1, "{lines:#?}");
}

#[test]
fn a_machine_that_remembers_nothing_need_not_fetch_the_base() {
    let (registry, mut sandbox) = (DockerRegistry::plain(), Sandbox::new());
    sandbox.set("DOCKER_HOST", "unix:///nonexistent.sock");
    let world = World::in_sandbox(sandbox);
    let base = Runtime::new().unwrap().block_on(base(&registry, "2"));
    let [directory, _] = projects(&world, &base);
    let deploy = || world.sandbox.json(0, ["deploy", "--local", directory.to_str().unwrap()]).pop().unwrap();
    deploy();
    registry.lose_layers();
    let forget = || fs::remove_dir_all(world.sandbox.path().join("home/.cache/lambdactl")).unwrap();
    forget();
    assert_eq!(deploy()["action"], "unchanged");
    forget();
    fs::write(directory.join("code"), "new").unwrap();
    let changed = deploy();
    assert_eq!((&changed["action"], &changed["layers_uploaded"]), (&json!("updated"), &json!(1)));
    // Beside a file that is there already.
    let text = fs::read_to_string(directory.join("Dockerfile")).unwrap();
    fs::write(directory.join("Dockerfile"), text.replace("COPY code /\n", "COPY code /base/new\n")).unwrap();
    let needs_more = world.sandbox.run(["deploy", "--local", directory.to_str().unwrap()]).expect(1);
    assert!(needs_more.stderr.contains("BLOB_UNKNOWN"), "{needs_more}");
}

#[test]
fn a_change_is_on_its_way_before_it_is_known_that_what_it_stands_on_is_there() {
    let (registry, world) = (DockerRegistry::plain(), World::new());
    let base = Runtime::new().unwrap().block_on(base(&registry, "2"));
    for directory in projects(&world, &base) {
        asked(&world, "push", &directory);
        fs::write(directory.join("code"), "new").unwrap();
        let mark = world.cloud.log().len();
        let late = Duration::from_millis(2500);
        world.cloud.inject(&[Fault::request("HEAD", "/v2/").delays(late)]);
        let lines = world.sandbox.json(0, ["push", "-v", "--local", directory.to_str().unwrap()]);
        // The log has them in the order in which they were answered.
        let asked = world.cloud.registry_requests(mark);
        let at = |what: &str| asked.iter().position(|asked| asked == what).unwrap();
        assert!(at("PUT blob") < at("HEAD manifest"), "{asked:?}");
        assert!(at("HEAD manifest") < at("PUT manifest"), "{asked:?}");
        assert!(!is_made_again(&lines), "{lines:#?}");
    }
}

/// Whether an image was made again, because something that was counted on was no longer so.
fn is_made_again(lines: &[Value]) -> bool {
    lines.iter().any(|line| line["message"].as_str().is_some_and(|it| it.contains("is made again")))
}

#[test]
fn a_base_that_has_moved_is_noticed_although_it_was_counted_on() {
    let (registry, world) = (DockerRegistry::plain(), World::new());
    let runtime = Runtime::new().unwrap();
    let name = runtime.block_on(base(&registry, "2"));
    let projects = projects(&world, &name);
    let [_, assembled] = &projects;
    let settings = fs::read_to_string(assembled.join("lambdactl.toml")).unwrap();
    let settings = format!("{settings}\n[build]\ncommand = [\"sh\", \"-c\", \"echo built >>builds\"]\n");
    fs::write(assembled.join("lambdactl.toml"), settings).unwrap();
    let push = |directory: &Path| {
        let arguments = ["push", "-v", "--local", directory.to_str().unwrap()];
        let lines = world.sandbox.json(0, arguments);
        (lines.last().unwrap()["image_digest"].clone(), is_made_again(&lines))
    };
    for (directory, content) in projects.iter().zip(["another", "yet another"]) {
        let (before, is_again) = push(directory);
        assert!(!is_again);
        assert_eq!(runtime.block_on(base(&registry, content)), name);
        let (after, is_again) = push(directory);
        assert!(is_again && after != before, "{}", directory.display());
        assert_eq!(push(directory), (after.clone(), false));
        // Who remembers nothing makes the same.
        fs::remove_dir_all(world.sandbox.path().join("home/.cache/lambdactl")).unwrap();
        assert_eq!(push(directory), (after, false));
    }
    // Four times, and not once more.
    assert_eq!(fs::read_to_string(assembled.join("builds")).unwrap().lines().count(), 4);
}

#[test]
fn an_image_that_is_gone_is_noticed_although_it_was_counted_on() {
    let (registry, world) = (DockerRegistry::plain(), World::new());
    let base = Runtime::new().unwrap().block_on(base(&registry, "2"));
    for directory in projects(&world, &base) {
        asked(&world, "push", &directory);
        fs::write(directory.join("code"), "new").unwrap();
        let gone = json!({ "errors": [{ "code": "MANIFEST_UNKNOWN", "message": "gone" }] });
        world.cloud.inject(&[Fault::request("HEAD", "/v2/").answers(404, gone)]);
        let lines = world.sandbox.json(0, ["push", "-v", "--local", directory.to_str().unwrap()]);
        assert!(world.cloud.has_misbehaved());
        // All of it is asked for then, and found.
        let done = lines.last().unwrap();
        assert_eq!(done["layers_uploaded"], 1, "{lines:#?}");
        assert!(is_made_again(&lines), "{lines:#?}");
    }
}
