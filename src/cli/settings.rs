//! The options that follow `lambdactl.toml` one to one, in groups that the verbs share, and what
//! they override.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::error::CommandError;
use super::lists;
use crate::config::{
    BuildSettings, EnvironmentVerbs, FunctionSettings, ImageSettings, Overrides, RepositorySettings,
    Settings, rules,
};
use crate::domain::compression::CompressionLevel;
use crate::domain::function::FunctionName;
use crate::domain::image_source::ImageSource;
use crate::domain::platform::Architecture;
use crate::domain::rule::Rule;
use crate::domain::secret::Secret;
use crate::domain::spec::{BuilderChoice, ImageConfigSpec, RepositoryLocation, RoleSpec};

/// A whole number that `rule` accepts.
fn number(rule: fn(i64) -> Result<u32, String>) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| rule(text.parse().map_err(|_| "expected a whole number".to_owned())?)
}

/// Which function, and for which machine.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Function")]
pub(super) struct NameArguments {
    /// Name of the function [default: the directory's name]
    #[arg(long, value_name = "NAME", env = "LAMBDACTL_FUNCTION", hide_env_values = true)]
    function: Option<FunctionName>,

    /// Instruction set: x86_64 or arm64 [default: the existing function's, else the image's]
    #[arg(long, value_name = "ARCHITECTURE", env = "LAMBDACTL_ARCHITECTURE", hide_env_values = true)]
    #[arg(value_parser = architectures())]
    architecture: Option<Architecture>,
}

impl NameArguments {
    /// Tells whether a function is named.
    pub(super) fn names_function(&self) -> bool {
        self.function.is_some()
    }
}

fn architectures() -> impl clap::builder::TypedValueParser<Value = Architecture> {
    use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
    let values = [PossibleValue::new("x86_64").alias("amd64"), PossibleValue::new("arm64").alias("aarch64")];
    PossibleValuesParser::new(values).try_map(|text| text.parse::<Architecture>())
}

fn builders() -> impl clap::builder::TypedValueParser<Value = BuilderChoice> {
    use clap::builder::{PossibleValuesParser, TypedValueParser as _};
    let names = BuilderChoice::NAMES.map(|(_, name)| name);
    PossibleValuesParser::new(names).try_map(|text| text.parse::<BuilderChoice>())
}

/// The function's configuration.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Function")]
pub(super) struct FunctionArguments {
    /// Execution role, by ARN or name; required to create a function
    #[arg(long, value_name = "ROLE", env = "LAMBDACTL_ROLE", hide_env_values = true)]
    #[arg(value_parser = rules::role)]
    role: Option<RoleSpec>,

    #[command(flatten)]
    limits: LimitArguments,

    /// Description of the function
    #[arg(long, value_name = "TEXT", env = "LAMBDACTL_DESCRIPTION", hide_env_values = true)]
    #[arg(value_parser = rules::description)]
    description: Option<String>,

    #[command(flatten)]
    start: StartArguments,

    /// Set these tags on the function; others stay
    #[arg(long, value_name = "KEY=VALUE,…", env = "LAMBDACTL_TAGS", hide_env_values = true)]
    #[arg(value_hint = ValueHint::Other)]
    tags: Vec<Secret>,
}

/// What the function may use.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Function")]
pub(super) struct LimitArguments {
    /// Memory in MB, 128 to 10240
    #[arg(long, value_name = "MB", env = "LAMBDACTL_MEMORY_SIZE", hide_env_values = true)]
    #[arg(value_parser = number(rules::memory_size))]
    pub(super) memory_size: Option<u32>,

    /// Seconds a call may take, 1 to 900
    #[arg(long, value_name = "SECONDS", env = "LAMBDACTL_TIMEOUT", hide_env_values = true)]
    #[arg(value_parser = number(rules::timeout))]
    pub(super) timeout: Option<u32>,
}

/// What is started, and with how much room: what an image is checked for.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Function")]
pub(super) struct StartArguments {
    /// Size of /tmp in MB, 512 to 10240
    #[arg(long, value_name = "MB", env = "LAMBDACTL_EPHEMERAL_STORAGE", hide_env_values = true)]
    #[arg(value_parser = number(rules::ephemeral_storage))]
    ephemeral_storage: Option<u32>,

    /// Use these words instead of the image's ENTRYPOINT; '' gives it back
    #[arg(long, value_name = "WORD,…", env = "LAMBDACTL_ENTRY_POINT", hide_env_values = true)]
    #[arg(allow_hyphen_values = true, value_hint = ValueHint::Other)]
    entry_point: Vec<String>,

    /// Use these words instead of the image's CMD; '' gives it back
    #[arg(long, value_name = "WORD,…", env = "LAMBDACTL_COMMAND", hide_env_values = true)]
    #[arg(allow_hyphen_values = true, value_hint = ValueHint::Other)]
    command: Vec<String>,

    /// Use this directory instead of the image's WORKDIR; '' gives it back
    #[arg(long, value_name = "DIR", env = "LAMBDACTL_WORKING_DIRECTORY", hide_env_values = true)]
    #[arg(value_hint = ValueHint::Other)]
    working_directory: Option<String>,
}

/// Rules that may be broken.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct AllowArguments {
    /// Turn this rule of the check off; may be repeated (`lambdactl check --rules` lists them)
    #[arg(long, value_name = "RULE", env = "LAMBDACTL_ALLOW", hide_env_values = true)]
    #[arg(value_delimiter = ',', value_hint = ValueHint::Other, help_heading = "Check")]
    allow: Vec<Rule>,
}

/// The verbs for environment variables, in the order they are applied.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Environment variables of the function")]
pub(super) struct EnvironmentArguments {
    /// Take all variables away, also those of the configuration file
    #[arg(long)]
    clear_env_vars: bool,

    /// Set these variables and no others
    ///
    /// Where values have commas in them, choose another delimiter: '^;^A=1,2;B=3'. To keep values
    /// off the command line, put the list into the variable LAMBDACTL_SET_ENV_VARS.
    #[arg(long, value_name = "NAME=VALUE,…", env = "LAMBDACTL_SET_ENV_VARS", hide_env_values = true)]
    #[arg(value_hint = ValueHint::Other)]
    set_env_vars: Vec<Secret>,

    /// Set these variables besides those of the configuration file; the others stay
    ///
    /// Takes another delimiter like --set-env-vars.
    #[arg(long, value_name = "NAME=VALUE,…", env = "LAMBDACTL_UPDATE_ENV_VARS", hide_env_values = true)]
    #[arg(value_hint = ValueHint::Other)]
    update_env_vars: Vec<Secret>,

    /// Take these variables away
    #[arg(long, value_name = "NAME,…", env = "LAMBDACTL_REMOVE_ENV_VARS", hide_env_values = true)]
    #[arg(value_hint = ValueHint::Other)]
    remove_env_vars: Vec<String>,
}

/// Where the image comes from.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Image")]
pub(super) struct ImageArguments {
    /// Use an image that exists: docker:NAME[:TAG], oci:DIR[:TAG], archive:FILE, or an ECR reference
    ///
    /// archive:- reads standard input. Nothing is built.
    #[arg(long, value_name = "IMAGE", env = "LAMBDACTL_IMAGE", hide_env_values = true)]
    #[arg(value_hint = ValueHint::Other)]
    #[arg(conflicts_with_all = ["context", "dockerfile", "target", "build_arg", "builder", "build_command"])]
    image: Option<ImageSource>,

    /// Send this directory to the builder
    #[arg(long, value_name = "DIR", env = "LAMBDACTL_CONTEXT", hide_env_values = true)]
    #[arg(value_hint = ValueHint::DirPath)]
    context: Option<PathBuf>,

    /// Build with this Dockerfile [default: Dockerfile in the context]
    #[arg(long, value_name = "FILE", env = "LAMBDACTL_DOCKERFILE", hide_env_values = true)]
    #[arg(value_hint = ValueHint::FilePath)]
    dockerfile: Option<PathBuf>,

    /// Stop at this stage of the Dockerfile
    #[arg(long, value_name = "STAGE", env = "LAMBDACTL_TARGET", hide_env_values = true)]
    target: Option<String>,

    /// Set an ARG of the Dockerfile; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_hint = ValueHint::Other)]
    build_arg: Vec<Secret>,

    /// Who builds the Dockerfile: append (without an engine, where its layers can be made here),
    /// engine (Docker), or auto: append where possible
    #[arg(long, value_name = "BUILDER", env = "LAMBDACTL_BUILDER", hide_env_values = true)]
    #[arg(value_parser = builders())]
    builder: Option<BuilderChoice>,

    /// Compress layers that are made here at this level: fast, default, best, or 1 to 9
    ///
    /// A higher level takes longer and makes less to send. The same level gives the same digests
    /// on every machine, and another level gives others; but a layer that the repository has at
    /// whatever level is not made again. Layers that come compressed stay as they are.
    #[arg(long, value_name = "LEVEL", env = "LAMBDACTL_COMPRESSION", hide_env_values = true)]
    #[arg(value_parser = str::parse::<CompressionLevel>, value_hint = ValueHint::Other)]
    compression: Option<CompressionLevel>,

    /// Run this program before the image is built, in the directory of the configuration
    #[arg(long, value_name = "WORD,…", env = "LAMBDACTL_BUILD_COMMAND", hide_env_values = true)]
    #[arg(allow_hyphen_values = true, value_hint = ValueHint::Other)]
    build_command: Vec<String>,
}

/// Where the image goes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Repository")]
pub(super) struct RepositoryArguments {
    /// Push to this ECR repository, by name or URI [default: the function's name]
    #[arg(long, value_name = "REPOSITORY", env = "LAMBDACTL_REPOSITORY", hide_env_values = true)]
    #[arg(value_parser = rules::repository)]
    repository: Option<RepositoryLocation>,

    /// Fail instead of creating a repository that does not exist
    #[arg(long)]
    no_create_repository: bool,
}

/// Makes the overrides of whatever groups a verb has.
pub(super) fn overrides(
    name: &NameArguments,
    function: Option<(&FunctionArguments, &EnvironmentArguments)>,
    image: Option<&ImageArguments>,
    repository: Option<&RepositoryArguments>,
) -> Result<Overrides, CommandError> {
    let mut overrides = Overrides::default();
    if let Some((function, environment)) = function {
        overrides.settings.function = function.settings()?;
        overrides.environment = environment.verbs()?;
    }
    overrides.settings.function.name.clone_from(&name.function);
    overrides.settings.function.architecture = name.architecture;
    if let Some(image) = image {
        overrides.image.clone_from(&image.image);
        (overrides.settings.image, overrides.settings.build) = image.settings()?;
    }
    if let Some(repository) = repository {
        overrides.settings.repository = RepositorySettings {
            location: repository.repository.clone(),
            create: repository.no_create_repository.then_some(false),
        };
    }
    Ok(overrides)
}

/// Overrides that name nothing, for verbs without such options.
pub(super) fn no_overrides() -> Overrides {
    Overrides { settings: Settings::default(), ..Overrides::default() }
}

impl FunctionArguments {
    fn settings(&self) -> Result<FunctionSettings, CommandError> {
        let usage = |message| CommandError::Usage { message, hints: Vec::new() };
        let tags = lists::assignments("--tags", &self.tags)?
            .into_iter()
            .map(|(key, value)| {
                rules::tag(&key, value.expose())
                    .map_err(|problem| usage(format!("--tags: `{key}`: {problem}")))?;
                Ok((key, value.expose().to_owned()))
            })
            .collect::<Result<_, CommandError>>()?;
        Ok(FunctionSettings {
            role: self.role.clone(),
            memory_size: self.limits.memory_size,
            timeout: self.limits.timeout,
            ephemeral_storage: self.start.ephemeral_storage,
            description: self.description.clone(),
            image_config: self.start.image_config(),
            tags,
            ..FunctionSettings::default()
        })
    }
}

impl StartArguments {
    /// What is started instead of what the image says.
    pub(super) fn image_config(&self) -> ImageConfigSpec {
        ImageConfigSpec {
            entry_point: lists::words(&self.entry_point),
            command: lists::words(&self.command),
            working_directory: self.working_directory.clone(),
        }
    }

    /// Megabytes of `/tmp`.
    pub(super) fn ephemeral_storage(&self) -> Option<u32> {
        self.ephemeral_storage
    }
}

impl AllowArguments {
    /// The rules.
    pub(super) fn rules(&self) -> BTreeSet<Rule> {
        self.allow.iter().copied().collect()
    }
}

impl EnvironmentArguments {
    /// What they do.
    pub(super) fn verbs(&self) -> Result<EnvironmentVerbs, CommandError> {
        let set = lists::assignments("--set-env-vars", &self.set_env_vars)?;
        Ok(EnvironmentVerbs {
            clear: self.clear_env_vars,
            set: (!self.set_env_vars.is_empty()).then_some(set),
            update: lists::assignments("--update-env-vars", &self.update_env_vars)?,
            remove: lists::words(&self.remove_env_vars).unwrap_or_default().into_iter().collect(),
        })
    }
}

impl ImageArguments {
    fn settings(&self) -> Result<(ImageSettings, BuildSettings), CommandError> {
        let args = self
            .build_arg
            .iter()
            .enumerate()
            // One assignment an option: values of ARG often have commas in them.
            .map(|(index, argument)| lists::assignment("--build-arg", index, argument.expose()))
            .collect::<Result<_, _>>()?;
        let image = ImageSettings {
            context: self.context.clone(),
            dockerfile: self.dockerfile.clone(),
            target: self.target.clone(),
            args,
            builder: self.builder,
            compression: self.compression,
            ..ImageSettings::default()
        };
        Ok((image, BuildSettings { command: lists::words(&self.build_command) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Probe {
        #[command(flatten)]
        name: NameArguments,
        #[command(flatten)]
        function: FunctionArguments,
        #[command(flatten)]
        environment: EnvironmentArguments,
        #[command(flatten)]
        image: ImageArguments,
        #[command(flatten)]
        repository: RepositoryArguments,
    }

    fn parsed(words: &[&str]) -> Overrides {
        let probe = Probe::try_parse_from(std::iter::once(&"x").chain(words)).unwrap();
        overrides(
            &probe.name,
            Some((&probe.function, &probe.environment)),
            Some(&probe.image),
            Some(&probe.repository),
        )
        .unwrap()
    }

    #[test]
    fn nothing_on_the_command_line_overrides_nothing() {
        let nothing = parsed(&[]);
        assert_eq!(nothing.settings, Settings::default());
        assert_eq!(nothing.environment, EnvironmentVerbs::default());
    }

    #[test]
    fn every_option_reaches_its_setting() {
        let all = parsed(&[
            "--function=hello",
            "--architecture=aarch64",
            "--role=r",
            "--memory-size=512",
            "--timeout=30",
            "--ephemeral-storage=1024",
            "--description=d",
            "--entry-point=/e,-x",
            "--command=",
            "--working-directory=/w",
            "--tags=a=b",
            "--clear-env-vars",
            "--set-env-vars=AA=1",
            "--update-env-vars=BB=2",
            "--remove-env-vars=CC,DD",
            "--context=c",
            "--dockerfile=d",
            "--target=t",
            "--build-arg=K=1,2",
            "--builder=append",
            "--compression=best",
            "--build-command=make,all",
            "--repository=repo",
            "--no-create-repository",
        ]);
        let function = &all.settings.function;
        assert_eq!(function.name.as_ref().unwrap().as_str(), "hello");
        assert_eq!(function.architecture, Some(Architecture::Arm64));
        assert_eq!(function.role, Some(RoleSpec::Name("r".to_owned())));
        assert_eq!(
            (function.memory_size, function.timeout, function.ephemeral_storage),
            (Some(512), Some(30), Some(1024))
        );
        assert_eq!(function.description.as_deref(), Some("d"));
        assert_eq!(
            function.image_config,
            ImageConfigSpec {
                entry_point: Some(vec!["/e".to_owned(), "-x".to_owned()]),
                command: Some(Vec::new()),
                working_directory: Some("/w".to_owned()),
            }
        );
        assert_eq!(function.tags, [("a".to_owned(), "b".to_owned())].into());
        let verbs = &all.environment;
        assert!(verbs.clear && verbs.set.as_ref().unwrap().contains_key("AA"));
        assert!(verbs.update.contains_key("BB") && verbs.remove.len() == 2);
        let image = &all.settings.image;
        assert_eq!((image.context.clone(), image.target.as_deref()), (Some("c".into()), Some("t")));
        assert_eq!(image.dockerfile, Some("d".into()));
        assert_eq!(image.args["K"].expose(), "1,2");
        assert_eq!(image.builder, Some(BuilderChoice::Append));
        assert_eq!(image.compression, Some(CompressionLevel::BEST));
        assert_eq!(all.settings.build.command, Some(vec!["make".to_owned(), "all".to_owned()]));
        assert!(matches!(all.settings.repository.location, Some(RepositoryLocation::Name(_))));
        assert_eq!(all.settings.repository.create, Some(false));
    }

    #[test]
    fn an_image_that_exists_is_not_built() {
        let words = ["x", "--image=docker:a", "--dockerfile=d"];
        assert!(Probe::try_parse_from(words).is_err());
    }
}
