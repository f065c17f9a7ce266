//! Ids of events. The store has none, so they are made from what an event is: the same event has
//! the same id in every answer, and two that look alike have two.

use std::collections::HashMap;

use crate::domain::digest::Digest;
use crate::local::logs::StreamEvent;

/// Gives every event of a group its id: 56 digits, as CloudWatch's, in the order of time.
pub(super) fn ids(events: &[StreamEvent]) -> Vec<String> {
    let mut alike: HashMap<(i64, &str, &str), usize> = HashMap::new();
    events
        .iter()
        .map(|event| {
            let timestamp = event.event.timestamp;
            let count = alike.entry((timestamp, &event.stream, &event.event.message)).or_default();
            let text = format!("{}\0{}\0{count}", event.stream, event.event.message);
            *count += 1;
            // 30 hexadecimal digits have 37 decimal ones at most.
            let hash = u128::from_str_radix(&Digest::of(text.as_bytes()).hex()[..30], 16).unwrap_or_default();
            format!("{timestamp:019}{hash:037}")
        })
        .collect()
}
