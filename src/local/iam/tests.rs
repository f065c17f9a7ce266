//! IAM and STS as a client sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::*;
use crate::local::call::Delays;
use crate::local::store::Store;

const ROLE: &str = "arn:aws:iam::000000000000:role/app";

fn cloud() -> (tempfile::TempDir, Call) {
    let directory = tempfile::tempdir().unwrap();
    let call = Call {
        store: Arc::new(Store::open(directory.path()).unwrap()),
        delays: Delays::default(),
        region: "us-east-1".into(),
        authority: "127.0.0.1:4566".into(),
        request_id: "the-request".into(),
        now: OffsetDateTime::UNIX_EPOCH,
    };
    (directory, call)
}

fn trust(service: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole",
    }]})
}

async fn ask(call: &Call, pairs: &[(&str, &str)]) -> (u16, String) {
    let form: BTreeMap<String, String> =
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let response = match form["Action"].as_str() {
        "GetCallerIdentity" | "AssumeRole" => crate::local::sts::handle(call, &form),
        _ => handle(call, &form),
    };
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn create(call: &Call, name: &str) -> (u16, String) {
    let document = trust("lambda.amazonaws.com").to_string();
    ask(call, &[("Action", "CreateRole"), ("RoleName", name), ("AssumeRolePolicyDocument", &document)]).await
}

fn can_assume(call: &Call, arn: &str) -> bool {
    call.store.transaction(|tx| lambda_can_assume(tx, call, arn)).unwrap().unwrap()
}

#[tokio::test]
async fn a_role_is_made_shown_and_deleted() {
    let (_directory, call) = cloud();
    let (status, created) = create(&call, "app").await;
    assert_eq!(status, 200, "{created}");
    assert!(created.starts_with(
        "<CreateRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><CreateRoleResult><Role><Path>/</Path><RoleName>app</RoleName><RoleId>AROA"
    ));
    assert!(created.contains(&format!("<Arn>{ROLE}</Arn><CreateDate>1970-01-01T00:00:00Z</CreateDate>")));
    assert!(created.contains("<AssumeRolePolicyDocument>%7B%22Version%22%3A%222012-10-17%22"), "{created}");
    assert!(created.ends_with(
        "<ResponseMetadata><RequestId>the-request</RequestId></ResponseMetadata></CreateRoleResponse>"
    ));
    let (status, shown) = ask(&call, &[("Action", "GetRole"), ("RoleName", "app")]).await;
    assert_eq!((status, shown), (200, created.replace("CreateRole", "GetRole")));
    let (status, again) = create(&call, "app").await;
    assert_eq!(status, 409);
    assert!(
        again.contains(
            "<Code>EntityAlreadyExists</Code><Message>Role with name app already exists.</Message>"
        )
    );
    assert_eq!(ask(&call, &[("Action", "DeleteRole"), ("RoleName", "app")]).await.0, 200);
    let (status, gone) = ask(&call, &[("Action", "GetRole"), ("RoleName", "app")]).await;
    assert_eq!(status, 404);
    assert!(gone.contains("<Type>Sender</Type><Code>NoSuchEntity</Code><Message>The role with name app cannot be found.</Message>"));
}

#[tokio::test]
async fn policies_are_attached_and_put() {
    let (_directory, call) = cloud();
    create(&call, "app").await;
    let managed = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
    let with_policy = |action: &'static str, arn: &'static str| {
        [("Action", action), ("RoleName", "app"), ("PolicyArn", arn)]
    };
    for _ in 0..2 {
        assert_eq!(ask(&call, &with_policy("AttachRolePolicy", managed)).await.0, 200);
    }
    let (_, listed) = ask(&call, &[("Action", "ListAttachedRolePolicies"), ("RoleName", "app")]).await;
    assert!(listed.contains(&format!(
        "<AttachedPolicies><member><PolicyName>AWSLambdaBasicExecutionRole</PolicyName><PolicyArn>{managed}</PolicyArn></member></AttachedPolicies><IsTruncated>false</IsTruncated>"
    )));
    let own = "arn:aws:iam::000000000000:policy/own";
    assert_eq!(ask(&call, &with_policy("AttachRolePolicy", own)).await.0, 404);
    let (status, conflict) = ask(&call, &[("Action", "DeleteRole"), ("RoleName", "app")]).await;
    assert_eq!(status, 409);
    assert!(conflict.contains("<Code>DeleteConflict</Code>"));
    assert_eq!(ask(&call, &with_policy("DetachRolePolicy", managed)).await.0, 200);
    assert_eq!(ask(&call, &with_policy("DetachRolePolicy", managed)).await.0, 404);

    let document = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    let inline = [("RoleName", "app"), ("PolicyName", "in.line"), ("PolicyDocument", document)];
    let put = [&[("Action", "PutRolePolicy")], &inline[..]].concat();
    assert_eq!(ask(&call, &put).await.0, 200);
    let (_, shown) =
        ask(&call, &[("Action", "GetRolePolicy"), ("RoleName", "app"), ("PolicyName", "in.line")]).await;
    assert!(shown.contains("<PolicyDocument>%7B%22Statement%22%3A%7B%22Effect%22"), "{shown}");
    let (_, listed) = ask(&call, &[("Action", "ListRolePolicies"), ("RoleName", "app")]).await;
    assert!(listed.contains("<PolicyNames><member>in.line</member></PolicyNames>"));
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let (_directory, call) = cloud();
    for (name, document, status, expected) in [
        ("a/b", "{}", 400, "<Code>ValidationError</Code>"),
        ("app", "{", 400, "<Code>MalformedPolicyDocument</Code><Message>This policy contains invalid Json"),
        ("app", "{}", 400, "Syntax errors in policy."),
        (
            "app",
            r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole"}}"#,
            400,
            "Missing required field Principal",
        ),
        (
            "app",
            r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}}"#,
            400,
            "Has prohibited field Resource",
        ),
    ] {
        let form = [("Action", "CreateRole"), ("RoleName", name), ("AssumeRolePolicyDocument", document)];
        let (actual, answer) = ask(&call, &form).await;
        assert_eq!(actual, status);
        assert!(answer.contains(expected), "{answer}");
    }
    let (status, answer) = ask(&call, &[("Action", "GetRole")]).await;
    assert_eq!(status, 400);
    assert!(
        answer.contains("Value null at &apos;roleName&apos;") || answer.contains("Value null at 'roleName'")
    );
    let (status, answer) = ask(&call, &[("Action", "Nonsense<")]).await;
    assert_eq!(status, 400);
    assert!(answer.contains("<Code>InvalidAction</Code><Message>Could not find operation Nonsense&lt; for"));
}

#[tokio::test]
async fn lists_are_filtered_and_come_in_pages() {
    let (_directory, call) = cloud();
    for name in ["b", "a..", "c"] {
        create(&call, name).await;
    }
    let (_, first) = ask(&call, &[("Action", "ListRoles"), ("MaxItems", "2")]).await;
    assert!(
        first.contains("<RoleName>a..</RoleName>") && first.contains("<RoleName>b</RoleName>"),
        "{first}"
    );
    assert!(first.contains("<IsTruncated>true</IsTruncated><Marker>2</Marker>"));
    let (_, rest) = ask(&call, &[("Action", "ListRoles"), ("Marker", "2")]).await;
    assert!(rest.contains("<RoleName>c</RoleName>") && rest.contains("<IsTruncated>false</IsTruncated>"));
    let (_, none) = ask(&call, &[("Action", "ListRoles"), ("PathPrefix", "/team/")]).await;
    assert!(!none.contains("<member>"));
}

#[tokio::test]
async fn a_role_becomes_known_to_lambda_after_a_while() {
    let (_directory, mut call) = cloud();
    create(&call, "app").await;
    assert!(!can_assume(&call, ROLE));
    call.now += call.delays.role;
    assert!(can_assume(&call, ROLE));
    assert!(!can_assume(&call, "arn:aws:iam::000000000000:role/other/app"), "the path is part of the ARN");
    let update = async |call: &Call, service: &str| {
        let document = trust(service).to_string();
        let form = [("Action", "UpdateAssumeRolePolicy"), ("RoleName", "app"), ("PolicyDocument", &document)];
        assert_eq!(ask(call, &form).await.0, 200);
    };
    update(&call, "ec2.amazonaws.com").await;
    assert!(!can_assume(&call, ROLE));
    update(&call, "lambda.amazonaws.com").await;
    assert!(!can_assume(&call, ROLE), "a new trust needs its time too");
    call.now += call.delays.role;
    assert!(can_assume(&call, ROLE));
    update(&call, "lambda.amazonaws.com").await;
    assert!(can_assume(&call, ROLE), "an unchanged trust does not");
}

#[test]
fn trust_is_read_in_every_spelling() {
    let statement = |statement: Value| trusts_lambda(&json!({"Statement": statement}).to_string());
    let allow = json!({"Effect": "Allow", "Principal": {"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]}, "Action": ["sts:AssumeRole", "sts:TagSession"]});
    assert!(statement(allow.clone()));
    assert!(statement(json!([allow])));
    let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "sts:*"});
    assert!(!statement(json!([allow, deny])));
    assert!(!statement(json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})));
    assert!(!statement(
        json!({"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:TagSession"})
    ));
}

#[tokio::test]
async fn everybody_is_the_root_of_the_local_account() {
    let (_directory, call) = cloud();
    let (status, answer) = ask(&call, &[("Action", "GetCallerIdentity")]).await;
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>arn:aws:iam::000000000000:root</Arn><UserId>000000000000</UserId><Account>000000000000</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>the-request</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
    assert_eq!(ask(&call, &[("Action", "AssumeRole")]).await.0, 400);
}
