//! Broken networks, busy services, interruptions; then the same command finishes the job.

mod functions;
mod interruption;
mod outcome;
mod registries;

use crate::support::sandbox::Finished;
use crate::support::world::World;

/// Runs the same deployment again, which has to end with the function live and all of it there.
#[track_caller]
fn assert_the_same_command_finishes(world: &World) {
    let result = world.deploy(&[]);
    assert_eq!(result["state"], "Active", "{result}");
    assert_eq!(result["last_update_status"], "Successful", "{result}");
    let function = world.function();
    assert_eq!(function["Code"]["ResolvedImageUri"], result["image_uri"]);
    assert_eq!(world.deploy(&[])["action"], "unchanged");
}

/// Expects that a repetition was reported, with why.
#[track_caller]
fn assert_retried(done: &Finished, why: &str) {
    let retries: Vec<_> = done.json_lines().into_iter().filter(|line| line["reason"] == "retrying").collect();
    assert!(!retries.is_empty(), "a repetition is reported: {done}");
    assert!(retries.iter().any(|line| line["because"].to_string().contains(why)), "`{why}`: {retries:#?}");
}
