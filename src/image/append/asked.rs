//! What files a base image has, asked of an engine that has the image, one by one: that spares
//! fetching its layers only to list them. What was answered is remembered by the layers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::content::{Contained, Content};
use super::engine::Files;
use super::memo::Memory;
use super::tree::{Kind, Node, Owner, Place, Unexplored, text};
use super::{NotUnderstood, Stopped, accounts};
use crate::domain::digest::{DiffId, Digest};
use crate::services::docker::ImageFiles;

/// How many places an engine is asked for. It takes up to a twentieth of a second for each.
const QUESTIONS: usize = 100;

/// What engines put into every container, whether the image has it or not, and where.
/// <https://github.com/moby/moby/blob/v28.5.2/daemon/initlayer/setup_unix.go>
const OF_ENGINES: [&str; 8] =
    ["/.dockerenv", "/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/mtab", "/etc/resolv.conf"];

/// The files of a base image.
#[derive(Debug)]
pub(super) struct Asked {
    engine: Option<Engine>,
    key: Digest,
    memory: Option<Arc<dyn Memory>>,
    answers: Mutex<Answers>,
    has_given_up: AtomicBool,
}

#[derive(Debug)]
struct Engine {
    files: Files,
    image: Arc<ImageFiles>,
}

#[derive(Debug)]
struct Answers {
    /// By place; `None` is known to be absent.
    known: BTreeMap<String, Option<Answer>>,
    has_new: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Answer {
    what: What,
    mode: u32,
    user: u64,
    group: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Directory,
    File {
        size: u64,
        /// Of files that list accounts.
        text: Option<String>,
    },
    Link(String),
    Special,
}

impl Asked {
    /// Those of the image of these layers, as far as they were asked for before; `None` where
    /// nothing was.
    pub(super) fn before(diff_ids: &[DiffId], memory: Option<Arc<dyn Memory>>) -> Option<Self> {
        let key = key(diff_ids);
        let known = serde_json::from_slice(&memory.as_ref()?.get(&key)?).ok()?;
        let answers = Mutex::new(Answers { known, has_new: false });
        Some(Self { engine: None, key, memory, answers, has_given_up: AtomicBool::new(false) })
    }

    /// The same, and an engine that has the image is asked for what is not known.
    pub(super) fn of_engine(image: ImageFiles, diff_ids: &[DiffId], memory: Option<Arc<dyn Memory>>) -> Self {
        let image = Arc::new(image);
        let engine = Some(Engine { files: Files::new(image.clone(), QUESTIONS), image });
        if let Some(before) = Self::before(diff_ids, memory.clone()) {
            return Self { engine, ..before };
        }
        // That nothing is asked for is worth knowing, too.
        let answers = Mutex::new(Answers { known: BTreeMap::new(), has_new: true });
        Self { engine, key: key(diff_ids), memory, answers, has_given_up: AtomicBool::new(false) }
    }

    /// Whether an engine is asked.
    pub(super) fn asks(&self) -> bool {
        self.engine.is_some()
    }

    /// Whether there was a question that was not answered.
    pub(super) fn has_given_up(&self) -> bool {
        self.has_given_up.load(Ordering::Relaxed)
    }

    /// Gives back what the engine keeps for this, and remembers what is new.
    pub(super) async fn close(&self) {
        if let Some(engine) = &self.engine {
            engine.image.close().await;
        }
        let answers = self.answers();
        if let Some(memory) = self.memory.as_ref().filter(|_| answers.has_new)
            && let Ok(bytes) = serde_json::to_vec(&answers.known)
        {
            memory.put(&self.key, &bytes);
        }
    }

    /// Gives back what the engine keeps for this although nobody waits for it.
    pub(super) fn abandon(&self) {
        if let Some(engine) = &self.engine {
            engine.image.abandon();
        }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_up(&self) -> Stopped {
        self.has_given_up.store(true, Ordering::Relaxed);
        NotUnderstood::new("what the engine does not tell of its image").into()
    }

    /// Asks the engine.
    fn ask(&self, place: &Place, path: &str) -> Result<Option<Answer>, Stopped> {
        let engine = self.engine.as_ref().ok_or_else(|| self.give_up())?;
        let get = |place: &Place| engine.files.get(place).map_err(|_| self.give_up());
        let Some(node) = get(place)? else { return Ok(None) };
        if path == "/etc" {
            // Containers have it in any case.
            let mut has_own = false;
            for file in accounts::FILES {
                has_own |= get(&super::tree::place(file))?.is_some();
            }
            if !has_own {
                return Err(self.give_up());
            }
        }
        let what = match node.kind {
            Kind::Directory => What::Directory,
            Kind::Special => What::Special,
            Kind::Link(target) => {
                What::Link(target.into_os_string().into_string().map_err(|_| self.give_up())?)
            }
            Kind::File(content) => {
                let is_list = accounts::FILES.contains(&path) && content.size() <= accounts::LARGEST;
                let bytes = if is_list { content.bytes().map_err(|_| self.give_up())? } else { None };
                let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
                What::File { size: content.size(), text }
            }
        };
        Ok(Some(Answer { what, mode: node.mode, user: node.owner.user, group: node.owner.group }))
    }

    fn node(&self, path: &str, answer: Answer) -> Result<Node, Stopped> {
        let kind = match answer.what {
            What::Directory => Kind::Directory,
            What::Special => Kind::Special,
            What::Link(target) => Kind::Link(target.into()),
            What::File { text: Some(text), .. } => Kind::File(Content::Text(text.into())),
            What::File { size, text: None } => {
                // Its content may be needed.
                let engine = self.engine.as_ref().ok_or_else(|| self.give_up())?;
                let (files, path) = (engine.image.clone(), path.to_owned());
                Kind::File(Content::Contained(Contained { files, path, size }))
            }
        };
        Ok(Node { kind, mode: answer.mode, owner: Owner { user: answer.user, group: answer.group } })
    }
}

impl Unexplored for Asked {
    fn get(&self, place: &Place) -> Result<Option<Node>, Stopped> {
        let path = text(place);
        if is_of_engines(&path) || place.iter().any(|name| name.to_str().is_none()) {
            return Err(self.give_up());
        }
        let known = self.answers().known.get(&path).cloned();
        let answer = match known {
            Some(known) => known,
            None => {
                let answer = self.ask(place, &path)?;
                let mut answers = self.answers();
                answers.has_new = true;
                answers.known.insert(path.clone(), answer.clone());
                answer
            }
        };
        answer.map(|answer| self.node(&path, answer)).transpose()
    }

    fn below(&self, directory: &Place) -> Result<Vec<(Place, Node)>, Stopped> {
        let path = text(directory);
        let has_of_engines = OF_ENGINES.iter().any(|of| is_in(of, &path)) || is_of_engines(&path);
        match &self.engine {
            Some(engine) if !has_of_engines => engine.files.below(directory).map_err(|_| self.give_up()),
            _ => Err(self.give_up()),
        }
    }
}

fn is_of_engines(path: &str) -> bool {
    OF_ENGINES.iter().any(|of| is_in(path, of))
}

/// Whether something is a place, or in it.
fn is_in(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || place == "/")
}

fn key(diff_ids: &[DiffId]) -> Digest {
    let layers: Vec<String> = diff_ids.iter().map(|diff_id| diff_id.0.to_string()).collect();
    Digest::of(format!("files of {}", layers.join(" ")).as_bytes())
}
