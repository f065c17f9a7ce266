//! Dockerfiles built without an engine: the same image as an engine's, the same bytes everywhere.

mod asked;
mod corpus;
mod files;
mod reasons;
mod repeated;
mod requests;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use lambdactl::domain::digest::Digest;
use lambdactl::domain::platform::Architecture;
use lambdactl::domain::reference::{ImageReference, RegistryHost};
use lambdactl::event::{SharedReporter, Silent};
use lambdactl::image::append::{self, Images, Kept, Memory, Stopped};
use lambdactl::image::known::KnownImages;
use lambdactl::image::{self, Image, ImageError, registry};
use lambdactl::services::docker::{BuildRequest, DockerEngine};
use lambdactl::services::http::Trust;
use lambdactl::services::registry::{Authorization, RegistryClient};

/// What goes into a directory.
#[derive(Clone, Copy, Debug)]
enum Entry {
    File(&'static str, u32, &'static str),
    Directory(&'static str, u32),
    Link(&'static str, &'static str),
}

/// Makes them, parents with the usual mode.
fn fill<'a>(directory: &Path, entries: impl IntoIterator<Item = &'a Entry>) {
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for entry in entries {
        let (Entry::File(name, ..) | Entry::Directory(name, _) | Entry::Link(name, _)) = entry;
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match entry {
            Entry::File(_, mode, content) => {
                fs::write(&path, content).unwrap();
                set(&path, *mode);
            }
            Entry::Directory(_, mode) => {
                fs::create_dir_all(&path).unwrap();
                set(&path, *mode);
            }
            Entry::Link(_, target) => symlink(target, &path).unwrap(),
        }
    }
}

/// Base images that come from a registry without authentication.
#[derive(Default)]
struct Bases {
    lists: Option<PathBuf>,
    memory: Option<Arc<dyn Memory>>,
    engine: Option<DockerEngine>,
    /// One that has them.
    keeping: Option<DockerEngine>,
    known: KnownImages,
}

/// Remembers all, for as long as it lives.
#[derive(Debug, Default)]
struct Remembering(Mutex<HashMap<Digest, Vec<u8>>>);

impl Memory for Remembering {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        self.0.lock().unwrap().get(key).cloned()
    }

    fn put(&self, key: &Digest, content: &[u8]) {
        self.0.lock().unwrap().insert(*key, content.to_vec());
    }
}

impl Images for Bases {
    async fn read(
        &self,
        reference: &ImageReference,
        architecture: Option<Architecture>,
    ) -> Result<Image, String> {
        let host = &reference.repository.registry;
        if !host.is_loopback() {
            return Err("not here".to_owned());
        }
        let client = client(host.clone());
        let read = registry::read(&client, reference, architecture, &silent()).await;
        read.map_err(|error| error.to_string())
    }

    async fn kept(&self, reference: &ImageReference) -> Option<Kept> {
        let engine = self.keeping.as_ref()?;
        let found = engine.inspect(&reference.to_string()).await.unwrap().expect("the engine has it");
        Kept::of(engine, found)
    }

    fn lists(&self) -> Option<PathBuf> {
        self.lists.clone()
    }

    fn memory(&self) -> Option<Arc<dyn Memory>> {
        self.memory.clone()
    }

    async fn engine(&self, request: &BuildRequest) -> Option<(DockerEngine, BuildRequest)> {
        Some((self.engine.clone()?, request.clone()))
    }

    async fn known(&self) -> KnownImages {
        self.known.clone()
    }

    async fn export(
        &self,
        engine: &DockerEngine,
        id: &str,
        architecture: Option<Architecture>,
    ) -> Result<Image, ImageError> {
        image::engine::read(engine, id, architecture, &KnownImages::default(), &silent()).await
    }
}

fn client(host: RegistryHost) -> RegistryClient {
    RegistryClient::new(Trust::new(&[]).unwrap().client().unwrap(), host, Authorization::Anonymous, silent())
}

fn silent() -> SharedReporter {
    Arc::new(Silent)
}

async fn appended(request: &BuildRequest) -> Result<Image, Stopped> {
    append::build(request, &Bases::default(), &silent()).await
}
