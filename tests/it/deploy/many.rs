//! Several functions in one command.

use serde_json::Value;

use crate::support::project::Project;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

fn projects(sandbox: &Sandbox, names: &[&str]) -> Vec<Project> {
    names.iter().map(|name| Project::assembled(sandbox.path(), name)).collect()
}

fn deploy<'a>(projects: &'a [Project], options: &[&'a str]) -> Vec<&'a str> {
    let paths = projects.iter().map(Project::argument);
    ["deploy", "--local"].into_iter().chain(options.iter().copied()).chain(paths).collect()
}

fn of(lines: &[Value], reason: &str) -> Vec<String> {
    let lines = lines.iter().filter(|line| line["reason"] == reason);
    lines.map(|line| line["function_name"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let sandbox = Sandbox::new();
    let projects = projects(&sandbox, &["one", "two", "three"]);
    std::fs::remove_file(projects[1].file("data")).unwrap();
    let done = sandbox.run(deploy(&projects, &[])).expect(1);
    let arn = |name| format!("arn:aws:lambda:us-east-1:000000000000:function:{name}\n");
    assert_eq!(done.stdout, arn("one") + &arn("three"), "the ARNs stand in the order of the directories");
    assert!(done.stderr.contains("error: two: "), "{done}");
    let row = |name: &str| {
        let row = done.stderr.lines().find(|line| line.starts_with(name) && !line.contains(": "));
        row.unwrap_or_else(|| panic!("no row for `{name}`\n{done}")).to_owned()
    };
    assert!(row("one ").contains("created") && row("three ").contains("Active"), "{done}");
    assert!(done.stderr.ends_with("s)\n") && done.stderr.contains("✗ 1 of 3 functions failed"), "{done}");

    let lines = sandbox.json(1, deploy(&projects, &[]));
    assert_eq!(of(&lines, "deployment"), ["one", "three"]);
    assert_eq!(of(&lines, "error"), ["two"]);
    let results = &lines[lines.len() - 3..];
    assert_eq!(of(results, "error"), ["two"], "the last lines are the results");
    let started = lines.iter().filter(|line| line["reason"] == "step-started");
    assert!(started.into_iter().all(|line| line["function_name"].is_string()), "{lines:#?}");
}

#[test]
fn the_first_failure_stops_the_others_where_that_is_asked_for() {
    let sandbox = Sandbox::new();
    let projects = projects(&sandbox, &["one", "two"]);
    std::fs::remove_file(projects[0].file("data")).unwrap();
    let lines = sandbox.json(1, deploy(&projects, &["--fail-fast", "--jobs", "1"]));
    assert_eq!(of(&lines, "error"), ["one", "two"]);
    assert!(lines.last().unwrap()["message"].as_str().unwrap().contains("another one failed first"));
    sandbox.run(["status", "--local", "two"]).expect(1);
}

#[test]
fn what_several_functions_need_in_one_repository_is_sent_once() {
    let world = World::new();
    let projects = projects(&world.sandbox, &["one", "two", "three", "four"]);
    projects.iter().for_each(|project| project.configure("[repository]\nname = \"shared\""));
    let lines = world.sandbox.json(0, deploy(&projects, &[]));
    assert_eq!(of(&lines, "deployment").len(), 4);
    let log = world.cloud.log();
    let uploads =
        log.iter().filter(|it| it.method == "POST" && it.path == "/v2/shared/blobs/uploads/").count();
    assert_eq!(uploads, 2, "one layer and one configuration: {log:#?}");
}

#[test]
fn plans_of_several_functions_stand_in_the_order_of_the_directories() {
    let sandbox = Sandbox::new();
    let projects = projects(&sandbox, &["one", "two"]);
    let arguments = ["plan", "--local", "--exit-code", projects[0].argument(), projects[1].argument()];
    let done = sandbox.run(arguments).expect(3);
    let heads: Vec<_> = done.stdout.lines().filter(|line| ["one", "two"].contains(line)).collect();
    assert_eq!(heads, ["one", "two"], "{done}");
    let lines = sandbox.json(3, arguments);
    assert_eq!(of(&lines, "plan"), ["one", "two"]);
}
