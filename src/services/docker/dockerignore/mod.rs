//! `.dockerignore`: which files of a build context are sent. Called by `context`.
//!
//! Docker's own rules, not git's: a pattern is anchored at the context, the last match wins,
//! and each directory on the way to a file is judged before the file is.
//! <https://docs.docker.com/build/concepts/context/#dockerignore-files>

mod expression;
mod pattern;
#[cfg(test)]
mod vectors;

use std::io;
use std::path::{Path, PathBuf};

use pattern::Pattern;

/// Which client's walk is followed through excluded directories.
///
/// The two builders come with different clients, and these differ in one point: whether an
/// exception with wildcards (`!**/keep`) can reach into an excluded directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// As with BuildKit: an exception with wildcards makes every directory worth a look.
    /// <https://github.com/tonistiigi/fsutil/blob/master/filter.go>
    BuildKit,
    /// As with the classic builder: only directories an exception spells out are entered.
    /// <https://github.com/moby/go-archive/blob/main/archive.go>
    Classic,
}

/// The patterns that decide what is left out of a context.
#[derive(Clone, Debug, Default)]
pub(super) struct Dockerignore {
    /// The file they were read from, where there is one.
    pub(super) file: Option<PathBuf>,
    patterns: Vec<Pattern>,
}

/// What is decided about one path, and what its children need to know of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdict {
    /// Whether the path itself is left out.
    pub(super) excluded: bool,
    matched: Vec<bool>,
}

/// Says why a `.dockerignore` cannot be used.
#[derive(Debug)]
pub(super) enum InvalidDockerignore {
    Unreadable(io::Error),
    Line { number: usize, text: String, why: String },
}

impl Dockerignore {
    /// Reads `<Dockerfile>.dockerignore` where it exists, else the `.dockerignore` of the
    /// context, else nothing.
    /// <https://docs.docker.com/build/concepts/context/#filename-and-location>
    pub(super) fn read(context: &Path, dockerfile: &Path) -> Result<Self, (PathBuf, InvalidDockerignore)> {
        let mut beside = dockerfile.as_os_str().to_owned();
        beside.push(".dockerignore");
        for file in [PathBuf::from(beside), context.join(".dockerignore")] {
            match std::fs::read(&file) {
                Ok(bytes) => {
                    let patterns =
                        parse(&String::from_utf8_lossy(&bytes)).map_err(|invalid| (file.clone(), invalid))?;
                    return Ok(Self { file: Some(file), patterns });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err((file, InvalidDockerignore::Unreadable(error))),
            }
        }
        Ok(Self::default())
    }

    /// Makes sure that `path` is sent whatever the file says.
    pub(super) fn always_send(&mut self, path: &str) {
        if !self.patterns.is_empty() {
            self.patterns.push(Pattern::except_path(path));
        }
    }

    /// Judges `path` (separated by `/`, below the context), given the verdict on its parent;
    /// `None` at the top of the context.
    pub(super) fn judge(&self, path: &str, parent: Option<&Verdict>) -> Verdict {
        let mut verdict = Verdict { excluded: false, matched: vec![false; self.patterns.len()] };
        for (index, pattern) in self.patterns.iter().enumerate() {
            let inherited = parent.is_some_and(|parent| parent.matched.get(index) == Some(&true));
            // An exception is only asked about what is excluded at this point, and a pattern only
            // about what is not.
            let matched = inherited || (pattern.is_exception() == verdict.excluded && pattern.matches(path));
            verdict.matched[index] = matched;
            if matched {
                verdict.excluded = !pattern.is_exception();
            }
        }
        verdict
    }

    /// Tells whether something below the excluded directory `path` may still be sent.
    pub(super) fn may_except_below(&self, path: &str, walk: Walk) -> bool {
        let mut exceptions = self.patterns.iter().filter(|pattern| pattern.is_exception());
        let directory = format!("{path}/");
        match walk {
            Walk::Classic => exceptions.any(|pattern| format!("{}/", pattern.text()).starts_with(&directory)),
            Walk::BuildKit => exceptions.any(|pattern| {
                pattern.has_inner_wildcards()
                    || format!("{}/", pattern.without_trailing_wildcard()).starts_with(&directory)
            }),
        }
    }
}

fn parse(text: &str) -> Result<Vec<Pattern>, InvalidDockerignore> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(index, line)| Some((index + 1, pattern::normalized(line)?)))
        .map(|(number, text)| {
            Pattern::new(&text).map_err(|why| InvalidDockerignore::Line { number, text, why })
        })
        .collect()
}
