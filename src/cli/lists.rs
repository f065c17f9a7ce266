//! Lists on the command line: `A,B` and `K=V,K=V`, with gcloud's way to choose another
//! delimiter: `^;^K=a,b;L=c`.

use std::collections::BTreeMap;

use super::error::CommandError;
use crate::domain::secret::Secret;

/// Splits a list at commas, or at the delimiter it names itself. An empty text is an empty list.
pub(super) fn items(text: &str) -> Vec<&str> {
    let (delimiter, rest) = match text.strip_prefix('^').and_then(|rest| rest.split_once('^')) {
        Some((delimiter, rest)) if !delimiter.is_empty() => (delimiter, rest),
        _ => (",", text),
    };
    if rest.is_empty() { Vec::new() } else { rest.split(delimiter).collect() }
}

/// Words of all values of an option; `None` where it was not given.
pub(super) fn words(values: &[String]) -> Option<Vec<String>> {
    let words = || values.iter().flat_map(|value| items(value)).map(str::to_owned).collect();
    (!values.is_empty()).then(words)
}

/// Assignments of all values of `option`; a later one of a name wins. Complaints never show a
/// value: it may be a secret, and may come from an environment variable.
pub(super) fn assignments(option: &str, values: &[Secret]) -> Result<BTreeMap<String, Secret>, CommandError> {
    let mut assignments = BTreeMap::new();
    for (index, item) in values.iter().flat_map(|value| items(value.expose())).enumerate() {
        let (name, value) = assignment(option, index, item)?;
        assignments.insert(name, value);
    }
    Ok(assignments)
}

/// One assignment, which may have commas in it.
pub(super) fn assignment(option: &str, index: usize, item: &str) -> Result<(String, Secret), CommandError> {
    match item.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), Secret::new(value))),
        _ => Err(CommandError::Usage {
            message: format!("{option}: item {} is not of the form `NAME=VALUE`", index + 1),
            hints: vec![format!(
                "where values have commas in them, choose another delimiter: `{option} '^;^A=1,2;B=3'`"
            )],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_at_commas_or_at_a_delimiter_of_their_own() {
        for (text, expected) in [
            ("a,b", vec!["a", "b"]),
            ("a", vec!["a"]),
            ("", vec![]),
            ("^;^a,b;c", vec!["a,b", "c"]),
            ("^::^a:b::c", vec!["a:b", "c"]),
            ("^a,b", vec!["^a", "b"]),
            ("^^a,b", vec!["^^a", "b"]),
        ] {
            assert_eq!(items(text), expected, "{text}");
        }
    }

    #[test]
    fn assignments_keep_everything_after_the_first_equals_sign() {
        let values = [Secret::new("A=1,B=x=y"), Secret::new("^;^A=2,3;C=")];
        let found = assignments("--set-env-vars", &values).unwrap();
        let expected = [("A", "2,3"), ("B", "x=y"), ("C", "")];
        assert_eq!(found, expected.map(|(k, v)| (k.to_owned(), Secret::new(v))).into());
    }

    #[test]
    fn a_bad_assignment_is_refused_without_being_shown() {
        let error = assignments("--set-env-vars", &[Secret::new("A=1,hunter2")]).unwrap_err();
        assert_eq!(error.to_string(), "--set-env-vars: item 2 is not of the form `NAME=VALUE`");
    }
}
