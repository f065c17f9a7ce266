//! Builds a Dockerfile: without an engine where that gives the same image, else with one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell};

use super::cache::{Cache, Shelf};
use super::cloud::Cloud;
use super::error::PipelineError;
use super::published;
use crate::domain::digest::Digest;
use crate::domain::platform::Architecture;
use crate::domain::reference::ImageReference;
use crate::domain::spec::{BuilderChoice, DockerfileSpec};
use crate::event::Event;
use crate::image::append::{self, Images, Kept, Memory, Stopped};
use crate::image::guesses::Guesses;
use crate::image::known::KnownImages;
use crate::image::{self, Image, ImageError};
use crate::services::docker::{BuildRequest, DockerEngine, EngineImage};

impl Memory for Cache {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        Self::get(self, Shelf::Files, key)
    }

    fn put(&self, key: &Digest, content: &[u8]) {
        Self::put(self, Shelf::Files, key, content);
    }
}

/// How long a registry may take to answer for an image that the engine has, and an engine for one
/// that a registry has.
const PATIENCE: Duration = Duration::from_secs(2);

/// Builds the image; `knowing` finds out what the registry has meanwhile.
pub(super) async fn build(
    cloud: &Cloud,
    spec: &DockerfileSpec,
    architecture: Option<Architecture>,
    knowing: impl Future<Output = KnownImages> + Send,
    guesses: Option<&Guesses>,
) -> Result<Image, PipelineError> {
    let request = BuildRequest {
        context: spec.context.clone(),
        dockerfile: spec.dockerfile.clone(),
        target: spec.target.clone(),
        args: spec.args.clone(),
        architecture,
        credentials: BTreeMap::new(),
    };
    let images = Sources { cloud, choice: spec.builder, known: Known::new(knowing), guesses };
    let mut why = None;
    if spec.builder != BuilderChoice::Engine {
        match append::build(&request, &images, cloud.reporter()).await {
            Ok(image) => return Ok(image),
            Err(Stopped::Failed(error)) => return Err(error.into()),
            Err(Stopped::Unfit(what)) => why = Some(what.to_string()),
        }
    }
    if let Some(why) = &why {
        if spec.builder == BuilderChoice::Append {
            let (dockerfile, why) = (spec.dockerfile.clone(), why.clone());
            return Err(PipelineError::NeedsEngine { dockerfile, why });
        }
        cloud.report(Event::Detail(format!("`{}` is built by an engine: {why}", spec.dockerfile.display())));
    }
    let engine = match (DockerEngine::connect(cloud.engine()).await, why) {
        (Ok(engine), _) => engine,
        (Err(error), None) => return Err(error.into()),
        (Err(error), Some(why)) => {
            let message = format!("`{}` cannot be built without an engine: {why}", spec.dockerfile.display());
            cloud.report(Event::Warning { message, hint: None });
            return Err(error.into());
        }
    };
    let request = with_logins(cloud, request).await;
    let (id, known) = tokio::join!(engine.build(&request, cloud.reporter()), images.known.get());
    Ok(image::engine::read(&engine, &id?.to_string(), architecture, &known, cloud.reporter()).await?)
}

/// The request, with who the builder is at the registries it pulls from.
async fn with_logins(cloud: &Cloud, mut request: BuildRequest) -> BuildRequest {
    for host in request.registries().await {
        if let Some(login) = cloud.login(&host).await {
            request.credentials.insert(host, login);
        }
    }
    request
}

/// What the registry has, found out when it is needed, once.
struct Known<F> {
    /// Whoever waits for it goes on where another one stopped.
    knowing: Mutex<Pin<Box<F>>>,
    known: OnceCell<KnownImages>,
}

impl<F: Future<Output = KnownImages>> Known<F> {
    fn new(knowing: F) -> Self {
        Self { knowing: Mutex::new(Box::pin(knowing)), known: OnceCell::new() }
    }

    async fn get(&self) -> KnownImages {
        self.known.get_or_init(|| async { self.knowing.lock().await.as_mut().await }).await.clone()
    }
}

/// Base images from their registries, and the engine.
struct Sources<'a, F> {
    cloud: &'a Cloud,
    choice: BuilderChoice,
    known: Known<F>,
    guesses: Option<&'a Guesses>,
}

impl<F: Future<Output = KnownImages> + Send> Images for Sources<'_, F> {
    async fn read(
        &self,
        reference: &ImageReference,
        architecture: Option<Architecture>,
    ) -> Result<Image, String> {
        tokio::select! {
            // What is remembered needs no engine.
            biased;
            read = self.of_registry(reference, architecture) => read,
            () = self.is_in_engine(reference) => {
                Err("its registry does not answer, and the engine has it".to_owned())
            }
        }
    }

    async fn kept(&self, reference: &ImageReference) -> Option<Kept> {
        if self.choice == BuilderChoice::Append {
            return None;
        }
        let asking = async {
            let (engine, found) = self.in_engine(reference).await?;
            Kept::of(&engine, found)
        };
        tokio::time::timeout(PATIENCE, asking).await.ok()?
    }

    fn lists(&self) -> Option<PathBuf> {
        self.cloud.cache().map(Cache::lists)
    }

    fn memory(&self) -> Option<Arc<dyn Memory>> {
        self.cloud.cache().map(|cache| Arc::new(cache.clone()) as Arc<dyn Memory>)
    }

    async fn engine(&self, request: &BuildRequest) -> Option<(DockerEngine, BuildRequest)> {
        if self.choice == BuilderChoice::Append {
            return None;
        }
        let engine = DockerEngine::connect(self.cloud.engine()).await.ok()?;
        Some((engine, with_logins(self.cloud, request.clone()).await))
    }

    async fn known(&self) -> KnownImages {
        self.known.get().await
    }

    async fn export(
        &self,
        engine: &DockerEngine,
        id: &str,
        architecture: Option<Architecture>,
    ) -> Result<Image, ImageError> {
        let known = self.known.get().await;
        image::engine::read(engine, id, architecture, &known, self.cloud.reporter()).await
    }
}

impl<F> Sources<'_, F> {
    async fn of_registry(
        &self,
        reference: &ImageReference,
        architecture: Option<Architecture>,
    ) -> Result<Image, String> {
        published::read(self.cloud, reference, architecture, self.guesses).await
    }

    /// An engine that has the image, and what it says of it.
    async fn in_engine(&self, reference: &ImageReference) -> Option<(DockerEngine, EngineImage)> {
        let engine = DockerEngine::connect(self.cloud.engine()).await.ok()?;
        let found = engine.inspect(&reference.to_string()).await.ok()??;
        Some((engine, found))
    }

    /// Ends where there is an engine that has the image, and the registry has had its time.
    async fn is_in_engine(&self, reference: &ImageReference) {
        let (found, ()) = tokio::join!(self.in_engine(reference), tokio::time::sleep(PATIENCE));
        if found.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
