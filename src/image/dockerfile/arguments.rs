//! What follows the keyword of an instruction: words, lists, assignments, times. Values are still
//! as they were written: variables are resolved later, one by one.

use super::{NotUnderstood, is_blank};

/// What may be written as a JSON array of strings, else is one text (`CMD`, `ENTRYPOINT`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Command {
    /// The exec form.
    Words(Vec<String>),
    /// The shell form.
    Shell(String),
}

/// Reads a command. What merely looks like an array is a text, as it is to Docker.
pub(in super::super) fn command(rest: &str) -> Result<Command, NotUnderstood> {
    Ok(json(rest)?.map_or_else(|| Command::Shell(rest.to_owned()), Command::Words))
}

/// Reads a list: an array, or words between white space, in which quotes mean nothing.
pub(in super::super) fn list(rest: &str) -> Result<Vec<String>, NotUnderstood> {
    Ok(match json(rest)? {
        Some(words) => words,
        None => rest.split(is_blank).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
    })
}

/// A JSON array of strings; `None` where it is not JSON at all.
fn json(rest: &str) -> Result<Option<Vec<String>>, NotUnderstood> {
    if !rest.starts_with('[') {
        return Ok(None);
    }
    match serde_json::from_str::<Vec<serde_json::Value>>(rest) {
        Err(_) => Ok(None),
        Ok(values) => {
            let words = values.into_iter().map(|value| value.as_str().map(str::to_owned)).collect();
            match words {
                Some(words) => Ok(Some(words)),
                None => Err(NotUnderstood::new("an array of something else than strings")),
            }
        }
    }
}

/// Splits at white space outside of quotes, which are kept.
pub(in super::super) fn quoted_words(rest: &str, escape: char) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        if character == escape && quote != Some('\'') {
            // One at the very end is dropped.
            if let Some(escaped) = characters.next() {
                word.extend([character, escaped]);
            }
            continue;
        }
        match quote {
            None if character.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if matches!(character, '"' | '\'') => quote = Some(character),
            Some(open) if open == character => quote = None,
            _ => {}
        }
        word.push(character);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// `NAME=VALUE …`, or the old form `NAME VALUE`.
pub(in super::super) fn assignments(
    rest: &str,
    escape: char,
) -> Result<Vec<(String, String)>, NotUnderstood> {
    let words = quoted_words(rest, escape);
    let Some(first) = words.first() else { return Err(NotUnderstood::new("no arguments")) };
    if !first.contains('=') {
        let (name, value) = rest
            .split_once(is_blank)
            .ok_or_else(|| NotUnderstood::new(format!("`{rest}` without a value")))?;
        return Ok(vec![(name.to_owned(), value.trim_start_matches(is_blank).to_owned())]);
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(NotUnderstood::new(format!("`{word}` where `NAME=VALUE` belongs"))),
        })
        .collect()
}

/// `NAME[=DEFAULT] …`
pub(in super::super) fn declarations(
    rest: &str,
    escape: char,
) -> Result<Vec<(String, Option<String>)>, NotUnderstood> {
    let declared: Vec<_> = quoted_words(rest, escape)
        .iter()
        .map(|word| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word.clone(), None),
        })
        .collect();
    let is_plain = |name: &str| {
        !name.is_empty()
            && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
    };
    match declared.iter().find(|(name, _)| !is_plain(name)) {
        Some((name, _)) => Err(NotUnderstood::new(format!("an ARG of the name `{name}`"))),
        None if declared.is_empty() => Err(NotUnderstood::new("no arguments")),
        None => Ok(declared),
    }
}

/// A time such as `1m30s` or `500ms`, in nanoseconds, as Go's `time.ParseDuration` reads the usual
/// ones.
pub(in super::super) fn duration(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let end = unit.find(|character: char| character.is_ascii_digit()).unwrap_or(unit.len());
        let nanoseconds = match &unit[..end] {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(nanoseconds)?)?;
        rest = &unit[end..];
    }
    // Less than a millisecond is refused by the builder.
    (total >= 1_000_000).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_json_is_a_text() {
        let words = |words: &[&str]| Command::Words(words.iter().map(|&word| word.to_owned()).collect());
        assert_eq!(command(r#"["a", "b c"]"#).unwrap(), words(&["a", "b c"]));
        assert_eq!(command(r#"[ ]"#).unwrap(), words(&[]));
        assert_eq!(command("['a']").unwrap(), Command::Shell("['a']".to_owned()));
        assert_eq!(command("[ -f x ] && y").unwrap(), Command::Shell("[ -f x ] && y".to_owned()));
        assert!(command("[1]").is_err());
        assert_eq!(list(r#"["a b","c"]"#).unwrap(), ["a b", "c"]);
        assert_eq!(list("a  \"b\tc\"").unwrap(), ["a", "\"b", "c\""]);
    }

    #[test]
    fn assignments_keep_their_quotes_and_escapes() {
        let read = |text: &str| assignments(text, '\\').map_err(|error| error.to_string());
        let pairs = |pairs: &[(&str, &str)]| {
            Ok(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        assert_eq!(
            read(r#"a=1 "b c"='2 3' d=e\ f g="#),
            pairs(&[("a", "1"), ("\"b c\"", "'2 3'"), ("d", r"e\ f"), ("g", "")])
        );
        assert_eq!(read("name  a = b  \"c\""), pairs(&[("name", "a = b  \"c\"")]));
        assert_eq!(read("a=1 b"), Err("`b` where `NAME=VALUE` belongs".to_owned()));
        assert_eq!(read("a"), Err("`a` without a value".to_owned()));
        assert_eq!(read(r"a='\' b=2"), pairs(&[("a", r"'\'"), ("b", "2")]));
    }

    #[test]
    fn declarations_may_have_defaults() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            declarations("A B= C=\"x y\"", '\\').unwrap(),
            [("A".to_owned(), None), ("B".to_owned(), some("")), ("C".to_owned(), some("\"x y\""))]
        );
        assert!(declarations("A$B=1", '\\').is_err());
        assert!(declarations("", '\\').is_err());
    }

    #[test]
    fn times_are_in_nanoseconds() {
        assert_eq!(duration("1m30s"), Some(90_000_000_000));
        assert_eq!(duration("500ms"), Some(500_000_000));
        for text in ["1", "1us", "s", "1x", "1.5s", "-1s", ""] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
