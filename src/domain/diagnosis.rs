//! What `doctor` finds: one line a thing that a deployment needs.

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    /// As it should be.
    Good,
    /// A deployment may do without, or mends it by itself.
    Warning,
    /// A deployment would fail.
    Error,
    /// It could not be looked at, because something else is missing.
    Skipped,
}

impl Finding {
    /// The word for it, in JSON and in text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What was looked at; the name is a promise to scripts.
    pub check: &'static str,
    /// How it is.
    pub finding: Finding,
    /// What was found.
    pub message: String,
    /// What mends it.
    pub hint: Option<String>,
}

impl Diagnosis {
    fn new(check: &'static str, finding: Finding, message: impl Into<String>, hint: Option<String>) -> Self {
        Self { check, finding, message: message.into(), hint }
    }

    /// All is well.
    pub fn good(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Finding::Good, message, None)
    }

    /// Something to know.
    pub fn warning(check: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(check, Finding::Warning, message, Some(hint.into()))
    }

    /// Something to mend, where it is known how.
    pub fn error(check: &'static str, message: impl Into<String>, hint: Option<String>) -> Self {
        Self::new(check, Finding::Error, message, hint)
    }

    /// It could not be looked at.
    pub fn skipped(check: &'static str, why: impl Into<String>) -> Self {
        Self::new(check, Finding::Skipped, why, None)
    }
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// As they should be.
    pub good: usize,
    /// Warnings.
    pub warnings: usize,
    /// Errors.
    pub errors: usize,
    /// Not looked at.
    pub skipped: usize,
}

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, finding: Finding) {
        match finding {
            Finding::Good => self.good += 1,
            Finding::Warning => self.warnings += 1,
            Finding::Error => self.errors += 1,
            Finding::Skipped => self.skipped += 1,
        }
    }
}
