//! Owns what a runner has started: one task an environment, which ends it when nobody holds the
//! environment any more, and tells when it has ended by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::local::runner::{Exit, Running};

/// What extensions that want to be told of the end are given.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown>
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// A process that lives as long as the value.
#[derive(Debug)]
pub(super) struct Process {
    ended: watch::Receiver<Option<Ended>>,
    memory: mpsc::Sender<oneshot::Sender<Option<u64>>>,
    lingers: Arc<AtomicBool>,
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

impl Process {
    /// Takes care of `running` until it ends, `end` is cancelled, or the value is dropped.
    pub(super) fn watch(mut running: Box<dyn Running>, living: &Living, end: &CancellationToken) -> Self {
        let (ended, receiver) = watch::channel(None);
        let (memory, mut questions) = mpsc::channel::<oneshot::Sender<Option<u64>>>(8);
        let kill = end.child_token();
        let lingers = Arc::new(AtomicBool::new(false));
        let (life, killed, lingering) = (living.one_more(), kill.clone(), lingers.clone());
        tokio::spawn(async move {
            let exit = loop {
                tokio::select! {
                    biased;
                    () = killed.cancelled() => break None,
                    exit = running.wait() => break Some(exit),
                    Some(question) = questions.recv() => drop(question.send(running.memory_used())),
                }
            };
            if exit.is_none() && lingering.load(Ordering::Relaxed) {
                let _in_time = tokio::time::timeout(LAST_WORDS, running.retire()).await;
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
        Self { ended: receiver, memory, lingers, kill, _guard: guard }
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

    /// Gives the process a moment between being told of the end and being killed.
    pub(super) fn linger(&self) {
        self.lingers.store(true, Ordering::Relaxed);
    }

    pub(super) async fn memory_used(&self) -> Option<u64> {
        let (question, answer) = oneshot::channel();
        self.memory.send(question).await.ok()?;
        answer.await.ok().flatten()
    }
}
