//! Pushes that move no more than they have to, seen from the registry's side.

mod bases;
mod containerd;
mod names;
mod remote;
mod sources;
pub mod unchanged;

use crate::support::world::World;

/// A push to the local cloud of images that are there to be moved, not to run.
const PUSH: [&str; 10] = [
    "push",
    "--local",
    "--function",
    "hello",
    "--allow",
    "entry-point-not-found",
    "--allow",
    "entry-point-not-executable",
    "--allow",
    "entry-point-format",
];

/// What the registry was asked since `mark`, without the paths' beginnings.
fn asked(world: &World, mark: usize) -> Vec<String> {
    let log = world.cloud.log();
    let registry = log[mark..].iter().filter(|entry| entry.path.starts_with("/v2/"));
    registry
        .map(|entry| {
            let kind = if entry.path.contains("/manifests/") { "manifest" } else { "blob" };
            format!("{} {kind}", entry.method)
        })
        .collect()
}
