//! Splits the text of a Dockerfile into instructions: directives, comments, continued lines.

use std::ops::RangeInclusive;

use super::{NotUnderstood, is_blank};

/// One instruction, its lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Instruction {
    /// The line it begins on, from 1.
    pub(in super::super) line: usize,
    /// The line it ends on.
    pub(in super::super) end: usize,
    /// In capitals.
    pub(in super::super) keyword: String,
    /// Its options: what begins with `--` before anything else.
    pub(in super::super) flags: Vec<String>,
    /// What follows, without white space at the ends.
    pub(in super::super) rest: String,
    /// All of it, as it was written.
    pub(in super::super) text: String,
}

/// The instructions of a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Dockerfile {
    /// The character that escapes others and continues lines.
    pub(in super::super) escape: char,
    pub(in super::super) instructions: Vec<Instruction>,
}

const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Tells whether a frontend is one whose rules are followed here: `docker/dockerfile:1`, or a
/// version of it. Where versions differ, nothing is understood anyway.
fn is_frontend(name: &str) -> bool {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let Some(version) = name.strip_prefix("docker/dockerfile:") else { return false };
    let mut parts = version.split('.');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.next() == Some("1") && parts.clone().count() <= 2 && parts.all(is_number)
}

impl Dockerfile {
    /// Reads the text of a Dockerfile.
    pub(in super::super) fn parse(text: &str) -> Result<Self, NotUnderstood> {
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let lines: Vec<&str> = text.split('\n').map(|line| line.trim_end_matches('\r')).collect();
        let escape = directives(&lines)?;
        let mut instructions = Vec::new();
        let mut lines = lines.into_iter().zip(1..);
        while let Some((line, number)) = lines.next() {
            let line = line.trim_start();
            if is_comment(line) {
                continue;
            }
            let (start, mut continues) = continuation(line, escape);
            if !continues && start.is_empty() {
                continue;
            }
            let (mut text, mut end) = (start.to_owned(), number);
            while continues {
                let Some((line, number)) = lines.next() else { break };
                end = number;
                // Comments and empty lines do not end what they stand in.
                if is_comment(line) || line.trim_start().is_empty() {
                    continue;
                }
                let (part, more) = continuation(line, escape);
                text.push_str(part);
                continues = more;
            }
            instructions.push(instruction(&text, number..=end, escape).map_err(|error| error.on(number))?);
        }
        if instructions.is_empty() {
            return Err(NotUnderstood::new("it has no instructions"));
        }
        Ok(Self { escape, instructions })
    }
}

/// Reads the directives at the top; gives the escape character.
/// <https://docs.docker.com/reference/dockerfile/#parser-directives>
fn directives(lines: &[&str]) -> Result<char, NotUnderstood> {
    let mut escape = None;
    let mut seen: Vec<String> = Vec::new();
    for (line, number) in lines.iter().zip(1..) {
        let Some((name, value)) = directive(line.trim_start()) else { break };
        if seen.contains(&name) {
            return Err(NotUnderstood::new(format!("a second `{name}` directive")).on(number));
        }
        match (name.as_str(), value) {
            ("escape", "\\") => escape = Some('\\'),
            ("escape", "`") => escape = Some('`'),
            ("syntax", frontend) if is_frontend(frontend) => {}
            ("check", _) => {}
            (_, value) => {
                return Err(NotUnderstood::new(format!("the directive `{name}={value}`")).on(number));
            }
        }
        seen.push(name);
    }
    Ok(escape.unwrap_or('\\'))
}

/// A known directive; anything else in a comment is a comment, and ends them.
fn directive(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
    (matches!(name.as_str(), "syntax" | "escape" | "check") && !value.is_empty()).then_some((name, value))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// Takes the character that continues a line off its end, and tells whether it was there. An
/// escaped one continues nothing.
fn continuation(line: &str, escape: char) -> (&str, bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    match trimmed.strip_suffix(escape) {
        Some(start) if !start.ends_with(escape) => (start, true),
        _ => (line, false),
    }
}

fn instruction(text: &str, lines: RangeInclusive<usize>, escape: char) -> Result<Instruction, NotUnderstood> {
    let trimmed = text.trim();
    let (keyword, rest) = trimmed.split_once(is_blank).unwrap_or((trimmed, ""));
    let keyword = keyword.to_ascii_uppercase();
    if !KEYWORDS.contains(&keyword.as_str()) {
        return Err(NotUnderstood::new(format!("the instruction `{keyword}`")));
    }
    let (flags, rest) = flags(rest.trim_start_matches(is_blank), escape)?;
    if matches!(keyword.as_str(), "ADD" | "COPY" | "RUN" | "ONBUILD") && rest.contains("<<") {
        return Err(NotUnderstood::new(format!("`{keyword}` with a here-document")));
    }
    let (rest, text) = (rest.trim().to_owned(), trimmed.to_owned());
    Ok(Instruction { line: *lines.start(), end: *lines.end(), keyword, flags, rest, text })
}

/// Takes the options off the start.
fn flags(text: &str, escape: char) -> Result<(Vec<String>, &str), NotUnderstood> {
    let mut flags = Vec::new();
    let mut rest = text;
    while rest.starts_with("--") {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (flag, after) = rest.split_at(end);
        rest = after.trim_start();
        if flag == "--" {
            break;
        }
        if flag.contains(['"', '\'', escape]) {
            return Err(NotUnderstood::new(format!("quotes in the option `{flag}`")));
        }
        flags.push(flag.to_owned());
    }
    Ok((flags, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(usize, String, Vec<String>, String)> {
        let instructions = Dockerfile::parse(text).unwrap().instructions;
        instructions.into_iter().map(|i| (i.line, i.keyword, i.flags, i.rest)).collect()
    }

    fn complaint(text: &str) -> String {
        Dockerfile::parse(text).unwrap_err().to_string()
    }

    fn one(line: usize, keyword: &str, flags: &[&str], rest: &str) -> (usize, String, Vec<String>, String) {
        (line, keyword.to_owned(), flags.iter().map(|&flag| flag.to_owned()).collect(), rest.to_owned())
    }

    #[test]
    fn lines_are_joined_across_comments_and_empty_lines() {
        let text = "\u{FEFF}# a comment\r\n\r\nFROM  scratch\r\n  env A=1 \\  \n\n  # not part of it\n    B=2 \\\n C=3\nLABEL a=b";
        assert_eq!(
            parsed(text),
            [
                one(3, "FROM", &[], "scratch"),
                one(4, "ENV", &[], "A=1     B=2  C=3"),
                one(9, "LABEL", &[], "a=b"),
            ]
        );
    }

    #[test]
    fn an_escaped_escape_at_the_end_continues_nothing() {
        assert_eq!(
            parsed("FROM scratch\nENV A=\\\\\nENV B=1"),
            [one(1, "FROM", &[], "scratch"), one(2, "ENV", &[], "A=\\\\"), one(3, "ENV", &[], "B=1")]
        );
    }

    #[test]
    fn the_last_line_may_promise_more() {
        assert_eq!(
            parsed("FROM scratch\nCMD a \\"),
            [one(1, "FROM", &[], "scratch"), one(2, "CMD", &[], "a")]
        );
    }

    #[test]
    fn the_escape_directive_changes_what_continues_a_line() {
        let text = "# escape=`\nFROM scratch\nCOPY a `\n  c:\\\nCMD x\\\n";
        let dockerfile = Dockerfile::parse(text).unwrap();
        assert_eq!(dockerfile.escape, '`');
        assert_eq!(dockerfile.instructions[1].rest, "a   c:\\");
        assert_eq!(dockerfile.instructions[2].rest, "x\\");
        // After anything else it is a comment.
        assert_eq!(Dockerfile::parse("# hello\n# escape=`\nFROM scratch").unwrap().escape, '\\');
        assert_eq!(Dockerfile::parse("\n# escape=`\nFROM scratch").unwrap().escape, '\\');
        assert_eq!(complaint("# escape=x\nFROM scratch"), "line 1: the directive `escape=x`");
        assert_eq!(complaint("#escape=`\n# Escape = `\nFROM a"), "line 2: a second `escape` directive");
    }

    #[test]
    fn options_come_first() {
        assert_eq!(
            parsed("COPY --from=build   --chown=1:1 --link a --b /c")[0],
            one(1, "COPY", &["--from=build", "--chown=1:1", "--link"], "a --b /c")
        );
        assert_eq!(parsed("COPY -- --a /c")[0], one(1, "COPY", &[], "--a /c"));
        assert_eq!(parsed("CMD --x")[0], one(1, "CMD", &["--x"], ""));
    }

    #[test]
    fn what_only_a_builder_knows_is_left_to_it() {
        for (text, what) in [
            (
                "# syntax=docker/dockerfile:1-labs\nFROM a",
                "line 1: the directive `syntax=docker/dockerfile:1-labs`",
            ),
            ("FROM scratch\nCOPY <<EOF /a\nhello\nEOF\n", "line 2: `COPY` with a here-document"),
            ("FROM a\nRUN <<EOF\nFROM b\nEOF\n", "line 2: `RUN` with a here-document"),
            ("FROM a\nINCLUDE b", "line 2: the instruction `INCLUDE`"),
            ("FROM a\nCOPY --chown=\"a b\" a b", "line 2: quotes in the option `--chown=\"a`"),
            ("# nothing\n\n", "it has no instructions"),
        ] {
            assert_eq!(complaint(text), what);
        }
        assert!(Dockerfile::parse("# syntax=docker/dockerfile:1\n# check=skip=all\nFROM a").is_ok());
        for (version, is_known) in [
            ("docker.io/docker/dockerfile:1", true),
            ("docker/dockerfile:1.4", true),
            ("docker/dockerfile:1.20.0", true),
            ("docker/dockerfile:1.", false),
            ("docker/dockerfile:1.4-labs", false),
            ("docker/dockerfile:1.4.0.1", false),
            ("docker/dockerfile:2", false),
            ("docker/dockerfile", false),
            ("docker/dockerfile:latest", false),
            ("docker/dockerfile:1@sha256:00", false),
            ("other/dockerfile:1", false),
        ] {
            assert_eq!(is_frontend(version), is_known, "{version}");
        }
    }
}
