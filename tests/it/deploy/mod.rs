//! The whole way, by the real binary against its local cloud.

mod change;
mod first;
mod keep;
mod local;
mod many;
mod plan;
mod refusal;
mod script;
mod source;

use std::process::Command;

use crate::support::world::World;

/// An image of the Docker Engine, by name or ID, that is removed with the test.
pub struct EngineImage(pub String);

impl EngineImage {
    /// Builds the project's Dockerfile with the classic builder. That loses sight of an image it
    /// has just made when others are removed at the same moment: then it is asked again.
    pub fn build(&self, world: &World) {
        for attempt in 1.. {
            let built = Command::new("docker")
                .args(["build", "--tag", &self.0, world.project.argument()])
                .env("DOCKER_BUILDKIT", "0")
                .output()
                .expect("docker is installed");
            if built.status.success() {
                return;
            }
            let errors = String::from_utf8_lossy(&built.stderr);
            assert!(attempt < 5 && errors.contains("unable to find image"), "{errors}");
        }
    }
}

impl Drop for EngineImage {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["image", "rm", "--force", &self.0]).output();
    }
}
