//! What stages start from: images of registries, and what an engine has or builds.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use serde_json::Value;

use super::asked::{Asked, Source};
use super::base::{Asking, Sources};
use super::engine::{Building, Files};
use super::plan::Plan;
use super::tree::Tree;
use super::{Images, NotUnderstood, Stopped};
use crate::domain::digest::Digest;
use crate::domain::reference::ImageReference;
use crate::event::SharedReporter;
use crate::image::dockerfile::stages::Stages;
use crate::image::{Image, ImageError};
use crate::services::docker::{BuildRequest, DockerEngine, ImageFiles};

/// What is started from, or copied from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// An image, by the name in the Dockerfile.
    Image(String),
    /// The beginning of a stage, up to its last RUN.
    Beginning(usize),
    /// A whole stage, for its files only.
    Stage(usize),
}

/// What is known of it.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) tree: Tree,
    /// Its configuration and layers, where a stage starts from it.
    pub(super) image: Option<Image>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Starts {
    pub(super) started: BTreeMap<Key, Start>,
    opened: Vec<Arc<ImageFiles>>,
    /// By the name of the image.
    asked: BTreeMap<String, Arc<Asked>>,
}

impl Starts {
    /// Reads and builds everything a plan needs.
    pub(super) async fn gather(
        &mut self,
        plan: &Plan,
        stages: &Stages,
        dockerfile: &str,
        request: &BuildRequest,
        images: &impl Images,
        reporter: &SharedReporter,
    ) -> Result<(), Stopped> {
        let needs_builder = || NotUnderstood::new("`RUN` needs a builder").on(plan.line(stages));
        let engine = match plan.needs_engine() {
            true => Some(images.engine(request).await.ok_or_else(needs_builder)?),
            false => None,
        };
        if let Some((engine, _)) = &engine {
            must_tell_owners(engine).map_err(|what| what.on(plan.line(stages)))?;
        }
        for (name, line, is_base) in plan.images(stages)? {
            if let Entry::Occupied(there) = self.started.entry(Key::Image(name.clone()))
                && (there.get().image.is_some() || !is_base)
            {
                continue;
            }
            let start = self.image(&name, is_base, request, images, reporter).await;
            self.started.insert(Key::Image(name), start.map_err(|stopped| stopped.on(line))?);
        }
        let Some((engine, request)) = &engine else { return Ok(()) };
        let building = Building { engine, request, dockerfile, stages, reporter };
        for (&index, &last) in &plan.resumed {
            let id = building.until(index, last).await?;
            let image = images.export(engine, &id.to_string(), request.architecture).await?;
            let tree = Tree::exploring(Arc::new(self.open(engine, id)));
            self.started.insert(Key::Beginning(index), Start { tree, image: Some(image) });
        }
        for &index in &plan.built {
            let id = building.whole(index).await?;
            let tree = Tree::exploring(Arc::new(self.open(engine, id)));
            self.started.insert(Key::Stage(index), Start { tree, image: None });
        }
        Ok(())
    }

    /// An image of its registry, or of the engine if it is only there.
    async fn image(
        &mut self,
        name: &str,
        is_base: bool,
        request: &BuildRequest,
        images: &impl Images,
        reporter: &SharedReporter,
    ) -> Result<Start, Stopped> {
        let unreadable = |why: String| NotUnderstood::new(format!("`{name}` cannot be read: {why}"));
        let reference =
            ImageReference::parse_familiar(name).map_err(|error| unreadable(error.to_string()))?;
        let why = match images.read(&reference, request.architecture).await {
            Ok(image) => {
                // What is copied from has to be listed in any case.
                let asking = if is_base { Asking::Memory } else { Asking::Lists };
                return Ok(self.listed(name, &reference, image, asking, images, reporter).await?);
            }
            Err(why) => why,
        };
        let Some((engine, _)) = images.engine(request).await else { return Err(unreadable(why).into()) };
        let Some(found) = engine.inspect(name).await? else { return Err(unreadable(why).into()) };
        if request.architecture.is_some_and(|wanted| !found.platform.runs_on(wanted)) {
            return Err(unreadable(format!("{why}, and the engine's is for {}", found.platform)).into());
        }
        if found.has_volumes {
            // Containers have them in any case.
            return Err(unreadable(format!("{why}, and the engine's has volumes")).into());
        }
        must_tell_owners(&engine)?;
        let files = self.open(&engine, found.id);
        if !is_base {
            return Ok(Start { tree: Tree::exploring(Arc::new(files)), image: None });
        }
        let image = images.export(&engine, &found.id.to_string(), request.architecture).await?;
        let files = Arc::new(Asked::of(Source::Engine(files), &image, images.memory()));
        self.asked.insert(name.to_owned(), files.clone());
        Ok(Start { tree: Tree::exploring(files), image: Some(image) })
    }

    /// An image of a registry, with its files.
    async fn listed(
        &mut self,
        name: &str,
        reference: &ImageReference,
        image: Image,
        asking: Asking,
        images: &impl Images,
        reporter: &SharedReporter,
    ) -> Result<Start, ImageError> {
        let (lists, memory) = (images.lists(), images.memory());
        let (kept, known) = (images.kept(reference), images.known());
        let base = Sources { lists, memory, kept, known, reporter }.files(image, asking).await?;
        self.opened.extend(base.opened);
        self.asked.insert(name.to_owned(), base.files.clone());
        Ok(Start { tree: Tree::exploring(base.files), image: Some(base.image) })
    }

    /// Finds out more about base images where the files that were asked for were not all that was
    /// needed; tells whether there is more now.
    pub(super) async fn explore(
        &mut self,
        images: &impl Images,
        reporter: &SharedReporter,
    ) -> Result<bool, Stopped> {
        let next = |(name, asked): (&String, &Arc<Asked>)| Some((name.clone(), asked.next()?));
        let open: Vec<(String, Asking)> = self.asked.iter().filter_map(next).collect();
        for (name, asking) in &open {
            if let Some(asked) = self.asked.remove(name) {
                asked.save();
            }
            let Some(Start { image: Some(image), .. }) = self.started.get(&Key::Image(name.clone())) else {
                return Ok(false);
            };
            let unreadable = |error| NotUnderstood::new(format!("`{name}` cannot be read: {error}"));
            let reference = ImageReference::parse_familiar(name).map_err(unreadable)?;
            let start = self.listed(name, &reference, image.clone(), *asking, images, reporter).await?;
            self.started.insert(Key::Image(name.clone()), start);
        }
        Ok(!open.is_empty())
    }

    /// What was asked of an image that a stage starts from, to be noted in what is made of it.
    pub(super) fn note(&self, base: &Key) -> Option<Value> {
        match base {
            Key::Image(name) => self.asked.get(name)?.note(),
            Key::Beginning(_) | Key::Stage(_) => None,
        }
    }

    /// The files of an image of the engine.
    fn open(&mut self, engine: &DockerEngine, id: Digest) -> Files {
        let files = Arc::new(engine.files(id));
        self.opened.push(files.clone());
        Files::new(files)
    }

    /// Gives back what engines keep for this, and remembers what was asked.
    pub(super) fn close(&self) {
        for files in &self.opened {
            files.close();
        }
        for asked in self.asked.values() {
            asked.save();
        }
    }
}

impl Drop for Starts {
    fn drop(&mut self) {
        // Somebody may still be looking up files, on another thread.
        self.close();
    }
}

/// Leaves to Podman what would need the owners of its files.
fn must_tell_owners(engine: &DockerEngine) -> Result<(), NotUnderstood> {
    match engine.is_docker() {
        true => Ok(()),
        false => Err(NotUnderstood::new("the engine is Podman, which does not tell whose files are")),
    }
}
