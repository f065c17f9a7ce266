//! The first process of a sandbox, outside of it: makes the namespaces, starts the process that
//! is the first inside, and ends it when the server is gone.

use std::fs;
use std::io::{BufRead as _, Write as _};
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getegid, geteuid, kill_process, waitpid};
use rustix::stdio;
use rustix::thread::{self, CapabilitySet, CapabilitySets, UnshareFlags};

use super::super::rootfs::FUNCTION;
use super::order::Problem;
use super::waiting::{Event, wait};
use super::{ENTRY, INNER};

/// What a sandbox does not share with the host. The network is shared: the Runtime API listens
/// on loopback.
const OWN: UnshareFlags =
    UnshareFlags::NEWNS.union(UnshareFlags::NEWPID).union(UnshareFlags::NEWIPC).union(UnshareFlags::NEWUTS);

/// Runs the sandbox that is ordered on standard input, until it ends.
pub(super) fn run() -> Result<(), Problem> {
    let mut order = String::new();
    std::io::stdin().lock().read_line(&mut order).map_err(Problem::at("reading what to run"))?;
    if !order.ends_with('\n') {
        // Whoever wanted a sandbox is gone.
        return Ok(());
    }
    enter_namespaces()?;
    if geteuid().is_root() {
        let owner = (rustix::fs::Uid::from_raw(FUNCTION.0), rustix::fs::Gid::from_raw(FUNCTION.1));
        // So that a function can open `/dev/stderr`, as programs do that log to a file.
        let _as_far_as_possible = rustix::fs::fchown(stdio::stderr(), Some(owner.0), Some(owner.1));
    }
    // The next child is the first process of the new process namespace.
    let mut inside = Command::new("/proc/self/exe")
        .args([ENTRY, INNER])
        .env_clear()
        .stdin(Stdio::piped())
        .spawn()
        .map_err(Problem::at("starting the sandbox's first process"))?;
    let pid = Pid::from_child(&inside);
    // Open until this process ends, by which the one inside knows.
    let lifeline = inside.stdin.as_mut().map(|stdin| stdin.write_all(order.as_bytes()));
    lifeline.transpose().map_err(Problem::at("handing on what to run"))?;
    drop(order);
    loop {
        match wait(&[pid]) {
            // Nothing in a process namespace outlives its first process.
            Event::Abandoned => drop(kill_process(pid, Signal::KILL)),
            // It is for the one inside, which may have ended.
            Event::Told => drop(inside.stdin.as_mut().map(|stdin| stdin.write_all(b"\n"))),
            Event::Children => {}
        }
        if !matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(None) | Err(Errno::INTR)) {
            return Ok(());
        }
    }
}

/// As root without a user namespace, so that files keep their owners; else with one in which
/// this user is the function's.
fn enter_namespaces() -> Result<(), Problem> {
    if geteuid().is_root() {
        match unshare(OWN) {
            Ok(()) => return Ok(()),
            // Root in a container that was left few capabilities.
            Err(Errno::PERM) => {}
            Err(error) => {
                return Err(Problem { doing: "making namespaces".to_owned(), source: error.into() });
            }
        }
    }
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    unshare(OWN | UnshareFlags::NEWUSER).map_err(Problem::at("making a user namespace"))?;
    for (file, content) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{} {user} 1", FUNCTION.0)),
        ("gid_map", format!("{} {group} 1", FUNCTION.1)),
    ] {
        fs::write(format!("/proc/self/{file}"), content)
            .map_err(Problem::at(format!("setting `{file}` of a user namespace")))?;
    }
    hand_capabilities_on().map_err(Problem::at("keeping the capabilities of a user namespace"))
}

#[expect(
    deprecated,
    reason = "its danger is to unshare file descriptors, which is not done; `unsafe` is not either"
)]
fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    thread::unshare(flags)
}

/// The capabilities in the new namespace would be lost when the next program begins, since its
/// user is not root there.
fn hand_capabilities_on() -> Result<(), Errno> {
    let own = thread::capabilities(None)?;
    thread::set_capabilities(None, CapabilitySets { inheritable: own.permitted, ..own })?;
    for capability in own.permitted.iter() {
        match thread::configure_capability_in_ambient_set(capability, true) {
            // One that this kernel does not know.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    debug_assert!(own.permitted.contains(CapabilitySet::SYS_ADMIN));
    Ok(())
}

/// What a refusal is mostly about, and what can be done. `None` where this is another matter.
pub(super) fn advice(problem: &Problem) -> Option<String> {
    let setting = |name: &str| {
        let value = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
        value.trim().parse::<u64>().ok()
    };
    match Errno::from_io_error(&problem.source)? {
        Errno::NOSPC | Errno::USERS => {
            let limit = setting("user.max_user_namespaces").unwrap_or_default();
            Some(format!(
                "no more user namespaces may be made: as root, raise `user.max_user_namespaces`, which is {limit}, with sysctl"
            ))
        }
        Errno::PERM | Errno::ACCESS => {
            let change = if setting("kernel.unprivileged_userns_clone") == Some(0) {
                "run `sysctl -w kernel.unprivileged_userns_clone=1`"
            } else if setting("kernel.apparmor_restrict_unprivileged_userns") == Some(1) {
                "run `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or give lambdactl an AppArmor profile with `userns`"
            } else {
                "allow it to users (sysctl, AppArmor, SELinux), or in a container to the container (seccomp)"
            };
            Some(format!("this system does not let the user make namespaces: as root, {change}"))
        }
        _ => None,
    }
}
