//! Processes of this machine, as Linux shows them: to see what is left behind.

use std::fs;

/// A process, which is not taken for a later one of the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: u32,
    started: String,
}

impl Process {
    fn of(id: u32) -> Option<Self> {
        Some(Self { id, started: fields(id)?.get(19)?.clone() })
    }

    /// Tells whether it still runs.
    pub fn is_alive(&self) -> bool {
        fields(self.id).is_some_and(|fields| fields[0] != "Z" && fields.get(19) == Some(&self.started))
    }
}

/// What follows the name in `/proc/ID/stat`: the state first.
fn fields(id: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// Every living process that a process has started, and those these have started.
pub fn below(id: u32) -> Vec<Process> {
    let mut found = Vec::new();
    let mut left = children(id);
    while let Some(id) = left.pop() {
        found.extend(Process::of(id).filter(Process::is_alive));
        left.extend(children(id));
    }
    found
}

fn children(id: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().filter_map(Result::ok);
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    children
        .flat_map(|ids| ids.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}
