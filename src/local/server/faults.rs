//! Faults a test asks a server for: refusals, delays, and connections that break.
//!
//! `POST /_lambdactl/faults` takes a list, instead of the one before, such as
//! `[{"match": {"method": "PATCH", "path_prefix": "/v2/hello/"}, "times": 2, "action": "cut"}]`.
//! Each request is matched against the list in order; the first fault that matches and has times
//! left happens. `skip` lets that many matching requests pass first. Actions:
//! - `{"status": 500, "body": "…", "headers": {"Retry-After": "1"}}`: this answer, once the
//!   request has been read;
//! - `"cut"` or `{"cut_after": 1000}`: the connection breaks in the middle of the request's
//!   body, else of the answer's, after half of it or after that many bytes;
//! - `{"delay_ms": 200}`: the request is handled that much later.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::Method;
use serde::{Deserialize, Serialize};

/// Which requests a fault happens to. What is absent matches everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Matcher {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    path_prefix: Option<String>,
    #[serde(default)]
    path_contains: Option<String>,
    #[serde(default)]
    operation: Option<String>,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Action {
    /// The connection breaks halfway.
    Cut(Cut),
    /// The connection breaks after that many bytes.
    CutAfter { cut_after: u64 },
    /// This answer.
    Answer {
        status: u16,
        #[serde(default)]
        body: String,
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// The request waits.
    Delay { delay_ms: u64 },
}

/// The word `cut`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Cut {
    #[serde(rename = "cut")]
    Cut,
}

/// One fault and how often it still happens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    #[serde(rename = "match", default)]
    matcher: Matcher,
    #[serde(default = "once")]
    times: u64,
    #[serde(default)]
    skip: u64,
    action: Action,
}

fn once() -> u64 {
    1
}

impl Matcher {
    fn matches(&self, method: &Method, path: &str, operation: Option<&str>) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()))
            && self.path_prefix.as_deref().is_none_or(|prefix| path.starts_with(prefix))
            && self.path_contains.as_deref().is_none_or(|part| path.contains(part))
            && (self.operation.is_none() || self.operation.as_deref() == operation)
    }
}

/// The faults a server has been asked for.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(super) fn set(&self, faults: Vec<Fault>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// What is left.
    pub(super) fn all(&self) -> Vec<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What happens to this request, counted.
    pub(super) fn next(&self, method: &Method, path: &str, operation: Option<&str>) -> Option<Action> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for fault in faults.iter_mut().filter(|fault| fault.matcher.matches(method, path, operation)) {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.times > 0 {
                fault.times -= 1;
                let action = fault.action.clone();
                faults.retain(|fault| fault.times > 0);
                return Some(action);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_happen_as_often_as_asked_and_to_what_they_match() {
        let faults = Faults::default();
        let list = r#"[
            {"match": {"method": "PATCH", "path_prefix": "/v2/a/"}, "skip": 1, "times": 2, "action": "cut"},
            {"match": {"operation": "CreateRepository"}, "action": {"status": 400, "body": "b"}},
            {"match": {"method": "GET"}, "action": {"delay_ms": 5}},
            {"match": {"method": "HEAD"}, "action": {"cut_after": 7}}
        ]"#;
        faults.set(serde_json::from_str(list).unwrap());
        let patch = || faults.next(&Method::PATCH, "/v2/a/blobs/uploads/1", None);
        assert_eq!(patch(), None);
        assert_eq!(patch(), Some(Action::Cut(Cut::Cut)));
        assert_eq!(faults.next(&Method::PATCH, "/v2/b/blobs/uploads/1", None), None);
        assert_eq!(patch(), Some(Action::Cut(Cut::Cut)));
        assert_eq!(patch(), None);
        assert_eq!(faults.next(&Method::POST, "/", Some("PutImage")), None);
        let answer = faults.next(&Method::POST, "/", Some("CreateRepository"));
        assert!(matches!(answer, Some(Action::Answer { status: 400, .. })));
        assert_eq!(faults.next(&Method::GET, "/", None), Some(Action::Delay { delay_ms: 5 }));
        assert_eq!(faults.next(&Method::HEAD, "/", None), Some(Action::CutAfter { cut_after: 7 }));
        assert!(faults.all().is_empty());
    }
}
