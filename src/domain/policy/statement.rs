//! One statement of a policy: whom it is about, which actions, on what.

use serde_json::Value;

use super::condition::{self, Context};

/// A judgement that may not be possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    Yes,
    No,
    /// It depends on something this program does not know.
    Unknown,
}

impl Match {
    pub(super) fn from_bool(value: bool) -> Self {
        if value { Self::Yes } else { Self::No }
    }

    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }

    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::No, Self::No) => Self::No,
            _ => Self::Unknown,
        }
    }

    pub(super) fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Principal<'a> {
    /// A service, such as `lambda.amazonaws.com`.
    Service(&'a str),
    /// Any principal of an account that its own policies allow to.
    Account(&'a str),
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) principal: Principal<'a>,
    pub(super) action: &'a str,
    pub(super) resource: Option<&'a str>,
    pub(super) context: Context<'a>,
}

/// Tells whether a statement, whatever its effect, is about the request.
pub(super) fn applies(statement: &Value, request: &Request<'_>) -> Match {
    principals(statement, request.principal)
        .and(actions(statement, request.action))
        .and(resources(statement, request.resource))
        .and(condition::holds(statement.get("Condition"), &request.context))
}

pub(super) fn is_effect(statement: &Value, effect: &str) -> bool {
    statement.get("Effect").and_then(Value::as_str) == Some(effect)
}

/// How a statement is called in explanations.
pub(super) fn name(statement: &Value, index: usize) -> String {
    match statement.get("Sid").and_then(Value::as_str).filter(|sid| !sid.is_empty()) {
        Some(sid) => format!("statement `{sid}`"),
        None => format!("statement number {}", index + 1),
    }
}

/// A member that is a text or a list of texts.
pub(super) fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::String(text) => vec![text],
        _ => Vec::new(),
    }
}

fn principals(statement: &Value, principal: Principal<'_>) -> Match {
    if let Some(named) = statement.get("Principal") {
        return is_named(named, principal);
    }
    if let Some(excluded) = statement.get("NotPrincipal") {
        return is_named(excluded, principal).not();
    }
    Match::No
}

fn is_named(named: &Value, principal: Principal<'_>) -> Match {
    if let Some(text) = named.as_str() {
        return Match::from_bool(text == "*");
    }
    let list = |key: &str| named.get(key).map(words).unwrap_or_default();
    // `{"AWS": "*"}` is everyone, as `"*"` is; whether a service counts is not documented well
    // enough to rely on, so it is no certainty for one.
    let everyone = list("AWS").contains(&"*");
    match principal {
        Principal::Service(service) if list("Service").contains(&service) => Match::Yes,
        Principal::Service(_) if everyone => Match::Unknown,
        Principal::Service(_) => Match::No,
        Principal::Account(_) if everyone => Match::Yes,
        Principal::Account(account) => list("AWS")
            .into_iter()
            .map(|text| {
                if text == account || is_account_root(text, account) {
                    Match::Yes
                } else if text.contains(&format!("::{account}:")) {
                    // One role or user of the account: perhaps the one that deploys.
                    Match::Unknown
                } else {
                    Match::No
                }
            })
            .fold(Match::No, Match::or),
    }
}

fn is_account_root(text: &str, account: &str) -> bool {
    text.ends_with(&format!(":iam::{account}:root")) && text.starts_with("arn:")
}

fn actions(statement: &Value, action: &str) -> Match {
    let is_listed =
        |list: &Value| words(list).into_iter().any(|pattern| condition::is_like(pattern, action, false));
    if let Some(list) = statement.get("Action") {
        return Match::from_bool(is_listed(list));
    }
    match statement.get("NotAction") {
        Some(list) => Match::from_bool(!is_listed(list)),
        None => Match::No,
    }
}

/// Policies of repositories rarely name resources; the repository itself is meant then.
fn resources(statement: &Value, resource: Option<&str>) -> Match {
    let is_listed = |list: &Value| {
        let patterns = words(list);
        match resource {
            _ if patterns.contains(&"*") => Match::Yes,
            Some(arn) => {
                Match::from_bool(patterns.iter().any(|pattern| condition::is_like(pattern, arn, true)))
            }
            None => Match::Unknown,
        }
    };
    match (statement.get("Resource"), statement.get("NotResource")) {
        (Some(list), _) => is_listed(list),
        (None, Some(list)) => is_listed(list).not(),
        (None, None) => Match::Yes,
    }
}
