//! Levels of compression: the same digests on every machine, and no layer made twice.

use serde_json::Value;

use super::space::noise;
use crate::support::sandbox::{Finished, finish};
use crate::support::world::World;

/// A world whose project has some megabytes that compress well, and some that do not.
fn world() -> World {
    let world = World::new();
    let mut data: Vec<u8> = (0..300_000_u64).flat_map(|it| format!("{:x} ", it * it).into_bytes()).collect();
    data.extend(noise(2_000_000));
    world.project.write("data", data);
    world
}

fn build(world: &World, options: &[&str]) -> Value {
    world.sandbox.json(0, world.arguments("build", options)).pop().unwrap()
}

#[test]
fn a_level_changes_what_is_sent_and_nothing_else() {
    let world = world();
    let digest = |built: &Value| built["image_digest"].as_str().unwrap().to_owned();
    let size = |built: &Value| built["compressed_size"].as_u64().unwrap();
    let default = build(&world, &[]);
    let (fast, best) = (build(&world, &["--compression", "fast"]), build(&world, &["--compression", "best"]));
    assert!(size(&default) < size(&fast) && size(&best) < size(&fast), "{best} {default} {fast}");
    assert_ne!(digest(&best), digest(&default));
    assert_eq!(digest(&build(&world, &["--compression", "default"])), digest(&default));
    world.project.configure("");
    let configured = |value: &str| {
        let settings = std::fs::read_to_string(world.project.file("lambdactl.toml")).unwrap();
        let settings = settings.replace("[image]\n", &format!("[image]\ncompression = {value}\n"));
        world.project.write("lambdactl.toml", settings);
        let built = (build(&world, &[]), build(&world, &["--compression=1"]));
        world.project.configure("");
        built
    };
    for value in ["9", "\"9\"", "\"best\""] {
        let (by_file, by_option) = configured(value);
        assert_eq!((digest(&by_file), digest(&by_option)), (digest(&best), digest(&fast)), "{value}");
    }
    let refused = world.sandbox.run(world.arguments("build", &["--compression", "10"])).expect(2);
    assert!(refused.stderr.contains("`fast`, `default`, `best`, or 1 to 9"), "{refused}");
}

#[test]
fn a_layer_that_is_there_at_another_level_is_neither_made_nor_sent_again() {
    let world = world();
    let first = world.deploy(&["--compression", "fast"]);
    assert_eq!(first["layers_uploaded"], 1, "{first}");
    for level in ["best", "default"] {
        let again = world.deploy(&["--compression", level]);
        assert_eq!((&again["action"], &again["image_digest"]), (&"unchanged".into(), &first["image_digest"]));
    }
}

#[test]
fn one_core_makes_the_same_layers_as_many() {
    let world = world();
    let built = |cores: &str| -> Finished {
        let mut command = world.sandbox.command("taskset");
        command.args(["--cpu-list", cores, env!("CARGO_BIN_EXE_lambdactl")]);
        command.args(world.arguments("build", &[]));
        finish(command).expect(0)
    };
    let all = world.sandbox.run(world.arguments("build", &[])).expect(0);
    // The first core this process may use: not every machine gives it number 0.
    let allowed = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = allowed.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    let first = allowed.trim().split([',', '-']).next().unwrap();
    assert_eq!(built(first).stdout, all.stdout);
}
