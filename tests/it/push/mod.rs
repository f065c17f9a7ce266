//! Pushes that move no more than they have to, seen from the registry's side.

use crate::support::engine_proxy::EngineProxy;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

mod bases;
mod containerd;
mod directories;
mod names;
mod prefix;
mod remote;
mod sources;
pub mod unchanged;

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

/// A world whose engine is behind `proxy`.
fn behind(proxy: &EngineProxy) -> World {
    let mut sandbox = Sandbox::new();
    sandbox.set("DOCKER_HOST", &proxy.host());
    World::in_sandbox(sandbox)
}
