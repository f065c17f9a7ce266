//! Remembers what Dockerfiles ask of a base image: a dozen places, the same ones every time, so that
//! neither its layers nor the lists of them are needed to answer.
//!
//! It is noted, too, in the image that is made, as BuildKit notes there what its cache needs: a
//! machine that remembers nothing finds it in the image that is there already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::base::Asking;
use super::content::{Content, Unread};
use super::engine::Files;
use super::memo::Memory;
use super::tree::{Kind, Node, Owner, Place, Unexplored, text};
use super::{NotUnderstood, Stopped, accounts};
use crate::domain::digest::Digest;
use crate::image::Image;
use crate::image::known::KnownImages;

/// The member of an image's configuration for what was asked of its base. Whoever does not know a
/// member ignores it. <https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md>
pub(super) const NOTE: &str = "lambdactl.base.v1";

/// With more places no note is made, and longer texts are left out of it.
const LONGEST_NOTE: usize = 500;
const LONGEST_TEXT: usize = 8 << 10;

/// The files of a base image.
#[derive(Debug)]
pub(super) struct Asked {
    source: Source,
    /// How many layers the image has.
    layers: usize,
    memory: Option<Arc<dyn Memory>>,
    key: Digest,
    answers: Mutex<Answers>,
    has_given_up: AtomicBool,
    needs_lists: Arc<AtomicBool>,
}

/// Who knows more than what is remembered.
pub(super) enum Source {
    Nobody,
    /// An engine that has the image.
    Engine(Files),
    /// The lists of its layers.
    Lists(Box<dyn Unexplored>),
}

#[derive(Debug, Default)]
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
#[serde(rename_all = "lowercase")]
enum Answer {
    Directory {
        mode: u32,
        user: u64,
        group: u64,
    },
    /// Where it leads.
    Link(String),
    /// A file that lists accounts.
    Text(String),
    /// Something else, which only is in the way or written over.
    Something,
}

impl Asked {
    /// What was asked of this image before; `None` where nothing was.
    pub(super) fn before(image: &Image, memory: Option<Arc<dyn Memory>>) -> Option<Self> {
        let known = recall(memory.as_ref(), &key(image))?;
        Some(Self::new(Source::Nobody, image, memory, Answers { known, ..Answers::default() }))
    }

    /// What was asked of this image when another one was made that a registry has. That is not taken
    /// over into the memory: whoever wrote it need not be trusted with other images.
    pub(super) fn noted(image: &Image, known: &KnownImages) -> Option<Self> {
        let lowest: Vec<Digest> = image.layers.iter().map(|layer| layer.descriptor.digest).collect();
        let mut notes = known.members(NOTE, &lowest).filter_map(|note| Note::deserialize(note).ok());
        let known = notes.find(|note| note.layers == lowest.len())?.files;
        Some(Self::new(Source::Nobody, image, None, Answers { known, ..Answers::default() }))
    }

    /// The files of this image, which `source` knows.
    pub(super) fn of(source: Source, image: &Image, memory: Option<Arc<dyn Memory>>) -> Self {
        let known = recall(memory.as_ref(), &key(image));
        // That nothing is asked for is worth knowing, too.
        let has_new = known.is_none();
        let known = known.unwrap_or_default();
        Self::new(source, image, memory, Answers { known, has_new, ..Answers::default() })
    }

    fn new(source: Source, image: &Image, memory: Option<Arc<dyn Memory>>, answers: Answers) -> Self {
        Self {
            source,
            layers: image.layers.len(),
            memory,
            key: key(image),
            answers: Mutex::new(answers),
            has_given_up: AtomicBool::new(false),
            needs_lists: Arc::default(),
        }
    }

    /// Who has to be asked where there was a question that was not answered.
    pub(super) fn next(&self) -> Option<Asking> {
        let (needs_lists, has_given_up) =
            (self.needs_lists.load(Ordering::Relaxed), self.has_given_up.load(Ordering::Relaxed));
        match &self.source {
            Source::Lists(_) => None,
            _ if needs_lists => Some(Asking::Lists),
            _ if !has_given_up => None,
            Source::Engine(_) => Some(Asking::Lists),
            Source::Nobody => Some(Asking::Engine),
        }
    }

    /// Remembers what is new.
    pub(super) fn save(&self) {
        let mut answers = self.answers();
        let is_worthwhile = answers.has_new && (self.next().is_none() || !answers.known.is_empty());
        if let Some(memory) = self.memory.as_ref().filter(|_| is_worthwhile)
            && let Ok(bytes) = serde_json::to_vec(&answers.known)
        {
            memory.put(&self.key, &bytes);
            answers.has_new = false;
        }
    }

    /// What is to be noted in an image that stands on this one: the same on every machine, whoever
    /// was asked.
    pub(super) fn note(&self) -> Option<Value> {
        let answers = self.answers();
        if answers.is_partial || answers.asked.len() > LONGEST_NOTE {
            return None;
        }
        let noted = |path: &String| {
            let answer = answers.known.get(path)?.clone();
            let is_long = matches!(&answer, Some(Answer::Text(text)) if text.len() > LONGEST_TEXT);
            Some((path.clone(), if is_long { Some(Answer::Something) } else { answer }))
        };
        let files = answers.asked.iter().map(noted).collect::<Option<_>>()?;
        serde_json::to_value(Note { layers: self.layers, files }).ok()
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_up(&self, why: &str) -> Stopped {
        tracing::debug!("what the base has is asked of others: {why}");
        self.has_given_up.store(true, Ordering::Relaxed);
        NotUnderstood::new("what is not known of the base").into()
    }

    /// What is known of a place.
    fn known(&self, path: &str) -> Option<Option<Node>> {
        let mut answers = self.answers();
        let known = answers.known.get(path)?.as_ref().map(|answer| self.node(answer));
        answers.asked.insert(path.to_owned());
        Some(known)
    }

    /// Remembers what is at a place.
    fn remember(&self, place: &Place, answer: Option<Option<Answer>>) {
        let mut answers = self.answers();
        match answer {
            Some(answer) if is_text(place) => {
                let path = text(place);
                answers.asked.insert(path.clone());
                let before = answers.known.insert(path, answer.clone());
                answers.has_new |= before != Some(answer);
            }
            _ => answers.is_partial = true,
        }
    }

    fn node(&self, answer: &Answer) -> Node {
        let (kind, mode, owner) = match answer {
            Answer::Directory { mode, user, group } => {
                (Kind::Directory, mode & 0o7777, Owner { user: *user, group: *group })
            }
            // Nobody looks at the mode and owner of a link that is only followed.
            Answer::Link(target) => (Kind::Link(target.into()), 0o777, Owner::default()),
            Answer::Text(text) => (Kind::File(Content::Text(text.as_str().into())), 0o644, Owner::default()),
            Answer::Something => {
                let unread = Content::Unread(Unread { is_wanted: self.needs_lists.clone() });
                (Kind::File(unread), 0o644, Owner::default())
            }
        };
        Node { kind, mode, owner }
    }
}

impl Answer {
    /// What is worth remembering of what was found at `path`; the outer `None` where it is no text.
    fn of(found: Option<&Node>, path: &str) -> Result<Option<Option<Self>>, Stopped> {
        let Some(node) = found else { return Ok(Some(None)) };
        Ok(Some(Some(match &node.kind {
            Kind::Directory => {
                Self::Directory { mode: node.mode, user: node.owner.user, group: node.owner.group }
            }
            Kind::Link(target) => match target.to_str() {
                Some(target) => Self::Link(target.to_owned()),
                None => return Ok(None),
            },
            Kind::File(content) if accounts::FILES.contains(&path) && content.size() <= accounts::LARGEST => {
                let text = accounts::text(content)?.filter(|text| !text.is_empty() && !text.contains('\0'));
                text.map_or(Self::Something, Self::Text)
            }
            Kind::File(_) | Kind::Special => Self::Something,
        })))
    }
}

impl Unexplored for Asked {
    fn get(&self, place: &Place) -> Result<Option<Node>, Stopped> {
        let path = text(place);
        if let Source::Lists(lists) = &self.source {
            let found = lists.get(place)?;
            self.remember(place, Answer::of(found.as_ref(), &path)?);
            return Ok(found);
        }
        if !is_text(place) {
            // As text these would be others.
            return Err(self.give_up("a name that is not UTF-8"));
        }
        if let Some(known) = self.known(&path) {
            return Ok(known);
        }
        let Source::Engine(files) = &self.source else { return Err(self.give_up(&path)) };
        let asked = files.get(place).and_then(|found| Answer::of(found.as_ref(), &path));
        let answer = asked.map_err(|stopped| self.give_up(&stopped.to_string()))?;
        let answer = answer.ok_or_else(|| self.give_up("a link that is not UTF-8"))?;
        let node = answer.as_ref().map(|answer| self.node(answer));
        self.remember(place, Some(answer));
        Ok(node)
    }

    fn below(&self, directory: &Place) -> Result<Vec<(Place, Node)>, Stopped> {
        match &self.source {
            Source::Lists(lists) => lists.below(directory),
            _ => {
                self.needs_lists.store(true, Ordering::Relaxed);
                Err(NotUnderstood::new("all files of a directory of the base").into())
            }
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

/// Under what is remembered of an image: its layers say what files it has.
fn key(image: &Image) -> Digest {
    let layers: Vec<String> = image.layers.iter().map(|layer| layer.descriptor.digest.to_string()).collect();
    Digest::of(format!("files of {}", layers.join(" ")).as_bytes())
}

fn recall(memory: Option<&Arc<dyn Memory>>, key: &Digest) -> Option<Known> {
    serde_json::from_slice(&memory?.get(key)?).ok()
}

/// Whether names can be told apart where they are written as text.
fn is_text(place: &Place) -> bool {
    place.iter().all(|name| name.to_str().is_some())
}
