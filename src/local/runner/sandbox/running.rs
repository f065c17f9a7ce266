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
use super::order::{Order, Report};
use super::{ENTRY, OUTER};
use crate::local::runner::memory::{self, Usage};
use crate::local::runner::rootfs::Rootfs;
use crate::local::runner::{BoxFuture, EXTENSIONS, Exit, OutputSink, Running};
use crate::local::runtime_api::ExtensionGate;

/// How long a sandbox may take to be there. It takes a twentieth of a second, on a machine that
/// has time.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end.
const END: Duration = Duration::from_secs(5);
/// What is still on its way when it has ended.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

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

    /// A function that runs, will run, or has failed to start, as the first report says.
    pub(super) fn run(self, rootfs: Rootfs, memory: u64, first: Report, start: Start) -> Sandbox {
        let watched = Arc::new(Watched::new(self.lifeline));
        let id = self.child.id();
        let watch = watched.clone();
        let watcher = tokio::spawn(async move {
            if let Some(id) = id {
                watch.memory(id, memory).await;
            }
        });
        let listening = tokio::spawn(listen(self.reports, first, start, watched.clone()));
        Sandbox {
            child: self.child,
            id,
            watched,
            watcher,
            output: Some(self.output),
            listening: Some(listening),
            ended: None,
            group: self.group,
            _rootfs: rootfs,
        }
    }
}

/// What is to start, for the words of its failure, and who knows the extensions.
pub(super) struct Start {
    pub(super) entry_point: String,
    pub(super) directory: String,
    pub(super) gate: ExtensionGate,
}

/// Listens to a sandbox to its end, and lets it start the function when its extensions are
/// ready. Returns how it ended, if it said so.
async fn listen(
    mut reports: Lines<BufReader<ChildStdout>>,
    first: Report,
    start: Start,
    watched: Arc<Watched>,
) -> Option<Exit> {
    let names = match &first {
        Report::Extensions(names) => names.clone(),
        _ => Vec::new(),
    };
    let mut extensions = names.len();
    start.gate.expect(names);
    let (mut is_held, mut report) = (extensions > 0, Some(first));
    loop {
        match report {
            Some(Report::Ended { code, signal }) => return Some(Exit { code, signal, ..Exit::default() }),
            Some(Report::NotStarted(obstacle)) => {
                let error = obstacle.start_error(start.entry_point, start.directory);
                return Some(Exit { start_error: Some(error), ..Exit::default() });
            }
            Some(Report::ExtensionNotStarted { name, obstacle }) => {
                let path = format!("{EXTENSIONS}/{name}");
                let error = obstacle.start_error(path, String::new());
                return Some(Exit { start_error: Some(error), extension: Some(name), ..Exit::default() });
            }
            Some(Report::ExtensionEnded { name, code, signal }) => {
                extensions -= 1;
                if !watched.is_retiring.load(Ordering::Relaxed) {
                    watched.cut();
                    return Some(Exit { code, signal, extension: Some(name), ..Exit::default() });
                }
                if extensions == 0 {
                    watched.cut();
                }
            }
            _ => {}
        }
        let line = tokio::select! {
            line = reports.next_line() => line.ok().flatten()?,
            () = start.gate.all_registered(), if is_held => {
                is_held = false;
                watched.say_so().await;
                report = None;
                continue;
            }
        };
        report = serde_json::from_str(&line).ok();
    }
}

/// What the function and the one who watches it share.
struct Watched {
    lifeline: Mutex<Option<ChildStdin>>,
    is_cut: AtomicBool,
    out_of_memory: AtomicBool,
    /// Whether extensions are expected to end.
    is_retiring: AtomicBool,
    /// Kilobytes.
    peak: AtomicU64,
}

impl Watched {
    fn new(lifeline: ChildStdin) -> Self {
        Self {
            lifeline: Mutex::new(Some(lifeline)),
            is_cut: AtomicBool::new(false),
            out_of_memory: AtomicBool::new(false),
            is_retiring: AtomicBool::new(false),
            peak: AtomicU64::new(0),
        }
    }

    fn lifeline(&self) -> std::sync::MutexGuard<'_, Option<ChildStdin>> {
        self.lifeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the sandbox start the function, or, where it has, stop it before its extensions.
    async fn say_so(&self) {
        let taken = self.lifeline().take();
        if let Some(mut lifeline) = taken {
            let _may_be_gone = lifeline.write_all(b"\n").await;
            let mut place = self.lifeline();
            // Cut meanwhile, it stays cut.
            if !self.is_cut.load(Ordering::SeqCst) {
                *place = Some(lifeline);
            }
        }
    }

    /// Ends the sandbox: its first process ends when this pipe does, and takes all with it.
    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        self.lifeline().take();
    }

    fn look(&self, id: u32) -> Option<Usage> {
        let usage = memory::of_sandbox(id)?;
        self.peak.fetch_max(usage.resident.max(usage.peak), Ordering::Relaxed);
        Some(usage)
    }

    /// Looks at the memory, as long as there is a sandbox, and ends one that uses too much.
    async fn memory(&self, id: u32, megabytes: u64) {
        if memory::exceeds(megabytes * 1024, || self.look(id)).await {
            self.out_of_memory.store(true, Ordering::Relaxed);
            self.cut();
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
    listening: Option<JoinHandle<Option<Exit>>>,
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
        if let Some(listening) = &mut self.listening {
            let told = listening.await.ok().flatten();
            let exit = self.judged(told);
            self.ended.get_or_insert(exit);
        }
        self.listening = None;
        self.ended.clone().unwrap_or_default()
    }

    fn judged(&self, told: Option<Exit>) -> Exit {
        // Killed from outside, by us mostly.
        let exit = told.unwrap_or_else(|| Exit { signal: Some(9), ..Exit::default() });
        let was_killed = exit.signal == Some(9) || exit.code == Some(137);
        let by_kernel = || self.group.as_ref().is_some_and(Group::has_killed);
        let out_of_memory = self.watched.out_of_memory.load(Ordering::Relaxed) || (was_killed && by_kernel());
        Exit { out_of_memory, ..exit }
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

    fn retire(&mut self) -> BoxFuture<'_, ()> {
        self.watched.is_retiring.store(true, Ordering::Relaxed);
        Box::pin(async {
            self.watched.say_so().await;
            drop(self.exit().await);
        })
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
