//! Registries that fail at any point of a push, and pushes that meet each other.

use std::collections::HashSet;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lambdactl::event::{SharedReporter, Silent};
use lambdactl::image::Image;
use lambdactl::pipeline::Uploads;
use lambdactl::pipeline::push::push;
use lambdactl::services::http::Trust;
use lambdactl::services::registry::{Authorization, RegistryClient};

use crate::registry::{Tokens, image, uri};
use crate::support::python::aws_json;
use crate::support::registry::DockerRegistry;
use crate::support::registry::scripted::{Fault, ScriptedRegistry, Seen, refuse};
use crate::support::sandbox::finish_child;
use crate::support::world::World;

/// What can go wrong with any request, and passes.
const TROUBLES: [&str; 5] = ["500", "429", "expired", "cut", "slow"];

fn trouble(name: &str, seen: &Seen) -> Fault {
    let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}"#.to_owned();
    match name {
        "500" => refuse(500, "UNKNOWN", "try again"),
        "429" => Fault::Answer(429, vec![("retry-after", "1".to_owned())], body),
        "expired" => {
            refuse(403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
        }
        // In the middle of the blob, or else of nothing.
        "cut" => Fault::Cut(if seen.what == "PUT upload" { 10 } else { 0 }),
        _ => Fault::Stall(Duration::from_millis(700)),
    }
}

/// Pushes to a registry that follows `script`, which has to end well, and returns the requests.
async fn arrives(
    image: &Image,
    case: &str,
    script: impl Fn(&Seen) -> Option<Fault> + Send + Sync + 'static,
) -> (Vec<Seen>, Arc<Tokens>) {
    let registry = ScriptedRegistry::start(script).await;
    let tokens = Arc::new(Tokens::default());
    let reporter: SharedReporter = Arc::new(Silent);
    let http = Trust::new(&[]).unwrap().client().unwrap();
    let authorization = Authorization::Token(tokens.clone());
    let client = RegistryClient::new(http, registry.host(), authorization, reporter.clone());
    let (uri, tag) = (uri(&registry.host()), "v1".parse().unwrap());
    let pushed = push(&client, &uri, Some(&tag), image, &Uploads::default(), &reporter).await;
    let pushed = pushed.unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!((pushed.digest, pushed.transfer.layers_uploaded), (image.digest(), 3), "{case}");
    let contents = registry.contents();
    assert_eq!(contents.manifests["v1"].1, image.manifest_bytes, "{case}");
    for layer in &image.layers {
        let digest = layer.descriptor.digest;
        assert!(contents.blobs.contains_key(&digest.to_string()), "{case}: {digest}");
    }
    (contents.seen.clone(), tokens)
}

#[tokio::test]
async fn whichever_request_fails_in_whatever_way_the_push_ends_well() {
    let image = image("anywhere").await;
    let (clean, _) = arrives(&image, "no fault", |_| None).await;
    // Two questions about the image, one about each layer, four blobs in two requests each, the
    // manifest, and whether it is there.
    assert_eq!(clean.len(), 15, "{clean:#?}");
    let (image, clean) = (&image, &clean);
    let one = |(index, name): (usize, &'static str)| {
        let case = format!("request {index}: {name}");
        async move {
            let counter = AtomicUsize::new(0);
            let script = move |seen: &Seen| {
                (counter.fetch_add(1, Ordering::SeqCst) == index).then(|| trouble(name, seen))
            };
            let (seen, tokens) = arrives(image, &case, script).await;
            let fetched = tokens.0.load(Ordering::SeqCst);
            assert_eq!(fetched, if name == "expired" { 2 } else { 1 }, "{case}");
            // Nothing but what failed is repeated, an upload with the session it needs.
            let most = match name {
                "slow" => clean.len(),
                _ if seen[index].what == "PUT upload" => clean.len() + 2,
                _ => clean.len() + 1,
            };
            assert!(seen.len() <= most, "{case}: {} requests: {seen:#?}", seen.len());
        }
    };
    let cases = (0..clean.len()).flat_map(|index| TROUBLES.map(|name| (index, name)));
    let cases: Vec<_> = cases.map(one).collect();
    futures_util::future::join_all(cases).await;
}

#[tokio::test]
async fn a_registry_that_fails_everything_once_gets_the_image() {
    let image = image("everywhere").await;
    let met = Mutex::new(HashSet::new());
    let script = move |seen: &Seen| {
        // Uploads have a new path each time, and the digest in the query.
        let key = match seen.what.as_str() {
            "PUT upload" => seen.query.clone(),
            what => format!("{what} {}", seen.path),
        };
        let mut met = met.lock().unwrap();
        let name = TROUBLES[met.len() % TROUBLES.len()];
        met.insert(key).then(|| trouble(name, seen))
    };
    arrives(&image, "everything once", script).await;
}

#[tokio::test]
async fn two_pushes_of_the_same_image_do_not_disturb_each_other() {
    let registry = DockerRegistry::plain();
    let image = image("twice").await;
    let reporter: SharedReporter = Arc::new(Silent);
    let uri = uri(&registry.host());
    let one = || async {
        let http = Trust::new(&[]).unwrap().client().unwrap();
        let client = RegistryClient::new(http, registry.host(), Authorization::Anonymous, reporter.clone());
        push(&client, &uri, None, &image, &Uploads::default(), &reporter).await.unwrap().digest
    };
    let (first, second, third) = tokio::join!(one(), one(), one());
    assert_eq!([first, second, third], [image.digest(); 3]);
}

#[test]
fn two_commands_that_push_the_same_at_the_same_time_both_end_well() {
    let world = World::new();
    let start = || {
        let mut command = world.sandbox.lambdactl(world.arguments("push", &["--output", "json"]));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        (format!("{command:?}"), command.spawn().unwrap())
    };
    let running = [start(), start(), start()];
    let done = running.map(|(line, child)| finish_child(line, child).expect(0).last_json());
    assert!(done.iter().all(|it| it["image_digest"] == done[0]["image_digest"]), "{done:#?}");
    let listed =
        aws_json(world.cloud.endpoint(), "us-east-1", &["ecr", "list-images", "--repository-name", "hello"]);
    assert_eq!(listed["imageIds"].as_array().map(Vec::len), Some(1), "{listed}");
}
