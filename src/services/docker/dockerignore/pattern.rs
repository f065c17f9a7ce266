//! One pattern of a `.dockerignore`: its cleaned text, whether it excepts, and what it matches.
//!
//! Follows moby's `patternmatcher` move for move, oddities included.
//! <https://github.com/moby/patternmatcher/blob/main/patternmatcher.go>

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

use super::expression;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    exception: bool,
    /// Made from a path, not from a line: nothing in it is a wildcard.
    literal: bool,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Exact,
    /// Ends in `**`, nothing else special.
    Prefix,
    /// Begins with `**`, nothing else special.
    Suffix,
    Expression(Regex),
}

impl Pattern {
    /// Compiles a line that went through [`normalized`]; `Err` says what is wrong with it.
    pub(super) fn new(line: &str) -> Result<Self, String> {
        // moby cleans a second time, here with the `!` still in front.
        let cleaned = clean(line.trim());
        let (exception, text) = match cleaned.strip_prefix('!') {
            Some("") => return Err("`!` alone excepts nothing".to_owned()),
            Some(text) => (true, text.to_owned()),
            None => (false, cleaned),
        };
        if !is_valid_glob(&text) {
            return Err("the pattern has a bracket or a backslash that does not end".to_owned());
        }
        let kind = compile(&text).ok_or("the pattern cannot be understood")?;
        Ok(Self { text, exception, literal: false, kind })
    }

    /// An exception for exactly this path, whatever characters it has.
    pub(super) fn except_path(path: &str) -> Self {
        Self { text: path.to_owned(), exception: true, literal: true, kind: Kind::Exact }
    }

    pub(super) fn is_exception(&self) -> bool {
        self.exception
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Tells whether wildcards stand anywhere but in a trailing `/*` or `/**`.
    pub(super) fn has_inner_wildcards(&self) -> bool {
        !self.literal && self.without_trailing_wildcard().contains(['*', '[', ']', '?', '^', '\\'])
    }

    /// The text without a trailing `/**` and `/*`.
    pub(super) fn without_trailing_wildcard(&self) -> &str {
        let text = self.text.strip_suffix("/**").unwrap_or(&self.text);
        text.strip_suffix("/*").unwrap_or(text)
    }

    /// Tells whether the pattern matches this path itself, not counting its parents.
    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.kind {
            Kind::Exact => path == self.text,
            Kind::Prefix => path.starts_with(&self.text[..self.text.len() - 2]),
            Kind::Suffix => {
                let suffix = &self.text[2..];
                path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path)
            }
            Kind::Expression(expression) => expression.is_match(path),
        }
    }
}

/// What a line of the file says, or `None` where it says nothing.
pub(super) fn normalized(line: &str) -> Option<String> {
    // A comment is one only where the `#` is the very first character.
    if line.starts_with('#') {
        return None;
    }
    let line = line.trim();
    let (mark, pattern) = match line.strip_prefix('!') {
        Some(pattern) => ("!", pattern.trim()),
        None => ("", line),
    };
    if pattern.is_empty() {
        return (!mark.is_empty()).then(|| mark.to_owned());
    }
    let cleaned = clean(pattern);
    let relative = match cleaned.strip_prefix('/') {
        Some(relative) if !relative.is_empty() => relative,
        _ => &cleaned,
    };
    Some(format!("{mark}{relative}"))
}

/// Go's `path.Clean`: <https://pkg.go.dev/path#Clean>.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut components: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." if components.last().is_some_and(|last| *last != "..") => {
                components.pop();
            }
            ".." if rooted => {}
            component => components.push(component),
        }
    }
    let joined = components.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// Tells whether Go's `filepath.Match` finds no fault in the pattern's syntax.
fn is_valid_glob(pattern: &str) -> bool {
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        let valid = match character {
            '\\' => rest.next().is_some(),
            '[' => is_valid_class(&mut rest),
            _ => true,
        };
        if !valid {
            return false;
        }
    }
    true
}

/// Reads over a class behind its opening bracket; `false` where it does not end well.
fn is_valid_class(rest: &mut Peekable<Chars<'_>>) -> bool {
    fn skip_member(rest: &mut Peekable<Chars<'_>>) -> bool {
        match rest.next() {
            None | Some('-' | ']') => false,
            Some('\\') => rest.next().is_some(),
            Some(_) => true,
        }
    }
    rest.next_if_eq(&'^');
    loop {
        if !skip_member(rest) || (rest.next_if_eq(&'-').is_some() && !skip_member(rest)) {
            return false;
        }
        if rest.next_if_eq(&']').is_some() {
            return true;
        }
    }
}

/// moby's `compile`, for `/` as the separator.
fn compile(pattern: &str) -> Option<Kind> {
    #[derive(PartialEq)]
    enum Detected {
        Exact,
        Prefix,
        Suffix,
        Expression,
    }
    let mut detected = Detected::Exact;
    let mut go = String::from("^");
    let mut rest = pattern.chars().peekable();
    let mut first = true;
    while let Some(character) = rest.next() {
        match character {
            '*' if rest.next_if_eq(&'*').is_some() => {
                rest.next_if_eq(&'/');
                if rest.peek().is_some() {
                    go.push_str("(.*/)?");
                    detected = Detected::Expression;
                } else if detected == Detected::Exact {
                    detected = Detected::Prefix;
                } else {
                    go.push_str(".*");
                    detected = Detected::Expression;
                }
                if first {
                    detected = Detected::Suffix;
                }
            }
            '*' => {
                go.push_str("[^/]*");
                detected = Detected::Expression;
            }
            '?' => {
                go.push_str("[^/]");
                detected = Detected::Expression;
            }
            '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => {
                go.push('\\');
                go.push(character);
            }
            '\\' => {
                go.push('\\');
                if let Some(next) = rest.next() {
                    go.push(next);
                    detected = Detected::Expression;
                }
            }
            '[' | ']' => {
                go.push(character);
                detected = Detected::Expression;
            }
            other => go.push(other),
        }
        first = false;
    }
    Some(match detected {
        Detected::Exact => Kind::Exact,
        Detected::Prefix => Kind::Prefix,
        Detected::Suffix => Kind::Suffix,
        Detected::Expression => {
            go.push('$');
            Kind::Expression(Regex::new(&expression::from_go(&go)?).ok()?)
        }
    })
}
