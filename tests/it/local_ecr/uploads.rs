//! Uploads: ECR's deviations, connections that break, and two servers on one directory.

use std::io::Write as _;
use std::path::Path;

use lambdactl::domain::digest::Digest;
use lambdactl::domain::manifest::MediaType;
use reqwest::Method;
use serde_json::{Value, json};
use time::Duration;

use super::cloud::{Cloud, header, registry_error};

fn files(directory: &Path, name: &str) -> usize {
    std::fs::read_dir(directory.join(name)).map_or(0, Iterator::count)
}

async fn nothing_left(directory: &Path) {
    for _ in 0..200 {
        if files(directory, "uploads") + files(directory, "documents/us-east-1/ecr/uploads") == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("an upload was left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_takes_its_bytes_once_and_answers_as_ecr_does() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(directory.path()).await;
    cloud.create_repository("hello").await;
    let location = cloud.open_upload("hello").await;
    let patch = cloud.v2(Method::PATCH, &location).body("hello").send().await.unwrap();
    assert_eq!((patch.status().as_u16(), header(&patch, "range")), (201, "0-4"));
    let again = cloud.v2(Method::PATCH, &location).body("hello").send().await.unwrap();
    let text = "First byte of the layer part is 0 instead of 5";
    assert_eq!(registry_error(again).await, (416, "BLOB_UPLOAD_INVALID".into(), text.into()));
    assert_eq!(cloud.v2(Method::GET, &location).send().await.unwrap().status(), 404);

    let wrong = format!("{location}?digest={}", Digest::of(b"other"));
    let wrong = cloud.v2(Method::PUT, &wrong).send().await.unwrap();
    let text = "None of the provided layer digests match the calculated layer digest";
    assert_eq!(registry_error(wrong).await, (400, "BLOB_UPLOAD_INVALID".into(), text.into()));
    nothing_left(directory.path()).await;

    let whole = format!("/v2/hello/blobs/uploads/?digest={}", Digest::of(b"whole"));
    assert_eq!(cloud.v2(Method::POST, &whole).body("whole").send().await.unwrap().status(), 201);
    let location = cloud.open_upload("hello").await;
    let put = format!("{location}?digest={}", Digest::of(b"put"));
    assert_eq!(cloud.v2(Method::PUT, &put).body("put").send().await.unwrap().status(), 201);
    let location = cloud.open_upload("hello").await;
    assert_eq!(cloud.v2(Method::DELETE, &location).send().await.unwrap().status(), 204);
    nothing_left(directory.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_before_the_last_have_five_mebibytes_and_the_range_stays_at_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(directory.path()).await;
    cloud.create_repository("hello").await;
    for (first, expected) in [(5 * 1024 * 1024, 201), (1024, 400)] {
        let bytes = vec![7_u8; first + 3];
        let location = cloud.open_upload("hello").await;
        let part = |range: std::ops::Range<usize>| {
            let header = format!("{}-{}", range.start, range.end - 1);
            cloud.v2(Method::PATCH, &location).header("content-range", header).body(bytes[range].to_vec())
        };
        let one = part(0..first).send().await.unwrap();
        let two = part(first..first + 3).send().await.unwrap();
        assert_eq!(two.status(), 201);
        assert_eq!(header(&two, "range"), header(&one, "range"));
        let put = format!("{location}?digest={}", Digest::of(&bytes));
        assert_eq!(cloud.v2(Method::PUT, &put).send().await.unwrap().status().as_u16(), expected);
    }
    nothing_left(directory.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(directory.path()).await;
    cloud.create_repository("hello").await;
    let location = cloud.open_upload("hello").await;
    let path = location.strip_prefix(&cloud.endpoint).unwrap();
    let mut stream = std::net::TcpStream::connect(cloud.authority()).unwrap();
    write!(
        stream,
        "PATCH {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nContent-Length: 1000000\r\n\r\n{}",
        cloud.authority(),
        cloud.basic(Duration::HOUR),
        "x".repeat(300_000)
    )
    .unwrap();
    for _ in 0..500 {
        if files(directory.path(), "uploads") == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(files(directory.path(), "uploads"), 1, "the bytes were on their way");
    drop(stream);
    nothing_left(directory.path()).await;
    let again = cloud.v2(Method::PATCH, &location).body("x").send().await.unwrap();
    assert_eq!(registry_error(again).await.1, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_of_one_directory_are_one_cloud() {
    let directory = tempfile::tempdir().unwrap();
    let one = Cloud::start(directory.path()).await;
    let two = Cloud::start(directory.path()).await;
    assert_ne!(one.endpoint, two.endpoint);
    one.create_repository("hello").await;
    // A session begun at one server is finished at the other, which has to read its bytes.
    let location = one.open_upload("hello").await;
    one.v2(Method::PATCH, &location).body("hello").send().await.unwrap();
    let put = format!("{location}?digest={}", Digest::of(b"hello"));
    let put = put.replace(&one.endpoint, &two.endpoint);
    assert_eq!(two.v2(Method::PUT, &put).send().await.unwrap().status(), 201);

    let push = |cloud, tag: &'static str| async move {
        let cloud: &Cloud = cloud;
        for number in 0..8 {
            cloud.push_blob("hello", MediaType::OciLayerGzip, format!("{tag}{number}").as_bytes()).await;
        }
        cloud.push_image("hello", tag, tag.as_bytes()).await
    };
    let (first, second) = tokio::join!(push(&one, "a"), push(&two, "b"));
    let (_, listed) = one.ecr("ListImages", json!({ "repositoryName": "hello" })).await;
    let mut listed: Vec<(&str, &str)> = listed["imageIds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id: &Value| (id["imageTag"].as_str().unwrap(), id["imageDigest"].as_str().unwrap()))
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, [("a", &*first.to_string()), ("b", &*second.to_string())]);
    for number in 0..8 {
        let blob = format!("/v2/hello/blobs/{}", Digest::of(format!("a{number}").as_bytes()));
        assert_eq!(two.v2(Method::HEAD, &blob).send().await.unwrap().status(), 200, "no link is lost");
    }
}
