//! An existing function: left alone, changed in order, never over somebody else's change.

use lambdactl::domain::plan::{DeploymentAction, Step};
use lambdactl::domain::secret::Secret;
use lambdactl::event::Event;
use lambdactl::pipeline::{ErrorKind, PipelineError, Refusal};
use serde_json::json;

use super::script::Answer;
use super::{Stage, options};

const BUSY: &str = "The operation cannot be performed at this time. An update is in progress for resource: arn:aws:lambda:eu-west-1:123456789012:function:hello";

#[tokio::test]
async fn what_is_live_already_is_not_written_again() {
    let stage = Stage::new().await;
    stage.script.on("GetFunction", [stage.live().await.answer()]);
    let deployment = stage.cloud.deploy(&stage.spec, &options()).await.unwrap();
    assert_eq!(deployment.action, DeploymentAction::Unchanged);
    assert_eq!(stage.script.writes(), Vec::<String>::new());
    assert_eq!(stage.script.calls("GetFunction").len(), 1);
    assert_eq!(deployment.image.transfer.layers_reused, 1);
    assert!(stage.cloud.progress().written.is_empty());
}

#[tokio::test]
async fn configuration_then_code_each_on_the_revision_that_was_read() {
    let mut stage = Stage::new().await;
    let live = stage.live().await;
    let old =
        super::FunctionAnswer::live(&format!("{}/hello@sha256:{}", stage.script.authority(), "0".repeat(64)));
    stage.spec.function.memory_size = Some(512);
    stage.spec.function.tags.insert("team".to_owned(), "search".to_owned());
    let busy = |revision: &str| {
        old.clone()
            .with("MemorySize", 512)
            .with("LastUpdateStatus", "InProgress")
            .with("LastUpdateStatusReasonCode", "Creating")
            .with("RevisionId", revision)
            .answer()
    };
    stage.script.on(
        "GetFunction",
        [
            old.answer(),
            // Older than the change that was just made: not to be taken for its end.
            old.answer(),
            busy("r2"),
            old.clone().with("MemorySize", 512).with("RevisionId", "r3").answer(),
            live.clone().with("LastUpdateStatus", "InProgress").with("RevisionId", "r4").answer(),
            live.clone().with("MemorySize", 512).with("RevisionId", "r5").answer(),
        ],
    );
    let deployment = stage.cloud.deploy(&stage.spec, &options()).await.unwrap();
    assert_eq!(deployment.action, DeploymentAction::Updated);
    assert_eq!(stage.script.writes(), ["UpdateFunctionConfiguration", "UpdateFunctionCode", "TagResource"]);
    let configuration = stage.script.calls("UpdateFunctionConfiguration")[0].json();
    assert_eq!(configuration, json!({ "MemorySize": 512, "RevisionId": "r1" }));
    let code = stage.script.calls("UpdateFunctionCode")[0].json();
    assert_eq!(
        code,
        json!({ "ImageUri": stage.image_uri().await, "Architectures": ["x86_64"], "RevisionId": "r3" })
    );
    let steps: Vec<_> = stage.cloud.progress().written.iter().map(|written| written.step).collect();
    assert_eq!(steps, [Step::Configuration, Step::Code, Step::Tags]);
    assert!(stage.events.any(|event| matches!(event, Event::FunctionStatus { .. })));
}

#[tokio::test]
async fn a_function_without_its_image_is_given_the_image_first() {
    let mut stage = Stage::new().await;
    let live = stage.live().await;
    stage.spec.function.timeout = Some(30);
    let gone = live.clone().with("State", "Inactive").with("StateReasonCode", "ImageDeleted");
    stage.script.on(
        "GetFunction",
        [
            gone.answer(),
            live.clone().with("RevisionId", "r2").answer(),
            live.with("RevisionId", "r3").answer(),
        ],
    );
    stage.cloud.deploy(&stage.spec, &options()).await.unwrap();
    assert_eq!(stage.script.writes(), ["UpdateFunctionCode", "UpdateFunctionConfiguration"]);
}

#[tokio::test]
async fn while_aws_is_busy_with_another_update_ours_waits() {
    let mut stage = Stage::new().await;
    stage.script.on(
        "GetFunction",
        [stage.live().await.answer(), stage.live().await.with("RevisionId", "r2").answer()],
    );
    stage.script.on(
        "UpdateFunctionConfiguration",
        [Answer::error(409, "ResourceConflictException", BUSY), Answer::json(&json!({}))],
    );
    stage.spec.function.timeout = Some(30);
    stage.cloud.deploy(&stage.spec, &options()).await.unwrap();
    let calls = stage.script.calls("UpdateFunctionConfiguration");
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1].json()["RevisionId"], "r1");
}

#[tokio::test]
async fn a_change_of_somebody_else_is_not_overwritten() {
    let mut stage = Stage::new().await;
    stage.script.on("GetFunction", [stage.live().await.answer()]);
    let text = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id";
    stage.script.on("UpdateFunctionConfiguration", [Answer::error(412, "PreconditionFailedException", text)]);
    stage.spec.function.timeout = Some(30);
    let error = stage.cloud.deploy(&stage.spec, &options()).await.unwrap_err();
    assert!(matches!(error, PipelineError::ChangedBySomebodyElse { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Operation);
    assert_eq!(error.api_error().unwrap().request_id.as_deref(), Some("r-1"));
    assert_eq!(stage.script.calls("UpdateFunctionConfiguration").len(), 1);
    assert!(stage.script.calls("UpdateFunctionCode").is_empty());
}

#[tokio::test]
async fn an_update_that_was_in_progress_is_waited_for_and_its_content_compared() {
    let mut stage = Stage::new().await;
    let live = stage.live().await;
    let busy = live.clone().with("LastUpdateStatus", "InProgress");
    stage.spec.function.timeout = Some(30);
    stage.script.on(
        "GetFunction",
        [
            busy.answer(),
            live.clone().with("RevisionId", "r2").answer(),
            live.clone().with("RevisionId", "r3").answer(),
        ],
    );
    stage.cloud.deploy(&stage.spec, &options()).await.unwrap();
    assert_eq!(stage.script.calls("UpdateFunctionConfiguration")[0].json()["RevisionId"], "r2");

    stage
        .script
        .on("GetFunction", [busy.answer(), live.with("MemorySize", 999).with("RevisionId", "r2").answer()]);
    let error = stage.cloud.deploy(&stage.spec, &options()).await.unwrap_err();
    assert!(matches!(error, PipelineError::ChangedBySomebodyElse { .. }), "{error:?}");
    assert_eq!(stage.script.calls("UpdateFunctionConfiguration").len(), 1);
}

#[tokio::test]
async fn an_archive_function_is_refused_before_anything_is_built() {
    let mut stage = Stage::new().await;
    stage.script.on("GetFunction", [stage.live().await.with("PackageType", json!(null)).answer()]);
    stage.spec.build_command = Some(vec!["touch".to_owned(), "built".to_owned()]);
    let error = stage.cloud.deploy(&stage.spec, &options()).await.unwrap_err();
    assert!(matches!(error, PipelineError::Refused(Refusal::ArchiveFunction(_))), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(!stage.spec.directory.join("built").exists());
    assert_eq!(stage.script.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn throttling_is_outlasted_and_shown() {
    let stage = Stage::new().await;
    let live = stage.live().await.answer();
    let slow = Answer::error(429, "TooManyRequestsException", "Rate exceeded");
    stage.script.on("GetFunction", [slow.clone(), slow, live]);
    let deployment = stage.cloud.deploy(&stage.spec, &options()).await.unwrap();
    assert_eq!(deployment.action, DeploymentAction::Unchanged);
    let told = |event: &Event| {
        matches!(event, Event::Retrying { what, attempt: 2, because, .. }
            if what == "GetFunction" && because.contains("Rate exceeded"))
    };
    assert!(stage.events.any(told), "{:?}", stage.events.0);
}

#[tokio::test]
async fn access_denied_ends_at_once_and_names_the_action() {
    let stage = Stage::new().await;
    let text = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: lambda:GetFunction on resource: hello";
    stage.script.on("GetFunction", [Answer::error(403, "AccessDeniedException", text)]);
    let error = stage.cloud.deploy(&stage.spec, &options()).await.unwrap_err();
    assert_eq!(stage.script.calls("GetFunction").len(), 1);
    assert!(error.hints()[0].contains("`lambda:GetFunction`"), "{:?}", error.hints());
    assert_eq!(error.api_error().unwrap().code.as_deref(), Some("AccessDeniedException"));
}

#[tokio::test]
async fn a_plan_writes_nothing_and_hides_values() {
    let mut stage = Stage::new().await;
    stage.script.on("GetFunction", [stage.live().await.answer()]);
    stage.spec.function.environment.set.insert("KEY".to_owned(), Secret::new("hunter2"));
    let steps = stage.cloud.plan(&stage.spec, &options()).await.unwrap();
    let text = format!("{steps:?}");
    assert!(text.contains("environment.KEY") && !text.contains("hunter2"), "{text}");
    assert_eq!(stage.script.writes(), Vec::<String>::new());
    assert!(stage.events.any(|event| matches!(event, Event::Planned(_))));
}
