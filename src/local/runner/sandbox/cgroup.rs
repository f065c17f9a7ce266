//! A control group around a sandbox, where we may make one: the kernel itself then stops a
//! function that takes memory faster than anybody looks.
//!
//! `/tmp` lies in memory here and does not in Lambda, so a group may use as much as function and
//! `/tmp` together; the function's own limit is watched over in [`super::running`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const PREFIX: &str = "lambdactl-sandbox-";
/// One hierarchy of its own for memory, as in version 1 and in hybrids.
const VERSION_1: &str = "/sys/fs/cgroup/memory";
const VERSION_2: &str = "/sys/fs/cgroup";
/// For what the kernel itself keeps for the processes.
const SLACK: u64 = 32;

/// A group; removed with the value, once its processes are gone.
#[derive(Debug)]
pub(super) struct Group {
    path: PathBuf,
    is_version_2: bool,
}

/// Where groups go; `None` where nobody may make any.
fn parent() -> Option<(PathBuf, bool)> {
    let has_memory = |path: &str| {
        let controllers = fs::read_to_string(Path::new(path).join("cgroup.subtree_control"));
        controllers.is_ok_and(|names| names.split_ascii_whitespace().any(|name| name == "memory"))
    };
    if Path::new(VERSION_1).join("memory.limit_in_bytes").exists() {
        Some((VERSION_1.into(), false))
    } else {
        has_memory(VERSION_2).then(|| (VERSION_2.into(), true))
    }
}

impl Group {
    /// Puts a process, and all it will start, into a group that may use so many megabytes.
    pub(super) fn around(process: u32, megabytes: u64) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let (parent, is_version_2) = parent()?;
        let path = parent.join(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&path).ok()?;
        let group = Self { path, is_version_2 };
        match group.fill(process, megabytes) {
            Ok(()) => Some(group),
            Err(error) => {
                tracing::debug!(%error, "no control group");
                None
            }
        }
    }

    fn fill(&self, process: u32, megabytes: u64) -> io::Result<()> {
        let bytes = ((megabytes + SLACK) * 1024 * 1024).to_string();
        if self.is_version_2 {
            self.set("memory.max", &bytes)?;
            // A machine without swap has no such setting, and needs none.
            let _may_be_missing = self.set("memory.swap.max", "0");
            let _may_be_missing = self.set("memory.oom.group", "1");
        } else {
            self.set("memory.limit_in_bytes", &bytes)?;
            let _may_be_missing = self.set("memory.memsw.limit_in_bytes", &bytes);
        }
        self.set("cgroup.procs", &process.to_string())
    }

    fn set(&self, name: &str, value: &str) -> io::Result<()> {
        fs::write(self.path.join(name), value)
    }

    /// Whether the kernel has killed anything in it for want of memory.
    pub(super) fn has_killed(&self) -> bool {
        let file = if self.is_version_2 { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.path.join(file)).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.is_some_and(|count| count.trim() != "0")
    }

    /// Removes it; fails while there are processes in it.
    pub(super) fn remove(&self) -> bool {
        match fs::remove_dir(&self.path) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Where that fails, the next server does it.
        self.remove();
    }
}

/// Removes the empty groups that killed servers have left.
pub(super) fn sweep() {
    let Some((parent, _)) = parent() else { return };
    for entry in fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let _in_use = fs::remove_dir(entry.path());
        }
    }
}
