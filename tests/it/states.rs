//! Every state a function can be in: shown by the local cloud on request, explained, and mended.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::project::Project;
use crate::support::python::aws_json;
use crate::support::sandbox::{Finished, Sandbox};
use crate::support::world::World;

const REGION: &str = "us-east-1";

impl World {
    /// Runs a command on `hello` in the local cloud.
    fn on_hello(&self, words: &[&str]) -> Finished {
        let mut arguments = words.to_vec();
        arguments.extend(["hello", "--local"]);
        self.sandbox.run(arguments)
    }

    #[track_caller]
    fn status(&self) -> Value {
        self.sandbox.json(0, ["status", "hello", "--local"]).pop().expect("a result")
    }

    fn ecr(&self, arguments: &[&str]) -> Value {
        let all = [&["ecr"], arguments, &["--repository-name", "hello"]].concat();
        aws_json(self.cloud.endpoint(), REGION, &all)
    }
}

#[track_caller]
fn hints(done: &Finished) -> String {
    let error = done.last_json();
    assert_eq!(error["reason"], "error", "{done}");
    error["hints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hint| hint.as_str().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn an_idle_function_is_woken_without_being_called() {
    let world = World::new();
    world.deploy(&[]);
    let done = world.on_hello(&["local", "idle"]).expect(0);
    assert!(done.stderr.contains("lambdactl wake hello --local"), "{done}");
    let idle = world.status();
    assert_eq!((&idle["state"], &idle["readiness"]), (&json!("Inactive"), &json!("ready")));
    assert!(idle["next_steps"][0].as_str().unwrap().contains("`lambdactl wake hello`"), "{idle}");
    let watched = world.on_hello(&["watch"]).expect(0);
    assert!(
        watched.stderr.contains("wake hello"),
        "an idle function has settled, and more is to do: {watched}"
    );

    let woken = world.sandbox.json(0, ["wake", "hello", "--local"]).pop().unwrap();
    assert_eq!(
        (&woken["reason"], &woken["state"], &woken["woken"]),
        (&json!("wake"), &json!("Active"), &json!(true))
    );
    assert_eq!(world.cloud.calls("Invoke"), 0, "no code of the function ran");
    let since = world.cloud.log().len();
    let again = world.on_hello(&["wake"]).expect(0);
    assert_eq!(again.stdout, "arn:aws:lambda:us-east-1:000000000000:function:hello\n");
    assert!(again.stderr.contains("awake already"), "{again}");
    assert!(world.cloud.writes(since).is_empty(), "{:?}", world.cloud.writes(since));
    assert_eq!(world.status()["explanation"], Value::Null, "all is well");
}

#[test]
fn the_next_deployment_wakes_an_idle_function_and_plan_says_so() {
    let world = World::new();
    world.deploy(&[]);
    world.on_hello(&["local", "idle"]).expect(0);
    let plan = world.plan(3, &["--exit-code"]);
    let code = plan["steps"].as_array().unwrap().iter().find(|step| step["step"] == "code").unwrap();
    assert_eq!(code["changes"], json!([{"path": "status", "from": "Inactive (Idle)", "to": "Active"}]));
    let result = world.deploy(&[]);
    assert_eq!((&result["action"], &result["state"]), (&json!("updated"), &json!("Active")));
    assert_eq!(world.deploy(&[])["action"], "unchanged");
}

#[test]
fn a_function_whose_image_was_deleted_is_given_it_again_by_the_next_deployment() {
    let world = World::new();
    let digest = world.deploy(&[])["image_digest"].as_str().unwrap().to_owned();
    world.ecr(&["batch-delete-image", "--image-ids", &format!("imageDigest={digest}")]);
    assert_eq!(world.status()["state"], "Active", "Lambda keeps what it has fetched");
    world.on_hello(&["local", "idle"]).expect(0);
    let done = world.on_hello(&["wake", "--output", "json"]).expect(4);
    assert!(done.last_json()["message"].as_str().unwrap().contains("ImageDeleted"), "{done}");
    assert!(hints(&done).contains("deploy again: the image is pushed"), "{done}");
    let status = world.status();
    assert_eq!((&status["state"], &status["readiness"]), (&json!("Inactive"), &json!("failed")));
    assert!(status["explanation"].as_str().unwrap().contains("gone from ECR"), "{status}");

    let result = world.deploy(&[]);
    assert_eq!((&result["action"], &result["state"]), (&json!("updated"), &json!("Active")));
    assert_eq!(result["image_digest"], json!(digest));
    let images = world.ecr(&["list-images"]);
    assert!(images.to_string().contains(&digest), "{images}");
}

#[test]
fn a_function_whose_repository_lets_lambda_in_no_more_is_mended_by_policy_ensure() {
    let world = World::new();
    world.deploy(&[]);
    world.ecr(&["delete-repository-policy"]);
    world.on_hello(&["local", "idle"]).expect(0);
    let done = world.on_hello(&["wake", "--output", "json"]).expect(4);
    assert!(done.last_json()["message"].as_str().unwrap().contains("ImageAccessDenied"), "{done}");
    assert!(hints(&done).contains("lambdactl policy ensure"), "{done}");
    let done = world.on_hello(&["wake", "--output", "json"]).expect(4);
    assert!(hints(&done).contains("policy ensure"), "it stays so: {done}");
    world.sandbox.run(["policy", "ensure", "--local", world.project.argument()]).expect(0);
    assert_eq!(world.deploy(&[])["state"], "Active");
}

#[test]
fn a_function_that_never_was_active_is_only_deleted_on_request_and_keeps_its_settings() {
    let world = World::new();
    world.on_hello(&["local", "fail", "--reason", "layer 1 is broken"]).expect(2);
    world.sandbox.run(["local", "fail", "hello", "InvalidImage", "--reason", "layer 1 is broken"]).expect(0);
    let done = world.try_deploy(&["--memory-size", "256", "--output", "json"]).expect(4);
    assert!(
        done.last_json()["message"].as_str().unwrap().contains("could not be created: layer 1 is broken")
    );
    assert!(hints(&done).contains("`lambdactl deploy --yes`"), "{done}");
    let permission =
        json!({"StatementId": "shop", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"});
    assert_eq!(world.ask("POST", "/2015-03-31/functions/hello/policy", Some(permission)).0, 201);
    let reserved = json!({"ReservedConcurrentExecutions": 5});
    assert_eq!(world.ask("PUT", "/2017-10-31/functions/hello/concurrency", Some(reserved)).0, 200);

    world.mark_builds("");
    let since = world.cloud.log().len();
    let done = world.try_deploy(&["--output", "json"]).expect(6);
    let told = hints(&done);
    assert!(told.contains("--yes") && told.contains("resource policy: shop"), "{done}");
    assert!(told.contains("reserved concurrency: 5"), "{done}");
    assert!(world.cloud.writes(since).is_empty() && !world.was_built(), "{:?}", world.cloud.writes(since));

    let plan = world.plan(3, &["--exit-code"]);
    let step = plan["steps"].as_array().unwrap().iter().find(|step| step["step"] == "function").unwrap();
    assert_eq!(step["action"], "replace", "{step}");
    assert!(step["changes"].to_string().contains("lost.resource_policy"), "{step}");

    let result = world.deploy(&["--yes"]);
    assert_eq!((&result["action"], &result["state"]), (&json!("created"), &json!("Active")));
    let function = world.function();
    assert_eq!(function["Configuration"]["MemorySize"], 256, "nothing is reset by silence");
    assert!(function.get("Concurrency").is_none());
    assert_eq!(world.cloud.calls("DeleteFunction"), 1);
    assert_eq!(world.deploy(&["--yes"])["action"], "unchanged");
}

#[test]
fn a_function_that_was_active_is_never_deleted() {
    let world = World::new();
    world.deploy(&[]);
    world.sandbox.run(["local", "fail", "hello", "InternalError", "--now"]).expect(0);
    assert_eq!(world.deploy(&["--yes"])["action"], "updated");
    assert_eq!(world.cloud.calls("DeleteFunction"), 0);
}

#[test]
fn a_function_that_is_pending_for_too_long_is_called_stuck_and_gets_out_of_it() {
    let world = World::new();
    world.deploy(&[]);
    world.sandbox.run(["local", "fail", "hello", "Creating", "--now"]).expect(0);
    let status = world.status();
    assert!(status["explanation"].as_str().unwrap().contains("stuck"), "{status}");
    let done = world.on_hello(&["watch", "--wait-timeout", "1s"]).expect(5);
    assert!(done.stderr.contains("Pending for more than 6 minutes"), "{done}");
    assert!(done.stderr.contains("update-function-configuration"), "{done}");
    let update = json!({"Timeout": 3});
    assert_eq!(world.ask("PUT", "/2015-03-31/functions/hello/configuration", Some(update)).0, 409);
    assert_eq!(world.status()["state"], "Failed");
    assert_eq!(world.deploy(&["--yes"])["action"], "created");
}

#[test]
fn whatever_lambda_may_say_is_shown_with_what_to_do() {
    let world = World::new();
    world.deploy(&[]);
    for code in ["ImageDeleted", "KMSKeyNotFound", "FunctionError.InitTimeout", "EFSMountTimeout"] {
        world.sandbox.run(["local", "fail", "hello", code, "--now"]).expect(0);
        let status = world.status();
        assert_eq!((&status["state_reason_code"], &status["readiness"]), (&json!(code), &json!("failed")));
        assert!(!status["next_steps"].as_array().unwrap().is_empty(), "{status}");
        let shown = world.on_hello(&["status"]).expect(0);
        assert!(shown.stdout.contains("\n  meaning ") && shown.stdout.contains("\n  next "), "{shown}");
        let watched = world.on_hello(&["watch"]).expect(4);
        assert!(watched.stderr.contains("hint: "), "{watched}");
    }
    world.project.write("data", "second\n");
    world.sandbox.run(["local", "fail", "hello", "SubnetOutOfIPAddresses"]).expect(0);
    let done = world.try_deploy(&[]).expect(4);
    assert!(
        done.stderr.contains("SubnetOutOfIPAddresses") && done.stderr.contains("free addresses"),
        "{done}"
    );
    world.sandbox.run(["local", "fail", "hello", "InternalError"]).expect(0);
    world.sandbox.run(["local", "fail", "hello", "--clear"]).expect(0);
    assert_eq!(world.deploy(&[])["last_update_status"], "Successful");
}

#[test]
fn states_can_be_asked_for_without_a_running_server() {
    let sandbox = Sandbox::new();
    let project = Project::assembled(Path::new(sandbox.path()), "hello");
    sandbox.run(["local", "idle", "hello"]).expect(1);
    sandbox.run(["local", "fail", "hello", "InternalError", "--region", "eu-west-1"]).expect(0);
    sandbox.run(["deploy", "--local", project.argument(), "--region", "eu-west-1"]).expect(4);
    sandbox.run(["deploy", "--local", project.argument()]).expect(0);
    let told = sandbox.json(0, ["local", "idle", "hello"]).pop().unwrap();
    assert_eq!(told, json!({"reason": "local-idle", "function_name": "hello", "region": "us-east-1"}));
    let woken = sandbox.json(0, ["wake", "--local", "hello"]).pop().unwrap();
    assert_eq!(woken["state"], "Active");
    let done = sandbox.run(["local", "fail", "hello", "ImageDelted"]).expect(2);
    assert!(done.stderr.contains("ImageDeleted"), "the nearest code is named: {done}");
    let done = sandbox.run(["local", "fail", "hello", "Creating"]).expect(2);
    assert!(done.stderr.contains("--now"), "{done}");
    let done = sandbox.run(["local", "idle", "none"]).expect(1);
    assert!(done.stderr.contains("`none` does not exist in region `us-east-1`"), "{done}");
}
