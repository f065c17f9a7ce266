//! How hard layers that are made here are compressed.

use std::fmt;
use std::str::FromStr;

/// A level of gzip. The same level gives the same bytes on every machine; another level gives
/// other bytes, and so other digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressionLevel {
    /// The one that suits most links, and never changes within a release series.
    #[default]
    Default,
    /// 1 (fastest) to 9 (smallest).
    Level(u8),
}

/// Says why a text is not a level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a level of compression: expected `fast`, `default`, `best`, or 1 to 9")]
pub struct InvalidLevel(String);

impl CompressionLevel {
    /// For links that are faster than the processor.
    pub const FAST: Self = Self::Level(1);
    /// For links so slow that every byte counts.
    pub const BEST: Self = Self::Level(9);

    /// The names that stand for levels.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::FAST, "fast"), (Self::Default, "default"), (Self::BEST, "best")];

    /// The level of that number.
    pub fn of_number(number: i64) -> Result<Self, InvalidLevel> {
        match u8::try_from(number) {
            Ok(level @ 1..=9) => Ok(Self::Level(level)),
            _ => Err(InvalidLevel(number.to_string())),
        }
    }
}

impl FromStr for CompressionLevel {
    type Err = InvalidLevel;

    fn from_str(text: &str) -> Result<Self, InvalidLevel> {
        if let Some((level, _)) = Self::NAMES.iter().find(|(_, name)| *name == text) {
            return Ok(*level);
        }
        let invalid = || InvalidLevel(text.to_owned());
        text.parse().map_err(|_| invalid()).and_then(|number| Self::of_number(number).map_err(|_| invalid()))
    }
}

impl fmt::Display for CompressionLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Level(level) => write!(f, "{level}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names_and_numbers_and_nothing_else() {
        for (text, level) in [
            ("fast", CompressionLevel::Level(1)),
            ("default", CompressionLevel::Default),
            ("best", CompressionLevel::Level(9)),
            ("1", CompressionLevel::FAST),
            ("6", CompressionLevel::Level(6)),
        ] {
            assert_eq!(text.parse(), Ok(level));
        }
        for text in ["", "0", "10", "-1", "1.5", "Fast", "slow"] {
            let error = text.parse::<CompressionLevel>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is not a level")), "{error}");
        }
    }
}
