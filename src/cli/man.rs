//! `lambdactl man`

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::context::Context;
use super::error::{CommandError, Exit};

/// Write the man pages of every command into a directory
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl man ~/.local/share/man/man1
      Install the pages for yourself")]
pub(super) struct ManArguments {
    /// The directory; made where it does not exist
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    directory: PathBuf,
}

impl ManArguments {
    pub(super) fn run(self, context: &Context) -> Result<Exit, CommandError> {
        let failed = |source| CommandError::Write { path: self.directory.clone(), source };
        fs::create_dir_all(&self.directory).map_err(failed)?;
        clap_mangen::generate_to(super::command(), &self.directory).map_err(failed)?;
        context.output.note(&format!("wrote the man pages into {}", self.directory.display()));
        Ok(Exit::Done)
    }
}
