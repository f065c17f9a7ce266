//! Reads tables of a TOML document so that every complaint knows its line and column.
//!
//! A table is opened with the keys it may have; an unknown one is refused at once, with the
//! nearest known key. Values are handed to a rule, whose complaint gets the value's position.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Position};

/// A file and its text, to turn offsets into positions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// The line and column of a byte offset.
    pub(super) fn position(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// An opened table, all of whose keys are known.
#[derive(Debug)]
pub(super) struct Table<'a> {
    source: Source<'a>,
    name: String,
    entries: &'a DeTable<'a>,
    span: Range<usize>,
}

impl<'a> Table<'a> {
    /// Opens the table `name` (dotted; empty for the document), refusing keys not in `known`.
    pub(super) fn open(
        source: Source<'a>,
        name: String,
        entries: &'a Spanned<DeTable<'a>>,
        known: &'static [&'static str],
    ) -> Result<Self, ConfigError> {
        Self::checked(source, name, entries.get_ref(), entries.span(), known)
    }

    fn checked(
        source: Source<'a>,
        name: String,
        entries: &'a DeTable<'a>,
        span: Range<usize>,
        known: &'static [&'static str],
    ) -> Result<Self, ConfigError> {
        let unknown = entries
            .keys()
            .filter(|key| !known.contains(&key.get_ref().as_ref()))
            .min_by_key(|key| key.span().start);
        if let Some(key) = unknown {
            return Err(ConfigError::UnknownKey {
                position: source.position(key.span().start),
                key: key.get_ref().to_string(),
                table: name,
                nearest: nearest(key.get_ref(), known),
                known,
            });
        }
        Ok(Self { source, name, entries, span })
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries.iter().find(|(name, _)| name.get_ref().as_ref() == key).map(|(_, value)| value)
    }

    fn dotted(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn complain(&self, key: &str, span: Range<usize>, problem: impl Into<String>) -> ConfigError {
        ConfigError::Value {
            position: self.source.position(span.start),
            key: self.dotted(key),
            problem: problem.into(),
        }
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> ConfigError {
        let problem = format!("expected {expected}, found {}", value.get_ref().type_str());
        self.complain(key, value.span(), problem)
    }

    /// A text that `rule` accepts.
    pub(super) fn text<T, E: ToString>(
        &self,
        key: &str,
        rule: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let text = value.get_ref().as_str().ok_or_else(|| self.wrong_type(key, value, "a string"))?;
        rule(text).map(Some).map_err(|problem| self.complain(key, value.span(), problem.to_string()))
    }

    /// A text that has to be there.
    pub(super) fn required<T, E: ToString>(
        &self,
        key: &str,
        rule: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, ConfigError> {
        self.text(key, rule)?.ok_or_else(|| self.complain(key, self.span.clone(), "is missing"))
    }

    /// A whole number that `rule` accepts.
    pub(super) fn integer<T, E: ToString>(
        &self,
        key: &str,
        rule: impl FnOnce(i64) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = value
            .get_ref()
            .as_integer()
            .ok_or_else(|| self.wrong_type(key, value, "a whole number without quotes"))?;
        let number = i64::from_str_radix(number.as_str(), number.radix())
            .map_err(|error| self.complain(key, value.span(), error.to_string()))?;
        rule(number).map(Some).map_err(|problem| self.complain(key, value.span(), problem.to_string()))
    }

    /// A text that `rule` accepts, or a whole number that `number` accepts.
    pub(super) fn text_or_integer<T, E: ToString>(
        &self,
        key: &str,
        rule: impl FnOnce(&str) -> Result<T, E>,
        number: impl FnOnce(i64) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        match self.get(key) {
            Some(value) if value.get_ref().as_integer().is_some() => self.integer(key, number),
            _ => self.text(key, rule),
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value
            .get_ref()
            .as_bool()
            .map(Some)
            .ok_or_else(|| self.wrong_type(key, value, "`true` or `false` without quotes"))
    }

    /// A list of strings.
    pub(super) fn words(&self, key: &str) -> Result<Option<Vec<String>>, ConfigError> {
        self.each(key, |word| Ok::<_, std::convert::Infallible>(word.to_owned()))
    }

    /// A list of strings, each of which `rule` accepts.
    pub(super) fn each<T, C: FromIterator<T>, E: ToString>(
        &self,
        key: &str,
        rule: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<C>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let expected = "a list of strings, such as `[\"app.handler\"]`";
        let items = value.get_ref().as_array().ok_or_else(|| self.wrong_type(key, value, expected))?;
        items
            .iter()
            .map(|item| {
                let word = item.get_ref().as_str().ok_or_else(|| self.wrong_type(key, item, "a string"))?;
                rule(word).map_err(|problem| self.complain(key, item.span(), problem.to_string()))
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A table of free names and string values, each pair of which `rule` accepts.
    pub(super) fn strings<E: ToString>(
        &self,
        key: &str,
        rule: impl Fn(&str, &str) -> Result<(), E>,
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(BTreeMap::new()) };
        let entries = value.get_ref().as_table().ok_or_else(|| self.wrong_type(key, value, "a table"))?;
        let mut strings = BTreeMap::new();
        for (name, value) in entries {
            let dotted = format!("{key}.{}", name.get_ref());
            let text = value
                .get_ref()
                .as_str()
                .ok_or_else(|| self.wrong_type(&dotted, value, "a string (put it in quotes)"))?;
            rule(name.get_ref(), text)
                .map_err(|problem| self.complain(&dotted, name.span(), problem.to_string()))?;
            strings.insert(name.get_ref().to_string(), text.to_owned());
        }
        Ok(strings)
    }

    /// A table of its own.
    pub(super) fn table(
        &self,
        key: &str,
        known: &'static [&'static str],
    ) -> Result<Option<Table<'a>>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let entries = value.get_ref().as_table().ok_or_else(|| self.wrong_type(key, value, "a table"))?;
        Table::checked(self.source, self.dotted(key), entries, value.span(), known).map(Some)
    }

    /// Tables with free names, such as the stages.
    pub(super) fn tables(
        &self,
        key: &str,
        known: &'static [&'static str],
    ) -> Result<BTreeMap<String, Table<'a>>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(BTreeMap::new()) };
        let entries = value.get_ref().as_table().ok_or_else(|| self.wrong_type(key, value, "a table"))?;
        let mut tables = BTreeMap::new();
        for (name, value) in entries {
            let dotted = format!("{key}.{}", name.get_ref());
            let inner =
                value.get_ref().as_table().ok_or_else(|| self.wrong_type(&dotted, value, "a table"))?;
            let table = Table::checked(self.source, self.dotted(&dotted), inner, value.span(), known)?;
            tables.insert(name.get_ref().to_string(), table);
        }
        Ok(tables)
    }

    /// A list of tables.
    pub(super) fn list(
        &self,
        key: &str,
        known: &'static [&'static str],
    ) -> Result<Option<Vec<Table<'a>>>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let items =
            value.get_ref().as_array().ok_or_else(|| self.wrong_type(key, value, "a list of tables"))?;
        items
            .iter()
            .map(|item| {
                let inner = item.get_ref().as_table().ok_or_else(|| self.wrong_type(key, item, "a table"))?;
                Table::checked(self.source, self.dotted(key), inner, item.span(), known)
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

/// The known key that was probably meant, if one is near enough.
fn nearest(key: &str, known: &'static [&'static str]) -> Option<&'static str> {
    let plain = key.to_lowercase().replace('-', "_");
    crate::domain::nearest::nearest(&plain, known.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_found_or_none_is_invented() {
        let known = &["memory_size", "timeout", "entry_point", "environment"];
        for (typed, meant) in [
            ("memroy_size", Some("memory_size")),
            ("memory-size", Some("memory_size")),
            ("Timeout", Some("timeout")),
            ("entrypoint", Some("entry_point")),
            ("banana", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        let source = Source { path: Path::new("f"), text: "a = 1\nä = \"ö\" # x\n" };
        let offset = source.text.find('x').unwrap();
        let position = source.position(offset);
        assert_eq!((position.line, position.column), (2, 11));
    }
}
