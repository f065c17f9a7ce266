//! What functions of the local cloud have logged: groups of streams of events, bounded on disk.
//!
//! An environment writes one stream and nobody else does, so streams are files that are only
//! appended to and need no lock. Whoever shows logs reads all streams of a group.

pub mod api;
mod name;

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::store::{Store, StoreError, at};

/// The folder of all logs, below the store's directory.
pub const FOLDER: &str = "logs";
/// Half of what a stream may take: a full file becomes the older half, and the half before it goes.
const HALF_STREAM: u64 = 2 * 1024 * 1024;
/// Streams a group may have; the ones written to longest ago go first.
const STREAMS: usize = 50;

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Without its line break.
    pub message: String,
}

/// An event, and the stream it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEvent {
    /// Such as `2026/11/22/[$LATEST]0f…`.
    pub stream: String,
    /// The event.
    pub event: LogEvent,
}

/// The logs of one local cloud; cheap to clone.
#[derive(Clone, Debug)]
pub struct LogStore {
    folder: PathBuf,
}

impl LogStore {
    /// The logs beside the documents of `store`.
    pub fn new(store: &Store) -> Self {
        Self { folder: store.directory().join(FOLDER) }
    }

    fn group(&self, region: &str, group: &str) -> PathBuf {
        self.folder.join(name::encode(region)).join(name::encode(group))
    }

    /// Begins a stream, and makes room for it in its group.
    pub fn stream(&self, region: &str, group: &str, stream: &str) -> Result<LogStream, StoreError> {
        let folder = self.group(region, group);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let files = by_age(&folder)?;
        // Two files a stream at most.
        for (_, file) in files.iter().take((files.len() + 1).saturating_sub(STREAMS)) {
            remove(file)?;
            remove(&older(file))?;
        }
        let path = folder.join(name::encode(stream));
        let file = File::options().create(true).append(true).open(&path).map_err(at(&path))?;
        let length = file.metadata().map_err(at(&path))?.len();
        Ok(LogStream { path, open: Mutex::new((file, length)) })
    }

    /// The groups of a region, sorted.
    pub fn groups(&self, region: &str) -> Result<Vec<String>, StoreError> {
        let folder = self.folder.join(name::encode(region));
        let mut groups: Vec<String> = entries(&folder)?.iter().filter_map(|path| decoded(path)).collect();
        groups.sort();
        Ok(groups)
    }

    /// The events of all streams of a group since a moment (in milliseconds), oldest first;
    /// events of the same moment stay in the order they were written in.
    pub fn events(&self, region: &str, group: &str, since: i64) -> Result<Vec<StreamEvent>, StoreError> {
        let mut events = Vec::new();
        for (_, file) in by_age(&self.group(region, group))? {
            let Some(stream) = decoded(&file) else { continue };
            for path in [older(&file), file] {
                let found = read(&path)?.into_iter().filter(|event| event.timestamp >= since);
                events.extend(found.map(|event| StreamEvent { stream: stream.clone(), event }));
            }
        }
        events.sort_by_key(|event| event.event.timestamp);
        Ok(events)
    }
}

/// A stream to write to.
#[derive(Debug)]
pub struct LogStream {
    path: PathBuf,
    open: Mutex<(File, u64)>,
}

impl LogStream {
    /// Writes an event that happens now. A log that cannot be written (a full disk) stops
    /// nothing: the function runs all the same.
    pub fn write(&self, message: &str) {
        let now = OffsetDateTime::now_utc();
        let timestamp = i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        let event = LogEvent { timestamp, message: message.to_owned() };
        let Ok(mut line) = serde_json::to_vec(&event) else { return };
        line.push(b'\n');
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let written = (|| {
            if open.1 + line.len() as u64 > HALF_STREAM && open.1 > 0 {
                fs::rename(&self.path, older(&self.path))?;
                *open = (File::options().create(true).append(true).open(&self.path)?, 0);
            }
            open.0.write_all(&line)
        })();
        if let Err(error) = written {
            tracing::debug!(%error, path = %self.path.display(), "a log event is lost");
        }
        open.1 += line.len() as u64;
    }
}

/// The file of a stream's older half: names are encoded without `~`.
fn older(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push("~");
    file.with_file_name(name)
}

/// The newer halves of a group's streams, the one written to longest ago first.
fn by_age(folder: &Path) -> Result<Vec<(std::time::SystemTime, PathBuf)>, StoreError> {
    let mut files: Vec<_> = entries(folder)?
        .into_iter()
        .filter(|path| !path.as_os_str().to_string_lossy().ends_with('~'))
        // Another process may have made room meanwhile.
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .collect();
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<LogEvent>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(at(path)(source)),
    };
    // The last line may be half written; it will be whole the next time.
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    Ok(lines.filter_map(|line| serde_json::from_str(&line).ok()).collect())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(at(folder)(source)),
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

fn decoded(path: &Path) -> Option<String> {
    name::decode(path.file_name()?.to_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs() -> (tempfile::TempDir, LogStore) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        (directory, LogStore::new(&store))
    }

    #[test]
    fn events_of_all_streams_come_in_the_order_of_time() {
        let (_directory, logs) = logs();
        let group = "/aws/lambda/hello";
        let one = logs.stream("us-east-1", group, "2026/11/22/[$LATEST]1").unwrap();
        let two = logs.stream("us-east-1", group, "2026/11/22/[$LATEST]2").unwrap();
        one.write("first\nwith a second line");
        std::thread::sleep(std::time::Duration::from_millis(3));
        two.write("second");
        std::thread::sleep(std::time::Duration::from_millis(3));
        one.write("third");
        let events = logs.events("us-east-1", group, 0).unwrap();
        let messages: Vec<_> = events.iter().map(|event| event.event.message.as_str()).collect();
        assert_eq!(messages, ["first\nwith a second line", "second", "third"]);
        assert_eq!(events[1].stream, "2026/11/22/[$LATEST]2");
        let later = logs.events("us-east-1", group, events[2].event.timestamp).unwrap();
        assert_eq!(later, events[2..]);
        assert_eq!(logs.groups("us-east-1").unwrap(), [group]);
        assert!(logs.events("eu-west-1", group, 0).unwrap().is_empty());
    }

    #[test]
    fn a_stream_and_a_group_never_outgrow_their_bounds() {
        let (_directory, logs) = logs();
        let stream = logs.stream("r", "g", "s").unwrap();
        let line = "x".repeat(200 * 1024);
        for _ in 0..40 {
            stream.write(&line);
        }
        stream.write("last");
        let bytes: u64 = entries(&logs.group("r", "g"))
            .unwrap()
            .iter()
            .map(|path| fs::metadata(path).unwrap().len())
            .sum();
        assert!(bytes <= 2 * HALF_STREAM, "{bytes}");
        let events = logs.events("r", "g", 0).unwrap();
        assert!(events.len() > 5 && events.last().unwrap().event.message == "last");
        for number in 0..STREAMS + 5 {
            logs.stream("r", "g", &format!("s{number}")).unwrap().write("here");
        }
        assert_eq!(by_age(&logs.group("r", "g")).unwrap().len(), STREAMS);
    }
}
