//! CloudWatch Logs: what functions have logged.

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::Builder;

use super::api_error::ApiError;
use super::session::Session;
use crate::domain::log::LogEvent;

/// A page of events, in the order CloudWatch gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// The events.
    pub events: Vec<LogEvent>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
}

/// Asks CloudWatch Logs in the session's region.
#[derive(Clone, Debug)]
pub struct LogsClient {
    client: Client,
}

impl LogsClient {
    /// Makes a client of `session`.
    pub fn new(session: &Session) -> Self {
        let config = Builder::from(session.config()).interceptor(session.retry_events()).build();
        Self { client: Client::from_conf(config) }
    }

    /// Reads a page of the events of a group since a moment, in milliseconds; `None` where there
    /// is no such group. A page may be empty and not be the last.
    /// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>
    pub async fn page(
        &self,
        group: &str,
        since: i64,
        filter: Option<&str>,
        token: Option<String>,
    ) -> Result<Option<LogPage>, ApiError> {
        let request = self
            .client
            .filter_log_events()
            .log_group_name(group)
            .start_time(since)
            .set_filter_pattern(filter.map(str::to_owned))
            .set_next_token(token);
        let output = match request.send().await {
            Ok(output) => output,
            Err(error) => match ApiError::new("logs", "FilterLogEvents", &error) {
                error if error.is("ResourceNotFoundException") => return Ok(None),
                error => return Err(error),
            },
        };
        let events = output.events().iter().map(|event| LogEvent {
            id: event.event_id().unwrap_or_default().to_owned(),
            timestamp: event.timestamp().unwrap_or_default(),
            stream: event.log_stream_name().unwrap_or_default().to_owned(),
            message: event.message().unwrap_or_default().trim_end_matches(['\n', '\r']).to_owned(),
        });
        Ok(Some(LogPage { events: events.collect(), next: output.next_token().map(str::to_owned) }))
    }
}
