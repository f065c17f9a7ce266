//! The build context: which files are sent to the engine, and how. Called by `build`.

mod archive;
mod walk;
mod weight;

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::Stream;
use tokio::task::JoinHandle;

use super::dockerignore::{Dockerignore, InvalidDockerignore, Walk};
use super::{BuildRequest, DockerError};
use crate::domain::digest::Digest;
use crate::event::SharedReporter;

pub(super) use walk::path_text;

/// A directory and a Dockerfile, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// The directory, absolute.
    pub(super) root: PathBuf,
    /// Where the engine finds the Dockerfile.
    pub(super) dockerfile: SentDockerfile,
    /// The text of the Dockerfile.
    pub(super) dockerfile_text: String,
    ignore: Dockerignore,
    walk: Walk,
}

/// The Dockerfile as the engine sees it.
#[derive(Clone, Debug)]
pub(super) enum SentDockerfile {
    /// A file of the context, by its path there.
    Inside(String),
    /// A file from elsewhere, sent under a name nothing else has.
    Outside { name: String, content: Bytes },
}

impl SentDockerfile {
    /// Its path in the context.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Inside(name) | Self::Outside { name, .. } => name,
        }
    }
}

/// A file, directory or link of a context.
#[derive(Clone, Debug)]
pub struct ContextFile {
    /// Where it is.
    pub path: PathBuf,
    /// Where it is in the context.
    pub relative: PathBuf,
    /// Its permissions, as builders see them.
    pub mode: u32,
    /// What it is itself; links are not followed.
    pub metadata: Metadata,
}

/// A file or directory that stopped the context from being sent.
#[derive(Debug)]
pub(super) struct Unsent {
    pub(super) path: PathBuf,
    pub(super) error: io::Error,
}

impl Context {
    /// Looks at everything that can be wrong before a byte is sent.
    pub(super) fn open(request: &BuildRequest, walk: Walk) -> Result<Self, DockerError> {
        let unusable = |why: String| DockerError::BuildContext { directory: request.context.clone(), why };
        let root = request.context.canonicalize().map_err(|error| unusable(error.to_string()))?;
        if !root.is_dir() {
            return Err(unusable("it is not a directory".to_owned()));
        }
        let not_found = || DockerError::DockerfileNotFound { path: request.dockerfile.clone() };
        let file = request.dockerfile.canonicalize().map_err(|_| not_found())?;
        if !file.is_file() {
            return Err(not_found());
        }
        let content = std::fs::read(&file)
            .map_err(|error| DockerError::SendContext { path: file.clone(), why: error.to_string() })?;
        let dockerfile_text = String::from_utf8_lossy(&content).into_owned();
        let mut ignore = Dockerignore::read(&root, &request.dockerfile)
            .map_err(|(file, invalid)| DockerError::Dockerignore { file, why: describe(invalid) })?;
        let dockerfile = match file.strip_prefix(&root) {
            Ok(inside) => SentDockerfile::Inside(path_text(inside)),
            // The name follows from the content, so that the builder's cache is not lost to a new
            // name each time.
            Err(_) => SentDockerfile::Outside {
                name: format!(".dockerfile.{}", &Digest::of(&content).hex()[..20]),
                content: content.into(),
            },
        };
        ignore.always_send(dockerfile.name());
        if ignore.file.as_deref() == Some(&root.join(DOCKERIGNORE)) {
            ignore.always_send(DOCKERIGNORE);
        }
        Ok(Self { root, dockerfile, dockerfile_text, ignore, walk })
    }

    /// The tar archive of the context, read by a thread of its own as fast as it is taken; the
    /// handle tells what stopped it.
    pub(super) fn stream(
        &self,
        reporter: &SharedReporter,
    ) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, JoinHandle<Result<(), Unsent>>) {
        archive::stream(self.clone(), reporter.clone())
    }

    /// What would be sent, parents before children, siblings sorted by name.
    pub(super) fn files(&self) -> Result<Vec<ContextFile>, DockerError> {
        let mut files = Vec::new();
        walk::walk(self, &mut |entry| {
            let kind = entry.metadata.file_type();
            if kind.is_dir() || kind.is_file() || kind.is_symlink() {
                files.push(ContextFile {
                    path: entry.path.clone(),
                    relative: entry.relative.clone(),
                    mode: archive::mode(&entry.metadata),
                    metadata: entry.metadata.clone(),
                });
            }
            Ok(())
        })
        .map_err(|Unsent { path, error }| DockerError::SendContext { path, why: error.to_string() })?;
        Ok(files)
    }

    /// The file that says what is left out, where there is one.
    pub(super) fn dockerignore(&self) -> Option<&Path> {
        self.ignore.file.as_deref()
    }

    /// Tells whether the `.dockerignore` leaves out `path` (below the context).
    pub(super) fn leaves_out(&self, path: &str) -> bool {
        let mut verdict = None;
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            verdict = Some(self.ignore.judge(&path[..end], verdict.as_ref()));
        }
        verdict.is_some_and(|verdict| verdict.excluded)
    }
}

/// The usual name of the file that says what is left out.
const DOCKERIGNORE: &str = ".dockerignore";

fn describe(invalid: InvalidDockerignore) -> String {
    match invalid {
        InvalidDockerignore::Unreadable(error) => error.to_string(),
        InvalidDockerignore::Line { number, text, why } => format!("line {number}, `{text}`: {why}"),
    }
}

#[cfg(test)]
mod tests;
