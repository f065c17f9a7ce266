//! Carries the stages of a plan out, and makes the image of the last.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::asked::NOTE;
use super::config::{self, Config};
use super::content::Content;
use super::plan::Plan;
use super::stage::{Done, Stage, Surroundings};
use super::start::{Key, Start};
use super::tree::{Kind, Node, Place, Tree, place};
use super::{NotUnderstood, Stopped};
use crate::domain::manifest::{ImageConfig, MediaType};
use crate::domain::platform::Architecture;
use crate::image::dockerfile::stages::{Base, Stages};
use crate::image::document::{add_history, add_layers, created, object};
use crate::image::elf::{HEADER, Machine};
use crate::image::gzip::GzipLayer;
use crate::image::seal::oci_image;
use crate::image::{Image, ImageError, Layer};

/// All that is needed to carry stages out.
pub(super) struct Work {
    pub(super) stages: Stages,
    pub(super) plan: Plan,
    pub(super) around: Surroundings,
    pub(super) starts: BTreeMap<Key, Start>,
    /// The files of the context.
    pub(super) context: Tree,
    pub(super) architecture: Option<Architecture>,
}

impl Work {
    /// Carries the stage `target` out, and all it is made of.
    pub(super) fn finish(&mut self, target: usize) -> Result<Finished, Stopped> {
        let mut stage = self.stage(target)?;
        let stands_on = self.lowest(target);
        let base = stands_on.as_ref().and_then(|key| self.starts.get(key)?.image.clone());
        let architecture = match (self.architecture, &base) {
            (Some(architecture), _) => Some(architecture),
            (None, Some(base)) => Architecture::from_oci(&base.config.platform().architecture),
            (None, None) => machine(&mut stage)?.or_else(Architecture::of_this_machine),
        };
        let architecture = architecture.ok_or(ImageError::UnknownArchitecture)?;
        for done in &mut stage.done {
            // An instruction that changed nothing makes no layer.
            done.layer = done.layer.take().filter(|nodes| !nodes.is_empty());
            for node in done.layer.iter().flat_map(BTreeMap::values) {
                if let Kind::File(Content::Unread(unread)) = &node.kind {
                    return Err(unread.want());
                }
            }
        }
        Ok(Finished { stands_on, base, config: stage.config, done: stage.done, architecture, note: None })
    }

    /// What the layers of a stage begin with.
    fn lowest(&self, index: usize) -> Option<Key> {
        if self.plan.resumed.contains_key(&index) {
            return Some(Key::Beginning(index));
        }
        match &self.stages.stages[index].base {
            Base::Scratch => None,
            Base::Stage(below) => self.lowest(*below),
            Base::Image(name) => Some(Key::Image(name.clone())),
        }
    }

    fn stage(&mut self, index: usize) -> Result<Stage, Stopped> {
        let definition = self.stages.stages[index].clone();
        let mut stage = match (self.plan.resumed.get(&index), definition.base) {
            (Some(last), base) => {
                let mut stage = self.started(&Key::Beginning(index))?;
                if let Base::Stage(below) = base {
                    stage.doubt(&self.stages, below)?;
                }
                stage.take_over(&definition.instructions[..=*last], &self.around)?;
                stage
            }
            (None, Base::Scratch) => Stage::new(Tree::empty(), Config::new(config::empty())),
            (None, Base::Stage(below)) => self.stage(below)?.continued(),
            (None, Base::Image(name)) => {
                let stage = self.started(&Key::Image(name.clone()))?;
                if stage.config.has_triggers() {
                    let what = NotUnderstood::new(format!("`{name}` has ONBUILD instructions"));
                    return Err(what.on(definition.line).into());
                }
                stage
            }
        };
        for instruction in self.plan.instructions(&self.stages, index).to_vec() {
            let mut source = match self.stages.copied_from(&instruction, index)? {
                None => std::mem::take(&mut self.context),
                Some(Base::Scratch) => Tree::empty(),
                Some(Base::Image(name)) => self.files(&Key::Image(name))?,
                Some(Base::Stage(from)) if self.plan.built.contains(&from) => {
                    self.files(&Key::Stage(from))?
                }
                Some(Base::Stage(from)) => self.stage(from)?.tree,
            };
            let carried_out = stage.carry_out(&instruction, &self.around, &mut source);
            if self.stages.copied_from(&instruction, index)?.is_none() {
                self.context = source;
            }
            carried_out?;
        }
        Ok(stage)
    }

    fn files(&self, key: &Key) -> Result<Tree, NotUnderstood> {
        match self.starts.get(key) {
            Some(start) => Ok(start.tree.clone()),
            None => Err(NotUnderstood::new("what was not read")),
        }
    }

    fn started(&self, key: &Key) -> Result<Stage, NotUnderstood> {
        match self.starts.get(key) {
            Some(Start { tree, image: Some(image) }) => {
                Ok(Stage::new(tree.clone(), Config::new(image.config.document.clone())))
            }
            _ => Err(NotUnderstood::new("what was not read")),
        }
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
pub(super) struct Finished {
    /// What its layers begin with.
    pub(super) stands_on: Option<Key>,
    /// What is to be noted of that.
    pub(super) note: Option<Value>,
    base: Option<Image>,
    config: Config,
    done: Vec<Done>,
    architecture: Architecture,
}

impl Finished {
    /// What each layer that is to be made has in it.
    pub(super) fn layers(&self) -> impl Iterator<Item = &BTreeMap<Place, Node>> {
        self.done.iter().filter_map(|done| done.layer.as_ref())
    }

    /// The same, to be changed.
    pub(super) fn layers_mut(&mut self) -> impl Iterator<Item = &mut BTreeMap<Place, Node>> {
        self.done.iter_mut().filter_map(|done| done.layer.as_mut())
    }

    /// The image, with the layers that were made for what was done.
    pub(super) fn image(&self, made: &[GzipLayer], epoch: u64) -> Result<Image, ImageError> {
        let created = created(epoch)?;
        let mut document = self.config.document.clone();
        let root = object(&mut document)?;
        // That of the base is about another one.
        root.remove(NOTE);
        root.extend(self.note.clone().map(|note| (NOTE.to_owned(), note)));
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
        add_layers(root, made)?;
        let mut layers = self.base.as_ref().map(|base| base.layers.clone()).unwrap_or_default();
        for layer in &mut layers {
            // The same bytes under the name of the manifest's family.
            layer.descriptor.media_type = MediaType::OciLayerGzip;
        }
        layers.extend(
            made.iter().map(|layer| Layer { descriptor: layer.descriptor(), source: layer.source.clone() }),
        );
        let config_bytes = document.to_string().into_bytes().into();
        Ok(oci_image(config_bytes, ImageConfig { document }, layers))
    }
}
