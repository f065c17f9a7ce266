//! Lambda, ECR and IAM that are busy, throttle, or refuse.

use std::time::Duration;

use serde_json::{Value, json};

use super::{assert_retried, assert_the_same_command_finishes};
use crate::support::local_server::Fault;
use crate::support::registry::DockerRegistry;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// A fault that answers as Lambda does: the error's name is in a header.
fn lambda(operation: &str, times: u32, status: u16, name: &str, message: &str) -> Fault {
    let body = json!({ "Type": "User", "message": message });
    Fault::operation(operation).times(times).answers(status, body).with_header("x-amzn-ErrorType", name)
}

/// A fault that answers as ECR does: the error's name is in the body.
fn ecr(operation: &str, name: &str, message: &str) -> Fault {
    Fault::operation(operation).times(1000).answers(400, json!({ "__type": name, "message": message }))
}

const BUSY: &str = "The operation cannot be performed at this time. An update is in progress for resource: arn:aws:lambda:us-east-1:000000000000:function:hello";

#[test]
fn a_function_that_is_busy_is_waited_for() {
    let world = World::new();
    world.deploy(&[]);
    for operation in ["UpdateFunctionCode", "UpdateFunctionConfiguration"] {
        world.cloud.inject(&[lambda(operation, 2, 409, "ResourceConflictException", BUSY)]);
        world.project.write("data", operation);
        world.project.configure(&format!("[function]\ndescription = \"{operation}\""));
        let done = world.try_deploy(&["--output", "json"]).expect(0);
        assert_eq!(done.last_json()["action"], "updated");
        assert_retried(&done, "in progress");
    }
    assert_the_same_command_finishes(&world);
}

#[test]
fn an_update_somebody_else_began_is_waited_for() {
    let world = World::new();
    world.deploy(&[]);
    let change = json!({ "Description": "by somebody else" });
    let (status, answer) = world.ask("PUT", "/2015-03-31/functions/hello/configuration", Some(change));
    assert_eq!(status, 200, "{answer}");
    world.project.write("data", "second\n");
    let result = world.deploy(&[]);
    assert_eq!(result["action"], "updated");
    assert_eq!(world.function()["Configuration"]["Description"], "by somebody else");
}

#[test]
fn throttling_is_overcome() {
    let world = World::new();
    let throttled = |operation| lambda(operation, 2, 429, "TooManyRequestsException", "Rate exceeded");
    world.cloud.inject(&[throttled("GetFunction"), throttled("CreateFunction")]);
    let done = world.try_deploy(&["--output", "json"]).expect(0);
    assert_retried(&done, "Rate exceeded");
    assert_the_same_command_finishes(&world);
}

#[test]
fn what_is_not_allowed_is_asked_once_and_reported_with_the_action() {
    for (operation, action) in
        [("GetFunction", "lambda:GetFunction"), ("CreateFunction", "lambda:CreateFunction")]
    {
        let world = World::new();
        let message =
            format!("User: arn:aws:iam::000000000000:user/ada is not authorized to perform: {action}");
        world.cloud.inject(&[lambda(operation, 1000, 403, "AccessDeniedException", &message)]);
        let done = world.try_deploy(&["--output", "json"]).expect(1);
        let error = done.last_json();
        assert_eq!(error["code"], "AccessDeniedException");
        assert!(error.to_string().contains(action), "{error}");
        assert_eq!(world.cloud.calls(operation), 1, "it cannot get better");
        world.cloud.mend();
        assert_the_same_command_finishes(&world);
    }
}

#[test]
fn who_may_not_set_the_policy_is_given_the_statement_for_the_owner() {
    let world = World::new();
    world.cloud.inject(&[ecr(
        "SetRepositoryPolicy",
        "AccessDeniedException",
        "User: arn:aws:iam::000000000000:user/ada is not authorized to perform: ecr:SetRepositoryPolicy",
    )]);
    let done = world.try_deploy(&[]).expect(1);
    for part in
        ["ecr:SetRepositoryPolicy", "lambda.amazonaws.com", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    {
        assert!(done.stderr.contains(part), "`{part}`: {done}");
    }
    world.cloud.mend();
    assert_the_same_command_finishes(&world);
}

#[test]
fn a_change_by_somebody_else_in_between_is_noticed_and_not_overwritten() {
    let world = World::new();
    world.deploy(&[]);
    world.project.configure("[function]\nmemory_size = 512");
    // Held back for so long, our update arrives after somebody else's.
    world.cloud.inject(&[Fault::operation("UpdateFunctionConfiguration").answers(
        412,
        json!({
            "Type": "User",
            "message": "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
        }),
    )
    .with_header("x-amzn-ErrorType", "PreconditionFailedException")]);
    let done = world.try_deploy(&["--output", "json"]).expect(1);
    assert_eq!(done.last_json()["code"], "PreconditionFailedException");
    assert_eq!(world.cloud.calls("UpdateFunctionConfiguration"), 1, "it is not forced");
    assert_the_same_command_finishes(&world);
}

#[test]
fn an_answer_that_comes_late_is_waited_for() {
    let world = World::new();
    world.deploy(&[]);
    world.project.write("data", "second\n");
    world.cloud.inject(&[Fault::operation("UpdateFunctionCode").delays(Duration::from_secs(3))]);
    let done = world.try_deploy(&["--output", "json"]).expect(0);
    let result: Value = done.last_json();
    assert_eq!(result["action"], "updated");
    assert!(result["elapsed_ms"].as_u64() >= Some(3000), "{result}");
    assert_eq!(world.cloud.calls("UpdateFunctionCode"), 1, "what is slow is not asked twice");
}

#[test]
fn an_endpoint_is_trusted_by_the_certificates_of_a_file_only() {
    // Whatever it answers: that there is an answer is what counts.
    let endpoint = DockerRegistry::secure("localhost");
    let mut sandbox = Sandbox::new();
    let address = format!("https://localhost:{}", endpoint.address().port());
    for (name, value) in [
        ("AWS_ENDPOINT_URL", address.as_str()),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_MAX_ATTEMPTS", "1"),
    ] {
        sandbox.set(name, value);
    }
    let status = |sandbox: &Sandbox| sandbox.run(["status", "hello"]).stderr;
    let untrusted = status(&sandbox);
    assert!(untrusted.contains("cannot be reached") && untrusted.contains("certificate"), "{untrusted}");
    sandbox.set("AWS_CA_BUNDLE", endpoint.certificate().to_str().unwrap());
    let trusted = status(&sandbox);
    assert!(!trusted.contains("cannot be reached"), "{trusted}");
    assert!(trusted.contains("404") || trusted.contains("function"), "{trusted}");
}

#[test]
fn a_profile_that_does_not_exist_is_named_and_only_what_needs_aws_is_refused() {
    let mut world = World::new();
    world.sandbox.set("AWS_PROFILE", "nowhere");
    world.sandbox.set("AWS_REGION", "eu-west-1");
    let done = world.sandbox.run(["status", "hello"]).expect(2);
    assert!(done.stderr.contains("there is no AWS profile `nowhere`"), "{done}");
    assert!(done.stderr.contains("aws configure --profile NAME"), "{done}");
    // Neither the local cloud nor a build asks for it.
    world.deploy(&[]);
    world.sandbox.run(["build", world.project.argument()]).expect(0);
}
