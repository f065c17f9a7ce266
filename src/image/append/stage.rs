//! Carries out the instructions of a stage that need no builder.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Stopped;
use super::accounts;
use super::archive::is_archive;
use super::config::Config;
use super::copy::{self, Manner};
use super::tree::{Kind, Node, Owner, Place, Tree, place, text};
use crate::image::dockerfile::parser::Instruction;
use crate::image::dockerfile::stages::{Stages, is_builders_own};
use crate::image::dockerfile::{NotUnderstood, arguments, words};

/// A stage in the making.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) tree: Tree,
    pub(super) config: Config,
    /// What was done, in order.
    pub(super) done: Vec<Done>,
    /// What ARG has set here.
    arguments: BTreeMap<String, String>,
    /// Variables whose value only a builder knows: what ARG has set in stages below, which counts
    /// here for some builders only, or before this stage was taken over.
    doubtful: BTreeSet<String>,
}

/// An instruction that was carried out.
#[derive(Clone, Debug)]
pub(super) struct Done {
    /// As it was written: values of variables may be secrets.
    pub(super) text: String,
    /// The layer it makes, if it makes one: all it wrote, and the directories above.
    pub(super) layer: Option<BTreeMap<Place, Node>>,
}

/// What all stages share.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) escape: char,
    /// Values of ARG that were given.
    pub(super) given: BTreeMap<String, String>,
    /// What ARG before the first stage has set, and what the builder sets by itself.
    pub(super) globals: BTreeMap<String, String>,
}

impl Stage {
    pub(super) fn new(tree: Tree, config: Config) -> Self {
        Self { tree, config, done: Vec::new(), arguments: BTreeMap::new(), doubtful: BTreeSet::new() }
    }

    /// The beginning of a stage that stands on this one.
    pub(super) fn continued(&self) -> Self {
        let mut stage = self.clone();
        stage.doubtful.extend(std::mem::take(&mut stage.arguments).into_keys());
        stage.config.has_command = false;
        stage
    }

    /// Notes that nobody but a builder knows what ARG has set in stage `below`, and under it.
    pub(super) fn doubt(&mut self, stages: &Stages, below: usize) -> Result<(), NotUnderstood> {
        for index in stages.chain(below) {
            for instruction in &stages.stages[index].instructions {
                if instruction.keyword == "ARG" {
                    let declared = arguments::declarations(&instruction.rest, stages.escape)?;
                    self.doubtful.extend(declared.into_iter().map(|(name, _)| name));
                }
            }
        }
        Ok(())
    }

    /// Takes a stage over that somebody else has begun with these instructions.
    pub(super) fn take_over(
        &mut self,
        begun: &[Instruction],
        around: &Surroundings,
    ) -> Result<(), NotUnderstood> {
        for instruction in begun {
            match instruction.keyword.as_str() {
                "CMD" => self.config.has_command = true,
                "ENV" => {
                    for (name, _) in arguments::assignments(&instruction.rest, around.escape)? {
                        // From here on it is what the configuration says.
                        self.arguments.remove(&name);
                        self.doubtful.remove(&name);
                    }
                }
                "ARG" => {
                    for (name, default) in arguments::declarations(&instruction.rest, around.escape)? {
                        let value = match (around.given.get(&name), default) {
                            (Some(value), _) => Some(value.clone()),
                            (None, Some(default)) if default.contains('$') => {
                                self.doubtful.insert(name);
                                continue;
                            }
                            (None, Some(default)) => {
                                Some(words::word(&default, around.escape, &|_| Ok(None))?)
                            }
                            (None, None) => around.globals.get(&name).cloned(),
                        };
                        // What ENV says of it, and when, has to come yet, or never does.
                        if self.config.variable(&name).is_some() || value.is_none() && is_builders_own(&name)
                        {
                            self.doubtful.insert(name);
                        } else if let Some(value) = value {
                            self.arguments.insert(name, value);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Carries out an instruction. `source` is what COPY and ADD take from.
    pub(super) fn carry_out(
        &mut self,
        instruction: &Instruction,
        around: &Surroundings,
        source: &mut Tree,
    ) -> Result<(), Stopped> {
        let layer =
            self.apply(instruction, around, source).map_err(|stopped| stopped.on(instruction.line))?;
        self.done.push(Done { text: instruction.text.clone(), layer });
        Ok(())
    }

    fn apply(
        &mut self,
        instruction: &Instruction,
        around: &Surroundings,
        source: &mut Tree,
    ) -> Result<Option<BTreeMap<Place, Node>>, Stopped> {
        let Instruction { keyword, flags, rest, .. } = instruction;
        let takes_flags = matches!(keyword.as_str(), "COPY" | "ADD" | "HEALTHCHECK");
        if let (false, Some(flag)) = (takes_flags, flags.first()) {
            return Err(NotUnderstood::new(format!("the option `{flag}`")).into());
        }
        if rest.is_empty() {
            return Err(NotUnderstood::new(format!("`{keyword}` without arguments")).into());
        }
        match keyword.as_str() {
            "COPY" | "ADD" => return self.copy(instruction, around, source).map(Some),
            "WORKDIR" => return self.change_directory(&self.resolve(rest, around)?),
            "ARG" => self.declare(rest, around)?,
            "ENV" => {
                for (name, value) in self.assigned(rest, around)? {
                    self.config.set_variable(&name, &value)?;
                }
            }
            "LABEL" => {
                for (name, value) in self.assigned(rest, around)? {
                    self.config.add("Labels", &name, value.into())?;
                }
            }
            "CMD" => self.config.set_command("Cmd", arguments::command(rest)?)?,
            "ENTRYPOINT" => self.config.set_command("Entrypoint", arguments::command(rest)?)?,
            "SHELL" => match arguments::command(rest)? {
                arguments::Command::Words(words) if !words.is_empty() => self.config.set("Shell", words)?,
                _ => return Err(NotUnderstood::new("a SHELL that is no array").into()),
            },
            "USER" => {
                let user = self.resolve(rest, around)?;
                self.config.set("User", user)?;
            }
            "EXPOSE" => {
                let mut ports = Vec::new();
                for word in arguments::list(rest)? {
                    ports.extend(words::words(&word, around.escape, &|name| self.value(name))?);
                }
                self.config.expose(&ports)?;
            }
            "VOLUME" => {
                for volume in arguments::list(rest)? {
                    let volume = self.resolve(volume.trim(), around)?;
                    if volume.is_empty() {
                        return Err(NotUnderstood::new("a VOLUME that comes to nothing").into());
                    }
                    self.config.add("Volumes", &volume, json!({}))?;
                }
            }
            "STOPSIGNAL" => {
                let signal = self.resolve(rest, around)?;
                if !is_signal(&signal) {
                    return Err(NotUnderstood::new(format!("the signal `{signal}`")).into());
                }
                self.config.set("StopSignal", signal)?;
            }
            "HEALTHCHECK" => self.config.set_health_check(flags, rest)?,
            "MAINTAINER" => self.config.set_author(rest)?,
            other => return Err(NotUnderstood::new(format!("`{other}` needs a builder")).into()),
        }
        Ok(None)
    }

    fn resolve(&self, text: &str, around: &Surroundings) -> Result<String, Stopped> {
        Ok(words::word(text, around.escape, &|name| self.value(name))?)
    }

    /// The value of a variable at this point.
    fn value(&self, name: &str) -> Result<Option<String>, NotUnderstood> {
        if self.doubtful.contains(name) {
            return Err(NotUnderstood::new(format!("`{name}`, an ARG of what is below")));
        }
        Ok(self.config.variable(name).or_else(|| self.arguments.get(name).cloned()))
    }

    fn assigned(&self, rest: &str, around: &Surroundings) -> Result<Vec<(String, String)>, Stopped> {
        let mut assigned = Vec::new();
        for (name, value) in arguments::assignments(rest, around.escape)? {
            let (name, value) = (self.resolve(&name, around)?, self.resolve(&value, around)?);
            if name.is_empty() {
                return Err(NotUnderstood::new("a name that comes to nothing").into());
            }
            assigned.push((name, value));
        }
        Ok(assigned)
    }

    fn declare(&mut self, rest: &str, around: &Surroundings) -> Result<(), Stopped> {
        for (name, default) in arguments::declarations(rest, around.escape)? {
            if self.config.variable(&name).is_some() {
                // Which of them counts has changed with the builder's versions.
                return Err(NotUnderstood::new(format!("`{name}` is both ENV and ARG")).into());
            }
            let value = match (around.given.get(&name), default) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(default)) => Some(self.resolve(&default, around)?),
                (None, None) => around.globals.get(&name).cloned(),
            };
            match value {
                Some(value) => {
                    self.doubtful.remove(&name);
                    self.arguments.insert(name, value);
                }
                None if is_builders_own(&name) => {
                    return Err(NotUnderstood::new(format!("the builder's own `{name}`")).into());
                }
                None => {}
            }
        }
        Ok(())
    }

    fn change_directory(&mut self, path: &str) -> Result<Option<BTreeMap<Place, Node>>, Stopped> {
        if path.starts_with('/') && text(&place(path)) != path {
            // Builders differ in whether it is tidied.
            return Err(NotUnderstood::new(format!("the path `{path}`")).into());
        }
        let directory = self.absolute(path);
        self.config.set("WorkingDir", text(&directory))?;
        let real = self.tree.real(&directory)?;
        if self.tree.get(&real)?.is_some_and(|node| node.is_directory()) {
            // It does not matter whose it would be.
            return Ok(None);
        }
        let owner = match self.config.text("User").to_owned() {
            user if user.is_empty() => Owner::default(),
            user => owner(&mut self.tree, &user)?,
        };
        let written = copy::make_directory(&mut self.tree, &directory, owner)?;
        if written.is_empty() {
            return Ok(None);
        }
        self.layer(written).map(Some)
    }

    /// Where a path leads that may start at the working directory.
    fn absolute(&self, path: &str) -> Place {
        match path.starts_with('/') {
            true => place(path),
            false => place(&format!("{}/{path}", self.config.text("WorkingDir"))),
        }
    }

    fn copy(
        &mut self,
        instruction: &Instruction,
        around: &Surroundings,
        source: &mut Tree,
    ) -> Result<BTreeMap<Place, Node>, Stopped> {
        let is_add = instruction.keyword == "ADD";
        let (mut manner, mut chown, mut linked) = (Manner::default(), None, false);
        for flag in &instruction.flags {
            let bad = || NotUnderstood::new(format!("the option `{flag}`"));
            match flag.split_once('=').unwrap_or((flag, "")) {
                ("--from", from) if !from.is_empty() && !is_add => {}
                ("--chown", user) => chown = Some(self.resolve(user, around)?),
                ("--chmod", mode) => {
                    let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777);
                    manner.mode = Some(mode.ok_or_else(bad)?);
                }
                ("--link", "" | "true") => linked = true,
                ("--link", "false") => {}
                _ => return Err(bad().into()),
            }
        }
        if let Some(user) = chown {
            // Beside everything else there are no lists of names.
            let mut nothing = Tree::empty();
            manner.owner = Some(owner(if linked { &mut nothing } else { &mut self.tree }, &user)?);
        }
        let mut paths = Vec::new();
        for word in arguments::list(&instruction.rest)? {
            paths.push(self.resolve(&word, around)?);
        }
        let Some((destination, sources)) = paths.split_last().filter(|(_, sources)| !sources.is_empty())
        else {
            return Err(NotUnderstood::new("a source without a destination").into());
        };
        if let Some(remote) = sources.iter().find(|path| is_remote(path)) {
            return Err(NotUnderstood::new(format!("`{remote}` is not a file of the context")).into());
        }
        if destination.ends_with("/.") || destination.ends_with("..") || destination.contains('\\') {
            return Err(NotUnderstood::new(format!("the destination `{destination}`")).into());
        }
        let is_directory = matches!(destination.as_str(), "" | ".") || destination.ends_with('/');
        if sources.len() > 1 && !is_directory {
            return Err(NotUnderstood::new("several sources for a destination without `/` at its end").into());
        }
        let destination = self.absolute(destination);
        let found = copy::sources(source, sources)?;
        if is_add {
            for found in &found {
                let real = source.real(found)?;
                if let Some(Node { kind: Kind::File(content), .. }) = source.get(&real)?
                    && is_archive(&content)?
                {
                    return Err(NotUnderstood::new(format!("`{}` may be an archive", text(found))).into());
                }
            }
        }
        if linked {
            return self.copy_beside(source, &found, &destination, is_directory, manner);
        }
        let written = copy::copy(source, &found, &mut self.tree, &destination, is_directory, manner)?;
        self.layer(written)
    }

    /// `--link`: copies as if there was nothing, and lays the result over what there is.
    fn copy_beside(
        &mut self,
        source: &mut Tree,
        found: &[Place],
        destination: &Place,
        is_directory: bool,
        manner: Manner,
    ) -> Result<BTreeMap<Place, Node>, Stopped> {
        let mut beside = Tree::empty();
        let written = copy::copy(source, found, &mut beside, destination, is_directory, manner)?;
        let mut layer = BTreeMap::new();
        for place in written {
            let Some(node) = beside.get(&place)? else { continue };
            if let Some(there) = self.tree.get(&place)?
                && there.is_directory() != node.is_directory()
            {
                return Err(NotUnderstood::new(format!("`--link` replaces `{}`", text(&place))).into());
            }
            self.tree.put(place.clone(), node.clone());
            layer.insert(place, node);
        }
        Ok(layer)
    }

    /// What was written, with the directories above: Lambda wants an entry for each.
    fn layer(&mut self, written: BTreeSet<Place>) -> Result<BTreeMap<Place, Node>, Stopped> {
        let mut layer = BTreeMap::new();
        for place in written {
            for depth in 1..=place.len() {
                let place = &place[..depth];
                if layer.contains_key(place) {
                    continue;
                }
                if let Some(node) = self.tree.get(&place.to_vec())? {
                    layer.insert(place.to_vec(), node);
                }
            }
        }
        Ok(layer)
    }

    /// The program that is started, as far as it is written out.
    pub(super) fn program(&self) -> Option<String> {
        let word = |key: &str| self.config.document["config"][key].get(0).and_then(Value::as_str);
        word("Entrypoint").or_else(|| word("Cmd")).map(str::to_owned)
    }
}

/// Reads `--chown` and USER: numbers, and names that the image lists. The group of a name is the
/// one it is listed with, that of a number the number.
/// <https://docs.docker.com/reference/dockerfile/#copy---chown---chmod>
fn owner(tree: &mut Tree, text: &str) -> Result<Owner, Stopped> {
    let unknown = || NotUnderstood::new(format!("the name of a user or group in `{text}`"));
    let number = |name: &str| match name {
        "root" => Some(0),
        _ => name.parse::<u64>().ok().filter(|id| i32::try_from(*id).is_ok() && !name.starts_with('+')),
    };
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let mut owner = match number(user) {
        Some(id) => Owner { user: id, group: id },
        None => accounts::user(tree, user)?.ok_or_else(unknown)?,
    };
    if let Some(group) = group {
        owner.group = match number(group) {
            Some(id) => id,
            None => accounts::group(tree, group)?.ok_or_else(unknown)?,
        };
    }
    Ok(owner)
}

fn is_remote(source: &str) -> bool {
    source.contains("://")
        || source.starts_with("git@")
        || source.ends_with(".git")
        || source.contains(".git#")
}

fn is_signal(text: &str) -> bool {
    const NAMES: [&str; 14] = [
        "HUP", "INT", "QUIT", "ABRT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP", "TSTP", "WINCH",
        "ALRM", "PIPE",
    ];
    let is_number = || text.parse::<u8>().is_ok_and(|number| (1..=31).contains(&number));
    is_number() || text.strip_prefix("SIG").is_some_and(|name| NAMES.contains(&name))
}
