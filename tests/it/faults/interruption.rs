//! Ctrl-C in each stage: code 130, a word on what has been done, and the same command goes on.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::assert_the_same_command_finishes;
use crate::support::local_server::{Fault, Logged};
use crate::support::oci_layout;
use crate::support::program::{architecture, static_program};
use crate::support::sandbox::{Finished, finish_child, signal};
use crate::support::wait_for;
use crate::support::world::World;

/// Longer than any test waits: whoever comes to this request has to be interrupted.
const FOREVER: Duration = Duration::from_secs(600);

/// Deploys, interrupts as soon as `reached` holds, and returns how the command ended.
fn interrupt_when(world: &World, reached: impl Fn(&World) -> bool) -> Finished {
    let mut command = world.sandbox.lambdactl(world.arguments("deploy", &[]));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let id = child.id();
    wait_for("the stage", Duration::from_secs(60), || reached(world).then_some(()));
    let begin = Instant::now();
    signal(id, "INT");
    let done = finish_child(format!("{command:?}"), child).expect(130);
    assert!(begin.elapsed() < Duration::from_secs(10), "Ctrl-C is answered at once: {:?}", begin.elapsed());
    assert_eq!(done.stdout, "");
    assert!(!done.stderr.is_empty(), "what has been done is said");
    done
}

/// Holds back the first request the fault matches, interrupts there, and deploys again.
fn interrupt_at(fault: Fault) {
    let world = World::new();
    world.cloud.inject(&[fault.delays(FOREVER)]);
    interrupt_when(&world, |world| world.cloud.has_misbehaved());
    assert_the_same_command_finishes(&world);
}

#[test]
fn while_looking_at_what_is_there() {
    interrupt_at(Fault::operation("GetFunction"));
}

#[test]
fn while_building() {
    let world = World::new();
    world.project.configure("[build]\ncommand = [\"sh\", \"-c\", \"sleep 600 & echo $! > started; wait\"]");
    interrupt_when(&world, |world| {
        std::fs::read_to_string(world.project.file("started")).is_ok_and(|id| id.ends_with('\n'))
    });
    let build = std::fs::read_to_string(world.project.file("started")).unwrap();
    // What the command has started ends with it.
    wait_for("the end of the build", Duration::from_secs(10), || {
        (!std::path::Path::new("/proc").join(build.trim()).join("exe").exists()).then_some(())
    });
    world.project.configure("");
    assert_the_same_command_finishes(&world);
}

#[test]
fn while_making_the_repository() {
    interrupt_at(Fault::operation("CreateRepository"));
}

#[test]
fn while_sending_a_layer() {
    interrupt_at(Fault::request("POST", "/v2/hello/blobs/uploads"));
}

#[test]
fn while_sending_layers_and_those_that_have_arrived_are_not_sent_again() {
    let world = World::new();
    let program = std::fs::read(static_program()).unwrap();
    let base: [&[oci_layout::File<'_>]; 3] = [&[("bootstrap", &program)], &[("one", b"1")], &[("two", b"2")]];
    oci_layout::write(&world.project.file("base"), architecture(), &["/bootstrap"], &base);
    world.project.write(
        "lambdactl.toml",
        "[image]\nbase = \"oci:base\"\nfiles = [{ from = \"data\", to = \"/data\" }]\n",
    );
    let sent = |world: &World, mark: usize| {
        let log = world.cloud.log();
        let is_blob = |it: &&Logged| it.method == "PUT" && it.path.starts_with("/v2/hello/blobs/uploads");
        log[mark..].iter().filter(is_blob).count()
    };
    world.cloud.inject(&[Fault::request("PUT", "/v2/hello/blobs/uploads").delays(FOREVER)]);
    // Four layers and the configuration, one of which is held back.
    interrupt_when(&world, |world| world.cloud.has_misbehaved() && sent(world, 0) == 4);
    let mark = world.cloud.log().len();
    let result = world.deploy(&[]);
    // The layer that was held back, unless it was the configuration, which is sent without a question.
    assert!(result["layers_uploaded"].as_u64() <= Some(1), "{result}");
    assert!(sent(&world, mark) <= 2, "{:#?}", &world.cloud.log()[mark..]);
    assert_the_same_command_finishes(&world);
}

#[test]
fn while_storing_the_manifest() {
    interrupt_at(Fault::request("PUT", "/v2/hello/manifests"));
}

#[test]
fn while_letting_lambda_pull() {
    interrupt_at(Fault::operation("SetRepositoryPolicy"));
}

#[test]
fn while_creating_the_function() {
    interrupt_at(Fault::operation("CreateFunction"));
}

#[test]
fn while_updating_the_function() {
    let world = World::new();
    world.deploy(&[]);
    world.project.write("data", "second\n");
    world.cloud.inject(&[Fault::operation("UpdateFunctionCode").delays(FOREVER)]);
    interrupt_when(&world, |world| world.cloud.has_misbehaved());
    assert_the_same_command_finishes(&world);
}

#[test]
fn while_watching() {
    let world = World::new();
    let done = interrupt_when(&world, World::has_function);
    assert!(done.stderr.contains("hello"), "the function that goes on is named: {done}");
    assert_the_same_command_finishes(&world);
}
