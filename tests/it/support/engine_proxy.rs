//! Stands between the program and an engine, and treats chosen requests badly.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::wait_for;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// The engine answers it.
    Pass,
    /// It is refused, as by a proxy that lets few requests through.
    Refuse,
    /// It is answered with this.
    Answer(&'static [u8]),
    /// Nobody ever answers it.
    Hold,
    /// The engine is slow: it answers it once all of the answer to a request to this address is on its
    /// way to the client, which has read what its socket does not hold.
    After(&'static str),
}

/// A socket that leads to an engine, once for each request.
pub struct EngineProxy {
    directory: tempfile::TempDir,
}

/// The first lines of the requests that are answered, to the end.
type Answered = Mutex<Vec<String>>;

impl EngineProxy {
    /// Starts it in front of the engine at `host`; `treat` is given each request's first line.
    pub fn start(host: &str, treat: impl Fn(&str) -> Treatment + Send + Sync + 'static) -> Self {
        let engine = PathBuf::from(host.strip_prefix("unix://").expect("the engine has a socket"));
        let directory = tempfile::tempdir().expect("there is room for a socket");
        let listener = UnixListener::bind(directory.path().join("docker.sock")).expect("a socket");
        let treat = Arc::new(treat);
        // It goes with the tests' process.
        thread::spawn(move || {
            let held = Arc::new(Mutex::new(Vec::new()));
            let answered = Arc::new(Answered::default());
            for client in listener.incoming() {
                let (client, engine, treat) = (client.expect("a connection"), engine.clone(), treat.clone());
                let (held, answered) = (held.clone(), answered.clone());
                thread::spawn(move || {
                    if let Some(client) = serve(client, &engine, &*treat, &answered) {
                        held.lock().expect("nobody panics").push(client);
                    }
                });
            }
        });
        Self { directory }
    }

    /// Starts one that lets everything pass: it may lead to another system, whose files are not at
    /// hand.
    pub fn transparent(host: &str) -> Self {
        Self::start(host, |_| Treatment::Pass)
    }

    /// Its address, as `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.directory.path().join("docker.sock").display())
    }
}

/// Serves one request; a connection that comes back has to be kept.
fn serve(
    mut client: UnixStream,
    engine: &PathBuf,
    treat: &dyn Fn(&str) -> Treatment,
    answered: &Answered,
) -> Option<UnixStream> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    let treatment = treat(&line);
    match treatment {
        Treatment::Hold => return Some(client),
        Treatment::Refuse => {
            answer(&mut client, "403 Forbidden", "application/json", br#"{"message":"not for you"}"#)?;
        }
        Treatment::Answer(body) => answer(&mut client, "200 OK", "application/x-tar", body)?,
        Treatment::Pass | Treatment::After(_) => {
            if let Treatment::After(address) = treatment {
                wait_for(&format!("an answer to {address}"), Duration::from_secs(60), || {
                    let answered = answered.lock().expect("nobody panics");
                    answered.iter().any(|line| line.contains(address)).then_some(())
                });
            }
            let mut engine = UnixStream::connect(engine).ok()?;
            // One request a connection, so that each is seen.
            if !String::from_utf8_lossy(&head).to_ascii_lowercase().contains("\r\nupgrade:") {
                head.truncate(head.len() - 2);
                head.extend_from_slice(b"connection: close\r\n\r\n");
            }
            engine.write_all(&head).ok()?;
            let (mut from_client, mut to_engine) = (client.try_clone().ok()?, engine.try_clone().ok()?);
            thread::spawn(move || std::io::copy(&mut from_client, &mut to_engine));
            let _ = std::io::copy(&mut engine, &mut client);
            let _ = client.shutdown(std::net::Shutdown::Both);
        }
    }
    answered.lock().expect("nobody panics").push(line);
    None
}

/// Answers in the engine's place.
fn answer(client: &mut UnixStream, status: &str, media_type: &str, body: &[u8]) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(&[head.as_bytes(), body].concat()).ok()?;
    // All of the request is taken: a client that still writes would not read.
    let _ = std::io::copy(client, &mut std::io::sink());
    Some(())
}
