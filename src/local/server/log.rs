//! The requests a server has seen, for tests that count them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// No more than this many are remembered; the oldest go first.
const LIMIT: usize = 10_000;

/// One request.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) path: String,
    /// Without signatures.
    pub(super) query: String,
    /// The API's operation, where the request names one.
    pub(super) operation: Option<String>,
    /// Absent where the connection was cut instead.
    pub(super) status: Option<u16>,
    /// Bytes of its body that were read.
    pub(super) body_bytes: u64,
}

/// All requests, oldest first.
#[derive(Debug, Default)]
pub(super) struct RequestLog(Mutex<VecDeque<Seen>>);

impl RequestLog {
    pub(super) fn add(&self, seen: Seen) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == LIMIT {
            all.pop_front();
        }
        all.push_back(seen);
    }

    pub(super) fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
