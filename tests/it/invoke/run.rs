//! `lambdactl run`: a program of this machine as a function.

use std::path::Path;
use std::process::Stdio;

use super::PATIENCE;
use crate::support::program::function;
use crate::support::sandbox::{Finished, Sandbox, finish_child, signal};
use crate::support::{processes, wait_for};

fn run(sandbox: &Sandbox, options: &[&str], program: &Path) -> Finished {
    let mut arguments = vec!["run"];
    arguments.extend(options);
    arguments.extend(["--", program.to_str().unwrap()]);
    sandbox.run(arguments)
}

/// Whether a process with this word on its command line runs anywhere.
fn is_running(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.into_iter().any(|line| line.split(|byte| *byte == 0).any(|part| part == word.as_bytes()))
}

#[test]
fn a_program_answers_and_what_it_prints_is_told_apart() {
    let sandbox = Sandbox::new();
    let done = run(&sandbox, &["--payload", r#"{"do":"log"}"#], function()).expect(0);
    assert_eq!(done.stdout, r#"{"do":"log"}"#);
    for line in ["a line of output\n", "a line of error\n"] {
        assert!(done.stderr.contains(line), "{done}");
    }
    let options = ["--payload", r#"{"do":"who"}"#, "--client-context", r#"{"a":1}"#, "--output", "json"];
    let told = run(&sandbox, &options, function()).expect(0).last_json();
    assert_eq!((&told["reason"], &told["payload"]["context"]["a"]), (&"invocation".into(), &1.into()));
    let environment = "printf '%s' \"$AWS_LAMBDA_FUNCTION_MEMORY_SIZE $AWS_REGION\" >&2; exec \"$0\"";
    let program = function().to_str().unwrap();
    let words = ["run", "--memory-size", "256", "--payload", "{}", "--", "sh", "-c", environment, program];
    let done = sandbox.run(words).expect(0);
    assert!(done.stderr.contains("256 us-east-1"), "{done}");
    // Nothing on standard input is an empty event.
    assert_eq!(run(&sandbox, &[], function()).expect(0).stdout, "{}");
}

#[test]
fn what_fails_is_told_in_lambdas_words() {
    let sandbox = Sandbox::new();
    for (event, options, code) in [
        ("error", &[][..], "Own.Error"),
        ("exit", &[], "Runtime.ExitError"),
        ("large", &[], "Function.ResponseSizeTooLarge"),
        ("sleep", &["--timeout", "1"], "Sandbox.Timedout"),
    ] {
        let event = format!(r#"{{"do":"{event}"}}"#);
        let options = [&["--payload", event.as_str(), "--output", "json"], options].concat();
        assert_eq!(run(&sandbox, &options, function()).expect(1).last_json()["code"], code);
    }
    let missing = run(&sandbox, &["--output", "json"], Path::new("/none")).expect(1).last_json();
    assert_eq!(missing["code"], "Runtime.InvalidEntrypoint");
    sandbox.run(["run", "--payload", "{no", "--", "true"]).expect(2);
    sandbox.run(["run"]).expect(2);
}

#[test]
fn what_a_program_has_started_ends_with_it() {
    let sandbox = Sandbox::new();
    let program = function().to_str().unwrap();
    let script = |seconds: &str| format!("sleep {seconds} & exec {program}");
    // Nobody else sleeps as long.
    let seconds = format!("{}.25", 10_000 + std::process::id());
    let done = sandbox.run(["run", "--payload", "{}", "--", "sh", "-c", &script(&seconds)]).expect(0);
    assert_eq!(done.stdout, "{}");
    wait_for("the end of what it started", PATIENCE, || (!is_running(&seconds)).then_some(()));
    let event = r#"{"do":"sleep"}"#;
    let mut command = sandbox.lambdactl(["run", "--payload", event, "--", "sh", "-c", &script(&seconds)]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the start", PATIENCE, || is_running(&seconds).then_some(()));
    let all = processes::below(child.id());
    signal(child.id(), "INT");
    finish_child("lambdactl run".to_owned(), child).expect(130);
    wait_for("the end of everything", PATIENCE, || {
        (!is_running(&seconds) && all.iter().all(|process| !process.is_alive())).then_some(())
    });
}
