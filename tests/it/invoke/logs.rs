//! Log lines: read and followed by `lambdactl logs`, the AWS CLI and boto3, locally and in what
//! stands in for AWS.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc;

use serde_json::{Value, json};

use super::{PATIENCE, sandbox::world};
use crate::support::local_server::Fault;
use crate::support::moto::Aws;
use crate::support::python::{aws_json, boto3};
use crate::support::sandbox::signal;
use crate::support::wait_for;

#[test]
fn the_lines_of_a_call_are_shown_with_their_times() {
    let Some(world) = world("") else { return };
    world.answer(&json!({"do": "log"}));
    let done = world.sandbox.run(["logs", "--local", "hello"]).expect(0);
    let line = regex::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S").unwrap();
    assert!(done.stdout.lines().all(|shown| line.is_match(shown)), "{done}");
    let at = |text: &str| done.stdout.find(text).unwrap_or_else(|| panic!("{text}: {done}"));
    assert!(at(" START RequestId: ") < at(" a line of output\n"));
    assert!(at(" a line of output\n") < at(" a line of error\n"));
    assert!(at(" a line of error\n") < at(" END RequestId: "));
    assert!(at(" END RequestId: ") < at(" REPORT RequestId: "));
    for part in ["Billed Duration: ", "Memory Size: 128 MB", "Max Memory Used: "] {
        at(part);
    }
    let events = world.sandbox.json(0, ["logs", "--local", "hello", "--filter", "line -output"]);
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(
        (&events[0]["reason"], &events[0]["message"]),
        (&json!("log-event"), &json!("a line of error"))
    );
    assert!(events[0]["stream"].as_str().unwrap().contains("[$LATEST]"));
    assert_eq!(
        events[1],
        json!({"reason": "logs", "function_name": "hello", "log_group": "/aws/lambda/hello", "events": 1})
    );
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let done = world.sandbox.run(["logs", "--local", "hello", "--since", "1s"]).expect(0);
    assert_eq!(done.stdout, "");
    assert!(done.stderr.contains("`hello` has logged nothing in the last 1s"), "{done}");
}

#[test]
fn a_function_that_logs_in_json_has_a_log_in_json() {
    let Some(world) = world("") else { return };
    let script = r#"
client = boto3.client("lambda")
client.update_function_configuration(FunctionName="hello", LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"})
client.get_waiter("function_updated_v2").wait(FunctionName="hello", WaiterConfig={"Delay": 1})
"#;
    boto3(world.cloud.endpoint(), "us-east-1", script);
    let variables = world.answer(&json!({"do": "environment"}));
    assert_eq!(
        (&variables["AWS_LAMBDA_LOG_FORMAT"], &variables["AWS_LAMBDA_LOG_LEVEL"]),
        (&json!("JSON"), &json!("DEBUG"))
    );
    world.failure(&json!({"do": "exit"}));
    let events = world.sandbox.json(0, ["logs", "--local", "hello"]);
    let lines: Vec<Value> =
        events.iter().filter_map(|event| serde_json::from_str(event["message"].as_str()?).ok()).collect();
    let kinds: Vec<&str> = lines.iter().filter_map(|line| line["type"].as_str()).collect();
    assert_eq!(kinds, ["platform.start", "platform.report", "platform.start", "platform.report"]);
    let last = &lines.last().unwrap()["record"];
    assert_eq!((&last["status"], &last["errorType"]), (&json!("error"), &json!("Runtime.ExitError")));
    let told = lines.iter().find(|line| line["level"] == "ERROR").unwrap();
    assert!(told["message"].as_str().unwrap().contains("exit status 7"), "{told}");
}

#[test]
fn what_is_not_there_is_said() {
    let Some(world) = world("") else { return };
    let done = world.sandbox.run(["logs", "--local", "hello"]).expect(0);
    assert!(done.stderr.contains("`/aws/lambda/hello` does not exist"), "{done}");
    let done = world.sandbox.run(["logs", "--local", "nobody"]).expect(1);
    assert!(done.stderr.contains("`nobody`"), "{done}");
    world.answer(&json!({}));
    let done = world.sandbox.run(["logs", "--local", "hello", "--filter", "{ $.level = 1 }"]).expect(1);
    assert!(done.stderr.contains("InvalidParameterException"), "{done}");
    world.sandbox.run(["logs", "--local", "hello", "--since", "soon"]).expect(2);
}

#[test]
fn followed_lines_come_once_each_whatever_happens_on_the_way() {
    let Some(world) = world("") else { return };
    let mut command = world.sandbox.lambdactl(["logs", "--local", "hello", "--follow", "--filter", "line"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (sender, lines) = mpsc::channel();
    let stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
    });
    // It waits for a group that is not there yet.
    wait_for("a first look", PATIENCE, || (world.cloud.calls("FilterLogEvents") > 0).then_some(()));
    for _ in 0..2 {
        world.answer(&json!({"do": "log"}));
        for text in ["a line of output", "a line of error"] {
            let line = lines.recv_timeout(PATIENCE).expect("a line");
            assert!(line.ends_with(text), "{line}");
        }
    }
    world.cloud.inject(&[Fault::operation("FilterLogEvents").answers(500, json!({})).times(12)]);
    wait_for("all faults", PATIENCE, || world.cloud.has_misbehaved().then_some(()));
    world.answer(&json!({"do": "log"}));
    assert!(lines.recv_timeout(PATIENCE).expect("a line").ends_with("a line of output"));
    signal(child.id(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    reader.join().unwrap();
    assert_eq!(lines.try_iter().count(), 1, "the other line, and nothing twice");
}

#[test]
fn a_reader_that_has_enough_ends_it() {
    let Some(world) = world("") else { return };
    world.answer(&json!({"do": "log"}));
    let mut command = world.sandbox.lambdactl(["logs", "--local", "hello", "--follow"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("START"), "{line}");
    drop(stdout);
    wait_for("the end", PATIENCE, || {
        world.answer(&json!({"do": "log"}));
        child.try_wait().unwrap()
    });
}

#[test]
fn the_aws_cli_and_boto3_read_the_same_lines() {
    let Some(world) = world("") else { return };
    world.answer(&json!({"do": "log"}));
    let (endpoint, region) = (world.cloud.endpoint(), "us-east-1");
    // What `aws logs tail` of version 2 asks, too.
    let arguments = ["logs", "filter-log-events", "--log-group-name", "/aws/lambda/hello", "--interleaved"];
    let found = aws_json(endpoint, region, &arguments);
    let lines = found["events"].as_array().unwrap();
    assert!(lines.iter().any(|event| event["message"] == "a line of output\n"), "{found}");
    let script = r#"
client = boto3.client("logs")
groups = client.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
print(groups[0]["logGroupName"])
stream = client.describe_log_streams(logGroupName="/aws/lambda/hello", orderBy="LastEventTime", descending=True)["logStreams"][0]
assert stream["firstEventTimestamp"] <= stream["lastEventTimestamp"]
events = client.get_log_events(logGroupName="/aws/lambda/hello", logStreamName=stream["logStreamName"], startFromHead=True)
print([event["message"] for event in events["events"] if "line" in event["message"]])
again = client.get_log_events(logGroupName="/aws/lambda/hello", logStreamName=stream["logStreamName"], nextToken=events["nextForwardToken"])
print(again["events"], again["nextForwardToken"] == events["nextForwardToken"])
pages = client.get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/hello", PaginationConfig={"PageSize": 1})
print(len([event for page in pages for event in page["events"]]) == len(events["events"]))
try:
    client.filter_log_events(logGroupName="/aws/lambda/none")
except client.exceptions.ResourceNotFoundException as error:
    print(error.response["Error"]["Message"])
"#;
    assert_eq!(
        boto3(endpoint, region, script),
        "/aws/lambda/hello\n['a line of output\\n', 'a line of error\\n']\n[] True\nTrue\nThe specified log group does not exist.\n"
    );
}

#[test]
fn logs_of_aws_are_read_page_by_page_also_of_a_function_that_is_gone() {
    let cloud = Aws::start();
    cloud.ask(["logs", "create-log-group", "--log-group-name", "/aws/lambda/gone"]);
    cloud.ask([
        "logs",
        "create-log-stream",
        "--log-group-name",
        "/aws/lambda/gone",
        "--log-stream-name",
        "s",
    ]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let events: Vec<Value> = (0..3)
        .map(|number| json!({ "timestamp": u64::try_from(now).unwrap() - 3000 + number, "message": format!("line {number}\n") }))
        .collect();
    let events = json!(events).to_string();
    cloud.ask([
        "logs",
        "put-log-events",
        "--log-group-name",
        "/aws/lambda/gone",
        "--log-stream-name",
        "s",
        "--log-events",
        &events,
    ]);
    let shown = cloud.sandbox.json(0, ["logs", "gone"]);
    let messages: Vec<&str> = shown.iter().filter_map(|event| event["message"].as_str()).collect();
    assert_eq!(messages, ["line 0", "line 1", "line 2"]);
    let done = cloud.sandbox.run(["logs", "never"]).expect(1);
    assert!(done.stderr.contains("`never`"), "{done}");
}
