//! Reads a function's log, and follows it: our own loop, that shows each event once.
//!
//! Events come late and out of order, so each look begins a while before the newest event that
//! was seen, and what was shown before is left out.

use std::collections::HashMap;
use std::time::Duration;

use super::cloud::Cloud;
use super::error::PipelineError;
use super::watch;
use crate::domain::log::{LogEvent, LogRequest, LogSummary, ago, default_group};
use crate::event::Event;
use crate::services::api_error::ApiError;

/// Between looks: FilterLogEvents may be called five times a second in the smallest regions.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_LOCAL: Duration = Duration::from_millis(300);
/// How late events may come.
const LATE: i64 = 60_000;

/// Shows the events that are asked for until there are no more, or `show` wants none.
pub(super) async fn read(
    cloud: &Cloud,
    request: &LogRequest,
    show: &mut (dyn FnMut(&LogEvent) -> bool + Send),
) -> Result<LogSummary, PipelineError> {
    cloud.session().region()?;
    let found = cloud.lambda().log_group(&request.function).await;
    let found = found.map_err(PipelineError::api(format!("read function `{}`", request.function)))?;
    let is_missing = found.is_none();
    let group = found.flatten().unwrap_or_else(|| default_group(&request.function));
    let mut reader = Reader {
        cloud,
        request,
        summary: LogSummary { group, events: 0 },
        since: ago(request.since),
        shown: HashMap::new(),
        newest: 0,
    };
    let mut has_said = false;
    let mut failures = 0;
    loop {
        match reader.look(show).await {
            Ok(Look::Shown) => failures = 0,
            Ok(Look::Unwanted) => return Ok(reader.summary),
            // A function that was deleted may have left its log behind; this one has not.
            Ok(Look::NoGroup) if is_missing => return Err(watch::missing(cloud, &request.function)),
            Ok(Look::NoGroup) => {
                if !has_said {
                    let message = format!(
                        "function `{}` has not logged anything yet: log group `{}` does not exist",
                        request.function, reader.summary.group
                    );
                    cloud.report(match request.follow {
                        true => Event::Detail(message),
                        false => Event::Warning { message, hint: None },
                    });
                }
                has_said = true;
            }
            Err(error) if request.follow && error.is_transient() => {
                failures += 1;
                reader.tolerate(&error, failures);
            }
            Err(error) => {
                let doing = format!("read log group `{}`", reader.summary.group);
                return Err(PipelineError::api(doing)(error));
            }
        }
        if !request.follow {
            return Ok(reader.summary);
        }
        tokio::time::sleep(reader.pause()).await;
    }
}

/// What came of a look.
enum Look {
    Shown,
    /// Nobody wants more.
    Unwanted,
    NoGroup,
}

struct Reader<'a> {
    cloud: &'a Cloud,
    request: &'a LogRequest,
    summary: LogSummary,
    since: i64,
    /// The ids of events that the next look finds again, and their times.
    shown: HashMap<String, i64>,
    newest: i64,
}

impl Reader<'_> {
    fn pause(&self) -> Duration {
        if self.cloud.session().is_local() { PAUSE_LOCAL } else { PAUSE }
    }

    fn tolerate(&self, error: &ApiError, attempt: usize) {
        self.cloud.report(Event::Retrying {
            what: format!("read log group `{}`", self.summary.group),
            attempt,
            after: self.pause(),
            because: error.to_string(),
        });
    }

    /// Shows what is new, page by page.
    async fn look(&mut self, show: &mut (dyn FnMut(&LogEvent) -> bool + Send)) -> Result<Look, ApiError> {
        let since = self.since.max(self.newest - LATE);
        let mut token = None;
        loop {
            let filter = self.request.filter.as_deref();
            let page = self.cloud.logs().page(&self.summary.group, since, filter, token).await?;
            let Some(page) = page else { return Ok(Look::NoGroup) };
            for event in page.events {
                if self.shown.contains_key(&event.id) {
                    continue;
                }
                if !show(&event) {
                    return Ok(Look::Unwanted);
                }
                self.summary.events += 1;
                self.newest = self.newest.max(event.timestamp);
                if self.request.follow {
                    self.shown.insert(event.id, event.timestamp);
                }
            }
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        let oldest = self.newest - LATE;
        self.shown.retain(|_, timestamp| *timestamp >= oldest);
        Ok(Look::Shown)
    }
}
