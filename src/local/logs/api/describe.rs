//! Listing groups and streams.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Failure, Request};

/// Things an answer holds at most.
const PAGE: usize = 50;

/// `DescribeLogGroups`
pub(super) fn groups(request: &Request<'_>) -> Result<Value, Failure> {
    let limit = request.limit(PAGE)?;
    let prefix = request.text("logGroupNamePrefix").unwrap_or_default();
    let part = request.text("logGroupNamePattern").unwrap_or_default();
    let mut groups = request.logs.groups(&request.call.region)?;
    groups.retain(|group| group.starts_with(prefix) && group.contains(part));
    let (page, token) = page(request, groups, limit)?;
    let mut found = Vec::new();
    for group in page {
        let events = request.logs.events(&request.call.region, &group, 0)?;
        let bytes: usize = events.iter().map(|event| event.event.message.len()).sum();
        let arn = request.group_arn(&group);
        found.push(json!({
            "logGroupName": group,
            "creationTime": events.first().map_or(0, |event| event.event.timestamp),
            "metricFilterCount": 0,
            "arn": format!("{arn}:*"),
            "logGroupArn": arn,
            "storedBytes": bytes,
            "logGroupClass": "STANDARD",
        }));
    }
    Ok(with_token(json!({ "logGroups": found }), token))
}

/// `DescribeLogStreams`
pub(super) fn streams(request: &Request<'_>) -> Result<Value, Failure> {
    let group = request.group()?;
    let limit = request.limit(PAGE)?;
    let prefix = request.text("logStreamNamePrefix").unwrap_or_default();
    let by_time = match request.text("orderBy") {
        None | Some("LogStreamName") => false,
        Some("LastEventTime") if prefix.is_empty() => true,
        Some("LastEventTime") => {
            return Err(Failure::invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
        }
        Some(_) => return Err(Failure::invalid("'orderBy' has to be LogStreamName or LastEventTime")),
    };
    // The first and the last event, and the bytes, of every stream.
    let mut streams: BTreeMap<String, (i64, i64, usize)> = BTreeMap::new();
    for event in request.logs.events(&request.call.region, group, 0)? {
        let (timestamp, bytes) = (event.event.timestamp, event.event.message.len());
        let stream = streams.entry(event.stream).or_insert((timestamp, timestamp, 0));
        *stream = (stream.0, timestamp, stream.2 + bytes);
    }
    let mut streams: Vec<_> = streams.into_iter().filter(|(name, _)| name.starts_with(prefix)).collect();
    if by_time {
        streams.sort_by_key(|(_, (_, last, _))| *last);
    }
    if request.input["descending"] == true {
        streams.reverse();
    }
    let (page, token) = page(request, streams, limit)?;
    let arn = request.group_arn(group);
    let found = page.into_iter().map(|(name, (first, last, bytes))| {
        json!({
            "arn": format!("{arn}:log-stream:{name}"),
            "logStreamName": name,
            "creationTime": first,
            "firstEventTimestamp": first,
            "lastEventTimestamp": last,
            "lastIngestionTime": last,
            "uploadSequenceToken": "0",
            "storedBytes": bytes,
        })
    });
    Ok(with_token(json!({ "logStreams": found.collect::<Vec<_>>() }), token))
}

/// A page of a list, and the token of the next: how many come before it.
fn page<T>(request: &Request<'_>, all: Vec<T>, limit: usize) -> Result<(Vec<T>, Option<String>), Failure> {
    let from = match request.text("nextToken") {
        None => 0,
        Some(token) => token.parse().map_err(|_| Failure::invalid("The specified nextToken is invalid."))?,
    };
    let end = limit.saturating_add(from);
    let token = (all.len() > end).then(|| end.to_string());
    Ok((all.into_iter().skip(from).take(limit).collect(), token))
}

fn with_token(mut answer: Value, token: Option<String>) -> Value {
    if let Some(token) = token {
        answer["nextToken"] = json!(token);
    }
    answer
}
