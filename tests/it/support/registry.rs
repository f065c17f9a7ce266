//! Debian's docker-registry, plain or with TLS and Basic authentication, and a scripted registry
//! for what a good one does not do.

pub mod scripted;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lambdactl::domain::reference::RegistryHost;
use tempfile::TempDir;

/// The user of a registry with authentication.
pub const USER: &str = "AWS";
/// The password of a registry with authentication.
pub const PASSWORD: &str = "correct horse";

/// A running docker-registry; it ends with this value.
#[derive(Debug)]
pub struct DockerRegistry {
    process: Child,
    directory: TempDir,
    address: SocketAddr,
    name: String,
}

impl DockerRegistry {
    /// Starts one on a loopback port, without TLS and open to everybody.
    pub fn plain() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::start(directory, "127.0.0.1", "", "")
    }

    /// Starts one with TLS for the host `name`, where [`USER`] needs [`PASSWORD`].
    pub fn secure(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certificate = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let write = |file: &str, content: &[u8]| {
            let path = directory.path().join(file);
            std::fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        let pem = write("certificate.pem", certificate.cert.pem().as_bytes());
        let key = write("key.pem", certificate.signing_key.serialize_pem().as_bytes());
        let users = Command::new("htpasswd").args(["-Bbn", "-C4", USER, PASSWORD]).output();
        let users = users.expect("htpasswd (Debian package apache2-utils) is needed");
        let users = write("htpasswd", &users.stdout);
        let tls = format!("  tls:\n    certificate: {pem}\n    key: {key}\n");
        let auth = format!("auth:\n  htpasswd:\n    realm: test\n    path: {users}\n");
        Self::start(directory, name, &tls, &auth)
    }

    fn start(directory: TempDir, name: &str, tls: &str, auth: &str) -> Self {
        // The port is free until somebody else takes it: then the registry ends, and another
        // port is tried.
        for _ in 0..5 {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let root = directory.path().join("storage");
            let config = format!(
                "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  \
                 filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n{tls}{auth}",
                root.display()
            );
            let path = directory.path().join("config.yml");
            std::fs::write(&path, config).unwrap();
            let mut process = Command::new("docker-registry")
                .arg("serve")
                .arg(&path)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("docker-registry (Debian package of that name) is needed");
            if listens(&mut process, address) {
                return Self { process, directory, address, name: name.to_owned() };
            }
        }
        panic!("docker-registry does not start");
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The host as image references name it.
    pub fn host(&self) -> RegistryHost {
        format!("{}:{}", self.name, self.address.port()).parse().unwrap()
    }

    /// Loses the bytes of all layers, and keeps what images are made of.
    pub fn lose_layers(&self) {
        let blobs = self.directory.path().join("storage/docker/registry/v2/blobs");
        let files = walkdir::WalkDir::new(blobs).into_iter().map(Result::unwrap);
        for file in files.filter(|file| file.file_name() == "data") {
            let is_packed = std::fs::read(file.path()).unwrap().starts_with(&[0x1f, 0x8b]);
            if is_packed {
                std::fs::remove_file(file.path()).unwrap();
            }
        }
    }

    /// The PEM file that makes its certificate trusted.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn listens(process: &mut Child, address: SocketAddr) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if process.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = process.kill();
    let _ = process.wait();
    false
}

/// Runs skopeo and returns what it prints.
pub fn skopeo(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("skopeo")
        .arg("--insecure-policy")
        .args(arguments)
        .output()
        .expect("skopeo (Debian package of that name) is needed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {}: {errors}", arguments.join(" "));
    output.stdout
}
