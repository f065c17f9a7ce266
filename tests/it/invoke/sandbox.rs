//! Functions without any engine: in a sandbox of our own, as root and as a plain user.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{PATIENCE, scenarios};
use crate::support::local_server::LocalServer;
use crate::support::processes::{self, Process};
use crate::support::program::function;
use crate::support::project::Project;
use crate::support::sandbox::{Finished, Sandbox, finish, finish_child, signal};
use crate::support::world::World;
use crate::support::{needs_namespaces, wait_for};

/// Where no engine answers.
pub(super) const NOWHERE: &str = "unix:///nonexistent/docker.sock";

/// A local cloud without an engine, in which `hello` is deployed and does what its events say.
pub(super) fn world(settings: &str) -> Option<World> {
    if !needs_namespaces() {
        return None;
    }
    let mut sandbox = Sandbox::new();
    sandbox.set("DOCKER_HOST", NOWHERE);
    let world = World::in_sandbox(sandbox);
    std::fs::copy(function(), world.project.file("bootstrap")).unwrap();
    world.project.configure(settings);
    world.deploy(&[]);
    Some(world)
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("`id` is installed");
    output.stdout == b"0\n"
}

/// Nothing of these processes is left, or soon.
fn are_gone(processes: &[Process]) {
    wait_for("the processes to be gone", PATIENCE, || {
        processes.iter().all(|process| !process.is_alive()).then_some(())
    });
}

/// The control groups there are; none where nobody may make any.
fn groups() -> usize {
    let folders = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("lambdactl-sandbox-"))
        .filter(|entry| {
            std::fs::read_to_string(entry.path().join("cgroup.procs")).is_ok_and(|ids| ids.is_empty())
        })
        .count()
}

#[test]
fn a_function_runs_under_lambdas_conditions() {
    let Some(world) = world(scenarios::CONDITIONS) else { return };
    scenarios::conditions(&world);
    let inside = world.answer(&json!({"do": "inside"}));
    for capabilities in ["effective", "bounding"] {
        assert_eq!(inside[capabilities], "0000000000000000", "{inside}");
    }
    assert_eq!(inside["privileges"], "1", "{inside}");
    for (what, is_possible) in
        [("null", 1), ("output", 1), ("shared", 0), ("device", 0), ("su", 0), ("init", 0)]
    {
        assert_eq!(inside[what], is_possible, "{what}: {inside}");
    }
    let names = |what: &str| -> Vec<&str> {
        let mut names: Vec<&str> = inside[what].as_str().unwrap().split_whitespace().collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names("root"), ["bootstrap", "data", "dev", "etc", "proc", "tmp"]);
    assert_eq!(names("processes").len(), 2, "only its own: {inside}");
    assert_eq!(
        names("dev"),
        ["fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"]
    );
}

#[test]
fn a_function_stays_warm_and_a_new_image_is_live_at_once() {
    let Some(world) = world("") else { return };
    let first = world.answer(&json!({"do": "who"}));
    let second = world.answer(&json!({"do": "who"}));
    assert_eq!(second["served"], first["served"].as_i64().unwrap() + 1);
    world.project.write("data", "second\n");
    world.deploy(&[]);
    assert_eq!(world.answer(&json!({"do": "who"}))["served"], 1);
}

#[test]
fn every_limit_is_told_in_lambdas_words_and_the_next_call_is_fine() {
    let Some(world) = world(scenarios::LIMITS) else { return };
    scenarios::limits(&world);
    // One environment: a process outside, the first inside, and the function.
    wait_for("one sandbox to be left", PATIENCE, || {
        (processes::below(world.cloud.id()).len() == 3).then_some(())
    });
}

#[test]
fn the_room_in_tmp_ends_where_lambdas_does_and_is_no_memory() {
    let Some(world) = world(scenarios::FILLING) else { return };
    scenarios::filling(&world);
}

#[test]
fn what_cannot_start_says_why() {
    let Some(world) = world(scenarios::NO_ENTRY_POINT) else { return };
    scenarios::no_start(&world);
    // A deployment would refuse each of them.
    let allow =
        "entry-point-not-found,entry-point-not-executable,entry-point-format,working-directory-not-found";
    let mut set = std::fs::metadata(world.project.file("data")).unwrap().permissions();
    set.set_mode(0o755);
    for (settings, code, message) in [
        (
            "entry_point = [\"none\"]",
            "Runtime.InvalidEntrypoint",
            "\\\"none\\\": executable file not found in $PATH",
        ),
        ("entry_point = [\"/data\"]", "Runtime.InvalidEntrypoint", "fork/exec /data: permission denied"),
    ] {
        world.project.configure(&format!("[function.image_config]\n{settings}"));
        world.deploy(&["--allow", allow]);
        let (told, text) = world.failure(&json!({}));
        assert_eq!(told, code, "{settings}");
        assert!(text.replace("\\\\", "\\").contains(message), "{settings}: {text}");
    }
    std::fs::set_permissions(world.project.file("data"), set).unwrap();
    world.project.configure("[function.image_config]\nentry_point = [\"/data\"]");
    world.deploy(&["--allow", allow]);
    let (_, text) = world.failure(&json!({}));
    assert!(text.contains("fork/exec /data: exec format error"), "{text}");
    world.project.configure("[function.image_config]\nworking_directory = \"/none\"");
    world.deploy(&["--allow", allow]);
    let (code, text) = world.failure(&json!({}));
    assert_eq!(code, "Runtime.InvalidWorkingDir");
    assert!(text.contains("chdir /none: no such file or directory"), "{text}");
}

#[test]
fn a_start_of_more_than_ten_seconds_counts_as_part_of_the_invocation() {
    let Some(world) = world(scenarios::SLOW_START) else { return };
    scenarios::slow_start(&world);
}

#[test]
fn thousands_of_calls_ten_at_a_time_get_each_their_own_answer_and_leave_nothing() {
    let Some(world) = world(scenarios::MANY_CALLS) else { return };
    scenarios::many_calls(&world, 300);
    let left = processes::below(world.cloud.id());
    assert!(left.len() <= 30, "{left:?}");
    assert_eq!(world.cloud.interrupt(), Some(0));
    are_gone(&left);
}

#[test]
fn nothing_is_left_behind_however_the_server_ends() {
    let Some(mut world) = world("") else { return };
    world.answer(&json!({"do": "child"}));
    let killed = processes::below(world.cloud.id());
    assert_eq!(killed.len(), 4, "the function's child has left its parent, and is below it all the same");
    signal(world.cloud.id(), "KILL");
    are_gone(&killed);
    world.cloud = LocalServer::serve(&world.sandbox);
    world.answer(&json!({"do": "child"}));
    let interrupted = processes::below(world.cloud.id());
    let cloud = std::mem::replace(&mut world.cloud, LocalServer::nobody());
    assert_eq!(cloud.interrupt(), Some(0));
    assert!(interrupted.len() == 4 && interrupted.iter().all(|process| !process.is_alive()));
    // What only the outermost process of a sandbox is told, all are.
    world.cloud = LocalServer::serve(&world.sandbox);
    world.answer(&json!({"do": "child"}));
    let sandbox = processes::below(world.cloud.id());
    let outermost = sandbox.iter().map(|process| process.id).min().unwrap();
    signal(outermost, "KILL");
    are_gone(&sandbox);
    assert_eq!(world.answer(&json!({"do": "who"}))["served"], 1, "and it is replaced");
    wait_for("empty control groups to be gone", PATIENCE, || (groups() == 0).then_some(()));
}

#[test]
fn an_interrupted_call_leaves_nothing_behind() {
    let Some(mut world) = world("[function]\ntimeout = 60") else { return };
    let cloud = std::mem::replace(&mut world.cloud, LocalServer::nobody());
    assert_eq!(cloud.interrupt(), Some(0));
    let mut command =
        world.sandbox.lambdactl(["invoke", "--local", "hello", "--payload", r#"{"do":"sleep"}"#]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let running = wait_for("the function to run", PATIENCE, || {
        Some(processes::below(child.id())).filter(|found| found.len() == 3)
    });
    signal(child.id(), "INT");
    finish_child("lambdactl invoke".to_owned(), child).expect(130);
    assert!(running.iter().all(|process| !process.is_alive()), "{running:?}");
}

#[test]
fn a_wiped_cloud_has_no_unpacked_images() {
    let Some(mut world) = world("") else { return };
    world.answer(&json!({"do": "echo"}));
    let folder = world.sandbox.local_state().join("rootfs");
    assert!(folder.is_dir());
    drop(std::mem::replace(&mut world.cloud, LocalServer::nobody()));
    world.sandbox.run(["local", "reset", "--yes"]).expect(0);
    assert!(!folder.exists());
}

/// Everything as a user without any privilege: where the tests run as root, as `nobody`.
struct PlainUser {
    sandbox: Sandbox,
    project: Project,
}

impl PlainUser {
    fn new(settings: &str) -> Self {
        let mut sandbox = Sandbox::new();
        sandbox.set("DOCKER_HOST", NOWHERE);
        let project = Project::assembled(sandbox.path(), "hello");
        std::fs::copy(function(), project.file("bootstrap")).unwrap();
        project.configure(settings);
        // The one that was compiled may lie where nobody else gets to.
        std::fs::copy(env!("CARGO_BIN_EXE_lambdactl"), sandbox.path().join("lambdactl")).unwrap();
        if is_root() {
            let mut left = vec![sandbox.path().to_owned()];
            while let Some(path) = left.pop() {
                chown(&path, Some(65534), Some(65534)).unwrap();
                if path.is_dir() {
                    left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                }
            }
        }
        Self { sandbox, project }
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let program = self.sandbox.path().join("lambdactl");
        let mut command = if is_root() {
            let mut command = self.sandbox.command("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
            command
        } else {
            self.sandbox.command(program)
        };
        command.args(arguments);
        finish(command)
    }

    fn invoke(&self, event: &Value) -> Finished {
        self.run(&["invoke", "--local", "hello", "--payload", &event.to_string(), "--output", "json"])
    }
}

#[test]
fn a_plain_user_runs_functions_under_the_same_conditions() {
    if !needs_namespaces() {
        return;
    }
    let user = PlainUser::new("[function]\ntimeout = 2");
    user.run(&["deploy", "--local", user.project.argument()]).expect(0);
    let answer = |event: Value| user.invoke(&event).expect(0).last_json()["payload"].clone();
    let system = answer(json!({"do": "system"}));
    assert_eq!((&system["uid"], &system["gid"]), (&json!(993), &json!(990)), "{system}");
    assert_eq!(
        (&system["root"], &system["tmp"]),
        (&json!("Read-only file system"), &json!(true)),
        "{system}"
    );
    let inside = answer(json!({"do": "inside"}));
    for (what, value) in
        [("effective", "0000000000000000"), ("bounding", "0000000000000000"), ("privileges", "1")]
    {
        assert_eq!(inside[what], value, "{inside}");
    }
    assert_eq!((&inside["su"], &inside["init"]), (&json!(0), &json!(0)), "{inside}");
    for (event, code) in [
        ("sleep", "Sandbox.Timedout"),
        ("exit", "Runtime.ExitError"),
        ("memory", "Runtime.OutOfMemory"),
        ("large", "Function.ResponseSizeTooLarge"),
    ] {
        assert_eq!(user.invoke(&json!({ "do": event })).expect(1).last_json()["code"], code);
    }
    user.run(&["local", "reset", "--yes"]).expect(0);
    assert!(!user.sandbox.local_state().join("rootfs").exists());
}

#[test]
fn where_users_may_not_make_namespaces_the_remedy_is_named() {
    // Limits are a namespace's own: inside of one, none more may be made.
    let mut probe = Command::new("unshare");
    probe.args(["--user", "--map-root-user", "true"]);
    if !needs_namespaces() || !probe.status().is_ok_and(|status| status.success()) {
        return;
    }
    let mut sandbox = Sandbox::new();
    sandbox.set("DOCKER_HOST", NOWHERE);
    let project = Project::assembled(sandbox.path(), "hello");
    sandbox.run(["deploy", "--local", project.argument()]).expect(0);
    let script = format!(
        "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all {} invoke --local hello --payload '{{}}'",
        env!("CARGO_BIN_EXE_lambdactl")
    );
    let mut command = sandbox.command("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", &script]);
    let done = finish(command).expect(1);
    for part in ["nothing here can run a function", "start Docker or Podman", "user.max_user_namespaces"] {
        assert!(done.stderr.contains(part), "{part}: {done}");
    }
}

#[test]
fn the_sandbox_can_be_asked_for() {
    let Some(mut world) = world("") else { return };
    drop(std::mem::replace(&mut world.cloud, LocalServer::nobody()));
    let arguments = ["invoke", "--local", "hello", "--payload", "{}", "--runner", "sandbox", "-v"];
    let done = world.sandbox.run(arguments).expect(0);
    assert!(done.stderr.contains("functions run in a sandbox"), "{done}");
    assert!(!done.stderr.contains("container"), "{done}");
}
