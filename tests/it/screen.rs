//! What is on the screen: plain, JSON, and what people at a terminal see.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lambdactl::domain::digest::{DiffId, Digest};
use lambdactl::domain::function::{Function, FunctionStatus, ImageOverrides, PackageType};
use lambdactl::domain::plan::{
    Action, Change, Deployment, DeploymentAction, Planned, PlannedStep, PushedImage, Step, Transfer,
};
use lambdactl::domain::platform::Architecture;
use lambdactl::domain::secret::Secret;
use lambdactl::domain::transfer::{KnownBy, PlannedLayer, TransferPlan, Way};
use lambdactl::event::Event;
use lambdactl::output::human::Human;
use lambdactl::output::json::Json;
use lambdactl::output::mode::Mode;
use lambdactl::output::plain::Plain;
use lambdactl::output::progress::Progress;
use lambdactl::output::report::ErrorReport;
use lambdactl::output::results::{LocalReport, NextStep, Outcome, PolicyView};
use lambdactl::output::screen::Screen;
use lambdactl::output::style::Style;
use lambdactl::output::{Output, OutputOptions};

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn status(state: &str, update: Option<&str>, reason: Option<(&str, &str)>) -> FunctionStatus {
    let of_update = update.is_some_and(|update| update != "Successful");
    let text = |wanted: bool, pick: fn((&str, &str)) -> String| reason.filter(|_| wanted).map(pick);
    FunctionStatus {
        state: Some(state.into()),
        state_reason: text(!of_update, |reason| reason.1.to_owned()),
        state_reason_code: text(!of_update, |reason| reason.0.to_owned()),
        last_update_status: update.map(Into::into),
        last_update_status_reason: text(of_update, |reason| reason.1.to_owned()),
        last_update_status_reason_code: text(of_update, |reason| reason.0.to_owned()),
    }
}

fn layers() -> Vec<PlannedLayer> {
    let layer = |name: &str, size, uncompressed, way| PlannedLayer {
        digest: Some(Digest::of(name.as_bytes())),
        diff_id: Some(DiffId(Digest::of(b"content"))),
        size: Some(size),
        uncompressed,
        way,
    };
    let (one, two) = (Way::Make, Way::There(KnownBy::LiveImage));
    let three = Way::Mount("team/base".parse().unwrap());
    vec![
        layer("one", 42_000_000, Some(90_000_000), one),
        layer("two", 1_000, None, two),
        layer("three", 5_000_000, None, three),
    ]
}

fn planned() -> Vec<PlannedStep> {
    let step = |step, subject: &str, action, changes| PlannedStep {
        step,
        subject: subject.to_owned(),
        action,
        changes,
        layers: Vec::new(),
    };
    vec![
        step(Step::Repository, "team/hello", Action::Unchanged, Vec::new()),
        PlannedStep { layers: layers(), ..step(Step::Image, "team/hello", Action::Push, Vec::new()) },
        step(
            Step::Configuration,
            "hello",
            Action::Update,
            vec![
                Change::new("memory_size", 128, 512),
                Change::new("environment.TOKEN", "hunter1", "hunter2"),
                Change::new("image_config.command", serde_json::json!(["a"]), serde_json::Value::Null),
            ],
        ),
        step(
            Step::Code,
            "hello",
            Action::Update,
            vec![Change {
                path: "image_digest".to_owned(),
                from: "sha256:old".into(),
                to: Planned::KnownAfter(Step::Image),
            }],
        ),
    ]
}

/// A whole deployment, with everything that can be told.
fn script() -> Vec<(u64, Event)> {
    let started = |step, subject: &str| Event::StepStarted { step, subject: subject.to_owned() };
    let finished = |step, outcome: &str, milliseconds| Event::StepFinished {
        step,
        outcome: outcome.to_owned(),
        elapsed: at(milliseconds),
    };
    let (one, two, three) = (Digest::of(b"one"), Digest::of(b"two"), Digest::of(b"three"));
    vec![
        (
            0,
            Event::Steps(vec![
                Step::Observe,
                Step::Build,
                Step::Repository,
                Step::Image,
                Step::RepositoryPolicy,
                Step::Configuration,
                Step::Code,
                Step::Watch,
            ]),
        ),
        (0, started(Step::Observe, "hello")),
        (0, started(Step::Build, "Dockerfile")),
        (300, finished(Step::Observe, "function exists", 300)),
        (400, Event::BuildOutput("\u{1b}[1mStep 1/2\u{1b}[0m : FROM scratch\r".to_owned())),
        (900, Event::BuildOutput("Step 2/2 : COPY a b".to_owned())),
        (1000, Event::ImageProgress { activity: "exporting", bytes: 5_000_000, total: Some(20_000_000) }),
        (1200, Event::ImageProgress { activity: "exporting", bytes: 9_000_000, total: Some(20_000_000) }),
        (2500, Event::ImageProgress { activity: "exporting", bytes: 20_000_000, total: Some(20_000_000) }),
        (3000, finished(Step::Build, "sha256:abcdef, 2 layers", 3000)),
        (3000, Event::Planned(planned())),
        (3100, started(Step::Image, "team/hello")),
        (3100, Event::TransferPlanned(TransferPlan { layers: layers() })),
        (3100, Event::TransferStarted { layers: 2, bytes: Some(47_000_000) }),
        (3100, Event::BlobStarted { digest: one, size: 42_000_000, sent: 0 }),
        (3200, Event::BlobFinished { digest: two, size: 1_000, reused: true }),
        (3300, Event::BlobProgress { digest: one, sent: 2_000_000 }),
        (4500, Event::BlobProgress { digest: one, sent: 12_000_000 }),
        (
            4600,
            Event::Retrying {
                what: "layer sha256:7692c3ad3540".to_owned(),
                attempt: 1,
                after: at(1500),
                because: "500 Internal Server Error".to_owned(),
            },
        ),
        (7900, Event::BlobStarted { digest: three, size: 5_000_000, sent: 0 }),
        (7950, Event::BlobFinished { digest: three, size: 5_000_000, reused: true }),
        (8000, Event::BlobFinished { digest: one, size: 42_000_000, reused: false }),
        (8000, finished(Step::Image, "1 layer sent, 1 already there", 4900)),
        (
            8100,
            Event::Warning {
                message: "the repository scans nothing".to_owned(),
                hint: Some("switch scanning on".to_owned()),
            },
        ),
        (8100, Event::Detail("GetFunction took 40 ms".to_owned())),
        (8100, started(Step::Watch, "hello")),
        (
            8200,
            Event::FunctionStatus {
                function: "hello".to_owned(),
                status: status(
                    "Active",
                    Some("InProgress"),
                    Some(("Creating", "The function is being created.")),
                ),
                elapsed: at(100),
            },
        ),
        (
            20_200,
            Event::FunctionStatus {
                function: "hello".to_owned(),
                status: status("Active", Some("Successful"), None),
                elapsed: at(12_100),
            },
        ),
        (20_200, finished(Step::Watch, "live", 12_100)),
    ]
}

#[test]
fn plain_is_one_line_a_transition() {
    let mut plain = Plain::new(0);
    let mut progress = Progress::default();
    let mut text = String::new();
    let mut now = 0;
    for (when, event) in script() {
        // The heart beats once a second between events.
        while now + 1000 <= when {
            now += 1000;
            text += &plain.heartbeat(&progress, at(now));
        }
        now = when;
        text += &plain.text(&event, at(when));
        progress.apply(&event, at(when));
    }
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    insta::assert_snapshot!(text);
}

#[test]
fn json_is_one_object_a_line() {
    let mut json = Json::new(0);
    let text: String = script().iter().map(|(when, event)| json.text(event, at(*when))).collect();
    for line in text.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        let reason = object["reason"].as_str().unwrap();
        assert!(reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{reason}");
    }
    assert!(!text.contains("hunter"), "{text}");
    insta::assert_snapshot!(text);
}

/// The lines that stay, with the live lines at certain moments between them.
fn human(width: usize, moments: &[u64]) -> String {
    let human = Human::new(Style::new(false), 0);
    let mut progress = Progress::default();
    let mut text = String::new();
    let mut moments = moments.iter().copied().peekable();
    for (when, event) in script() {
        while let Some(moment) = moments.next_if(|moment| *moment < when) {
            let lines = human.live(&progress, at(moment), width);
            for line in &lines {
                assert!(console::measure_text_width(line) < width, "{line}");
            }
            text += &format!("[live after {moment} ms]\n{}\n[/live]\n", lines.join("\n"));
        }
        text += &human.text(&event, width);
        progress.apply(&event, at(when));
    }
    text
}

#[test]
fn people_see_what_is_done_and_what_is_under_way() {
    insta::assert_snapshot!(human(80, &[200, 950, 2600, 4550, 9000]));
}

#[test]
fn a_narrow_terminal_breaks_lines_between_words() {
    insta::assert_snapshot!(human(44, &[950, 4550]));
}

#[test]
fn details_are_for_those_who_ask() {
    let human = Human::new(Style::new(false), 1);
    let detail = Event::Detail("GetFunction took 40 ms".to_owned());
    assert_eq!(human.text(&detail, 80), "GetFunction took 40 ms\n");
    assert_eq!(Human::new(Style::new(false), 0).text(&detail, 80), "");
    assert_eq!(Json::new(0).text(&detail, at(0)), "");
    assert_eq!(human.text(&Event::BuildOutput("line".to_owned()), 80), "  │ line\n");
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

struct Shown {
    output: Output,
    stdout: Buffer,
    stderr: Buffer,
}

fn shown(mode: Mode, quiet: bool, verbosity: u8) -> Shown {
    let (stdout, stderr) = (Buffer::default(), Buffer::default());
    let options = OutputOptions {
        mode,
        quiet,
        verbosity,
        color_stdout: false,
        color_stderr: false,
        dumb: false,
        columns: Some(80),
        plan_is_result: false,
    };
    let screen = Screen::new(Box::new(stdout.clone()), Box::new(stderr.clone()));
    Shown { output: Output::new(options, screen), stdout, stderr }
}

fn pushed() -> PushedImage {
    PushedImage {
        repository: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/hello".parse().unwrap(),
        digest: Digest::of(b"manifest"),
        transfer: Transfer { bytes_uploaded: 42_000_300, layers_uploaded: 1, layers_reused: 1 },
    }
}

fn deployment(action: DeploymentAction, waited: bool) -> Outcome {
    let deployment = Deployment {
        function_name: "hello".parse().unwrap(),
        function_arn: "arn:aws:lambda:eu-west-1:123456789012:function:hello".to_owned(),
        version: "$LATEST".to_owned(),
        image: pushed(),
        action,
        status: status("Active", Some("Successful"), None),
        waited,
        elapsed: at(20_300),
    };
    let next = vec![NextStep { command: "lambdactl status hello".to_owned(), purpose: "shows what is live" }];
    Outcome::Deployment { deployment: Box::new(deployment), next }
}

fn function() -> Function {
    Function {
        name: "hello".parse().unwrap(),
        arn: "arn:aws:lambda:eu-west-1:123456789012:function:hello".to_owned(),
        version: "$LATEST".to_owned(),
        package_type: PackageType::Image,
        architecture: Some(Architecture::Arm64),
        role: "arn:aws:iam::123456789012:role/hello".to_owned(),
        description: "says hello".to_owned(),
        memory_size: 512,
        timeout: 30,
        ephemeral_storage: 1024,
        environment: [("TOKEN".to_owned(), Secret::new("hunter2"))].into(),
        snap_start: false,
        file_systems: Vec::new(),
        image_config: ImageOverrides { command: vec!["app.handler".to_owned()], ..Default::default() },
        status: status("Active", Some("Failed"), Some(("ImageDeleted", "The image was deleted."))),
        image_digest: Some(Digest::of(b"manifest")),
        image_uri: Some("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/hello:v1".to_owned()),
        resolved_image_uri: None,
        revision_id: Some("r-1".to_owned()),
        tags: Some([("team".to_owned(), "search".to_owned())].into()),
        last_modified: Some("2026-11-22T10:00:00.000+0000".to_owned()),
    }
}

fn policy(ensured: bool) -> Outcome {
    Outcome::Policy(PolicyView {
        repository: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/hello".to_owned(),
        text: Some("{\"Version\":\"2012-10-17\",\"Statement\":[]}".to_owned()),
        in_words: vec!["statement `Pull` lets account `123456789012` do everything".to_owned()],
        judgements: vec![(
            "123456789012".to_owned(),
            ensured,
            "no statement names `lambda.amazonaws.com`".to_owned(),
        )],
        changed: ensured,
        ensured,
        statements: "{\"Sid\":\"LambdaECRImageRetrievalPolicy\"}".to_owned(),
        caller_policy: serde_json::json!({ "Version": "2012-10-17" }),
        mend: "lambdactl policy ensure --repository team/hello --function hello".to_owned(),
    })
}

fn outcomes() -> Vec<(&'static str, Outcome)> {
    let plan = |steps| Outcome::Plan { function: "hello".to_owned(), steps, among_others: false };
    vec![
        ("deploy: created", deployment(DeploymentAction::Created, true)),
        ("deploy: unchanged", deployment(DeploymentAction::Unchanged, true)),
        ("deploy: not waited for", deployment(DeploymentAction::Updated, false)),
        ("plan: changes", plan(planned())),
        ("plan: none", plan(planned().into_iter().take(1).collect())),
        (
            "build",
            Outcome::Build {
                digest: Digest::of(b"manifest"),
                compressed_size: 42_000_000,
                layers: 2,
                platform: "linux/arm64".to_owned(),
            },
        ),
        ("push", Outcome::Push(pushed())),
        ("watch", Outcome::Watch(Box::new(function()))),
        (
            "status",
            Outcome::Status { function: Box::new(function()), source_commit: Some("4c1d2e9".to_owned()) },
        ),
        ("policy show", policy(false)),
        ("policy ensure", policy(true)),
        (
            "local serve",
            Outcome::Local(LocalReport::Serving {
                endpoint: "http://127.0.0.1:4566".to_owned(),
                exports: vec![("AWS_ENDPOINT_URL", "http://127.0.0.1:4566".to_owned())],
            }),
        ),
        ("local reset", Outcome::Local(LocalReport::Reset { directory: "/state".to_owned() })),
    ]
}

#[test]
fn results_go_to_standard_output_and_the_story_to_standard_error() {
    let mut text = String::new();
    for (name, outcome) in outcomes() {
        let shown = shown(Mode::Plain, false, 0);
        shown.output.result(&outcome);
        text += &format!("== {name}\n{}-- standard error\n{}", shown.stdout.text(), shown.stderr.text());
    }
    assert!(!text.contains("hunter"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn results_in_json_leave_standard_error_empty() {
    let mut text = String::new();
    for (name, outcome) in outcomes() {
        let shown = shown(Mode::Json, false, 0);
        shown.output.result(&outcome);
        assert_eq!(shown.stderr.text(), "", "{name}");
        text += &shown.stdout.text();
    }
    assert!(!text.contains("hunter"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn deploy_prints_the_arn_and_nothing_else() {
    for mode in [Mode::Human, Mode::Plain] {
        let shown = shown(mode, false, 2);
        let reporter = shown.output.reporter();
        script().into_iter().for_each(|(_, event)| reporter.report(event));
        shown.output.result(&deployment(DeploymentAction::Updated, true));
        assert_eq!(shown.stdout.text(), "arn:aws:lambda:eu-west-1:123456789012:function:hello\n");
        assert!(!shown.stderr.text().contains('\u{1b}'), "colours are off");
    }
}

#[test]
fn quiet_shows_the_result_and_errors_only() {
    for mode in [Mode::Human, Mode::Plain, Mode::Json] {
        let shown = shown(mode, true, 0);
        let reporter = shown.output.reporter();
        script().into_iter().for_each(|(_, event)| reporter.report(event));
        shown.output.note("remark");
        shown.output.result(&deployment(DeploymentAction::Updated, true));
        assert_eq!(shown.stderr.text(), "", "{mode:?}");
        assert_eq!(shown.stdout.text().lines().count(), 1, "{mode:?}");
    }
}

#[test]
fn a_failed_build_shows_everything_the_builder_printed() {
    let report = ErrorReport {
        message: "building `Dockerfile`: exit code 1".to_owned(),
        hints: vec!["mend it".to_owned()],
        ..ErrorReport::default()
    };
    for (mode, quiet) in
        [(Mode::Human, false), (Mode::Human, true), (Mode::Plain, false), (Mode::Plain, true)]
    {
        let shown = shown(mode, quiet, 0);
        let reporter = shown.output.reporter();
        reporter.report(Event::StepStarted { step: Step::Build, subject: "Dockerfile".to_owned() });
        (1..=20).for_each(|line| reporter.report(Event::BuildOutput(format!("line {line}"))));
        shown.output.error(&report);
        let text = shown.stderr.text();
        let count = (1..=20).filter(|line| text.matches(&format!("line {line}\n")).count() == 1).count();
        assert_eq!(count, 20, "{mode:?} {quiet}: {text}");
        assert!(text.ends_with("error: building `Dockerfile`: exit code 1\nhint: mend it\n"), "{text}");
        assert_eq!(shown.stdout.text(), "");
    }
}

#[test]
fn an_error_in_json_is_the_last_line_and_standard_error_stays_empty() {
    let shown = shown(Mode::Json, false, 0);
    shown.output.reporter().report(Event::Detail("not shown".to_owned()));
    shown.output.error(&ErrorReport {
        message: "m".to_owned(),
        code: Some("AccessDeniedException".to_owned()),
        ..ErrorReport::default()
    });
    assert_eq!(
        shown.stdout.text(),
        "{\"reason\":\"error\",\"message\":\"m\",\"causes\":[],\"hints\":[],\"code\":\"AccessDeniedException\"}\n"
    );
    assert_eq!(shown.stderr.text(), "");
}

#[test]
fn who_interrupts_is_told_what_has_been_done() {
    let shown = shown(Mode::Plain, true, 0);
    let reporter = shown.output.reporter();
    shown.output.result(&deployment(DeploymentAction::Updated, true));
    script().into_iter().take(5).for_each(|(_, event)| reporter.report(event));
    assert_eq!(shown.output.so_far(), "hello is deployed; done: observe; under way: build");
}
