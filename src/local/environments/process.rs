//! Owns what a runner has started: one task an environment, which ends it when nobody holds the
//! environment any more, and tells when it has ended by itself.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::local::runner::{Exit, Running};

/// What extensions that want to be told of the end are given.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown>
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// Tells those who want to know that the end is near.
type Farewell = Box<dyn FnOnce() + Send>;

/// A process that lives as long as the value.
pub(super) struct Process {
    ended: watch::Receiver<Option<Ended>>,
    memory: mpsc::Sender<oneshot::Sender<Option<u64>>>,
    farewell: Arc<Mutex<Option<Farewell>>>,
    kill: CancellationToken,
    _guard: DropGuard,
}

/// How it ended, and the most memory it had used.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) memory_used: Option<u64>,
}

/// Counts what is not over yet: processes, calls, and the writing of logs.
#[derive(Clone, Debug)]
pub(super) struct Living(Arc<watch::Sender<usize>>);

impl Default for Living {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

/// One of them.
pub(super) struct Life(Living);

impl Living {
    pub(super) fn one_more(&self) -> Life {
        self.0.send_modify(|count| *count += 1);
        Life(self.clone())
    }

    pub(super) fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Returns when the last is gone.
    pub(super) async fn none(&self) {
        let mut count = self.0.subscribe();
        let _gone = count.wait_for(|count| *count == 0).await;
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Process {
    /// Takes care of `running` until it ends, `end` is cancelled, or the value is dropped.
    pub(super) fn watch(mut running: Box<dyn Running>, living: &Living, end: &CancellationToken) -> Self {
        let (ended, receiver) = watch::channel(None);
        let (memory, mut questions) = mpsc::channel::<oneshot::Sender<Option<u64>>>(8);
        let kill = end.child_token();
        let farewell = Arc::new(Mutex::new(None::<Farewell>));
        let (life, killed, telling) = (living.one_more(), kill.clone(), farewell.clone());
        tokio::spawn(async move {
            let exit = loop {
                tokio::select! {
                    biased;
                    () = killed.cancelled() => break None,
                    exit = running.wait() => break Some(exit),
                    Some(question) = questions.recv() => drop(question.send(running.memory_used())),
                }
            };
            let tell = telling.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let (None, Some(tell)) = (&exit, tell) {
                // First it is made known that they may end, so that the first one who does, having
                // been told, does not take the others along.
                let retiring = running.retire();
                tell();
                let _in_time = tokio::time::timeout(LAST_WORDS, retiring).await;
            }
            let memory_used = running.memory_used();
            // Also where it exited: something it started may be left.
            running.kill().await;
            drop(running);
            let exit = exit.unwrap_or_else(|| Exit { signal: Some(9), ..Exit::default() });
            ended.send_replace(Some(Ended { exit, memory_used }));
            drop(life);
        });
        let guard = kill.clone().drop_guard();
        Self { ended: receiver, memory, farewell, kill, _guard: guard }
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone()) {
            Some(ended) => ended,
            None => Ended { exit: Exit::default(), memory_used: None },
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Ends it and waits until nothing is left.
    pub(super) async fn kill(&self) -> Ended {
        self.kill.cancel();
        self.ended().await
    }

    /// Has the process told of the end, and gives it a moment before it is killed.
    pub(super) fn linger(&self, tell: impl FnOnce() + Send + 'static) {
        *self.farewell.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(tell));
    }

    pub(super) async fn memory_used(&self) -> Option<u64> {
        let (question, answer) = oneshot::channel();
        self.memory.send(question).await.ok()?;
        answer.await.ok().flatten()
    }
}
