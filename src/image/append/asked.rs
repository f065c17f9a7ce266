//! What files a base image has: what was asked before is remembered by its layers, and for the rest
//! there is an engine that has the image, or the lists of its layers.
//!
//! A Dockerfile asks for a dozen places, and for the same ones every time. Asking an engine for them
//! spares fetching the layers of an image only to list them. What was asked is noted in the image
//! that is made, as BuildKit notes there what its cache needs: a machine that remembers nothing finds
//! it in the image that is there already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::content::{Content, Unknown};
use super::engine::Files;
use super::memo::Memory;
use super::tree::{Kind, Node, Owner, Place, Unexplored, text};
use super::{NotUnderstood, Stopped, accounts};
use crate::domain::digest::{DiffId, Digest};
use crate::image::known::KnownImages;

/// What engines put into every container, whether the image has it or not, and where.
/// <https://github.com/moby/moby/blob/v28.5.2/daemon/initlayer/setup_unix.go>
const OF_ENGINES: [&str; 8] =
    ["/.dockerenv", "/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/mtab", "/etc/resolv.conf"];

/// The member of an image's configuration for what was asked of its base. Whoever does not know a
/// member ignores it. <https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md>
pub(super) const NOTE: &str = "lambdactl.base.v1";

/// No note has more places, and no text that is longer.
const LONGEST_NOTE: usize = 500;
const LONGEST_TEXT: usize = 8 << 10;

/// The files of a base image.
#[derive(Debug)]
pub(super) struct Asked {
    source: Source,
    layers: usize,
    key: Digest,
    memory: Option<Arc<dyn Memory>>,
    answers: Mutex<Answers>,
    has_given_up: Arc<AtomicBool>,
}

/// Who knows more than what is remembered.
pub(super) enum Source {
    Nobody,
    /// An engine that has the image.
    Engine(Files),
    /// The lists of its layers.
    Lists(Box<dyn Unexplored>),
}

#[derive(Debug)]
struct Answers {
    known: Known,
    has_new: bool,
    /// What of it was asked for now.
    asked: BTreeSet<String>,
    /// Whether something was asked for that cannot be noted.
    is_partial: bool,
}

/// What is where; `None` is known to be absent.
type Known = BTreeMap<String, Option<Answer>>;

/// What an image says of the image it stands on.
#[derive(Debug, Deserialize, Serialize)]
struct Note {
    /// How many of its layers, the lowest ones, are that image's.
    layers: usize,
    files: Known,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Answer {
    what: What,
    mode: u32,
    user: u64,
    group: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
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
    /// Neither a directory nor a link.
    Other,
}

impl Asked {
    /// Those of the image of these layers, as far as they were asked for before; `None` where
    /// nothing was.
    pub(super) fn before(diff_ids: &[DiffId], memory: Option<Arc<dyn Memory>>) -> Option<Self> {
        let asked = Self::of(Source::Nobody, diff_ids, memory);
        let is_new = asked.answers().has_new;
        (!is_new).then_some(asked)
    }

    /// The same, as far as they were asked for when an image was made that a registry has.
    pub(super) fn noted(
        diff_ids: &[DiffId],
        memory: Option<Arc<dyn Memory>>,
        known: &KnownImages,
    ) -> Option<Self> {
        let mut notes = known.members(NOTE, diff_ids).filter_map(|note| Note::deserialize(note).ok());
        let note = notes.find(|note| note.layers == diff_ids.len())?;
        let asked = Self::of(Source::Nobody, diff_ids, memory);
        asked.answers().known = note.files;
        Some(asked)
    }

    /// The same, where there is somebody who knows more.
    pub(super) fn of(source: Source, diff_ids: &[DiffId], memory: Option<Arc<dyn Memory>>) -> Self {
        let layers: Vec<String> = diff_ids.iter().map(|diff_id| diff_id.0.to_string()).collect();
        let key = Digest::of(format!("files of {}", layers.join(" ")).as_bytes());
        let bytes = memory.as_ref().and_then(|memory| memory.get(&key));
        let known: Option<Known> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let answers = Answers {
            // That nothing is asked for is worth knowing, too.
            has_new: known.is_none(),
            known: known.unwrap_or_default(),
            asked: BTreeSet::new(),
            is_partial: false,
        };
        let (answers, has_given_up) = (Mutex::new(answers), Arc::default());
        Self { source, layers: diff_ids.len(), key, memory, answers, has_given_up }
    }

    /// What is to be noted in an image that stands on this one: the same on every machine, whoever
    /// was asked.
    pub(super) fn note(&self) -> Option<Value> {
        let answers = self.answers();
        if answers.is_partial || answers.asked.len() > LONGEST_NOTE {
            return None;
        }
        let noted = |path: &String| {
            let answer = answers.known.get(path)?.as_ref().map(Answer::noted);
            Some((path.clone(), answer))
        };
        let files = answers.asked.iter().map(noted).collect::<Option<_>>()?;
        serde_json::to_value(Note { layers: self.layers, files }).ok()
    }

    /// Whether anybody is asked for what is not remembered.
    pub(super) fn asks(&self) -> bool {
        !matches!(self.source, Source::Nobody)
    }

    /// Whether there was a question that was not answered.
    pub(super) fn has_given_up(&self) -> bool {
        self.has_given_up.load(Ordering::Relaxed)
    }

    /// Gives back what an engine keeps for this, and remembers what is new.
    pub(super) async fn close(&self) {
        if let Source::Engine(files) = &self.source {
            files.image().close().await;
        }
        let answers = self.answers();
        if let Some(memory) = self.memory.as_ref().filter(|_| answers.has_new)
            && let Ok(bytes) = serde_json::to_vec(&answers.known)
        {
            memory.put(&self.key, &bytes);
        }
    }

    /// Gives back what an engine keeps for this although nobody waits for it.
    pub(super) fn abandon(&self) {
        if let Source::Engine(files) = &self.source {
            files.image().abandon();
        }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_up(&self) -> Stopped {
        self.has_given_up.store(true, Ordering::Relaxed);
        NotUnderstood::new("what the engine does not tell of its image").into()
    }

    /// What is known of a place.
    fn known(&self, path: &str) -> Option<Option<Answer>> {
        let mut answers = self.answers();
        let known = answers.known.get(path).cloned()?;
        if known.as_ref().is_some_and(|answer| answer.what == What::Other) && self.asks() {
            // There is somebody who knows more.
            return None;
        }
        answers.asked.insert(path.to_owned());
        Some(known)
    }

    /// Asks an engine.
    fn ask(&self, files: &Files, place: &Place) -> Result<Option<Node>, Stopped> {
        let path = text(place);
        if is_of_engines(&path) {
            return Err(self.give_up());
        }
        let get = |place: &Place| files.get(place).map_err(|_| self.give_up());
        let found = get(place)?;
        // Containers have it in any case.
        if path == "/etc" {
            let mut is_own = false;
            for file in accounts::FILES {
                is_own |= get(&super::tree::place(file))?.is_some();
            }
            if !is_own {
                return Err(self.give_up());
            }
        }
        Ok(found)
    }

    /// Remembers what is at a place.
    fn remember(&self, place: &Place, found: Option<&Node>) -> Result<(), Stopped> {
        let path = text(place);
        let answer = match found {
            Some(node) => Answer::of(node, &path).map_err(|_| self.give_up())?.map(Some),
            None => Some(None),
        };
        let mut answers = self.answers();
        match answer {
            Some(answer) if is_text(place) => {
                answers.asked.insert(path.clone());
                let before = answers.known.insert(path, answer.clone());
                answers.has_new |= before != Some(answer);
            }
            _ => answers.is_partial = true,
        }
        Ok(())
    }

    /// What was answered before.
    fn node(&self, path: &str, answer: Answer) -> Node {
        let kind = match answer.what {
            What::Directory => Kind::Directory,
            What::Special => Kind::Special,
            What::Link(target) => Kind::Link(target.into()),
            What::File { text: Some(text), .. } => Kind::File(Content::Text(text.into())),
            What::File { size, text: None } if let Source::Engine(files) = &self.source => {
                Kind::File(files.content(path.to_owned(), size))
            }
            What::File { .. } | What::Other => {
                Kind::File(Content::Unknown(Unknown { is_wanted: self.has_given_up.clone() }))
            }
        };
        Node { kind, mode: answer.mode, owner: Owner { user: answer.user, group: answer.group } }
    }
}

impl Answer {
    /// As it is noted in images: of what is written over it only counts that it is there.
    fn noted(&self) -> Self {
        match &self.what {
            What::Directory | What::Link(_) => self.clone(),
            What::File { text: Some(text), .. } if text.len() <= LONGEST_TEXT => self.clone(),
            What::File { .. } | What::Special | What::Other => {
                Self { what: What::Other, mode: 0, user: 0, group: 0 }
            }
        }
    }

    /// What is worth remembering of what is at `path`; `None` where it is no text.
    fn of(node: &Node, path: &str) -> Result<Option<Self>, Stopped> {
        let what = match &node.kind {
            Kind::Directory => What::Directory,
            Kind::Special => What::Special,
            Kind::Link(target) => match target.to_str() {
                Some(target) => What::Link(target.to_owned()),
                None => return Ok(None),
            },
            Kind::File(content) => {
                let size = content.size();
                let is_list = accounts::FILES.contains(&path) && size <= accounts::LARGEST;
                What::File { size, text: if is_list { accounts::text(content)? } else { None } }
            }
        };
        Ok(Some(Self { what, mode: node.mode, user: node.owner.user, group: node.owner.group }))
    }
}

impl Unexplored for Asked {
    fn get(&self, place: &Place) -> Result<Option<Node>, Stopped> {
        let found = match &self.source {
            Source::Lists(lists) => lists.get(place)?,
            _ if !is_text(place) => return Err(self.give_up()),
            source => {
                let path = text(place);
                match (self.known(&path), source) {
                    (Some(known), _) => return Ok(known.map(|answer| self.node(&path, answer))),
                    (None, Source::Engine(files)) => self.ask(files, place)?,
                    (None, _) => return Err(self.give_up()),
                }
            }
        };
        self.remember(place, found.as_ref())?;
        Ok(found)
    }

    fn below(&self, directory: &Place) -> Result<Vec<(Place, Node)>, Stopped> {
        let path = text(directory);
        let has_of_engines = || OF_ENGINES.iter().any(|of| is_in(of, &path)) || is_of_engines(&path);
        match &self.source {
            Source::Lists(lists) => lists.below(directory),
            Source::Engine(files) if !has_of_engines() => files.below(directory).map_err(|_| self.give_up()),
            _ => Err(self.give_up()),
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Engine(_) => "Engine",
            Self::Lists(_) => "Lists",
        })
    }
}

/// Whether names can be told apart where they are written as text.
fn is_text(place: &Place) -> bool {
    place.iter().all(|name| name.to_str().is_some())
}

fn is_of_engines(path: &str) -> bool {
    OF_ENGINES.iter().any(|of| is_in(path, of))
}

/// Whether something is a place, or in it.
fn is_in(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || place == "/")
}
