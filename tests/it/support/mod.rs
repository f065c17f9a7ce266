//! The parts tests start and stop, and the ways a test says that it cannot run here.

pub mod docker;
pub mod engine_proxy;
pub mod engines;
pub mod layout;
pub mod local_server;
pub mod moto;
pub mod oci_layout;
pub mod podman;
pub mod processes;
pub mod program;
pub mod project;
pub mod python;
pub mod registry;
pub mod sandbox;
pub mod world;

use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Tells whether a Docker Engine answers; where none does, the test says so and should return.
///
/// Panics with `CI=true`, where a test that does not run is a failure.
pub fn needs_docker() -> bool {
    static ANSWERS: OnceLock<bool> = OnceLock::new();
    let answers = *ANSWERS.get_or_init(|| match std::env::var("LAMBDACTL_TEST_DOCKER").as_deref() {
        Ok("yes") => true,
        Ok("no") => false,
        _ => Command::new("docker")
            .args(["version", "--format", "{{.Server.Version}}"])
            .stdin(Stdio::null())
            .output()
            .is_ok_and(|output| output.status.success()),
    });
    if !answers {
        skip("no Docker Engine answers");
    }
    answers
}

/// Tells whether this machine lets us make namespaces; where it does not, as [`needs_docker`].
pub fn needs_namespaces() -> bool {
    let made = |options: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(options).args(["--mount", "--pid", "--fork", "--mount-proc", "true"]);
        command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let has = made(&[]) || made(&["--user", "--map-root-user"]);
    if !has {
        skip("no namespaces can be made");
    }
    has
}

/// Counts this test as skipped, for a reason; the test has to return right after.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(!is_ci(), "skipped: {test}: {reason}; with CI=true every test has to run");
    eprintln!("skipped: {test}: {reason}");
    if let Some(list) = std::env::var_os("LAMBDACTL_TEST_SKIPPED") {
        let mut list =
            OpenOptions::new().append(true).create(true).open(list).expect("the list can be written");
        writeln!(list, "{test}: {reason}").expect("the list can be written");
    }
}

fn is_ci() -> bool {
    matches!(std::env::var("CI").as_deref(), Ok("true" | "1"))
}

/// A port nobody listens on at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Asks again and again until there is an answer; panics when `patience` is over.
#[track_caller]
pub fn wait_for<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < patience, "waited {patience:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
