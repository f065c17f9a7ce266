//! `lambdactl completions`

use clap::Args;
use clap_complete::Shell;

use super::context::Context;
use super::error::{CommandError, Exit};

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl completions bash > ~/.local/share/bash-completion/completions/lambdactl
  lambdactl completions zsh > ~/.zfunc/_lambdactl
  lambdactl completions fish > ~/.config/fish/completions/lambdactl.fish")]
pub(super) struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl CompletionsArguments {
    pub(super) fn run(self, context: &Context) -> Result<Exit, CommandError> {
        context.output.raw(&script(self.shell));
        Ok(Exit::Done)
    }
}

/// The completion script of `shell`.
fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "lambdactl", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
