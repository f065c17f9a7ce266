//! Runs a verb until it is done or somebody interrupts it.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::context::{Context, quoted};
use super::error::{CommandError, Exit};
use crate::domain::plan::Step;
use crate::services::docker::finish_cleaning_up;

/// How long the tasks that are under way may take to end, once their work is of no use any more.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// How long an engine may take to give back what a run no longer needs, where it was interrupted.
const CLEANING: Duration = Duration::from_secs(5);

/// Runs `work`; Ctrl-C or SIGTERM drops it, a second one ends the process at once.
pub(super) fn run(
    context: &Context,
    work: impl Future<Output = Result<Exit, CommandError>>,
) -> Result<Exit, CommandError> {
    block_on(async {
        let interrupted = watch()?;
        tokio::select! {
            result = work => result,
            _ = interrupted => Err(interruption(context)),
        }
    })
}

/// What is said where somebody interrupts.
pub(super) fn interruption(context: &Context) -> CommandError {
    CommandError::Interrupted {
        so_far: context.output.so_far(),
        watch: context
            .output
            .under_way(Step::Watch)
            .map(|function| context.command_line(&format!("watch {}", quoted(&function)))),
    }
}

/// Runs `work` on a runtime that is waited for only briefly at the end: what its tasks own is
/// dropped, which ends processes that were started, but a thread that blocks (on a lock, on
/// standard input) must not keep an interrupted program alive.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(CommandError::Runtime)?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_MOMENT);
    finish_cleaning_up(CLEANING);
    result
}

/// Resolves at the first Ctrl-C or SIGTERM.
pub(super) fn watch() -> Result<oneshot::Receiver<()>, CommandError> {
    let mut signals = Signals::new().map_err(CommandError::Runtime)?;
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        // The receiver is gone when the work is done; then nothing is left to interrupt.
        let _done = sender.send(());
        signals.next().await;
        exit_at_once();
    });
    Ok(receiver)
}

#[expect(clippy::exit, reason = "a second Ctrl-C is for those who do not want to wait for anything")]
fn exit_at_once() {
    std::process::exit(Exit::Interrupted.code().into());
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // Where no handler can be installed, nothing ever interrupts.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
