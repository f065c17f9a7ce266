//! Repeats what may succeed the next time: the one place of this client that does.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use super::RegistryError;
use crate::event::{Event, SharedReporter};

/// Five attempts: pauses of 0.2, 0.4, 0.8 and 1.6 seconds, each up to twice as long.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(200))
    .with_factor(2.0)
    .with_max_times(4)
    .with_jitter();

/// The longest pause a registry may ask for with `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Makes attempts until one succeeds, fails for good, or was the fifth.
pub(super) async fn retry<T, F>(
    reporter: &SharedReporter,
    what: impl Fn() -> String,
    mut attempt: impl FnMut() -> F,
) -> Result<T, RegistryError>
where
    F: Future<Output = Result<T, RegistryError>>,
{
    let mut pauses = PAUSES.build();
    let mut number = 1;
    loop {
        let error = match attempt().await {
            Err(error) if error.is_transient() => error,
            result => return result,
        };
        let Some(after) = next_pause(&mut pauses, error.retry_after()) else { return Err(error) };
        reporter.report(Event::Retrying { what: what(), attempt: number, after, because: because(&error) });
        tokio::time::sleep(after).await;
        number += 1;
    }
}

/// The pause before the next attempt; `None` when enough were made.
fn next_pause(pauses: &mut impl Iterator<Item = Duration>, asked: Option<Duration>) -> Option<Duration> {
    Some(pauses.next()?.max(asked.unwrap_or_default().min(LONGEST_PAUSE)))
}

/// The error with its causes, in one line.
fn because(error: &RegistryError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Operation;
    use super::super::error::tests::refusal;
    use super::*;
    use crate::event::Silent;

    fn pauses(asked: Option<Duration>) -> Vec<Duration> {
        let mut pauses = PAUSES.build();
        std::iter::from_fn(|| next_pause(&mut pauses, asked)).collect()
    }

    #[test]
    fn five_attempts_with_growing_pauses() {
        let pauses = pauses(None);
        assert_eq!(pauses.len(), 4);
        for (pause, least) in pauses.iter().zip([200, 400, 800, 1600]) {
            let least = Duration::from_millis(least);
            assert!((least..=least * 2).contains(pause), "{pauses:?}");
        }
    }

    #[test]
    fn the_registry_may_ask_for_a_longer_pause_within_bounds() {
        assert_eq!(pauses(Some(Duration::from_secs(7))), [Duration::from_secs(7); 4]);
        assert_eq!(pauses(Some(Duration::from_secs(86_400)))[0], LONGEST_PAUSE);
    }

    #[tokio::test]
    async fn what_cannot_get_better_is_not_repeated() {
        let reporter: SharedReporter = Arc::new(Silent);
        let mut attempts = 0;
        let result: Result<(), _> = retry(&reporter, String::new, || {
            attempts += 1;
            async { Err(RegistryError::Refused(Box::new(refusal(Operation::UploadBlob, 403, "DENIED", "")))) }
        })
        .await;
        assert!(result.is_err());
        assert_eq!(attempts, 1);
    }
}
