//! The local cloud's Lambda, IAM and STS, with real clients: boto3, the AWS CLI, the Rust SDK.

use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::types::{Architecture, FunctionCode, LastUpdateStatus, PackageType, State};
use lambdactl::domain::digest::Digest;
use serde_json::{Value, json};

use crate::local_ecr::cloud::{Cloud, REGION};
use crate::support::python::{aws, aws_json, boto3};

/// A role of an account the local cloud knows nothing about.
const ROLE: &str = "arn:aws:iam::123456789012:role/hello";

const STRICT: &str = include_str!("local_lambda/strict.py");

struct World {
    _directory: tempfile::TempDir,
    cloud: Cloud,
}

impl World {
    /// A cloud with the repository `hello`, which Lambda may read, and two images in it.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let cloud = Cloud::start(directory.path()).await;
        let world = Self { _directory: directory, cloud };
        world.repository("hello").await;
        for tag in ["v1", "v2"] {
            world.cloud.push_image("hello", tag, tag.as_bytes()).await;
        }
        world
    }

    /// Makes a repository Lambda may read.
    async fn repository(&self, name: &str) {
        self.cloud.create_repository(name).await;
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        }]});
        let input = json!({"repositoryName": name, "policyText": policy.to_string()});
        let (status, output) = self.cloud.ecr("SetRepositoryPolicy", input).await;
        assert_eq!(status, 200, "{output}");
    }

    fn uri(&self, rest: &str) -> String {
        format!("{}/{rest}", self.cloud.authority())
    }

    /// Runs a boto3 script with `functions`, the strict Lambda client; it prints JSON.
    fn boto3(&self, script: &str) -> Value {
        let names = format!("{STRICT}\nrole = '{ROLE}'\nhost = '{}'\n", self.cloud.authority());
        let printed = boto3(&self.cloud.endpoint, REGION, &format!("{names}{script}"));
        serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}"))
    }

    fn aws(&self, arguments: &[&str]) -> Value {
        aws_json(&self.cloud.endpoint, REGION, arguments)
    }

    /// What the AWS CLI complains about.
    fn aws_refused(&self, arguments: &[&str]) -> String {
        let output = aws(&self.cloud.endpoint, REGION, arguments);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).trim().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_creates_updates_publishes_and_deletes() {
    let world = World::new().await;
    let seen = world.boto3(include_str!("local_lambda/lifecycle.py"));
    assert_eq!(seen["created"]["ResponseMetadata"]["HTTPStatusCode"], 201);
    assert_eq!(seen["created"]["State"], "Pending");
    assert_eq!(
        seen["busy"],
        json!([
            409,
            "ResourceConflictException",
            "The operation cannot be performed at this time. The function is currently in the following state: Pending"
        ])
    );
    let active = &seen["active"];
    assert_eq!(active["Configuration"]["State"], "Active");
    let digest = active["Configuration"]["CodeSha256"].as_str().unwrap();
    assert!(Digest::from_hex(digest).is_ok(), "{digest}");
    assert_eq!(
        active["Code"],
        json!({
            "RepositoryType": "ECR",
            "ImageUri": world.uri("hello:v1"),
            "ResolvedImageUri": world.uri(&format!("hello@sha256:{digest}")),
        })
    );
    assert_eq!(seen["configured"]["LastUpdateStatusReasonCode"], "Creating");
    assert_eq!(
        seen["updating"],
        json!([
            409,
            "ResourceConflictException",
            "The operation cannot be performed at this time. An update is in progress for resource: arn:aws:lambda:us-east-1:000000000000:function:hello"
        ])
    );
    assert_eq!((&seen["stale"][0], &seen["stale"][1]), (&json!(412), &json!("PreconditionFailedException")));
    assert_eq!(
        (&seen["published"]["Version"], &seen["published"]["State"]),
        (&json!("1"), &json!("Pending"))
    );
    assert_eq!(seen["again"], "1");
    assert_eq!(seen["by_alias"]["Configuration"]["Timeout"], 60);
    assert_eq!(seen["settings"]["AccountUsage"]["FunctionCount"], 1);
    assert_eq!(seen["last"]["Tags"], json!({"more": "tags"}));
    assert_eq!(seen["last"]["Concurrency"], json!({"ReservedConcurrentExecutions": 5}));
    assert_eq!(seen["listed"].as_array().unwrap().len(), 1);
    assert_eq!((&seen["versions"], &seen["aliases"]), (&json!(["$LATEST", "1"]), &json!(["live"])));
    assert_eq!(seen["deleted"], 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_refused_by_what_the_registry_holds() {
    let world = World::new().await;
    let cloud = &world.cloud;
    cloud.create_repository("locked").await;
    cloud.push_image("locked", "v1", b"locked").await;
    let (manifest, _) = cloud.image("hello", b"child").await;
    let child = cloud.put_manifest("hello", &Digest::of(&manifest).to_string(), &manifest).await;
    assert_eq!(child.status(), 201);
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": Digest::of(&manifest), "size": manifest.len(),
            "platform": {"os": "linux", "architecture": "amd64"},
        }],
    });
    let put = cloud.v2(reqwest::Method::PUT, "/v2/hello/manifests/index");
    let put = put.header("content-type", "application/vnd.oci.image.index.v1+json");
    assert_eq!(put.body(index.to_string()).send().await.unwrap().status(), 201);

    let refusals = world.boto3(
        r#"
uris = [f'{host}/hello:v9', f'{host}/none:v1', f'{host}/hello', 'public.ecr.aws/lambda/python:3.12',
        '000000000000.dkr.ecr.eu-west-1.amazonaws.com/hello:v1', f'{host}/hello:index', f'{host}/locked:v1']
created = [refusal('create_function', FunctionName='new', Role=role, PackageType='Image',
                   Code={'ImageUri': uri}) for uri in uris]
functions.create_function(FunctionName='hello', Role=role, PackageType='Image',
                          Code={'ImageUri': f'{host}/hello:v1'})
functions.get_waiter('function_active_v2').wait(FunctionName='hello')
updated = [refusal('update_function_code', FunctionName='hello', ImageUri=uri) for uri in uris]
zipped = refusal('update_function_code', FunctionName='hello', ZipFile=b'x')
assert created == updated, (created, updated)
print(json.dumps({'uris': uris, 'refusals': created, 'zipped': zipped}))
"#,
    );
    let invalid = |text: String| json!([400, "InvalidParameterValueException", text]);
    let texts = ["does not exist", "does not exist", "is not valid", "is not valid", "is not valid"];
    for (at, text) in texts.iter().enumerate() {
        let uri = refusals["uris"][at].as_str().unwrap();
        let expected = format!("Source image {uri} {text}. Provide a valid source image.");
        assert_eq!(refusals["refusals"][at], invalid(expected));
    }
    assert_eq!(
        refusals["refusals"][5],
        invalid(format!(
            "The image manifest, config or layer media type for the source image {} is not supported.",
            world.uri("hello:index")
        ))
    );
    assert_eq!(
        refusals["refusals"][6],
        json!([
            403,
            "AccessDeniedException",
            "Lambda does not have permission to access the ECR image. Check the ECR permissions."
        ])
    );
    assert_eq!(
        refusals["zipped"],
        invalid("Please provide ImageUri when updating a function with packageType Image.".to_owned())
    );
    world.repository("other").await;
    assert!(
        world.aws(&["lambda", "list-functions", "--query", "Functions[].FunctionName"]) == json!(["hello"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_makes_a_role_and_a_function() {
    let world = World::new().await;
    let identity = world.aws(&["sts", "get-caller-identity"]);
    assert_eq!(
        (&identity["Account"], &identity["Arn"]),
        (&json!("000000000000"), &json!("arn:aws:iam::000000000000:root"))
    );

    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole",
    }]});
    let role = world.aws(&[
        "iam",
        "create-role",
        "--role-name",
        "app",
        "--assume-role-policy-document",
        &trust.to_string(),
        "--description",
        "<&\">",
    ]);
    assert_eq!(role["Role"]["AssumeRolePolicyDocument"], trust, "decoded by the client as from AWS");
    assert_eq!(role["Role"]["Description"], "<&\">");
    let policy = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
    world.aws(&["iam", "attach-role-policy", "--role-name", "app", "--policy-arn", policy]);
    let attached = world.aws(&["iam", "list-attached-role-policies", "--role-name", "app"]);
    assert_eq!(attached["AttachedPolicies"][0]["PolicyArn"], policy);
    assert_eq!(world.aws(&["iam", "list-roles"])["Roles"][0]["RoleName"], "app");
    let missing = world.aws_refused(&["iam", "get-role", "--role-name", "none"]);
    assert!(
        missing.contains("(NoSuchEntity)") && missing.contains("The role with name none cannot be found."),
        "{missing}"
    );

    let arn = role["Role"]["Arn"].as_str().unwrap();
    let code = format!("ImageUri={}", world.uri("hello:v1"));
    let create = [
        "lambda",
        "create-function",
        "--function-name",
        "hello",
        "--package-type",
        "Image",
        "--role",
        arn,
        "--code",
        &code,
    ];
    // A new role is not known to Lambda at once.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    world.aws(&create);
    let again = world.aws_refused(&create);
    assert!(
        again.contains("(ResourceConflictException)") && again.contains("Function already exist: hello"),
        "{again}"
    );
    world.aws(&["lambda", "wait", "function-active-v2", "--function-name", "hello"]);
    let uri = world.uri("hello:v2");
    let image = ["lambda", "update-function-code", "--function-name", "hello", "--image-uri", &uri];
    let dry_run = world.aws(&[&image[..], &["--dry-run"]].concat());
    assert_eq!(dry_run["LastUpdateStatus"], "Successful");
    world.aws(&image);
    world.aws(&["lambda", "wait", "function-updated-v2", "--function-name", "hello"]);
    let function = world.aws(&["lambda", "get-function", "--function-name", "hello"]);
    assert_eq!(function["Code"]["ImageUri"], uri.as_str());
    let invoke = ["lambda", "invoke", "--function-name", "hello", "--invocation-type", "DryRun", "/dev/null"];
    assert_eq!(world.aws(&invoke)["StatusCode"], 204);
    world.aws(&["lambda", "delete-function", "--function-name", "hello"]);
    let gone = world.aws_refused(&["lambda", "get-function", "--function-name", "hello"]);
    assert!(
        gone.contains("(ResourceNotFoundException)")
            && gone.contains("Function not found: arn:aws:lambda:us-east-1:000000000000:function:hello"),
        "{gone}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_role_is_accepted_after_a_while() {
    let world = World::new().await;
    let seen = world.boto3(
        r#"
import time
trust = {'Version': '2012-10-17', 'Statement': [
    {'Effect': 'Allow', 'Principal': {'Service': 'lambda.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}
roles = session.client('iam')
made = roles.create_role(RoleName='app', AssumeRolePolicyDocument=json.dumps(trust))['Role']
assert made['AssumeRolePolicyDocument'] == trust, made
wanted = dict(FunctionName='hello', Role=made['Arn'], PackageType='Image', Code={'ImageUri': f'{host}/hello:v1'})
early = refusal('create_function', **wanted)
roles.get_waiter('role_exists').wait(RoleName='app')
deadline = time.monotonic() + 30
while True:
    try:
        functions.create_function(**wanted)
        break
    except functions.exceptions.InvalidParameterValueException:
        assert time.monotonic() < deadline
        time.sleep(0.2)
roles.put_role_policy(RoleName='app', PolicyName='own', PolicyDocument=json.dumps(
    {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 's3:*', 'Resource': '*'}]}))
own = roles.get_role_policy(RoleName='app', PolicyName='own')['PolicyDocument']['Statement'][0]['Action']
try:
    roles.create_role(RoleName='app', AssumeRolePolicyDocument=json.dumps(trust))
except roles.exceptions.EntityAlreadyExistsException as error:
    taken = error.response['ResponseMetadata']['HTTPStatusCode']
print(json.dumps({'early': early, 'own': own, 'taken': taken}))
"#,
    );
    assert_eq!(
        seen["early"],
        json!([
            400,
            "InvalidParameterValueException",
            "The role defined for the function cannot be assumed by Lambda."
        ])
    );
    assert_eq!((&seen["own"], &seen["taken"]), (&json!("s3:*"), &json!(409)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_test_asks_for_fails_afterwards() {
    let world = World::new().await;
    let outcome = async |body: Value| {
        let post = world.cloud.bare(reqwest::Method::POST, "/_lambdactl/outcomes").json(&body);
        assert_eq!(post.send().await.unwrap().status(), 204);
    };
    outcome(json!({"function": "hello", "state_reason_code": "InvalidImage", "reason": "ImageLayerFailure"}))
        .await;
    let failed = world.boto3(
        r#"
functions.create_function(FunctionName='hello', Role=role, PackageType='Image',
                          Code={'ImageUri': f'{host}/hello:v1'})
try:
    functions.get_waiter('function_active_v2').wait(FunctionName='hello')
    raise AssertionError('it became active')
except botocore.exceptions.WaiterError as error:
    print(json.dumps(error.last_response['Configuration']))
"#,
    );
    assert_eq!((&failed["State"], &failed["StateReasonCode"]), (&json!("Failed"), &json!("InvalidImage")));
    outcome(json!({"function": "other", "region": REGION, "state_reason_code": null})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_sdk_reads_answers_and_errors() {
    let world = World::new().await;
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(&world.cloud.endpoint)
        // The SDK's own, as others have it.
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let client = aws_sdk_lambda::Client::from_conf(config);
    let create = |uri: String, memory: i32| {
        client
            .create_function()
            .function_name("hello")
            .role(ROLE)
            .package_type(PackageType::Image)
            .code(FunctionCode::builder().image_uri(uri).build())
            .architectures(Architecture::Arm64)
            .memory_size(memory)
            .send()
    };
    let refused = create(world.uri("hello:v1"), 1).await.unwrap_err();
    assert_eq!(refused.code(), Some("ValidationException"), "the model has no such error");
    assert!(refused.message().unwrap().starts_with("1 validation error detected: Value '1' at 'memorySize'"));
    let refused = create("public.ecr.aws/x/y:1".to_owned(), 128).await.unwrap_err().into_service_error();
    assert!(refused.is_invalid_parameter_value_exception());
    let created = create(world.uri("hello:v1"), 128).await.unwrap();
    assert_eq!(created.state(), Some(&State::Pending));
    assert_eq!(created.last_update_status(), None);
    let missing = client.get_function().function_name("none").send().await.unwrap_err().into_service_error();
    assert!(missing.is_resource_not_found_exception());
    assert_eq!(
        missing.message(),
        Some("Function not found: arn:aws:lambda:us-east-1:000000000000:function:none")
    );

    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let shown = client.get_function().function_name("hello").send().await.unwrap();
        let configuration = shown.configuration().unwrap();
        if configuration.state() == Some(&State::Active) {
            assert_eq!(configuration.last_update_status(), Some(&LastUpdateStatus::Successful));
            break;
        }
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let updating = client
        .update_function_code()
        .function_name("hello")
        .image_uri(world.uri("hello:v2"))
        .send()
        .await
        .unwrap();
    assert_eq!(updating.last_update_status(), Some(&LastUpdateStatus::InProgress));
    assert_eq!(updating.last_update_status_reason_code().map(|code| code.as_str()), Some("Creating"));
    let busy = client.update_function_configuration().function_name("hello").timeout(9).send().await;
    assert!(busy.unwrap_err().into_service_error().is_resource_conflict_exception());
}
