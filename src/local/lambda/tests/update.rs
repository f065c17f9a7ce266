//! The two update operations, reading and deleting, and names.

use super::*;

fn invalid(message: &str) -> (u16, String, String) {
    (400, "InvalidParameterValueException".to_owned(), message.to_owned())
}

#[test]
fn a_moved_tag_reaches_the_function_only_with_an_update() {
    let mut cloud = Cloud::new();
    cloud.active();
    cloud.tag("v1", b"moved");
    assert_eq!(cloud.get(CONFIGURATION)["CodeSha256"], Digest::of(b"one").hex());
    let updated = cloud.ok("PUT", CODE, 200, &json!({"ImageUri": URI}));
    assert_eq!(updated["CodeSha256"], Digest::of(b"moved").hex());
}

#[test]
fn archives_and_images_do_not_become_each_other() {
    let mut cloud = Cloud::new();
    cloud.active();
    let image = "Please provide ImageUri when updating a function with packageType Image.";
    for body in [json!({"ZipFile": zip()}), json!({"S3Bucket": "b", "S3Key": "k"}), json!({})] {
        assert_eq!(cloud.refused("PUT", CODE, &body), invalid(image));
    }
    cloud.ok("DELETE", HELLO, 204, &Value::Null);
    cloud.ok("POST", FUNCTIONS, 201, &zip_function());
    cloud.pass(10);
    assert_eq!(
        cloud.refused("PUT", CODE, &json!({"ImageUri": URI})),
        invalid("Please don't provide ImageUri when updating a function with packageType Zip.")
    );
    cloud.ok("PUT", CODE, 200, &json!({"ZipFile": zip()}));
}

#[test]
fn permission_and_image_are_checked_at_updates_too() {
    let mut cloud = Cloud::new();
    cloud.active();
    let (status, code, _) = cloud.refused("PUT", CODE, &json!({"ImageUri": "127.0.0.1:4566/locked:v1"}));
    assert_eq!((status, code.as_str()), (403, "AccessDeniedException"));
    let (.., message) = cloud.refused("PUT", CODE, &json!({"ImageUri": "127.0.0.1:4566/hello:index"}));
    assert!(message.starts_with("The image manifest, config or layer media type"), "{message}");
    assert_eq!(cloud.get(CONFIGURATION)["LastUpdateStatus"], "Successful");
}

#[test]
fn a_dry_run_checks_and_changes_nothing() {
    let mut cloud = Cloud::new();
    let active = cloud.active();
    cloud.tag("v2", b"two");
    let body = json!({"ImageUri": "127.0.0.1:4566/hello:v2", "DryRun": true});
    assert_eq!(cloud.ok("PUT", CODE, 200, &body), active);
    assert_eq!(cloud.get(CONFIGURATION), active);
    let (status, ..) = cloud.refused("PUT", CODE, &json!({"ImageUri": "h.example/x", "DryRun": true}));
    assert_eq!(status, 400);
}

#[test]
fn the_architecture_changes_with_the_code_and_only_there() {
    let mut cloud = Cloud::new();
    cloud.active();
    let updated = cloud.ok("PUT", CODE, 200, &json!({"ImageUri": URI, "Architectures": ["arm64"]}));
    assert_eq!(updated["Architectures"], json!(["arm64"]));
    cloud.pass(5);
    let updated = cloud.ok("PUT", CONFIGURATION, 200, &json!({"Architectures": ["x86_64"]}));
    assert_eq!(updated["Architectures"], json!(["arm64"]));
    let (_, code, message) =
        cloud.refused("PUT", CODE, &json!({"ImageUri": URI, "Architectures": ["X86_64"]}));
    assert_eq!(code, "ValidationException");
    assert_eq!(
        message,
        "1 validation error detected: Value '[X86_64]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"
    );
}

#[test]
fn only_what_is_sent_changes_and_structures_are_replaced_whole() {
    let mut cloud = Cloud::new();
    let wanted = json!({
        "Description": "d", "Timeout": 30,
        "Environment": {"Variables": {"AA": "1", "BB": "2"}},
        "ImageConfig": {"EntryPoint": ["sh"], "Command": ["-c"], "WorkingDirectory": "/app1"},
    });
    cloud.ok("POST", FUNCTIONS, 201, &with(image_function(), &wanted));
    let mut update = |body: Value| {
        cloud.pass(10);
        cloud.ok("PUT", CONFIGURATION, 200, &body)
    };
    let updated = update(json!({"MemorySize": 256, "ImageConfig": {"Command": ["-x"]}}));
    assert_eq!((&updated["MemorySize"], &updated["Timeout"]), (&json!(256), &json!(30)));
    assert_eq!(updated["ImageConfigResponse"], json!({"ImageConfig": {"Command": ["-x"]}}));
    assert_eq!(updated["Environment"], wanted["Environment"]);
    let updated = update(json!({"ImageConfig": {}, "Environment": {"Variables": {"CC": "3"}}}));
    assert!(updated.get("ImageConfigResponse").is_none());
    assert_eq!(updated["Environment"], json!({"Variables": {"CC": "3"}}));
    assert_eq!(updated["Description"], "d");
}

#[test]
fn updates_of_the_configuration_are_refused_like_creations() {
    let mut cloud = Cloud::new();
    cloud.active();
    assert_eq!(
        cloud.refused("PUT", CONFIGURATION, &json!({"Layers": ["arn:aws:lambda:x"]})),
        invalid("Lambda layers are not supported for functions created with container images.")
    );
    let (_, _, message) = cloud.refused("PUT", CONFIGURATION, &json!({"Handler": "app.handler"}));
    assert!(message.starts_with("Please don't provide Handler"), "{message}");
    assert_eq!(
        cloud.refused("PUT", CONFIGURATION, &json!({"Role": "arn:aws:iam::000000000000:role/none"})),
        invalid("The role defined for the function cannot be assumed by Lambda.")
    );
    assert_eq!(
        cloud.refused("PUT", CONFIGURATION, &json!({"MemorySize": 10_241})),
        invalid(
            "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240"
        )
    );
    let (_, code, _) = cloud.refused("PUT", CONFIGURATION, &json!({"EphemeralStorage": {"Size": 10_241}}));
    assert_eq!(code, "ValidationException");
}

#[test]
fn a_stale_revision_is_refused() {
    let mut cloud = Cloud::new();
    let created = cloud.create();
    cloud.pass(10);
    let stale = created["RevisionId"].clone();
    for (path, body) in [(CODE, json!({"ImageUri": URI})), (CONFIGURATION, json!({"Timeout": 9}))] {
        let (status, code, message) =
            cloud.refused("PUT", path, &with(body.clone(), &json!({"RevisionId": stale})));
        assert_eq!((status, code.as_str()), (412, "PreconditionFailedException"));
        assert_eq!(
            message,
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        );
        let current = cloud.get(CONFIGURATION)["RevisionId"].clone();
        cloud.ok("PUT", path, 200, &with(body, &json!({"RevisionId": current})));
        cloud.pass(5);
    }
}

#[test]
fn functions_are_found_under_every_form_of_their_name() {
    let mut cloud = Cloud::new();
    cloud.active();
    for name in [
        "hello",
        "hello:$LATEST",
        "000000000000:function:hello",
        ARN,
        "arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Ahello",
    ] {
        let found = cloud.get(&format!("{FUNCTIONS}/{name}"));
        assert_eq!(found["Configuration"]["FunctionName"], "hello", "{name}");
    }
    let latest = cloud.get("/2015-03-31/functions/hello?Qualifier=$LATEST");
    assert_eq!(latest["Configuration"]["FunctionArn"], format!("{ARN}:$LATEST"));
    for (path, status, expected) in [
        ("hello?Qualifier=7", 404, format!("Function not found: {ARN}:7")),
        ("none", 404, "Function not found: arn:aws:lambda:eu-west-1:000000000000:function:none".to_owned()),
        (
            "arn:aws:lambda:us-east-1:000000000000:function:hello",
            404,
            "Functions from 'us-east-1' are not reachable in this region ('eu-west-1')".to_owned(),
        ),
        (
            "hello:1?Qualifier=2",
            400,
            "The derived qualifier from the function name does not match the specified qualifier.".to_owned(),
        ),
    ] {
        let response = cloud.raw("GET", &format!("{FUNCTIONS}/{path}"), &Value::Null);
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        let spelling = if status == 404 { "Message" } else { "message" };
        assert_eq!((response.status().as_u16(), body[spelling].as_str()), (status, Some(expected.as_str())));
        assert_eq!(body["Type"], "User");
    }
    let (status, code, _) = cloud.refused(
        "GET",
        &format!("{FUNCTIONS}/arn:aws:lambda:eu-west-1:123456789012:function:hello"),
        &Value::Null,
    );
    assert_eq!((status, code.as_str()), (403, "AccessDeniedException"));
    let (status, code, message) = cloud.refused("GET", &format!("{FUNCTIONS}/my-function!"), &Value::Null);
    assert_eq!((status, code.as_str()), (400, "ValidationException"));
    assert_eq!(
        message,
        r"1 validation error detected: Value 'my-function!' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
    );
}

#[test]
fn a_deleted_function_is_gone_with_everything() {
    let cloud = Cloud::new();
    cloud.create();
    cloud.ok("DELETE", HELLO, 204, &Value::Null);
    let (status, _, message) = cloud.refused("DELETE", HELLO, &Value::Null);
    assert_eq!((status, message), (404, format!("Function not found: {ARN}")));
    assert_eq!(cloud.get(FUNCTIONS), json!({"Functions": []}));
}

#[test]
fn only_a_function_that_is_there_and_awake_can_be_invoked() {
    let mut cloud = Cloud::new();
    cloud.stock(b"one", true);
    cloud.active();
    let path = "/2015-03-31/functions/hello/invocations";
    cloud.ok("POST", path, 204, &json!({}));
    let (status, code, _) = cloud.refused("POST", "/2015-03-31/functions/none/invocations", &json!({}));
    assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));
    cloud.ok("POST", "/_lambdactl/outcomes", 204, &json!({"function": "hello", "idle": true}));
    for seconds in [0, 9] {
        cloud.pass(seconds);
        let (status, code, message) = cloud.refused("POST", path, &json!({}));
        assert_eq!((status, code.as_str()), (409, "ResourceConflictException"));
        assert!(message.ends_with("in the following state: Pending"), "{message}");
    }
    cloud.pass(1);
    cloud.ok("POST", path, 204, &json!({}));
}

#[test]
fn what_the_local_cloud_cannot_run_it_says_honestly() {
    let mut cloud = Cloud::new();
    cloud.ok("POST", FUNCTIONS, 201, &zip_function());
    cloud.pass(10);
    let (status, code, message) =
        cloud.refused("POST", "/2015-03-31/functions/hello/invocations", &json!({}));
    assert_eq!((status, code.as_str()), (501, "ServiceException"));
    assert!(message.contains(".zip"), "{message}");
    let (status, ..) = cloud.refused("GET", "/2020-06-30/functions/hello/code-signing-config", &Value::Null);
    assert_eq!(status, 501);
}
