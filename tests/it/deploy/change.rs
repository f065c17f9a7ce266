//! A change of something sends that and nothing else.

use serde_json::json;

use crate::support::local_server::Logged;
use crate::support::oci_layout;
use crate::support::program::{architecture, static_program};
use crate::support::world::World;

/// The operations that were called, of those that change something; uploads are left out.
fn operations(writes: &[Logged]) -> Vec<&str> {
    writes.iter().filter_map(|entry| entry.operation.as_deref()).collect()
}

#[test]
fn a_changed_file_sends_the_layer_it_is_in_and_updates_the_code() {
    let world = World::new();
    let base = world.sandbox.path().join("base");
    let program = std::fs::read(static_program()).unwrap();
    oci_layout::write(&base, architecture(), &["/bootstrap"], &[&[("bootstrap", &program)]]);
    let settings = format!(
        "[image]\nbase = \"oci:{}\"\nfiles = [{{ from = \"data\", to = \"/data\" }}]\n",
        base.display()
    );
    world.project.write("lambdactl.toml", settings);
    let first = world.deploy(&[]);
    assert_eq!((&first["layers_uploaded"], &first["layers_reused"]), (&json!(2), &json!(0)));
    let mark = world.cloud.log().len();

    world.project.write("data", "second\n");
    let second = world.deploy(&[]);
    assert_eq!(second["action"], "updated");
    assert_eq!((&second["layers_uploaded"], &second["layers_reused"]), (&json!(1), &json!(1)));
    assert!(second["bytes_uploaded"].as_u64() < first["bytes_uploaded"].as_u64(), "{second}");
    assert_ne!(second["image_digest"], first["image_digest"]);
    assert_eq!((&second["state"], &second["last_update_status"]), (&json!("Active"), &json!("Successful")));

    let writes = world.cloud.writes(mark);
    assert_eq!(operations(&writes), ["UpdateFunctionCode"]);
    let manifests: Vec<_> = writes.iter().filter(|entry| entry.path.contains("/manifests/")).collect();
    assert_eq!(manifests.len(), 1, "{writes:#?}");
}

#[test]
fn a_changed_setting_sends_the_configuration_and_no_image() {
    let world = World::new();
    world.project.configure("[function]\nmemory_size = 256\ntimeout = 10");
    world.deploy(&[]);
    let mark = world.cloud.log().len();

    world.project.configure("[function]\nmemory_size = 512\ntimeout = 10");
    let result = world.deploy(&[]);
    assert_eq!(result["action"], "updated");
    assert_eq!(result["layers_uploaded"], 0);
    let writes = world.cloud.writes(mark);
    assert_eq!(writes.len(), 1, "{writes:#?}");
    assert_eq!(operations(&writes), ["UpdateFunctionConfiguration"]);
    assert_eq!(world.function()["Configuration"]["MemorySize"], 512);
}

#[test]
fn a_change_of_both_waits_in_between_and_ends_with_both() {
    let world = World::new();
    world.deploy(&[]);
    world.project.write("data", "second\n");
    world.project.configure("[function]\nmemory_size = 512");
    let result = world.deploy(&[]);
    assert_eq!((&result["action"], &result["last_update_status"]), (&json!("updated"), &json!("Successful")));
    let function = world.function();
    assert_eq!(function["Configuration"]["MemorySize"], 512);
    assert_eq!(function["Code"]["ResolvedImageUri"], result["image_uri"]);
}

#[test]
fn an_option_wins_over_the_environment_over_the_stage_over_the_file() {
    let mut world = World::new();
    world.project.configure(
        "[function]\nmemory_size = 256\ntimeout = 5\ndescription = \"file\"\n\
         [stage.prod.function]\nmemory_size = 512\ntimeout = 6",
    );
    world.sandbox.set("LAMBDACTL_STAGE", "prod");
    world.deploy(&["--memory-size", "1024"]);
    let function = world.function();
    let configuration = &function["Configuration"];
    assert_eq!(configuration["MemorySize"], 1024);
    assert_eq!(configuration["Timeout"], 6);
    assert_eq!(configuration["Description"], "file");
}

#[test]
fn an_image_somebody_else_put_live_is_replaced_by_what_the_project_says() {
    let world = World::new();
    let first = world.deploy(&[]);
    world.project.write("data", "second\n");
    world.deploy(&[]);
    world.project.write("data", "first\n");
    let third = world.deploy(&[]);
    assert_eq!(third["action"], "updated");
    assert_eq!(third["image_digest"], first["image_digest"]);
    assert_eq!(third["layers_uploaded"], 0, "the first image is still in the repository");
}
