//! `lambdactl logs`

use std::time::Duration;

use clap::Args;

use super::context::Context;
use super::error::{CommandError, Exit};
use super::signal;
use crate::domain::log::{LogRequest, LogSummary};
use crate::output::results::Outcome;

/// Show the log lines of a function
///
/// Lines of all environments come in the order of time, each with its time. With --follow, new
/// lines are shown as they come, until Ctrl-C.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdactl logs hello
      Show the last ten minutes
  lambdactl logs hello --follow --filter ERROR
      Show what fails, as it happens
  lambdactl logs hello --since 1h --local --output json
      Show the last hour of a local function, for a script")]
pub(super) struct LogsArguments {
    /// Name or ARN of the function
    #[arg(value_name = "FUNCTION", value_parser = super::functions::named)]
    function: String,

    /// Go on with new lines until Ctrl-C
    #[arg(long, short)]
    follow: bool,

    /// Begin so long ago
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    since: Duration,

    /// Show lines that match a filter pattern of CloudWatch Logs: words, "phrases", -exclusions
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    filter: Option<String>,
}

impl LogsArguments {
    pub(super) fn run(self, context: &Context) -> Result<Exit, CommandError> {
        if self.follow {
            return signal::block_on(self.follow(context));
        }
        signal::run(context, async {
            let summary = self.show(context).await?;
            if summary.events == 0 {
                let since = humantime::format_duration(self.since);
                context.output.note(&format!(
                    "`{}` has logged nothing in the last {since}; `--since` looks further back",
                    self.function
                ));
            }
            context.output.result(&Outcome::Logs { function: self.function, summary });
            Ok(Exit::Done)
        })
    }

    /// Ctrl-C is how following is meant to end.
    async fn follow(self, context: &Context) -> Result<Exit, CommandError> {
        let interrupted = signal::watch()?;
        tokio::select! {
            shown = self.show(context) => {
                let summary = shown?;
                context.output.result(&Outcome::Logs { function: self.function, summary });
            }
            _ = interrupted => {}
        }
        Ok(Exit::Done)
    }

    async fn show(&self, context: &Context) -> Result<LogSummary, CommandError> {
        let connection = context.connect().await?;
        let request = LogRequest {
            function: self.function.clone(),
            since: self.since,
            filter: self.filter.clone(),
            follow: self.follow,
        };
        let function = &self.function;
        let mut show = |event: &_| context.output.log(function, event);
        Ok(connection.cloud.logs_of(&request, &mut show).await?)
    }
}
