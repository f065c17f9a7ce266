//! A function as the local cloud remembers it, and how its states pass with time.
//!
//! Nothing runs in the background: a transition is stored with its end and the revision the
//! function has from then on, and [`Version::settle`] applies it when somebody looks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::errors::Failure;
use super::images;
use super::retries::EventConfig;
use super::settings::Settings;
use super::target::LATEST;
use super::urls::UrlConfig;
use crate::domain::digest::Digest;
use crate::domain::function::STUCK_AFTER;
use crate::domain::reference::RepositoryName;
use crate::local::call::Call;
use crate::local::store::{StoreError, Transaction};

/// A function with its versions, aliases, policies and tags: one document of the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) latest: Version,
    /// Published ones, oldest first.
    pub(super) versions: Vec<Version>,
    /// The number of the version published last; numbers are never given again.
    pub(super) last_number: u64,
    pub(super) aliases: BTreeMap<String, Alias>,
    /// By qualifier; `$LATEST` stands for none.
    pub(super) policies: BTreeMap<String, ResourcePolicy>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) reserved_concurrency: Option<i64>,
    /// By qualifier, like the policies.
    #[serde(default)]
    pub(super) urls: BTreeMap<String, UrlConfig>,
    /// By qualifier, like the policies.
    #[serde(default)]
    pub(super) event_configs: BTreeMap<String, EventConfig>,
}

/// One version: code, configuration and state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Version {
    /// `$LATEST` or a number.
    pub(super) version: String,
    pub(super) settings: Settings,
    pub(super) code: Code,
    /// In AWS's form, such as `2026-11-22T10:00:00.000+0000`.
    pub(super) last_modified: String,
    pub(super) revision_id: String,
    pub(super) state: Status,
    /// Absent until the version was created.
    pub(super) last_update: Option<Status>,
    pub(super) transition: Option<Transition>,
    /// The description `$LATEST` had when this version was published.
    pub(super) source_description: Option<String>,
}

/// What a version runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Code {
    Image {
        /// As it was given, in the form that outlives the server's port.
        uri: String,
        /// By digest, in the same form.
        resolved_uri: String,
        repository: String,
        digest: Digest,
    },
    Zip {
        /// Base64, as Lambda shows it for archives.
        sha256: String,
        size: u64,
    },
}

impl Code {
    /// The code of an image function.
    pub(super) fn image(
        uri: String,
        resolved_uri: String,
        repository: &RepositoryName,
        digest: Digest,
    ) -> Self {
        Self::Image { uri, resolved_uri, repository: repository.to_string(), digest }
    }

    /// `CodeSha256`: the bare digest of an image's manifest, or Base64 for an archive.
    pub(super) fn sha256(&self) -> String {
        match self {
            Self::Image { digest, .. } => digest.hex(),
            Self::Zip { sha256, .. } => sha256.clone(),
        }
    }
}

/// A `State` or a `LastUpdateStatus` with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Status {
    pub(super) value: String,
    pub(super) reason_code: Option<String>,
    pub(super) reason: Option<String>,
}

impl Status {
    fn plain(value: &str) -> Self {
        Self { value: value.to_owned(), reason_code: None, reason: None }
    }

    /// `Pending` and `InProgress` carry the same reason in AWS.
    fn creating(value: &str) -> Self {
        Self::because(value, "Creating", "The function is being created.")
    }

    /// A status with a reason.
    pub(super) fn because(value: &str, code: &str, reason: &str) -> Self {
        Self { value: value.to_owned(), reason_code: Some(code.to_owned()), reason: Some(reason.to_owned()) }
    }
}

/// How a creation or an update is made to fail: set through `/_lambdactl/outcomes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// Such as `ImageAccessDenied`.
    pub(super) state_reason_code: String,
    #[serde(default)]
    pub(super) reason: String,
}

/// A change of state that comes with time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Transition {
    #[serde(with = "time::serde::rfc3339")]
    pub(super) until: OffsetDateTime,
    pub(super) revision_after: String,
    pub(super) failure: Option<Outcome>,
    /// What stays live if an update fails.
    pub(super) before: Option<Box<(Settings, Code)>>,
    /// Whether the image has to be fetched again, because the function was inactive.
    #[serde(default)]
    pub(super) fetches_again: bool,
}

/// A name for a version, or for two with weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Alias {
    pub(super) version: String,
    pub(super) description: String,
    /// At most one other version.
    pub(super) weights: BTreeMap<String, f64>,
    pub(super) revision_id: String,
}

/// Who may invoke a function, a version or an alias.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct ResourcePolicy {
    pub(super) statements: Vec<Value>,
    pub(super) revision_id: String,
}

/// A new revision id.
pub(super) fn new_revision() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The time of the call in the form of `LastModified`.
pub(super) fn timestamp(call: &Call) -> String {
    let now = call.now.to_offset(time::UtcOffset::UTC);
    format!(
        "{}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}+0000",
        now.year(),
        u8::from(now.month()),
        now.day(),
        now.hour(),
        now.minute(),
        now.second(),
        now.millisecond()
    )
}

impl Version {
    /// A version that is being created.
    pub(super) fn pending(
        call: &Call,
        version: &str,
        settings: Settings,
        code: Code,
        delay: std::time::Duration,
        failure: Option<Outcome>,
    ) -> Self {
        Self {
            version: version.to_owned(),
            settings,
            code,
            last_modified: timestamp(call),
            revision_id: new_revision(),
            state: Status::creating("Pending"),
            last_update: None,
            transition: Some(Transition {
                until: call.now + delay,
                revision_after: new_revision(),
                failure,
                before: None,
                fetches_again: false,
            }),
            source_description: None,
        }
    }

    /// Begins an update; `change` makes the new configuration and code. One without new code
    /// fetches the image of an inactive function again.
    pub(super) fn update(
        &mut self,
        call: &Call,
        failure: Option<Outcome>,
        fetches_again: bool,
        change: impl FnOnce(&mut Settings, &mut Code),
    ) {
        let before = Box::new((self.settings.clone(), self.code.clone()));
        let fetches_again = fetches_again && self.state.value == "Inactive";
        change(&mut self.settings, &mut self.code);
        self.last_modified = timestamp(call);
        self.revision_id = new_revision();
        self.last_update = Some(Status::creating("InProgress"));
        self.transition = Some(Transition {
            until: call.now + call.delays.update,
            revision_after: new_revision(),
            failure,
            before: Some(before),
            fetches_again,
        });
    }

    /// Applies a transition whose time has come. An image that is fetched again may be gone, or
    /// not to be read any more; the function is inactive for that reason then.
    pub(super) fn settle(&mut self, now: OffsetDateTime, obstacle: Option<Outcome>) {
        let Some(transition) = self.transition.take_if(|transition| transition.until <= now) else { return };
        self.revision_id = transition.revision_after;
        if let Some(outcome) = obstacle {
            let Outcome { state_reason_code: code, reason } = &outcome;
            self.state = Status::because("Inactive", code, reason);
            if let Some(before) = transition.before {
                (self.settings, self.code) = *before;
                self.last_update = Some(Status::because("Failed", code, reason));
            }
            return;
        }
        let failed =
            |outcome: &Outcome| Status::because("Failed", &outcome.state_reason_code, &outcome.reason);
        match (transition.failure, transition.before) {
            (None, _) => {
                self.state = Status::plain("Active");
                self.last_update = Some(Status::plain("Successful"));
            }
            (Some(outcome), None) => self.state = failed(&outcome),
            (Some(outcome), Some(before)) => {
                (self.settings, self.code) = *before;
                self.last_update = Some(failed(&outcome));
            }
        }
    }

    /// What invocations run at this moment: while an update is in progress, what was there before.
    pub(super) fn live(&self) -> (&Settings, &Code) {
        let before = self.transition.as_ref().and_then(|transition| transition.before.as_deref());
        before.map_or((&self.settings, &self.code), |(settings, code)| (settings, code))
    }

    /// Wakes a function that was idle: it is `Pending` for as long as a new one.
    pub(super) fn wake(&mut self, call: &Call) {
        self.state = Status::creating("Pending");
        self.transition = Some(Transition {
            until: call.now + call.delays.create,
            revision_after: new_revision(),
            failure: None,
            before: None,
            fetches_again: true,
        });
    }

    /// Puts an idle function to sleep, as Lambda does after some weeks without invocations.
    pub(super) fn fall_idle(&mut self) {
        self.state = Status::because("Inactive", "Idle", "The function is idle.");
        self.revision_id = new_revision();
    }

    /// Makes the function inactive for another reason: what Lambda shows where an image it has
    /// used for long is gone or not to be read any more.
    pub(super) fn go_bad(&mut self, outcome: &Outcome) {
        self.state = Status::because("Inactive", &outcome.state_reason_code, &outcome.reason);
        self.revision_id = new_revision();
    }

    /// Leaves the function Pending for longer than Lambda should ever take.
    pub(super) fn get_stuck(&mut self, call: &Call) {
        let long_ago = Call { now: call.now - STUCK_AFTER - time::Duration::MINUTE, ..call.clone() };
        self.last_modified = timestamp(&long_ago);
        self.revision_id = new_revision();
        self.state = Status::creating("Pending");
        self.last_update = None;
        self.transition = None;
    }

    /// An update of a function that is stuck is refused, and moves it to Failed.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html>
    pub(super) fn end_stuck(&mut self) -> bool {
        let stuck = self.state.value == "Pending" && self.transition.is_none();
        if stuck {
            self.state =
                Status::because("Failed", "InternalError", "The function could not be created in time.");
            self.revision_id = new_revision();
        }
        stuck
    }

    /// Refuses a change while the version is changing, or where its creation failed. One that was
    /// active before takes a new image.
    ///
    /// <https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>
    pub(super) fn check_settled(&self, arn: &str) -> Result<(), Failure> {
        const PREFIX: &str = "The operation cannot be performed at this time.";
        let state = self.state.value.as_str();
        if state == "Pending" || (state == "Failed" && self.last_update.is_none()) {
            return Err(Failure::conflict(format!(
                "{PREFIX} The function is currently in the following state: {state}"
            )));
        }
        if self.last_update.as_ref().is_some_and(|update| update.value == "InProgress") {
            return Err(Failure::conflict(format!("{PREFIX} An update is in progress for resource: {arn}")));
        }
        Ok(())
    }

    /// Refuses a change that is based on an older revision.
    pub(super) fn check_revision(&self, expected: Option<&str>) -> Result<(), Failure> {
        match expected {
            Some(expected) if expected != self.revision_id => {
                Err(Failure::stale_revision("GetFunction/GetAlias"))
            }
            _ => Ok(()),
        }
    }
}

impl Function {
    /// Reads a function, with the time that passed taken into account.
    pub(super) fn read(tx: &Transaction<'_>, call: &Call, name: &str) -> Result<Option<Self>, StoreError> {
        let mut function: Option<Self> = tx.read(&key(&call.region, name))?;
        if let Some(function) = &mut function {
            function.settle(tx, &call.region, call.now)?;
        }
        Ok(function)
    }

    /// Reads all functions of the call's region, by name.
    pub(super) fn all(
        tx: &Transaction<'_>,
        region: &str,
        now: OffsetDateTime,
    ) -> Result<Vec<Self>, StoreError> {
        let mut functions = Vec::new();
        for name in tx.list(&format!("{region}/lambda/functions"))? {
            let Some(mut function) = tx.read::<Self>(&key(region, &name))? else { continue };
            function.settle(tx, region, now)?;
            functions.push(function);
        }
        Ok(functions)
    }

    /// Writes the function.
    pub(super) fn write(&self, tx: &Transaction<'_>, call: &Call) -> Result<(), StoreError> {
        tx.write(&key(&call.region, &self.name), self)
    }

    /// Removes the function with everything it has.
    pub(super) fn delete(&self, tx: &Transaction<'_>, call: &Call) -> Result<(), StoreError> {
        tx.delete(&key(&call.region, &self.name))
    }

    fn settle(&mut self, tx: &Transaction<'_>, region: &str, now: OffsetDateTime) -> Result<(), StoreError> {
        let again = |version: &Version| version.transition.as_ref().is_some_and(|it| it.fetches_again);
        let versions = std::iter::once(&mut self.latest).chain(&mut self.versions);
        for version in versions {
            let obstacle = match again(version) {
                true => images::obstacle(tx, region, &self.name, &version.code)?,
                false => None,
            };
            version.settle(now, obstacle);
        }
        Ok(())
    }

    /// `$LATEST` or a published version.
    pub(super) fn version(&self, version: &str) -> Option<&Version> {
        match version {
            LATEST => Some(&self.latest),
            number => self.versions.iter().find(|version| version.version == number),
        }
    }

    /// What a qualifier stands for: a version, or the version an alias points to.
    pub(super) fn resolve(&self, qualifier: Option<&str>) -> Option<&Version> {
        let qualifier = qualifier.unwrap_or(LATEST);
        match self.aliases.get(qualifier) {
            Some(alias) => self.version(&alias.version),
            None => self.version(qualifier),
        }
    }

    /// As [`Function::resolve`], where `dice` (from 0 to 1) decides between the two versions a
    /// weighted alias points to.
    pub(super) fn route(&self, qualifier: Option<&str>, dice: f64) -> Option<&Version> {
        let alias = qualifier.and_then(|qualifier| self.aliases.get(qualifier));
        let other = alias.and_then(|alias| alias.weights.iter().next());
        match other {
            Some((version, weight)) if dice < *weight => self.version(version),
            _ => self.resolve(qualifier),
        }
    }

    /// Publishes `$LATEST`, unless the version published last is the same.
    ///
    /// Returns the version's place. A new version changes the revision of `$LATEST` too.
    pub(super) fn publish(&mut self, make: impl FnOnce(&Version, String) -> Version) -> usize {
        let same = self.versions.last().is_some_and(|last| {
            let mut settings = last.settings.clone();
            if let Some(description) = &last.source_description {
                settings.description.clone_from(description);
            }
            settings == self.latest.settings && last.code.sha256() == self.latest.code.sha256()
        });
        if !same {
            self.last_number += 1;
            let mut version = make(&self.latest, self.last_number.to_string());
            version.source_description = Some(self.latest.settings.description.clone());
            self.versions.push(version);
        }
        self.versions.len() - 1
    }
}

fn key(region: &str, name: &str) -> String {
    format!("{region}/lambda/functions/{name}")
}

/// The document that says how the next creation or update of a function ends.
pub(super) fn outcome_key(region: &str, name: &str) -> String {
    format!("{region}/lambda/outcomes/{name}")
}

/// Takes the outcome that is set for the next change of a function, if there is one.
pub(super) fn take_outcome(
    tx: &Transaction<'_>,
    call: &Call,
    name: &str,
) -> Result<Option<Outcome>, StoreError> {
    let key = outcome_key(&call.region, name);
    let outcome = tx.read(&key)?;
    if outcome.is_some() {
        tx.delete(&key)?;
    }
    Ok(outcome)
}
