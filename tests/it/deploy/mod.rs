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

/// An image of the Docker Engine, by name or ID, that is removed with the test.
pub struct EngineImage(pub String);

impl Drop for EngineImage {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker").args(["image", "rm", "--force", &self.0]).output();
    }
}
