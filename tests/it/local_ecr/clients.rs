//! Docker and skopeo push to the registry and pull from it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use super::cloud::{Cloud, REGION};
use crate::support::needs_docker;
use crate::support::python::{aws, aws_json};

/// An image of the engine that is removed again.
struct EngineImage(String);

impl Drop for EngineImage {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "-f", &self.0]).output();
    }
}

fn succeeds(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn docker(config: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new("docker")
        .arg("--config")
        .arg(config)
        .args(arguments)
        .env_remove("DOCKER_BUILDKIT")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_logs_in_pushes_and_pulls() {
    if !needs_docker() {
        return;
    }
    let (directory, config, context) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cloud = Cloud::start(directory.path()).await;
    cloud.create_repository("team/hello").await;
    let docker = |arguments: &[&str], input: &str| docker(config.path(), arguments, input);

    let reference = format!("{}/team/hello:v1", cloud.authority());
    let image = EngineImage(reference.clone());
    std::fs::write(context.path().join("Dockerfile"), "FROM scratch\nCOPY file /file\n").unwrap();
    std::fs::write(context.path().join("file"), cloud.authority()).unwrap();
    succeeds(&docker(&["build", "-q", "-t", &reference, &context.path().to_string_lossy()], ""));
    let refused = docker(&["push", &reference], "");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no basic auth credentials"), "{refused:?}");
    let password = succeeds(&aws(&cloud.endpoint, REGION, &["ecr", "get-login-password"]));
    succeeds(&docker(&["login", "-u", "AWS", "--password-stdin", cloud.authority()], &password));
    let pushed = succeeds(&docker(&["push", &reference], ""));

    let ids = ["ecr", "describe-images", "--repository-name", "team/hello"];
    let described = aws_json(&cloud.endpoint, REGION, &ids);
    let digest = described["imageDetails"][0]["imageDigest"].as_str().unwrap().to_owned();
    assert!(pushed.contains(&digest), "{pushed}");
    assert_eq!(described["imageDetails"][0]["imageTags"], json!(["v1"]));
    let id = succeeds(&docker(&["inspect", "--format", "{{.Id}}", &reference], ""));
    drop(image);
    let pinned = EngineImage(format!("{}/team/hello@{digest}", cloud.authority()));
    succeeds(&docker(&["pull", "-q", &pinned.0], ""));
    assert_eq!(succeeds(&docker(&["inspect", "--format", "{{.Id}}", &pinned.0], "")), id);
    let missing = docker(&["pull", &format!("{}/team/none:v1", cloud.authority())], "");
    let text = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(text.contains("The repository with name 'team/none' does not exist"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_from_and_to_the_registry() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(directory.path()).await;
    cloud.create_repository("source").await;
    cloud.create_repository("team/target").await;
    let digest = cloud.push_image("source", "v1", b"hello").await;
    let (auth, layout) = (directory.path().join("auth.json"), directory.path().join("layout"));
    let token = cloud.basic(time::Duration::HOUR).replace("Basic ", "");
    std::fs::write(&auth, json!({ "auths": { cloud.authority(): { "auth": token } } }).to_string()).unwrap();
    let skopeo = |arguments: &[&str]| {
        let output = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"])
            .arg(format!("--authfile={}", auth.display()))
            .args(arguments)
            .output();
        succeeds(&output.expect("skopeo runs"))
    };
    let registry = |image: &str| format!("docker://{}/{image}", cloud.authority());
    let local = format!("oci:{}:v1", layout.display());
    skopeo(&["--preserve-digests", &registry("source:v1"), &local]);
    skopeo(&["--preserve-digests", &local, &registry("team/target:v2")]);
    skopeo(&["--preserve-digests", &registry("source:v1"), &registry("team/target:v3")]);
    for tag in ["v2", "v3"] {
        let ids = json!({ "repositoryName": "team/target", "imageIds": [{ "imageTag": tag }] });
        let (_, described) = cloud.ecr("DescribeImages", ids).await;
        assert_eq!(described["imageDetails"][0]["imageDigest"], json!(digest), "{described}");
    }
}
