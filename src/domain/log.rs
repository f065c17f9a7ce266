//! What a function has logged, and which of it is wanted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Which lines of a function's log to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRequest {
    /// Name or ARN.
    pub function: String,
    /// How far back.
    pub since: Duration,
    /// A filter pattern of CloudWatch Logs.
    pub filter: Option<String>,
    /// Whether to go on with what is still to come.
    pub follow: bool,
}

/// One event of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// By which it is told from every other.
    pub id: String,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The stream it is in: one an environment.
    pub stream: String,
    /// What was logged, without the line break at its end.
    pub message: String,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSummary {
    /// Where the function logs to.
    pub group: String,
    /// How many events were shown.
    pub events: u64,
}

/// The moment a while ago, in milliseconds since 1970.
pub fn ago(span: Duration) -> i64 {
    let then = SystemTime::now().checked_sub(span).and_then(|then| then.duration_since(UNIX_EPOCH).ok());
    then.and_then(|then| i64::try_from(then.as_millis()).ok()).unwrap_or(0)
}

/// Where a function logs to unless it is told otherwise; `function` may be an ARN.
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html>
pub fn default_group(function: &str) -> String {
    let name = match function.split_once(":function:") {
        Some((_, qualified)) => qualified.split(':').next().unwrap_or(qualified),
        None => function,
    };
    format!("/aws/lambda/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_log_to_the_group_of_their_name() {
        for function in ["hello", "arn:aws:lambda:us-east-1:123456789012:function:hello:live"] {
            assert_eq!(default_group(function), "/aws/lambda/hello");
        }
    }

    #[test]
    fn a_while_longer_than_time_itself_is_the_beginning() {
        assert_eq!(ago(Duration::from_secs(u64::MAX)), 0);
        assert!(ago(Duration::from_secs(60)) < ago(Duration::ZERO));
    }
}
