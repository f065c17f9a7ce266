//! The AWS APIs as moto sees them, with a real registry behind the ECR host name.
//!
//! moto has gaps these tests step around: it knows no states and no revisions, takes the hash of
//! the image URI for the image's digest, and ignores the image configuration on an update.

use serde_json::{Value, json};

use crate::support::moto::{ACCOUNT, Aws, HOST, REGION, password};
use crate::support::oci_layout::{self, digest};
use crate::support::program::{architecture, static_program};
use crate::support::project::Project;
use crate::support::sandbox::Finished;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// moto with a role that Lambda may assume, and a project.
fn with_role() -> (Aws, Project) {
    let aws = Aws::start();
    aws.ask(["iam", "create-role", "--role-name", "runner", "--assume-role-policy-document", TRUST]);
    let project = Project::assembled(aws.sandbox.path(), "hello");
    (aws, project)
}

/// The result of a deployment that has to succeed.
#[track_caller]
fn deploy(aws: &Aws, project: &Project, options: &[&str]) -> Value {
    let mut arguments = vec!["deploy", project.argument()];
    arguments.extend(options);
    let result = aws.sandbox.json(0, arguments).pop().expect("a result");
    assert_eq!(result["reason"], "deployment", "{result}");
    result
}

/// The statements of the repository's policy.
fn statements(aws: &Aws) -> Vec<Value> {
    let policy = aws.ask(["ecr", "get-repository-policy", "--repository-name", "hello"]);
    let policy: Value = serde_json::from_str(policy["policyText"].as_str().unwrap()).unwrap();
    policy["Statement"].as_array().unwrap().clone()
}

/// A statement that lets Lambda pull, however it is written.
fn lets_lambda_pull(statement: &Value) -> bool {
    let text = statement.to_string();
    statement["Effect"] == "Allow"
        && ["lambda.amazonaws.com", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
            .iter()
            .all(|word| text.contains(word))
}

/// What skopeo reads under a digest: the manifest, whose digest it is.
#[track_caller]
fn manifest_by_skopeo(aws: &Aws, image_digest: &str) -> Value {
    let reference = format!("docker://{HOST}/hello@{image_digest}");
    let credentials = format!("AWS:{}", password());
    let Finished { stdout, .. } = aws.skopeo(["inspect", "--raw", "--creds", &credentials, &reference]);
    assert_eq!(digest(stdout.as_bytes()), image_digest);
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn a_first_deployment_makes_repository_policy_and_function_and_pushes_the_image() {
    let (aws, project) = with_role();
    let result = deploy(&aws, &project, &["--role", "runner"]);
    assert_eq!(result["action"], "created");
    assert_eq!(result["function_arn"], format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:hello"));
    let image_digest = result["image_digest"].as_str().unwrap();
    assert_eq!(result["image_uri"], format!("{HOST}/hello@{image_digest}"));

    let repositories = aws.ask(["ecr", "describe-repositories"]);
    assert_eq!(repositories["repositories"].as_array().unwrap().len(), 1, "{repositories}");
    assert_eq!(repositories["repositories"][0]["repositoryName"], "hello");
    assert!(statements(&aws).iter().any(lets_lambda_pull));

    let function = aws.ask(["lambda", "get-function", "--function-name", "hello"]);
    assert_eq!(function["Configuration"]["PackageType"], "Image");
    assert_eq!(function["Configuration"]["Architectures"], json!([architecture()]));
    assert_eq!(function["Configuration"]["Role"], format!("arn:aws:iam::{ACCOUNT}:role/runner"));
    assert_eq!(function["Code"]["ImageUri"], result["image_uri"]);

    let manifest = manifest_by_skopeo(&aws, image_digest);
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    let everything = aws.sandbox.path().join("copy");
    // Copying checks the digest of every blob.
    let (from, to) =
        (format!("docker://{HOST}/hello@{image_digest}"), format!("oci:{}", everything.display()));
    aws.skopeo(["copy", "--src-creds", &format!("AWS:{}", password()), &from, &to]);

    // Nobody but ECR's registry was asked for anything.
    assert!(aws.proxy.connected().iter().all(|host| *host == format!("{HOST}:443")));
}

#[test]
fn create_role_makes_a_role_lambda_may_assume_and_that_may_write_logs() {
    let aws = Aws::start();
    let project = Project::assembled(aws.sandbox.path(), "hello");
    deploy(&aws, &project, &["--create-role"]);
    let function = aws.ask(["lambda", "get-function", "--function-name", "hello"]);
    let role = function["Configuration"]["Role"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let found = aws.ask(["iam", "get-role", "--role-name", &role]);
    let trust = &found["Role"]["AssumeRolePolicyDocument"]["Statement"][0];
    assert_eq!(trust["Principal"]["Service"], "lambda.amazonaws.com", "{found}");
    let attached = aws.ask(["iam", "list-attached-role-policies", "--role-name", &role]);
    assert_eq!(
        attached["AttachedPolicies"][0]["PolicyArn"],
        "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    );
}

#[test]
fn a_second_deployment_sends_nothing_and_a_change_sends_only_what_changed() {
    let (aws, project) = with_role();
    let base = aws.sandbox.path().join("base");
    let program = std::fs::read(static_program()).unwrap();
    oci_layout::write(&base, architecture(), &["/bootstrap"], &[&[("bootstrap", &program)]]);
    project.write(
        "lambdactl.toml",
        format!(
            "[function]\nrole = \"runner\"\nmemory_size = 256\n[image]\nbase = \"oci:{}\"\nfiles = [{{ from = \"data\", to = \"/data\" }}]\n",
            base.display()
        ),
    );
    let first = deploy(&aws, &project, &[]);
    assert_eq!((&first["layers_uploaded"], &first["layers_reused"]), (&json!(2), &json!(0)));
    let policy = statements(&aws);

    let second = deploy(&aws, &project, &[]);
    assert_eq!((&second["layers_uploaded"], &second["bytes_uploaded"]), (&json!(0), &json!(0)));
    assert_eq!(second["image_digest"], first["image_digest"]);
    assert_eq!(statements(&aws), policy);
    assert_eq!(aws.requests("/functions/hello/configuration"), [""; 0]);
    assert_eq!(aws.requests("POST /2015-03-31/functions ").len(), 1);

    project.write("data", "second\n");
    let third = deploy(&aws, &project, &[]);
    assert_eq!(third["action"], "updated");
    assert_eq!((&third["layers_uploaded"], &third["layers_reused"]), (&json!(1), &json!(1)));
    let function = aws.ask(["lambda", "get-function", "--function-name", "hello"]);
    assert_eq!(function["Code"]["ImageUri"], third["image_uri"]);
    assert_eq!(function["Configuration"]["MemorySize"], 256);
    manifest_by_skopeo(&aws, third["image_digest"].as_str().unwrap());
}

#[test]
fn a_statement_somebody_else_wrote_into_the_policy_stays_as_it_was() {
    let (aws, project) = with_role();
    let foreign = json!({
        "Sid": "Auditors",
        "Effect": "Allow",
        "Principal": { "AWS": "arn:aws:iam::210987654321:root" },
        "Action": ["ecr:ListImages", "ecr:DescribeImages"],
    });
    let policy = json!({ "Version": "2012-10-17", "Statement": [&foreign] }).to_string();
    aws.ask(["ecr", "create-repository", "--repository-name", "hello"]);
    aws.ask(["ecr", "set-repository-policy", "--repository-name", "hello", "--policy-text", &policy]);
    deploy(&aws, &project, &["--role", "runner"]);
    let statements = statements(&aws);
    assert!(statements.contains(&foreign), "{statements:#?}");
    assert!(statements.iter().any(lets_lambda_pull), "{statements:#?}");
    assert_eq!(statements.len(), 2, "{statements:#?}");
}

#[test]
fn the_token_of_the_registry_is_never_shown() {
    let (aws, project) = with_role();
    let mut arguments = vec!["deploy", project.argument(), "--role", "runner"];
    arguments.extend(["-v"; 4]);
    let done = aws.sandbox.run(arguments).expect(0);
    let token =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("AWS:{}", password()));
    assert!(done.stdout.starts_with("arn:") && done.stderr.contains(HOST), "{done}");
    for secret in [password(), token] {
        assert!(!done.stdout.contains(&secret) && !done.stderr.contains(&secret), "{done}");
    }
}

#[test]
fn push_prints_the_repository_and_digest_and_that_image_can_be_deployed() {
    let (aws, project) = with_role();
    let pushed = aws.sandbox.run(["push", project.argument()]).expect(0).stdout;
    let reference = pushed.strip_suffix('\n').expect("one line");
    let (repository, image_digest) = reference.split_once('@').expect("a digest");
    assert_eq!(repository, format!("{HOST}/hello"));
    manifest_by_skopeo(&aws, image_digest);

    let result = deploy(&aws, &project, &["--image", reference, "--role", "runner"]);
    assert_eq!(result["image_uri"], reference);
    assert_eq!(result["layers_uploaded"], 0);
}
