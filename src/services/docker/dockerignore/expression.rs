//! Turns a pattern of a `.dockerignore` into a regular expression the way moby's
//! `patternmatcher` does. Called by `pattern` only.
//!
//! moby copies most of a pattern into an expression for Go's `regexp`, so a bracket or an
//! escaped letter means what it means *there*. That is done in the same two moves here: first
//! the text moby would hand to Go, then the same meaning in the `regex` crate's words.
//! <https://github.com/moby/patternmatcher/blob/main/patternmatcher.go>
//! <https://github.com/google/re2/wiki/Syntax>

use std::iter::Peekable;
use std::str::Chars;

/// Escapes that name a set of characters in Go; ASCII only, unlike in the `regex` crate.
const SETS: [(char, &str); 6] = [
    ('d', "0-9"),
    ('s', r"\t\n\x0C\r "),
    ('w', "0-9A-Za-z_"),
    ('D', "[^0-9]"),
    ('S', r"[^\t\n\x0C\r ]"),
    ('W', "[^0-9A-Za-z_]"),
];

/// The same expression for the `regex` crate; `None` where Go would not compile it.
pub(super) fn from_go(expression: &str) -> Option<String> {
    let mut rest = expression.chars().peekable();
    let mut out = String::new();
    while let Some(character) = rest.next() {
        match character {
            '[' => out.push_str(&class(&mut rest)?),
            // A bracket that closes nothing stands for itself.
            ']' => out.push_str(r"\]"),
            '\\' => match rest.peek()? {
                'A' => take(&mut rest, &mut out, r"\A"),
                'z' => take(&mut rest, &mut out, r"\z"),
                'b' => take(&mut rest, &mut out, r"\b"),
                'B' => take(&mut rest, &mut out, r"\B"),
                letter => match set(*letter) {
                    Some(members) => take(&mut rest, &mut out, &format!("[{members}]")),
                    None => out.push_str(&literal(escape(&mut rest)?)),
                },
            },
            other => out.push(other),
        }
    }
    Some(out)
}

fn take(rest: &mut Peekable<Chars<'_>>, out: &mut String, text: &str) {
    rest.next();
    out.push_str(text);
}

fn set(letter: char) -> Option<&'static str> {
    SETS.iter().find(|(name, _)| *name == letter).map(|(_, members)| *members)
}

/// One character that can mean nothing but itself.
fn literal(character: char) -> String {
    format!(r"\x{{{:X}}}", u32::from(character))
}

/// The rest of a character class, behind its opening bracket.
fn class(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut out = String::from("[");
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    // A closing bracket in first place is a member.
    while first || rest.peek()? != &']' {
        first = false;
        if let Some(name) = named_class(rest)? {
            out.push_str(&name);
            continue;
        }
        let mut ahead = rest.clone();
        if ahead.next() == Some('\\')
            && let Some(members) = ahead.next().and_then(set)
        {
            ahead.clone_into(rest);
            out.push_str(members);
            continue;
        }
        let low = member(rest)?;
        let mut ahead = rest.clone();
        let high = if ahead.next() == Some('-') && ahead.peek().is_some_and(|next| *next != ']') {
            ahead.clone_into(rest);
            member(rest)?
        } else {
            low
        };
        if high < low {
            return None;
        }
        out.push_str(&format!("{}-{}", literal(low), literal(high)));
    }
    rest.next();
    out.push(']');
    Some(out)
}

/// `[:alpha:]` and its like inside a class; the outer `None` where the name is unknown.
fn named_class(rest: &mut Peekable<Chars<'_>>) -> Option<Option<String>> {
    let text: String = rest.clone().collect();
    let Some((name, _)) = text.strip_prefix("[:").and_then(|text| text.split_once(":]")) else {
        return Some(None);
    };
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
        "upper", "word", "xdigit",
    ];
    NAMES.contains(&name.trim_start_matches('^')).then_some(())?;
    let whole = format!("[:{name}:]");
    rest.nth(whole.chars().count() - 1);
    Some(Some(whole))
}

fn member(rest: &mut Peekable<Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '\\' => escape(rest),
        other => Some(other),
    }
}

/// The character an escape stands for, behind its backslash.
fn escape(rest: &mut Peekable<Chars<'_>>) -> Option<char> {
    let octal = |c: &char| ('0'..='7').contains(c);
    match rest.next()? {
        'a' => Some('\x07'),
        'f' => Some('\x0C'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0B'),
        'x' if rest.next_if_eq(&'{').is_some() => {
            let digits: String = rest.by_ref().take_while(|c| *c != '}').collect();
            char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
        }
        'x' => {
            let digits: String = [rest.next()?, rest.next()?].into_iter().collect();
            char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
        }
        // A lone digit other than zero would be a back reference, which Go does not have.
        digit @ '0'..='7' if digit == '0' || rest.peek().is_some_and(octal) => {
            let mut value = digit.to_digit(8)?;
            for _ in 0..2 {
                let Some(next) = rest.next_if(octal) else { break };
                value = value * 8 + next.to_digit(8)?;
            }
            char::from_u32(value)
        }
        other if other.is_ascii() && !other.is_ascii_alphanumeric() => Some(other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(go: &str, text: &str) -> Option<bool> {
        Some(regex::Regex::new(&from_go(go)?).unwrap().is_match(text))
    }

    #[test]
    fn classes_and_escapes_mean_what_they_mean_in_go() {
        for (go, text, wanted) in [
            ("^[a-c]$", "b", Some(true)),
            ("^[^a-c]$", "b", Some(false)),
            // What moby makes of `[*]`: a class, a star, and a bracket.
            ("^[[^/]*]$", "^[]", Some(true)),
            ("^[[^/]*]$", "a", Some(false)),
            ("^[a&&b]$", "&", Some(true)),
            ("^[a~~b-]$", "-", Some(true)),
            ("^[b--]$", "b", None),
            ("^[]a]$", "]", Some(true)),
            ("^[[:digit:]]$", "7", Some(true)),
            ("^[[:nothing:]]$", "7", None),
            (r"^\d$", "٣", Some(false)),
            (r"^[\d-z]$", "-", Some(true)),
            (r"^\a$", "\x07", Some(true)),
            (r"^\*$", "*", Some(true)),
            (r"^\101$", "A", Some(true)),
            (r"^\x41\x{42}$", "AB", Some(true)),
            (r"^\1$", "1", None),
            (r"^\q$", "q", None),
            ("^[z-a]$", "m", None),
            ("^[a", "a", None),
            ("^a]$", "a]", Some(true)),
        ] {
            assert_eq!(matches(go, text), wanted, "{go} on {text}");
        }
    }
}
