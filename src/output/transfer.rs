//! How far a transfer of layers is: what is sent, how fast, and how long it will take. Kept by
//! `progress` for one function at a time, drawn by the renderers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::words::{duration, portion};
use crate::domain::digest::Digest;
use crate::domain::size::ByteSize;
use crate::event::Event;

/// Layers on their way.
#[derive(Debug, Default)]
pub struct Transfer {
    /// Layers that are moved; `None` until it is known.
    layers: Option<usize>,
    /// Bytes that are moved.
    total: Option<u64>,
    blobs: BTreeMap<Digest, Blob>,
    /// Which blobs are layers, as far as that was said.
    layer_digests: BTreeSet<Digest>,
    begun: usize,
    /// When how many bytes had been sent, of the last seconds.
    samples: VecDeque<(Duration, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Blob {
    size: u64,
    /// Bytes sent in this attempt.
    sent: u64,
    state: State,
    /// The order in which they began.
    number: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    UnderWay,
    Sent,
    There,
}

/// A blob that is being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// Which one.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes sent so far in this attempt.
    pub sent: u64,
}

impl Transfer {
    /// How far back the rate looks.
    const WINDOW: Duration = Duration::from_secs(5);

    /// Takes what says something about a transfer; tells whether it does.
    pub fn apply(&mut self, event: &Event, now: Duration) -> bool {
        match event {
            Event::TransferPlanned(plan) => {
                self.layer_digests.extend(plan.layers.iter().filter_map(|layer| layer.digest));
            }
            Event::TransferStarted { layers, bytes } => {
                (self.layers, self.total) = (Some(*layers), *bytes);
                self.sample(now);
            }
            Event::BlobStarted { digest, size, sent } => {
                let number = self.begun;
                self.begun += 1;
                let blob = Blob { size: *size, sent: *sent, state: State::UnderWay, number };
                self.blobs.insert(*digest, blob);
                // That went at another time, nobody knows when.
                self.samples.iter_mut().for_each(|(_, before)| *before += sent);
                self.sample(now);
            }
            Event::BlobProgress { digest, sent } => {
                if let Some(blob) = self.blobs.get_mut(digest) {
                    blob.sent = *sent;
                }
                self.sample(now);
            }
            Event::BlobFinished { digest, size, reused } => {
                self.finish(*digest, *size, *reused);
                self.sample(now);
            }
            _ => return false,
        }
        true
    }

    fn finish(&mut self, digest: Digest, size: u64, reused: bool) {
        let state = if reused { State::There } else { State::Sent };
        let sent = if reused { 0 } else { size };
        let before = self.blobs.insert(digest, Blob { size, sent, state, number: self.begun });
        // It was to be sent, and need not be: another repository has handed it over.
        if reused && before.is_some_and(|blob| blob.state == State::UnderWay) {
            self.total = self.total.map(|total| total.saturating_sub(size));
            if self.is_layer(&digest) {
                self.layers = self.layers.map(|layers| layers.saturating_sub(1));
            }
        }
    }

    fn is_layer(&self, digest: &Digest) -> bool {
        self.layer_digests.is_empty() || self.layer_digests.contains(digest)
    }

    /// Bytes to be sent, once known: what is there is not counted.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Bytes sent so far; can shrink when a blob starts again.
    pub fn sent(&self) -> u64 {
        self.blobs.values().map(|blob| blob.sent).sum()
    }

    /// Whether all is sent that was to be sent, and something was.
    pub fn is_whole(&self) -> bool {
        self.total.is_some_and(|total| total > 0 && total == self.sent())
    }

    /// Layers that were sent, and how many there are to be sent, once known.
    pub fn layers(&self) -> (usize, Option<usize>) {
        let is_sent = |(digest, blob): &(&Digest, &Blob)| blob.state == State::Sent && self.is_layer(digest);
        let sent = self.blobs.iter().filter(is_sent).count();
        (sent, self.layers.map(|layers| layers.max(sent)))
    }

    /// The blobs that are being sent, in the order they began.
    pub fn under_way(&self) -> Vec<UnderWay> {
        let mut blobs: Vec<_> = self.blobs.iter().filter(|(_, blob)| blob.state == State::UnderWay).collect();
        blobs.sort_by_key(|(_, blob)| blob.number);
        let one =
            |(digest, blob): (&Digest, &Blob)| UnderWay { digest: *digest, size: blob.size, sent: blob.sent };
        blobs.into_iter().map(one).collect()
    }

    /// Bytes a second over the last seconds.
    pub fn rate(&self, now: Duration) -> Option<u64> {
        let (since, bytes) = self.samples.front()?;
        let span = now.saturating_sub(*since).as_secs_f64();
        (span >= 0.5).then(|| (self.sent().saturating_sub(*bytes) as f64 / span) as u64)
    }

    /// How long it will take at the rate of the last seconds.
    pub fn remaining(&self, now: Duration) -> Option<Duration> {
        let left = self.total?.saturating_sub(self.sent());
        let rate = self.rate(now).filter(|rate| *rate > 0)?;
        Some(Duration::from_secs_f64(left as f64 / rate as f64))
    }

    /// All of it in words: `12.0 MB of 42.0 MB`, `8.3 MB/s`, `4s left`.
    pub(super) fn words(&self, now: Duration) -> Vec<String> {
        let mut parts = vec![portion(self.sent(), self.total)];
        if let Some(rate) = self.rate(now) {
            parts.push(format!("{}/s", ByteSize(rate)));
        }
        if let Some(remaining) = self.remaining(now).filter(|it| !it.is_zero()) {
            parts.push(format!("{} left", rounded(remaining)));
        }
        parts
    }

    fn sample(&mut self, now: Duration) {
        let recent = |at: Duration| now.saturating_sub(at) <= Self::WINDOW;
        while self.samples.len() > 1 && !self.samples.front().is_some_and(|(at, _)| recent(*at)) {
            self.samples.pop_front();
        }
        let due = self.samples.back().is_none_or(|(at, _)| now.saturating_sub(*at).as_millis() >= 100);
        if due {
            self.samples.push_back((now, self.sent()));
        }
    }
}

/// An estimate, which is no better than to the second.
fn rounded(span: Duration) -> String {
    if span < Duration::from_secs(59) {
        return format!("{}s", span.as_secs_f64().ceil());
    }
    duration(span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transfer::{PlannedLayer, TransferPlan, Way};

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn after(events: &[(u64, Event)]) -> Transfer {
        let mut transfer = Transfer::default();
        events.iter().for_each(|(when, event)| assert!(transfer.apply(event, at(*when))));
        transfer
    }

    fn started(name: &str, size: u64) -> Event {
        Event::BlobStarted { digest: digest(name), size, sent: 0 }
    }

    fn progress(name: &str, sent: u64) -> Event {
        Event::BlobProgress { digest: digest(name), sent }
    }

    fn finished(name: &str, size: u64, reused: bool) -> Event {
        Event::BlobFinished { digest: digest(name), size, reused }
    }

    #[test]
    fn a_blob_that_starts_again_is_not_counted_twice() {
        let mut transfer = after(&[
            (0, Event::TransferStarted { layers: 1, bytes: Some(100) }),
            (0, started("a", 100)),
            (1, progress("a", 80)),
            (2, progress("a", 10)),
        ]);
        assert_eq!((transfer.sent(), transfer.rate(at(2))), (10, Some(5)));
        assert_eq!(transfer.remaining(at(2)), Some(at(18)));
        transfer.apply(&finished("a", 100, false), at(3));
        transfer.apply(&finished("a", 100, false), at(3));
        assert_eq!((transfer.sent(), transfer.layers()), (100, (1, Some(1))));
    }

    #[test]
    fn what_was_sent_before_a_blob_had_a_name_counts_and_makes_no_rate() {
        let grown = Event::BlobStarted { digest: digest("grown"), size: 100, sent: 60 };
        let transfer = after(&[
            (0, Event::TransferStarted { layers: 2, bytes: Some(150) }),
            (0, started("a", 50)),
            (2, progress("a", 10)),
            (2, grown),
            (2, progress("grown", 60)),
            (4, progress("grown", 70)),
        ]);
        assert_eq!((transfer.sent(), transfer.rate(at(4))), (80, Some(5)));
    }

    #[test]
    fn layers_that_went_early_count_and_the_configuration_is_no_layer() {
        let layer = |name| PlannedLayer {
            digest: Some(digest(name)),
            diff_id: None,
            size: Some(50),
            uncompressed: None,
            way: Way::Make,
        };
        let transfer = after(&[
            (0, started("early", 50)),
            (1, finished("early", 50, false)),
            (1, Event::TransferPlanned(TransferPlan { layers: vec![layer("early"), layer("late")] })),
            (1, Event::TransferStarted { layers: 2, bytes: Some(107) }),
            (1, started("configuration", 7)),
            (2, finished("configuration", 7, false)),
            (2, started("late", 50)),
            (3, progress("late", 20)),
        ]);
        assert_eq!((transfer.sent(), transfer.total(), transfer.layers()), (77, Some(107), (1, Some(2))));
        assert_eq!(transfer.under_way(), [UnderWay { digest: digest("late"), size: 50, sent: 20 }]);
        assert_eq!(transfer.words(at(3)), ["77 B of 107 B", "25 B/s", "2s left"]);
    }

    #[test]
    fn what_another_repository_hands_over_is_taken_off_the_total() {
        let transfer = after(&[
            (0, finished("there", 1_000, true)),
            (0, Event::TransferStarted { layers: 2, bytes: Some(100) }),
            (0, started("mounted", 60)),
            (0, started("sent", 40)),
            (1, finished("mounted", 60, true)),
        ]);
        assert_eq!((transfer.total(), transfer.sent(), transfer.layers()), (Some(40), 0, (0, Some(1))));
    }
}
