//! The operations as a client sees them, against a catalogue of images made for the test.

mod aliases;
mod create;
mod states;
mod update;
mod versions;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::images::{FoundImage, ImageCatalogue, ImageRefusal};
use super::reply::{self, Reply};
use super::{answer, control, dispatch, invoke};
use crate::domain::digest::Digest;
use crate::domain::manifest::MediaType;
use crate::domain::reference::{ImageReference, RepositoryName};
use crate::local::call::{Call, Delays};
use crate::local::repository::{Repository, StoredImage};
use crate::local::store::Store;

const URI: &str = "127.0.0.1:4566/hello:v1";
const ROLE: &str = "arn:aws:iam::123456789012:role/hello";

/// Tags and what they point to; `index` and `locked` are special.
#[derive(Default)]
struct Images(Mutex<BTreeMap<String, Digest>>);

impl ImageCatalogue for Images {
    fn resolve(&self, _call: &Call, image_uri: &str) -> Result<FoundImage, ImageRefusal> {
        let reference: ImageReference = image_uri.parse().map_err(|_| ImageRefusal::NotValid)?;
        let tag = reference.tag.ok_or(ImageRefusal::NotValid)?;
        if tag.as_str() == "index" {
            return Err(ImageRefusal::MediaTypeNotSupported);
        }
        let digest = *self.0.lock().unwrap().get(tag.as_str()).ok_or(ImageRefusal::DoesNotExist)?;
        let repository = reference.repository;
        Ok(FoundImage {
            canonical_uri: format!("HOST/{}:{tag}", repository.name),
            canonical_resolved_uri: format!("HOST/{}@{digest}", repository.name),
            repository: repository.name,
            digest,
        })
    }

    fn lambda_may_pull(&self, _call: &Call, repository: &RepositoryName, function_arn: &str) -> bool {
        assert!(function_arn.starts_with("arn:aws:lambda:eu-west-1:000000000000:function:"));
        repository.as_str() != "locked"
    }

    fn render_uri(&self, call: &Call, canonical: &str) -> String {
        canonical.replace("HOST", &call.authority)
    }
}

/// A local cloud of its own, whose time the test moves.
struct Cloud {
    _directory: tempfile::TempDir,
    call: Call,
    images: Images,
}

impl Cloud {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let call = Call {
            store: Arc::new(Store::open(directory.path()).unwrap()),
            delays: Delays {
                create: Duration::from_secs(10),
                update: Duration::from_secs(5),
                role: Duration::from_secs(3),
                ..Delays::USUAL
            },
            region: "eu-west-1".into(),
            authority: "127.0.0.1:4566".into(),
            request_id: "the-request".into(),
            now: OffsetDateTime::UNIX_EPOCH,
        };
        let cloud = Self { _directory: directory, call, images: Images::default() };
        cloud.tag("v1", b"one");
        cloud
    }

    /// Points a tag at an image.
    fn tag(&self, tag: &str, image: &[u8]) {
        self.images.0.lock().unwrap().insert(tag.to_owned(), Digest::of(image));
    }

    /// Puts an image into the registry that Lambda fetches images from again, with a policy that
    /// lets it do so or not.
    fn stock(&self, image: &[u8], lets_lambda_pull: bool) {
        let policy = json!({"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "ecr:*",
        }});
        let mut repository = Repository::new("eu-west-1", &"hello".parse().unwrap(), self.call.now);
        repository.policy = lets_lambda_pull.then(|| policy.to_string());
        let stored = StoredImage {
            media_type: MediaType::OciManifest,
            manifest_size: 1,
            size: 1,
            pushed_at: 0,
            artifact_type: None,
            subject: None,
            blobs: Default::default(),
            children: Default::default(),
        };
        repository.images.insert(Digest::of(image), stored);
        self.call.store.transaction(|tx| repository.save(tx)).unwrap().unwrap();
    }

    fn pass(&mut self, seconds: i64) {
        self.call.now += time::Duration::seconds(seconds);
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let response = self.raw(method, path, body);
        let body = match response.body().is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(response.body()).unwrap(),
        };
        (response.status().as_u16(), body)
    }

    fn raw(&self, method: &str, path: &str, body: &Value) -> Response<Bytes> {
        let bytes = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = http::Request::builder().method(method).uri(path).body(bytes).unwrap();
        if invoke::form(&request).is_some() {
            return reply::response(invoke::permit(&self.call, request).map(|_| Reply::empty()));
        }
        let operation = if path.starts_with("/_lambdactl") { control::set_outcome } else { dispatch };
        answer(&self.call, &self.images, request, operation)
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.send("GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn ok(&self, method: &str, path: &str, status: u16, body: &Value) -> Value {
        let (actual, answer) = self.send(method, path, body);
        assert_eq!(actual, status, "{method} {path}: {answer}");
        answer
    }

    /// The code and message a call is refused with.
    fn refused(&self, method: &str, path: &str, body: &Value) -> (u16, String, String) {
        let response = self.raw(method, path, body);
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let answer: Value = serde_json::from_slice(response.body()).unwrap();
        let message = answer.get("message").or(answer.get("Message")).unwrap().as_str().unwrap().to_owned();
        (response.status().as_u16(), header("x-amzn-errortype"), message)
    }

    /// Creates `hello` from an image.
    fn create(&self) -> Value {
        self.ok("POST", FUNCTIONS, 201, &image_function())
    }

    /// Creates `hello` and waits until it is active.
    fn active(&mut self) -> Value {
        self.create();
        self.pass(10);
        self.get(HELLO)["Configuration"].clone()
    }
}

const FUNCTIONS: &str = "/2015-03-31/functions";
const HELLO: &str = "/2015-03-31/functions/hello";
const CODE: &str = "/2015-03-31/functions/hello/code";
const CONFIGURATION: &str = "/2015-03-31/functions/hello/configuration";
const ARN: &str = "arn:aws:lambda:eu-west-1:000000000000:function:hello";

fn image_function() -> Value {
    json!({"FunctionName": "hello", "Role": ROLE, "PackageType": "Image", "Code": {"ImageUri": URI}})
}

/// An empty archive entry and an empty directory: enough to be taken for an archive.
fn zip_function() -> Value {
    json!({
        "FunctionName": "hello", "Role": ROLE, "Runtime": "python3.13", "Handler": "app.handler",
        "Code": {"ZipFile": zip()},
    })
}

fn zip() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(b"PK\x03\x04 an entry PK\x05\x06 the directory")
}

fn with(mut body: Value, changes: &Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}
