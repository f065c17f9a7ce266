//! What a push through the engine leaves behind in it.

use std::net::TcpListener;
use std::sync::Arc;

use lambdactl::domain::digest::Digest;
use lambdactl::event::{SharedReporter, Silent};
use lambdactl::services::docker::{DockerEngine, DockerError, EngineImage, name_for_a_push};

use crate::support::docker::{Context, context, context_in, engine, persistently, request};
use crate::support::engines::{Engine, containerd, usual};
use crate::support::registry::{DockerRegistry, skopeo};

/// Pushes an image under a name of its own.
async fn push(engine: &DockerEngine, image: &EngineImage, repository: &str) -> Result<(), DockerError> {
    let name = engine.name(image, repository).await.unwrap();
    let pushed = name.push().await;
    name.remove().await;
    pushed
}

async fn build(engine: &DockerEngine, directory: &Context) -> Digest {
    let (reporter, request): (SharedReporter, _) = (Arc::new(Silent), request(directory.path(), &[]));
    persistently(async || engine.build(&request, &reporter).await).await.unwrap()
}

/// An engine, an image in it that has no name, and what that was built from.
async fn built() -> Option<(DockerEngine, EngineImage, Context)> {
    let engine = DockerEngine::connect(&engine()?).await.unwrap();
    let directory = context("FROM scratch\nCOPY tool /tool\n", &[]);
    let id = build(&engine, &directory).await;
    let found = engine.inspect(&id.to_string()).await.unwrap().unwrap();
    assert_eq!(found.id, id);
    Some((engine, found, directory))
}

#[tokio::test]
async fn an_image_without_a_name_is_still_there_after_it_was_pushed() {
    let Some((engine, found, _directory)) = built().await else { return };
    assert!(found.tags.is_empty(), "{found:?}");
    let registry = DockerRegistry::plain();
    let repository = format!("{}/hello", registry.host());
    push(&engine, &found, &repository).await.unwrap();
    // An engine deletes an image with its last name.
    let after = engine.inspect(&found.id.to_string()).await.unwrap().expect("the image is still there");
    assert!(!after.tags.iter().any(|tag| tag.starts_with(&repository)), "{after:?}");
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{repository}:image")]);
    assert!(String::from_utf8_lossy(&raw).contains(&found.id.to_string()));

    // Nor is a name left where the push fails.
    drop(registry);
    push(&engine, &found, &repository).await.unwrap_err();
    let after = engine.inspect(&found.id.to_string()).await.unwrap().expect("the image is still there");
    assert!(!after.tags.iter().any(|tag| tag.starts_with(&repository)), "{after:?}");
}

#[tokio::test]
async fn an_engine_tells_the_configuration_of_an_image_byte_for_byte() {
    let Some((engine, found, _directory)) = built().await else { return };
    let name = engine.name(&found, &format!("127.0.0.1:1/{}", name_for_a_push())).await.unwrap();
    let told = engine.configuration(&name.reference(), found.id).await.unwrap();
    assert_eq!(Digest::of(&told), found.id);
    // Of another image it is not taken, and of none there is none.
    engine.configuration(&name.reference(), Digest::of(b"another")).await.unwrap_err();
    engine.configuration("127.0.0.1:1/lambdactl-none:image", found.id).await.unwrap_err();
    name.remove().await;
}

#[tokio::test]
async fn images_without_names_are_still_there_after_they_were_pushed_at_the_same_time() {
    for find in [usual as fn() -> Option<Engine>, containerd] {
        let Some(location) = find().map(|engine| engine.location()) else { continue };
        let engine = DockerEngine::connect(&location).await.unwrap();
        let registry = DockerRegistry::plain();
        let mut images = Vec::new();
        for number in 0..4 {
            let directory = context_in(
                location.clone(),
                &format!("FROM scratch\nLABEL number={number}\nCOPY tool /tool\n"),
                &[],
            );
            let id = build(&engine, &directory).await;
            images.push((directory, engine.inspect(&id.to_string()).await.unwrap().unwrap()));
        }
        let pushes = images.iter().enumerate().map(|(number, (_, image))| {
            let (engine, repository) = (&engine, format!("{}/hello{number}", registry.host()));
            async move { push(engine, image, &repository).await.unwrap() }
        });
        futures_util::future::join_all(pushes).await;
        for (_, image) in &images {
            let after =
                engine.inspect(&image.id.to_string()).await.unwrap().expect("the image is still there");
            assert_eq!(after.tags, [""; 0]);
        }
    }
}

#[tokio::test]
async fn names_that_a_killed_run_has_left_behind_go_and_their_images_stay() {
    for find in [usual as fn() -> Option<Engine>, containerd] {
        let Some(found) = find() else { continue };
        let engine = DockerEngine::connect(&found.location()).await.unwrap();
        let directory = context_in(found.location(), "FROM scratch\nCOPY tool /tool\n", &[]);
        let id = build(&engine, &directory).await.to_string();
        // A run that goes on: its registry listens.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let live = format!("{}/{}:image", listener.local_addr().unwrap(), name_for_a_push());
        // Nobody listens at port 1.
        let left = format!("127.0.0.1:1/{}:image", name_for_a_push());
        let foreign = format!("127.0.0.1:1/lambdactl-{}:image", std::process::id());
        for name in [&live, &left, &foreign] {
            found.docker(&["image", "tag", &id, name]);
        }
        engine.remove_leftovers().await;
        let mut tags = engine.inspect(&id).await.unwrap().expect("the image is still there").tags;
        tags.sort();
        let mut wanted = vec![live.clone(), foreign.clone()];
        wanted.sort();
        assert_eq!(tags, wanted);
        drop(listener);
        found.docker(&["image", "rm", &foreign]);
        engine.remove_leftovers().await;
        let after = engine.inspect(&id).await.unwrap().expect("the image is still there");
        assert_eq!(after.tags, [""; 0], "its last name is gone");
    }
}
