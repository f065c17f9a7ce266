//! Disks without room: the cache is done without, and a layer that fits nowhere is said so.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::support::needs_namespaces;
use crate::support::sandbox::{Finished, finish};
use crate::support::world::World;

/// Runs a command on the project where `directory` has room for one megabyte, of which `used`
/// are taken.
fn with_a_small_disk(world: &World, directory: &Path, used: &str, variable: &str, verb: &str) -> Finished {
    std::fs::create_dir_all(directory).unwrap();
    // A mount of its own that ends with the process, for root and for everybody else.
    let script = r#"
        mount -t tmpfs -o size=1m none "$1" || exit 99
        head -c "$2" /dev/zero > "$1/used" 2> /dev/null
        shift 2
        exec "$@"
    "#;
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let mut command = world.sandbox.command("unshare");
    if !is_root {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(directory).arg(used);
    command.arg(env!("CARGO_BIN_EXE_lambdactl")).args(world.arguments(verb, &[]));
    command.env(variable, directory);
    finish(command)
}

/// Bytes that do not get smaller.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

#[test]
fn without_room_for_the_cache_the_push_goes_on() {
    if !needs_namespaces() {
        return;
    }
    let world = World::new();
    let full = world.sandbox.path().join("full");
    let done = with_a_small_disk(&world, &full, "2m", "XDG_CACHE_HOME", "deploy").expect(0);
    assert!(!done.stderr.contains("error") && !done.stderr.contains("warning"), "{done}");
    let again = with_a_small_disk(&world, &full, "2m", "XDG_CACHE_HOME", "push").expect(0);
    assert!(again.stderr.contains("already there"), "{again}");
}

#[test]
fn without_room_for_a_layer_the_directory_is_named_and_how_to_choose_another() {
    if !needs_namespaces() {
        return;
    }
    let world = World::new();
    world.project.write("data", noise(4_000_000));
    let full = world.sandbox.path().join("full");
    let mark = world.cloud.log().len();
    let done = with_a_small_disk(&world, &full, "1k", "TMPDIR", "push").expect(1);
    let place = full.display().to_string();
    assert!(done.stderr.contains(&place) && done.stderr.contains("TMPDIR"), "{done}");
    assert!(done.stderr.to_lowercase().contains("no space left"), "{done}");
    assert!(world.cloud.writes(mark).is_empty(), "{:#?}", world.cloud.writes(mark));
}
