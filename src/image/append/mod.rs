//! Dockerfiles without a builder: what their instructions copy becomes layers here, the same
//! bytes on every machine. Called by the pipeline, which takes a builder where this gives up.
//!
//! The rules are BuildKit's, to the letter. Whatever is not certain, because it takes a builder,
//! because builders differ in it, or because something about the base is not known, makes the
//! image [`Stopped::Unfit`]. Nothing has been written then.

mod accounts;
mod archive;
mod asked;
mod base;
mod blocks;
mod config;
mod content;
mod copy;
mod engine;
mod glob;
mod layer;
mod listing;
mod making;
mod memo;
mod plan;
mod stage;
mod start;
mod tree;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use self::content::Content;
use self::making::Making;
use self::memo::Memo;
pub use self::memo::Memory;
use self::plan::Plan;
use self::stage::Surroundings;
use self::start::Starts;
use self::tree::{Kind, Node, Owner, Tree};
use self::work::Work;
use super::dockerfile::parser::Dockerfile;
use super::dockerfile::stages::{Base, Stages};
use super::known::KnownImages;
use super::work::blocking;
use super::{Image, ImageError};
use crate::domain::digest::DiffId;
use crate::domain::platform::Architecture;
use crate::domain::reference::ImageReference;
use crate::domain::secret::Secret;
use crate::event::SharedReporter;
use crate::services::docker::{
    BuildRequest, ContextFile, DockerEngine, DockerError, EngineImage, ImageFiles,
};

pub use super::dockerfile::NotUnderstood;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// Only a builder can be trusted with it.
    #[error(transparent)]
    Unfit(#[from] NotUnderstood),
    /// It cannot be done, by a builder neither.
    #[error(transparent)]
    Failed(#[from] ImageError),
}

impl Stopped {
    fn on(self, line: usize) -> Self {
        match self {
            Self::Unfit(what) => Self::Unfit(what.on(line)),
            failed => failed,
        }
    }
}

impl From<DockerError> for Stopped {
    fn from(error: DockerError) -> Self {
        Self::Failed(error.into())
    }
}

/// An image that an engine has, and can be asked about.
#[derive(Debug)]
pub struct Kept {
    files: ImageFiles,
    /// Its layers, lowest first.
    diff_ids: Vec<DiffId>,
}

impl Kept {
    /// An image that was found in `engine`, if that tells of its files what is so.
    ///
    /// From far away it takes as long to ask for a dozen files as to fetch an image. And containers of
    /// an image with volumes have directories that the image may not have.
    pub fn of(engine: &DockerEngine, found: EngineImage) -> Option<Self> {
        let can_be_asked = engine.is_docker() && engine.has_socket() && !found.has_volumes;
        can_be_asked.then(|| Self { files: engine.files(found.id), diff_ids: found.diff_ids })
    }
}

/// Where images come from.
pub trait Images: Sync {
    /// Reads the image of that name from its registry, without its layers; why it cannot, in one
    /// line.
    fn read(
        &self,
        reference: &ImageReference,
        architecture: Option<Architecture>,
    ) -> impl Future<Output = Result<Image, String>> + Send;

    /// The image of that name in an engine, if one has it and may be asked.
    fn kept(&self, reference: &ImageReference) -> impl Future<Output = Option<Kept>> + Send;

    /// A directory for the lists of what is in layers; it may be lost at any time.
    fn lists(&self) -> Option<PathBuf>;

    /// Where digests of layers are remembered by the state of their files, and what was asked of
    /// base images.
    fn memory(&self) -> Option<Arc<dyn Memory>>;

    /// An engine, where one may be used and there is one, and the request with what its builder
    /// needs to pull.
    fn engine(
        &self,
        request: &BuildRequest,
    ) -> impl Future<Output = Option<(DockerEngine, BuildRequest)>> + Send;

    /// What the registry has that the image goes to.
    fn known(&self) -> impl Future<Output = KnownImages> + Send;

    /// Reads an image of the engine.
    fn export(
        &self,
        engine: &DockerEngine,
        id: &str,
        architecture: Option<Architecture>,
    ) -> impl Future<Output = Result<Image, ImageError>> + Send;
}

/// Makes the image of a Dockerfile; every time in what is made here is 1970, or what the ARG
/// `SOURCE_DATE_EPOCH` says.
pub async fn build(
    request: &BuildRequest,
    images: &impl Images,
    reporter: &SharedReporter,
) -> Result<Image, Stopped> {
    let text = read_text(request).await?;
    let given: BTreeMap<String, String> =
        request.args.iter().map(|(name, value)| (name.clone(), Secret::expose(value).to_owned())).collect();
    if let Some(name) = given.keys().find(|name| name.starts_with("BUILDKIT_")) {
        return Err(NotUnderstood::new(format!("the ARG `{name}`")).into());
    }
    let epoch = epoch(&given)?;
    let platform = platform_arguments(request.architecture);
    let stages = Stages::of(Dockerfile::parse(&text)?, &given, &platform)?;
    let target = stages.target(request.target.as_deref())?;
    let plan = Plan::of(&stages, target)?;
    plan.check_platforms(&stages, request.architecture)?;
    let globals = platform.into_iter().chain(stages.globals.clone()).collect();
    let around = Surroundings { escape: stages.escape, given, globals };
    let stands_on_image = stages.bottom(target) != &Base::Scratch;
    let mut starts = Starts::default();
    let finished = async {
        let gathering = starts.gather(&plan, &stages, &text, request, images, reporter);
        let walking = async {
            match plan.takes_from_context(&stages) {
                true => context(request).await,
                false => Ok(Tree::empty()),
            }
        };
        let context = if plan.needs_engine() {
            // That takes a while, in which somebody may go on working.
            gathering.await?;
            walking.await?
        } else {
            // What is wrong with the context counts only where no builder has to look at it.
            let ((), context) = tokio::try_join!(gathering, async { Ok(walking.await) })?;
            context?
        };
        let started = starts.started.clone();
        let mut work =
            Work { stages, plan, around, starts: started, context, architecture: request.architecture };
        let mut finished = loop {
            let carried_out = blocking(move |_stop| {
                let finished = work.finish(target);
                Ok((work, finished))
            });
            let finished;
            (work, finished) = carried_out.await?;
            match finished {
                Err(Stopped::Unfit(_)) if starts.explore(images, reporter).await? => {
                    work.starts = starts.started.clone();
                }
                finished => break finished?,
            }
        };
        finished.note = finished.stands_on.as_ref().and_then(|base| starts.note(base));
        Making::begin(finished, Memo::new(images.memory()), epoch, reporter).await.map_err(Stopped::from)
    };
    let knowing = async {
        let known = images.known().await;
        if stands_on_image {
            known.look_ahead().await;
        }
        known
    };
    let (making, known): (Result<Making, Stopped>, _) = tokio::join!(finished, knowing);
    let making = making?.compared(&known, reporter).await?;
    starts.close();
    let (finished, layers) = making.finish(&known, reporter).await?;
    let mut image = finished.image(&layers, epoch)?;
    known.find(&mut image.layers).await;
    Ok(image)
}

/// The time of all that is made, in seconds since 1970.
/// <https://reproducible-builds.org/docs/source-date-epoch/>
fn epoch(given: &BTreeMap<String, String>) -> Result<u64, NotUnderstood> {
    let Some(text) = given.get("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else { return Ok(0) };
    // Beyond the year 9999 there is no way to write it into the configuration.
    let epoch = text.parse().ok().filter(|epoch| *epoch <= 253_402_300_799);
    epoch.ok_or_else(|| NotUnderstood::new(format!("the time `{text}` in `SOURCE_DATE_EPOCH`")))
}

async fn read_text(request: &BuildRequest) -> Result<String, Stopped> {
    let bytes = tokio::fs::read(&request.dockerfile).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            Stopped::from(DockerError::DockerfileNotFound { path: request.dockerfile.clone() })
        }
        _ => ImageError::Read { what: request.dockerfile.display().to_string(), source }.into(),
    })?;
    String::from_utf8(bytes).map_err(|_| NotUnderstood::new("it is not UTF-8").into())
}

/// What the builder sets by itself, as far as it is known before one is asked.
fn platform_arguments(architecture: Option<Architecture>) -> BTreeMap<String, String> {
    let Some(architecture) = architecture else { return BTreeMap::new() };
    let arguments = [
        ("TARGETPLATFORM", format!("linux/{}", architecture.oci())),
        ("TARGETOS", "linux".to_owned()),
        ("TARGETARCH", architecture.oci().to_owned()),
        ("TARGETVARIANT", String::new()),
    ];
    arguments.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The files of the context, as a builder sees them: owned by root.
async fn context(request: &BuildRequest) -> Result<Tree, Stopped> {
    let request = request.clone();
    let files = blocking(move |_stop| Ok(request.files()?)).await?;
    let mut nodes = Vec::with_capacity(files.len());
    for ContextFile { path, relative, mode, metadata } in files {
        let kind = if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_symlink() {
            let unreadable = |source| ImageError::Read { what: path.display().to_string(), source };
            Kind::Link(std::fs::read_link(&path).map_err(unreadable)?)
        } else {
            Kind::File(Content::Host { size: metadata.len(), path })
        };
        let place = relative.iter().map(Into::into).collect();
        nodes.push((place, Node { kind, mode, owner: Owner::default() }));
    }
    Ok(Tree::of(nodes))
}
