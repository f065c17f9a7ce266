//! What the project does not name stays as it is.

use serde_json::{Value, json};

use crate::support::world::World;

/// The environment variables the function has.
fn variables(world: &World) -> Value {
    world.function()["Configuration"]["Environment"]["Variables"].clone()
}

#[test]
fn environment_variables_nobody_names_are_kept_and_the_four_verbs_do_what_they_say() {
    let world = World::new();
    world.project.configure("[function.environment]\nKEY_A = \"1\"");
    world.deploy(&["--update-env-vars", "KEY_B=2"]);
    assert_eq!(variables(&world), json!({ "KEY_A": "1", "KEY_B": "2" }));

    assert_eq!(world.deploy(&[])["action"], "unchanged");
    assert_eq!(variables(&world), json!({ "KEY_A": "1", "KEY_B": "2" }));

    world.deploy(&["--update-env-vars", "KEY_C=3", "--remove-env-vars", "KEY_B"]);
    assert_eq!(variables(&world), json!({ "KEY_A": "1", "KEY_C": "3" }));

    world.project.configure("");
    world.deploy(&["--set-env-vars", "KEY_D=4,KEY_E=5"]);
    assert_eq!(variables(&world), json!({ "KEY_D": "4", "KEY_E": "5" }));

    world.deploy(&["--clear-env-vars"]);
    assert!(matches!(&variables(&world), Value::Null) || variables(&world) == json!({}));
}

#[test]
fn one_member_of_the_image_configuration_leaves_the_others() {
    let world = World::new();
    world.project.configure(
        "[function.image_config]\nentry_point = [\"/bootstrap\", \"-v\"]\nworking_directory = \"/tmp\"",
    );
    world.deploy(&[]);
    world.project.configure("");
    assert_eq!(world.deploy(&[])["action"], "unchanged");

    world.deploy(&["--command", "app.handler"]);
    let function = world.function();
    assert_eq!(
        function["Configuration"]["ImageConfigResponse"]["ImageConfig"],
        json!({ "EntryPoint": ["/bootstrap", "-v"], "Command": ["app.handler"], "WorkingDirectory": "/tmp" })
    );
}

#[test]
fn settings_somebody_else_changed_are_kept_where_the_project_does_not_name_them() {
    let world = World::new();
    world.project.configure("[function]\nmemory_size = 256");
    world.deploy(&[]);
    let change = json!({ "Timeout": 77, "Description": "by hand" });
    let (status, answer) = world.ask("PUT", "/2015-03-31/functions/hello/configuration", Some(change));
    assert_eq!(status, 200, "{answer}");

    world.project.configure("[function]\nmemory_size = 512");
    world.deploy(&[]);
    let configuration = world.function()["Configuration"].clone();
    assert_eq!(configuration["MemorySize"], 512);
    assert_eq!((&configuration["Timeout"], &configuration["Description"]), (&json!(77), &json!("by hand")));
}

#[test]
fn tags_are_added_to_those_that_are_there() {
    let world = World::new();
    world.project.configure("[function.tags]\nteam = \"search\"");
    world.deploy(&[]);
    world.project.configure("[function.tags]\nstage = \"test\"");
    let result = world.deploy(&[]);
    assert_eq!(result["action"], "updated");
    assert_eq!(world.function()["Tags"], json!({ "team": "search", "stage": "test" }));
    assert_eq!(world.deploy(&[])["action"], "unchanged");
}

#[test]
fn values_of_environment_variables_are_never_shown() {
    let world = World::new();
    world.project.configure("[function.environment]\nPASSWORD = \"correct-horse\"");
    for arguments in [
        world.arguments("plan", &["-vvv"]),
        world.arguments("deploy", &["-vvv"]),
        world.arguments("deploy", &["-v", "--update-env-vars", "PASSWORD=battery-staple"]),
        world.arguments("plan", &["--output", "json", "--update-env-vars", "PASSWORD=battery-staple2"]),
        vec!["status", "--local", "hello", "-vvv"],
        vec!["status", "--local", "hello", "--output", "json"],
    ] {
        let done = world.sandbox.run(arguments).expect(0);
        for secret in ["correct-horse", "battery-staple"] {
            // The command line is the test's own.
            let said = format!("{}{}", done.stdout, done.stderr);
            assert!(!said.contains(secret), "{done}");
        }
    }
}
