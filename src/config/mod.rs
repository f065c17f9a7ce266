//! `lambdactl.toml`, stages, environment and flags, resolved into one `DeploySpec`.
//!
//! `cli` says where to look ([`Location`]) and what flags and `LAMBDACTL_*` variables said
//! ([`Overrides`], plain data, so that nothing here knows a command line); [`resolve`] lays them
//! over each other: command line > environment > `[stage.NAME]` > file > default.

mod document;
mod environment;
mod error;
mod file;
mod image;
mod resolve;
pub mod rules;
mod settings;

pub use environment::EnvironmentVerbs;
pub use error::{ConfigError, Position};
pub use file::{ConfigFile, FILE_NAME};
pub use resolve::{Location, Overrides, Purpose, function_name, is_project, resolve};
pub use settings::{
    BuildSettings, CheckSettings, FunctionSettings, ImageSettings, RepositorySettings, Settings,
};
