//! Lays file, stage and flags over each other and makes the one specification of a deployment.

use std::fs;
use std::path::{Path, PathBuf};

use super::environment::EnvironmentVerbs;
use super::error::ConfigError;
use super::file::{ConfigFile, FILE_NAME};
use super::image::image_spec;
use super::settings::Settings;
use crate::domain::function::FunctionName;
use crate::domain::image_source::ImageSource;
use crate::domain::reference::RepositoryName;
use crate::domain::spec::{DeploySpec, FunctionSpec, ImageSpec, RepositoryLocation, RepositorySpec};

/// Where to look for the configuration.
#[derive(Clone, Debug, Default)]
pub struct Location {
    /// PATH: a directory, or the file itself; the current directory where not given.
    pub path: Option<PathBuf>,
    /// `--config FILE`.
    pub config: Option<PathBuf>,
    /// `--stage NAME`.
    pub stage: Option<String>,
}

/// What flags and `LAMBDACTL_*` variables said. Paths are relative to the current directory.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Settings that win over the file's.
    pub settings: Settings,
    /// `--image IMAGE`: nothing is built.
    pub image: Option<ImageSource>,
    /// The verbs for environment variables.
    pub environment: EnvironmentVerbs,
}

/// What the specification is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The image has to be had: there must be something it can come from.
    Image,
    /// The image is all that matters: a function or repository need not be named, and the
    /// directory need not have a name that could be one.
    ImageAlone,
    /// Only names matter; where the image comes from may stay open.
    Names,
}

/// Stands for the function's name where nobody asks for it.
const NAMELESS: &str = "image";

/// Resolves everything into one specification.
pub fn resolve(
    location: &Location,
    overrides: &Overrides,
    purpose: Purpose,
) -> Result<DeploySpec, ConfigError> {
    let (settings, directory, file) = settings(location, overrides)?;
    let is_alone = purpose == Purpose::ImageAlone;
    let name: FunctionName = match name_of(&settings, &directory) {
        Err(ConfigError::DefaultFunctionName { .. }) if is_alone => {
            NAMELESS.parse().map_err(|source| ConfigError::DefaultFunctionName { source })?
        }
        name => name?,
    };
    let image = match &overrides.image {
        Some(source) => ImageSpec::Existing(source.clone()),
        None => image_spec(&settings, &directory, file.as_deref())?,
    };
    if purpose != Purpose::Names {
        require_dockerfile(&image, &settings, &directory, file.is_some())?;
    }
    let build_command =
        settings.build.command.filter(|command| !command.is_empty() && overrides.image.is_none());
    let repository = match settings.repository.location {
        Some(location) => location,
        None => if is_alone { NAMELESS } else { name.as_str() }
            .to_lowercase()
            .parse::<RepositoryName>()
            .map(RepositoryLocation::Name)
            .map_err(|source| ConfigError::DefaultRepositoryName { source })?,
    };
    let compression = settings.image.compression.unwrap_or_default();
    let function = settings.function;
    Ok(DeploySpec {
        directory,
        function: FunctionSpec {
            name,
            role: function.role,
            architecture: function.architecture,
            memory_size: function.memory_size,
            timeout: function.timeout,
            ephemeral_storage: function.ephemeral_storage,
            description: function.description,
            environment: overrides.environment.applied_to(&function.environment)?,
            image_config: function.image_config,
            tags: function.tags,
        },
        build_command,
        image,
        compression,
        repository: RepositorySpec {
            location: repository,
            create: settings.repository.create.unwrap_or(true),
        },
        allow: settings.check.allow,
    })
}

/// The function the configuration is about.
pub fn function_name(location: &Location, overrides: &Overrides) -> Result<FunctionName, ConfigError> {
    let (settings, directory, _) = settings(location, overrides)?;
    name_of(&settings, &directory)
}

/// Tells whether there is something to deploy: a configuration file, or a Dockerfile.
pub fn is_project(location: &Location) -> bool {
    match find(location) {
        Ok((directory, file)) => file.is_some() || directory.join("Dockerfile").exists(),
        // What is wrong with it is said by whoever reads it.
        Err(_) => true,
    }
}

/// The settings of all levels, the directory they are relative to, and the file, if there is one.
fn settings(
    location: &Location,
    overrides: &Overrides,
) -> Result<(Settings, PathBuf, Option<PathBuf>), ConfigError> {
    let (directory, file) = find(location)?;
    let lower = match (&file, &location.stage) {
        (Some(path), stage) => ConfigFile::read(path)?.at_stage(stage.as_deref())?,
        (None, None) => Settings::default(),
        (None, Some(name)) => {
            return Err(ConfigError::StageWithoutFile { name: name.clone(), directory });
        }
    };
    Ok((lower.overlaid_by(&overrides.settings), directory, file))
}

/// The directory, and the file if there is one.
fn find(location: &Location) -> Result<(PathBuf, Option<PathBuf>), ConfigError> {
    let parent = |file: &Path| match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    match (&location.path, &location.config) {
        (Some(path), Some(config)) => {
            Err(ConfigError::PathAndFile { path: path.clone(), config: config.clone() })
        }
        (None, Some(config)) => Ok((parent(config), Some(config.clone()))),
        (path, None) => {
            let path = path.clone().unwrap_or_else(|| PathBuf::from("."));
            let metadata = fs::metadata(&path).map_err(|_| ConfigError::NoSuchPath { path: path.clone() })?;
            if metadata.is_file() {
                return Ok((parent(&path), Some(path)));
            }
            let file = if path == Path::new(".") { PathBuf::from(FILE_NAME) } else { path.join(FILE_NAME) };
            let exists = file.exists();
            Ok((path, exists.then_some(file)))
        }
    }
}

fn name_of(settings: &Settings, directory: &Path) -> Result<FunctionName, ConfigError> {
    if let Some(name) = &settings.function.name {
        return Ok(name.clone());
    }
    let full = fs::canonicalize(directory)
        .map_err(|source| ConfigError::Read { path: directory.to_owned(), source })?;
    let name = full.file_name().unwrap_or_default().to_string_lossy();
    name.parse().map_err(|source| ConfigError::DefaultFunctionName { source })
}

/// A Dockerfile that is not there is noticed before anything else is done.
fn require_dockerfile(
    image: &ImageSpec,
    settings: &Settings,
    directory: &Path,
    file: bool,
) -> Result<(), ConfigError> {
    let ImageSpec::Dockerfile(spec) = image else { return Ok(()) };
    if spec.dockerfile.exists() {
        return Ok(());
    }
    let named = settings.image.dockerfile.is_some() || settings.image.context.is_some();
    if file || named {
        Err(ConfigError::NoDockerfile { path: spec.dockerfile.clone() })
    } else {
        Err(ConfigError::NothingToDeploy { directory: directory.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::FunctionSettings;

    struct Project {
        directory: tempfile::TempDir,
    }

    impl Project {
        fn new(files: &[(&str, &str)]) -> Self {
            let directory = tempfile::Builder::new().prefix("Project-").tempdir().unwrap();
            for (name, text) in files {
                fs::write(directory.path().join(name), text).unwrap();
            }
            Self { directory }
        }

        fn at(&self, stage: Option<&str>) -> Location {
            Location {
                path: Some(self.directory.path().to_owned()),
                config: None,
                stage: stage.map(str::to_owned),
            }
        }
    }

    fn memory(megabytes: u32) -> Overrides {
        Overrides {
            settings: Settings {
                function: FunctionSettings { memory_size: Some(megabytes), ..FunctionSettings::default() },
                ..Settings::default()
            },
            ..Overrides::default()
        }
    }

    #[test]
    fn flags_win_over_the_stage_and_the_stage_over_the_file() {
        let project = Project::new(&[
            ("Dockerfile", "FROM scratch"),
            (
                "lambdactl.toml",
                "[function]\nmemory_size = 1000\n[stage.prod.function]\nmemory_size = 2000\n[stage.bare]\n",
            ),
        ]);
        let none = Overrides::default();
        for (stage, overrides, expected) in [
            (None, &none, 1000),
            (Some("bare"), &none, 1000),
            (Some("prod"), &none, 2000),
            (Some("prod"), &memory(3000), 3000),
            (None, &memory(3000), 3000),
        ] {
            let spec = resolve(&project.at(stage), overrides, Purpose::Image).unwrap();
            assert_eq!(spec.function.memory_size, Some(expected), "{stage:?}");
            assert_eq!(spec.function.timeout, None, "what nobody names stays unnamed");
        }
    }

    #[test]
    fn a_dockerfile_alone_is_enough() {
        let project = Project::new(&[("Dockerfile", "FROM scratch")]);
        let spec = resolve(&project.at(None), &Overrides::default(), Purpose::Image).unwrap();
        let name = project.directory.path().file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(spec.function.name.as_str(), name);
        assert!(spec.repository.create);
        let RepositoryLocation::Name(repository) = spec.repository.location else { panic!("not a name") };
        assert_eq!(repository.as_str(), name.to_lowercase());
    }

    #[test]
    fn nothing_to_deploy_says_what_to_do() {
        let project = Project::new(&[]);
        let error = resolve(&project.at(None), &Overrides::default(), Purpose::Image).unwrap_err();
        assert!(matches!(error, ConfigError::NothingToDeploy { .. }), "{error}");
        assert!(error.hint().unwrap().contains("--image"));
        let named = Project::new(&[("lambdactl.toml", "[image]\ndockerfile = \"Containerfile\"\n")]);
        let error = resolve(&named.at(None), &Overrides::default(), Purpose::Image).unwrap_err();
        assert!(matches!(error, ConfigError::NoDockerfile { .. }), "{error}");
        assert!(resolve(&named.at(None), &Overrides::default(), Purpose::Names).is_ok());
    }

    #[test]
    fn an_existing_image_needs_no_source_and_runs_no_build_command() {
        let project = Project::new(&[("lambdactl.toml", "[build]\ncommand = [\"make\"]\n")]);
        let overrides = Overrides { image: Some("docker:hello:v1".parse().unwrap()), ..Overrides::default() };
        let spec = resolve(&project.at(None), &overrides, Purpose::Image).unwrap();
        assert!(matches!(spec.image, ImageSpec::Existing(_)));
        assert_eq!(spec.build_command, None);
    }

    #[test]
    fn the_file_may_be_named_itself_but_not_beside_a_path() {
        let project = Project::new(&[("other.toml", "[function]\nname = \"other\"\n")]);
        let file = project.directory.path().join("other.toml");
        for location in [
            Location { path: Some(file.clone()), ..Location::default() },
            Location { config: Some(file.clone()), ..Location::default() },
        ] {
            let name = function_name(&location, &Overrides::default()).unwrap();
            assert_eq!(name.as_str(), "other");
        }
        let both = Location { path: Some(".".into()), config: Some(file), stage: None };
        assert!(matches!(function_name(&both, &Overrides::default()), Err(ConfigError::PathAndFile { .. })));
    }

    #[test]
    fn a_stage_needs_a_file() {
        let project = Project::new(&[("Dockerfile", "FROM scratch")]);
        let error = resolve(&project.at(Some("prod")), &Overrides::default(), Purpose::Image).unwrap_err();
        assert!(matches!(error, ConfigError::StageWithoutFile { .. }), "{error}");
    }

    #[test]
    fn names_that_cannot_be_derived_ask_for_one() {
        let project = Project::new(&[("lambdactl.toml", "[function]\nname = \"x\"\n"), ("Dockerfile", "")]);
        let error = resolve(&project.at(None), &Overrides::default(), Purpose::Image).unwrap_err();
        assert!(matches!(error, ConfigError::DefaultRepositoryName { .. }), "{error}");
        assert!(error.hint().unwrap().contains("[repository] name"));
        let alone = resolve(&project.at(None), &Overrides::default(), Purpose::ImageAlone).unwrap();
        assert_eq!(alone.function.name.as_str(), "x");
    }
}
