//! Images of engines that cannot push to this machine.

use serde_json::json;
use tokio::net::{TcpListener, UnixStream};

use super::PUSH;
use crate::support::engines::{Engine, Loaded, containerd, remote};
use crate::support::layout::{Layout, digest};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

fn world(host: &str) -> World {
    let mut sandbox = Sandbox::new();
    sandbox.set("DOCKER_HOST", host);
    World::in_sandbox(sandbox)
}

fn loaded(engine: &Engine) -> (Loaded, String) {
    let layout = Layout::new();
    let here = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let entry = layout.image(here, &uuid::Uuid::new_v4().to_string().repeat(1000));
    (engine.load(&layout, entry.clone()), digest(&entry))
}

/// Pushes twice, and returns what was told.
fn pushed_twice(world: &World, image: &Loaded, wanted: &str) -> String {
    let source = image.source();
    let arguments = [&PUSH[..], &["-v", "--image", &source]].concat();
    let told = world.sandbox.run(&arguments).expect(0);
    assert!(told.stdout.trim_end().ends_with(wanted), "{told}");
    let again = world.sandbox.json(0, arguments).pop().unwrap();
    assert_eq!((&again["image_digest"], &again["bytes_uploaded"]), (&json!(wanted), &json!(0)), "{again}");
    told.stderr.clone()
}

#[test]
fn an_engine_in_another_network_is_left_at_once_for_an_export() {
    let Some(engine) = remote() else { return };
    let (image, wanted) = loaded(&engine);
    let told = pushed_twice(&world(&engine.host), &image, &wanted);
    assert!(told.contains("is exported whole"), "{told}");
    // It was not waited for: the engine itself said that there is nobody.
    assert!(!told.contains("does not find the way"), "{told}");
    let names = engine.docker(&["image", "inspect", "--format", "{{json .RepoTags}}", &image.name]);
    assert_eq!(names, format!("[\"{}\"]", image.name));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_behind_tcp_exports_its_images() {
    let Some(engine) = containerd() else { return };
    let (image, wanted) = loaded(&engine);
    let socket = engine.host.trim_start_matches("unix://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("tcp://{}", listener.local_addr().unwrap());
    let forwarding = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut engine = UnixStream::connect(socket).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
            });
        }
    });
    let told = tokio::task::spawn_blocking(move || pushed_twice(&world(&host), &image, &wanted));
    let told = told.await.unwrap();
    assert!(!told.contains("exported whole") && !told.contains("only what is missing"), "{told}");
    forwarding.abort();
}
