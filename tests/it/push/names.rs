//! What a push through the engine leaves behind in it.

use std::sync::Arc;

use lambdactl::event::{SharedReporter, Silent};
use lambdactl::services::docker::DockerEngine;

use crate::support::docker::{context, engine, request};
use crate::support::registry::{DockerRegistry, skopeo};

#[tokio::test]
async fn an_image_without_a_name_is_still_there_after_it_was_pushed() {
    let Some(location) = engine() else { return };
    let engine = DockerEngine::connect(&location).await.unwrap();
    let directory = context("FROM scratch\nCOPY tool /tool\n", &[]);
    let reporter: SharedReporter = Arc::new(Silent);
    let id = engine.build(&request(directory.path(), &[]), &reporter).await.unwrap();
    let found = engine.inspect(&id.to_string()).await.unwrap().unwrap();
    assert!(found.tags.is_empty(), "{found:?}");
    let registry = DockerRegistry::plain();
    let repository = format!("{}/hello", registry.host());
    engine.push(&found, &repository).await.unwrap();
    // An engine deletes an image with its last name.
    let after = engine.inspect(&id.to_string()).await.unwrap().expect("the image is still there");
    assert!(!after.tags.iter().any(|tag| tag.starts_with(&repository)), "{after:?}");
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{repository}:image")]);
    assert!(String::from_utf8_lossy(&raw).contains(&id.to_string()));

    // Nor is a name left where the push fails.
    drop(registry);
    engine.push(&found, &repository).await.unwrap_err();
    let after = engine.inspect(&id.to_string()).await.unwrap().expect("the image is still there");
    assert!(!after.tags.iter().any(|tag| tag.starts_with(&repository)), "{after:?}");
}
