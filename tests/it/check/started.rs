//! `check --run`: an image is started with a Runtime API of its own until it asks for its first
//! event, in a sandbox and in a container. Nothing of it is left afterwards.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::images::{Family, Image, Layer, on_scratch, program_for};
use crate::support::processes::{self, Process};
use crate::support::program::{architecture, extension, function, other_architecture};
use crate::support::project::Project;
use crate::support::python::function_parts;
use crate::support::sandbox::{Finished, Sandbox, finish, finish_child, signal};
use crate::support::world::World;
use crate::support::{needs_docker, needs_namespaces, oci_layout, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);
/// How the Docker CLI tells whose a container is.
const SERVER: &str = "{{.Label \"lambdactl.local.server\"}}";
/// Where no engine answers.
const NOWHERE: &str = "unix:///nonexistent/docker.sock";

/// What an image can be started in here.
fn runners() -> Vec<&'static str> {
    [("sandbox", needs_namespaces as fn() -> bool), ("container", needs_docker)]
        .into_iter()
        .filter_map(|(runner, can)| can().then_some(runner))
        .collect()
}

/// A project of a function that does at its start what the variable `INIT` says.
struct Bench {
    sandbox: Sandbox,
    project: Project,
}

impl Bench {
    fn new(settings: &str) -> Self {
        let sandbox = Sandbox::new();
        let project = Project::assembled(sandbox.path(), "hello");
        std::fs::copy(function(), project.file("bootstrap")).unwrap();
        // An image of its own: what others have in the engine meanwhile is not this one's.
        project.write("data", sandbox.path().display().to_string());
        project.configure(settings);
        Self { sandbox, project }
    }

    /// Checks and starts it; returns the lines, of which the last is the result.
    #[track_caller]
    fn check(&self, code: i32, runner: &str, options: &[&str]) -> Vec<Value> {
        let arguments = ["check", "--run", "--runner", runner, self.project.argument()];
        let lines = self.sandbox.json(code, arguments.iter().chain(options));
        self.leaves_nothing();
        lines
    }

    /// The only finding of one that does not start.
    #[track_caller]
    fn failure(&self, runner: &str, options: &[&str]) -> Value {
        let lines = self.check(6, runner, options);
        let found: Vec<&Value> = lines.iter().filter(|line| line["reason"] == "finding").collect();
        assert_eq!(found.len(), 1, "{lines:#?}");
        assert_eq!((&found[0]["id"], &found[0]["severity"]), (&json!("start-failed"), &json!("error")));
        let result = lines.last().unwrap();
        assert_eq!((&result["reason"], &result["passed"]), (&json!("check"), &json!(false)));
        assert_eq!(
            (&result["start"]["succeeded"], &result["start"]["runner"]),
            (&json!(false), &json!(runner)),
            "{result}"
        );
        found[0].clone()
    }

    /// No file, container or image, and no local cloud.
    #[track_caller]
    fn leaves_nothing(&self) {
        let state = self.sandbox.path().join("home/.local/state/lambdactl");
        let left: Vec<_> = std::fs::read_dir(&state).into_iter().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(self.of_engine(&["ps", "--all", "--format", SERVER]).is_empty());
    }

    /// Lines of the Docker CLI that are about this bench.
    fn of_engine(&self, arguments: &[&str]) -> Vec<String> {
        let Ok(output) = Command::new("docker").args(arguments).output() else { return Vec::new() };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let own = self.sandbox.path().display().to_string();
        text.lines().filter(|line| line.contains(&own)).map(str::to_owned).collect()
    }
}

/// The images of trials in the engine that are made of a digest.
fn images_of(digest: &Value) -> Vec<String> {
    let tag = digest.as_str().unwrap().trim_start_matches("sha256:")[..32].to_owned();
    let output = Command::new("docker").args(["images", "--format", "{{.Repository}}:{{.Tag}}"]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.lines().filter(|line| line.contains("/trial-") && line.contains(&tag)).map(str::to_owned).collect()
}

fn text<'a>(finding: &'a Value, member: &str) -> &'a str {
    finding[member].as_str().unwrap_or_default()
}

#[test]
fn an_image_that_asks_for_its_first_event_has_started() {
    let bench = Bench::new("");
    for runner in runners() {
        let lines = bench.check(0, runner, &[]);
        let result = lines.last().unwrap();
        assert_eq!(result["passed"], true);
        assert_eq!(
            (&result["start"]["succeeded"], &result["start"]["runner"]),
            (&json!(true), &json!(runner))
        );
        assert!(result["start"]["elapsed_ms"].is_u64(), "{result}");
        assert_eq!(lines[0]["steps"], json!(["build", "check", "start"]));
        if runner == "container" {
            assert_eq!(images_of(&result["image_digest"]), Vec::<String>::new());
        }
        let done =
            bench.sandbox.run(["check", "--run", "--runner", runner, bench.project.argument()]).expect(0);
        assert_eq!(done.stdout, "", "{done}");
        let told = format!("the image started in a {runner} and asked for its first event ");
        assert!(done.stderr.contains(&told), "{done}");
    }
    // Without the option, nothing is started.
    let lines = bench.sandbox.json(0, ["check", bench.project.argument()]);
    assert_eq!(lines.last().unwrap()["start"], Value::Null);
}

#[test]
fn why_an_image_does_not_start_is_told_in_plain_words() {
    let bench = Bench::new("");
    let init = |what: &str| format!("INIT={what}");
    for runner in runners() {
        let failure = |what: &str| bench.failure(runner, &["--set-env-vars", &init(what)]);
        let found = failure("exit");
        assert!(text(&found, "message").starts_with("the program ended with exit code 3 "), "{found}");
        assert!(text(&found, "fix").contains("it printed nothing"), "{found}");
        assert_eq!(found["places"][0]["field"], "config.Entrypoint");
        // A program that is no function at all.
        let found = failure("work");
        assert!(text(&found, "message").contains("exit code 0"), "{found}");
        assert_eq!(found["output"], json!(["the work is done"]));
        assert!(text(&found, "fix").contains("asks for events"), "{found}");
        let found = failure("crash");
        assert!(text(&found, "message").contains("was killed by signal 11 (segmentation fault)"), "{found}");
        assert_eq!(found["output"], json!(["about to crash"]));
        let found = failure("memory");
        assert!(text(&found, "message").contains("used more than its 128 MB of memory"), "{found}");
        assert!(text(&found, "fix").contains("`memory_size`"), "{found}");
        let found = failure("error");
        assert_eq!(
            text(&found, "message"),
            "the function reported an error instead of asking for an event: Init.Broken: no settings"
        );
    }
}

#[test]
fn an_image_that_waits_for_something_else_does_not_start() {
    if !needs_namespaces() {
        return;
    }
    let bench = Bench::new("[function.environment]\nINIT = \"slow\"");
    let found = bench.failure("sandbox", &[]);
    assert_eq!(text(&found, "message"), "the function did not ask for an event within 10 s");
    assert!(text(&found, "fix").contains("Lambda Web Adapter"), "{found}");
}

#[test]
fn it_runs_with_the_settings_of_the_function() {
    let settings = "[function]\nmemory_size = 256\nephemeral_storage = 600\n\
        [function.environment]\nINIT = \"tell\"\n\
        [function.image_config]\ncommand = [\"app.handler\"]\nworking_directory = \"/tmp\"\n\
        [stage.large.function]\nmemory_size = 512\n\
        [check]\nallow = [\"working-directory-not-found\"]";
    let bench = Bench::new(settings);
    for runner in runners() {
        for (options, memory) in
            [(&[][..], 256), (&["--stage", "large"], 512), (&["--memory-size", "300"], 300)]
        {
            let found = bench.failure(runner, options);
            let told = format!("memory {memory}, argument app.handler, in /tmp, /tmp 600 MB, uid 993");
            assert_eq!(found["output"], json!([told]));
        }
    }
}

#[test]
fn extensions_have_to_start_with_it() {
    let bench = Bench::new("");
    std::fs::copy(extension(), bench.project.file("extension")).unwrap();
    let image = "[function]\n[image]\nbase = \"scratch\"\nentry_point = [\"/bootstrap\"]\n\
        files = [{ from = \"bootstrap\", to = \"/bootstrap\" }, { from = \"extension\", to = \"/opt/extensions/first\" }]";
    bench.project.write("lambdactl.toml", image);
    for runner in runners() {
        let lines = bench.check(0, runner, &[]);
        let printed = |line: &Value| {
            line["reason"] == "function-output"
                && line["line"].as_str().is_some_and(|line| line.starts_with("first has "))
        };
        assert!(lines.iter().any(printed), "{lines:#?}");
        let found = bench.failure(runner, &["--set-env-vars", "EXTENSION=exit"]);
        assert!(
            text(&found, "message").starts_with("the extension `first` ended with exit code 6 "),
            "{found}"
        );
        assert_eq!(found["places"][0]["path"], "/opt/extensions/first");
    }
}

#[test]
fn what_breaks_the_rules_is_not_started_and_a_warning_is_no_obstacle() {
    if !needs_namespaces() {
        return;
    }
    let bench = Bench::new("[function.environment]\nTMPDIR = \"/data\"");
    let lines = bench.check(0, "sandbox", &[]);
    assert!(lines.iter().any(|line| line["id"] == "read-only-cache"), "{lines:#?}");
    assert_eq!(lines.last().unwrap()["start"]["succeeded"], true);
    let none = ["--entry-point", "/none"];
    let lines = bench.check(6, "sandbox", &none);
    assert_eq!(lines.last().unwrap()["start"], Value::Null);
    let arguments = ["check", "--run", "--runner", "sandbox", bench.project.argument()];
    let done = bench.sandbox.run(arguments.iter().chain(&none)).expect(6);
    assert!(done.stderr.contains("the image was not started"), "{done}");
    // Who knows better is believed, and told what comes of it.
    let allowed = ["--entry-point", "/none", "--allow", "entry-point-not-found"];
    let lines = bench.check(6, "sandbox", &allowed);
    let found = lines.iter().find(|line| line["id"] == "start-failed").unwrap();
    assert_eq!(
        text(found, "message"),
        "the program cannot be started: fork/exec /none: no such file or directory (Runtime.InvalidEntrypoint)"
    );
    assert_eq!(found["places"][0]["field"], "function.image_config.entry_point");
    let lines = bench.check(0, "sandbox", &["--set-env-vars", "INIT=exit", "--allow", "start-failed"]);
    let result = lines.last().unwrap();
    assert_eq!(
        (&result["allowed"], &result["start"]["succeeded"]),
        (&json!(["start-failed"]), &json!(false))
    );
}

#[test]
fn people_and_code_hosts_are_shown_what_it_printed() {
    if !needs_namespaces() {
        return;
    }
    let bench = Bench::new("[function.environment]\nINIT = \"work\"");
    let file = bench.sandbox.path().join("findings.sarif");
    let arguments = ["check", "--run", "--runner", "sandbox", bench.project.argument(), "--sarif"];
    let done = bench.sandbox.run(arguments.iter().chain(&[file.to_str().unwrap()])).expect(6);
    assert!(done.stderr.contains("start | the work is done\n"), "{done}");
    assert!(done.stdout.starts_with("error[start-failed]: the program ended with exit code 0"), "{done}");
    assert!(done.stdout.contains("\n  out the work is done\n"), "{done}");
    let document: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let result = &document["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "start-failed");
    assert!(text(&result["message"], "text").contains("Its last output:\nthe work is done\n"), "{result}");
}

/// An image of the function alone.
fn image() -> Image {
    let program = std::fs::read(function()).unwrap();
    on_scratch().with(|image| image.layers = vec![Layer::new().file("bootstrap", 0o755, program)])
}

/// Starts an image that exists.
fn start(sandbox: &Sandbox, image: &str, options: &[&str]) -> Finished {
    sandbox.run(["check", "--run", "--output", "json", "--image", image].iter().chain(options))
}

#[track_caller]
fn assert_started(done: Finished) {
    assert_eq!(done.expect(0).last_json()["start"]["succeeded"], true);
}

#[test]
fn every_source_of_images_can_be_started() {
    if !needs_namespaces() {
        return;
    }
    let world = World::new();
    let (sandbox, runner) = (&world.sandbox, ["--runner", "sandbox"]);
    let directory = sandbox.path().join("layout");
    let layout = image().write(&directory, Family::Docker);
    assert_started(start(sandbox, &layout.name(), &runner));
    let file = sandbox.path().join("image.tar");
    oci_layout::archive(&directory, &file);
    assert_started(start(sandbox, &format!("archive:{}", file.display()), &runner));
    let mut piped = sandbox.lambdactl(["check", "--run", "--output", "json", "--image", "archive:-"]);
    piped.args(runner).stdin(std::fs::File::open(&file).unwrap());
    assert_started(finish(piped));
    // One in a registry is downloaded once, though it is looked at and unpacked.
    let push = ["push", "--local", "--function", "hello", "--image", &layout.name()];
    let uri = sandbox.json(0, push).pop().unwrap()["image_uri"].as_str().unwrap().to_owned();
    std::fs::remove_dir_all(sandbox.path().join("home/.cache")).unwrap();
    let mark = world.cloud.log().len();
    assert_started(start(sandbox, &uri, &["--local", "--runner", "sandbox"]));
    let log = world.cloud.log();
    let reads = log[mark..].iter().filter(|it| it.method == "GET" && it.path.contains(&layout.layer()));
    assert_eq!(reads.count(), 1, "{log:#?}");
    assert_eq!(world.cloud.writes(mark).len(), 0, "nothing is written to the local cloud");
}

#[test]
fn an_image_of_the_engine_stays_there_as_it_is() {
    if !needs_docker() {
        return;
    }
    let bench = Bench::new("");
    bench.project.write("Dockerfile", "FROM scratch\nCOPY bootstrap /\nENTRYPOINT [\"/bootstrap\"]\n");
    // It has no name, and would be gone with a name of ours.
    let build = || {
        let mut command = Command::new("docker");
        command.args(["build", "--quiet", bench.project.argument()]).env("DOCKER_BUILDKIT", "0");
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let id = wait_for("an image", PATIENCE, || Some(build()).filter(|id| id.starts_with("sha256:")));
    assert_started(start(&bench.sandbox, &format!("docker:{id}"), &["--runner", "container"]));
    bench.leaves_nothing();
    let is_there =
        |id: &str| Command::new("docker").args(["image", "inspect", id]).output().unwrap().status.success();
    assert!(is_there(&id), "the user's image is not ours to remove");
    assert!(Command::new("docker").args(["rmi", &id]).output().unwrap().status.success());
}

#[test]
fn where_nothing_can_start_it_that_is_said_and_is_no_finding() {
    let mut bench = Bench::new("[function.environment]\nTMPDIR = \"/data\"");
    bench.sandbox.set("DOCKER_HOST", NOWHERE);
    let lines = bench.check(1, "container", &[]);
    assert!(
        lines.iter().any(|line| line["id"] == "read-only-cache"),
        "what was found stays found: {lines:#?}"
    );
    let error = lines.last().unwrap();
    assert_eq!(error["reason"], "error");
    assert!(text(error, "message").starts_with("the image cannot be started here: "), "{error}");
    assert!(error["hints"].to_string().contains("without `--run`"), "{error}");
    let done =
        bench.sandbox.run(["check", "--run", "--runner", "container", bench.project.argument()]).expect(1);
    assert!(done.stdout.starts_with("warning[read-only-cache]"), "{done}");
}

#[test]
fn an_image_for_another_machine_is_not_blamed() {
    let emulated = if architecture() == "arm64" { "qemu-x86_64" } else { "qemu-aarch64" };
    if !needs_namespaces() || std::path::Path::new("/proc/sys/fs/binfmt_misc").join(emulated).exists() {
        return;
    }
    let sandbox = Sandbox::new();
    let foreign = on_scratch().with(|image| {
        image.architecture = if architecture() == "arm64" { "amd64" } else { "arm64" }.to_owned();
        image.layers = vec![Layer::new().file("bootstrap", 0o755, program_for(other_architecture()))];
    });
    let layout = foreign.write(&sandbox.path().join("layout"), Family::Oci);
    for runner in runners() {
        let done = start(&sandbox, &layout.name(), &["--runner", runner]).expect(1);
        let error = done.last_json();
        let told = format!(
            "the image is for `{}`, and this machine cannot tell whether it starts: ",
            other_architecture()
        );
        assert!(text(&error, "message").starts_with(&told), "{done}");
        assert!(!done.stdout.contains("start-failed"), "{done}");
    }
}

impl Bench {
    /// Begins a check, and waits until the function runs. Returns it, and the processes there are.
    fn begun(&self, runner: &str) -> (Child, Vec<Process>) {
        let arguments = ["check", "--run", "--runner", runner, self.project.argument()];
        let mut command = self.sandbox.lambdactl(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let id = child.id();
        // The program itself, below the two processes of its sandbox, or its container.
        let started = wait_for("the start", PATIENCE, || match runner {
            "sandbox" => Some(processes::below(id)).filter(|below| below.len() >= 3),
            _ => (!self.of_engine(&["ps", "--format", SERVER]).is_empty()).then(Vec::new),
        });
        (child, started)
    }

    /// Begins a check, and sends it a signal as soon as the function runs. Returns how it ended, and
    /// the processes there were.
    fn signalled(&self, runner: &str, name: &str) -> (Finished, Vec<Process>) {
        let (child, started) = self.begun(runner);
        (ended_by(name, child), started)
    }
}

fn ended_by(signal_name: &str, child: Child) -> Finished {
    signal(child.id(), signal_name);
    finish_child(format!("a check that got {signal_name}"), child)
}

/// A function that never asks for an event.
const SLOW: &str = "[function]\ntimeout = 900\n[function.environment]\nINIT = \"slow\"";

#[test]
fn ctrl_c_ends_what_was_started_and_leaves_nothing() {
    let bench = Bench::new(SLOW);
    for runner in runners() {
        let (done, started) = bench.signalled(runner, "INT");
        let done = done.expect(130);
        assert_eq!(done.stdout, "", "{done}");
        assert!(done.stderr.contains("interrupted"), "{done}");
        assert!(started.iter().all(|process| !process.is_alive()), "{started:?}");
        bench.leaves_nothing();
    }
}

#[test]
fn checks_of_the_same_image_at_the_same_time_do_not_leave_it_to_each_other() {
    if !needs_docker() {
        return;
    }
    let (one, other) = (Bench::new(SLOW), Bench::new(SLOW));
    other.project.write("data", std::fs::read(one.project.file("data")).unwrap());
    let built = one.sandbox.json(0, ["build", one.project.argument()]).pop().unwrap();
    let (first, _) = one.begun("container");
    let (second, _) = other.begun("container");
    for (bench, child) in [(one, first), (other, second)] {
        ended_by("INT", child).expect(130);
        bench.leaves_nothing();
    }
    assert_eq!(images_of(&built["image_digest"]), Vec::<String>::new());
}

#[test]
fn what_a_killed_check_has_left_is_removed_by_the_next() {
    let bench = Bench::new(SLOW);
    for runner in runners() {
        let (_, started) = bench.signalled(runner, "KILL");
        let lines = bench.check(0, runner, &["--clear-env-vars"]);
        assert!(started.iter().all(|process| !process.is_alive()), "{started:?}");
        if runner == "container" {
            assert_eq!(images_of(&lines.last().unwrap()["image_digest"]), Vec::<String>::new());
        }
    }
}

#[test]
fn a_function_in_python_starts_unless_its_module_cannot_be_imported() {
    let Some(parts) = function_parts() else { return };
    let bench = Bench::new("");
    bench.project.write_python(&parts, "[function]\nmemory_size = 256");
    for runner in runners() {
        bench.project.write("app.py", "print('the module is loaded')\ndef handler(event, context): pass\n");
        let lines = bench.check(0, runner, &[]);
        assert!(lines.iter().any(|line| line["line"] == "the module is loaded"), "{lines:#?}");
        bench.project.write("app.py", "import nothing_like_it\n");
        let found = bench.failure(runner, &[]);
        assert!(text(&found, "message").contains("Runtime.ImportModuleError: "), "{found}");
        assert!(text(&found, "message").contains("nothing_like_it"), "{found}");
    }
}
