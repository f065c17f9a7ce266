//! How other processes find the server of a directory: `server.json`, and asking it who it is.
//!
//! A file alone proves nothing, since a process can die without removing it and its port can
//! belong to another one by now. Hence a random identity, which the server repeats when asked.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::control;
use crate::local::store::{StoreError, at};

/// The file of a directory's announcement.
pub(in crate::local) const FILE: &str = "server.json";

/// A server on loopback answers at once, unless the machine is very busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the file says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::local) struct Announcement {
    /// Such as `http://127.0.0.1:4577`.
    pub(in crate::local) endpoint: String,
    /// The process that serves.
    pub(in crate::local) pid: u32,
    /// What it says when asked who it is.
    pub(in crate::local) identity: String,
}

/// An announcement that is withdrawn when the value is dropped.
#[derive(Debug)]
pub(super) struct Announced {
    path: PathBuf,
}

impl Announcement {
    pub(super) fn publish(&self, directory: &Path) -> Result<Announced, StoreError> {
        let path = directory.join(FILE);
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|source| StoreError::Document { path: path.clone(), source })?;
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(at(directory))?;
        file.write_all(&bytes).map_err(at(&path))?;
        file.persist(&path).map_err(|error| at(&path)(error.error))?;
        Ok(Announced { path })
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The server that runs for a directory, if it answers. Blocks for the answer.
pub(in crate::local) fn running(directory: &Path) -> Option<Announcement> {
    let bytes = fs::read(directory.join(FILE)).ok()?;
    let announcement: Announcement = serde_json::from_slice(&bytes).ok()?;
    let identity = ask_identity(&announcement.endpoint).ok()?;
    (identity == announcement.identity).then_some(announcement)
}

/// Asks a server who it is. One request by hand: a whole HTTP client would take longer to set
/// up than to use.
fn ask_identity(endpoint: &str) -> io::Result<String> {
    let authority = endpoint.strip_prefix("http://").unwrap_or_default();
    let address: SocketAddr = authority.parse().map_err(io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let path = control::PREFIX;
    write!(stream, "GET {path}health HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(body).map_err(io::Error::other)?;
    Ok(body["identity"].as_str().unwrap_or_default().to_owned())
}
