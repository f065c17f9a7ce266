//! `lambdactl dev`: deployed again with every change, with the log beside it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use serde_json::Value;

use super::PATIENCE;
use crate::support::processes;
use crate::support::program::function;
use crate::support::project::Project;
use crate::support::sandbox::{Sandbox, signal};
use crate::support::{needs_namespaces, wait_for};

/// A session of `dev` without any engine, and what it says.
struct Session {
    sandbox: Sandbox,
    project: Project,
    child: Child,
    lines: Receiver<Value>,
}

impl Session {
    fn start(settings: &str) -> Option<Self> {
        if !needs_namespaces() {
            return None;
        }
        let mut sandbox = Sandbox::new();
        sandbox.set("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        let project = Project::assembled(sandbox.path(), "hello");
        std::fs::copy(function(), project.file("bootstrap")).unwrap();
        project.configure(settings);
        let mut command = sandbox.lambdactl(["dev", project.argument(), "--url", "--output", "json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(serde_json::from_str(&line).expect("JSON"))));
        });
        Some(Self { sandbox, project, child, lines })
    }

    /// The next thing it says for this reason.
    #[track_caller]
    fn next(&self, reason: &str) -> Value {
        let begin = Instant::now();
        loop {
            let left = PATIENCE.checked_sub(begin.elapsed()).expect("time is left");
            let line = self.lines.recv_timeout(left).unwrap_or_else(|error| panic!("no {reason}: {error}"));
            if line["reason"] == reason {
                return line;
            }
        }
    }

    fn data(&self) -> String {
        let arguments = ["invoke", "--local", "hello", "--payload", r#"{"do":"data"}"#];
        self.sandbox.run(arguments).expect(0).stdout
    }

    fn end(mut self) {
        signal(self.child.id(), "INT");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_change_is_live_and_what_it_logs_is_shown() {
    let Some(session) = Session::start("") else { return };
    assert_eq!(session.next("deployment")["action"], "created");
    let url = session.next("local-url")["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("http://hello.lambda-url."), "{url}");
    assert_eq!(session.data(), "\"first\"");
    let log = wait_for("the line", PATIENCE, || {
        let event = session.next("log-event");
        (event["message"] == "data is first").then_some(event)
    });
    assert_eq!(log["function_name"], "hello");
    let begin = Instant::now();
    session.project.write("data", "second\n");
    assert_eq!(session.next("deployment")["action"], "updated");
    assert_eq!(session.data(), "\"second\"", "after {:?}", begin.elapsed());
    session.end();
}

#[test]
fn mistakes_are_told_and_the_next_change_mends_them() {
    let Some(session) = Session::start("") else { return };
    session.next("deployment");
    session.project.configure("[function]\nmemory_sise = 256");
    let error = session.next("error");
    assert!(error["message"].as_str().unwrap().contains("memory_sise"), "{error}");
    session.project.configure("[function]\nmemory_size = 256\n[build]\ncommand = [\"false\"]");
    session.next("error");
    session.project.configure("[function]\nmemory_size = 256\n[build]\ncommand = [\"touch\", \"built\"]");
    assert_eq!(session.next("deployment")["action"], "updated");
    assert_eq!(session.data(), "\"first\"");
    let all = processes::below(session.child.id());
    assert_eq!(all.len(), 3, "{all:?}");
    session.end();
    assert!(all.iter().all(|process| !process.is_alive()), "{all:?}");
}

#[test]
fn what_never_worked_is_refused() {
    let sandbox = Sandbox::new();
    let project = Project::assembled(sandbox.path(), "hello");
    project.configure("[function]\nmemory_sise = 256");
    let done = sandbox.run(["dev", project.argument()]).expect(2);
    assert!(done.stderr.contains("memory_sise"), "{done}");
}
