//! The settings one level can give: the file, a stage, or the command line. Nothing is required
//! here; levels are laid over each other and only then resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::domain::compression::CompressionLevel;
use crate::domain::function::FunctionName;
use crate::domain::platform::Architecture;
use crate::domain::rule::Rule;
use crate::domain::secret::Secret;
use crate::domain::spec::{
    BaseImage, BuilderChoice, FileMapping, ImageConfigSpec, RepositoryLocation, RoleSpec,
};

/// Everything one level says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `[function]`
    pub function: FunctionSettings,
    /// `[build]`
    pub build: BuildSettings,
    /// `[image]`
    pub image: ImageSettings,
    /// `[repository]`
    pub repository: RepositorySettings,
    /// `[check]`
    pub check: CheckSettings,
}

/// `[function]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionSettings {
    /// Its name.
    pub name: Option<FunctionName>,
    /// The execution role.
    pub role: Option<RoleSpec>,
    /// The instruction set.
    pub architecture: Option<Architecture>,
    /// Megabytes.
    pub memory_size: Option<u32>,
    /// Seconds.
    pub timeout: Option<u32>,
    /// Megabytes of `/tmp`.
    pub ephemeral_storage: Option<u32>,
    /// Free text.
    pub description: Option<String>,
    /// Environment variables to set.
    pub environment: BTreeMap<String, Secret>,
    /// Overrides of the image's start settings.
    pub image_config: ImageConfigSpec,
    /// Tags to set.
    pub tags: BTreeMap<String, String>,
}

/// `[build]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildSettings {
    /// A program and its arguments, run before the image is built.
    pub command: Option<Vec<String>>,
}

/// `[image]`: a Dockerfile's keys and an assembled image's; one kind only once resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageSettings {
    /// The directory that is sent to the engine.
    pub context: Option<PathBuf>,
    /// The file with the instructions.
    pub dockerfile: Option<PathBuf>,
    /// The stage of the Dockerfile to stop at.
    pub target: Option<String>,
    /// Values of ARG.
    pub args: BTreeMap<String, Secret>,
    /// Who builds the Dockerfile.
    pub builder: Option<BuilderChoice>,
    /// How hard layers are compressed, whatever the image comes from.
    pub compression: Option<CompressionLevel>,
    /// What an assembled image starts from.
    pub base: Option<BaseImage>,
    /// Its files.
    pub files: Option<Vec<FileMapping>>,
    /// Its ENTRYPOINT.
    pub entry_point: Option<Vec<String>>,
    /// Its CMD.
    pub command: Option<Vec<String>>,
    /// Its WORKDIR.
    pub working_directory: Option<String>,
    /// Its ENV.
    pub environment: BTreeMap<String, String>,
    /// Its LABEL.
    pub labels: BTreeMap<String, String>,
}

/// `[repository]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositorySettings {
    /// By name or by URI.
    pub location: Option<RepositoryLocation>,
    /// Whether a missing one is created.
    pub create: Option<bool>,
}

/// `[check]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckSettings {
    /// Rules the image may break.
    pub allow: BTreeSet<Rule>,
}

impl Settings {
    /// Lays `upper` over these: what it says wins; tables of free names are merged by name,
    /// and so are the rules that are allowed to be broken.
    pub fn overlaid_by(mut self, upper: &Self) -> Self {
        fn replace<T: Clone>(lower: &mut Option<T>, upper: &Option<T>) {
            if upper.is_some() {
                lower.clone_from(upper);
            }
        }
        fn merge<T: Clone>(lower: &mut BTreeMap<String, T>, upper: &BTreeMap<String, T>) {
            lower.extend(upper.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        let (lower, above) = (&mut self.function, &upper.function);
        replace(&mut lower.name, &above.name);
        replace(&mut lower.role, &above.role);
        replace(&mut lower.architecture, &above.architecture);
        replace(&mut lower.memory_size, &above.memory_size);
        replace(&mut lower.timeout, &above.timeout);
        replace(&mut lower.ephemeral_storage, &above.ephemeral_storage);
        replace(&mut lower.description, &above.description);
        merge(&mut lower.environment, &above.environment);
        replace(&mut lower.image_config.entry_point, &above.image_config.entry_point);
        replace(&mut lower.image_config.command, &above.image_config.command);
        replace(&mut lower.image_config.working_directory, &above.image_config.working_directory);
        merge(&mut lower.tags, &above.tags);

        replace(&mut self.build.command, &upper.build.command);

        let (lower, above) = (&mut self.image, &upper.image);
        replace(&mut lower.context, &above.context);
        replace(&mut lower.dockerfile, &above.dockerfile);
        replace(&mut lower.target, &above.target);
        merge(&mut lower.args, &above.args);
        replace(&mut lower.builder, &above.builder);
        replace(&mut lower.compression, &above.compression);
        replace(&mut lower.base, &above.base);
        replace(&mut lower.files, &above.files);
        replace(&mut lower.entry_point, &above.entry_point);
        replace(&mut lower.command, &above.command);
        replace(&mut lower.working_directory, &above.working_directory);
        merge(&mut lower.environment, &above.environment);
        merge(&mut lower.labels, &above.labels);

        replace(&mut self.repository.location, &upper.repository.location);
        replace(&mut self.repository.create, &upper.repository.create);
        self.check.allow.extend(&upper.check.allow);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_level_wins_and_free_names_are_merged() {
        let variables = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), Secret::new(*v))).collect::<BTreeMap<_, _>>()
        };
        let lower = Settings {
            function: FunctionSettings {
                memory_size: Some(128),
                timeout: Some(3),
                environment: variables(&[("A", "1"), ("B", "1")]),
                ..FunctionSettings::default()
            },
            ..Settings::default()
        };
        let upper = Settings {
            function: FunctionSettings {
                memory_size: Some(256),
                environment: variables(&[("B", "2")]),
                ..FunctionSettings::default()
            },
            ..Settings::default()
        };
        let both = lower.overlaid_by(&upper).function;
        assert_eq!((both.memory_size, both.timeout), (Some(256), Some(3)));
        assert_eq!(both.environment, variables(&[("A", "1"), ("B", "2")]));
    }
}
