//! What has been written so far, so that an interruption can say what has been done.

use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::plan::Step;

/// One write that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Which step.
    pub step: Step,
    /// On what: a name, ARN or URI.
    pub subject: String,
    /// What came of it: `created`, `updated`.
    pub outcome: String,
}

/// How far the pipeline has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What was written, in order.
    pub written: Vec<Written>,
    /// The step that runs, on which subject. Its write may or may not have reached AWS.
    pub current: Option<(Step, String)>,
}

/// The record a [`super::Cloud`] and its clones share.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<Mutex<Progress>>);

impl Ledger {
    pub(super) fn begin(&self, step: Step, subject: &str) {
        self.with(|progress| progress.current = Some((step, subject.to_owned())));
    }

    pub(super) fn end(&self) {
        self.with(|progress| progress.current = None);
    }

    pub(super) fn wrote(&self, step: Step, subject: &str, outcome: &str) {
        let written = Written { step, subject: subject.to_owned(), outcome: outcome.to_owned() };
        self.with(|progress| progress.written.push(written));
    }

    pub(super) fn snapshot(&self) -> Progress {
        self.with(|progress| progress.clone())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Progress) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
