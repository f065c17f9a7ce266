//! `lambdactl.toml`: its tables and keys, and the stages that overlay them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::document::{Source, Table};
use super::error::ConfigError;
use super::image::within;
use super::rules;
use super::settings::{
    BuildSettings, CheckSettings, FunctionSettings, ImageSettings, RepositorySettings, Settings,
};
use crate::domain::compression::CompressionLevel;
use crate::domain::platform::Architecture;
use crate::domain::secret::Secret;
use crate::domain::spec::{BaseImage, BuilderChoice, FileMapping, ImageConfigSpec};

/// What the file is called.
pub const FILE_NAME: &str = "lambdactl.toml";

const TOP: &[&str] = &["function", "build", "image", "repository", "check", "stage"];
const STAGE: &[&str] = &["function", "build", "image", "repository", "check"];
const FUNCTION: &[&str] = &[
    "name",
    "role",
    "architecture",
    "memory_size",
    "timeout",
    "ephemeral_storage",
    "description",
    "environment",
    "image_config",
    "tags",
];
const IMAGE_CONFIG: &[&str] = &["entry_point", "command", "working_directory"];
const BUILD: &[&str] = &["command"];
const IMAGE: &[&str] = &[
    "context",
    "dockerfile",
    "target",
    "args",
    "builder",
    "compression",
    "base",
    "files",
    "entry_point",
    "command",
    "working_directory",
    "environment",
    "labels",
];
const MAPPING: &[&str] = &["from", "to"];
const REPOSITORY: &[&str] = &["name", "create"];
const CHECK: &[&str] = &["allow"];

/// A file as it was read.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it says outside of stages.
    pub settings: Settings,
    /// What each stage lays over that.
    pub stages: BTreeMap<String, Settings>,
}

impl ConfigFile {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Understands `text`, whose relative paths are relative to the directory of `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let source = Source { path, text };
        let document = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            position: source.position(error.span().map_or(0, |span| span.start)),
            problem: error.message().to_owned(),
        })?;
        let directory = directory_of(path);
        let top = Table::open(source, String::new(), &document, TOP)?;
        let stages = top
            .tables("stage", STAGE)?
            .into_iter()
            .map(|(name, table)| Ok((name, settings(&table, &directory)?)))
            .collect::<Result<_, ConfigError>>()?;
        Ok(Self { path: path.to_owned(), settings: settings(&top, &directory)?, stages })
    }

    /// The settings with the stage laid over them.
    pub fn at_stage(&self, stage: Option<&str>) -> Result<Settings, ConfigError> {
        let Some(name) = stage else { return Ok(self.settings.clone()) };
        let stage = self.stages.get(name).ok_or_else(|| ConfigError::UnknownStage {
            name: name.to_owned(),
            path: self.path.clone(),
            stages: self.stages.keys().cloned().collect(),
        })?;
        Ok(self.settings.clone().overlaid_by(stage))
    }

    /// The directory that relative paths are relative to.
    pub fn directory(&self) -> PathBuf {
        directory_of(&self.path)
    }
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn settings(table: &Table<'_>, directory: &Path) -> Result<Settings, ConfigError> {
    Ok(Settings {
        function: table.table("function", FUNCTION)?.map(|t| function(&t)).transpose()?.unwrap_or_default(),
        build: match table.table("build", BUILD)? {
            Some(build) => BuildSettings { command: build.words("command")? },
            None => BuildSettings::default(),
        },
        image: table.table("image", IMAGE)?.map(|t| image(&t, directory)).transpose()?.unwrap_or_default(),
        repository: match table.table("repository", REPOSITORY)? {
            Some(repository) => RepositorySettings {
                location: repository.text("name", rules::repository)?,
                create: repository.boolean("create")?,
            },
            None => RepositorySettings::default(),
        },
        check: match table.table("check", CHECK)? {
            Some(check) => CheckSettings { allow: check.each("allow", str::parse)?.unwrap_or_default() },
            None => CheckSettings::default(),
        },
    })
}

fn function(table: &Table<'_>) -> Result<FunctionSettings, ConfigError> {
    Ok(FunctionSettings {
        name: table.text("name", str::parse)?,
        role: table.text("role", rules::role)?,
        architecture: table.text("architecture", str::parse::<Architecture>)?,
        memory_size: table.integer("memory_size", rules::memory_size)?,
        timeout: table.integer("timeout", rules::timeout)?,
        ephemeral_storage: table.integer("ephemeral_storage", rules::ephemeral_storage)?,
        description: table.text("description", rules::description)?,
        environment: secrets(table.strings("environment", |name, _| rules::variable_name(name))?),
        image_config: match table.table("image_config", IMAGE_CONFIG)? {
            Some(config) => ImageConfigSpec {
                entry_point: config.words("entry_point")?,
                command: config.words("command")?,
                working_directory: config.text("working_directory", any)?,
            },
            None => ImageConfigSpec::default(),
        },
        tags: table.strings("tags", rules::tag)?,
    })
}

fn image(table: &Table<'_>, directory: &Path) -> Result<ImageSettings, ConfigError> {
    let path = |text: &str| if text.is_empty() { Err("is empty") } else { Ok(within(directory, text)) };
    let base = table.text("base", rules::base_image)?.map(|base| match base {
        BaseImage::Layout { directory: layout, tag } => {
            BaseImage::Layout { directory: within(directory, layout), tag }
        }
        other => other,
    });
    let files = table.list("files", MAPPING)?.map(|files| {
        files
            .iter()
            .map(|file| {
                Ok(FileMapping {
                    from: file.required("from", path)?,
                    to: file.required("to", rules::path_in_image)?,
                })
            })
            .collect::<Result<Vec<_>, ConfigError>>()
    });
    Ok(ImageSettings {
        context: table.text("context", path)?,
        dockerfile: table.text("dockerfile", path)?,
        target: table.text("target", any)?,
        args: secrets(table.strings("args", anything)?),
        builder: table.text("builder", str::parse::<BuilderChoice>)?,
        compression: table.text_or_integer(
            "compression",
            str::parse::<CompressionLevel>,
            CompressionLevel::of_number,
        )?,
        base,
        files: files.transpose()?,
        entry_point: table.words("entry_point")?,
        command: table.words("command")?,
        working_directory: table.text("working_directory", rules::path_in_image)?,
        environment: table.strings("environment", anything)?,
        labels: table.strings("labels", anything)?,
    })
}

fn any(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(text.to_owned())
}

fn anything(_name: &str, _value: &str) -> Result<(), std::convert::Infallible> {
    Ok(())
}

fn secrets(strings: BTreeMap<String, String>) -> BTreeMap<String, Secret> {
    strings.into_iter().map(|(name, value)| (name, Secret::new(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rule::Rule;

    fn complaint(text: &str) -> (String, Option<String>) {
        let error = ConfigFile::parse(Path::new("app/lambdactl.toml"), text).unwrap_err();
        (error.to_string(), error.hint())
    }

    #[test]
    fn every_key_of_the_contract_is_read() {
        let text = r#"
            [function]
            name = "hello"
            role = "arn:aws:iam::123456789012:role/hello"
            architecture = "arm64"
            memory_size = 512
            timeout = 30
            ephemeral_storage = 1_024
            description = ""
            [function.environment]
            LOG_LEVEL = "info"
            [function.image_config]
            entry_point = ["/bootstrap"]
            command = ["app.handler"]
            working_directory = "/var/task"
            [function.tags]
            team = "search"
            [build]
            command = ["cargo", "build"]
            [image]
            context = "."
            dockerfile = "Dockerfile"
            target = "prod"
            args = { RUST_VERSION = "1.95" }
            compression = "best"
            [repository]
            name = "hello"
            create = true
            [stage.prod.function]
            memory_size = 1024
            [stage.prod.image]
            target = "release"
            [stage.prod.build]
            command = ["make"]
            [check]
            allow = ["no-runtime-client"]
            [stage.prod.repository]
            create = false
            [stage.prod.check]
            allow = ["deleted-files"]
        "#;
        let file = ConfigFile::parse(Path::new("app/lambdactl.toml"), text).unwrap();
        let plain = &file.settings;
        assert_eq!(plain.function.ephemeral_storage, Some(1024));
        assert_eq!(plain.function.description.as_deref(), Some(""));
        assert_eq!(plain.image.dockerfile.as_deref(), Some(Path::new("app/Dockerfile")));
        assert_eq!(plain.image.context.as_deref(), Some(Path::new("app")));
        let prod = file.at_stage(Some("prod")).unwrap();
        assert_eq!((prod.function.memory_size, prod.function.timeout), (Some(1024), Some(30)));
        assert_eq!(prod.image.target.as_deref(), Some("release"));
        assert_eq!(prod.build.command, Some(vec!["make".to_owned()]));
        assert_eq!(prod.repository.create, Some(false));
        assert_eq!(prod.check.allow, [Rule::NoRuntimeClient, Rule::DeletedFiles].into());
    }

    #[test]
    fn an_assembled_image_is_read() {
        let text = "[image]\nbase = \"oci:base\"\nfiles = [{ from = \"hello\", to = \"/bootstrap\" }]\nentry_point = [\"/bootstrap\"]\nlabels = { a = \"b\" }\n";
        let image = ConfigFile::parse(Path::new("app/lambdactl.toml"), text).unwrap().settings.image;
        assert_eq!(image.base, Some(BaseImage::Layout { directory: PathBuf::from("app/base"), tag: None }));
        assert_eq!(
            image.files,
            Some(vec![FileMapping { from: PathBuf::from("app/hello"), to: "/bootstrap".to_owned() }])
        );
    }

    #[test]
    fn unknown_keys_name_their_place_and_the_nearest_key() {
        assert_eq!(
            complaint("[function]\nname = \"x\"\n  memroy_size = 5\n"),
            (
                "app/lambdactl.toml:3:3: unknown key `memroy_size` in `[function]`".to_owned(),
                Some("did you mean `memory_size`?".to_owned())
            )
        );
        let (message, hint) = complaint("[stage.prod.functoin]\n");
        assert_eq!(message, "app/lambdactl.toml:1:13: unknown key `functoin` in `[stage.prod]`");
        assert_eq!(hint.unwrap(), "did you mean `function`?");
        let (message, hint) = complaint("zebra = 1\n");
        assert_eq!(message, "app/lambdactl.toml:1:1: unknown key `zebra` at the top level");
        assert!(hint.unwrap().contains("`repository`"));
        let (message, _) = complaint("[image]\nfiles = [{ from = \"a\", to = \"/b\", mode = 1 }]\n");
        assert!(message.starts_with("app/lambdactl.toml:2:"), "{message}");
        assert!(message.ends_with("unknown key `mode` in `[image.files]`"), "{message}");
    }

    #[test]
    fn wrong_values_name_their_place_and_what_is_expected() {
        for (text, expected) in [
            (
                "[function]\nmemory_size = 64\n",
                "app/lambdactl.toml:2:15: `function.memory_size`: 64 is out of range: expected 128 to 32768 MB",
            ),
            (
                "[function]\nmemory_size = \"512\"\n",
                "app/lambdactl.toml:2:15: `function.memory_size`: expected a whole number without quotes, found string",
            ),
            (
                "[function.environment]\nDEBUG = true\n",
                "app/lambdactl.toml:2:9: `function.environment.DEBUG`: expected a string (put it in quotes), found boolean",
            ),
            (
                "[function.environment]\nAWS_REGION = \"x\"\n",
                "app/lambdactl.toml:2:1: `function.environment.AWS_REGION`: `AWS_REGION` is reserved: Lambda sets it itself",
            ),
            (
                "[stage.prod]\nfunction.timeout = 901\n",
                "app/lambdactl.toml:2:20: `stage.prod.function.timeout`: 901 is out of range: expected 1 to 900 seconds",
            ),
            (
                "[image]\nfiles = [{ from = \"a\" }]\n",
                "app/lambdactl.toml:2:10: `image.files.to`: is missing",
            ),
            (
                "[check]\nallow = [\"deleted-files\", \"missing-parents\"]\n",
                "app/lambdactl.toml:2:27: `check.allow`: there is no rule `missing-parents`: did you mean `missing-parent`?",
            ),
            ("function = 1\n", "app/lambdactl.toml:1:12: `function`: expected a table, found integer"),
        ] {
            assert_eq!(complaint(text).0, expected);
        }
    }

    #[test]
    fn what_is_not_toml_names_its_place() {
        let (message, _) = complaint("[function]\nname = hello\n");
        assert!(message.starts_with("app/lambdactl.toml:2:"), "{message}");
    }

    #[test]
    fn an_unknown_stage_lists_the_stages() {
        let file = ConfigFile::parse(Path::new("lambdactl.toml"), "[stage.prod]\n[stage.beta]\n").unwrap();
        let error = file.at_stage(Some("pord")).unwrap_err();
        assert_eq!(error.to_string(), "there is no stage `pord` in `lambdactl.toml`");
        assert_eq!(error.hint().unwrap(), "its stages: `beta`, `prod`");
    }
}
