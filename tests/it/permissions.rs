//! Who may do what: the repository's policy across accounts, the least policy of whoever deploys,
//! and what is said where a permission is missing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::local_server::Fault;
use crate::support::moto::Aws;
use crate::support::python::{aws_json, boto3};
use crate::support::sandbox::{Finished, Sandbox, finish};
use crate::support::world::World;

const REGION: &str = "us-east-1";
const ACCOUNTS: &str = "111111111111,222222222222";

/// A statement that must never be touched.
fn foreign() -> Value {
    json!({"Sid": "Team", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::333333333333:root"}, "Action": ["ecr:PutImage"]})
}

fn foreign_policy() -> String {
    json!({"Version": "2008-10-17", "Statement": [foreign()]}).to_string()
}

/// What another client reads of a policy that `policy ensure` made for some accounts.
#[track_caller]
fn assert_for_accounts(policy: &Value, accounts: &[&str]) {
    let statements = policy["Statement"].as_array().unwrap();
    assert_eq!(statements[0], foreign(), "{policy}");
    assert_eq!(statements.len(), 3, "lists are extended: {policy}");
    let list = |value: &Value| match value {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    };
    let roots: Vec<_> = accounts.iter().map(|it| json!(format!("arn:aws:iam::{it}:root"))).collect();
    let functions: Vec<_> =
        accounts.iter().map(|it| json!(format!("arn:aws:lambda:us-east-1:{it}:function:*"))).collect();
    assert_eq!(statements[1]["Sid"], "CrossAccountPermission");
    assert_eq!(list(&statements[1]["Principal"]["AWS"]), roots, "{policy}");
    assert_eq!(statements[2]["Sid"], "LambdaECRImageCrossAccountRetrievalPolicy");
    assert_eq!(statements[2]["Principal"], json!({"Service": "lambda.amazonaws.com"}));
    assert_eq!(list(&statements[2]["Condition"]["StringLike"]["aws:sourceARN"]), functions, "{policy}");
    for statement in &statements[1..] {
        assert_eq!(statement["Action"], json!(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]));
    }
}

#[test]
fn the_owner_of_a_repository_lets_functions_of_other_accounts_in_one_by_one() {
    let world = World::new();
    let endpoint = world.cloud.endpoint();
    aws_json(endpoint, REGION, &["ecr", "create-repository", "--repository-name", "shared"]);
    let set =
        ["ecr", "set-repository-policy", "--repository-name", "shared", "--policy-text", &foreign_policy()];
    aws_json(endpoint, REGION, &set);
    let ensure = |accounts: &str| {
        let arguments = [
            "policy",
            "ensure",
            "--local",
            "--repository",
            "shared",
            "--function",
            "hello",
            "--for-account",
            accounts,
        ];
        world.sandbox.json(0, arguments).pop().unwrap()
    };
    let read = || -> Value {
        let script = "text = boto3.client('ecr').get_repository_policy(repositoryName='shared')['policyText']\nprint(json.dumps(json.loads(text)))";
        serde_json::from_str(&boto3(endpoint, REGION, script)).unwrap()
    };
    let told = ensure(ACCOUNTS);
    assert_eq!((&told["changed"], &told["allows_lambda"]), (&json!(true), &json!(true)));
    assert_eq!(told["accounts"].as_array().unwrap().len(), 2, "{told}");
    assert_for_accounts(&read(), &["111111111111", "222222222222"]);

    let since = world.cloud.log().len();
    assert_eq!(ensure(ACCOUNTS)["changed"], false);
    assert!(world.cloud.writes(since).is_empty(), "{:?}", world.cloud.writes(since));
    ensure("444444444444");
    assert_for_accounts(&read(), &["111111111111", "222222222222", "444444444444"]);

    let show = [
        "policy",
        "show",
        "--local",
        "--repository",
        "shared",
        "--function",
        "hello",
        "--for-account",
        "555555555555",
    ];
    let shown = world.sandbox.run(show).expect(0);
    assert!(
        shown.stdout.contains("statement `Team` lets account `333333333333` do `ecr:PutImage`"),
        "{shown}"
    );
    assert!(shown.stdout.contains("Lambda may not pull"), "{shown}");
    assert!(
        shown
            .stderr
            .contains("policy ensure --repository shared --function hello --for-account 555555555555"),
        "{shown}"
    );
    assert!(shown.stderr.contains("arn:aws:iam::555555555555:root"), "{shown}");
}

#[test]
fn moto_stores_and_gives_back_what_was_merged() {
    let aws = Aws::start();
    aws.ask(["ecr", "create-repository", "--repository-name", "shared"]);
    aws.ask([
        "ecr",
        "set-repository-policy",
        "--repository-name",
        "shared",
        "--policy-text",
        &foreign_policy(),
    ]);
    let ensure =
        ["policy", "ensure", "--repository", "shared", "--function", "hello", "--for-account", ACCOUNTS];
    assert_eq!(aws.sandbox.json(0, ensure).pop().unwrap()["changed"], true);
    let read = aws.ask(["ecr", "get-repository-policy", "--repository-name", "shared"]);
    let policy: Value = serde_json::from_str(read["policyText"].as_str().unwrap()).unwrap();
    assert_for_accounts(&policy, &["111111111111", "222222222222"]);
    assert_eq!(aws.sandbox.json(0, ensure).pop().unwrap()["changed"], false);
}

/// A command on the repository of another account, of which the caller may read nothing.
fn on_foreign_repository(world: &World, words: &[&str]) -> Finished {
    let denied = |action: &str| {
        let text = format!(
            "User: arn:aws:iam::000000000000:user/ci is not authorized to perform: {action} on resource: arn:aws:ecr:us-east-1:999999999999:repository/shared because no resource-based policy allows the {action} action"
        );
        json!({"__type": "AccessDeniedException", "message": text})
    };
    world.cloud.inject(&[
        Fault::operation("DescribeRepositories").times(9).answers(400, denied("ecr:DescribeRepositories")),
        Fault::operation("GetRepositoryPolicy").times(9).answers(400, denied("ecr:GetRepositoryPolicy")),
    ]);
    let mut command = world.sandbox.lambdactl(words);
    command.args([
        "--repository",
        "999999999999.dkr.ecr.us-east-1.amazonaws.com/shared",
        "--function",
        "hello",
    ]);
    command.args(["--output", "json"]).envs([
        ("AWS_ENDPOINT_URL", world.cloud.endpoint()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", REGION),
    ]);
    finish(command)
}

#[test]
fn whoever_may_not_change_a_foreign_repository_gets_both_statements_for_its_owner() {
    let world = World::new();
    let done = on_foreign_repository(&world, &["policy", "ensure"]).expect(1);
    let error = done.last_json();
    let hints = error["hints"].to_string();
    for words in [
        "CrossAccountPermission",
        "arn:aws:iam::000000000000:root",
        "LambdaECRImageCrossAccountRetrievalPolicy",
        "arn:aws:lambda:us-east-1:000000000000:function:*",
    ] {
        assert!(hints.contains(words), "`{words}`: {done}");
    }
    assert_eq!(error["denied"]["action"], "ecr:GetRepositoryPolicy");
    assert_eq!(
        error["denied"]["statement"],
        json!({"Effect": "Allow", "Action": "ecr:GetRepositoryPolicy", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}})
    );
    assert_eq!(world.cloud.calls("SetRepositoryPolicy"), 0);
}

#[test]
fn a_missing_permission_is_named_with_its_statement_and_asked_for_once() {
    let world = World::new();
    let resource = "arn:aws:lambda:us-east-1:000000000000:function:hello";
    let text = format!(
        "User: arn:aws:iam::000000000000:user/ci is not authorized to perform: lambda:GetFunction on resource: {resource} because no identity-based policy allows the lambda:GetFunction action"
    );
    let denied = Fault::operation("GetFunction").times(9).answers(403, json!({"Message": text}));
    world.cloud.inject(&[denied.with_header("x-amzn-errortype", "AccessDeniedException")]);
    let done = world.try_deploy(&["--output", "json"]).expect(1);
    let error = done.last_json();
    let statement = json!({"Effect": "Allow", "Action": "lambda:GetFunction", "Resource": resource});
    assert_eq!(
        error["denied"],
        json!({"action": "lambda:GetFunction", "resource": resource, "statement": statement})
    );
    assert!(error["hints"][0].as_str().unwrap().contains("lambdactl policy iam"), "{done}");
    assert_eq!(world.cloud.calls("GetFunction"), 1, "never tried again");
    let done = world.try_deploy(&[]).expect(1);
    assert!(done.stderr.contains("\"Action\": \"lambda:GetFunction\""), "{done}");
    world.cloud.mend();

    let repository = "arn:aws:ecr:us-east-1:000000000000:repository/hello";
    let text = format!(
        "User: arn:aws:iam::000000000000:user/ci is not authorized to perform: ecr:InitiateLayerUpload on resource: {repository} because no identity-based policy allows the ecr:InitiateLayerUpload action"
    );
    let body = json!({"errors": [{"code": "DENIED", "message": text}]});
    world.cloud.inject(&[Fault::request("POST", "/v2/hello/blobs/uploads/").times(99).answers(403, body)]);
    let done = world.try_deploy(&["--output", "json"]).expect(1);
    assert_eq!(done.last_json()["denied"]["statement"]["Resource"], repository, "{done}");
    assert!(!done.json_lines().iter().any(|line| line["reason"] == "retrying"), "{done}");
}

fn actions(policy: &Value) -> BTreeSet<String> {
    let statements = policy["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|statement| statement["Action"].as_array().unwrap());
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}

/// Holds the least policy against what deployments really ask for.
#[test]
fn the_least_policy_allows_every_call_of_a_deployment_and_no_other() {
    let world = World::new();
    world.project.configure("[function]\nmemory_size = 256\n[function.tags]\nteam = \"search\"\n");
    let since = world.cloud.log().len();
    world.try_deploy_to_endpoints(&["--create-role", "--role", "runner"]).expect(0);
    world.project.configure("[function]\nmemory_size = 512\n[function.tags]\nteam = \"find\"\n");
    world.project.write("data", "second\n");
    world.try_deploy_to_endpoints(&["--create-role", "--role", "runner"]).expect(0);
    // What other clients ask for at `/v2/` counts as the action it needs.
    let used: BTreeSet<String> = world.cloud.log()[since..]
        .iter()
        .filter_map(|entry| match (entry.operation.as_deref(), entry.method.as_str()) {
            (Some(operation), _) => Some(operation.to_owned()),
            (None, "POST") => Some("InitiateLayerUpload".to_owned()),
            (None, "PATCH") => Some("UploadLayerPart".to_owned()),
            (None, "PUT") if entry.path.contains("/manifests/") => Some("PutImage".to_owned()),
            (None, "PUT") => Some("CompleteLayerUpload".to_owned()),
            (None, "HEAD") if entry.path.contains("/blobs/") => {
                Some("BatchCheckLayerAvailability".to_owned())
            }
            (None, "HEAD" | "GET") if entry.path.contains("/manifests/") => Some("BatchGetImage".to_owned()),
            (None, "GET") if entry.path.contains("/blobs/") => Some("GetDownloadUrlForLayer".to_owned()),
            _ => None,
        })
        .filter(|operation| operation != "GetCallerIdentity")
        .collect();

    let iam = ["policy", "iam", "--local", world.project.argument(), "--role", "runner", "--create-role"];
    let policy: Value = serde_json::from_str(&world.sandbox.run(iam).expect(0).stdout).unwrap();
    let allowed: BTreeSet<String> =
        actions(&policy).iter().map(|action| action.split_once(':').unwrap().1.to_owned()).collect();
    let missing: Vec<_> = used.difference(&allowed).collect();
    assert!(missing.is_empty(), "used, and not allowed: {missing:?}");
    // What AWS checks besides the call itself, and what only some deployments come to.
    let besides = [
        "PassRole",
        "ListTags",
        // Only asked for where nothing is remembered of a repository.
        "DescribeImages",
        "GetDownloadUrlForLayer",
        "UploadLayerPart",
        "BatchCheckLayerAvailability",
        "BatchGetImage",
    ];
    let unused: Vec<_> = allowed.difference(&used).filter(|it| !besides.contains(&it.as_str())).collect();
    assert!(unused.is_empty(), "allowed, and never used: {unused:?}");
    for statement in policy["Statement"].as_array().unwrap() {
        let bound =
            statement["Resource"] != "*" || statement["Action"] == json!(["ecr:GetAuthorizationToken"]);
        assert!(bound, "bound to what is deployed: {statement}");
    }
}

#[test]
fn the_least_policy_needs_no_credentials_and_is_nothing_but_json() {
    let sandbox = Sandbox::new();
    let iam = |options: &[&str]| {
        let mut command =
            sandbox.lambdactl(["policy", "iam", "--function", "hello", "--account", "123456789012"]);
        command.args(options);
        finish(command)
    };
    let done = iam(&["--region", "cn-north-1", "--role", "hello-role"]).expect(0);
    let policy: Value = serde_json::from_str(&done.stdout).unwrap();
    let text = policy.to_string();
    assert!(text.contains("arn:aws-cn:lambda:cn-north-1:123456789012:function:hello"), "{done}");
    assert!(!text.contains("arn:aws:"), "{done}");
    assert!(!text.contains("UpdateFunctionConfiguration") || text.contains("iam:PassRole"), "{done}");

    let done = iam(&["--region", "eu-west-1"]).expect(0);
    assert!(done.stderr.contains("has to exist already"), "{done}");
    assert!(!done.stdout.contains("CreateFunction") && !done.stdout.contains("PassRole"), "{done}");
    let done = iam(&["--region", "eu-west-1", "--create-role", "--invoke", "--logs"]).expect(0);
    for action in ["iam:CreateRole", "iam:AttachRolePolicy", "lambda:InvokeFunction", "logs:FilterLogEvents"]
    {
        assert!(done.stdout.contains(action), "{action}: {done}");
    }
    let base = "--image=999999999999.dkr.ecr.eu-west-1.amazonaws.com/base:1";
    let done = iam(&["--region", "eu-west-1", base]).expect(0);
    assert!(done.stdout.contains("arn:aws:ecr:eu-west-1:999999999999:repository/base"), "{done}");

    iam(&[]).expect(2);
    let done = finish(sandbox.lambdactl(["policy", "iam", "--account", "12"])).expect(2);
    assert!(done.stderr.contains("twelve digits"), "{done}");
    let mut command = sandbox.lambdactl(["policy", "iam", "--function", "hello", "--region", "eu-west-1"]);
    command.args(["--account", "123456789012", "--output", "json"]);
    let line = finish(command).expect(0).last_json();
    assert_eq!(
        (&line["reason"], &line["policy"]["Version"]),
        (&json!("caller-policy"), &json!("2012-10-17"))
    );
}
