//! How work reports what it does, without knowing how that is shown.
//!
//! Services, images and the pipeline send [`Event`]s to a [`Reporter`]; `output` draws them for
//! a terminal, as plain lines, or as JSON. Work never prints.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::digest::Digest;
use crate::domain::finding::Finding;
use crate::domain::function::FunctionStatus;
use crate::domain::plan::{PlannedStep, Step};
use crate::domain::transfer::TransferPlan;

/// Something that happened and that somebody may want to see.
#[derive(Clone, Debug)]
pub enum Event {
    /// The steps this command takes, in order; sent once, before the first of them.
    Steps(Vec<Step>),
    /// A step begins on `subject` (a name, path or URI).
    StepStarted {
        /// Which step.
        step: Step,
        /// What it works on.
        subject: String,
    },
    /// A step is done.
    StepFinished {
        /// Which step.
        step: Step,
        /// What came of it, in a few words: `created`, `unchanged`, `sha256:…, 3 layers`.
        outcome: String,
        /// How long it took.
        elapsed: Duration,
    },
    /// What the plan came to; sent before the first write that anybody sees.
    Planned(Vec<PlannedStep>),
    /// One line a builder printed, without its line break, as it printed it.
    BuildOutput(String),
    /// One line a function printed that is started to see whether it can be.
    FunctionOutput(String),
    /// Which way each layer of the image takes; sent before the first byte of them moves, and
    /// again when more is known.
    TransferPlanned(TransferPlan),
    /// A transfer of layers begins; some of them may have been sent already.
    TransferStarted {
        /// Layers that are moved, from beginning to end of the push.
        layers: usize,
        /// Bytes that are moved, where known.
        bytes: Option<u64>,
    },
    /// Work on one blob begins.
    BlobStarted {
        /// Which blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// Bytes of it that were sent while it was being made and had no digest.
        sent: u64,
    },
    /// Bytes of a blob were sent.
    BlobProgress {
        /// Which blob.
        digest: Digest,
        /// Bytes sent so far in this attempt.
        sent: u64,
    },
    /// A blob is where it belongs.
    BlobFinished {
        /// Which blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// Whether it was there already.
        reused: bool,
    },
    /// Uncompressed bytes were read, hashed or compressed while an image is made ready.
    ImageProgress {
        /// What is being done: `exporting`, `compressing`, `reading`, `checking`.
        activity: &'static str,
        /// Bytes so far.
        bytes: u64,
        /// Bytes expected, where known.
        total: Option<u64>,
    },
    /// Something failed in a way that may pass; it is tried again.
    Retrying {
        /// What is repeated.
        what: String,
        /// Which attempt failed, from 1.
        attempt: usize,
        /// How long to wait before the next.
        after: Duration,
        /// Why it failed.
        because: String,
    },
    /// A function showed a status other than the one before.
    FunctionStatus {
        /// Name or ARN.
        function: String,
        /// What it showed.
        status: FunctionStatus,
        /// Time since the wait began.
        elapsed: Duration,
    },
    /// Something the user should know, that stops nothing.
    Warning {
        /// What.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A rule that the image breaks.
    Finding(Box<Finding>),
    /// A remark for those who asked for details (`-v`).
    Detail(String),
}

/// Takes events; called from several tasks at once.
pub trait Reporter: Send + Sync {
    /// Takes one event. Must not block for long.
    fn report(&self, event: Event);

    /// Takes one event of one function among many that are deployed at the same time.
    fn report_of(&self, _function: &str, event: Event) {
        self.report(event);
    }
}

/// A reporter that many tasks share.
pub type SharedReporter = Arc<dyn Reporter>;

/// Says of every event which of many functions it belongs to.
pub struct OneOfMany {
    function: String,
    reporter: SharedReporter,
}

impl OneOfMany {
    /// The reporter for the work on `function`.
    pub fn new(function: impl Into<String>, reporter: SharedReporter) -> Self {
        Self { function: function.into(), reporter }
    }
}

impl fmt::Debug for OneOfMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneOfMany").field("function", &self.function).finish_non_exhaustive()
    }
}

impl Reporter for OneOfMany {
    fn report(&self, event: Event) {
        self.reporter.report_of(&self.function, event);
    }
}

/// Discards every event.
#[derive(Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _event: Event) {}
}
