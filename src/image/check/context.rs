//! What every rule asks: the files of the image, what is started and how, and where to point.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::files::{LayerFiles, normal};
use super::tree::{Lookup, Node, Tree};
use super::{Laid, VARIABLES, Wanted};
use crate::domain::digest::DiffId;
use crate::domain::finding::Place;
use crate::domain::platform::Architecture;
use crate::image::Image;

/// Where programs are looked for besides the image's own PATH: what engines and Lambda take where
/// it sets none. Looking in more places finds less to complain about.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin";

/// An image and everything that is known about it.
pub(super) struct Context<'a> {
    pub(super) image: &'a Image,
    pub(super) wanted: &'a Wanted,
    pub(super) layers: &'a [Option<Arc<LayerFiles>>],
    pub(super) tree: &'a Tree,
    pub(super) architecture: Option<Architecture>,
    /// The words the function is started with.
    pub(super) words: Vec<Word>,
    pub(super) working_directory: String,
    environment: BTreeMap<String, String>,
    diff_ids: Vec<DiffId>,
}

/// A word of the command line, and what it comes from.
pub(super) struct Word {
    pub(super) text: String,
    pub(super) field: &'static str,
}

impl<'a> Context<'a> {
    pub(super) fn new(image: &'a Image, wanted: &'a Wanted, laid: &'a Laid) -> Self {
        let overrides = &wanted.overrides;
        let chosen = |own: &[String], ours: &'static str, key: &str, theirs: &'static str| {
            let (texts, field) =
                if own.is_empty() { (image.config.words(key), theirs) } else { (own.to_vec(), ours) };
            texts.into_iter().map(move |text| Word { text, field })
        };
        let entry_point = chosen(
            &overrides.entry_point,
            "function.image_config.entry_point",
            "Entrypoint",
            "config.Entrypoint",
        );
        let command = chosen(&overrides.command, "function.image_config.command", "Cmd", "config.Cmd");
        let mut environment: BTreeMap<String, String> = BTreeMap::new();
        for variable in image.config.words("Env") {
            if let Some((name, value)) = variable.split_once('=')
                && VARIABLES.contains(&name)
            {
                environment.insert(name.to_owned(), value.to_owned());
            }
        }
        environment.extend(wanted.environment.clone());
        let own_directory = image.config.document["config"]["WorkingDir"].as_str().unwrap_or_default();
        let directory = overrides.working_directory.as_deref().unwrap_or(own_directory);
        Self {
            image,
            wanted,
            layers: &laid.layers,
            tree: &laid.tree,
            architecture: Architecture::from_oci(&image.config.platform().architecture),
            words: entry_point.chain(command).collect(),
            working_directory: format!("/{}", normal(directory)),
            environment,
            diff_ids: image.config.diff_ids().unwrap_or_default(),
        }
    }

    /// The value of one of [`VARIABLES`] in the function.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A directory that AWS base images name in a variable.
    pub(super) fn directory(&self, variable: &str, usual: &'static str) -> String {
        format!("/{}", normal(self.variable(variable).unwrap_or(usual)))
    }

    /// The directories code is looked for in: where the function works, and where AWS puts it.
    pub(super) fn code_directories(&self) -> [String; 2] {
        [self.working_directory.clone(), self.directory("LAMBDA_TASK_ROOT", "/var/task")]
    }

    /// The directories programs without a path are looked for in.
    pub(super) fn search_path(&self) -> impl Iterator<Item = &str> {
        let own = self.variable("PATH").unwrap_or_default();
        own.split(':').chain(USUAL_PATH.split(':')).filter(|directory| !directory.is_empty())
    }

    /// A layer as a place.
    pub(super) fn layer(&self, number: usize) -> Place {
        match self.diff_ids.get(number) {
            Some(diff_id) => Place::layer(number + 1, *diff_id),
            None => Place::default(),
        }
    }

    /// A file as a place.
    pub(super) fn place(&self, path: &str, node: &Node) -> Place {
        self.layer(node.layer()).at(format!("/{path}"))
    }

    /// A path as it is seen from the working directory.
    pub(super) fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.working_directory) }
    }

    /// Whether the language of an AWS base image is there.
    pub(super) fn has_language(&self, program: &str) -> bool {
        self.tree.has(&format!("/var/lang/bin/{program}"))
    }

    /// What a program's name leads to: a path from the working directory, or a name in PATH.
    pub(super) fn program(&self, name: &str) -> Program<'_> {
        if name.contains('/') {
            return match self.tree.look_up(&self.absolute(name)) {
                Lookup::Found(found) if found.node.is_directory() => Program::Directory(found.path),
                Lookup::Found(found) => Program::Found(found),
                Lookup::Absent => Program::Absent,
                Lookup::Unknown => Program::Unknown,
            };
        }
        let mut not_executable = None;
        for directory in self.search_path() {
            match self.tree.look_up(&self.absolute(&format!("{directory}/{name}"))) {
                Lookup::Found(found) if found.node.is_directory() => {}
                Lookup::Found(found) if found.node.lets_others(1) => return Program::Found(found),
                Lookup::Found(found) => not_executable = not_executable.or(Some(found)),
                Lookup::Absent => {}
                // It may be there, and would be taken.
                Lookup::Unknown => return Program::Unknown,
            }
        }
        not_executable.map_or(Program::Absent, Program::Found)
    }
}

/// What a program's name leads to.
pub(super) enum Program<'a> {
    Found(super::tree::Found<'a>),
    Directory(String),
    Absent,
    Unknown,
}
