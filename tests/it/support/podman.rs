//! A real Podman behind the Docker Engine API, with its images in a directory of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lambdactl::services::docker::EngineLocation;

use super::{skip, wait_for};

/// Podman's API service; it ends with the value.
#[derive(Debug)]
pub struct Podman {
    service: Child,
    directory: tempfile::TempDir,
}

impl Podman {
    /// Starts the service; where there is no Podman, the test says so and should return.
    pub fn start() -> Option<Self> {
        let installed = Command::new("podman").arg("--version").output().is_ok();
        if !installed {
            skip("Podman is not installed");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        // Its own defaults need rights that even root may lack in a virtual machine.
        let settings = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";
        std::fs::write(at("containers.conf"), settings).unwrap();
        let service = Command::new("podman")
            .env("CONTAINERS_CONF", at("containers.conf"))
            // It leaves files where it was started.
            .current_dir(directory.path())
            .args(["--storage-driver", "vfs", "--root"])
            .arg(at("root"))
            .arg("--runroot")
            .arg(at("run"))
            .args(["system", "service", "--time", "0"])
            .arg(format!("unix://{}", at("podman.sock").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let podman = Self { service, directory };
        wait_for("Podman's socket", Duration::from_secs(30), || podman.socket().exists().then_some(()));
        Some(podman)
    }

    fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("podman.sock")
    }

    /// Where it listens.
    pub fn location(&self) -> EngineLocation {
        let socket: &Path = &self.socket();
        EngineLocation { host: Some(format!("unix://{}", socket.display())), ..EngineLocation::default() }
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}
