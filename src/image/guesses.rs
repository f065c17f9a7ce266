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

/// Who does not answer within this time is asked again, by whoever can say what is wrong.
const PATIENCE: Duration = Duration::from_secs(3);

/// Guesses about registries, each of which is being asked about. Copies are the same.
#[derive(Clone, Debug, Default)]
pub struct Guesses(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
struct Asked {
    about: HashSet<String>,
    answers: JoinSet<bool>,
}

impl Guesses {
    /// Takes something for granted and begins `asking` whether it is so, once.
    pub(super) fn count_on(&self, what: String, asking: impl Future<Output = bool> + Send + 'static) {
        let mut asked = self.lock();
        if asked.about.insert(what) {
            asked.answers.spawn(async { tokio::time::timeout(PATIENCE, asking).await.unwrap_or(false) });
        }
    }

    /// Waits for the answers: whether all guesses were right.
    pub async fn were_right(&self) -> bool {
        let mut answers = std::mem::take(&mut self.lock().answers);
        while let Some(answer) = answers.join_next().await {
            if !answer.unwrap_or(false) {
                return false;
            }
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_wrong_guess_is_enough_and_silence_counts_as_one() {
        let guesses = Guesses::default();
        assert!(guesses.were_right().await);
        guesses.count_on("a".to_owned(), async { true });
        // It is not asked twice.
        guesses.clone().count_on("a".to_owned(), async { false });
        assert!(guesses.were_right().await);
        guesses.count_on("b".to_owned(), async { true });
        guesses.count_on("c".to_owned(), async { false });
        assert!(!guesses.were_right().await);
        let silent = Guesses::default();
        silent.count_on("d".to_owned(), std::future::pending());
        assert!(!silent.were_right().await);
    }
}
