//! Writes a context as a tar archive into the body of a request, holding next to nothing of it
//! in memory.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures_util::Stream;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::dockerignore::Walk;
use super::walk::{self, Entry};
use super::{Context, DOCKERIGNORE, SentDockerfile, Unsent, weight};
use crate::event::{Event, SharedReporter};

/// Bytes a chunk of the body has, and chunks that may wait for the engine.
const CHUNK: usize = 64 * 1024;
const CHUNKS_AHEAD: usize = 8;

/// Bytes that are sent between two signs of life; most contexts are smaller.
const REPORT_EVERY: u64 = 8_000_000;

/// Starts the thread that reads, and hands out what it reads.
pub(super) fn stream(
    context: Context,
    reporter: SharedReporter,
) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, JoinHandle<Result<(), Unsent>>) {
    let (sender, mut receiver) = mpsc::channel(CHUNKS_AHEAD);
    let task = tokio::task::spawn_blocking(move || {
        let result = write(&context, &reporter, ChannelWriter(sender.clone()));
        if result.is_err() {
            // An end without this would pass for the end of the archive. Nobody listening any
            // more is fine: then the engine has ended the build.
            let _ = sender.blocking_send(Err(io::Error::other("the build context could not be read")));
        }
        result
    });
    (futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)), task)
}

/// Writes the archive: sorted, owned by root, no file sparse.
fn write(context: &Context, reporter: &SharedReporter, out: ChannelWriter) -> Result<(), Unsent> {
    let mut archive = Builder::new(BufWriter::with_capacity(CHUNK, out));
    // Docker refuses sparse entries ("unhandled tar header type 83"), and linkers make sparse files.
    archive.sparse(false);
    let (mut sent, mut reported) = (0, 0);
    let mut has_dockerignore = false;
    walk::walk(context, &mut |entry| {
        let before = sent;
        sent += if entry.metadata.is_file() { entry.metadata.len() } else { 0 };
        if before <= weight::HEAVY && sent > weight::HEAVY {
            reporter.report(weight::warning(context));
        }
        if sent - reported >= REPORT_EVERY {
            reported = sent;
            reporter.report(Event::ImageProgress {
                activity: "sending the context",
                bytes: sent,
                total: None,
            });
        }
        has_dockerignore |= entry.relative == Path::new(DOCKERIGNORE);
        append(&mut archive, context, entry, reporter)
            .map_err(|error| Unsent { path: entry.path.clone(), error })
    })?;
    let end = |error| Unsent { path: context.root.clone(), error };
    if let SentDockerfile::Outside { name, content } = &context.dockerfile {
        append_bytes(&mut archive, name, content).map_err(end)?;
        if hides_dockerfile(context) && !has_dockerignore {
            append_bytes(&mut archive, DOCKERIGNORE, hidden_names(name).as_bytes()).map_err(end)?;
        }
    }
    archive.into_inner().and_then(|mut out| out.flush()).map_err(end)
}

fn append(
    archive: &mut Builder<impl Write>,
    context: &Context,
    entry: &Entry,
    reporter: &SharedReporter,
) -> io::Result<()> {
    let kind = entry.metadata.file_type();
    let mut header = header(entry);
    if kind.is_dir() {
        header.set_entry_type(EntryType::Directory);
        header.set_size(0);
        archive.append_data(&mut header, &entry.relative, io::empty())
    } else if kind.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, &entry.relative, std::fs::read_link(&entry.path)?)
    } else if !kind.is_file() {
        reporter.report(Event::Warning {
            message: format!("`{}` is neither file, directory nor link: not sent", entry.path.display()),
            hint: None,
        });
        Ok(())
    } else if let SentDockerfile::Outside { name, .. } = &context.dockerfile
        && hides_dockerfile(context)
        && entry.relative == Path::new(DOCKERIGNORE)
    {
        let mut content = std::fs::read(&entry.path)?;
        content.extend_from_slice(format!("\n{}", hidden_names(name)).as_bytes());
        append_bytes(archive, DOCKERIGNORE, &content)
    } else {
        let size = entry.metadata.len();
        header.set_entry_type(EntryType::Regular);
        header.set_size(size);
        let file = match File::open(&entry.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        archive.append_data(&mut header, &entry.relative, Exactly { file, left: size })
    }
}

/// Tells whether the engine reads the `.dockerignore` it is sent, and takes away what that names
/// once it has read the Dockerfile. BuildKit does not.
fn hides_dockerfile(context: &Context) -> bool {
    context.walk == Walk::Classic
}

/// The lines that keep a Dockerfile from elsewhere out of what `COPY . .` sees; the docker
/// client adds the same two.
fn hidden_names(dockerfile: &str) -> String {
    format!("{DOCKERIGNORE}\n{dockerfile}\n")
}

fn append_bytes(archive: &mut Builder<impl Write>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o600);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, name, content)
}

fn header(entry: &Entry) -> Header {
    let mut header = Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(mode(&entry.metadata));
    let modified = entry.metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    header.set_mtime(modified.unwrap_or_default().as_secs());
    header
}

#[cfg(unix)]
pub(super) fn mode(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o7777
}

/// Windows has no modes; the docker client sends everything executable from there.
#[cfg(not(unix))]
fn mode(_metadata: &std::fs::Metadata) -> u32 {
    0o755
}

/// Reads as many bytes as the header has promised, whatever happens to the file meanwhile.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut buffer[..wanted])?;
        if read == 0 && wanted > 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Hands chunks to the task that sends them, waiting while enough are on the way.
struct ChannelWriter(mpsc::Sender<io::Result<Bytes>>);

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
