//! A registry that fails, throttles, lets tokens expire, and cuts connections.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{assert_retried, assert_the_same_command_finishes};
use crate::support::local_server::Fault;
use crate::support::world::World;

/// The body of an error of the distribution API.
fn error(code: &str, message: &str) -> Value {
    json!({ "errors": [{ "code": code, "message": message }] })
}

/// Bytes that do not compress, so that an upload takes several reads.
fn with_a_large_file(world: &World) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::new();
    while bytes.len() < 4_000_000 {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    world.project.write("data", bytes);
}

#[test]
fn an_internal_error_in_the_middle_of_an_upload_is_overcome() {
    for method in ["POST", "PATCH", "PUT"] {
        let world = World::new();
        world.cloud.inject(&[
            Fault::request(method, "/v2/hello/blobs/uploads").answers(500, error("UNKNOWN", "try again"))
        ]);
        let done = world.try_deploy(&["--output", "json"]);
        // Not every way to upload uses every method.
        if world
            .cloud
            .log()
            .iter()
            .any(|entry| entry.method == method && entry.path.contains("/blobs/uploads"))
        {
            assert_retried(&done, "500");
        }
        assert_eq!(done.expect(0).last_json()["state"], "Active", "{method}");
        assert_the_same_command_finishes(&world);
    }
}

#[test]
fn a_throttled_registry_is_given_the_time_it_asks_for() {
    let world = World::new();
    world.cloud.inject(&[Fault::request("POST", "/v2/hello/blobs/uploads")
        .answers(429, error("TOOMANYREQUESTS", "Rate exceeded"))
        .with_header("Retry-After", "2")]);
    let begin = Instant::now();
    let done = world.try_deploy(&["--output", "json"]).expect(0);
    assert!(begin.elapsed() >= Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_retried(&done, "429");
}

#[test]
fn an_expired_token_is_replaced_by_another() {
    let world = World::new();
    world.cloud.inject(&[Fault::request("POST", "/v2/hello/blobs").answers(
        403,
        error("DENIED", "Your authorization token has expired. Reauthenticate and try again."),
    )]);
    world.try_deploy(&[]).expect(0);
    assert!(world.cloud.calls("GetAuthorizationToken") >= 2);
    assert_the_same_command_finishes(&world);
}

#[test]
fn a_connection_cut_in_the_middle_of_a_layer_sends_the_layer_again() {
    for method in ["PATCH", "PUT"] {
        let world = World::new();
        with_a_large_file(&world);
        world.cloud.inject(&[Fault::request(method, "/v2/hello/blobs/uploads").times(2).cuts()]);
        let done = world.try_deploy(&["--output", "json"]).expect(0);
        assert_eq!(done.last_json()["state"], "Active", "{method}");
        assert_the_same_command_finishes(&world);
    }
}

#[test]
fn a_registry_that_stays_broken_ends_in_an_error_and_what_was_sent_is_not_sent_again() {
    let world = World::new();
    let broken = Fault::request("PUT", "/v2/hello/manifests").times(1000);
    world.cloud.inject(&[broken.answers(500, error("UNKNOWN", "out of order"))]);
    let done = world.try_deploy(&["--output", "json"]).expect(1);
    assert_eq!(done.last_json()["reason"], "error");
    let whole = done.last_json().to_string();
    assert!(whole.contains("500") && whole.contains("out of order"), "{done}");
    assert!(!world.has_function(), "nothing is made live that is not there");

    world.cloud.mend();
    let result = world.deploy(&[]);
    assert_eq!((&result["action"], &result["layers_uploaded"]), (&json!("created"), &json!(0)));
}

#[test]
fn a_push_that_is_not_allowed_is_not_tried_again() {
    let world = World::new();
    let message =
        "User: arn:aws:iam::000000000000:user/ada is not authorized to perform: ecr:InitiateLayerUpload";
    world.cloud.inject(&[Fault::request("POST", "/v2/hello/blobs/uploads")
        .times(1000)
        .answers(403, error("DENIED", message))]);
    let done = world.try_deploy(&["--output", "json"]).expect(1);
    assert!(done.last_json().to_string().contains("ecr:InitiateLayerUpload"), "{done}");
    assert!(!done.json_lines().iter().any(|line| line["reason"] == "retrying"), "{done}");
    world.cloud.mend();
    assert_the_same_command_finishes(&world);
}
