//! Walks a context in a fixed order and hands out what is to be sent.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::super::dockerignore::Verdict;
use super::{Context, Unsent};

/// One file, directory or link that is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Where it is in the context.
    pub(super) relative: PathBuf,
    /// What it is itself; links are not followed.
    pub(super) metadata: Metadata,
}

/// A path as Docker writes it, with `/` on every system.
pub(in super::super) fn path_text(path: &Path) -> String {
    let text = path.to_string_lossy();
    if cfg!(windows) { text.replace('\\', "/") } else { text.into_owned() }
}

/// Hands every entry to `visit`, parents before children, siblings sorted by name.
pub(super) fn walk(
    context: &Context,
    visit: &mut dyn FnMut(&Entry) -> Result<(), Unsent>,
) -> Result<(), Unsent> {
    let mut walker = Walker { context, visit, skipped: Vec::new() };
    walker.directory(&context.root, Path::new(""), None)
}

struct Walker<'a> {
    context: &'a Context,
    visit: &'a mut dyn FnMut(&Entry) -> Result<(), Unsent>,
    /// Excluded directories on the way here: sent only if something below them is.
    skipped: Vec<Entry>,
}

impl Walker<'_> {
    fn directory(&mut self, path: &Path, relative: &Path, parent: Option<&Verdict>) -> Result<(), Unsent> {
        let unsent = |error: io::Error| Unsent { path: path.to_owned(), error };
        let mut names = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>())
            .map_err(unsent)?;
        names.sort();
        for name in names {
            self.entry(path.join(&name), relative.join(&name), parent)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: PathBuf, relative: PathBuf, parent: Option<&Verdict>) -> Result<(), Unsent> {
        let ignore = &self.context.ignore;
        let text = path_text(&relative);
        let verdict = ignore.judge(&text, parent);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            // Gone since the directory was read, as compilers' files come and go.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) if verdict.excluded => return Ok(()),
            Err(error) => return Err(Unsent { path, error }),
        };
        let is_directory = metadata.is_dir();
        let entry = Entry { path, relative, metadata };
        if !verdict.excluded {
            for skipped in self.skipped.drain(..) {
                (self.visit)(&skipped)?;
            }
            (self.visit)(&entry)?;
            if is_directory {
                self.directory(&entry.path, &entry.relative, Some(&verdict))?;
            }
        } else if is_directory && ignore.may_except_below(&text, self.context.walk) {
            let depth = self.skipped.len();
            self.skipped.push(entry.clone());
            self.directory(&entry.path, &entry.relative, Some(&verdict))?;
            self.skipped.truncate(depth);
        }
        Ok(())
    }
}
