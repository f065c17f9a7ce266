//! Dockerfiles, understood as BuildKit does: instructions, stages, variables. Called by `append`.
//!
//! Pure text: nothing here reads a file. What is not certain to mean the same to every version
//! of the builder is not guessed at: it is [`NotUnderstood`], and a builder has to do it.
//! <https://docs.docker.com/reference/dockerfile/>

pub(super) mod arguments;
pub(super) mod parser;
pub(super) mod stages;
pub(super) mod words;

/// Says what in a Dockerfile only a builder can be trusted with, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NotUnderstood {
    /// The line the instruction begins on, from 1.
    pub(super) line: Option<usize>,
    /// What it is.
    pub(super) what: String,
}

impl NotUnderstood {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { line: None, what: what.into() }
    }

    /// The same, on a line, unless that is known better already.
    pub(super) fn on(self, line: usize) -> Self {
        Self { line: self.line.or(Some(line)), ..self }
    }
}

impl std::fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// The white space between the words of an instruction.
fn is_blank(character: char) -> bool {
    matches!(character, '\t' | '\x0B' | '\x0C' | '\r' | ' ')
}
