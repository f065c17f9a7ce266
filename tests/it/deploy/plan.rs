//! What a deployment would do, without doing it.

use serde_json::{Value, json};

use crate::support::world::World;

/// The steps that do something, with what they do.
fn pending(plan: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a word").to_owned();
    let steps = plan["steps"].as_array().expect("steps");
    let all = steps.iter().map(|step| (text(&step["step"]), text(&step["action"])));
    all.filter(|(_, action)| action != "unchanged").collect()
}

#[test]
fn the_plan_of_a_first_deployment_names_its_steps_and_writes_nothing() {
    let world = World::new();
    let mark = world.cloud.log().len();
    let plan = world.plan(0, &[]);
    let pending = pending(&plan);
    for step in ["repository", "repository-policy", "function"] {
        assert!(pending.contains(&(step.to_owned(), "create".to_owned())), "{step}: {plan:#}");
    }
    assert!(pending.iter().any(|(step, _)| step == "image"), "{plan:#}");
    assert!(world.cloud.writes(mark).is_empty(), "{:#?}", world.cloud.writes(mark));
    assert!(!world.has_function());
}

#[test]
fn exit_code_three_says_that_changes_are_pending() {
    let world = World::new();
    world.plan(3, &["--exit-code"]);
    world.deploy(&[]);
    let settled = world.plan(0, &["--exit-code"]);
    assert_eq!(pending(&settled), []);
    world.project.configure("[function]\nmemory_size = 512");
    world.plan(3, &["--exit-code"]);
    world.plan(0, &[]);
}

#[test]
fn the_plan_shows_each_member_that_differs_with_both_values() {
    let world = World::new();
    world.project.configure("[function]\nmemory_size = 256\ntimeout = 10");
    world.deploy(&[]);
    world.project.configure(
        "[function]\nmemory_size = 512\ntimeout = 10\n[function.environment]\nKEY = \"new-value\"",
    );
    let plan = world.plan(0, &[]);
    let steps = plan["steps"].as_array().unwrap();
    let configuration = steps.iter().find(|step| step["step"] == "configuration").expect("the step");
    assert_eq!(configuration["action"], "update");
    let changes = configuration["changes"].as_array().unwrap();
    assert!(changes.contains(&json!({ "path": "memory_size", "from": 256, "to": 512 })), "{plan:#}");
    assert!(changes.iter().any(|change| change["path"] == "environment.KEY"), "{plan:#}");
    assert!(!changes.iter().any(|change| change["path"] == "timeout"), "{plan:#}");
    assert!(!plan.to_string().contains("new-value"));
}

#[test]
fn a_dry_run_of_deploy_is_the_plan() {
    let world = World::new();
    let plan = world.plan(0, &[]);
    let mark = world.cloud.log().len();
    let dry = world.sandbox.json(0, world.arguments("deploy", &["--dry-run"])).pop().unwrap();
    assert_eq!(dry, plan);
    assert!(world.cloud.writes(mark).is_empty(), "{:#?}", world.cloud.writes(mark));
}

#[test]
fn what_was_planned_is_what_is_done() {
    let world = World::new();
    let planned = world.plan(0, &[]);
    let lines = world.sandbox.json(0, world.arguments("deploy", &[]));
    let shown = lines.iter().find(|line| line["reason"] == "planned").expect("the plan is shown first");
    assert_eq!(shown["steps"], planned["steps"]);
}
