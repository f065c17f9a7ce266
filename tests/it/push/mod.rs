//! Pushes that move no more than they have to, seen from the registry's side.

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
