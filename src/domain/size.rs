//! Sizes, counts and times as people read them.

use std::fmt;
use std::time::Duration;

/// Shows a number of bytes in decimal units (1 kB = 1000 bytes), as registries and Docker do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        if bytes < 1000 {
            return write!(f, "{bytes} B");
        }
        let mut value = bytes as f64;
        let mut unit = "B";
        for next in ["kB", "MB", "GB", "TB"] {
            value /= 1000.0;
            unit = next;
            // 999.95 would be printed as 1000.0: the next unit says it better.
            if value < 999.95 {
                break;
            }
        }
        write!(f, "{value:.1} {unit}")
    }
}

/// A number with its noun: `1 layer`, `3 layers`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// When something happened that much later: `at once`, `after 53 ms`, `after 12.3 s`.
pub fn after(span: Duration) -> String {
    match span.as_millis() {
        0..2 => "at once".to_owned(),
        milliseconds @ 2..1000 => format!("after {milliseconds} ms"),
        _ => format!("after {:.1} s", span.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_the_unit_people_expect() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_999, "1.0 MB"),
            (104_700_000, "104.7 MB"),
            (2_280_000_000, "2.3 GB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }

    #[test]
    fn what_takes_no_time_happens_at_once() {
        for (microseconds, text) in [(1999, "at once"), (53_700, "after 53 ms"), (12_340_000, "after 12.3 s")]
        {
            assert_eq!(after(Duration::from_micros(microseconds)), text);
        }
    }
}
