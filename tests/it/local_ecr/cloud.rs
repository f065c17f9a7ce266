//! A local cloud in this process, and the few requests tests make by hand.

use std::io::Write as _;
use std::path::Path;

use lambdactl::domain::digest::Digest;
use lambdactl::domain::manifest::{Descriptor, Manifest, MediaType};
use lambdactl::local::call::Delays;
use lambdactl::local::registry::auth::SigningKey;
use lambdactl::local::store::Store;
use lambdactl::local::{LocalOptions, RunningCloud, attach_or_serve};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

/// The region of every request that names no other.
pub const REGION: &str = "us-east-1";

/// The options of a local cloud in `directory`.
pub fn options(directory: &Path) -> LocalOptions {
    LocalOptions {
        directory: directory.to_owned(),
        listen: None,
        delays: Delays::default(),
        functions: lambdactl::local::runner::FunctionOptions::default(),
    }
}

/// A served directory.
pub struct Cloud {
    pub endpoint: String,
    http: reqwest::Client,
    key: SigningKey,
    _running: RunningCloud,
}

impl Cloud {
    /// Serves `directory`.
    pub async fn start(directory: &Path) -> Self {
        let running = attach_or_serve(&options(directory)).await.expect("the local cloud starts");
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self {
            endpoint: running.endpoint.clone(),
            http: http.build().expect("a client"),
            key: SigningKey::load(&Store::open(directory).unwrap()).unwrap(),
            _running: running,
        }
    }

    /// `127.0.0.1:PORT`.
    pub fn authority(&self) -> &str {
        self.endpoint.strip_prefix("http://").unwrap()
    }

    /// A request without credentials. `path` may be a whole URL.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with('/') { format!("{}{path}", self.endpoint) } else { path.to_owned() };
        self.http.request(method, url)
    }

    /// A request to the registry, with a good token.
    pub fn v2(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).header("authorization", self.basic(Duration::hours(1)))
    }

    /// The Authorization header of a token that is good for so long.
    pub fn basic(&self, lifetime: Duration) -> String {
        format!("Basic {}", self.key.token(REGION, OffsetDateTime::now_utc() + lifetime).expose())
    }

    /// Calls an operation of the ECR API.
    pub async fn ecr(&self, operation: &str, input: Value) -> (StatusCode, Value) {
        let credential = format!("test/20260101/{REGION}/ecr/aws4_request");
        let response = self
            .bare(Method::POST, "/")
            .header("x-amz-target", format!("AmazonEC2ContainerRegistry_V20150921.{operation}"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={credential}, Signature=0"))
            .body(input.to_string());
        let response = response.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    /// Makes a repository.
    pub async fn create_repository(&self, name: &str) {
        let (status, output) = self.ecr("CreateRepository", json!({ "repositoryName": name })).await;
        assert_eq!(status, StatusCode::OK, "{output}");
    }

    /// Opens an upload and returns its location.
    pub async fn open_upload(&self, repository: &str) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let response = self.v2(Method::POST, &path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        header(&response, "location").to_owned()
    }

    /// Uploads a blob as docker does: POST, one PATCH, PUT.
    pub async fn push_blob(&self, repository: &str, media_type: MediaType, bytes: &[u8]) -> Descriptor {
        let location = self.open_upload(repository).await;
        let patch = self.v2(Method::PATCH, &location).body(bytes.to_vec()).send().await.unwrap();
        assert_eq!(patch.status(), StatusCode::CREATED);
        let digest = Digest::of(bytes);
        let put = format!("{}?digest={digest}", header(&patch, "location"));
        let put = self.v2(Method::PUT, &put).send().await.unwrap();
        assert_eq!(put.status(), StatusCode::CREATED);
        Descriptor::new(media_type, digest, bytes.len() as u64)
    }

    /// Pushes an image with one layer that holds one file of `content`.
    pub async fn push_image(&self, repository: &str, tag: &str, content: &[u8]) -> Digest {
        let (manifest, _) = self.image(repository, content).await;
        let put = self.put_manifest(repository, tag, &manifest).await;
        assert_eq!(put.status(), StatusCode::CREATED);
        Digest::of(&manifest)
    }

    /// Pushes the blobs of such an image; returns its manifest and its layer's digest.
    pub async fn image(&self, repository: &str, content: &[u8]) -> (Vec<u8>, Digest) {
        let (layer, diff_id) = layer(content);
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        });
        let config = self.push_blob(repository, MediaType::OciConfig, config.to_string().as_bytes()).await;
        let layer = self.push_blob(repository, MediaType::OciLayerGzip, &layer).await;
        let digest = layer.digest;
        (serde_json::to_vec(&Manifest::oci(config, vec![layer])).unwrap(), digest)
    }

    /// Puts an OCI manifest.
    pub async fn put_manifest(&self, repository: &str, reference: &str, manifest: &[u8]) -> Response {
        self.v2(Method::PUT, &format!("/v2/{repository}/manifests/{reference}"))
            .header("content-type", MediaType::OciManifest.as_str())
            .body(manifest.to_vec())
            .send()
            .await
            .unwrap()
    }
}

/// A header that must be there.
pub fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).unwrap_or_else(|| panic!("no `{name}`: {response:?}")).to_str().unwrap()
}

/// The code and message of a registry's first error.
pub async fn registry_error(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let text = |name: &str| body["errors"][0][name].as_str().unwrap().to_owned();
    (status, text("code"), text("message"))
}

fn layer(content: &[u8]) -> (Vec<u8>, Digest) {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, "file", content).unwrap();
    let archive = archive.into_inner().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive).unwrap();
    (gzip.finish().unwrap(), Digest::of(&archive))
}
