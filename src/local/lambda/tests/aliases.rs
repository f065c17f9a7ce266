//! Aliases and permissions.

use super::*;

const ALIASES: &str = "/2015-03-31/functions/hello/aliases";
const POLICY: &str = "/2015-03-31/functions/hello/policy";

/// `hello` with the versions 1 and 2.
fn two_versions() -> Cloud {
    let mut cloud = Cloud::new();
    cloud.active();
    for timeout in [4, 5] {
        cloud.ok("PUT", CONFIGURATION, 200, &json!({"Timeout": timeout}));
        cloud.pass(5);
        cloud.ok("POST", "/2015-03-31/functions/hello/versions", 201, &json!({}));
    }
    cloud
}

#[test]
fn an_alias_names_a_version_and_moves() {
    let cloud = two_versions();
    let created = cloud.ok("POST", ALIASES, 201, &json!({"Name": "live", "FunctionVersion": "1"}));
    assert_eq!(created["AliasArn"], format!("{ARN}:live"));
    assert_eq!(created["Description"], "");
    assert!(created.get("RoutingConfig").is_none());
    let shown = cloud.get("/2015-03-31/functions/hello?Qualifier=live")["Configuration"].clone();
    assert_eq!((&shown["Version"], &shown["FunctionArn"]), (&json!("1"), &json!(format!("{ARN}:live"))));
    let live = format!("{ALIASES}/live");
    let moved = cloud.ok(
        "PUT",
        &live,
        200,
        &json!({"FunctionVersion": "2", "RevisionId": created["RevisionId"],
                "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.2}}}),
    );
    assert_ne!(moved["RevisionId"], created["RevisionId"]);
    assert_eq!(moved["RoutingConfig"], json!({"AdditionalVersionWeights": {"1": 0.2}}));
    let (status, code, _) = cloud.refused("PUT", &live, &json!({"RevisionId": created["RevisionId"]}));
    assert_eq!((status, code.as_str()), (412, "PreconditionFailedException"));
    let cleared = cloud.ok("PUT", &live, 200, &json!({"RoutingConfig": {}}));
    assert_eq!((&cleared["FunctionVersion"], cleared.get("RoutingConfig")), (&json!("2"), None));
    assert_eq!(cloud.get(&live), cleared);
    assert_eq!(cloud.get(&format!("{ALIASES}?FunctionVersion=1")), json!({"Aliases": []}));
    assert_eq!(cloud.get(ALIASES), json!({"Aliases": [cleared]}));
    cloud.ok("DELETE", &live, 204, &Value::Null);
    let (status, _, message) = cloud.refused("GET", &live, &Value::Null);
    assert_eq!((status, message), (404, format!("Cannot find alias arn: {ARN}:live")));
    let (_, _, message) = cloud.refused("PUT", &live, &json!({}));
    assert_eq!(message, format!("Alias not found: {ARN}:live"));
}

#[test]
fn impossible_aliases_are_refused() {
    let cloud = two_versions();
    cloud.ok("POST", ALIASES, 201, &json!({"Name": "taken", "FunctionVersion": "1"}));
    let weights = |weights: Value| json!({"Name": "a", "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": weights}});
    for (body, status, expected) in [
        (weights(json!({"1": 0.1, "2": 0.1})), 400, "Number of items in AdditionalVersionWeights cannot be greater than 1".to_owned()),
        (weights(json!({"1": 0.5})), 400, "Invalid function version 1. Function version 1 is already included in routing configuration.".to_owned()),
        (weights(json!({"2": 2.0})), 400, "1 validation error detected: Value '{2=2.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null]".to_owned()),
        (with(weights(json!({"1": 0.5})), &json!({"FunctionVersion": "$LATEST"})), 400, "$LATEST is not supported for an alias pointing to more than 1 version".to_owned()),
        (json!({"Name": "a", "FunctionVersion": "10"}), 404, format!("Function not found: {ARN}:10")),
        (json!({"Name": "2024", "FunctionVersion": "1"}), 400, "1 validation error detected: Value '2024' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)".to_owned()),
        (json!({"Name": "taken", "FunctionVersion": "1"}), 409, format!("Alias already exists: {ARN}:taken")),
    ] {
        let (actual, _, message) = cloud.refused("POST", ALIASES, &body);
        assert_eq!((actual, message), (status, expected));
    }
}

#[test]
fn permissions_are_statements_of_a_policy() {
    let cloud = two_versions();
    let permission = json!({
        "StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
        "SourceArn": "arn:aws:s3:::bucket", "SourceAccount": "000000000000",
    });
    let added = cloud.ok("POST", POLICY, 201, &permission);
    let statement: Value = serde_json::from_str(added["Statement"].as_str().unwrap()).unwrap();
    assert_eq!(
        statement,
        json!({
            "Sid": "s3", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "lambda:InvokeFunction", "Resource": ARN,
            "Condition": {
                "StringEquals": {"AWS:SourceAccount": "000000000000"},
                "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
            },
        })
    );
    let shown = cloud.get(POLICY);
    let policy: Value = serde_json::from_str(shown["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(policy, json!({"Version": "2012-10-17", "Id": "default", "Statement": [statement]}));
    for (path, body, status, expected) in [
        (POLICY.to_owned(), permission.clone(), 409, "The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing statement.".to_owned()),
        (format!("{POLICY}?Qualifier=$LATEST"), permission.clone(), 400, "We currently do not support adding policies for $LATEST.".to_owned()),
        (format!("{POLICY}?Qualifier=none"), permission.clone(), 404, format!("Cannot find alias arn: {ARN}:none")),
        (format!("{POLICY}?Qualifier=42"), permission.clone(), 404, format!("Function not found: {ARN}:42")),
        (POLICY.to_owned(), with(permission.clone(), &json!({"StatementId": "x", "Principal": "nobody"})), 400, "The provided principal was invalid. Please check the principal and try again.".to_owned()),
        (POLICY.to_owned(), with(permission.clone(), &json!({"StatementId": "x", "RevisionId": "old"})), 412, "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id".to_owned()),
    ] {
        let (actual, _, message) = cloud.refused("POST", &path, &body);
        assert_eq!((actual, message), (status, expected));
    }
    let (_, _, message) = cloud.refused("GET", &format!("{POLICY}?Qualifier=1"), &Value::Null);
    assert_eq!(message, "The resource you requested does not exist.");
    let (_, _, message) = cloud.refused("DELETE", &format!("{POLICY}/none"), &Value::Null);
    assert_eq!(message, "Statement none is not found in resource policy.");
    cloud.ok("DELETE", &format!("{POLICY}/s3"), 204, &Value::Null);
    let (_, _, message) = cloud.refused("DELETE", &format!("{POLICY}/s3"), &Value::Null);
    assert_eq!(message, "No policy is associated with the given resource.");
}

#[test]
fn principals_become_what_policies_write() {
    let cloud = two_versions();
    for (principal, expected) in [
        ("*", json!("*")),
        ("111122223333", json!({"AWS": "arn:aws:iam::111122223333:root"})),
        ("arn:aws:iam::111122223333:user/x", json!({"AWS": "arn:aws:iam::111122223333:user/x"})),
    ] {
        let permission = json!({
            "StatementId": "x", "Action": "lambda:InvokeFunctionUrl", "Principal": principal,
            "FunctionUrlAuthType": "NONE",
        });
        let added = cloud.ok("POST", POLICY, 201, &permission);
        let statement: Value = serde_json::from_str(added["Statement"].as_str().unwrap()).unwrap();
        assert_eq!(statement["Principal"], expected);
        assert_eq!(statement["Condition"], json!({"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}));
        cloud.ok("DELETE", &format!("{POLICY}/x"), 204, &Value::Null);
    }
}
