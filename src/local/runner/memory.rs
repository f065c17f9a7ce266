//! How much memory the processes of a function use, read from `/proc`. Both runners hold that
//! against the function's limit themselves: the kernel counts `/tmp` in, which is no memory in
//! Lambda.

use std::fs;
use std::time::Duration;

/// How often to look: often where more than half is used.
const LOOK: Duration = Duration::from_millis(100);
const LOOK_CLOSELY: Duration = Duration::from_millis(20);

/// What processes use, in kilobytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// What cannot be read again from a file: this counts against the limit.
    pub(super) own: u64,
    /// All that is in memory.
    pub(super) resident: u64,
    /// The most the largest process has had in memory.
    pub(super) peak: u64,
}

/// Looks again and again with `look`, and returns true when more than `limit` kilobytes are used;
/// false when there is nothing to look at any more.
pub(super) async fn exceeds(limit: u64, look: impl Fn() -> Option<Usage>) -> bool {
    while let Some(usage) = look() {
        if usage.own > limit {
            return true;
        }
        tokio::time::sleep(if usage.own > limit / 2 { LOOK_CLOSELY } else { LOOK }).await;
    }
    false
}

/// Adds up what everything below a sandbox's two own processes uses. `None` where the kernel
/// does not tell, or nothing is left.
pub(super) fn of_sandbox(outer: u32) -> Option<Usage> {
    let inner = *children(outer)?.first()?;
    Some(sum(children(inner)?))
}

/// Adds up what a process and everything below it uses. `None` where there is no such process.
pub(super) fn of_process(process: u32) -> Option<Usage> {
    children(process)?;
    Some(sum(vec![process]))
}

/// Tells whether a process belongs to a control group whose name holds `name`.
pub(super) fn is_in_group(process: u32, name: &str) -> bool {
    fs::read_to_string(format!("/proc/{process}/cgroup")).is_ok_and(|groups| groups.contains(name))
}

fn sum(mut left: Vec<u32>) -> Usage {
    let mut usage = Usage::default();
    // A process can end and its number be used again while this is read; that is one wrong
    // look, not an endless one.
    let mut looks = 0;
    while let Some(process) = left.pop() {
        looks += 1;
        if looks > 10_000 {
            break;
        }
        if let Ok(status) = fs::read_to_string(format!("/proc/{process}/status")) {
            usage.add(&status);
        }
        left.extend(children(process).unwrap_or_default());
    }
    usage
}

impl Usage {
    fn add(&mut self, status: &str) {
        let kilobytes = |name: &str| -> u64 {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            value.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
        };
        self.own += kilobytes("RssAnon:");
        self.resident += kilobytes("VmRSS:");
        self.peak = self.peak.max(kilobytes("VmHWM:"));
    }
}

/// The children of all threads of a process.
fn children(process: u32) -> Option<Vec<u32>> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let mut children = Vec::new();
    for thread in threads.filter_map(Result::ok) {
        if let Ok(text) = fs::read_to_string(thread.path().join("children")) {
            children.extend(text.split_ascii_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    Some(children)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_below_the_first_two_processes_counts() {
        // sh is the one outside, its child the one inside, and what that starts is the function.
        let script = "sh -c 'sh -c \"sleep 60 & read line\"; true'; true";
        let mut outer = std::process::Command::new("sh")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let begin = std::time::Instant::now();
        let usage = loop {
            let usage = of_sandbox(outer.id()).filter(|usage| usage.own > 0);
            let grandchildren =
                || Some(children(*children(*children(outer.id())?.first()?)?.first()?)?.len());
            if let Some(usage) = usage.filter(|_| grandchildren() == Some(1)) {
                break usage;
            }
            assert!(begin.elapsed().as_secs() < 30);
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(usage.own < usage.resident && usage.peak <= usage.resident + 4096, "{usage:?}");
        let sleeper = children(children(children(outer.id()).unwrap()[0]).unwrap()[0]).unwrap()[0];
        std::process::Command::new("kill").arg(sleeper.to_string()).status().unwrap();
        drop(outer.stdin.take());
        outer.wait().unwrap();
        assert_eq!(of_sandbox(outer.id()), None);
    }
}
