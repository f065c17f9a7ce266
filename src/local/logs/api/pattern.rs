//! Filter patterns for unstructured events: words, phrases, exclusions and alternatives.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>

use regex::Regex;

/// A pattern, taken apart.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    all: Vec<Term>,
    /// At least one of them, where there are any.
    any: Vec<Term>,
    none: Vec<Term>,
}

#[derive(Debug)]
enum Term {
    Text(String),
    Expression(Regex),
}

impl Term {
    fn is_in(&self, message: &str) -> bool {
        match self {
            Self::Text(text) => message.contains(text),
            Self::Expression(expression) => expression.is_match(message),
        }
    }
}

impl Pattern {
    /// Reads a pattern; an empty one matches everything.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.trim_start().starts_with(['{', '[']) {
            return Err(
                "Invalid filter pattern: the local cloud has no patterns for JSON and for events of fields; use words, \"phrases\", -exclusions, ?alternatives or %expressions%",
            );
        }
        let mut pattern = Self::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (place, word) = match rest.as_bytes()[0] {
                b'-' => (&mut pattern.none, &rest[1..]),
                b'?' => (&mut pattern.any, &rest[1..]),
                _ => (&mut pattern.all, rest),
            };
            let (term, left) = term(word)?;
            place.push(term);
            rest = left.trim_start();
        }
        Ok(pattern)
    }

    /// Tells whether an event is to be shown.
    pub(super) fn matches(&self, message: &str) -> bool {
        self.all.iter().all(|term| term.is_in(message))
            && (self.any.is_empty() || self.any.iter().any(|term| term.is_in(message)))
            && !self.none.iter().any(|term| term.is_in(message))
    }
}

/// The first term of a text, and what follows it.
fn term(text: &str) -> Result<(Term, &str), &'static str> {
    let quoted = |mark: char| {
        let inner = text.strip_prefix(mark)?;
        let mut escaped = false;
        let end = inner.find(|c| {
            let ends = c == mark && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        Some(
            end.map(|end| (&inner[..end], &inner[end + 1..]))
                .ok_or("Invalid filter pattern: a quote is missing"),
        )
    };
    if let Some(found) = quoted('"') {
        let (phrase, rest) = found?;
        return Ok((Term::Text(phrase.replace("\\\"", "\"").replace("\\\\", "\\")), rest));
    }
    if let Some(found) = quoted('%') {
        let (expression, rest) = found?;
        let expression =
            Regex::new(expression).map_err(|_| "Invalid filter pattern: not a regular expression")?;
        return Ok((Term::Expression(expression), rest));
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    if end == 0 {
        return Err("Invalid filter pattern: a word is missing");
    }
    Ok((Term::Text(text[..end].to_owned()), &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_phrases_exclusions_and_alternatives_are_understood() {
        let message = "[ERROR] cannot read \"a b\": timed out after 3.00 seconds";
        for (pattern, matches) in [
            ("", true),
            ("ERROR", true),
            ("error", false),
            ("ERROR seconds", true),
            ("ERROR minutes", false),
            ("\"timed out\"", true),
            ("\"out timed\"", false),
            (r#""\"a b\"""#, true),
            ("-ERROR", false),
            ("seconds -minutes", true),
            ("?minutes ?seconds", true),
            ("?minutes ?hours", false),
            (r"%[0-9]\.[0-9]{2} seconds%", true),
            ("%^ERROR%", false),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(message), matches, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["\"open", "{ $.level = \"error\" }", "[a, b]", "- a", "%(%"] {
            assert!(Pattern::parse(pattern).unwrap_err().starts_with("Invalid filter pattern"), "{pattern}");
        }
    }
}
