//! What the user wants: the resolved settings of one deployment.
//!
//! `config` makes it from the file, the stage, the environment and the flags; the pipeline only
//! ever sees this. `None` means "not named": an existing function keeps what it has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;

use super::arn::Arn;
use super::compression::CompressionLevel;
use super::function::{FunctionName, ImageOverrides};
use super::image_source::ImageSource;
use super::platform::Architecture;
use super::reference::{ImageReference, RepositoryName, RepositoryUri};
use super::rule::Rule;
use super::secret::Secret;

/// Everything one `deploy` needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploySpec {
    /// The directory that relative paths are relative to.
    pub directory: PathBuf,
    /// The function wanted.
    pub function: FunctionSpec,
    /// Runs before the image is built, in `directory`.
    pub build_command: Option<Vec<String>>,
    /// Where the image comes from.
    pub image: ImageSpec,
    /// How hard layers that are made here are compressed.
    pub compression: CompressionLevel,
    /// Where the image goes.
    pub repository: RepositorySpec,
    /// Rules the image may break.
    pub allow: BTreeSet<Rule>,
}

/// The members of the function; `None` leaves an existing function's value alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionSpec {
    /// Its name.
    pub name: FunctionName,
    /// The execution role; required to create a function.
    pub role: Option<RoleSpec>,
    /// The instruction set; else the existing function's, else the image's.
    pub architecture: Option<Architecture>,
    /// Megabytes, 128 to 10,240 (AWS decides the upper bound).
    pub memory_size: Option<u32>,
    /// Seconds, 1 to 900.
    pub timeout: Option<u32>,
    /// Megabytes of `/tmp`, 512 to 10,240.
    pub ephemeral_storage: Option<u32>,
    /// Free text of at most 256 characters.
    pub description: Option<String>,
    /// What happens to the environment variables.
    pub environment: EnvironmentSpec,
    /// What happens to the overrides of the image's start settings.
    pub image_config: ImageConfigSpec,
    /// Tags to set; tags that are not named stay.
    pub tags: BTreeMap<String, String>,
}

/// An execution role by ARN or by name in the caller's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleSpec {
    /// `arn:aws:iam::123456789012:role/hello`
    Arn(Arn),
    /// `hello`, possibly with a path.
    Name(String),
}

/// A change of the environment variables, from the file and the four verbs of the command line.
///
/// Applied in the order of its members; variables nobody names stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvironmentSpec {
    /// Start from nothing instead of the function's present variables.
    pub clear: bool,
    /// Variables to set.
    pub set: BTreeMap<String, Secret>,
    /// Variables to take away at the end.
    pub remove: BTreeSet<String>,
}

impl EnvironmentSpec {
    /// The variables a function that has `current` ends up with.
    pub fn applied_to(&self, current: &BTreeMap<String, Secret>) -> BTreeMap<String, Secret> {
        let mut variables = if self.clear { BTreeMap::new() } else { current.clone() };
        variables.extend(self.set.clone());
        variables.retain(|name, _| !self.remove.contains(name));
        variables
    }
}

/// The overrides that are named; the others stay. An empty value gives the image's own back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfigSpec {
    /// Instead of ENTRYPOINT.
    pub entry_point: Option<Vec<String>>,
    /// Instead of CMD.
    pub command: Option<Vec<String>>,
    /// Instead of WORKDIR.
    pub working_directory: Option<String>,
}

impl ImageConfigSpec {
    /// The complete overrides a function that has `current` ends up with.
    pub fn applied_to(&self, current: &ImageOverrides) -> ImageOverrides {
        let working_directory = match self.working_directory.as_deref() {
            None => current.working_directory.clone(),
            Some("") => None,
            Some(directory) => Some(directory.to_owned()),
        };
        ImageOverrides {
            entry_point: self.entry_point.as_ref().unwrap_or(&current.entry_point).clone(),
            command: self.command.as_ref().unwrap_or(&current.command).clone(),
            working_directory,
        }
    }
}

/// Where the image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSpec {
    /// A Dockerfile, through the Docker Engine.
    Dockerfile(DockerfileSpec),
    /// A base and a layer of files, put together without any engine.
    Assembled(AssembledSpec),
    /// An image that exists already.
    Existing(ImageSource),
}

/// A build from a Dockerfile. Paths are absolute or relative to the current directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerfileSpec {
    /// The directory that is sent to the engine.
    pub context: PathBuf,
    /// The file with the instructions.
    pub dockerfile: PathBuf,
    /// The stage to stop at.
    pub target: Option<String>,
    /// Values of ARG instructions; may be secrets, though Docker records them in the history.
    pub args: BTreeMap<String, Secret>,
    /// Who builds it.
    pub builder: BuilderChoice,
}

/// Who builds a Dockerfile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BuilderChoice {
    /// This program where it can, else an engine.
    #[default]
    Auto,
    /// This program, or nobody.
    Append,
    /// An engine.
    Engine,
}

impl BuilderChoice {
    /// All of them, by name.
    pub const NAMES: [(Self, &str); 3] =
        [(Self::Auto, "auto"), (Self::Append, "append"), (Self::Engine, "engine")];
}

impl FromStr for BuilderChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.into_iter().find(|(_, name)| *name == text);
        found.map(|(choice, _)| choice).ok_or_else(|| "expected `auto`, `append` or `engine`".to_owned())
    }
}

/// An image put together from a base and files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssembledSpec {
    /// What it starts from.
    pub base: BaseImage,
    /// Files and directories of the new layer, in the order of the file.
    pub files: Vec<FileMapping>,
    /// ENTRYPOINT; the base's where not named.
    pub entry_point: Option<Vec<String>>,
    /// CMD; the base's where not named (and dropped where only the entry point is named).
    pub command: Option<Vec<String>>,
    /// WORKDIR; the base's where not named.
    pub working_directory: Option<String>,
    /// ENV, added to the base's.
    pub environment: BTreeMap<String, String>,
    /// LABEL, added to the base's.
    pub labels: BTreeMap<String, String>,
}

/// What an assembled image starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseImage {
    /// Nothing at all.
    Scratch,
    /// An OCI layout: `oci:DIR[:TAG]`.
    Layout {
        /// The layout's directory.
        directory: PathBuf,
        /// Which image of it.
        tag: Option<super::reference::Tag>,
    },
    /// An image in a registry.
    Registry(ImageReference),
}

/// One `{ from, to }` of an assembled image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMapping {
    /// A file or directory of this machine.
    pub from: PathBuf,
    /// Absolute path in the image; ends in `/` to put a file into a directory.
    pub to: String,
}

/// Where the image goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositorySpec {
    /// Which repository.
    pub location: RepositoryLocation,
    /// Whether a missing one is created.
    pub create: bool,
}

/// A repository by name in the caller's registry, or by URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryLocation {
    /// In the caller's account and the function's region.
    Name(RepositoryName),
    /// Anywhere in the function's region, perhaps in another account.
    Uri(RepositoryUri),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect()
    }

    #[test]
    fn variables_that_nobody_names_stay() {
        let spec =
            EnvironmentSpec { clear: false, set: variables(&[("B", "2")]), remove: ["C".to_owned()].into() };
        assert_eq!(
            spec.applied_to(&variables(&[("A", "1"), ("B", "1"), ("C", "1")])),
            variables(&[("A", "1"), ("B", "2")])
        );
    }

    #[test]
    fn clearing_starts_from_nothing() {
        let spec = EnvironmentSpec { clear: true, set: variables(&[("B", "2")]), remove: BTreeSet::new() };
        assert_eq!(spec.applied_to(&variables(&[("A", "1")])), variables(&[("B", "2")]));
    }

    #[test]
    fn a_partial_image_config_keeps_the_other_members() {
        let current = ImageOverrides {
            entry_point: vec!["/e".to_owned()],
            command: vec!["c".to_owned()],
            working_directory: Some("/w".to_owned()),
        };
        let spec = ImageConfigSpec { command: Some(vec!["d".to_owned()]), ..ImageConfigSpec::default() };
        assert_eq!(
            spec.applied_to(&current),
            ImageOverrides { command: vec!["d".to_owned()], ..current.clone() }
        );
        let cleared = ImageConfigSpec {
            entry_point: Some(Vec::new()),
            command: Some(Vec::new()),
            working_directory: Some(String::new()),
        };
        assert!(cleared.applied_to(&current).is_empty());
        assert_eq!(ImageConfigSpec::default().applied_to(&current), current);
    }
}
