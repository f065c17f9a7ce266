//! What can be wrong with the configuration, with the place in the file where it is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::file::FILE_NAME;

/// A place in a file, as editors count: lines and columns from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// Says what is wrong with the configuration. Nothing was touched when one of these is returned.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{position}: {problem}")]
    Syntax {
        /// Where.
        position: Position,
        /// What the parser expected.
        problem: String,
    },
    /// A key nobody knows.
    #[error("{position}: unknown key `{key}` {}", place(table))]
    UnknownKey {
        /// Where.
        position: Position,
        /// The key as written.
        key: String,
        /// The table it stands in; empty at the top.
        table: String,
        /// The key that was probably meant.
        nearest: Option<&'static str>,
        /// All keys of the table.
        known: &'static [&'static str],
    },
    /// A value of the wrong type or out of its range.
    #[error("{position}: `{key}`: {problem}")]
    Value {
        /// Where.
        position: Position,
        /// The key with its tables: `function.memory_size`.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// The stage is not in the file.
    #[error("there is no stage `{name}` in `{}`", path.display())]
    UnknownStage {
        /// The stage asked for.
        name: String,
        /// The file.
        path: PathBuf,
        /// The stages it has.
        stages: Vec<String>,
    },
    /// A stage was asked for where there is no file.
    #[error("there is no stage `{name}`: `{}` has no `{FILE_NAME}`", directory.display())]
    StageWithoutFile {
        /// The stage asked for.
        name: String,
        /// Where a file was looked for.
        directory: PathBuf,
    },
    /// PATH is neither a directory nor a file.
    #[error("`{}` does not exist", path.display())]
    NoSuchPath {
        /// PATH as given.
        path: PathBuf,
    },
    /// Both a PATH and a file were named.
    #[error("both a path (`{}`) and a configuration file (`{}`) are given", path.display(), config.display())]
    PathAndFile {
        /// PATH.
        path: PathBuf,
        /// The file.
        config: PathBuf,
    },
    /// Two settings that exclude each other.
    #[error("`{one}` and `{other}` exclude each other{}", of(path.as_deref()))]
    Conflict {
        /// A setting.
        one: String,
        /// Another one.
        other: String,
        /// The file they stand in, if one is used.
        path: Option<PathBuf>,
        /// Which one to keep when.
        advice: &'static str,
    },
    /// A setting that another one needs.
    #[error("`{needed}` is missing{}: {because}", of(path.as_deref()))]
    Missing {
        /// The setting that is not there.
        needed: &'static str,
        /// Why it has to be.
        because: &'static str,
        /// The file it should stand in, if one is used.
        path: Option<PathBuf>,
    },
    /// Nothing says where the image comes from.
    #[error("nothing to deploy in `{}`: it has neither `{FILE_NAME}` nor `Dockerfile`", directory.display())]
    NothingToDeploy {
        /// Where was looked.
        directory: PathBuf,
    },
    /// The Dockerfile is not there.
    #[error("there is no Dockerfile `{}`", path.display())]
    NoDockerfile {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The directory's name cannot be the function's.
    #[error("the directory's name cannot be the function's: {source}")]
    DefaultFunctionName {
        /// Why.
        source: crate::domain::function::InvalidFunctionName,
    },
    /// The function's name cannot be the repository's.
    #[error("the function's name cannot be the repository's: {source}")]
    DefaultRepositoryName {
        /// Why.
        source: crate::domain::reference::InvalidReference,
    },
    /// The environment variables as a whole are refused.
    #[error("environment variables: {problem}")]
    Environment {
        /// What is wrong.
        problem: String,
    },
}

fn place(table: &str) -> String {
    if table.is_empty() { "at the top level".to_owned() } else { format!("in `[{table}]`") }
}

fn of(path: Option<&Path>) -> String {
    path.map(|path| format!(" in `{}`", path.display())).unwrap_or_default()
}

fn listed(words: impl IntoIterator<Item = impl fmt::Display>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

impl ConfigError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey { nearest: Some(nearest), .. } => Some(format!("did you mean `{nearest}`?")),
            Self::UnknownKey { known, .. } => Some(format!("known keys here: {}", listed(*known))),
            Self::UnknownStage { stages, .. } if stages.is_empty() => {
                Some("the file has no stages; leave `--stage` out".to_owned())
            }
            Self::UnknownStage { stages, .. } => Some(format!("its stages: {}", listed(stages))),
            Self::StageWithoutFile { .. } => {
                Some(format!("leave `--stage` out, or name the file with `--config FILE`; stages are `[stage.NAME]` tables of `{FILE_NAME}`"))
            }
            Self::NoSuchPath { .. } => {
                Some(format!("PATH is a directory that holds `{FILE_NAME}` or a `Dockerfile`"))
            }
            Self::PathAndFile { .. } => {
                Some("leave one out: relative paths are relative to the configuration file".to_owned())
            }
            Self::Conflict { advice, .. } => Some((*advice).to_owned()),
            Self::NothingToDeploy { .. } => Some(format!(
                "write a `Dockerfile` or a `{FILE_NAME}` there, name another directory, or give an image that exists with `--image IMAGE`"
            )),
            Self::NoDockerfile { .. } => Some(
                "name it with `--dockerfile FILE` or `[image] dockerfile`, or give an image that exists with `--image IMAGE`"
                    .to_owned(),
            ),
            Self::DefaultFunctionName { .. } => {
                Some("name the function with `--function NAME` or `[function] name`".to_owned())
            }
            Self::DefaultRepositoryName { .. } => {
                Some("name the repository with `--repository NAME` or `[repository] name`".to_owned())
            }
            Self::Missing { .. }
            | Self::Read { .. }
            | Self::Syntax { .. }
            | Self::Value { .. }
            | Self::Environment { .. } => None,
        }
    }
}
