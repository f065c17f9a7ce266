//! The repository's policy: read, merged, or handed to whoever may change it.

use lambdactl::event::Event;
use lambdactl::pipeline::{PipelineError, Refusal};
use serde_json::{Value, json};

use super::script::{Answer, no_function};
use super::{Stage, options};

fn denied(action: &str) -> Answer {
    let text = format!(
        "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: {action} on resource: hello"
    );
    Answer::error(400, "AccessDeniedException", &text)
}

#[tokio::test]
async fn lambdas_right_is_added_and_every_other_statement_kept() {
    let stage = Stage::new().await;
    let foreign = json!({ "Sid": "Team", "Effect": "Allow", "Principal": { "AWS": "999999999999" }, "Action": "ecr:BatchGetImage" });
    let before = json!({ "Version": "2008-10-17", "Statement": foreign });
    stage.script.policy(Some(&before));
    let report = stage.cloud.policy_show(&stage.spec, &[]).await.unwrap();
    let [judged] = report.judgements.as_slice() else { panic!("{report:?}") };
    assert!(!judged.allows_lambda && judged.explanation.contains("ecr:BatchGetImage"), "{judged:?}");
    assert_eq!(report.in_words, ["statement `Team` lets account `999999999999` do `ecr:BatchGetImage`"]);
    assert_eq!(stage.script.writes(), Vec::<String>::new());
    let report = stage.cloud.policy_ensure(&stage.spec, &[]).await.unwrap();
    assert!(report.changed);
    let sent = stage.script.calls("SetRepositoryPolicy")[0].json();
    let text: Value = serde_json::from_str(sent["policyText"].as_str().unwrap()).unwrap();
    assert_eq!(text["Version"], "2008-10-17");
    assert_eq!(text["Statement"][0], foreign);
    assert_eq!(text["Statement"][1]["Principal"]["Service"], "lambda.amazonaws.com");
}

#[tokio::test]
async fn whoever_may_not_set_it_gets_the_statement_to_hand_over() {
    let stage = Stage::new().await;
    stage.script.on("GetFunction", [no_function(), stage.live().await.answer()]);
    stage.script.policy(None);
    stage.script.on("SetRepositoryPolicy", [denied("ecr:SetRepositoryPolicy")]);
    let error = stage.cloud.deploy(&stage.spec, &options()).await.unwrap_err();
    assert!(matches!(error, PipelineError::PolicyDenied { .. }), "{error:?}");
    let hints = error.hints().join("\n");
    assert!(hints.contains("`ecr:SetRepositoryPolicy`"), "{hints}");
    assert!(hints.contains("arn:aws:lambda:eu-west-1:123456789012:function:*"), "{hints}");
    assert!(stage.script.calls("CreateFunction").is_empty());
}

#[tokio::test]
async fn a_policy_nobody_may_read_is_a_warning_not_an_end() {
    let stage = Stage::new().await;
    stage.script.on("GetFunction", [stage.live().await.answer()]);
    stage.script.on("GetRepositoryPolicy", [denied("ecr:GetRepositoryPolicy")]);
    stage.cloud.deploy(&stage.spec, &options()).await.unwrap();
    assert_eq!(stage.script.writes(), Vec::<String>::new());
    let warned = |event: &Event| matches!(event, Event::Warning { hint: Some(hint), .. } if hint.contains("ecr:GetRepositoryPolicy"));
    assert!(stage.events.any(warned));
}

#[tokio::test]
async fn a_denial_is_refused_before_anything_is_written() {
    let stage = Stage::new().await;
    stage.script.policy(Some(&json!({ "Statement": [
        { "Sid": "No", "Effect": "Deny", "Principal": "*", "Action": "ecr:*" },
    ] })));
    let error = stage.cloud.deploy(&stage.spec, &options()).await.unwrap_err();
    assert!(
        matches!(&error, PipelineError::Refused(Refusal::PolicyDenies { by, .. }) if by.contains("`No`")),
        "{error:?}"
    );
    assert_eq!(stage.script.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_right_that_was_just_given_may_take_a_moment() {
    let stage = Stage::new().await;
    stage.script.on("GetFunction", [no_function(), stage.live().await.answer()]);
    stage.script.policy(None);
    let text = "Lambda does not have permission to access the ECR image. Check the ECR permissions.";
    let not_yet = Answer::error(403, "AccessDeniedException", text);
    stage.script.on("CreateFunction", [not_yet.clone(), Answer::json(&json!({}))]);
    stage.cloud.deploy(&stage.spec, &options()).await.unwrap();
    assert_eq!(stage.script.calls("CreateFunction").len(), 2);

    // Nothing was given now, so waiting would be no use.
    let stage = Stage::new().await;
    stage.script.on("CreateFunction", [not_yet]);
    let error = stage.cloud.deploy(&stage.spec, &options()).await.unwrap_err();
    assert!(matches!(error, PipelineError::ImageNotReadable { .. }), "{error:?}");
    assert_eq!(stage.script.calls("CreateFunction").len(), 1);
}
