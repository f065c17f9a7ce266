//! A Lambda function as the service describes it, and when it is ready.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::digest::Digest;
use super::platform::Architecture;
use super::secret::Secret;

/// Declares an enumeration that AWS may extend: known values, and `Other` for the rest.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A value this program does not know yet, as AWS wrote it.
            Other(String),
        }

        impl $name {
            /// The value in AWS's own spelling.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl FromStr for $name {
            type Err = Infallible;

            fn from_str(text: &str) -> Result<Self, Infallible> {
                Ok(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

open_enum! {
    /// How a function's code is packaged. No API changes it after creation.
    PackageType {
        /// A .zip archive.
        Zip = "Zip",
        /// A container image.
        Image = "Image",
    }
}

open_enum! {
    /// The `State` of a function.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>
    FunctionState {
        /// Being created, or being re-created after it was inactive.
        Pending = "Pending",
        /// Can be invoked.
        Active = "Active",
        /// Not used for weeks; the next invocation or update re-activates it.
        Inactive = "Inactive",
        /// Creation failed.
        Failed = "Failed",
        /// Managed instances are being taken away.
        Deactivating = "Deactivating",
        /// Has no managed instances.
        Deactivated = "Deactivated",
        /// Settled, but cannot be invoked unqualified.
        ActiveNonInvocable = "ActiveNonInvocable",
        /// Being deleted.
        Deleting = "Deleting",
    }
}

open_enum! {
    /// The `LastUpdateStatus` of a function; absent until it was created.
    LastUpdateStatus {
        /// The last update is live.
        Successful = "Successful",
        /// The last update failed; the code before it stays live.
        Failed = "Failed",
        /// An update is being made live; invocations still reach the old code.
        InProgress = "InProgress",
    }
}

/// Tells whether a function has settled; the one place that decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// Settled well: what was last deployed is live, or comes live with the next invocation.
    Ready,
    /// Still changing: update calls would be answered with a conflict.
    InProgress,
    /// Settled in failure; only another change helps.
    Failed,
}

impl Readiness {
    /// Judges the two status members of a function.
    ///
    /// `LastUpdateStatus` is absent while a function is created, and `State` is absent from
    /// functions older than the member. `Inactive` is settled: AWS's own waiters run into
    /// their time-out there. States that are not known yet are taken for transitions, so that
    /// the caller's deadline decides.
    pub fn of(state: Option<&FunctionState>, last_update_status: Option<&LastUpdateStatus>) -> Self {
        use FunctionState as State;
        use LastUpdateStatus as Update;
        match (state, last_update_status) {
            (Some(State::Failed | State::Deleting), _) => Self::Failed,
            (Some(State::Pending | State::Deactivating | State::Other(_)), _) => Self::InProgress,
            (_, Some(Update::Failed)) => Self::Failed,
            (_, Some(Update::InProgress | Update::Other(_))) => Self::InProgress,
            (_, Some(Update::Successful) | None) => Self::Ready,
        }
    }
}

/// The name part of a function: 1 to 64 letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionName(String);

/// Says that a text is not a function name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a function name: expected 1 to 64 letters, digits, `-` and `_`")]
pub struct InvalidFunctionName(pub String);

impl FunctionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FunctionName {
    type Err = InvalidFunctionName;

    fn from_str(text: &str) -> Result<Self, InvalidFunctionName> {
        let valid = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidFunctionName(text.to_owned())) }
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Overrides of the image's own start settings (`ImageConfig`). Empty means: the image's own.
///
/// AWS replaces the whole structure at each update, so it is always sent complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageOverrides {
    /// Instead of the image's ENTRYPOINT.
    pub entry_point: Vec<String>,
    /// Instead of the image's CMD.
    pub command: Vec<String>,
    /// Instead of the image's WORKDIR.
    pub working_directory: Option<String>,
}

impl ImageOverrides {
    /// Tells whether nothing is overridden.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One status of a function at one moment, as `watch` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionStatus {
    /// `State`.
    pub state: Option<FunctionState>,
    /// `StateReason`.
    pub state_reason: Option<String>,
    /// `StateReasonCode`; the set of codes is open.
    pub state_reason_code: Option<String>,
    /// `LastUpdateStatus`.
    pub last_update_status: Option<LastUpdateStatus>,
    /// `LastUpdateStatusReason`.
    pub last_update_status_reason: Option<String>,
    /// `LastUpdateStatusReasonCode`; the set of codes is open.
    pub last_update_status_reason_code: Option<String>,
}

impl FunctionStatus {
    /// Judges the status.
    pub fn readiness(&self) -> Readiness {
        match Readiness::of(self.state.as_ref(), self.last_update_status.as_ref()) {
            Readiness::Ready if self.went_bad() => Readiness::Failed,
            other => other,
        }
    }

    /// Tells whether the function is inactive for another reason than that nobody used it.
    pub fn went_bad(&self) -> bool {
        self.state == Some(FunctionState::Inactive)
            && self.state_reason_code.as_deref().is_some_and(|code| code != "Idle" && code != "Restoring")
    }

    /// Tells whether the function only sleeps: the first invocation would fail and wake it.
    pub fn is_asleep(&self) -> bool {
        self.state == Some(FunctionState::Inactive)
            && !self.went_bad()
            && self.readiness() == Readiness::Ready
    }

    /// Tells whether the creation of the function failed. `LastUpdateStatus` is "first set to
    /// `Successful` after function creation completes".
    /// <https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html>
    pub fn never_was_active(&self) -> bool {
        self.state == Some(FunctionState::Failed) && self.last_update_status.is_none()
    }

    /// The reason code and reason that explain the present readiness.
    pub fn reason(&self) -> (Option<&str>, Option<&str>) {
        let of_state = (self.state_reason_code.as_deref(), self.state_reason.as_deref());
        let of_update =
            (self.last_update_status_reason_code.as_deref(), self.last_update_status_reason.as_deref());
        let state_speaks = matches!(
            self.state,
            Some(FunctionState::Failed | FunctionState::Pending | FunctionState::Deleting)
        ) || (self.went_bad()
            && self.last_update_status != Some(LastUpdateStatus::Failed));
        let (first, second) = if state_speaks { (of_state, of_update) } else { (of_update, of_state) };
        if first == (None, None) { second } else { first }
    }
}

/// A function as `GetFunction` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// The name part.
    pub name: FunctionName,
    /// The unqualified ARN.
    pub arn: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// Zip or image; absent in old answers means Zip.
    pub package_type: PackageType,
    /// What it runs on.
    pub architecture: Option<Architecture>,
    /// ARN of the execution role.
    pub role: String,
    /// Free text; empty where none is set.
    pub description: String,
    /// Megabytes.
    pub memory_size: u32,
    /// Seconds.
    pub timeout: u32,
    /// Size of `/tmp` in megabytes.
    pub ephemeral_storage: u32,
    /// Environment variables; the values are secrets.
    pub environment: BTreeMap<String, Secret>,
    /// Overrides of the image's start settings.
    pub image_config: ImageOverrides,
    /// Whether its versions start from a snapshot (`SnapStart`).
    pub snap_start: bool,
    /// ARNs of the file systems it mounts (`FileSystemConfigs`).
    pub file_systems: Vec<String>,
    /// Where it is between creation and readiness.
    pub status: FunctionStatus,
    /// For an image function: the digest of the manifest Lambda resolved.
    pub image_digest: Option<Digest>,
    /// The image URI as it was given.
    pub image_uri: Option<String>,
    /// `REPOSITORY@DIGEST` as Lambda resolved it.
    pub resolved_image_uri: Option<String>,
    /// Changes at every transition; guards against overwriting somebody else's change.
    pub revision_id: Option<String>,
    /// Tags, where the caller may list them.
    pub tags: Option<BTreeMap<String, String>>,
    /// Time of the last change, in AWS's ISO 8601 form.
    pub last_modified: Option<String>,
}

/// How long a function may be `Pending` before it counts as stuck.
/// <https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html>
pub const STUCK_AFTER: Duration = Duration::from_secs(6 * 60);

impl Function {
    /// Tells whether the creation of the function goes on for longer than it should. Its last
    /// change tells nothing of a function that was active before.
    pub fn is_stuck(&self, now: SystemTime) -> bool {
        let pending = self.status.state == Some(FunctionState::Pending);
        let for_long = || now.duration_since(self.last_modified_at()?).ok().filter(|it| *it > STUCK_AFTER);
        pending && self.status.last_update_status.is_none() && for_long().is_some()
    }

    /// The time of the last change; `None` where it is not told in a form that is known.
    ///
    /// Recorded: `2026-11-22T10:00:00.000+0000`, whose offset RFC 3339 would write `+00:00`.
    pub fn last_modified_at(&self) -> Option<SystemTime> {
        let text = self.last_modified.as_deref()?;
        let (time, offset) = text.split_at_checked(text.len().checked_sub(5)?)?;
        let text = if offset.is_ascii() && offset.starts_with(['+', '-']) {
            format!("{time}{}:{}", &offset[..3], &offset[3..])
        } else {
            text.to_owned()
        };
        OffsetDateTime::parse(&text, &Rfc3339).ok().map(SystemTime::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_covers_every_pair_of_states() {
        use Readiness::{Failed, InProgress, Ready};
        let cases = [
            (None, None, Ready),
            (Some("Pending"), None, InProgress),
            (Some("Active"), None, Ready),
            (Some("Active"), Some("Successful"), Ready),
            (Some("Active"), Some("InProgress"), InProgress),
            (Some("Active"), Some("Failed"), Failed),
            (Some("Inactive"), Some("Successful"), Ready),
            (Some("Inactive"), Some("Failed"), Failed),
            (Some("Inactive"), Some("InProgress"), InProgress),
            (Some("Pending"), Some("Successful"), InProgress),
            (Some("Failed"), None, Failed),
            (Some("Failed"), Some("InProgress"), Failed),
            (Some("ActiveNonInvocable"), None, Ready),
            (Some("Deactivated"), Some("Successful"), Ready),
            (Some("Deleting"), None, Failed),
            (Some("Rehydrating"), Some("Successful"), InProgress),
            (Some("Active"), Some("Pondering"), InProgress),
        ];
        for (state, update, expected) in cases {
            let readiness = Readiness::of(
                state.map(FunctionState::from).as_ref(),
                update.map(LastUpdateStatus::from).as_ref(),
            );
            assert_eq!(readiness, expected, "{state:?} {update:?}");
        }
    }

    #[test]
    fn an_inactive_function_is_asleep_or_broken_depending_on_its_reason() {
        let status = |code: Option<&str>, update: Option<&str>| FunctionStatus {
            state: Some(FunctionState::Inactive),
            state_reason_code: code.map(str::to_owned),
            last_update_status: update.map(Into::into),
            ..FunctionStatus::default()
        };
        for code in [None, Some("Idle")] {
            let idle = status(code, Some("Successful"));
            assert!(idle.is_asleep() && idle.readiness() == Readiness::Ready, "{code:?}");
        }
        let gone = status(Some("ImageDeleted"), Some("Successful"));
        assert!(!gone.is_asleep() && gone.readiness() == Readiness::Failed);
        assert_eq!(gone.reason().0, Some("ImageDeleted"));
        assert!(!status(Some("Idle"), Some("Failed")).is_asleep());
    }

    #[test]
    fn only_a_function_whose_creation_failed_never_was_active() {
        let status = |state: &str, update: Option<&str>| FunctionStatus {
            state: Some(state.into()),
            last_update_status: update.map(Into::into),
            ..FunctionStatus::default()
        };
        assert!(status("Failed", None).never_was_active());
        for (state, update) in
            [("Failed", Some("Successful")), ("Failed", Some("Failed")), ("Pending", None), ("Active", None)]
        {
            assert!(!status(state, update).never_was_active(), "{state} {update:?}");
        }
    }

    #[test]
    fn unknown_values_are_kept_as_they_are() {
        let state = FunctionState::from("Rehydrating");
        assert_eq!(state, FunctionState::Other("Rehydrating".to_owned()));
        assert_eq!(state.to_string(), "Rehydrating");
    }

    #[test]
    fn function_names_are_checked() {
        assert!("My_fn-1".parse::<FunctionName>().is_ok());
        for bad in ["", "a b", "a.b", "a:1", &"x".repeat(65)] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad}");
        }
    }
}
