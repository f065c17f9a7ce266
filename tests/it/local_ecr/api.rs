//! The ECR API as AWS CLI and boto3 see it: they parse every answer, without a warning.

use super::cloud::{Cloud, REGION};
use crate::support::python::{aws, aws_json, boto3};

const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"s","Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_manages_repositories_and_their_policies() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(directory.path()).await;
    let ecr = |arguments: &[&str]| aws_json(&cloud.endpoint, "eu-west-1", &[&["ecr"], arguments].concat());
    let fails = |arguments: &[&str]| {
        let output = aws(&cloud.endpoint, "eu-west-1", &[&["ecr"], arguments].concat());
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let name = ["--repository-name", "team/hello"];
    let with = |operation: &'static str, more: &[&'static str]| [&[operation], &name[..], more].concat();

    let missing = fails(&with("get-repository-policy", &[]));
    assert!(
        missing.contains("(RepositoryNotFoundException) when calling the GetRepositoryPolicy operation: The repository with name 'team/hello' does not exist in the registry with id '000000000000'"),
        "{missing}"
    );
    let created = ecr(&with("create-repository", &["--image-tag-mutability", "IMMUTABLE"]));
    let repository = &created["repository"];
    assert_eq!(repository["repositoryUri"], format!("{}/team/hello", cloud.authority()));
    assert_eq!(repository["registryId"], "000000000000");
    assert_eq!(repository["repositoryArn"], "arn:aws:ecr:eu-west-1:000000000000:repository/team/hello");
    assert_eq!(repository["imageTagMutability"], "IMMUTABLE");
    assert_eq!(repository["encryptionConfiguration"]["encryptionType"], "AES256");
    let again = fails(&with("create-repository", &[]));
    assert!(again.contains("(RepositoryAlreadyExistsException)"), "{again}");

    let none = fails(&with("get-repository-policy", &[]));
    assert!(none.contains("(RepositoryPolicyNotFoundException)"), "{none}");
    let bad = fails(&with("set-repository-policy", &["--policy-text", "{}"]));
    assert!(
        bad.contains("Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'"),
        "{bad}"
    );
    ecr(&with("set-repository-policy", &["--policy-text", POLICY]));
    assert_eq!(ecr(&with("get-repository-policy", &[]))["policyText"], POLICY);

    let elsewhere = aws_json(&cloud.endpoint, REGION, &["ecr", "describe-repositories"]);
    assert_eq!(elsewhere["repositories"].as_array().unwrap().len(), 0, "repositories belong to a region");
    ecr(&with("delete-repository", &[]));
    assert_eq!(ecr(&["describe-repositories"])["repositories"].as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_pushes_an_image_through_the_api_and_reads_it_back() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(directory.path()).await;
    let printed = boto3(&cloud.endpoint, REGION, include_str!("push_through_api.py"));
    assert_eq!(printed.trim(), "done");
    assert_eq!(std::fs::read_dir(directory.path().join("uploads")).unwrap().count(), 0);
}
