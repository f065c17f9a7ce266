//! A new function, and the role it needs.

use lambdactl::domain::plan::DeploymentAction;
use lambdactl::domain::spec::RoleSpec;
use lambdactl::event::Event;
use lambdactl::pipeline::PipelineError;
use serde_json::json;

use super::script::{Answer, ROLE, no_function};
use super::{Stage, options};

fn role_not_assumable() -> Answer {
    Answer::error(
        400,
        "InvalidParameterValueException",
        "The role defined for the function cannot be assumed by Lambda.",
    )
}

#[tokio::test]
async fn a_new_function_is_made_and_followed_until_it_is_active() {
    let mut stage = Stage::new().await;
    let live = stage.live().await;
    let pending = live
        .clone()
        .with("State", "Pending")
        .with("StateReasonCode", "Creating")
        .with("LastUpdateStatus", json!(null));
    // It takes a moment to be found, and has no LastUpdateStatus until it is active.
    let active = live.with("LastUpdateStatus", json!(null));
    stage.script.on("GetFunction", [no_function(), no_function(), pending.answer(), active.answer()]);
    stage.spec.function.memory_size = Some(256);
    let deployment = stage.cloud.deploy(&stage.spec, &options()).await.unwrap();
    assert_eq!((deployment.action, deployment.waited), (DeploymentAction::Created, true));
    assert_eq!(deployment.function_arn, "arn:aws:lambda:eu-west-1:123456789012:function:hello");
    assert_eq!(stage.script.writes(), ["CreateFunction"]);
    assert_eq!(
        stage.script.calls("CreateFunction")[0].json(),
        json!({
            "FunctionName": "hello",
            "Role": ROLE,
            "Code": { "ImageUri": stage.image_uri().await },
            "PackageType": "Image",
            "Architectures": ["x86_64"],
            "MemorySize": 256,
        })
    );
}

#[tokio::test]
async fn a_role_that_is_not_known_everywhere_yet_is_given_time() {
    let stage = Stage::new().await;
    stage.script.on("GetFunction", [no_function(), stage.live().await.answer()]);
    stage.script.on("CreateFunction", [role_not_assumable(), role_not_assumable(), Answer::json(&json!({}))]);
    stage.cloud.deploy(&stage.spec, &options()).await.unwrap();
    assert_eq!(stage.script.calls("CreateFunction").len(), 3);
    assert!(
        stage
            .events
            .any(|event| matches!(event, Event::Retrying { what, .. } if what == "create function `hello`"))
    );
}

#[tokio::test]
async fn a_role_that_does_not_trust_lambda_ends_it_at_once() {
    let stage = Stage::new().await;
    stage.script.role("ec2.amazonaws.com");
    stage.script.on("CreateFunction", [role_not_assumable()]);
    let error = stage.cloud.deploy(&stage.spec, &options()).await.unwrap_err();
    assert!(matches!(error, PipelineError::RoleNotTrusted { .. }), "{error:?}");
    assert!(error.hints()[0].contains("sts:AssumeRole"));
    assert_eq!(stage.script.calls("CreateFunction").len(), 1);
}

#[tokio::test]
async fn a_missing_role_is_made_when_asked_for() {
    let mut stage = Stage::new().await;
    stage.script.on("GetFunction", [no_function(), stage.live().await.answer()]);
    stage.spec.function.role = Some(RoleSpec::Name("hello".to_owned()));
    let missing = "<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>no</Message></Error></ErrorResponse>";
    stage.script.on("GetRole", [Answer::raw(404, missing)]);
    let made = format!(
        "<CreateRoleResponse><CreateRoleResult><Role><Path>/</Path><RoleName>hello</RoleName><RoleId>AROA</RoleId><Arn>{ROLE}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></Role></CreateRoleResult></CreateRoleResponse>"
    );
    stage.script.on("CreateRole", [Answer::raw(200, &made)]);
    stage.script.on("AttachRolePolicy", [Answer::raw(200, "<AttachRolePolicyResponse/>")]);
    let with_role = lambdactl::pipeline::DeployOptions { create_role: true, ..options() };
    stage.cloud.deploy(&stage.spec, &with_role).await.unwrap();
    assert_eq!(stage.script.writes(), ["CreateRole", "AttachRolePolicy", "CreateFunction"]);
    assert!(stage.script.calls("AttachRolePolicy")[0].body.contains("AWSLambdaBasicExecutionRole"));
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_recognised_as_ours() {
    let stage = Stage::new().await;
    stage.script.on("GetFunction", [no_function(), stage.live().await.answer()]);
    let exists = Answer::error(409, "ResourceConflictException", "Function already exist: hello");
    stage.script.on("CreateFunction", [exists.clone()]);
    let deployment = stage.cloud.deploy(&stage.spec, &options()).await.unwrap();
    assert_eq!(deployment.action, DeploymentAction::Created);

    let other =
        super::FunctionAnswer::live(&format!("{}/other@sha256:{}", stage.script.authority(), "0".repeat(64)));
    stage.script.on("GetFunction", [no_function(), other.answer()]);
    let error = stage.cloud.deploy(&stage.spec, &options()).await.unwrap_err();
    assert!(matches!(error, PipelineError::ChangedBySomebodyElse { .. }), "{error:?}");
}

#[tokio::test]
async fn without_waiting_the_status_is_the_one_of_the_moment() {
    let stage = Stage::new().await;
    let pending = stage.live().await.with("State", "Pending").with("LastUpdateStatus", json!(null));
    stage.script.on("GetFunction", [no_function(), pending.answer()]);
    let no_wait = lambdactl::pipeline::DeployOptions { no_wait: true, ..options() };
    let deployment = stage.cloud.deploy(&stage.spec, &no_wait).await.unwrap();
    assert!(!deployment.waited);
    assert_eq!(deployment.status.state.unwrap().as_str(), "Pending");
    assert_eq!(stage.script.calls("GetFunction").len(), 2);
}
