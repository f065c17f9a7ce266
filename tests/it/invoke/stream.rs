//! Answers that arrive while the function makes them: by `lambdactl invoke --stream`, boto3 and a
//! function's URL.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use serde_json::{Value, json};

use super::sandbox::world;
use super::{PATIENCE, url};
use crate::support::python::boto3;
use crate::support::sandbox::Finished;
use crate::support::wait_for;
use crate::support::world::World;

/// What the function waits for between two pieces of its answer.
struct Gate(TcpListener);

impl Gate {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn event(&self) -> Value {
        json!({"do": "stream", "wait": self.0.local_addr().unwrap().port()})
    }

    /// Lets the function go on.
    fn open(self) {
        self.0.set_nonblocking(true).unwrap();
        wait_for("the function to wait", PATIENCE, || self.0.accept().ok());
    }
}

/// What a program has written so far, while it runs.
struct Reading {
    child: Child,
    pieces: mpsc::Receiver<Vec<u8>>,
    text: String,
}

impl Reading {
    fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (sender, pieces) = mpsc::channel();
        let mut stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut piece) {
                let _ = sender.send(piece[..count].to_vec());
            }
        });
        Self { child, pieces, text: String::new() }
    }

    /// Reads until the text ends with `end`.
    #[track_caller]
    fn until(&mut self, end: &str) {
        while !self.text.ends_with(end) {
            let piece = self.pieces.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{}", self.text));
            self.text.push_str(&String::from_utf8(piece).unwrap());
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn streamed(world: &World, event: &Value, options: &[&str]) -> Finished {
    world.invoke(event, &[&["--stream"], options].concat())
}

#[test]
fn an_answer_is_shown_while_the_function_makes_it() {
    let Some(world) = world("") else { return };
    let gate = Gate::new();
    let event = gate.event().to_string();
    let arguments = ["invoke", "--local", "hello", "--stream", "--payload", &event];
    let mut reading = Reading::of(&mut world.sandbox.lambdactl(arguments));
    reading.until("one ");
    gate.open();
    reading.until("two");
    assert_eq!(reading.text, "one two");
    assert_eq!(reading.child.wait().unwrap().code(), Some(0));
    // A function that does not stream answers all the same, and one that does also at once.
    assert_eq!(streamed(&world, &json!({"do": "echo"}), &[]).expect(0).stdout, r#"{"do":"echo"}"#);
    assert_eq!(world.invoke(&json!({"do": "stream"}), &[]).expect(0).stdout, "one two");
    let told = streamed(&world, &json!({"do": "stream"}), &["--output", "json", "--log-tail"]).expect(0);
    let told = told.last_json();
    assert_eq!((&told["payload"], &told["executed_version"]), (&json!("one two"), &json!("$LATEST")));
    assert!(told["log_tail"].to_string().contains("REPORT RequestId: "), "{told}");
    let missing = world.sandbox.run(["invoke", "--local", "nobody", "--stream", "--payload", "{}"]).expect(1);
    assert!(missing.stderr.contains("`nobody`"), "{missing}");
}

#[test]
fn what_fails_on_the_way_is_told_after_what_came() {
    let Some(world) = world("[function]\ntimeout = 3") else { return };
    for (event, code, message) in [
        (json!({"do": "stream", "then": "fail"}), "Stream.Broken", "on the way"),
        (json!({"do": "stream", "then": "crash"}), "Runtime.ExitError", "exit status 9"),
        (json!({"do": "stream", "then": "silent"}), "Sandbox.Timedout", "timed out after 3.00 seconds"),
    ] {
        let done = streamed(&world, &event, &[]).expect(1);
        assert_eq!(done.stdout, "one ", "{event}");
        assert!(done.stderr.contains(code) && done.stderr.contains(message), "{event}: {done}");
        let (told, text) = world.failure(&event);
        assert_eq!(told, code, "{event}: {text}");
    }
    let (code, _) = world.failure(&json!({"do": "stream", "megabytes": 7}));
    assert_eq!(code, "Function.ResponseSizeTooLarge", "whole, it has a limit");
    let done = streamed(&world, &json!({"do": "stream", "megabytes": 7}), &[]).expect(0);
    assert_eq!(done.stdout.len(), (7 << 20) + "one two".len());
    assert_eq!(world.answer(&json!({"do": "echo"})), json!({"do": "echo"}));
}

#[test]
fn boto3_reads_the_same_event_stream() {
    let Some(world) = world("") else { return };
    let script = r#"
client = boto3.client("lambda")
def ask(event, **more):
    answer = client.invoke_with_response_stream(FunctionName="hello", Payload=json.dumps(event, separators=(",", ":")), **more)
    events = list(answer["EventStream"])
    answer["EventStream"].close()
    pieces = [event["PayloadChunk"]["Payload"] for event in events if "PayloadChunk" in event]
    assert list(events[-1]) == ["InvokeComplete"]
    return answer, pieces, events[-1]["InvokeComplete"]
answer, pieces, end = ask({"do": "stream"}, LogType="Tail")
print(answer["StatusCode"], answer["ExecutedVersion"], answer["ResponseMetadata"]["HTTPHeaders"]["content-type"])
print(b"".join(pieces).decode(), sorted(end), end["LogResult"] != "")
print(ask({"do": "echo"})[1:])
print(len(b"".join(ask({"do": "stream", "megabytes": 20})[1])))
answer, pieces, end = ask({"do": "stream", "then": "fail"})
print(b"".join(pieces).decode(), end["ErrorCode"], json.loads(end["ErrorDetails"])["errorType"])
answer, pieces, end = ask({"do": "exit"})
print(pieces, end["ErrorCode"], json.loads(end["ErrorDetails"])["errorType"])
dry = client.invoke_with_response_stream(FunctionName="hello", InvocationType="DryRun")
dry["EventStream"].close()
print(dry["StatusCode"])
try:
    ask({}, Qualifier="9")
except client.exceptions.ResourceNotFoundException as error:
    print("not found")
"#;
    assert_eq!(
        boto3(world.cloud.endpoint(), "us-east-1", script),
        "200 $LATEST application/vnd.amazon.eventstream\none two ['LogResult'] True\n\
         ([b'{\"do\":\"echo\"}'], {})\n20971527\none  Unhandled Stream.Broken\n[] Unhandled Runtime.ExitError\n\
         204\nnot found\n"
    );
}

#[test]
fn a_browser_gets_an_answer_while_it_is_made() {
    let Some(world) = world("") else { return };
    let script = r#"
client = boto3.client("lambda")
print(client.create_function_url_config(FunctionName="hello", AuthType="NONE", InvokeMode="RESPONSE_STREAM")["InvokeMode"])
"#;
    assert_eq!(boto3(world.cloud.endpoint(), "us-east-1", script), "RESPONSE_STREAM\n");
    let page = url::url_of(&world);
    let gate = Gate::new();
    let port = gate.event()["wait"].clone();
    let mut command = Command::new("curl");
    command.args(["--silent", "--no-buffer", "--include", "--noproxy", "*"]);
    command.arg(format!("{page}?do=stream&kind=with-head&wait={port}"));
    let mut reading = Reading::of(&mut command);
    reading.until("one ");
    gate.open();
    reading.until("two");
    let text = &reading.text;
    assert!(text.starts_with("HTTP/1.1 202 "), "{text}");
    assert!(text.contains("x-own: yes\r\n") && text.contains("content-type: text/plain\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\none two"), "{text}");
    let plain = url::curl(&format!("{page}?do=stream"), &["--include"]);
    assert!(plain.stdout.contains("content-type: text/x-own\r\n"), "{plain}");
    assert!(plain.stdout.ends_with("\r\n\r\none two\n200"), "{plain}");
    assert!(url::curl(&format!("{page}?do=page"), &[]).stdout.ends_with("\n200"), "it does not stream");
    assert!(url::curl(&format!("{page}?do=error"), &[]).stdout.ends_with("\n502"));
}
