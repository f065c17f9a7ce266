//! Quotes, escapes and variables in the words of an instruction, as BuildKit's `shell` package
//! resolves them. <https://docs.docker.com/reference/dockerfile/#environment-replacement>

use std::iter::Peekable;
use std::str::Chars;

use super::NotUnderstood;

/// Gives the value of a variable; `None` where it is not set, an error where nobody but a builder
/// can tell.
pub(in super::super) type Lookup<'a> = &'a dyn Fn(&str) -> Result<Option<String>, NotUnderstood>;

/// Resolves quotes, escapes and variables; white space stays.
pub(in super::super) fn word(
    text: &str,
    escape: char,
    variables: Lookup<'_>,
) -> Result<String, NotUnderstood> {
    let mut reader = Reader { rest: text.chars().peekable(), escape, variables };
    let mut out = Words::default();
    reader.read_until(None, &mut out)?;
    Ok(out.whole)
}

/// The same, and splits what comes out at white space that was not quoted.
pub(in super::super) fn words(
    text: &str,
    escape: char,
    variables: Lookup<'_>,
) -> Result<Vec<String>, NotUnderstood> {
    let mut reader = Reader { rest: text.chars().peekable(), escape, variables };
    let mut out = Words::default();
    reader.read_until(None, &mut out)?;
    out.end_word();
    Ok(out.words)
}

/// What comes out: as a whole, and as words.
#[derive(Default)]
struct Words {
    whole: String,
    words: Vec<String>,
    current: String,
}

impl Words {
    fn push_quoted(&mut self, text: &str) {
        self.whole.push_str(text);
        self.current.push_str(text);
    }

    fn push_open(&mut self, text: &str) {
        self.whole.push_str(text);
        for character in text.chars() {
            if character.is_whitespace() {
                self.end_word();
            } else {
                self.current.push(character);
            }
        }
    }

    fn end_word(&mut self) {
        if !self.current.is_empty() {
            self.words.push(std::mem::take(&mut self.current));
        }
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    escape: char,
    variables: Lookup<'a>,
}

impl Reader<'_> {
    fn read_until(&mut self, end: Option<char>, out: &mut Words) -> Result<(), NotUnderstood> {
        while let Some(character) = self.rest.next() {
            match character {
                _ if Some(character) == end => return Ok(()),
                '\'' => out.push_quoted(&self.single_quoted()?),
                '"' => out.push_quoted(&self.double_quoted()?),
                '$' => {
                    let value = self.variable()?;
                    out.push_open(&value);
                }
                _ if character == self.escape => match self.rest.next() {
                    Some(escaped) => out.push_quoted(escaped.encode_utf8(&mut [0; 4])),
                    None => break,
                },
                _ => out.push_open(character.encode_utf8(&mut [0; 4])),
            }
        }
        match end {
            Some(_) => Err(NotUnderstood::new("a `${` without its `}`")),
            None => Ok(()),
        }
    }

    fn single_quoted(&mut self) -> Result<String, NotUnderstood> {
        let mut text = String::new();
        for character in self.rest.by_ref() {
            match character {
                '\'' => return Ok(text),
                _ => text.push(character),
            }
        }
        Err(NotUnderstood::new("a quote that is not closed"))
    }

    fn double_quoted(&mut self) -> Result<String, NotUnderstood> {
        let mut text = String::new();
        while let Some(character) = self.rest.next() {
            match character {
                '"' => return Ok(text),
                '$' => text.push_str(&self.variable()?),
                _ if character == self.escape => match self.rest.peek() {
                    Some(&next) if next == '"' || next == '$' || next == self.escape => {
                        text.push(next);
                        self.rest.next();
                    }
                    // Before anything else it stands for itself.
                    Some(_) => text.push(character),
                    None => {}
                },
                _ => text.push(character),
            }
        }
        Err(NotUnderstood::new("a quote that is not closed"))
    }

    /// What follows a `$`.
    fn variable(&mut self) -> Result<String, NotUnderstood> {
        if self.rest.next_if_eq(&'{').is_none() {
            if self.rest.peek().is_some_and(|next| is_special(*next)) {
                return Err(NotUnderstood::new("a special parameter of the shell after `$`"));
            }
            let name = self.name();
            return Ok(if name.is_empty() { "$".to_owned() } else { self.value(&name)?.unwrap_or_default() });
        }
        let name = self.name();
        let unsupported = |form: &str| NotUnderstood::new(format!("the form `${{{name}{form}…}}`"));
        if name.is_empty() || name.starts_with(|first: char| first.is_numeric()) {
            return Err(unsupported(""));
        }
        match (self.rest.next(), self.rest.peek().copied()) {
            (Some('}'), _) => Ok(self.value(&name)?.unwrap_or_default()),
            (Some(':'), Some(modifier @ ('-' | '+'))) => {
                self.rest.next();
                let mut word = Words::default();
                self.read_until(Some('}'), &mut word)?;
                let value = self.value(&name)?.filter(|value| !value.is_empty());
                Ok(match modifier {
                    '-' => value.unwrap_or(word.whole),
                    _ => value.map(|_| word.whole).unwrap_or_default(),
                })
            }
            // The others are newer than many an engine, or end the build.
            (Some(other), _) => Err(unsupported(&other.to_string())),
            (None, _) => Err(NotUnderstood::new("a `${` without its `}`")),
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(character) = self.rest.next_if(|next| next.is_alphanumeric() || *next == '_') {
            name.push(character);
        }
        name
    }

    fn value(&self, name: &str) -> Result<Option<String>, NotUnderstood> {
        (self.variables)(name)
    }
}

fn is_special(character: char) -> bool {
    character.is_numeric() || matches!(character, '@' | '*' | '#' | '?' | '-' | '$' | '!')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(name: &str) -> Result<Option<String>, NotUnderstood> {
        let value = match name {
            "PWD" => "/home",
            "SHELL" => "bash",
            "KOREAN" => "한국어",
            "EMPTY" => "",
            "TWO" => "a b",
            _ => return Ok(None),
        };
        Ok(Some(value.to_owned()))
    }

    /// Docker's own odd cases.
    /// <https://github.com/moby/buildkit/blob/master/frontend/dockerfile/shell/envVarTest>
    #[test]
    fn words_become_what_docker_makes_of_them() {
        for (text, expected) in [
            ("hello", "hello"),
            ("he'll'o", "hello"),
            (r"he\'llo", "he'llo"),
            (r"he\\'llo'", r"he\llo"),
            (r#"abc"de'f"g"#, "abcde'fg"),
            (r"'he\'llo", r"he\llo"),
            ("$", "$"),
            ("he$PWD.", "he/home."),
            ("he$PWDx", "he"),
            ("'he$PWD'", "he$PWD"),
            (r#""he$PWD""#, "he/home"),
            (r#""he\$PWD""#, "he$PWD"),
            (r"\${}", "${}"),
            (r"he\$PWD", "he$PWD"),
            (r"he\\$PWD", r"he\/home"),
            ("he${}xx", "!"),
            ("he${PWD}xx", "he/homexx"),
            ("he${XXX:-000}xx", "he000xx"),
            ("he${PWD:-000}xx", "he/homexx"),
            ("he${XXX:-$PWD}xx", "he/homexx"),
            ("he${XXX:-${PWD:-yyy}}xx", "he/homexx"),
            ("he${XXX:-${YYY:-yyy}}xx", "heyyyxx"),
            ("he${XXX:YYY}", "!"),
            ("he${XXX:+${PWD}}xx", "hexx"),
            ("he${PWD:+${XXX}}xx", "hexx"),
            ("he${PWD:+${SHELL}}xx", "hebashxx"),
            ("he${EMPTY:-x}", "hex"),
            ("he${EMPTY:+x}", "he"),
            ("he${XXX:-\\$PWD:}xx", "he$PWD:xx"),
            ("he${XXX:-\\${PWD}z}xx", "he${PWDz}xx"),
            ("안녕하세요", "안녕하세요"),
            ("안녕${KOREAN}xx", "안녕한국어xx"),
            ("안$KOREAN", "안한국어"),
            (r#"a "b  c" d"#, "a b  c d"),
            (r#""\a\"""#, r#"\a""#),
            ("x\\", "x"),
            ("'unclosed", "!"),
            ("\"unclosed", "!"),
            ("${PWD", "!"),
            ("${PWD-x}", "!"),
            ("${PWD?x}", "!"),
            ("${PWD#/}", "!"),
            ("${PWD//a/b}", "!"),
            ("$1", "!"),
            ("$@", "!"),
        ] {
            let found = word(text, '\\', &variables);
            match expected {
                "!" => assert!(found.is_err(), "{text}: {found:?}"),
                expected => assert_eq!(found.unwrap(), expected, "{text}"),
            }
        }
    }

    #[test]
    fn words_are_split_after_they_are_resolved() {
        for (text, expected) in [
            ("a  b", &["a", "b"][..]),
            ("$TWO", &["a", "b"]),
            ("\"$TWO\" c", &["a b", "c"]),
            (r"a\ b", &["a b"]),
            ("x$TWO.y", &["xa", "b.y"]),
            ("'' $EMPTY", &[]),
        ] {
            assert_eq!(words(text, '\\', &variables).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn the_escape_character_may_be_another() {
        assert_eq!(word(r"c:\x`$PWD\$PWD", '`', &variables).unwrap(), r"c:\x$PWD\/home");
    }
}
