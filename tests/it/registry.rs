//! The registry client against a real registry, and against one that misbehaves.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use lambdactl::domain::digest::Digest;
use lambdactl::domain::manifest::{Descriptor, MediaType};
use lambdactl::domain::plan::{PushedImage, Transfer};
use lambdactl::domain::platform::Architecture;
use lambdactl::domain::reference::{ImageReference, RegistryHost, RepositoryName, RepositoryUri};
use lambdactl::domain::secret::Secret;
use lambdactl::domain::spec::{AssembledSpec, BaseImage, FileMapping};
use lambdactl::event::{Event, Reporter, SharedReporter, Silent};
use lambdactl::image::known::KnownImages;
use lambdactl::image::{self, Image};
use lambdactl::pipeline::Uploads;
use lambdactl::pipeline::push::push;
use lambdactl::services::http::Trust;
use lambdactl::services::registry::{
    Authorization, BlobContent, ByteStream, RegistryClient, RegistryError, TokenError, TokenProvider,
};

use crate::support::registry::scripted::{Fault, ScriptedRegistry, Seen, refuse};
use crate::support::registry::{DockerRegistry, PASSWORD, USER, skopeo};

/// Remembers what was reported.
#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

impl Reporter for Events {
    fn report(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Events {
    fn retries(&self) -> Vec<(usize, Duration)> {
        let retry = |event: &Event| match event {
            Event::Retrying { attempt, after, .. } => Some((*attempt, *after)),
            _ => None,
        };
        self.0.lock().unwrap().iter().filter_map(retry).collect()
    }
}

fn silent() -> SharedReporter {
    Arc::new(Silent)
}

fn client(host: RegistryHost, authorization: Authorization) -> RegistryClient {
    RegistryClient::new(Trust::new(&[]).unwrap().client().unwrap(), host, authorization, silent())
}

/// Pushes and reads have to fit into tasks of their own.
#[expect(dead_code, reason = "compiling it is the test")]
fn futures_can_be_spawned(client: &RegistryClient, image: &Image, uri: &RepositoryUri, at: &ImageReference) {
    fn sendable(_: impl Send) {}
    let reporter = silent();
    sendable(push(client, uri, None, image, &Uploads::default(), &reporter));
    sendable(image::registry::read(client, at, None, &reporter));
    sendable(image::layout::read(Path::new(""), None, None, &reporter));
    sendable(image::archive::read_stream("", tokio::io::empty(), None, &reporter));
}

fn name() -> RepositoryName {
    "team/hello".parse().unwrap()
}

pub fn uri(host: &RegistryHost) -> RepositoryUri {
    RepositoryUri { registry: host.clone(), name: name() }
}

/// An image of one layer a file; the last layer holds `last`.
pub async fn image(last: &str) -> Image {
    let directory = tempfile::tempdir().unwrap();
    let mut base = None;
    for (index, content) in ["first layer", "second layer", last].iter().enumerate() {
        let path = directory.path().join(index.to_string());
        std::fs::write(&path, content.repeat(1000)).unwrap();
        base = Some(layer(&path, &format!("/opt/{index}"), base).await);
    }
    base.unwrap()
}

async fn layer(from: &Path, to: &str, base: Option<Image>) -> Image {
    let spec = AssembledSpec {
        base: BaseImage::Scratch,
        files: vec![FileMapping { from: from.to_owned(), to: to.to_owned() }],
        entry_point: None,
        command: None,
        working_directory: None,
        environment: [].into(),
        labels: [].into(),
    };
    image::assembled::assemble(&spec, base, Some(Architecture::X86_64), &KnownImages::default(), &silent())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_real_registry_holds_what_was_pushed_and_gets_nothing_twice() {
    let registry = DockerRegistry::plain();
    let host = registry.host();
    let client = client(host.clone(), Authorization::Anonymous);
    let (tag, one, two) = ("v1".parse().unwrap(), image("one").await, image("two").await);

    let events = Arc::new(Events::default());
    let reporter: SharedReporter = events.clone();
    let first = push(&client, &uri(&host), Some(&tag), &one, &Uploads::default(), &reporter).await.unwrap();
    let total = one.compressed_size() + one.config_bytes.len() as u64;
    let transfer = Transfer { bytes_uploaded: total, layers_uploaded: 3, layers_reused: 0 };
    assert_eq!(first, PushedImage { repository: uri(&host), digest: one.digest(), transfer });
    let seen = std::mem::take(&mut *events.0.lock().unwrap());
    let started = seen.iter().filter(|event| matches!(event, Event::BlobStarted { .. })).count();
    let finished = seen.iter().filter(|event| matches!(event, Event::BlobFinished { reused: false, .. }));
    assert_eq!((started, finished.count()), (4, 4));

    let again = push(&client, &uri(&host), Some(&tag), &one, &Uploads::default(), &silent()).await.unwrap();
    assert_eq!(again.transfer, Transfer { layers_reused: 3, ..Transfer::default() });
    let changed = push(&client, &uri(&host), Some(&tag), &two, &Uploads::default(), &silent()).await.unwrap();
    assert_eq!((changed.transfer.layers_uploaded, changed.transfer.layers_reused), (1, 2));

    // skopeo reads everything back and checks every digest while it copies.
    let source = format!("docker://{host}/team/hello@{}", one.digest());
    let copy = tempfile::tempdir().unwrap();
    let target = format!("dir:{}", copy.path().display());
    skopeo(&["copy", "--src-tls-verify=false", &source, &target]);
    assert_eq!(std::fs::read(copy.path().join("manifest.json")).unwrap(), one.manifest_bytes);
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{host}/team/hello:v1")]);
    assert_eq!(Digest::of(&raw), two.digest());
}

#[tokio::test]
async fn an_image_copied_between_repositories_keeps_its_digest() {
    let (from, to) = (DockerRegistry::plain(), DockerRegistry::plain());
    let source = client(from.host(), Authorization::Anonymous);
    let pushed = image("copied").await;
    push(&source, &uri(&from.host()), None, &pushed, &Uploads::default(), &silent()).await.unwrap();
    let reference = ImageReference::at(uri(&from.host()), pushed.digest());
    let read = image::registry::read(&source, &reference, None, &silent()).await.unwrap();
    assert_eq!(read.manifest_bytes, pushed.manifest_bytes);
    let target = client(to.host(), Authorization::Anonymous);
    let copied = push(&target, &uri(&to.host()), None, &read, &Uploads::default(), &silent()).await.unwrap();
    assert_eq!((copied.digest, copied.transfer.layers_uploaded), (pushed.digest(), 3));
}

#[tokio::test]
async fn layers_of_another_repository_are_taken_over_where_the_registry_does_that() {
    let registry = DockerRegistry::plain();
    let other = RepositoryUri { registry: registry.host(), name: "team/other".parse().unwrap() };
    let client_here = client(registry.host(), Authorization::Anonymous);
    let pushed = image("mounted").await;
    push(&client_here, &uri(&registry.host()), None, &pushed, &Uploads::default(), &silent()).await.unwrap();
    let reference = ImageReference::at(uri(&registry.host()), pushed.digest());
    let read = image::registry::read(&client_here, &reference, None, &silent()).await.unwrap();
    let taken = push(&client_here, &other, None, &read, &Uploads::default(), &silent()).await.unwrap();
    // The configuration is no layer, and is sent.
    let bytes = pushed.config_bytes.len() as u64;
    let transfer = Transfer { bytes_uploaded: bytes, layers_uploaded: 0, layers_reused: 3 };
    assert_eq!((taken.digest, taken.transfer), (pushed.digest(), transfer));

    // ECR does so only where it is switched on: else it opens a session, which is used.
    let registry = ScriptedRegistry::start(|_| None).await;
    let client_there = client(registry.host(), Authorization::Anonymous);
    push(&client_there, &uri(&registry.host()), None, &pushed, &Uploads::default(), &silent()).await.unwrap();
    let reference = ImageReference::at(uri(&registry.host()), pushed.digest());
    let read = image::registry::read(&client_there, &reference, None, &silent()).await.unwrap();
    registry.contents().seen.clear();
    let other = RepositoryUri { registry: registry.host(), name: "team/other".parse().unwrap() };
    registry.contents().manifests.clear();
    let sent = push(&client_there, &other, None, &read, &Uploads::default(), &silent()).await.unwrap();
    assert_eq!((sent.digest, sent.transfer.layers_uploaded), (pushed.digest(), 3));
    let asked: Vec<_> =
        registry.contents().seen.iter().filter(|seen| seen.what == "POST upload").cloned().collect();
    let from = asked
        .iter()
        .filter(|seen| seen.query.contains("mount=sha256") && seen.query.contains("from=team%2Fhello"));
    assert_eq!(from.count(), 3, "{asked:#?}");
}

/// A client that finds `registry` under its name.
fn secure(registry: &DockerRegistry, roots: &[std::path::PathBuf], password: &str) -> RegistryClient {
    let host = registry.host();
    let name = host.as_str().split(':').next().unwrap();
    let http = Trust::new(roots).unwrap().builder().resolve(name, registry.address()).build().unwrap();
    let authorization = Authorization::Password { user: USER.to_owned(), password: Secret::new(password) };
    RegistryClient::new(http, host, authorization, silent())
}

#[tokio::test]
async fn tls_and_basic_authentication() {
    let registry = DockerRegistry::secure("registry.example.test");
    let (host, roots) = (registry.host(), [registry.certificate()]);
    let image = image("secret").await;
    let pushed =
        push(&secure(&registry, &roots, PASSWORD), &uri(&host), None, &image, &Uploads::default(), &silent())
            .await;
    assert_eq!(pushed.unwrap().digest, image.digest());

    let wrong =
        push(&secure(&registry, &roots, "wrong"), &uri(&host), None, &image, &Uploads::default(), &silent())
            .await;
    let wrong = wrong.unwrap_err();
    assert_eq!(wrong.refusal().unwrap().status, 401, "{wrong}");
    assert!(wrong.hint().unwrap().contains("credentials"), "{:?}", wrong.hint());

    let untrusted =
        push(&secure(&registry, &[], PASSWORD), &uri(&host), None, &image, &Uploads::default(), &silent())
            .await;
    let untrusted = untrusted.unwrap_err();
    assert!(matches!(untrusted, RegistryError::Unreachable { .. }), "{untrusted}");
    assert!(untrusted.hint().unwrap().contains("SSL_CERT_FILE"), "{:?}", untrusted.hint());
}

#[tokio::test]
async fn nobody_listening_is_said_so() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = client(free.to_string().parse().unwrap(), Authorization::Anonymous);
    let error = client.manifest(&name(), "v1").await.unwrap_err();
    assert!(error.hint().unwrap().contains("nothing listens"), "{error}: {:?}", error.hint());
}

/// Pushes to a registry that follows `script`.
async fn push_to(
    script: impl Fn(&Seen) -> Option<Fault> + Send + Sync + 'static,
    authorization: Authorization,
) -> (ScriptedRegistry, Arc<Events>, Result<PushedImage, RegistryError>) {
    let registry = ScriptedRegistry::start(script).await;
    let events = Arc::new(Events::default());
    let http = Trust::new(&[]).unwrap().client().unwrap();
    let client = RegistryClient::new(http, registry.host(), authorization, events.clone());
    let image = image("scripted").await;
    let reporter: SharedReporter = events.clone();
    let tag = "v1".parse().unwrap();
    let pushed =
        push(&client, &uri(&registry.host()), Some(&tag), &image, &Uploads::default(), &reporter).await;
    if let Ok(pushed) = &pushed {
        assert_eq!(pushed.digest, image.digest());
        let contents = registry.contents();
        assert_eq!(contents.manifests["v1"].1, image.manifest_bytes);
        assert!(image.layers.iter().all(|l| contents.blobs.contains_key(&l.descriptor.digest.to_string())));
    }
    (registry, events, pushed)
}

#[tokio::test]
async fn troubles_that_pass_are_waited_out_in_a_new_session() {
    let script = |seen: &Seen| match (seen.what.as_str(), seen.nth) {
        ("PUT upload", 0) => Some(refuse(500, "UNKNOWN", "try again")),
        ("PUT upload", 1) => Some(Fault::Cut(10)),
        ("POST upload", 0) | ("HEAD blob", 0) | ("PUT manifest", 0) => {
            Some(Fault::Answer(503, Vec::new(), "<html>unavailable</html>".to_owned()))
        }
        _ => None,
    };
    let (registry, events, pushed) = push_to(script, Authorization::Anonymous).await;
    pushed.unwrap();
    // Four blobs, one failed opening, two failed uploads: each attempt in a session of its own.
    assert_eq!((registry.count("POST upload"), registry.count("PUT upload")), (7, 6));
    assert_eq!(events.retries().len(), 5);
    // Once under its tag, after one refusal.
    assert_eq!(registry.count("PUT manifest"), 2);
}

#[tokio::test]
async fn a_registry_that_asks_for_patience_gets_it() {
    let script = |seen: &Seen| {
        let again = vec![("retry-after", "1".to_owned())];
        let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}"#.to_owned();
        (seen.what == "PUT manifest" && seen.nth == 0)
            .then(|| Fault::Answer(429, again.clone(), body.clone()))
    };
    let started = Instant::now();
    let (_, events, pushed) = push_to(script, Authorization::Anonymous).await;
    pushed.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(events.retries(), [(1, Duration::from_secs(1))]);
}

#[tokio::test]
async fn a_manifest_is_put_again_when_its_blobs_are_not_known_yet() {
    let script = |seen: &Seen| {
        let text = "Layers with digests '[sha256:…]' required for pushing image do not exist";
        (seen.what == "PUT manifest" && seen.nth < 2).then(|| refuse(404, "BLOB_UPLOAD_UNKNOWN", text))
    };
    let (_, events, pushed) = push_to(script, Authorization::Anonymous).await;
    pushed.unwrap();
    assert_eq!(events.retries().len(), 2);
}

#[tokio::test]
async fn a_manifest_that_is_not_found_at_once_is_looked_for_again() {
    // The questions before the push are the first two.
    let script = |seen: &Seen| {
        (seen.what == "HEAD manifest" && seen.nth < 4).then(|| refuse(404, "MANIFEST_UNKNOWN", ""))
    };
    let (_, events, pushed) = push_to(script, Authorization::Anonymous).await;
    pushed.unwrap();
    assert_eq!(events.retries().len(), 2);
}

#[tokio::test]
async fn what_cannot_get_better_ends_the_push_at_once() {
    let script = |seen: &Seen| {
        let text = "The repository with name 'x' does not exist in the registry with id 'y'";
        (seen.what == "POST upload").then(|| refuse(404, "NAME_UNKNOWN", text))
    };
    let (registry, events, pushed) = push_to(script, Authorization::Anonymous).await;
    let error = pushed.unwrap_err();
    assert!(error.to_string().contains("NAME_UNKNOWN: The repository with name 'x'"), "{error}");
    assert!(error.hint().unwrap().contains("create it"), "{:?}", error.hint());
    assert!(events.retries().is_empty());
    assert!(registry.count("POST upload") <= 4);
    assert_eq!(registry.count("PUT manifest"), 0);
}

#[tokio::test]
async fn created_instead_of_accepted_and_absolute_locations_are_followed() {
    let script = |seen: &Seen| (seen.what == "POST upload").then_some(Fault::Created);
    let (registry, _, pushed) = push_to(script, Authorization::Anonymous).await;
    pushed.unwrap();
    assert_eq!(registry.count("PUT upload"), 4);
}

/// Tokens `0`, `1`, `2`…; the number of times one was asked for.
#[derive(Debug, Default)]
pub struct Tokens(pub AtomicUsize);

impl TokenProvider for Tokens {
    fn token<'a>(&'a self, _rejected: Option<&'a Secret>) -> BoxFuture<'a, Result<Secret, TokenError>> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        async move { Ok(Secret::new(number.to_string())) }.boxed()
    }
}

#[tokio::test]
async fn an_expired_token_is_replaced_once_for_all_tasks() {
    // The first token expires when the blobs are sent: four tasks notice it at once.
    let script = |seen: &Seen| {
        let expired = "Your authorization token has expired. Reauthenticate and try again.";
        let old = seen.authorization.as_deref() == Some("Basic 0");
        (old && seen.what == "PUT upload").then(|| refuse(403, "DENIED", expired))
    };
    let tokens = Arc::new(Tokens::default());
    let (registry, events, pushed) = push_to(script, Authorization::Token(tokens.clone())).await;
    pushed.unwrap();
    assert_eq!(tokens.0.load(Ordering::SeqCst), 2);
    assert!(events.retries().is_empty());
    assert!(registry.contents().seen.iter().all(|seen| seen.authorization.is_some()));
}

#[tokio::test]
async fn a_denied_caller_is_told_which_rights_are_needed_and_no_token_is_shown() {
    let script = |seen: &Seen| {
        let text = "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: ecr:PutImage";
        (seen.what == "PUT manifest").then(|| refuse(403, "DENIED", text))
    };
    let tokens = Arc::new(Tokens(AtomicUsize::new(777_777)));
    let (_, events, pushed) = push_to(script, Authorization::Token(tokens.clone())).await;
    let error = pushed.unwrap_err();
    assert!(error.hint().unwrap().contains("`ecr:PutImage`"), "{:?}", error.hint());
    assert!(events.retries().is_empty());
    assert_eq!(tokens.0.load(Ordering::SeqCst), 777_778);
    assert!(!format!("{error:?} {error}").contains("777777"));
}

#[tokio::test]
async fn bearer_tokens_are_fetched_where_the_challenge_says_and_kept() {
    let tokens = ScriptedRegistry::start(|seen| {
        let good = seen.query.contains("service=svc")
            && seen.query.contains("scope=repository%3Ateam%2Fhello%3Apull");
        let body = if good { r#"{"access_token":"t0ken"}"# } else { "{}" };
        Some(Fault::Answer(200, Vec::new(), body.to_owned()))
    })
    .await;
    let realm = format!("http://{}/token", tokens.host());
    let script = move |seen: &Seen| {
        let challenge = format!(r#"Bearer realm="{realm}",service="svc""#);
        (seen.authorization.as_deref() != Some("Bearer t0ken"))
            .then(|| Fault::Answer(401, vec![("www-authenticate", challenge)], String::new()))
    };
    let (_, _, pushed) = push_to(script, Authorization::Anonymous).await;
    pushed.unwrap();
    // One for reading and one for writing, however many tasks asked.
    assert_eq!(tokens.count("GET other"), 2);
}

#[tokio::test]
async fn a_redirected_download_carries_no_credentials_and_is_checked() {
    let blob = Bytes::from(vec![7; 100_000]);
    let storage = ScriptedRegistry::start(|seen| {
        let refused = "Only one auth mechanism allowed";
        seen.authorization.is_some().then(|| Fault::Answer(400, Vec::new(), refused.to_owned()))
    })
    .await;
    let (good, bad) = (Digest::of(&blob), Digest::of(b"something else"));
    storage.contents().blobs.insert(good.to_string(), blob.to_vec());
    storage.contents().blobs.insert(bad.to_string(), blob.to_vec());
    let elsewhere = storage.host();
    let registry = ScriptedRegistry::start(move |seen| {
        let location = format!("http://{elsewhere}{}?X-Amz-Signature=s3cret", seen.path);
        (seen.what == "GET blob").then(|| Fault::Answer(307, vec![("location", location)], String::new()))
    })
    .await;
    let client = client(registry.host(), Authorization::Token(Arc::new(Tokens::default())));
    let read = async |digest| {
        let descriptor = Descriptor::new(MediaType::OciLayerGzip, digest, 100_000);
        client.blob(&name(), &descriptor).await.unwrap().try_collect::<Vec<Bytes>>().await
    };
    assert_eq!(read(good).await.unwrap().concat(), blob);
    let error = read(bad).await.unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    let missing = Descriptor::new(MediaType::OciLayerGzip, Digest::of(b"missing"), 1);
    let error = client.blob(&name(), &missing).await.err().unwrap();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}

#[tokio::test]
async fn a_manifest_that_is_not_what_was_asked_for_is_refused() {
    let registry = ScriptedRegistry::start(|_| None).await;
    let wanted = Digest::of(b"wanted").to_string();
    let other = (MediaType::OciManifest.to_string(), b"{}".to_vec());
    registry.contents().manifests.insert(wanted.clone(), other);
    let client = client(registry.host(), Authorization::Anonymous);
    let error = client.manifest(&name(), &wanted).await.unwrap_err();
    assert!(matches!(error, RegistryError::Digest { .. }), "{error}");
    assert!(client.manifest(&name(), "none").await.unwrap().is_none());
    assert_eq!(client.manifest_digest(&name(), "none").await.unwrap(), None);
}

/// Many bytes that are made when somebody asks for them, and counted.
struct Endless {
    size: u64,
    made: Arc<AtomicU64>,
}

impl BlobContent for Endless {
    fn open(&self) -> BoxFuture<'_, std::io::Result<ByteStream>> {
        let (size, made) = (self.size, self.made.clone());
        let chunk = Bytes::from(vec![0; 1 << 18]);
        let chunks = stream::iter(0..size >> 18).map(move |_| {
            made.fetch_add(1 << 18, Ordering::Relaxed);
            Ok(chunk.clone())
        });
        async move { Ok(chunks.boxed()) }.boxed()
    }
}

#[tokio::test]
async fn a_slow_registry_slows_the_reading_down() {
    let stall = |seen: &Seen| (seen.what == "PUT upload").then_some(Fault::Stall(Duration::from_secs(60)));
    let registry = ScriptedRegistry::start(stall).await;
    let content = Endless { size: 1 << 30, made: Arc::default() };
    let descriptor = Descriptor::new(MediaType::OciLayerGzip, Digest::of(b""), content.size);
    let client = client(registry.host(), Authorization::Anonymous);
    let name = name();
    let upload = client.upload_blob(&name, &descriptor, &content, None);
    assert!(tokio::time::timeout(Duration::from_secs(1), upload).await.is_err());
    // What fits into the buffers of two sockets, not the blob.
    let made = content.made.load(Ordering::Relaxed);
    assert!((1..64 << 20).contains(&made), "{made}");
}
