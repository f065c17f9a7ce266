//! What stages start from: images of registries, and what an engine has or builds.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use serde_json::Value;

use super::asked::Asked;
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
            let tree = self.open(engine, id);
            self.started.insert(Key::Beginning(index), Start { tree, image: Some(image) });
        }
        for &index in &plan.built {
            let id = building.whole(index).await?;
            let tree = self.open(engine, id);
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
                // What is copied from has to be read in any case.
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
        let image = match is_base {
            true => Some(images.export(&engine, &found.id.to_string(), request.architecture).await?),
            false => None,
        };
        Ok(Start { tree: self.open(&engine, found.id), image })
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
        let (lists, memory) = (images.memory(), images.memo());
        let (kept, known) = (images.kept(reference), images.known());
        let base = Sources { lists, memory, kept, known, reporter }.files(image, asking).await?;
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
        let (given_up, asked) =
            std::mem::take(&mut self.asked).into_iter().partition(|(_, asked)| asked.has_given_up());
        let given_up: BTreeMap<String, Arc<Asked>> = given_up;
        self.asked = asked;
        for (name, asked) in &given_up {
            asked.close().await;
            let Some(start) = self.started.get(&Key::Image(name.clone())) else { continue };
            let (Some(image), Ok(reference)) = (start.image.clone(), ImageReference::parse_familiar(name))
            else {
                continue;
            };
            let asking = if asked.asks() { Asking::Lists } else { Asking::Engine };
            let start = self.listed(name, &reference, image, asking, images, reporter).await?;
            self.started.insert(Key::Image(name.clone()), start);
        }
        Ok(!given_up.is_empty())
    }

    /// What was asked of an image that a stage starts from, to be noted in what is made of it.
    pub(super) fn note(&self, base: &Key) -> Option<Value> {
        match base {
            Key::Image(name) => self.asked.get(name)?.note(),
            Key::Beginning(_) | Key::Stage(_) => None,
        }
    }

    /// An image of the engine.
    fn open(&mut self, engine: &DockerEngine, id: Digest) -> Tree {
        let files = Arc::new(engine.files(id));
        self.opened.push(files.clone());
        Tree::exploring(Arc::new(Files::new(files)))
    }

    /// Gives back what the engine keeps for this.
    pub(super) async fn close(&self) {
        for files in &self.opened {
            files.close().await;
        }
        for asked in self.asked.values() {
            asked.close().await;
        }
    }
}

impl Drop for Starts {
    fn drop(&mut self) {
        // Whoever is looking up files on another thread keeps them meanwhile.
        for files in &self.opened {
            files.abandon();
        }
        for asked in self.asked.values() {
            asked.abandon();
        }
    }
}
