//! `CreateFunction`: what it answers and what it refuses.

use super::*;

#[test]
fn the_answer_has_the_members_aws_sends_and_no_other() {
    let cloud = Cloud::new();
    let mut created = cloud.create();
    assert!(created["RevisionId"].as_str().unwrap().len() == 36);
    created["RevisionId"] = json!("R");
    assert_eq!(
        created,
        json!({
            "FunctionName": "hello",
            "FunctionArn": ARN,
            "Role": ROLE,
            "CodeSize": 0,
            "Description": "",
            "Timeout": 3,
            "MemorySize": 128,
            "LastModified": "1970-01-01T00:00:00.000+0000",
            "CodeSha256": Digest::of(b"one").hex(),
            "Version": "$LATEST",
            "TracingConfig": {"Mode": "PassThrough"},
            "RevisionId": "R",
            "State": "Pending",
            "StateReason": "The function is being created.",
            "StateReasonCode": "Creating",
            "PackageType": "Image",
            "Architectures": ["x86_64"],
            "EphemeralStorage": {"Size": 512},
            "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/hello"},
        })
    );
}

#[test]
fn what_is_asked_for_is_kept_and_shown() {
    let cloud = Cloud::new();
    let wanted = json!({
        "Description": "d", "Timeout": 30, "MemorySize": 512, "Architectures": ["arm64"],
        "EphemeralStorage": {"Size": 1024}, "Tags": {"team": "search"},
        "Environment": {"Variables": {"LOG_LEVEL": "info"}},
        "ImageConfig": {"Command": ["app.handler"], "EntryPoint": [], "WorkingDirectory": "/srv"},
        "TracingConfig": {"Mode": "Active"},
        "LoggingConfig": {"LogFormat": "JSON"},
    });
    cloud.ok("POST", FUNCTIONS, 201, &with(image_function(), &wanted));
    let shown = cloud.get(HELLO);
    let configuration = &shown["Configuration"];
    for member in ["Description", "Timeout", "MemorySize", "Architectures", "EphemeralStorage", "Environment"]
    {
        assert_eq!(configuration[member], wanted[member], "{member}");
    }
    assert_eq!(
        configuration["ImageConfigResponse"],
        json!({"ImageConfig": {"Command": ["app.handler"], "WorkingDirectory": "/srv"}})
    );
    assert_eq!(configuration["LoggingConfig"]["ApplicationLogLevel"], "INFO");
    assert_eq!(shown["Tags"], wanted["Tags"]);
    assert_eq!(
        shown["Code"],
        json!({
            "RepositoryType": "ECR",
            "ImageUri": URI,
            "ResolvedImageUri": format!("127.0.0.1:4566/hello@{}", Digest::of(b"one")),
        })
    );
}

#[test]
fn uris_follow_the_server_to_another_port() {
    let mut cloud = Cloud::new();
    cloud.create();
    cloud.call.authority = "localhost:5000".into();
    assert_eq!(cloud.get(HELLO)["Code"]["ImageUri"], "localhost:5000/hello:v1");
}

#[test]
fn images_lambda_cannot_take_are_refused_in_aws_words() {
    let cloud = Cloud::new();
    cloud.tag("locked", b"locked");
    let refusal = |uri: &str| {
        cloud.refused("POST", FUNCTIONS, &with(image_function(), &json!({"Code": {"ImageUri": uri}})))
    };
    let invalid = |message: &str| (400, "InvalidParameterValueException".to_owned(), message.to_owned());
    assert_eq!(
        refusal("h.example/hello"),
        invalid("Source image h.example/hello is not valid. Provide a valid source image.")
    );
    assert_eq!(
        refusal("h.example/hello:v9"),
        invalid("Source image h.example/hello:v9 does not exist. Provide a valid source image.")
    );
    assert_eq!(
        refusal("h.example/hello:index"),
        invalid(
            "The image manifest, config or layer media type for the source image h.example/hello:index is not supported."
        )
    );
    assert_eq!(
        refusal("h.example/locked:v1"),
        (
            403,
            "AccessDeniedException".to_owned(),
            "Lambda does not have permission to access the ECR image. Check the ECR permissions.".to_owned()
        )
    );
    let (status, ..) = cloud.refused("GET", HELLO, &Value::Null);
    assert_eq!(status, 404, "a refused creation leaves nothing");
}

#[test]
fn what_does_not_go_with_the_package_type_is_refused() {
    let cloud = Cloud::new();
    for (body, expected) in [
        (
            with(image_function(), &json!({"Runtime": "python3.13"})),
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.",
        ),
        (
            with(image_function(), &json!({"Layers": ["arn:aws:lambda:eu-west-1:000000000000:layer:x:1"]})),
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.",
        ),
        (
            with(image_function(), &json!({"CodeSigningConfigArn": "arn:aws:lambda:x"})),
            "Code signing is not supported for functions created with container images.",
        ),
        (
            with(image_function(), &json!({"Code": {"ZipFile": zip()}})),
            "Please provide ImageUri when the intended function PackageType is Image.",
        ),
        (
            with(image_function(), &json!({"PackageType": "Zip"})),
            "Please don't provide ImageUri when the intended function PackageType is Zip.",
        ),
        (
            with(zip_function(), &json!({"Handler": null})),
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ),
        (
            with(zip_function(), &json!({"Code": {"ZipFile": "bm8="}})),
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
        (
            with(zip_function(), &json!({"Code": {"S3Bucket": "b", "S3Key": "k"}})),
            "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist",
        ),
    ] {
        let (status, code, message) = cloud.refused("POST", FUNCTIONS, &body);
        assert_eq!((status, code.as_str()), (400, "InvalidParameterValueException"), "{message}");
        assert_eq!(message, expected);
    }
}

#[test]
fn an_archive_function_can_be_made() {
    let cloud = Cloud::new();
    let created = cloud.ok("POST", FUNCTIONS, 201, &zip_function());
    assert_eq!((&created["PackageType"], &created["Runtime"]), (&json!("Zip"), &json!("python3.13")));
    assert!(created["CodeSha256"].as_str().unwrap().ends_with('='), "{created}");
    assert!(created["CodeSize"].as_u64().unwrap() > 0);
    assert_eq!(cloud.get(HELLO)["Code"], json!({"RepositoryType": "S3"}));
}

#[test]
fn members_that_break_the_model_are_named_together() {
    let cloud = Cloud::new();
    let body = with(image_function(), &json!({"Timeout": 0, "MemorySize": 64, "Role": "r1"}));
    let response = cloud.raw("POST", FUNCTIONS, &body);
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["x-amzn-errortype"], "ValidationException");
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(answer.as_object().unwrap().len(), 1, "only a message: {answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(message.starts_with("3 validation errors detected: Value 'r1' at 'role' failed"), "{message}");
    assert!(
        message.ends_with(
            "Value '64' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128"
        ),
        "{message}"
    );
    let (_, code, message) = cloud.refused("POST", FUNCTIONS, &json!({"FunctionName": "hello"}));
    assert_eq!(code, "ValidationException");
    assert!(message.contains("Value null at 'role' failed to satisfy constraint: Member must not be null"));
    let (_, code, message) =
        cloud.refused("POST", FUNCTIONS, &with(image_function(), &json!({"FunctionName": "x".repeat(65)})));
    assert_eq!(code, "InvalidParameterValueException");
    assert!(message.ends_with(
        "'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"
    ));
}

#[test]
fn environment_variables_are_limited_as_in_aws() {
    let cloud = Cloud::new();
    let refusal = |variables: Value| {
        let body = with(image_function(), &json!({"Environment": {"Variables": variables}}));
        let (status, code, message) = cloud.refused("POST", FUNCTIONS, &body);
        (status, code, message.replace("Lambda was unable to configure your environment variables because the environment variables you have provided", "…"))
    };
    let (_, code, message) = refusal(json!({"AWS_REGION": "x", "GOOD": "y"}));
    assert_eq!(code, "InvalidParameterValueException");
    assert_eq!(
        message,
        "… contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION"
    );
    let large = "x".repeat(4096);
    let (.., message) = refusal(json!({"SMALL": "ok", "LARGE": large}));
    assert_eq!(
        message,
        format!("… exceeded the 4KB limit. String measured: {{\"SMALL\":\"ok\",\"LARGE\":\"{large}\"}}")
    );
    let (_, code, message) = refusal(json!({"1X": "y"}));
    assert_eq!(code, "ValidationException");
    assert!(!message.contains("1X"), "{message}");
}

#[test]
fn the_role_must_be_one_lambda_can_assume() {
    let mut cloud = Cloud::new();
    let local = "arn:aws:iam::000000000000:role/local";
    let body = with(image_function(), &json!({"Role": local}));
    let refused = (
        400,
        "InvalidParameterValueException".to_owned(),
        "The role defined for the function cannot be assumed by Lambda.".to_owned(),
    );
    assert_eq!(cloud.refused("POST", FUNCTIONS, &body), refused, "no such role");
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    });
    let form =
        [("Action", "CreateRole"), ("RoleName", "local"), ("AssumeRolePolicyDocument", &trust.to_string())];
    let form = form.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    assert_eq!(crate::local::iam::handle(&cloud.call, &form).status(), 200);
    cloud.pass(2);
    assert_eq!(cloud.refused("POST", FUNCTIONS, &body), refused, "not known yet");
    cloud.pass(1);
    cloud.ok("POST", FUNCTIONS, 201, &body);
    let other = with(body, &json!({"FunctionName": "other", "Role": ROLE}));
    cloud.ok("POST", FUNCTIONS, 201, &other);
}

#[test]
fn names_are_taken_once_a_region() {
    let mut cloud = Cloud::new();
    cloud.create();
    assert_eq!(
        cloud.refused("POST", FUNCTIONS, &image_function()),
        (409, "ResourceConflictException".to_owned(), "Function already exist: hello".to_owned())
    );
    cloud.call.region = "us-east-1".into();
    let (status, ..) = cloud.refused("GET", HELLO, &Value::Null);
    assert_eq!(status, 404);
}
