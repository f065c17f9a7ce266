//! The registry's dialect of the distribution-spec: ECR's.

use lambdactl::domain::digest::Digest;
use reqwest::Method;
use serde_json::json;
use time::Duration;

use super::cloud::{Cloud, header, registry_error};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_token_nothing_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(directory.path()).await;
    let anonymous = cloud.bare(Method::GET, "/v2/").send().await.unwrap();
    assert_eq!(anonymous.status(), 401);
    let challenge = format!("Basic realm=\"{}/\",service=\"ecr.amazonaws.com\"", cloud.endpoint);
    assert_eq!(header(&anonymous, "www-authenticate"), challenge);
    let expired = cloud.bare(Method::GET, "/v2/").header("authorization", cloud.basic(-Duration::SECOND));
    let expired = expired.send().await.unwrap();
    assert!(!expired.headers().contains_key("www-authenticate"));
    let text = "Your authorization token has expired. Reauthenticate and try again.";
    assert_eq!(registry_error(expired).await, (403, "DENIED".into(), text.into()));
    let good = cloud.v2(Method::GET, "/v2/").send().await.unwrap();
    assert_eq!(
        (good.status().as_u16(), header(&good, "docker-distribution-api-version")),
        (200, "registry/2.0")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_read_by_tag_and_digest_and_its_blobs_are_redirected() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(directory.path()).await;
    cloud.create_repository("team/hello").await;
    let (manifest, layer) = cloud.image("team/hello", b"hello").await;
    let put = cloud.put_manifest("team/hello", "v1", &manifest).await;
    let digest = Digest::of(&manifest).to_string();
    assert_eq!((put.status().as_u16(), header(&put, "docker-content-digest")), (201, &*digest));
    for reference in ["v1", &digest] {
        let path = format!("/v2/team/hello/manifests/{reference}");
        let head = cloud.v2(Method::HEAD, &path).send().await.unwrap();
        assert_eq!(header(&head, "content-length"), manifest.len().to_string());
        assert_eq!(header(&head, "docker-content-digest"), digest);
        let get = cloud.v2(Method::GET, &path).send().await.unwrap();
        assert_eq!(header(&get, "content-type"), "application/vnd.oci.image.manifest.v1+json");
        assert_eq!(get.bytes().await.unwrap(), manifest);
    }
    let path = format!("/v2/team/hello/blobs/{layer}");
    let redirect = cloud.v2(Method::GET, &path).send().await.unwrap();
    assert_eq!(redirect.status(), 307);
    let location = header(&redirect, "location").to_owned();
    // As S3 does: a signed URL and an Authorization header are one too many.
    let both = cloud.v2(Method::GET, &location).send().await.unwrap();
    assert_eq!(both.status(), 400);
    assert!(both.text().await.unwrap().contains("Only one auth mechanism allowed"));
    let bytes = cloud.bare(Method::GET, &location).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(Digest::of(&bytes), layer);
    let part = cloud.bare(Method::GET, &location).header("range", "bytes=1-3").send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.bytes().await.unwrap()), (206, bytes.slice(1..4)));
    let forged = location.replace("X-Amz-Signature=", "X-Amz-Signature=0");
    assert_eq!(cloud.bare(Method::GET, &forged).send().await.unwrap().status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_refused_in_ecrs_words() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(directory.path()).await;
    let upload = cloud.v2(Method::POST, "/v2/none/blobs/uploads/").send().await.unwrap();
    let text = "The repository with name 'none' does not exist in the registry with id '000000000000'";
    assert_eq!(registry_error(upload).await, (404, "NAME_UNKNOWN".into(), text.into()));
    cloud.create_repository("hello").await;
    let manifest = cloud.v2(Method::GET, "/v2/hello/manifests/v1").send().await.unwrap();
    assert_eq!(registry_error(manifest).await.1, "MANIFEST_UNKNOWN");

    cloud.create_repository("other").await;
    let (manifest, layer) = cloud.image("other", b"hello").await;
    let blob = cloud.v2(Method::HEAD, &format!("/v2/hello/blobs/{layer}")).send().await.unwrap();
    assert_eq!(blob.status(), 404, "a blob belongs to a repository");
    let (status, code, text) = registry_error(cloud.put_manifest("hello", "v1", &manifest).await).await;
    assert_eq!((status, &*code), (404, "BLOB_UPLOAD_UNKNOWN"));
    assert!(text.starts_with("Layers with digests '[sha256:") && text.ends_with("do not exist"), "{text}");
    let wrong = cloud.put_manifest("other", &Digest::of(b"").to_string(), &manifest).await;
    assert_eq!(registry_error(wrong).await.1, "MANIFEST_INVALID");
    let (status, code, text) = registry_error(cloud.put_manifest("other", "v1", b"{}").await).await;
    let invalid = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'";
    assert_eq!((status, &*code, &*text), (405, "UNSUPPORTED", invalid));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_tag_cannot_be_moved() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(directory.path()).await;
    let input = json!({ "repositoryName": "fixed", "imageTagMutability": "IMMUTABLE" });
    cloud.ecr("CreateRepository", input).await;
    cloud.push_image("fixed", "v1", b"one").await;
    let (second, _) = cloud.image("fixed", b"two").await;
    let refused = registry_error(cloud.put_manifest("fixed", "v1", &second).await).await;
    let text = "The image tag 'v1' already exists in the 'fixed' repository and cannot be overwritten because the tag is immutable.";
    assert_eq!(refused, (400, "TAG_INVALID".into(), text.into()));
    assert_eq!(cloud.put_manifest("fixed", "v2", &second).await.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_mounted_only_where_the_account_allows_it_and_an_image_refers_to_them() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(directory.path()).await;
    cloud.create_repository("source").await;
    cloud.create_repository("target").await;
    let (manifest, layer) = cloud.image("source", b"hello").await;
    let path = format!("/v2/target/blobs/uploads/?mount={layer}&from=source");
    let mount = || async { cloud.v2(Method::POST, &path).send().await.unwrap() };
    assert_eq!(mount().await.status(), 202);
    cloud.ecr("PutAccountSetting", json!({ "name": "BLOB_MOUNTING", "value": "ENABLED" })).await;
    assert_eq!(mount().await.status(), 202, "no image refers to it yet");
    assert_eq!(cloud.put_manifest("source", "v1", &manifest).await.status(), 201);
    let mounted = mount().await;
    assert_eq!(
        (mounted.status().as_u16(), header(&mounted, "docker-content-digest")),
        (201, &*layer.to_string())
    );
    let head = cloud.v2(Method::HEAD, &format!("/v2/target/blobs/{layer}")).send().await.unwrap();
    assert_eq!(head.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_listed_in_pages_and_referrers_by_subject() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(directory.path()).await;
    cloud.create_repository("hello").await;
    let (manifest, _) = cloud.image("hello", b"hello").await;
    for tag in ["a", "b", "c"] {
        cloud.put_manifest("hello", tag, &manifest).await;
    }
    let first = cloud.v2(Method::GET, "/v2/hello/tags/list?n=2").send().await.unwrap();
    assert_eq!(header(&first, "link"), "</v2/hello/tags/list?last=b&n=2>; rel=\"next\"");
    assert_eq!(first.json::<serde_json::Value>().await.unwrap()["tags"], json!(["a", "b"]));
    let rest = cloud.v2(Method::GET, "/v2/hello/tags/list?last=b&n=2").send().await.unwrap();
    assert_eq!(rest.json::<serde_json::Value>().await.unwrap(), json!({ "name": "hello", "tags": ["c"] }));

    let mut signature: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    signature["artifactType"] = "application/x-signature".into();
    signature["subject"] = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::of(&manifest), "size": manifest.len(),
    });
    let put = cloud.put_manifest("hello", "signature", signature.to_string().as_bytes()).await;
    assert_eq!(header(&put, "oci-subject"), Digest::of(&manifest).to_string());
    let path = format!("/v2/hello/referrers/{}", Digest::of(&manifest));
    for (query, count) in [("", 1), ("?artifactType=application/x-signature", 1), ("?artifactType=x", 0)] {
        let index = cloud.v2(Method::GET, &format!("{path}{query}")).send().await.unwrap();
        let index: serde_json::Value = index.json().await.unwrap();
        assert_eq!(index["manifests"].as_array().unwrap().len(), count, "{query}");
    }
}
