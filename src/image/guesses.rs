//! What is taken for granted while it is being asked for.
//!
//! A run mostly finds what the last one left: the base image still has the digest its tag had, and
//! the repository still has the image that was pushed last. To ask costs round trips, during which
//! nothing else could happen. So the image is made as if both were so, its small blobs are sent, and
//! only before anything is to name them has it to be certain. The pipeline asks then, and where
//! a guess was wrong it makes the image again, without any.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

/// For how long an answer is waited for when there is nothing else to do. Who has not answered by
/// then is asked again, by whoever can say what is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// Guesses about registries, each of which is being asked about. Copies are the same.
#[derive(Clone, Debug, Default)]
pub struct Guesses(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
struct Asked {
    about: HashSet<String>,
    /// What something relies on.
    counted_on: HashSet<String>,
    answers: JoinSet<(String, Option<bool>)>,
}

/// What came of guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// All were right.
    Right,
    /// One was wrong.
    Wrong,
    /// There was no answer about one.
    Unknown,
}

impl Guesses {
    /// Begins `asking` whether something is so, once; `None` is no answer.
    pub(super) fn ask(&self, what: &str, asking: impl Future<Output = Option<bool>> + Send + 'static) {
        let mut asked = self.lock();
        if asked.about.insert(what.to_owned()) {
            let what = what.to_owned();
            asked.answers.spawn(async { (what, asking.await) });
        }
    }

    /// The same, and takes it for granted.
    pub(super) fn count_on(&self, what: &str, asking: impl Future<Output = Option<bool>> + Send + 'static) {
        self.ask(what, asking);
        self.lock().counted_on.insert(what.to_owned());
    }

    /// Waits for the answers about what was counted on until now. They are done with then.
    pub async fn truth(&self) -> Truth {
        let Asked { counted_on: mut open, mut answers, .. } = std::mem::take(&mut *self.lock());
        let answering = async {
            while !open.is_empty() {
                // One that failed is none.
                let Some(answer) = answers.join_next().await else { return Truth::Unknown };
                match answer {
                    Ok((what, answer)) if open.remove(&what) => match answer {
                        Some(true) => {}
                        Some(false) => return Truth::Wrong,
                        None => return Truth::Unknown,
                    },
                    _ => {}
                }
            }
            Truth::Right
        };
        tokio::time::timeout(PATIENCE, answering).await.unwrap_or(Truth::Unknown)
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_wrong_guess_is_enough_and_no_answer_is_told_from_it() {
        let truth = async |guesses: &[(&str, Option<bool>)]| {
            let all = Guesses::default();
            for (what, answer) in guesses.iter().copied() {
                all.count_on(what, async move { answer });
            }
            all.truth().await
        };
        assert_eq!(truth(&[]).await, Truth::Right);
        assert_eq!(truth(&[("a", Some(true)), ("b", Some(true))]).await, Truth::Right);
        assert_eq!(truth(&[("a", Some(true)), ("b", Some(false))]).await, Truth::Wrong);
        assert_eq!(truth(&[("a", Some(true)), ("b", None)]).await, Truth::Unknown);
    }

    #[tokio::test]
    async fn what_nothing_relies_on_may_be_wrong_and_nothing_is_asked_twice() {
        let guesses = Guesses::default();
        guesses.ask("a", async { Some(false) });
        guesses.ask("b", async { Some(true) });
        guesses.clone().count_on("b", async { Some(false) });
        assert_eq!(guesses.truth().await, Truth::Right);
    }
}
