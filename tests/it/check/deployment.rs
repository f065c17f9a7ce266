//! The check inside `deploy`, `plan`, `push` and `build`: an image that cannot work is refused
//! before anything is written, and one that is fine costs nothing.

use lambdactl::domain::digest::Digest;
use serde_json::{Value, json};

use super::images::{Family, Image, Layer, on_debian, on_scratch, program};
use crate::deploy::EngineImage;
use crate::support::needs_docker;
use crate::support::world::World;

/// An image whose entry point may not be executed.
fn broken() -> Image {
    on_scratch().with(|image| image.layers = vec![Layer::new().file("bootstrap", 0o644, program())])
}

fn findings(lines: &[Value]) -> Vec<&str> {
    let found = lines.iter().filter(|line| line["reason"] == "finding");
    found.map(|line| line["id"].as_str().unwrap()).collect()
}

#[test]
fn a_broken_image_is_refused_before_anything_is_written() {
    let world = World::new();
    let layout = broken().write(&world.sandbox.path().join("layout"), Family::Oci);
    for verb in ["deploy", "plan", "push"] {
        let mark = world.cloud.log().len();
        let name = layout.name();
        let done = world.sandbox.run([verb, "--local", "--function", "hello", "--image", &name]).expect(6);
        assert_eq!(done.stdout, "", "{done}");
        for words in ["entry-point-not-executable", "/bootstrap", "0644", "--chmod=0755", "--allow"] {
            assert!(done.stderr.contains(words), "{words}: {done}");
        }
        assert!(world.cloud.writes(mark).is_empty(), "{:#?}", world.cloud.writes(mark));
    }
    let lines =
        world.sandbox.json(6, ["deploy", "--local", "--function", "hello", "--image", &layout.name()]);
    assert_eq!(findings(&lines), ["entry-point-not-executable"]);
    assert_eq!(lines.last().unwrap()["reason"], "error");
    assert!(!world.has_function());
}

#[test]
fn a_rule_can_be_turned_off_for_a_command_and_for_a_project() {
    let world = World::new();
    let layout = broken().write(&world.sandbox.path().join("layout"), Family::Docker);
    let name = layout.name();
    let push = ["push", "--local", "--function", "hello", "--image", &name];
    let allow = ["--allow", "entry-point-not-executable"];
    let lines = world.sandbox.json(0, push.iter().chain(&allow));
    assert!(findings(&lines).is_empty(), "{lines:#?}");
    let image = format!("oci:{}", world.sandbox.path().join("layout").display());
    world.project.configure("[check]\nallow = [\"entry-point-not-executable\"]");
    world.sandbox.json(0, world.arguments("push", &["--image", &image]));
    world.project.configure("[stage.prod.check]\nallow = [\"entry-point-not-executable\"]");
    world.sandbox.json(6, world.arguments("push", &["--image", &image]));
    world.sandbox.json(0, world.arguments("push", &["--image", &image, "--stage", "prod"]));
    // What nobody can make right cannot be allowed.
    let other = crate::support::program::other_architecture();
    world.sandbox.json(6, push.iter().chain(&["--allow", "platform", "--architecture", other]));
    let wrong = world.sandbox.run(push.iter().chain(&["--allow", "missing-parents"])).expect(2);
    assert!(wrong.stderr.contains("`missing-parent`"), "{wrong}");
}

#[test]
fn warnings_are_told_in_two_lines_and_stop_nothing() {
    let world = World::new();
    let image = on_scratch().with(|image| {
        image.config["Env"] = json!(["TMPDIR=/data"]);
        image.config["User"] = json!("me");
    });
    let layout = image.write(&world.sandbox.path().join("layout"), Family::Oci);
    let name = layout.name();
    let plain = ["deploy", "--local", "--function", "hello", "--image", &name, "--output", "plain"];
    let done = world.sandbox.run(plain).expect(0);
    assert!(done.stdout.starts_with("arn:aws:lambda:"), "{done}");
    let told: Vec<&str> = done.stderr.lines().filter(|line| line.contains("TMPDIR")).collect();
    assert_eq!(told.len(), 1, "{done}");
    assert!(done.stderr.contains("warning[read-only-cache]"), "{done}");
    assert!(!done.stderr.contains("user-ignored"), "notes are for those who ask for details: {done}");
    let done = world.sandbox.run(plain.iter().chain(&["-v"])).expect(0);
    assert!(done.stderr.contains("note[user-ignored]"), "{done}");
}

#[test]
fn settings_of_the_function_count() {
    let world = World::new();
    let layout = on_debian().write(&world.sandbox.path().join("layout"), Family::Oci);
    let name = layout.name();
    let plan = ["plan", "--local", "--function", "hello", "--image", &name];
    assert!(findings(&world.sandbox.json(0, plan)).is_empty());
    let lines = world.sandbox.json(6, plan.iter().chain(&["--entry-point", "/usr/bin/node,app.js"]));
    assert_eq!(findings(&lines), ["entry-point-not-found"]);
    let finding = lines.iter().find(|line| line["reason"] == "finding").unwrap();
    assert_eq!(finding["places"][0]["field"], "function.image_config.entry_point");
    let lines = world.sandbox.json(6, plan.iter().chain(&["--working-directory", "/srv"]));
    assert_eq!(findings(&lines), ["working-directory-not-found"]);
}

#[test]
fn an_image_in_a_registry_is_not_downloaded_to_be_checked() {
    let world = World::new();
    let layout = broken().write(&world.sandbox.path().join("layout"), Family::Oci);
    let name = layout.name();
    let allow = ["--allow", "entry-point-not-executable"];
    let push = ["push", "--local", "--function", "hello", "--image", &name];
    let uri = world.sandbox.json(0, push.iter().chain(&allow)).pop().unwrap()["image_uri"].clone();
    let uri = uri.as_str().unwrap();
    // What was learned of its layers is gone.
    std::fs::remove_dir_all(world.sandbox.path().join("home/.cache")).unwrap();
    let layer = layout.layer();
    let is_read = |mark: usize| {
        let log = world.cloud.log();
        log[mark..].iter().any(|it| it.method == "GET" && it.path.contains(&layer))
    };
    let mark = world.cloud.log().len();
    let plan = ["plan", "--local", "--function", "hello", "--image", uri];
    assert!(findings(&world.sandbox.json(0, plan)).is_empty(), "what is not known is not wrong");
    assert!(!is_read(mark), "{:#?}", world.cloud.log());
    // Asked for the check itself, it reads all, and remembers it.
    let lines = world.sandbox.json(6, ["check", "--local", "--image", uri]);
    assert_eq!(findings(&lines), ["entry-point-not-executable"]);
    assert!(is_read(mark), "a check reads everything, once");
    let mark = world.cloud.log().len();
    world.sandbox.json(6, ["check", "--local", "--image", uri]);
    world.sandbox.json(6, plan);
    assert!(!is_read(mark), "{:#?}", world.cloud.log());
    // What another version of the tool remembers is read anew, once.
    let cache = world.sandbox.path().join("home/.cache/lambdactl");
    let check_again = || {
        std::fs::remove_dir_all(cache.join("checks")).unwrap();
        world.sandbox.json(6, ["check", "--local", "--image", uri]);
    };
    for file in std::fs::read_dir(cache.join("contents")).unwrap() {
        let other = "another form";
        let kept = format!("{}{other}", Digest::of(other.as_bytes()).hex());
        std::fs::write(file.unwrap().path(), kept).unwrap();
    }
    check_again();
    assert!(is_read(mark), "it cannot know what is in the layers");
    let mark = world.cloud.log().len();
    check_again();
    assert!(!is_read(mark), "{:#?}", world.cloud.log());
}

#[test]
fn an_image_of_the_engine_is_checked_as_it_is_built() {
    if !needs_docker() {
        return;
    }
    let world = World::new();
    let image = EngineImage(format!("lambdactl-test-check:{}", std::process::id()));
    let dockerfile =
        |mode: &str| format!("FROM scratch\nCOPY bootstrap data /\nENTRYPOINT [\"/{mode}\"]\nEXPOSE 80\n");
    let build = |entry_point: &str| {
        world.project.write("Dockerfile", dockerfile(entry_point));
        image.build(&world);
    };
    world.project.write("bootstrap", program());
    let source = format!("docker:{}", image.0);
    build("data");
    let lines = world.sandbox.json(6, ["check", "--image", &source]);
    assert_eq!(findings(&lines), ["entry-point-not-executable", "ports-ignored"], "{lines:#?}");
    let lines = world.sandbox.json(6, ["push", "--local", "--function", "hello", "--image", &source]);
    assert_eq!(findings(&lines), ["entry-point-not-executable", "ports-ignored"], "{lines:#?}");
    build("bootstrap");
    let lines = world.sandbox.json(0, ["check", "--image", &source]);
    assert_eq!(findings(&lines), ["ports-ignored"], "{lines:#?}");
    let push = ["push", "--local", "--function", "hello", "--image", &source];
    assert_eq!(findings(&world.sandbox.json(0, push)), ["ports-ignored"]);
    assert_eq!(findings(&world.sandbox.json(0, push)), ["ports-ignored"], "remembered");
}

#[test]
fn what_snapshots_need_is_asked_where_the_function_has_them() {
    let world = World::new();
    world.deploy(&[]);
    assert!(findings(&world.sandbox.json(0, world.arguments("plan", &[]))).is_empty());
    let efs = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0";
    let settings = json!({
        "SnapStart": { "ApplyOn": "PublishedVersions" },
        "FileSystemConfigs": [{ "Arn": efs, "LocalMountPath": "/mnt/data" }],
    });
    let (status, answer) = world.ask("PUT", "/2015-03-31/functions/hello/configuration", Some(settings));
    assert_eq!(status, 200, "{answer}");
    world.sandbox.run(["watch", "--local", "hello"]).expect(0);
    // What is there already is told, and refuses nothing.
    for verb in ["plan", "deploy"] {
        let lines = world.sandbox.json(0, world.arguments(verb, &[]));
        let found: Vec<&Value> = lines.iter().filter(|line| line["reason"] == "finding").collect();
        assert_eq!(findings(&lines), ["snapstart", "snapstart"], "{lines:#?}");
        let told = found.iter().map(|it| it["message"].as_str().unwrap()).collect::<String>();
        assert!(told.contains(efs) && told.contains("com.amazonaws.lambda.feature.snapstart"), "{told}");
        assert!(found.iter().all(|it| it["severity"] == "warning"), "{found:#?}");
    }
    // What this deployment would set is refused.
    for verb in ["plan", "deploy"] {
        let lines = world.sandbox.json(6, world.arguments(verb, &["--ephemeral-storage", "1024"]));
        let refused = |line: &&Value| line["reason"] == "finding" && line["severity"] == "error";
        let refused: Vec<&Value> = lines.iter().filter(refused).collect();
        assert_eq!(refused.len(), 1, "{lines:#?}");
        assert_eq!(refused[0]["places"][0]["field"], "function.ephemeral_storage");
    }
}
