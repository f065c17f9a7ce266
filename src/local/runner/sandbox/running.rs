//! A sandbox as its server sees it: a process, the pipe by whose end it ends, what it says, and
//! how much memory it uses.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::cgroup::Group;
use super::memory::{self, Usage};
use super::order::{Order, Report};
use super::{ENTRY, OUTER};
use crate::local::runner::rootfs::Rootfs;
use crate::local::runner::{BoxFuture, Exit, OutputSink, Running};

/// How long a sandbox may take to be there. It takes a twentieth of a second, on a machine that
/// has time.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end.
const END: Duration = Duration::from_secs(5);
/// What is still on its way when it has ended.
const LAST_OUTPUT: Duration = Duration::from_secs(2);
/// How often its memory is looked at: often where it uses more than half of it.
const LOOK: Duration = Duration::from_millis(100);
const LOOK_CLOSELY: Duration = Duration::from_millis(20);

/// A process of a sandbox, and what connects us with it.
pub(super) struct Started {
    child: Child,
    lifeline: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
    output: JoinHandle<()>,
    group: Option<Group>,
}

impl Started {
    /// Starts one and tells it what to do.
    pub(super) async fn new(order: &Order, memory: u64, output: OutputSink) -> io::Result<Self> {
        let missing = || io::Error::other("a pipe is missing");
        let mut child = Command::new("/proc/self/exe")
            .args([ENTRY, OUTER])
            .env_clear()
            // Ctrl-C in a terminal is for the server, which ends this in order.
            .process_group(0)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()?;
        let mut lifeline = child.stdin.take().ok_or_else(missing)?;
        let reports = BufReader::new(child.stdout.take().ok_or_else(missing)?).lines();
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let output = tokio::spawn(async move { output.copy(stderr).await });
        // Before it starts anything.
        let group = match (child.id(), &order.program) {
            (Some(id), Some(_)) => Group::around(id, memory + order.temporary),
            _ => None,
        };
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        lifeline.write_all(&line).await?;
        Ok(Self { child, lifeline, reports, output, group })
    }

    /// The next thing it says; `None` where it has ended.
    pub(super) async fn report(&mut self) -> io::Result<Option<Report>> {
        let line = tokio::time::timeout(START, self.reports.next_line());
        let line = line.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        line.map(|line| serde_json::from_str(&line).map_err(io::Error::other)).transpose()
    }

    /// Ends it, and returns when nothing of it is left.
    pub(super) async fn end(mut self) {
        drop(self.lifeline);
        bury(&mut self.child, &self.group).await;
    }

    /// A running function, or one that has failed to start.
    pub(super) fn run(self, rootfs: Rootfs, memory: u64, failed: Option<Exit>) -> Sandbox {
        let watched = Arc::new(Watched::new(self.lifeline));
        let id = self.child.id();
        let watch = watched.clone();
        let watcher = tokio::spawn(async move {
            if let Some(id) = id {
                watch.memory(id, memory).await;
            }
        });
        let mut reports = self.reports;
        let last = tokio::spawn(async move {
            let line = reports.next_line().await.ok().flatten()?;
            serde_json::from_str(&line).ok()
        });
        Sandbox {
            child: self.child,
            id,
            watched,
            watcher,
            output: Some(self.output),
            last: Some(last),
            ended: failed,
            group: self.group,
            _rootfs: rootfs,
        }
    }
}

/// What the function and the one who watches it share.
struct Watched {
    lifeline: Mutex<Option<ChildStdin>>,
    out_of_memory: AtomicBool,
    /// Kilobytes.
    peak: AtomicU64,
}

impl Watched {
    fn new(lifeline: ChildStdin) -> Self {
        Self {
            lifeline: Mutex::new(Some(lifeline)),
            out_of_memory: AtomicBool::new(false),
            peak: AtomicU64::new(0),
        }
    }

    /// Ends the sandbox: its first process ends when this pipe does, and takes all with it.
    fn cut(&self) {
        self.lifeline.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn look(&self, id: u32) -> Option<Usage> {
        let usage = memory::usage(id)?;
        self.peak.fetch_max(usage.resident.max(usage.peak), Ordering::Relaxed);
        Some(usage)
    }

    /// Looks at the memory, as long as there is a sandbox, and ends one that uses too much.
    async fn memory(&self, id: u32, megabytes: u64) {
        let limit = megabytes * 1024;
        while let Some(usage) = self.look(id) {
            if usage.own > limit {
                self.out_of_memory.store(true, Ordering::Relaxed);
                return self.cut();
            }
            tokio::time::sleep(if usage.own > limit / 2 { LOOK_CLOSELY } else { LOOK }).await;
        }
    }
}

/// A function in its sandbox.
pub(super) struct Sandbox {
    child: Child,
    id: Option<u32>,
    watched: Arc<Watched>,
    watcher: JoinHandle<()>,
    output: Option<JoinHandle<()>>,
    last: Option<JoinHandle<Option<Report>>>,
    /// How it ended, once that is known.
    ended: Option<Exit>,
    group: Option<Group>,
    _rootfs: Rootfs,
}

impl Sandbox {
    /// Every step may be broken off and is then taken again.
    async fn exit(&mut self) -> Exit {
        let _gone = self.child.wait().await;
        if let Some(output) = &mut self.output {
            let _in_time = tokio::time::timeout(LAST_OUTPUT, output).await;
        }
        self.output = None;
        if let Some(last) = &mut self.last {
            let report = last.await.ok().flatten();
            let exit = self.exit_of(report);
            self.ended.get_or_insert(exit);
        }
        self.last = None;
        self.ended.clone().unwrap_or_default()
    }

    fn exit_of(&self, report: Option<Report>) -> Exit {
        let (code, signal) = match report {
            Some(Report::Ended { code, signal }) => (code, signal),
            // Killed from outside, by us mostly.
            _ => (None, Some(9)),
        };
        let was_killed = signal == Some(9) || code == Some(137);
        let by_kernel = || self.group.as_ref().is_some_and(Group::has_killed);
        let out_of_memory = self.watched.out_of_memory.load(Ordering::Relaxed) || (was_killed && by_kernel());
        Exit { code, signal, out_of_memory, start_error: None }
    }

    async fn end(&mut self) {
        self.watched.cut();
        bury(&mut self.child, &self.group).await;
    }
}

/// Waits until a sandbox whose pipe is closed is gone.
async fn bury(child: &mut Child, group: &Option<Group>) {
    if tokio::time::timeout(END, child.wait()).await.is_err() {
        tracing::warn!("a sandbox had to be killed");
        let _gone = child.kill().await;
    }
    let Some(group) = group else { return };
    // The kernel may need a moment to see that nobody is in it.
    for _ in 0..50 {
        if group.remove() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.watcher.abort();
        self.watched.cut();
    }
}

impl Running for Sandbox {
    fn wait(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(self.exit())
    }

    fn kill(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.end())
    }

    fn memory_used(&self) -> Option<u64> {
        self.id.and_then(|id| self.watched.look(id));
        let kilobytes = self.watched.peak.load(Ordering::Relaxed);
        (kilobytes > 0).then(|| kilobytes.div_ceil(1024))
    }
}
