//! Reads Rust source as far as the layering rules need it: code without comments, strings and
//! tests, and the paths it names.

/// A path as it stands in the code, groups of `use` declarations taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPath {
    /// The line it begins on, from 1.
    pub line: usize,
    /// `crate`, `domain`, `plan`, …; `*` for a glob.
    pub segments: Vec<String>,
}

/// Blanks out comments and the insides of string and character literals; lines stay lines.
pub fn without_comments_and_strings(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let end = match chars[i] {
            '/' if chars.get(i + 1) == Some(&'/') => end_of_line(&chars, i),
            '/' if chars.get(i + 1) == Some(&'*') => end_of_block_comment(&chars, i),
            '"' => end_of_string(&chars, i),
            'r' if !continues_word(&chars, i) => end_of_raw_string(&chars, i).unwrap_or(i),
            // `br"…"` is reached as an `r` that continues the word `b`.
            'b' if !continues_word(&chars, i) && chars.get(i + 1) == Some(&'r') => {
                end_of_raw_string(&chars, i + 1).unwrap_or(i)
            }
            '\'' => end_of_character(&chars, i).unwrap_or(i),
            _ => i,
        };
        if end == i {
            code.push(chars[i]);
            i += 1;
        } else {
            code.extend(chars[i..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    code
}

fn continues_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

fn end_of_line(chars: &[char], start: usize) -> usize {
    chars[start..].iter().position(|&c| c == '\n').map_or(chars.len(), |length| start + length)
}

fn end_of_block_comment(chars: &[char], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn end_of_string(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

fn end_of_raw_string(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start + 1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(start + 1 + hashes) != Some(&'"') {
        return None;
    }
    let mut i = start + 2 + hashes;
    while i < chars.len() {
        if chars[i] == '"' && chars[i + 1..].iter().take_while(|&&c| c == '#').take(hashes).count() == hashes
        {
            return Some(i + 1 + hashes);
        }
        i += 1;
    }
    Some(chars.len())
}

/// A quote begins a character literal or a lifetime; only the former ends.
fn end_of_character(chars: &[char], start: usize) -> Option<usize> {
    if chars.get(start + 1) == Some(&'\\') {
        let length = chars[start + 2..].iter().skip(1).position(|&c| c == '\'')?;
        return Some(start + 2 + 1 + length + 1);
    }
    (chars.get(start + 2) == Some(&'\'')).then_some(start + 3)
}

/// Blanks out `#[cfg(test)] mod … { … }`: tests may start whatever they need.
pub fn without_tests(code: &str) -> String {
    let mut rest = code;
    let mut kept = String::with_capacity(code.len());
    while let Some(at) = rest.find("#[cfg(test)]") {
        let (before, after) = rest.split_at(at);
        kept.push_str(before);
        let end = end_of_module(after).unwrap_or("#[cfg(test)]".len());
        kept.extend(after[..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &after[end..];
    }
    kept.push_str(rest);
    kept
}

/// Where the braces of the module that follows close; nothing where no inline module follows.
fn end_of_module(after: &str) -> Option<usize> {
    let open = after.find('{')?;
    let head = &after[..open];
    if !head.split_whitespace().any(|word| word == "mod") || head.contains(';') {
        return None;
    }
    let mut depth = 0;
    for (at, c) in after.char_indices().skip_while(|(at, _)| *at < open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    PathSeparator,
    Other(char),
}

fn tokens(code: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            ':' if chars.peek() == Some(&':') => {
                chars.next();
                tokens.push((line, Token::PathSeparator));
            }
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = c.to_string();
                while let Some(&c) = chars.peek().filter(|c| c.is_alphanumeric() || **c == '_') {
                    word.push(c);
                    chars.next();
                }
                tokens.push((line, Token::Word(word)));
            }
            c if c.is_whitespace() => {}
            c => tokens.push((line, Token::Other(c))),
        }
    }
    tokens
}

/// Every path of two segments or more, in the order of the code.
pub fn paths(code: &str) -> Vec<NamedPath> {
    let tokens = tokens(code);
    let mut paths = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        i = match tokens[i].1 {
            // `pub(in crate::a)` says who may look in, and looks out itself at nobody.
            Token::Word(ref word) if word == "in" && is_visibility(&tokens, i) => skip_path(&tokens, i + 1),
            Token::Word(_) => tree(&tokens, i, &[], &mut paths),
            _ => i + 1,
        };
    }
    paths.retain(|path| path.segments.len() > 1);
    paths
}

/// Tells whether the word `in` at `at` stands in `pub(in …)`.
fn is_visibility(tokens: &[(usize, Token)], at: usize) -> bool {
    at >= 2
        && tokens[at - 1].1 == Token::Other('(')
        && matches!(&tokens[at - 2].1, Token::Word(word) if word == "pub")
}

fn skip_path(tokens: &[(usize, Token)], start: usize) -> usize {
    tokens[start..]
        .iter()
        .position(|(_, token)| matches!(token, Token::Other(_)))
        .map_or(tokens.len(), |length| start + length)
}

/// Reads one path from `start` on, a group at its end included, and returns where it stopped.
fn tree(tokens: &[(usize, Token)], start: usize, prefix: &[String], paths: &mut Vec<NamedPath>) -> usize {
    let line = tokens[start].0;
    let mut segments = prefix.to_vec();
    let mut i = start;
    loop {
        match tokens.get(i).map(|(_, token)| token) {
            // `a::{self}` names `a`; at the beginning of a path it means this module.
            Some(Token::Word(word)) if word == "self" && !prefix.is_empty() && i == start => i += 1,
            Some(Token::Word(word)) => {
                segments.push(word.clone());
                i += 1;
            }
            Some(Token::Other('*')) => {
                segments.push("*".to_owned());
                i += 1;
            }
            Some(Token::Other('{')) if i > start || !prefix.is_empty() => {
                return group(tokens, i + 1, &segments, paths);
            }
            _ => break,
        }
        if tokens.get(i).map(|(_, token)| token) != Some(&Token::PathSeparator) {
            break;
        }
        i += 1;
    }
    paths.push(NamedPath { line, segments });
    i.max(start + 1)
}

/// Reads `a, b::c, d as e}` below `prefix`.
fn group(tokens: &[(usize, Token)], start: usize, prefix: &[String], paths: &mut Vec<NamedPath>) -> usize {
    let mut i = start;
    while let Some((_, token)) = tokens.get(i) {
        i = match token {
            Token::Other('}') => return i + 1,
            Token::Word(word) if word == "as" => i + 2,
            Token::Word(_) | Token::Other('*' | '{') => tree(tokens, i, prefix, paths),
            _ => i + 1,
        };
    }
    i
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(code: &str) -> Vec<String> {
        paths(code).into_iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        let text = r####"
            a(); // crate::b
            /* crate::c /* nested */ crate::d */ let e: &'static str = "crate::f \" crate::g";
            let h = ('"', '\'', b'"', r#"crate::i " "#, br"crate::j", 'k');
            fn l<'m>(n: &'m str) { crate::o() }
        "####;
        let code = without_comments_and_strings(text);
        assert_eq!(named(&code), ["crate::o"]);
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn groups_are_taken_apart() {
        assert_eq!(
            named("use crate::{a, b::{self, c::D as E, *}, f as g};"),
            ["crate::a", "crate::b", "crate::b::c::D", "crate::b::*", "crate::f"]
        );
    }

    #[test]
    fn paths_in_expressions_and_types_are_seen_with_their_lines() {
        let found = paths("fn f(x: super::A) {\n  crate::b::c::<u8>(x);\n  match x { d => e }\n}");
        let expected = [(1, "super::A"), (2, "crate::b::c")];
        assert_eq!(
            found.iter().map(|path| (path.line, path.segments.join("::"))).collect::<Vec<_>>(),
            expected.map(|(line, path)| (line, path.to_owned()))
        );
    }

    #[test]
    fn visibility_is_not_use() {
        assert_eq!(named("pub(in crate::a) fn f() { for b in crate::c::d {} }"), ["crate::c::d"]);
    }

    #[test]
    fn inline_test_modules_are_left_out_and_what_follows_is_not() {
        let code = "crate::a();\n#[cfg(test)]\nmod tests {\n fn f() { crate::b(); }\n}\ncrate::c();";
        let rest = without_tests(code);
        assert_eq!(named(&rest), ["crate::a", "crate::c"]);
        assert_eq!(rest.lines().count(), code.lines().count());
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_hides_nothing_here() {
        let rest = without_tests("#[cfg(test)]\nmod tests;\nfn f() { crate::a(); }");
        assert_eq!(named(&rest), ["crate::a"]);
    }
}
