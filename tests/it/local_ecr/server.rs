//! Serving: who may talk to it, how other processes find it, and what tests can ask of it.

use std::sync::Arc;

use lambdactl::local::call::{Call, Delays};
use lambdactl::local::registry::resolve::{render_uri, resolve};
use lambdactl::local::store::Store;
use lambdactl::local::{LocalError, attach_or_serve, reset, serve, status};
use reqwest::Method;
use serde_json::{Value, json};

use super::cloud::{Cloud, REGION, header, options, registry_error};

#[tokio::test(flavor = "multi_thread")]
async fn a_served_directory_is_found_until_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    let served = serve(&options).await.unwrap();
    assert_eq!(status(&options).unwrap().endpoint.as_ref(), Some(&served.endpoint));
    let attached = attach_or_serve(&options).await.unwrap();
    assert_eq!((&attached.endpoint, attached.is_own()), (&served.endpoint, false));
    assert!(matches!(serve(&options).await, Err(LocalError::AlreadyServing { endpoint: Some(_), .. })));
    let refused = reset(&options).await.unwrap_err();
    assert!(matches!(&refused, LocalError::InUse { endpoint: Some(_), .. }), "{refused}");
    let last = served.endpoint.clone();
    drop(served);
    assert!(!directory.path().join("server.json").exists());

    // A process that died leaves its announcement; somebody else may have its port by now.
    let stale = json!({ "endpoint": last, "pid": 1, "identity": "gone" });
    std::fs::write(directory.path().join("server.json"), stale.to_string()).unwrap();
    let own = attach_or_serve(&options).await.unwrap();
    assert!(own.is_own());
    assert!(matches!(reset(&options).await, Err(LocalError::InUse { .. })));
    drop(own);

    let again = serve(&options).await.unwrap();
    assert_eq!(again.endpoint, last, "the port stays, so that what was exported stays valid");
    drop(again);
    reset(&options).await.unwrap();
    assert!(!directory.path().join("documents").exists());
    assert!(status(&options).unwrap().repositories.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_uri_outlives_the_port_it_was_made_with() {
    let directory = tempfile::tempdir().unwrap();
    let before = Cloud::start(directory.path()).await;
    before.create_repository("team/hello").await;
    let digest = before.push_image("team/hello", "v1", b"hello").await;
    let uri = format!("{}/team/hello@{digest}", before.authority());
    drop(before);
    let after = Cloud::start(directory.path()).await;
    let (_, described) = after.ecr("DescribeRepositories", json!({})).await;
    let shown = described["repositories"][0]["repositoryUri"].as_str().unwrap();
    assert_eq!(shown, format!("{}/team/hello", after.authority()));
    let call = Call {
        store: Arc::new(Store::open(directory.path()).unwrap()),
        delays: Delays::default(),
        region: REGION.to_owned(),
        authority: after.authority().to_owned(),
        request_id: String::new(),
        now: time::OffsetDateTime::now_utc(),
    };
    let image = resolve(&call, &uri).unwrap();
    assert_eq!(image.digest, digest);
    assert_eq!(render_uri(&call, &image.canonical_uri), format!("{shown}@{digest}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_signed_calls_of_this_machine_are_answered() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(directory.path()).await;
    let target = "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories";
    let unsigned = cloud.bare(Method::POST, "/").header("x-amz-target", target).body("{}");
    let unsigned = unsigned.send().await.unwrap();
    assert_eq!(unsigned.status(), 403);
    assert!(!header(&unsigned, "x-amzn-requestid").is_empty());
    let body: Value = unsigned.json().await.unwrap();
    assert_eq!(body["__type"], "MissingAuthenticationTokenException");
    let lambda = cloud.bare(Method::GET, "/2015-03-31/functions").send().await.unwrap();
    assert_eq!(lambda.status(), 403);
    let sts = cloud
        .bare(Method::POST, "/")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("Action=GetCallerIdentity&Version=2011-06-15");
    let sts = sts.send().await.unwrap();
    assert_eq!(sts.status(), 403);
    assert!(sts.text().await.unwrap().contains("<Code>MissingAuthenticationToken</Code>"));

    let rebound = cloud.v2(Method::GET, "/v2/").header("host", "attacker.example").send().await.unwrap();
    assert_eq!(rebound.status(), 421);
    let page = cloud.bare(Method::POST, "/_lambdactl/faults").header("origin", "http://attacker.example");
    assert_eq!(page.body("[]").send().await.unwrap().status(), 421);
    let mut everywhere = options(directory.path());
    everywhere.listen = Some("0.0.0.0:0".parse().unwrap());
    assert!(matches!(attach_or_serve(&everywhere).await, Err(LocalError::NotLoopback { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_can_ask_for_faults_and_count_requests() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(directory.path()).await;
    cloud.create_repository("hello").await;
    let faults = json!([
        { "match": { "operation": "DescribeRepositories" }, "action": {
            "status": 400, "body": "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}",
            "headers": { "Retry-After": "1" } } },
        { "match": { "method": "PATCH", "path_prefix": "/v2/hello/" }, "action": "cut" },
        { "match": { "method": "GET", "path_prefix": "/_blobs/" }, "action": { "cut_after": 10 } },
        { "match": { "method": "GET", "path_contains": "/tags/" }, "action": { "delay_ms": 30 } },
    ]);
    let asked = cloud.bare(Method::POST, "/_lambdactl/faults").json(&faults).send().await.unwrap();
    assert_eq!(asked.status(), 200);
    let (status, body) = cloud.ecr("DescribeRepositories", json!({})).await;
    assert_eq!((status.as_u16(), &body["__type"]), (400, &json!("ThrottlingException")));
    assert_eq!(cloud.ecr("DescribeRepositories", json!({})).await.0, 200);

    let location = cloud.open_upload("hello").await;
    assert!(cloud.v2(Method::PATCH, &location).body(vec![0; 100_000]).send().await.is_err());
    let gone = cloud.v2(Method::PATCH, &location).body("x").send().await.unwrap();
    assert_eq!(registry_error(gone).await.1, "BLOB_UPLOAD_UNKNOWN");
    let (_, layer) = cloud.image("hello", &[7; 100_000]).await;
    let redirect = cloud.v2(Method::GET, &format!("/v2/hello/blobs/{layer}")).send().await.unwrap();
    let location = header(&redirect, "location").to_owned();
    let cut = cloud.bare(Method::GET, &location).send().await.unwrap();
    assert!(cut.bytes().await.is_err(), "half a blob is an error");
    assert!(cloud.bare(Method::GET, &location).send().await.unwrap().bytes().await.is_ok());
    let start = std::time::Instant::now();
    cloud.v2(Method::GET, "/v2/hello/tags/list").send().await.unwrap();
    assert!(start.elapsed() >= std::time::Duration::from_millis(30));

    let log: Vec<Value> =
        cloud.bare(Method::GET, "/_lambdactl/log").send().await.unwrap().json().await.unwrap();
    let patches: Vec<&Value> = log.iter().filter(|seen| seen["method"] == "PATCH").collect();
    assert_eq!((patches.len(), &patches[0]["status"], &patches[1]["status"]), (4, &Value::Null, &json!(404)));
    assert!(patches[0]["body_bytes"].as_u64().unwrap() >= 50_000, "{log:?}");
    let described = log.iter().filter(|seen| seen["operation"] == "DescribeRepositories").count();
    assert_eq!(described, 2);
    assert!(!log.iter().any(|seen| seen.to_string().contains("Signature")), "{log:?}");
}
