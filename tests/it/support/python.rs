//! The Python programs that serve as real clients: AWS CLI and boto3.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The directory of `aws`, `python` and `moto_server`: `LAMBDACTL_TEST_PYTHON`, else what
/// `tests/run` installs.
pub fn directory() -> PathBuf {
    let directory = std::env::var_os("LAMBDACTL_TEST_PYTHON")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-python/bin"), PathBuf::from);
    let found = directory.join("aws").is_file();
    assert!(found, "no AWS CLI in {}: run tests/run, or set LAMBDACTL_TEST_PYTHON", directory.display());
    directory
}

/// What functions in Python are made of, where `tests/run` could make it: `base.tar.gz` is a
/// Debian with Python, and the folder `task` holds the runtime client of AWS.
pub fn function_parts() -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-python-function");
    if directory.join("made-of").is_file() {
        return Some(directory);
    }
    super::skip("tests/run could not make a Debian with Python");
    None
}

/// Runs the AWS CLI against `endpoint` and returns what it did.
pub fn aws(endpoint: &str, region: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(directory().join("aws"));
    command.args(arguments).args(["--output", "json"]);
    isolated(&mut command, endpoint, region).output().expect("aws runs")
}

/// Runs the AWS CLI and returns the JSON it prints; panics where it fails or complains.
pub fn aws_json(endpoint: &str, region: &str, arguments: &[&str]) -> serde_json::Value {
    let output = aws(endpoint, region, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "aws {arguments:?}: {stderr}");
    if output.stdout.is_empty() {
        return serde_json::Value::Null;
    }
    serde_json::from_slice(&output.stdout).expect("aws prints JSON")
}

/// Runs a script that uses boto3. Every warning, of Python or of botocore's log, is an error,
/// and so is anything on standard error. Returns what it prints.
pub fn boto3(endpoint: &str, region: &str, script: &str) -> String {
    let prologue =
        "import logging, json\nlogging.basicConfig(level=logging.WARNING)\nimport boto3, botocore\n";
    let mut command = Command::new(directory().join("python"));
    command.args(["-W", "error", "-c", &format!("{prologue}{script}")]);
    let output = isolated(&mut command, endpoint, region).output().expect("python runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Gives a client dummy credentials and nothing of the user's own configuration.
fn isolated<'a>(command: &'a mut Command, endpoint: &str, region: &str) -> &'a mut Command {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("AWS_") || name.to_ascii_lowercase().ends_with("_proxy") {
            command.env_remove(&*name);
        }
    }
    command
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_REGION", region)
        .env("AWS_DEFAULT_REGION", region)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_PAGER", "")
}
