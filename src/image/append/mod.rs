//! Dockerfiles without a builder: what their instructions copy becomes layers here, the same
//! bytes on every machine. Called by the pipeline, which takes a builder where this gives up.
//!
//! The rules are BuildKit's, to the letter. Whatever is not certain, because it takes a builder,
//! because builders differ in it, or because something about the base is not known, makes the
//! image [`Stopped::Unfit`]. Nothing has been written then.

mod archive;
mod base;
mod config;
mod content;
mod copy;
mod glob;
mod layer;
mod stage;
mod tree;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, json};

use self::config::Config;
use self::content::Content;
use self::stage::{Done, Stage, Surroundings};
use self::tree::{Kind, Node, Owner, Tree, place};
use super::dockerfile::parser::Dockerfile;
use super::dockerfile::stages::{Base, Stages};
use super::document::{add_history, add_layers, created, object};
use super::elf::{HEADER, Machine};
use super::seal::oci_image;
use super::work::{Progress, blocking};
use super::{Image, ImageError, Layer};
use crate::domain::manifest::{ImageConfig, MediaType};
use crate::domain::platform::Architecture;
use crate::domain::reference::ImageReference;
use crate::domain::secret::Secret;
use crate::event::SharedReporter;
use crate::services::docker::{BuildRequest, ContextFile, DockerError};

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

/// Where base images come from.
pub trait Images: Sync {
    /// Reads the image of that name, without its layers; why it cannot, in one line.
    fn read(
        &self,
        reference: &ImageReference,
        architecture: Option<Architecture>,
    ) -> impl Future<Output = Result<Image, String>> + Send;

    /// A directory for what is worth remembering of base images; it may be lost at any time.
    fn memory(&self) -> Option<PathBuf>;
}

/// Makes the image of a Dockerfile; every time in it is 1970.
pub async fn build(
    request: &BuildRequest,
    images: &impl Images,
    reporter: &SharedReporter,
) -> Result<Image, Stopped> {
    let text = read_text(request).await?;
    let given: BTreeMap<String, String> =
        request.args.iter().map(|(name, value)| (name.clone(), Secret::expose(value).to_owned())).collect();
    if let Some(name) =
        given.keys().find(|name| name.starts_with("BUILDKIT_") || *name == "SOURCE_DATE_EPOCH")
    {
        return Err(NotUnderstood::new(format!("the ARG `{name}`")).into());
    }
    let platform = platform_arguments(request.architecture);
    let stages = Stages::of(Dockerfile::parse(&text)?, &given, &platform)?;
    let target = stages.target(request.target.as_deref())?;
    let needed = stages.needed(target)?;
    for index in &needed {
        check(&stages, *index, request.architecture)?;
    }
    let mut starts = BTreeMap::new();
    for (name, line) in stages.images(&needed)? {
        if let Entry::Vacant(missing) = starts.entry(name) {
            let start = start(missing.key(), request, images, reporter).await;
            missing.insert(start.map_err(|stopped| stopped.on(line))?);
        }
    }
    let around = Surroundings {
        escape: stages.escape,
        given,
        globals: platform.into_iter().chain(stages.globals.clone()).collect(),
    };
    let context = if copies_from_context(&stages, &needed) { context(request).await? } else { Tree::empty() };
    let work = Work { stages, around, starts, context, architecture: request.architecture };
    let reporter = reporter.clone();
    let mut finished = blocking(move |_stop| Ok(work.finish(target))).await??;
    let layers = finished.done.iter_mut().filter_map(|done| done.layer.as_mut());
    base::take_out(layers.flat_map(BTreeMap::values_mut).collect(), &reporter).await?;
    let made = blocking(move |stop| {
        let layers = || finished.done.iter().filter_map(|done| done.layer.as_ref());
        let size = layers().map(layer::size).sum();
        let mut progress = Progress::new("compressing", Some(size), &reporter);
        let written = layers().map(|nodes| layer::write(nodes, 0, &mut progress, &stop));
        let written = written.collect::<Result<Vec<_>, _>>()?;
        finished.image(written)
    });
    Ok(made.await?)
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

/// Finds what needs a builder before anything is read.
fn check(stages: &Stages, index: usize, architecture: Option<Architecture>) -> Result<(), NotUnderstood> {
    let stage = &stages.stages[index];
    if let Some(platform) = &stage.platform {
        let wanted = architecture.map(|architecture| format!("linux/{}", architecture.oci()));
        if wanted.as_ref() != Some(platform) {
            return Err(NotUnderstood::new(format!("the platform `{platform}`")).on(stage.line));
        }
    }
    let is_foreign = |keyword: &str| matches!(keyword, "RUN" | "ONBUILD");
    match stage.instructions.iter().find(|instruction| is_foreign(&instruction.keyword)) {
        Some(foreign) => {
            Err(NotUnderstood::new(format!("`{}` needs a builder", foreign.keyword)).on(foreign.line))
        }
        None => Ok(()),
    }
}

fn copies_from_context(stages: &Stages, needed: &BTreeSet<usize>) -> bool {
    let instructions = needed.iter().flat_map(|index| &stages.stages[*index].instructions);
    instructions
        .filter(|instruction| matches!(instruction.keyword.as_str(), "COPY" | "ADD"))
        .any(|instruction| !instruction.flags.iter().any(|flag| flag.starts_with("--from=")))
}

/// What an image gives a stage to start with.
#[derive(Clone, Debug)]
struct Start {
    tree: Tree,
    image: Image,
}

async fn start(
    name: &str,
    request: &BuildRequest,
    images: &impl Images,
    reporter: &SharedReporter,
) -> Result<Start, Stopped> {
    let unreadable = |why: String| NotUnderstood::new(format!("`{name}` cannot be read: {why}"));
    let reference = ImageReference::parse_familiar(name).map_err(|error| unreadable(error.to_string()))?;
    let image = images.read(&reference, request.architecture).await.map_err(unreadable)?;
    let (tree, image) = base::files(image, images.memory().as_deref(), reporter).await?;
    Ok(Start { tree, image })
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

/// All that is needed to carry stages out.
struct Work {
    stages: Stages,
    around: Surroundings,
    /// By the images' names.
    starts: BTreeMap<String, Start>,
    context: Tree,
    architecture: Option<Architecture>,
}

impl Work {
    fn finish(mut self, target: usize) -> Result<Finished, Stopped> {
        let mut stage = self.stage(target)?;
        let base = match &self.stages.stages[self.stages.chain(target)[0]].base {
            Base::Image(name) => self.starts.remove(name).map(|start| start.image),
            _ => None,
        };
        let architecture = match (self.architecture, &base) {
            (Some(architecture), _) => Some(architecture),
            (None, Some(base)) => Architecture::from_oci(&base.config.platform().architecture),
            (None, None) => machine(&mut stage)?.or_else(Architecture::of_this_machine),
        };
        let architecture = architecture.ok_or(ImageError::UnknownArchitecture)?;
        for done in &mut stage.done {
            // An instruction that changed nothing makes no layer.
            done.layer = done.layer.take().filter(|nodes| !nodes.is_empty());
        }
        Ok(Finished { base, config: stage.config, done: stage.done, architecture })
    }

    fn stage(&mut self, index: usize) -> Result<Stage, Stopped> {
        let definition = self.stages.stages[index].clone();
        let mut stage = match definition.base {
            Base::Scratch => Stage::new(Tree::empty(), Config::new(config::empty())),
            Base::Stage(below) => self.stage(below)?.continued(),
            Base::Image(name) => {
                let start = self.started(&name)?;
                let config = Config::new(start.image.config.document.clone());
                if config.has_triggers() {
                    let what = NotUnderstood::new(format!("`{name}` has ONBUILD instructions"));
                    return Err(what.on(definition.line).into());
                }
                Stage::new(start.tree.clone(), config)
            }
        };
        for instruction in &definition.instructions {
            let mut source = match self.stages.copied_from(instruction, index)? {
                None => std::mem::replace(&mut self.context, Tree::empty()),
                Some(Base::Stage(from)) => self.stage(from)?.tree,
                Some(Base::Scratch) => Tree::empty(),
                Some(Base::Image(name)) => self.started(&name)?.tree.clone(),
            };
            let carried_out = stage.carry_out(instruction, &self.around, &mut source);
            if self.stages.copied_from(instruction, index)?.is_none() {
                self.context = source;
            }
            carried_out?;
        }
        Ok(stage)
    }

    fn started(&self, name: &str) -> Result<&Start, NotUnderstood> {
        self.starts.get(name).ok_or_else(|| NotUnderstood::new(format!("`{name}` was not read")))
    }
}

/// The machine of the program that is started, else of the first program there is.
fn machine(stage: &mut Stage) -> Result<Option<Architecture>, Stopped> {
    let mut candidates = Vec::new();
    if let Some(program) = stage.program() {
        let real = stage.tree.real(&place(&program))?;
        candidates.extend(stage.tree.get(&real)?);
    }
    let layers = stage.done.iter().filter_map(|done| done.layer.as_ref());
    candidates.extend(layers.flat_map(BTreeMap::values).cloned());
    for node in candidates {
        if let Kind::File(Content::Host { path, .. }) = &node.kind
            && let Some(Machine::Known(architecture)) = machine_of(path)
        {
            return Ok(Some(architecture));
        }
    }
    Ok(None)
}

fn machine_of(path: &Path) -> Option<Machine> {
    let mut start = Vec::with_capacity(HEADER);
    File::open(path).ok()?.take(HEADER as u64).read_to_end(&mut start).ok()?;
    Machine::of(&start)
}

/// A stage that is done, before its layers are written.
struct Finished {
    base: Option<Image>,
    config: Config,
    done: Vec<Done>,
    architecture: Architecture,
}

impl Finished {
    fn image(self, made: Vec<super::gzip::GzipLayer>) -> Result<Image, ImageError> {
        let created = created(0)?;
        let mut document = self.config.document;
        let root = object(&mut document)?;
        root.insert("created".to_owned(), created.clone().into());
        root.insert("architecture".to_owned(), self.architecture.oci().into());
        let history = self.done.iter().map(|done| {
            let mut entry = Map::new();
            entry.insert("created".to_owned(), created.clone().into());
            entry.insert("created_by".to_owned(), done.text.clone().into());
            entry.insert("comment".to_owned(), "lambdactl".into());
            if done.layer.is_none() {
                entry.insert("empty_layer".to_owned(), true.into());
            }
            json!(entry)
        });
        add_history(root, history)?;
        add_layers(root, &made)?;
        let mut layers = self.base.map(|base| base.layers).unwrap_or_default();
        for layer in &mut layers {
            // The same bytes under the name of the manifest's family.
            layer.descriptor.media_type = MediaType::OciLayerGzip;
        }
        layers.extend(
            made.into_iter().map(|layer| Layer { descriptor: layer.descriptor(), source: layer.source }),
        );
        let config_bytes = document.to_string().into_bytes().into();
        Ok(oci_image(config_bytes, ImageConfig { document }, layers))
    }
}
