//! The options every command has.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum, ValueHint};

/// The options every command has.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalArguments {
    /// Read this configuration file instead of the `lambdactl.toml` in PATH
    ///
    /// Relative paths in it are relative to its directory.
    #[arg(long, global = true, value_name = "FILE", env = "LAMBDACTL_CONFIG", hide_env_values = true)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(super) config: Option<PathBuf>,

    /// Lay the tables `[stage.NAME…]` over the configuration
    #[arg(long, global = true, value_name = "NAME", env = "LAMBDACTL_STAGE", hide_env_values = true)]
    pub(super) stage: Option<String>,

    /// Work in this AWS region instead of the one of the environment or the profile
    #[arg(long, global = true, value_name = "REGION", env = "LAMBDACTL_REGION", hide_env_values = true)]
    pub(super) region: Option<String>,

    /// Use the credentials and settings of this AWS profile
    #[arg(long, global = true, value_name = "PROFILE", env = "LAMBDACTL_PROFILE", hide_env_values = true)]
    pub(super) profile: Option<String>,

    /// Use the embedded local cloud instead of AWS: no account, no network, no Docker
    #[arg(long, global = true, env = "LAMBDACTL_LOCAL", hide_env_values = true)]
    #[arg(action = clap::ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) local: bool,

    /// Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]
    #[arg(long, global = true, value_name = "DIR", env = "LAMBDACTL_LOCAL_DIR", hide_env_values = true)]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(super) local_dir: Option<PathBuf>,

    /// Show progress and results this way [default: human at a terminal, else plain]
    #[arg(long, global = true, value_name = "MODE", env = "LAMBDACTL_OUTPUT", hide_env_values = true)]
    pub(super) output: Option<OutputChoice>,

    /// Show only results and errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,

    /// Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub(super) verbose: u8,

    /// Use colours
    #[arg(long, global = true, value_name = "WHEN", env = "LAMBDACTL_COLOR", hide_env_values = true)]
    #[arg(default_value = "auto")]
    pub(super) color: ColorChoice,

    /// Answer every question with yes
    #[arg(long, global = true)]
    pub(super) yes: bool,
}

/// How to show things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputChoice {
    /// Live lines for a terminal
    Human,
    /// One line a transition, nothing rewritten
    Plain,
    /// One JSON object a line, on standard output
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// At a terminal, unless NO_COLOR is set
    Auto,
    /// Always, except in plain and JSON output
    Always,
    /// Never
    Never,
}

/// Finds the value of a global option before the command line has been parsed, or where it
/// cannot be: how errors of the command line are shown depends on it.
pub(super) fn early_value(words: &[OsString], option: &str, variable: &str) -> Option<String> {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let prefix = format!("{option}=");
    let given = words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(&prefix) {
        Some(value) => Some(value.to_owned()),
        None if *word == option => words.get(index + 1).map(|value| value.to_string()),
        None => None,
    });
    given.or_else(|| super::context::variable(variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_an_option_are_found_early() {
        for words in [["x", "--output", "json"], ["--output=json", "--bad", "y"]] {
            let words = words.map(OsString::from);
            assert_eq!(early_value(&words, "--output", "LAMBDACTL_TEST_UNSET").as_deref(), Some("json"));
        }
        assert_eq!(early_value(&["--output".into()], "--output", "LAMBDACTL_TEST_UNSET"), None);
    }
}
