//! Following a function until it settles.

use std::time::{Duration, Instant};

use lambdactl::event::Event;
use lambdactl::pipeline::{ErrorKind, PipelineError};
use serde_json::json;

use super::script::{Answer, FunctionAnswer, no_function};
use super::{Stage, options};

const LONG: Duration = Duration::from_secs(10);

fn live() -> FunctionAnswer {
    FunctionAnswer::live(&format!("127.0.0.1:1/hello@sha256:{}", "0".repeat(64)))
}

#[tokio::test]
async fn every_failure_ends_the_watch_at_once_with_its_reason_and_a_hint() {
    let stage = Stage::new().await;
    for (code, hint) in [
        ("ImageDeleted", "lifecycle policy"),
        ("ImageAccessDenied", "policy ensure"),
        ("InvalidImage", "gzip"),
        ("InsufficientRolePermissions", "role"),
        ("InternalError", "again"),
        ("KMSKeyNotFound", "KMS key"),
        ("SomethingNew", "lambdactl status"),
    ] {
        for (state, update) in [("Failed", None), ("Active", Some("Failed"))] {
            let function = match update {
                None => live()
                    .with("State", state)
                    .with("StateReasonCode", code)
                    .with("LastUpdateStatus", json!(null)),
                Some(update) => {
                    live().with("LastUpdateStatus", update).with("LastUpdateStatusReasonCode", code)
                }
            };
            stage.script.on("GetFunction", [function.answer()]);
            let began = Instant::now();
            let error = stage.cloud.watch("hello", LONG).await.unwrap_err();
            assert!(began.elapsed() < Duration::from_secs(2), "{code}");
            assert_eq!(error.kind(), ErrorKind::FunctionFailed, "{error:?}");
            assert!(error.to_string().contains(code), "{error}");
            let hints = error.hints().join("\n");
            assert!(hints.contains(hint) || code == "SomethingNew" && state == "Failed", "{code}: {hints}");
        }
    }
}

#[tokio::test]
async fn an_idle_function_is_settled() {
    let stage = Stage::new().await;
    stage
        .script
        .on("GetFunction", [live().with("State", "Inactive").with("StateReasonCode", "Idle").answer()]);
    let function = stage.cloud.watch("hello", LONG).await.unwrap();
    assert_eq!(function.status.state.unwrap().as_str(), "Inactive");
}

#[tokio::test]
async fn unknown_states_and_passing_errors_are_tolerated() {
    let stage = Stage::new().await;
    stage.script.on(
        "GetFunction",
        [
            live().with("State", "Rehydrating").answer(),
            Answer::error(500, "ServiceException", "oops"),
            live().with("LastUpdateStatus", "Pondering").answer(),
            live().with("LastUpdateStatus", json!(null)).answer(),
        ],
    );
    stage.cloud.watch("hello", LONG).await.unwrap();
    let seen =
        stage.events.0.lock().unwrap().iter().filter(|it| matches!(it, Event::FunctionStatus { .. })).count();
    assert_eq!(seen, 3);
}

#[tokio::test]
async fn the_end_of_the_time_is_told_apart_from_failure() {
    let stage = Stage::new().await;
    stage.script.on(
        "GetFunction",
        [live().with("State", "Pending").with("StateReason", "The function is being created.").answer()],
    );
    let error = stage.cloud.watch("hello", Duration::from_millis(600)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("Pending") && error.to_string().contains("being created"), "{error}");
    assert!(error.hints()[0].contains("lambdactl watch hello"));
}

#[tokio::test]
async fn access_denied_and_a_missing_function_end_it_at_once() {
    let stage = Stage::new().await;
    stage.script.on("GetFunction", [Answer::error(403, "AccessDeniedException", "no")]);
    let error = stage.cloud.watch("hello", LONG).await.unwrap_err();
    assert!(matches!(error, PipelineError::Api { .. }), "{error:?}");
    assert_eq!(stage.script.calls("GetFunction").len(), 1);
    stage.script.on("GetFunction", [no_function()]);
    for result in
        [stage.cloud.watch("hello", LONG).await, stage.cloud.status("hello").await.map(|live| live.function)]
    {
        let error = result.unwrap_err();
        assert!(matches!(error, PipelineError::FunctionMissing { .. }), "{error:?}");
        assert!(error.to_string().contains("eu-west-1"), "{error}");
    }
}

#[tokio::test]
async fn a_deployment_that_fails_in_aws_ends_like_a_watch() {
    let mut stage = Stage::new().await;
    let live = stage.live().await;
    let failed = live
        .clone()
        .with("LastUpdateStatus", "Failed")
        .with("LastUpdateStatusReasonCode", "InvalidImage")
        .with("LastUpdateStatusReason", "ImageLayerFailure: UnsupportedImageLayerDetected")
        .with("RevisionId", "r2");
    stage.script.on("GetFunction", [live.answer(), failed.answer()]);
    stage.spec.function.timeout = Some(30);
    let error = stage.cloud.deploy(&stage.spec, &options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FunctionFailed);
    assert!(error.to_string().contains("UnsupportedImageLayerDetected"), "{error}");
}

#[tokio::test]
async fn an_endpoint_nobody_listens_on_is_told_with_what_to_check() {
    let stage = Stage::new().await;
    let session = lambdactl::services::session::SessionOptions {
        local_endpoint: Some("http://127.0.0.1:9".to_owned()),
        ..Default::default()
    };
    let cloud = lambdactl::pipeline::Cloud::connect(&session, Default::default(), stage.events.clone());
    let error = cloud.await.unwrap().status("hello").await.unwrap_err();
    let answer = error.api_error().unwrap();
    assert!(answer.message.contains("cannot be reached"), "{answer}");
    assert!(error.hints()[0].contains("AWS_ENDPOINT_URL"), "{:?}", error.hints());
}
