//! What readers of logs rely on: pages without gaps, ids that stay, tokens that end.

use std::sync::Arc;

use super::*;
use crate::local::call::Delays;
use crate::local::store::Store;

struct World {
    _directory: tempfile::TempDir,
    call: Call,
}

impl World {
    /// Two streams, the second of which says the same things twice.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(directory.path()).unwrap());
        let logs = LogStore::new(&store);
        let one = logs.stream("us-east-1", "/aws/lambda/hello", "one").unwrap();
        let two = logs.stream("us-east-1", "/aws/lambda/hello", "two").unwrap();
        for number in 0..5 {
            one.write(&format!("one {number}"));
            two.write("two");
            two.write("two");
        }
        let call = Call {
            store,
            delays: Delays::default(),
            region: "us-east-1".to_owned(),
            authority: String::new(),
            request_id: String::new(),
            now: time::OffsetDateTime::now_utc(),
        };
        Self { _directory: directory, call }
    }

    fn ask(&self, operation: &str, mut input: Value) -> Result<Value, Failure> {
        if operation != "DescribeLogGroups" && input["logGroupIdentifier"].is_null() {
            input["logGroupName"] = json!("/aws/lambda/hello");
        }
        run(&Request { call: &self.call, logs: LogStore::new(&self.call.store), input }, operation)
    }
}

fn texts(answer: &Value, list: &str, member: &str) -> Vec<String> {
    let list = answer[list].as_array().unwrap();
    list.iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

#[test]
fn pages_hold_every_event_once_and_ids_stay() {
    let world = World::new();
    let whole = world.ask("FilterLogEvents", json!({})).unwrap();
    assert_eq!(whole["nextToken"], Value::Null);
    let whole = texts(&whole, "events", "eventId");
    assert_eq!(whole.len(), 15);
    assert!(whole.iter().all(|id| id.len() == 56 && id.bytes().all(|byte| byte.is_ascii_digit())));
    let (mut pages, mut token) = (Vec::new(), Value::Null);
    loop {
        let page = world.ask("FilterLogEvents", json!({ "limit": 4, "nextToken": token })).unwrap();
        pages.extend(texts(&page, "events", "eventId"));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(pages, whole);
    pages.sort();
    pages.dedup();
    assert_eq!(pages.len(), 15, "events that look alike are two");
}

#[test]
fn streams_patterns_and_times_choose_events() {
    let world = World::new();
    let count =
        |input: Value| texts(&world.ask("FilterLogEvents", input).unwrap(), "events", "message").len();
    assert_eq!(count(json!({ "logStreamNames": ["one"] })), 5);
    assert_eq!(count(json!({ "logStreamNamePrefix": "tw" })), 10);
    assert_eq!(count(json!({ "filterPattern": "one -3" })), 4);
    assert_eq!(count(json!({ "filterPattern": "one", "limit": 2 })), 2);
    assert_eq!(count(json!({ "endTime": 1 })), 0);
    let found = world.ask("FilterLogEvents", json!({ "filterPattern": "\"one 0\"" })).unwrap();
    assert_eq!(texts(&found, "events", "message"), ["one 0\n"]);
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/hello:*";
    assert_eq!(count(json!({ "logGroupIdentifier": arn })), 15);
}

#[test]
fn one_stream_is_read_in_both_directions_until_the_tokens_stay() {
    let world = World::new();
    let get = |input: Value| {
        let mut all = json!({ "logStreamName": "one", "limit": 2 });
        all.as_object_mut().unwrap().extend(input.as_object().unwrap().clone());
        world.ask("GetLogEvents", all).unwrap()
    };
    let mut page = get(json!({ "startFromHead": true }));
    let mut found = texts(&page, "events", "message");
    loop {
        let next = get(json!({ "nextToken": page["nextForwardToken"] }));
        found.extend(texts(&next, "events", "message"));
        if next["nextForwardToken"] == page["nextForwardToken"] {
            break;
        }
        page = next;
    }
    assert_eq!(found, ["one 0\n", "one 1\n", "one 2\n", "one 3\n", "one 4\n"]);
    let last = get(json!({}));
    assert_eq!(texts(&last, "events", "message"), ["one 3\n", "one 4\n"]);
    let before = get(json!({ "nextToken": last["nextBackwardToken"] }));
    assert_eq!(texts(&before, "events", "message"), ["one 1\n", "one 2\n"]);
}

#[test]
fn groups_and_streams_are_listed() {
    let world = World::new();
    let groups = world.ask("DescribeLogGroups", json!({ "logGroupNamePrefix": "/aws/" })).unwrap();
    assert_eq!(texts(&groups, "logGroups", "logGroupName"), ["/aws/lambda/hello"]);
    let streams = world.ask("DescribeLogStreams", json!({ "limit": 1 })).unwrap();
    assert_eq!(texts(&streams, "logStreams", "logStreamName"), ["one"]);
    let rest = world.ask("DescribeLogStreams", json!({ "nextToken": streams["nextToken"] })).unwrap();
    assert_eq!(texts(&rest, "logStreams", "logStreamName"), ["two"]);
    let newest = json!({ "orderBy": "LastEventTime", "descending": true });
    let newest = world.ask("DescribeLogStreams", newest).unwrap();
    assert_eq!(texts(&newest, "logStreams", "logStreamName"), ["two", "one"]);
}

#[test]
fn what_does_not_exist_is_said_as_cloudwatch_says_it() {
    let world = World::new();
    let other = json!({ "logGroupIdentifier": "/aws/lambda/other" });
    let failure = world.ask("FilterLogEvents", other).unwrap_err();
    assert_eq!(failure.code, "ResourceNotFoundException");
    assert_eq!(failure.message, "The specified log group does not exist.");
    let failure = world.ask("GetLogEvents", json!({ "logStreamName": "none" })).unwrap_err();
    assert_eq!(failure.message, "The specified log stream does not exist.");
    for input in [json!({ "limit": 0 }), json!({ "nextToken": "x" }), json!({ "filterPattern": "{" })] {
        assert_eq!(world.ask("FilterLogEvents", input).unwrap_err().code, "InvalidParameterException");
    }
    assert_eq!(world.ask("PutLogEvents", json!({})).unwrap_err().code, "UnknownOperationException");
}
