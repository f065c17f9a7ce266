//! The engines with the containerd store that `tests/run` starts, and images in them and in the
//! usual one.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use lambdactl::services::docker::EngineLocation;

use super::layout::{Layout, called};
use super::oci_layout;

/// An engine, and the images that tests put into it.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Its address, as `DOCKER_HOST`.
    pub host: String,
}

/// An engine that keeps its images in containerd; where there is none, the test says that it was
/// skipped, and should return.
pub fn containerd() -> Option<Engine> {
    named("LAMBDACTL_TEST_CONTAINERD_ENGINE")
}

/// Another one, which cannot reach what listens on this machine.
pub fn remote() -> Option<Engine> {
    named("LAMBDACTL_TEST_REMOTE_ENGINE")
}

/// The usual one, which keeps its images as directories.
pub fn usual() -> Option<Engine> {
    let host = super::docker::engine()?.host?;
    Some(Engine { host })
}

fn named(variable: &str) -> Option<Engine> {
    let host = std::env::var(variable).ok();
    if host.is_none() {
        super::skip(&format!("tests/run names no engine in {variable}"));
    }
    host.map(|host| Engine { host })
}

impl Engine {
    /// Where it is.
    pub fn location(&self) -> EngineLocation {
        EngineLocation { host: Some(self.host.clone()), ..EngineLocation::default() }
    }

    /// Runs the docker client, and returns what it prints.
    #[track_caller]
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = self.client(arguments).output().expect("docker is installed");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {}: {errors}", arguments.join(" "));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", &self.host).args(arguments).stdin(Stdio::null());
        command
    }

    /// Loads a layout of one image, index or not, under a name of its own.
    #[track_caller]
    pub fn load(&self, layout: &Layout, entry: serde_json::Value) -> Loaded {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lambdactl-test-{}:{count}", std::process::id());
        let mut entry = called(entry, &name);
        entry["annotations"]["io.containerd.image.name"] = format!("docker.io/library/{name}").into();
        layout.write_index(&[entry]);
        let archive = tempfile::NamedTempFile::new().expect("there is room for an archive");
        oci_layout::archive(layout.0.path(), archive.path());
        self.load_archive(&archive.path().display().to_string(), name)
    }

    /// Loads an archive of one image, which it calls `name`.
    #[track_caller]
    pub fn load_archive(&self, path: &str, name: String) -> Loaded {
        self.docker(&["image", "load", "--quiet", "--input", path]);
        Loaded { engine: self.clone(), name }
    }
}

/// An image of an engine that goes with this value.
#[derive(Debug)]
pub struct Loaded {
    engine: Engine,
    /// What it is called there.
    pub name: String,
}

impl Loaded {
    /// The same as an IMAGE of the command line.
    pub fn source(&self) -> String {
        format!("docker:{}", self.name)
    }

    /// Its ID.
    pub fn id(&self) -> String {
        self.engine.docker(&["image", "inspect", "--format", "{{.Id}}", &self.name])
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let _ = self.engine.client(&["image", "rm", "--force", &self.name]).output();
    }
}
