//! How states pass with time, and what they forbid.

use super::*;

const BUSY: &str = "The operation cannot be performed at this time.";

fn revision(configuration: &Value) -> String {
    configuration["RevisionId"].as_str().unwrap().to_owned()
}

#[test]
fn a_new_function_becomes_active_with_a_new_revision() {
    let mut cloud = Cloud::new();
    let created = cloud.create();
    cloud.pass(9);
    let pending = cloud.get(CONFIGURATION);
    assert_eq!((&pending["State"], &pending["RevisionId"]), (&json!("Pending"), &created["RevisionId"]));
    cloud.pass(1);
    let active = cloud.get(CONFIGURATION);
    assert_eq!((&active["State"], &active["LastUpdateStatus"]), (&json!("Active"), &json!("Successful")));
    assert_ne!(active["RevisionId"], created["RevisionId"]);
    for absent in ["StateReason", "StateReasonCode", "LastUpdateStatusReason", "LastUpdateStatusReasonCode"] {
        assert!(active.get(absent).is_none(), "{absent} is left out, not null");
    }
    assert_eq!(revision(&cloud.get(CONFIGURATION)), revision(&active), "reading changes nothing");
}

#[test]
fn nothing_can_be_changed_while_pending() {
    let cloud = Cloud::new();
    cloud.create();
    for (method, path, body) in [
        ("PUT", CODE, json!({"ImageUri": URI})),
        ("PUT", CONFIGURATION, json!({"Timeout": 4})),
        ("POST", "/2015-03-31/functions/hello/versions", json!({})),
        ("POST", "/2015-03-31/functions/hello/invocations", json!({})),
    ] {
        let (status, code, message) = cloud.refused(method, path, &body);
        assert_eq!((status, code.as_str()), (409, "ResourceConflictException"), "{path}");
        assert_eq!(message, format!("{BUSY} The function is currently in the following state: Pending"));
    }
}

#[test]
fn an_update_is_in_progress_and_then_successful() {
    let mut cloud = Cloud::new();
    let active = cloud.active();
    cloud.tag("v2", b"two");
    let updating = cloud.ok("PUT", CODE, 200, &json!({"ImageUri": "127.0.0.1:4566/hello:v2"}));
    assert_eq!(updating["State"], "Active");
    assert_eq!(updating["LastUpdateStatus"], "InProgress");
    assert_eq!(updating["LastUpdateStatusReason"], "The function is being created.");
    assert_eq!(updating["LastUpdateStatusReasonCode"], "Creating");
    assert_eq!(updating["CodeSha256"], Digest::of(b"two").hex());
    for (method, path, body) in [
        ("PUT", CODE, json!({"ImageUri": URI})),
        ("PUT", CONFIGURATION, json!({"Timeout": 4})),
        ("POST", "/2015-03-31/functions/hello/versions", json!({})),
    ] {
        assert_eq!(
            cloud.refused(method, path, &body),
            (
                409,
                "ResourceConflictException".to_owned(),
                format!("{BUSY} An update is in progress for resource: {ARN}")
            )
        );
    }
    cloud.pass(5);
    let updated = cloud.get(CONFIGURATION);
    assert_eq!(updated["LastUpdateStatus"], "Successful");
    assert!(updated.get("LastUpdateStatusReasonCode").is_none());
    let revisions = [revision(&active), revision(&updating), revision(&updated)];
    assert!(revisions[0] != revisions[1] && revisions[1] != revisions[2] && revisions[0] != revisions[2]);
}

#[test]
fn lists_leave_states_out() {
    let mut cloud = Cloud::new();
    cloud.active();
    for (path, member) in [(FUNCTIONS, "Functions"), ("/2015-03-31/functions/hello/versions", "Versions")] {
        let listed = cloud.get(path)[member][0].clone();
        assert_eq!(listed["FunctionName"], "hello");
        for absent in ["State", "StateReasonCode", "LastUpdateStatus"] {
            assert!(listed.get(absent).is_none(), "{path} {absent}");
        }
    }
}

#[test]
fn a_creation_can_be_made_to_fail() {
    let mut cloud = Cloud::new();
    let outcome =
        json!({"function": "hello", "state_reason_code": "InvalidImage", "reason": "ImageLayerFailure"});
    cloud.ok("POST", "/_lambdactl/outcomes", 204, &outcome);
    assert_eq!(cloud.create()["State"], "Pending");
    cloud.pass(10);
    let failed = cloud.get(CONFIGURATION);
    assert_eq!(failed["State"], "Failed");
    assert_eq!(failed["StateReasonCode"], "InvalidImage");
    assert_eq!(failed["StateReason"], "ImageLayerFailure");
    let (status, _, message) = cloud.refused("PUT", CODE, &json!({"ImageUri": URI}));
    assert_eq!(
        (status, message),
        (409, format!("{BUSY} The function is currently in the following state: Failed"))
    );
    cloud.ok("DELETE", HELLO, 204, &Value::Null);
    cloud.create();
    cloud.pass(10);
    assert_eq!(cloud.get(CONFIGURATION)["State"], "Active", "an outcome holds once");
}

#[test]
fn an_update_that_fails_keeps_the_old_code() {
    let mut cloud = Cloud::new();
    cloud.active();
    cloud.tag("v2", b"two");
    let outcome = json!({"function": "hello", "region": "eu-west-1", "state_reason_code": "ImageAccessDenied", "reason": "no"});
    cloud.ok("POST", "/_lambdactl/outcomes", 204, &outcome);
    cloud.ok("PUT", CODE, 200, &json!({"ImageUri": "127.0.0.1:4566/hello:v2"}));
    cloud.pass(5);
    let failed = cloud.get(HELLO);
    assert_eq!(failed["Configuration"]["State"], "Active");
    assert_eq!(failed["Configuration"]["LastUpdateStatus"], "Failed");
    assert_eq!(failed["Configuration"]["LastUpdateStatusReasonCode"], "ImageAccessDenied");
    assert_eq!(failed["Configuration"]["LastUpdateStatusReason"], "no");
    assert_eq!(failed["Configuration"]["CodeSha256"], Digest::of(b"one").hex());
    assert_eq!(failed["Code"]["ImageUri"], URI);
    cloud.ok("PUT", CODE, 200, &json!({"ImageUri": "127.0.0.1:4566/hello:v2"}));
    cloud.pass(5);
    assert_eq!(cloud.get(CONFIGURATION)["LastUpdateStatus"], "Successful");
}

#[test]
fn an_outcome_can_be_taken_back() {
    let mut cloud = Cloud::new();
    for code in [json!("InternalError"), Value::Null] {
        let outcome = json!({"function": "hello", "state_reason_code": code});
        cloud.ok("POST", "/_lambdactl/outcomes", 204, &outcome);
    }
    assert_eq!(cloud.active()["State"], "Active");
    let (_, code, _) = cloud.refused("POST", "/_lambdactl/outcomes", &json!({"function": "../x"}));
    assert_eq!(code, "ValidationException");
}

#[test]
fn an_idle_function_can_be_updated() {
    let mut cloud = Cloud::new();
    cloud.active();
    cloud.ok("POST", "/_lambdactl/outcomes", 204, &json!({"function": "hello", "idle": true}));
    let idle = cloud.get(CONFIGURATION);
    assert_eq!((&idle["State"], &idle["StateReasonCode"]), (&json!("Inactive"), &json!("Idle")));
    cloud.ok("PUT", CODE, 200, &json!({"ImageUri": URI}));
    cloud.pass(5);
    let active = cloud.get(CONFIGURATION);
    assert_eq!((&active["State"], &active["LastUpdateStatus"]), (&json!("Active"), &json!("Successful")));
}

#[test]
fn an_idle_function_is_woken_by_an_update_that_changes_nothing() {
    let mut cloud = Cloud::new();
    cloud.stock(b"one", true);
    cloud.active();
    cloud.ok("POST", "/_lambdactl/outcomes", 204, &json!({"function": "hello", "idle": true}));
    cloud.ok("PUT", CONFIGURATION, 200, &json!({"Timeout": 3}));
    cloud.pass(5);
    let active = cloud.get(CONFIGURATION);
    assert_eq!((&active["State"], &active["LastUpdateStatus"]), (&json!("Active"), &json!("Successful")));
}

#[test]
fn an_image_that_cannot_be_fetched_again_keeps_an_idle_function_inactive() {
    for (image, policy, code) in [(b"two", true, "ImageDeleted"), (b"one", false, "ImageAccessDenied")] {
        let mut cloud = Cloud::new();
        cloud.stock(image, policy);
        cloud.active();
        cloud.ok("POST", "/_lambdactl/outcomes", 204, &json!({"function": "hello", "idle": true}));
        let invocation = "/2015-03-31/functions/hello/invocations";
        assert_eq!(cloud.refused("POST", invocation, &json!({})).0, 409);
        assert_eq!(cloud.get(CONFIGURATION)["State"], "Pending");
        cloud.pass(10);
        let gone = cloud.get(CONFIGURATION);
        assert_eq!((&gone["State"], &gone["StateReasonCode"]), (&json!("Inactive"), &json!(code)));
        assert_eq!(gone["LastUpdateStatus"], "Successful");
        cloud.ok("PUT", CONFIGURATION, 200, &json!({"Timeout": 30}));
        cloud.pass(5);
        let failed = cloud.get(CONFIGURATION);
        assert_eq!((&failed["State"], &failed["LastUpdateStatus"]), (&json!("Inactive"), &json!("Failed")));
        assert_eq!((&failed["LastUpdateStatusReasonCode"], &failed["Timeout"]), (&json!(code), &json!(3)));
        cloud.ok("PUT", CODE, 200, &json!({"ImageUri": URI}));
        cloud.pass(5);
        assert_eq!(cloud.get(CONFIGURATION)["State"], "Active", "a new image mends it");
    }
}

#[test]
fn a_function_can_be_shown_with_any_reason_at_once() {
    let mut cloud = Cloud::new();
    let wish =
        json!({"function": "hello", "state_reason_code": "ImageDeleted", "reason": "gone", "now": true});
    assert_eq!(cloud.refused("POST", "/_lambdactl/outcomes", &wish).0, 404);
    cloud.active();
    cloud.ok("POST", "/_lambdactl/outcomes", 204, &wish);
    let gone = cloud.get(CONFIGURATION);
    assert_eq!((&gone["State"], &gone["StateReasonCode"]), (&json!("Inactive"), &json!("ImageDeleted")));
    assert_eq!(gone["StateReason"], "gone");
}

#[test]
fn a_function_that_is_stuck_fails_with_the_next_update() {
    let mut cloud = Cloud::new();
    cloud.active();
    let wish = json!({"function": "hello", "state_reason_code": "Creating", "now": true});
    cloud.ok("POST", "/_lambdactl/outcomes", 204, &wish);
    cloud.pass(3600);
    let stuck = cloud.get(CONFIGURATION);
    assert_eq!(stuck["State"], "Pending");
    assert!(stuck.get("LastUpdateStatus").is_none());
    assert!(stuck["LastModified"].as_str().unwrap() < "1970-01-01T00", "it began long ago: {stuck}");
    assert_eq!(cloud.refused("PUT", CONFIGURATION, &json!({"Timeout": 3})).0, 409);
    assert_eq!(cloud.get(CONFIGURATION)["State"], "Failed");
}

#[test]
fn states_survive_the_process() {
    let mut cloud = Cloud::new();
    let created = cloud.create();
    cloud.call.store = Arc::new(Store::open(cloud.call.store.directory()).unwrap());
    assert_eq!(cloud.get(CONFIGURATION), created);
    cloud.pass(10);
    let functions = cloud
        .call
        .store
        .transaction(|tx| crate::local::lambda::functions(tx, "eu-west-1", cloud.call.now, None));
    let functions = functions.unwrap().unwrap();
    assert_eq!((functions[0].name.as_str(), functions[0].state.as_str()), ("hello", "Active"));
    assert_eq!(functions[0].image_digest, Digest::of(b"one").to_string());
}
