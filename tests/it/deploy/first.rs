//! The first deployment of a function, and the same one again.

use std::time::{Duration, Instant};

use serde_json::json;

use super::EngineImage;
use crate::support::needs_docker;
use crate::support::program::architecture;
use crate::support::project::Project;
use crate::support::sandbox::{Sandbox, finish};
use crate::support::world::World;

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:hello";

#[test]
fn one_command_takes_a_project_live_and_prints_only_the_arn() {
    let sandbox = Sandbox::new();
    let project = Project::assembled(sandbox.path(), "hello");
    let done = sandbox.run(["deploy", "--local", project.argument()]).expect(0);
    assert_eq!(done.stdout, format!("{ARN}\n"));

    let function = sandbox.run(["status", "--local", "hello", "--output", "json"]).expect(0).last_json();
    assert_eq!(function["function_name"], "hello");
    assert_eq!(function["state"], "Active");
    assert_eq!(function["last_update_status"], "Successful");
    assert_eq!(function["architecture"], architecture());
    assert_eq!(function["package_type"], "Image");
}

#[test]
fn what_is_live_is_the_image_that_was_built() {
    let world = World::new();
    let built = world.sandbox.run(["build", "--local", world.project.argument()]).expect(0).stdout;
    let result = world.deploy(&[]);
    assert_eq!(built, format!("{}\n", result["image_digest"].as_str().unwrap()));

    let function = world.function();
    let (repository, image_digest) = result["image_uri"].as_str().unwrap().split_once('@').unwrap();
    assert_eq!(result["image_digest"], image_digest);
    // For an image, Lambda's CodeSha256 is the digest of the manifest.
    assert_eq!(function["Configuration"]["CodeSha256"], image_digest.trim_start_matches("sha256:"));
    assert_eq!(function["Code"]["ResolvedImageUri"], result["image_uri"]);
    assert!(repository.ends_with("/hello"), "{repository}");
}

#[test]
fn deploying_again_writes_nothing_and_says_so() {
    let world = World::new();
    let first = world.deploy(&[]);
    assert_eq!(first["action"], "created");
    let revision = world.function()["Configuration"]["RevisionId"].clone();
    let mark = world.cloud.log().len();

    let second = world.deploy(&[]);
    assert_eq!(second["action"], "unchanged");
    assert_eq!(second["image_uri"], first["image_uri"]);
    assert_eq!((&second["bytes_uploaded"], &second["layers_uploaded"]), (&json!(0), &json!(0)));
    assert!(world.cloud.writes(mark).is_empty(), "{:?}", world.cloud.writes(mark));
    assert_eq!(world.function()["Configuration"]["RevisionId"], revision);

    let done = world.try_deploy(&[]).expect(0);
    assert_eq!(done.stdout, format!("{ARN}\n"));
}

#[test]
fn the_same_files_make_the_same_image_wherever_and_whenever() {
    let digests = ["one", "two"].map(|_| {
        let sandbox = Sandbox::new();
        let project = Project::assembled(sandbox.path(), "hello");
        let built = sandbox.run(["build", "--local", project.argument()]).expect(0);
        // Times of files have whole seconds in layers.
        std::thread::sleep(Duration::from_millis(1100));
        built.stdout
    });
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn without_waiting_the_function_is_left_on_its_way() {
    let world = World::new();
    let result = world.deploy(&["--no-wait"]);
    assert_eq!((&result["action"], &result["state"]), (&json!("created"), &json!("Pending")));
    let watched = world.sandbox.run(["watch", "--local", "hello", "--output", "json"]).expect(0).last_json();
    assert_eq!(watched["state"], "Active");
}

#[test]
fn create_role_makes_a_role_and_waits_until_lambda_can_assume_it() {
    let world = World::new();
    let begin = Instant::now();
    world.deploy(&["--create-role"]);
    assert!(begin.elapsed() < Duration::from_secs(60));
    let role = world.function()["Configuration"]["Role"].as_str().unwrap().to_owned();
    assert!(role.starts_with("arn:aws:iam::000000000000:role/"), "{role}");
    assert_eq!(world.cloud.calls("CreateRole"), 1);

    let again = world.deploy(&["--create-role"]);
    assert_eq!(again["action"], "unchanged");
    assert_eq!(world.cloud.calls("CreateRole"), 1);
}

#[test]
fn a_build_command_that_fails_stops_everything_with_its_own_words() {
    let world = World::new();
    world.project.configure("[build]\ncommand = [\"sh\", \"-c\", \"echo no rule to make it; exit 3\"]");
    let done = world.try_deploy(&[]).expect(1);
    assert!(done.stderr.contains("no rule to make it"), "{done}");
    assert_eq!(done.stdout, "");
    assert!(!world.has_function());
}

/// Where the two examples share what they compile.
fn share_compilation(sandbox: &mut Sandbox) {
    let shared = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
    sandbox.set("CARGO_BUILD_BUILD_DIR", shared.to_str().unwrap());
}

#[test]
fn the_first_command_of_the_readme_works() {
    let mut sandbox = Sandbox::new();
    share_compilation(&mut sandbox);
    let mut command = sandbox.lambdactl(["deploy", "--local", "examples/hello"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(finish(command).expect(0).stdout, format!("{ARN}\n"));
}

#[test]
fn the_dockerfile_of_the_examples_builds_and_deploys() {
    if !needs_docker() {
        return;
    }
    let mut sandbox = Sandbox::new();
    share_compilation(&mut sandbox);
    let arguments = ["deploy", "--local", "--builder", "engine", "examples/dockerfile"];
    let mut command = sandbox.lambdactl(arguments);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let done = finish(command).expect(0);
    assert_eq!(done.stdout, format!("{ARN}-dockerfile\n"));
    // BuildKit and the classic builder each say in their own words what they have made.
    let made =
        regex::Regex::new("(?:writing image|Successfully built) (?:sha256:)?([0-9a-f]{12,64})").unwrap();
    let id =
        made.captures(&done.stderr).unwrap_or_else(|| panic!("the builder's own words are shown: {done}"));
    drop(EngineImage(id[1].to_owned()));
}
