//! What a change costs, counted by the registry.

use std::fs;
use std::path::Path;

use lambdactl::domain::platform::Architecture;
use lambdactl::domain::reference::{RepositoryUri, Tag};
use lambdactl::pipeline::Uploads;
use lambdactl::pipeline::push::push;
use tokio::runtime::Runtime;

use super::Entry::File;
use super::{appended, client, fill, silent};
use crate::support::docker::request;
use crate::support::program;
use crate::support::registry::DockerRegistry;
use crate::support::world::World;

/// Puts an image of two layers into another registry; its name there.
async fn base(registry: &DockerRegistry) -> String {
    let directory = tempfile::tempdir().unwrap();
    let dockerfile = "FROM scratch\nCOPY one /base/\nCOPY two /base/\nENV BASE=1\n";
    let files = [File("one", 0o644, "1"), File("two", 0o644, "2"), File("Dockerfile", 0o644, dockerfile)];
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

#[test]
fn a_change_costs_six_requests_and_none_costs_one() {
    let (registry, world) = (DockerRegistry::plain(), World::new());
    let base = Runtime::new().unwrap().block_on(base(&registry));
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
