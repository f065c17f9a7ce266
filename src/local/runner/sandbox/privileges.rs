//! Giving up everything a function must not have.

use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, geteuid, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{self, CapabilitySet, CapabilitySets};

use super::super::rootfs::FUNCTION;
use super::order::Problem;

/// Lambda's limit of open files.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const OPEN_FILES: u64 = 1024;

/// Sees to it that this process does not outlive its parent.
pub(super) fn die_with_parent() -> Result<(), Problem> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(Problem::at("tying the sandbox to the server"))
}

/// Becomes the function's user, with no way back. This process must have one thread only.
pub(super) fn give_up() -> Result<(), Problem> {
    limit(Resource::Nofile, OPEN_FILES);
    limit(Resource::Core, 0);
    for number in 0..64 {
        // More than this kernel knows, or no right to; what is not permitted below, and cannot
        // be gained, does not matter here.
        let _as_far_as_possible =
            thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number));
    }
    let others = || -> Result<(), Errno> {
        if geteuid().is_root() {
            let (user, group) = (Uid::from_raw(FUNCTION.0), Gid::from_raw(FUNCTION.1));
            thread::set_thread_groups(&[])?;
            thread::set_thread_res_gid(group, group, group)?;
            thread::set_thread_res_uid(user, user, user)?;
        }
        let none = CapabilitySet::empty();
        thread::set_capabilities(
            None,
            CapabilitySets { effective: none, permitted: none, inheritable: none },
        )?;
        thread::set_no_new_privs(true)?;
        // The function runs as the same user, and has no business in this process.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
    };
    others().map_err(Problem::at("giving up privileges"))?;
    // Forgotten when the user changed.
    die_with_parent()
}

fn limit(resource: Resource, most: u64) {
    let maximum = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
    let _lower_is_always_allowed =
        setrlimit(resource, Rlimit { current: Some(maximum), maximum: Some(maximum) });
}
