//! Functions that settle in Failed, or not in time.

use std::time::{Duration, Instant};

use super::assert_the_same_command_finishes;
use crate::support::world::World;

#[test]
fn a_function_whose_creation_fails_ends_at_once_with_code_four_and_the_reason() {
    let world = World::new();
    world.fails_later("ImageAccessDenied", "Lambda does not have permission to access the ECR image.");
    let begin = Instant::now();
    let done = world.try_deploy(&["--output", "json"]).expect(4);
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    let error = done.last_json();
    assert_eq!(error["reason"], "error");
    let whole = error.to_string();
    assert!(whole.contains("ImageAccessDenied"), "{error}");
    assert!(whole.contains("does not have permission"), "{error}");
    assert!(!error["hints"].as_array().unwrap().is_empty(), "every known reason has a hint: {error}");
}

#[test]
fn an_update_that_fails_ends_with_code_four_and_the_next_one_mends_it() {
    let world = World::new();
    world.deploy(&[]);
    world.fails_later("InvalidImage", "Layer 1 cannot be unpacked.");
    world.project.write("data", "second\n");
    let done = world.try_deploy(&[]).expect(4);
    assert!(done.stderr.contains("InvalidImage") && done.stderr.contains("cannot be unpacked"), "{done}");
    assert_eq!(done.stdout, "");
    world.project.write("data", "third\n");
    assert_the_same_command_finishes(&world);
}

#[test]
fn watch_tells_a_failed_function_from_a_ready_one() {
    let world = World::new();
    world.sandbox.run(["watch", "--local", "hello"]).expect(1);
    world.fails_later("InternalError", "We encountered an internal error. Please try again.");
    world.deploy(&["--no-wait"]);
    let done = world.sandbox.run(["watch", "--local", "hello"]).expect(4);
    assert!(done.stderr.contains("InternalError"), "{done}");
}

#[test]
fn a_wait_that_is_too_short_ends_with_code_five_and_says_that_the_deployment_goes_on() {
    let world = World::new();
    let done = world.try_deploy(&["--wait-timeout", "200ms"]).expect(5);
    assert!(done.stderr.contains("watch"), "the next step is shown: {done}");
    let done = world.sandbox.run(["watch", "--local", "hello"]).expect(0);
    assert!(!done.stdout.is_empty() || !done.stderr.is_empty());
    assert_the_same_command_finishes(&world);
}
