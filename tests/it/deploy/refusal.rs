//! What cannot or must not be done is refused before anything is built: exit code 6.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::oci_layout;
use crate::support::program::{architecture, elf_header, other_architecture};
use crate::support::sandbox::Finished;
use crate::support::wait_for;
use crate::support::world::World;

/// A zip archive of one small file, as it is without compression.
fn zip() -> Vec<u8> {
    let (name, content) = ("app.py", "def handler(event, context): return event\n");
    let mut checksum = flate2::Crc::new();
    checksum.update(content.as_bytes());
    let (length, name_length) = (content.len() as u32, name.len() as u32);
    let mut entry = Vec::new();
    entry.extend([20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]); // version, flags, method, time, 1980-01-01
    entry.extend([checksum.sum(), length, length, name_length].map(u32::to_le_bytes).concat());
    let local = [b"PK\x03\x04", &entry[..], name.as_bytes(), content.as_bytes()].concat();
    // The directory repeats the entry, with more about the file and where it begins.
    let directory = [b"PK\x01\x02\x14\0", &entry[..], &[0; 14], name.as_bytes()].concat();
    let sizes = [directory.len() as u32, local.len() as u32].map(u32::to_le_bytes).concat();
    let end = [b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &sizes[..], &[0, 0]].concat();
    [local, directory, end].concat()
}

/// Expects a refusal that touched nothing and ran no build command.
#[track_caller]
fn assert_refused(world: &World, mark: usize, done: Finished) -> Finished {
    let done = done.expect(6);
    assert_eq!(done.stdout, "");
    assert!(done.stderr.contains("hint:"), "a refusal says what to do instead: {done}");
    assert!(!world.was_built(), "{done}");
    assert!(world.cloud.writes(mark).is_empty(), "{:#?}", world.cloud.writes(mark));
    done
}

/// A zip function called `hello`, once it is active.
fn with_zip_function(world: &World) -> Value {
    let function = json!({
        "FunctionName": "hello",
        "Role": "arn:aws:iam::123456789012:role/hello",
        "Runtime": "python3.13",
        "Handler": "app.handler",
        "Code": { "ZipFile": STANDARD.encode(zip()) },
    });
    let (status, answer) = world.ask("POST", "/2015-03-31/functions", Some(function));
    assert_eq!(status, 201, "{answer}");
    wait_for("the zip function", std::time::Duration::from_secs(30), || {
        let function = world.function();
        (function["Configuration"]["State"] == "Active").then_some(function)
    })
}

#[test]
fn a_zip_function_is_left_alone_and_the_way_out_is_shown() {
    let world = World::new();
    world.mark_builds("");
    let before = with_zip_function(&world);
    let mark = world.cloud.log().len();
    let done = assert_refused(&world, mark, world.try_deploy(&[]));
    assert!(done.stderr.contains("hello") && done.stderr.to_lowercase().contains("zip"), "{done}");
    assert_eq!(world.function()["Configuration"], before["Configuration"]);
}

#[test]
fn a_repository_lambda_cannot_pull_from_is_refused() {
    for (repository, why) in [
        ("000000000000.dkr.ecr.eu-west-1.amazonaws.com/hello", "eu-west-1"),
        ("000000000000.dkr.ecr-fips.us-east-1.amazonaws.com/hello", "fips"),
        ("ghcr.io/someone/hello", "ghcr.io"),
    ] {
        let world = World::new();
        world.mark_builds("");
        let mark = world.cloud.log().len();
        let done = world.try_deploy_to_endpoints(&["--repository", repository]);
        let done = assert_refused(&world, mark, done);
        assert!(done.stderr.to_lowercase().contains(why), "{done}");
    }
}

#[test]
fn an_image_in_another_region_is_refused() {
    let world = World::new();
    let mark = world.cloud.log().len();
    let image = "000000000000.dkr.ecr.eu-west-1.amazonaws.com/hello:v1";
    let done = world.try_deploy_to_endpoints(&["--image", image]);
    let done = assert_refused(&world, mark, done);
    assert!(done.stderr.contains("eu-west-1") && done.stderr.contains("us-east-1"), "{done}");
}

#[test]
fn the_local_cloud_has_no_part_in_repositories_and_images_of_aws() {
    let world = World::new();
    world.mark_builds("");
    let mark = world.cloud.log().len();
    let repository = "000000000000.dkr.ecr.us-east-1.amazonaws.com/hello";
    let done = world.try_deploy(&["--repository", repository]);
    assert_refused(&world, mark, done);
    let done = world.try_deploy(&["--image", &format!("{repository}:v1")]);
    assert_refused(&world, mark, done);
}

#[test]
fn a_program_for_another_architecture_is_refused() {
    let world = World::new();
    world.project.write("bootstrap", elf_header(other_architecture()));
    world.project.configure(&format!("[function]\narchitecture = \"{}\"", architecture()));
    let done = world.try_deploy(&[]).expect(6);
    assert!(done.stderr.contains("x86_64") && done.stderr.contains("arm64"), "{done}");
    assert!(!world.has_function());
}

#[test]
fn an_image_for_another_architecture_is_refused() {
    let world = World::new();
    let layout = world.sandbox.path().join("layout");
    oci_layout::write(&layout, other_architecture(), &["/bootstrap"], &[&[("bootstrap", b"program")]]);
    let image = format!("oci:{}", layout.display());
    let done = world.try_deploy(&["--image", &image, "--architecture", architecture()]).expect(6);
    assert!(done.stderr.contains("x86_64") && done.stderr.contains("arm64"), "{done}");
    assert!(!world.has_function());
}
