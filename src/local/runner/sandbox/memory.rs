//! How much memory the processes of a sandbox use, read from `/proc`.

use std::fs;

/// What a sandbox uses, in kilobytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// What cannot be read again from a file: this counts against the limit.
    pub(super) own: u64,
    /// All that is in memory.
    pub(super) resident: u64,
    /// The most the largest process has had in memory.
    pub(super) peak: u64,
}

/// Adds up what everything below a sandbox's two own processes uses. `None` where the kernel
/// does not tell, or nothing is left.
pub(super) fn usage(outer: u32) -> Option<Usage> {
    let inner = *children(outer)?.first()?;
    let mut usage = Usage::default();
    let mut left = children(inner)?;
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
    Some(usage)
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
            let usage = usage(outer.id()).filter(|usage| usage.own > 0);
            let grandchildren =
                || Some(children(*children(*children(outer.id())?.first()?)?.first()?)?.len());
            if let Some(usage) = usage.filter(|_| grandchildren() == Some(1)) {
                break usage;
            }
            assert!(begin.elapsed().as_secs() < 30);
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        assert!(usage.own < usage.resident && usage.peak <= usage.resident + 4096, "{usage:?}");
        let sleeper = children(children(children(outer.id()).unwrap()[0]).unwrap()[0]).unwrap()[0];
        std::process::Command::new("kill").arg(sleeper.to_string()).status().unwrap();
        drop(outer.stdin.take());
        outer.wait().unwrap();
        assert_eq!(super::usage(outer.id()), None);
    }
}
