//! Versions, lists, tags, and concurrency.

use super::*;

const VERSIONS: &str = "/2015-03-31/functions/hello/versions";

#[test]
fn publishing_gives_numbers_and_nothing_new_gives_none() {
    let mut cloud = Cloud::new();
    let active = cloud.active();
    let first = cloud.ok("POST", VERSIONS, 201, &json!({"Description": "first"}));
    assert_eq!(first["Version"], "1");
    assert_eq!(first["FunctionArn"], format!("{ARN}:1"));
    assert_eq!((&first["State"], &first["LastUpdateStatus"]), (&json!("Active"), &json!("Successful")));
    assert_eq!(first["Description"], "first");
    let latest = cloud.get(CONFIGURATION);
    assert_ne!(latest["RevisionId"], active["RevisionId"], "publishing changes the revision of $LATEST");
    assert_ne!(latest["RevisionId"], first["RevisionId"]);
    assert_eq!(cloud.ok("POST", VERSIONS, 201, &json!({"Description": "again"})), first);
    cloud.ok("PUT", CONFIGURATION, 200, &json!({"Timeout": 9}));
    cloud.pass(5);
    let second = cloud.ok("POST", VERSIONS, 201, &json!({}));
    assert_eq!((&second["Version"], &second["Timeout"]), (&json!("2"), &json!(9)));
    assert_eq!(cloud.get("/2015-03-31/functions/hello:1")["Configuration"]["Timeout"], 3);
    let listed = cloud.get(VERSIONS);
    let numbers: Vec<&str> =
        listed["Versions"].as_array().unwrap().iter().map(|v| v["Version"].as_str().unwrap()).collect();
    assert_eq!(numbers, ["$LATEST", "1", "2"]);
    assert_eq!(listed["Versions"][0]["FunctionArn"], format!("{ARN}:$LATEST"));
}

#[test]
fn publishing_is_guarded_by_digest_and_revision() {
    let mut cloud = Cloud::new();
    cloud.active();
    let digest = Digest::of(b"one").hex();
    assert_eq!(
        cloud.refused("POST", VERSIONS, &json!({"CodeSha256": "aa"})),
        (
            400,
            "InvalidParameterValueException".to_owned(),
            format!(
                "CodeSHA256 (aa) is different from current CodeSHA256 in $LATEST ({digest}). Please try again with the CodeSHA256 in $LATEST."
            )
        )
    );
    let (status, code, _) = cloud.refused("POST", VERSIONS, &json!({"RevisionId": "old"}));
    assert_eq!((status, code.as_str()), (412, "PreconditionFailedException"));
    cloud.ok("POST", VERSIONS, 201, &json!({"CodeSha256": digest}));
}

#[test]
fn an_update_with_publish_describes_the_new_version() {
    let mut cloud = Cloud::new();
    cloud.active();
    cloud.tag("v2", b"two");
    let published =
        cloud.ok("PUT", CODE, 200, &json!({"ImageUri": "127.0.0.1:4566/hello:v2", "Publish": true}));
    assert_eq!((&published["Version"], &published["State"]), (&json!("1"), &json!("Pending")));
    assert_eq!(published["StateReasonCode"], "Creating");
    assert_eq!(published["FunctionArn"], format!("{ARN}:1"));
    assert!(published.get("LastUpdateStatus").is_none());
    assert_eq!(cloud.get(CONFIGURATION)["LastUpdateStatus"], "InProgress");
    cloud.pass(5);
    let version = cloud.get("/2015-03-31/functions/hello?Qualifier=1")["Configuration"].clone();
    assert_eq!((&version["State"], &version["LastUpdateStatus"]), (&json!("Active"), &json!("Successful")));
    assert_eq!(version["CodeSha256"], Digest::of(b"two").hex());
}

#[test]
fn a_creation_with_publish_has_version_one_and_the_plain_arn() {
    let mut cloud = Cloud::new();
    let created = cloud.ok("POST", FUNCTIONS, 201, &with(image_function(), &json!({"Publish": true})));
    assert_eq!((&created["Version"], &created["FunctionArn"]), (&json!("1"), &json!(ARN)));
    cloud.pass(10);
    assert_eq!(cloud.get("/2015-03-31/functions/hello:1")["Configuration"]["State"], "Active");
    let again = cloud.ok("POST", VERSIONS, 201, &json!({}));
    assert_eq!(again["Version"], "1");
}

#[test]
fn versions_are_deleted_one_by_one() {
    let mut cloud = Cloud::new();
    cloud.active();
    cloud.ok("POST", VERSIONS, 201, &json!({}));
    cloud.ok(
        "POST",
        "/2015-03-31/functions/hello/aliases",
        201,
        &json!({"Name": "live", "FunctionVersion": "1"}),
    );
    let (status, code, _) = cloud.refused("DELETE", "/2015-03-31/functions/hello?Qualifier=1", &Value::Null);
    assert_eq!((status, code.as_str()), (409, "ResourceConflictException"));
    cloud.ok("DELETE", "/2015-03-31/functions/hello/aliases/live", 204, &Value::Null);
    for qualifier in ["1", "1", "99"] {
        let path = format!("/2015-03-31/functions/hello?Qualifier={qualifier}");
        cloud.ok("DELETE", &path, 204, &Value::Null);
    }
    let (.., message) =
        cloud.refused("DELETE", "/2015-03-31/functions/hello?Qualifier=$LATEST", &Value::Null);
    assert_eq!(message, "$LATEST version cannot be deleted without deleting the function.");
    cloud.ok("PUT", CONFIGURATION, 200, &json!({"Timeout": 9}));
    cloud.pass(5);
    assert_eq!(cloud.ok("POST", VERSIONS, 201, &json!({}))["Version"], "2", "numbers are not given again");
}

#[test]
fn lists_come_in_pages() {
    let cloud = Cloud::new();
    for name in ["one", "three", "two"] {
        cloud.ok("POST", FUNCTIONS, 201, &with(image_function(), &json!({"FunctionName": name})));
    }
    let page = cloud.get("/2015-03-31/functions/?MaxItems=2");
    assert_eq!(page["Functions"].as_array().unwrap().len(), 2);
    let marker = page["NextMarker"].as_str().unwrap();
    let page = cloud.get(&format!("/2015-03-31/functions?MaxItems=2&Marker={marker}"));
    assert_eq!(page["Functions"][0]["FunctionName"], "two");
    assert!(page.get("NextMarker").is_none());
    let all = cloud.get("/2015-03-31/functions?FunctionVersion=ALL");
    assert!(all["Functions"][0]["FunctionArn"].as_str().unwrap().ends_with(":$LATEST"));
    let (_, code, _) = cloud.refused("GET", "/2015-03-31/functions?MaxItems=0", &Value::Null);
    assert_eq!(code, "ValidationException");
}

#[test]
fn tags_belong_to_the_function() {
    let cloud = Cloud::new();
    cloud.create();
    let path = format!("/2017-03-31/tags/{ARN}");
    cloud.ok("POST", &path, 204, &json!({"Tags": {"A": "1", "B": "2"}}));
    cloud.ok("POST", &path, 204, &json!({"Tags": {"B": "3", "C d": "4"}}));
    assert_eq!(cloud.get(&path), json!({"Tags": {"A": "1", "B": "3", "C d": "4"}}));
    cloud.ok("DELETE", &format!("{path}?tagKeys=A&tagKeys=C%20d&tagKeys=none"), 204, &Value::Null);
    assert_eq!(cloud.get(HELLO)["Tags"], json!({"B": "3"}));
    for (method, path, body, expected) in [
        ("DELETE", path.clone(), Value::Null, "1 validation error detected: Value null at 'tagKeys'"),
        ("POST", path.clone(), json!({"Tags": {}}), "An error occurred and the request cannot be processed."),
        ("GET", format!("{path}:1"), Value::Null, "Tags on function aliases and versions are not supported."),
        ("GET", path.replace("hello", "none"), Value::Null, "Function not found: arn:"),
        ("GET", path.replace("function:", "thing:"), Value::Null, "1 validation error detected: Value 'arn:"),
    ] {
        let (.., message) = cloud.refused(method, &path, &body);
        assert!(message.starts_with(expected), "{message}");
    }
    let many: serde_json::Map<String, Value> = (0..51).map(|n| (format!("t{n}"), json!(""))).collect();
    let (.., message) = cloud.refused("POST", &path, &json!({"Tags": many}));
    assert_eq!(message, "Number of tags exceeds resource tag limit.");
}

#[test]
fn concurrency_is_reserved_from_the_account() {
    let cloud = Cloud::new();
    cloud.create();
    let put = "/2017-10-31/functions/hello/concurrency";
    let get = "/2019-09-30/functions/hello/concurrency";
    assert_eq!(cloud.get(get), json!({}));
    cloud.ok("PUT", put, 200, &json!({"ReservedConcurrentExecutions": 900}));
    assert_eq!(cloud.get(HELLO)["Concurrency"], cloud.get(get));
    let settings = cloud.get("/2016-08-19/account-settings");
    assert_eq!(settings["AccountLimit"]["UnreservedConcurrentExecutions"], 100);
    assert_eq!(settings["AccountUsage"]["FunctionCount"], 1);
    let (.., message) = cloud.refused("PUT", put, &json!({"ReservedConcurrentExecutions": 901}));
    assert_eq!(
        message,
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100]."
    );
    cloud.ok("DELETE", put, 204, &Value::Null);
    assert_eq!(cloud.get(get), json!({}));
    let (.., message) =
        cloud.refused("PUT", &put.replace("hello", "none"), &json!({"ReservedConcurrentExecutions": 1}));
    assert_eq!(message, "Function not found: arn:aws:lambda:eu-west-1:000000000000:function:none:$LATEST");
}
