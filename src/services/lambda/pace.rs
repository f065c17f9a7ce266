//! Lambda's rate of control-plane calls, kept by all clients of a process together.
//!
//! An account may make 15 calls a second in a region, `GetFunction` and `Invoke` apart, whoever
//! makes them. <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time between two calls in the long run: twelve and a half a second, which leaves some to
/// others.
const INTERVAL: Duration = Duration::from_millis(80);
/// How many calls may follow each other at once after a quiet time.
const BURST: u32 = 10;

/// Gives out turns to call.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    next: Arc<Mutex<Option<Instant>>>,
    unlimited: bool,
}

impl Pace {
    /// A pace that nobody has to keep: the local cloud has no such limit.
    pub(super) fn unlimited() -> Self {
        Self { unlimited: true, ..Self::default() }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) {
        if !self.unlimited {
            let wait = self.reserve(Instant::now());
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes the next turn, and tells how long it is until then.
    fn reserve(&self, now: Instant) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        // What was not used in a quiet time is left over, up to the burst.
        let earliest = now.checked_sub(INTERVAL * (BURST - 1)).unwrap_or(now);
        let turn = next.map_or(earliest, |next| next.max(earliest));
        *next = Some(turn + INTERVAL);
        turn.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_keeps_the_rate() {
        let (pace, now) = (Pace::default(), Instant::now() + Duration::from_secs(60));
        for _ in 0..BURST {
            assert_eq!(pace.reserve(now), Duration::ZERO);
        }
        assert_eq!(pace.reserve(now), INTERVAL);
        assert_eq!(pace.clone().reserve(now), INTERVAL * 2, "all clients keep one pace");
        let later = now + Duration::from_secs(60);
        assert_eq!(pace.reserve(later), Duration::ZERO);
    }
}
