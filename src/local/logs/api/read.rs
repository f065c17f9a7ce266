//! Reading events: of a whole group, or of one stream.

use serde_json::{Value, json};

use super::pattern::Pattern;
use super::{Failure, Request, identity, message};

/// Events an answer holds at most.
const EVENTS: usize = 10_000;
/// Bytes of messages an answer holds at most; each event counts 26 more.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>
const BYTES: usize = 1024 * 1024;
const PER_EVENT: usize = 26;

/// `FilterLogEvents`: a token is the id of the last event that was shown.
pub(super) fn filter(request: &Request<'_>) -> Result<Value, Failure> {
    let group = request.group()?;
    let limit = request.limit(EVENTS)?;
    let pattern = Pattern::parse(request.text("filterPattern").unwrap_or_default())
        .map_err(|why| Failure { code: "InvalidParameterException", message: why.to_owned() })?;
    let names: Option<Vec<&str>> = request.input["logStreamNames"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect());
    let prefix = request.text("logStreamNamePrefix").unwrap_or_default();
    let wants = |stream: &str| {
        names.as_ref().is_none_or(|names| names.contains(&stream)) && stream.starts_with(prefix)
    };
    let events = request.events(group)?;
    let ids = identity::ids(&events);
    let mut from = 0;
    if let Some(token) = request.text("nextToken") {
        let last = ids.iter().position(|id| id == token);
        from = last
            .map(|last| last + 1)
            .ok_or_else(|| Failure::invalid("The specified nextToken is invalid."))?;
    }
    let (mut found, mut bytes, mut token) = (Vec::new(), 0, None);
    for (at, event) in events.iter().enumerate().skip(from) {
        if !wants(&event.stream) || !pattern.matches(&event.event.message) {
            continue;
        }
        bytes += event.event.message.len() + PER_EVENT;
        if found.len() == limit || (bytes > BYTES && !found.is_empty()) {
            token = ids.get(at - 1);
            break;
        }
        found.push(json!({
            "logStreamName": event.stream,
            "timestamp": event.event.timestamp,
            "message": message(event),
            "ingestionTime": event.event.timestamp,
            "eventId": ids[at],
        }));
    }
    let mut answer = json!({ "events": found, "searchedLogStreams": [] });
    if let Some(token) = token {
        answer["nextToken"] = json!(token);
    }
    Ok(answer)
}

/// `GetLogEvents`: tokens are the ids of the events at both ends, and stay where there are no
/// more.
pub(super) fn get(request: &Request<'_>) -> Result<Value, Failure> {
    let group = request.group()?;
    let limit = request.limit(EVENTS)?;
    let stream =
        request.text("logStreamName").ok_or_else(|| Failure::invalid("logStreamName has to be given"))?;
    let all = request.logs.events(&request.call.region, group, 0)?;
    if !all.iter().any(|event| event.stream == stream) {
        return Err(Failure::missing("stream"));
    }
    let events = request.events(group)?;
    let ids = identity::ids(&events);
    let own: Vec<usize> = (0..events.len()).filter(|at| events[*at].stream == stream).collect();
    let before = |id: &str| {
        let place = own.iter().position(|at| ids[*at] == id);
        // One that has made room for newer ones meanwhile.
        place.unwrap_or_else(|| own.iter().filter(|at| ids[**at].as_str() < id).count())
    };
    let after = |id: &str| before(id) + usize::from(own.get(before(id)).is_some_and(|at| ids[*at] == id));
    let (from, to) = match request.text("nextToken").map(|token| token.split_at(token.len().min(2))) {
        Some(("f/", id)) => (after(id), (after(id) + limit).min(own.len())),
        Some(("b/", id)) => (before(id).saturating_sub(limit), before(id)),
        Some(_) => return Err(Failure::invalid("The specified nextToken is invalid.")),
        None if request.input["startFromHead"] == true => (0, limit.min(own.len())),
        None => (own.len().saturating_sub(limit), own.len()),
    };
    let shown = &own[from..to];
    let token = |direction: &str, at: Option<&usize>| {
        let given = request.text("nextToken").map(|token| token.get(2..).unwrap_or_default().to_owned());
        let id = at.map(|at| ids[*at].clone()).or(given).unwrap_or_else(|| "0".repeat(56));
        format!("{direction}/{id}")
    };
    let events = shown.iter().map(|at| {
        let event = &events[*at];
        let timestamp = event.event.timestamp;
        json!({ "timestamp": timestamp, "message": message(event), "ingestionTime": timestamp })
    });
    Ok(json!({
        "events": events.collect::<Vec<_>>(),
        "nextForwardToken": token("f", shown.last()),
        "nextBackwardToken": token("b", shown.first()),
    }))
}
