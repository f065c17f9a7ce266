//! What takes an engine: stages, or the beginnings of stages, that it builds, and files out of its
//! images.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::TryStreamExt as _;
use tar::{Archive, Entry, EntryType};
use tokio::runtime::Handle;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::content::{Contained, Content, Spooled};
use super::glob;
use super::listing::{has_attributes, owner};
use super::tree::{Kind, Node, Owner, Place, Unexplored, place, text};
use super::{NotUnderstood, Stopped, accounts};
use crate::domain::digest::Digest;
use crate::event::SharedReporter;
use crate::image::ImageError;
use crate::image::dockerfile::arguments;
use crate::image::dockerfile::parser::Instruction;
use crate::image::dockerfile::stages::Stages;
use crate::image::spool::spool_error;
use crate::services::docker::{BuildRequest, Builder, DockerEngine, DockerError, ImageFiles};

/// What an engine is asked to build with.
pub(super) struct Building<'a> {
    pub(super) engine: &'a DockerEngine,
    pub(super) request: &'a BuildRequest,
    /// The text of the Dockerfile.
    pub(super) dockerfile: &'a str,
    pub(super) stages: &'a Stages,
    pub(super) reporter: &'a SharedReporter,
}

impl Building<'_> {
    /// Builds stage `index` with all it is made of.
    pub(super) async fn whole(&self, index: usize) -> Result<Digest, Stopped> {
        match self.stages.unique_name(index) {
            Some(name) => {
                let request = BuildRequest { target: Some(name.to_owned()), ..self.request.clone() };
                Ok(self.engine.build(&request, self.reporter).await?)
            }
            None => self.until(index, self.stages.stages[index].instructions.len() - 1).await,
        }
    }

    /// Builds stage `index` up to its instruction `last`.
    pub(super) async fn until(&self, index: usize, last: usize) -> Result<Digest, Stopped> {
        let Self { engine, request, dockerfile, stages, reporter } = self;
        let run = &stages.stages[index].instructions[last];
        if engine.builder() != Builder::BuildKit {
            // It would build stages that are not needed.
            let what = "`RUN` in a stage without a name, and the builder is not BuildKit";
            return Err(NotUnderstood::new(what).on(run.line).into());
        }
        let text: String = dockerfile.split_inclusive('\n').take(run.end).collect();
        let directory = tempfile::tempdir().map_err(spool_error)?;
        let shortened = directory.path().join("Dockerfile");
        std::fs::write(&shortened, &text).map_err(spool_error)?;
        let ignore = beside(&request.dockerfile);
        if ignore.exists() {
            std::fs::copy(ignore, beside(&shortened)).map_err(spool_error)?;
        }
        // It lies in the context under this name, where it must not get into the image.
        let name = format!(".dockerfile.{}", Digest::of(text.as_bytes()).hex());
        for needed in stages.needed(index)? {
            let instructions = &stages.stages[needed].instructions;
            let counted = if needed == index { &instructions[..=last] } else { instructions.as_slice() };
            for instruction in counted {
                if sees(instruction, &name)? {
                    let what = "the whole context is used before the last `RUN`";
                    return Err(NotUnderstood::new(what).on(instruction.line).into());
                }
            }
        }
        let shortened = BuildRequest { dockerfile: shortened, target: None, ..BuildRequest::clone(request) };
        engine.build(&shortened, reporter).await.map_err(|error| match error {
            DockerError::BuildFailed(mut failure) => {
                failure.dockerfile.clone_from(&request.dockerfile);
                DockerError::BuildFailed(failure).into()
            }
            error => error.into(),
        })
    }
}

fn beside(dockerfile: &Path) -> PathBuf {
    let mut path = dockerfile.as_os_str().to_owned();
    path.push(".dockerignore");
    path.into()
}

/// Tells whether an instruction could see a file `name` at the top of the context.
fn sees(instruction: &Instruction, name: &str) -> Result<bool, NotUnderstood> {
    let from = |flag: &String| flag.starts_with("--from=");
    match instruction.keyword.as_str() {
        "RUN" => Ok(instruction.flags.iter().any(|flag| {
            let Some(mount) = flag.strip_prefix("--mount=") else { return false };
            let options: BTreeSet<&str> = mount.split(',').collect();
            let other = ["type=cache", "type=tmpfs", "type=secret", "type=ssh"];
            !other.iter().any(|kind| options.contains(kind)) && !mount.contains("from=")
        })),
        "COPY" | "ADD" if !instruction.flags.iter().any(from) => {
            let words = arguments::list(&instruction.rest)?;
            let (_, sources) = words.split_last().unwrap_or((&instruction.rest, &[]));
            Ok(sources.iter().any(|source| {
                let top = place(source).first().map(|first| first.to_string_lossy().into_owned());
                match top {
                    None => true,
                    Some(top) if glob::is_pattern(&top) => glob::matches(&top, name) != Ok(false),
                    Some(top) => top.contains(['$', '\\', '"', '\'']),
                }
            }))
        }
        _ => Ok(false),
    }
}

/// How many places of an image are asked for, one by one.
const QUESTIONS: usize = 400;

/// What engines put into every container, whether the image has it or not, and where.
/// <https://github.com/moby/moby/blob/v28.5.2/daemon/initlayer/setup_unix.go>
const OF_ENGINES: [&str; 8] =
    ["/.dockerenv", "/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/mtab", "/etc/resolv.conf"];

/// The files of an image of the engine, asked for one by one. Used by threads that may block.
pub(super) struct Files {
    files: Arc<ImageFiles>,
    runtime: Handle,
    asked: AtomicUsize,
    /// Whether owners are those of the image, where that was asked.
    has_owners: OnceLock<bool>,
}

impl Files {
    pub(super) fn new(files: Arc<ImageFiles>) -> Self {
        let (asked, has_owners) = (AtomicUsize::new(0), OnceLock::new());
        Self { files, runtime: Handle::current(), asked, has_owners }
    }

    /// Engines with a user namespace of their own may give the owners they map to, also to what is
    /// root's. <https://docs.docker.com/engine/security/userns-remap/>
    fn check_owners(&self) -> Result<(), Stopped> {
        let has_owners = match self.has_owners.get() {
            Some(has_owners) => *has_owners,
            None => {
                let root = self.first(&Place::new())?;
                let is_root = root.is_some_and(|root| root.owner == Owner::default());
                *self.has_owners.get_or_init(|| is_root)
            }
        };
        match has_owners {
            true => Ok(()),
            false => Err(NotUnderstood::new("an image whose root directory is not root's").into()),
        }
    }

    /// What is at `place` in a container.
    fn first(&self, place: &Place) -> Result<Option<Node>, Stopped> {
        let path = text(place);
        let Some(archive) = open(&self.files, &self.runtime, &path)? else { return Ok(None) };
        let broken = broken(&path);
        let mut archive = Archive::new(archive);
        let first = archive.entries().map_err(&broken)?.next();
        let mut entry = first.ok_or_else(|| broken(io::ErrorKind::UnexpectedEof.into()))?.map_err(&broken)?;
        let size = entry.size();
        let node = node(&mut entry, |_| {
            let (files, path) = (self.files.clone(), path.clone());
            Ok(Content::Contained(Contained { files, path, size }))
        });
        node.map(Some).map_err(|error| broken(error).into())
    }
}

impl Unexplored for Files {
    fn get(&self, place: &Place) -> Result<Option<Node>, Stopped> {
        if self.asked.fetch_add(1, Ordering::Relaxed) >= QUESTIONS {
            return Err(NotUnderstood::new("too many files go where the engine's image has some").into());
        }
        let path = text(place);
        if OF_ENGINES.iter().any(|of| is_in(&path, of)) {
            return Err(NotUnderstood::new(format!("`{path}`, which every container has")).into());
        }
        self.check_owners()?;
        let found = self.first(place)?;
        // Containers have it in any case.
        if path == "/etc" {
            let mut is_own = false;
            for file in accounts::FILES {
                is_own = is_own || self.first(&super::tree::place(file))?.is_some();
            }
            if !is_own {
                return Err(NotUnderstood::new("an image that may not have `/etc`").into());
            }
        }
        Ok(found)
    }

    fn below(&self, directory: &Place) -> Result<Vec<(Place, Node)>, Stopped> {
        if directory.is_empty() {
            return Err(NotUnderstood::new("all files of a stage with `RUN`").into());
        }
        let path = text(directory);
        if OF_ENGINES.iter().any(|of| is_in(of, &path) || is_in(&path, of)) {
            return Err(
                NotUnderstood::new(format!("all of `{path}`, of which every container has some")).into()
            );
        }
        self.check_owners()?;
        let broken = broken(&path);
        let Some(archive) = open(&self.files, &self.runtime, &path)? else { return Ok(Vec::new()) };
        let mut spool = FileSpool::create()?;
        let mut nodes: Vec<(Place, Node)> = Vec::new();
        for entry in Archive::new(archive).entries().map_err(&broken)? {
            let mut entry = entry.map_err(&broken)?;
            // The directory's own name comes first.
            let relative = |path: &Path| -> Place {
                directory.iter().cloned().chain(path.iter().skip(1).map(Into::into)).collect()
            };
            let place = relative(&entry.path().map_err(&broken)?);
            if place.len() == directory.len() {
                continue;
            }
            if entry.header().entry_type() == EntryType::Link {
                let first = entry.link_name().map_err(&broken)?.map(|first| relative(&first));
                let first = nodes.iter().find(|(place, _)| Some(place) == first.as_ref());
                let node = first.map(|(_, node)| node.clone());
                let node =
                    node.ok_or_else(|| NotUnderstood::new(format!("the hard link `{}`", text(&place))))?;
                nodes.push((place, node));
                continue;
            }
            nodes.push((place, node(&mut entry, |entry| spool.add(entry)).map_err(&broken)?));
        }
        Ok(nodes)
    }
}

/// Whether something is a place, or in it.
fn is_in(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The bytes of a file, which should be few. Blocks.
pub(super) fn bytes(contained: &Contained) -> Result<Vec<u8>, ImageError> {
    let broken = broken(&contained.path);
    let gone = || broken(io::ErrorKind::NotFound.into());
    let archive = open(&contained.files, &Handle::current(), &contained.path)?.ok_or_else(gone)?;
    let mut archive = Archive::new(archive);
    let first = archive.entries().map_err(&broken)?.next().ok_or_else(gone)?;
    let mut bytes = Vec::new();
    first.map_err(&broken)?.read_to_end(&mut bytes).map_err(&broken)?;
    Ok(bytes)
}

/// Takes single files out of images of the engine; afterwards `nodes` can be written. Blocks.
pub(super) fn take_out(mut nodes: Vec<&mut Node>) -> Result<(), ImageError> {
    nodes.retain(|node| matches!(node.kind, Kind::File(Content::Contained(_))));
    if nodes.is_empty() {
        return Ok(());
    }
    let runtime = &Handle::current();
    let mut spool = FileSpool::create()?;
    for node in nodes {
        let Kind::File(Content::Contained(Contained { files, path, .. })) = &node.kind else { continue };
        let broken = broken(path);
        let gone = || broken(io::ErrorKind::NotFound.into());
        let archive = open(files, runtime, path)?.ok_or_else(gone)?;
        let mut archive = Archive::new(archive);
        let first = archive.entries().map_err(&broken)?.next().ok_or_else(gone)?;
        let content = spool.add(&mut first.map_err(&broken)?).map_err(&broken)?;
        node.kind = Kind::File(content);
    }
    Ok(())
}

fn open(files: &ImageFiles, runtime: &Handle, path: &str) -> Result<Option<impl Read + use<>>, ImageError> {
    let stream = runtime.block_on(files.archive(path))?;
    Ok(stream.map(|stream| {
        let reader = StreamReader::new(stream.map_err(io::Error::other));
        SyncIoBridge::new_with_handle(reader, runtime.clone())
    }))
}

fn broken(path: &str) -> impl Fn(io::Error) -> ImageError + use<> {
    let what = format!("`{path}` in an image of the engine");
    move |source| ImageError::Read { what: what.clone(), source }
}

fn node<R: Read>(
    entry: &mut Entry<'_, R>,
    content: impl FnOnce(&mut Entry<'_, R>) -> io::Result<Content>,
) -> io::Result<Node> {
    let header = entry.header().clone();
    let kind = match header.entry_type() {
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Link(entry.link_name()?.unwrap_or_default().into_owned()),
        EntryType::Regular | EntryType::Continuous if !has_attributes(entry)? => Kind::File(content(entry)?),
        _ => Kind::Special,
    };
    Ok(Node { kind, mode: header.mode()? & 0o7777, owner: owner(&header)? })
}

/// A temporary file for the bytes of many. Nothing is buffered: what was added can be read.
struct FileSpool {
    file: Arc<File>,
    end: u64,
}

impl FileSpool {
    fn create() -> Result<Self, ImageError> {
        Ok(Self { file: Arc::new(tempfile::tempfile().map_err(spool_error)?), end: 0 })
    }

    fn add(&mut self, content: &mut impl Read) -> io::Result<Content> {
        let size = io::copy(content, &mut &*self.file)?;
        let offset = self.end;
        self.end += size;
        Ok(Content::Spooled(Spooled { file: self.file.clone(), offset, size }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::dockerfile::parser::Dockerfile;

    #[test]
    fn a_file_at_the_top_of_the_context_is_seen_by_what_takes_all() {
        for (line, seen) in [
            ("COPY . .", true),
            ("COPY / /x", true),
            ("COPY ./ /x", true),
            ("COPY * /x/", true),
            ("COPY .d* /x/", true),
            ("COPY a ./b/.. /x/", true),
            ("COPY $SOURCES /x", true),
            ("COPY [\"a\", \".\", \"/x\"]", true),
            ("COPY a b/* *.txt src/ /x/", false),
            ("COPY --from=x . .", false),
            ("RUN true", false),
            ("RUN --mount=type=cache,target=/x true", false),
            ("RUN --mount=type=bind,from=x,target=/x true", false),
            ("RUN --mount=target=/x true", true),
            ("RUN --mount=type=bind,source=x,target=/x true", true),
            ("ENV A=.", false),
        ] {
            let instruction = &Dockerfile::parse(line).unwrap().instructions[0];
            assert_eq!(sees(instruction, ".dockerfile.0"), Ok(seen), "{line}");
        }
    }
}
