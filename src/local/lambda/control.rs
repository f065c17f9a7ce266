//! What may be asked of the local cloud that AWS does not offer: a change that fails after it was
//! accepted, and a function in a state that Lambda only shows after weeks, or by accident.
//!
//! `local fail` and `local idle` ask with [`apply`], whether a server runs or not. Clients of a
//! running server can `POST /_lambdactl/outcomes` `{"function", "region"?}` with one of
//! - `"state_reason_code"` and `"reason"`: how the next creation or update of the function ends;
//! - the same and `"now": true`: the function shows it from now on, `Inactive` for that reason, or
//!   stuck in `Pending` where the code is `Creating` or `Restoring`;
//! - `"state_reason_code": null`: forgets that;
//! - `"idle": true`: the function is `Inactive` from now on.

use serde::Deserialize;

use super::errors::Failure;
use super::function::{Function, Outcome, outcome_key};
use super::reply::Reply;
use super::request::Request;
use crate::domain::function::FunctionName;
use crate::domain::reason;
use crate::local::call::Call;
use crate::local::store::StoreError;

/// What a function is to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The next creation or update ends in this failure.
    NextChangeFails {
        /// Such as `ImageAccessDenied`.
        code: String,
        /// In Lambda's words; a usual text where `None`.
        reason: Option<String>,
    },
    /// It shows this reason at once.
    Now {
        /// Such as `ImageDeleted`.
        code: String,
        /// In Lambda's words; a usual text where `None`.
        reason: Option<String>,
    },
    /// It was not used for weeks.
    Idle,
    /// Changes end well again.
    Forget,
}

/// Says why a wish cannot be met.
#[derive(Debug, thiserror::Error)]
pub enum WishError {
    /// There is no such function.
    #[error("function `{function}` does not exist in region `{region}`")]
    NoFunction {
        /// Its name.
        function: FunctionName,
        /// Where it was looked for.
        region: String,
    },
    /// The function is on its way to another state.
    #[error("function `{function}` cannot be changed now: {why}")]
    NotNow {
        /// Its name.
        function: FunctionName,
        /// What Lambda would say.
        why: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lambda's words for a code where nobody gives any, as far as they are known.
fn usual_reason(code: &str) -> String {
    match code {
        "ImageAccessDenied" => {
            "The function does not have permission to access the specified image.".to_owned()
        }
        "InvalidImage" => "ImageLayerFailure: UnsupportedImageLayerDetected".to_owned(),
        "InsufficientRolePermissions" => {
            "The function's execution role doesn't have permission to perform this operation.".to_owned()
        }
        "InternalError" => "We encountered an internal error. Please try again.".to_owned(),
        code => reason::meaning(code).unwrap_or(code).to_owned(),
    }
}

/// Makes a function of the call's region show what is wished.
pub fn apply(call: &Call, function: &FunctionName, wish: Wish) -> Result<(), WishError> {
    let key = outcome_key(&call.region, function.as_str());
    let outcome = |code: String, reason: Option<String>| {
        let reason = reason.unwrap_or_else(|| usual_reason(&code));
        Outcome { state_reason_code: code, reason }
    };
    call.store.transaction(|tx| {
        let settled = |may_be_stuck: bool| {
            let missing =
                || WishError::NoFunction { function: function.clone(), region: call.region.clone() };
            let found = Function::read(tx, call, function.as_str())?.ok_or_else(missing)?;
            match found.latest.check_settled(function.as_str()) {
                Err(_) if may_be_stuck => Ok(found),
                Err(failure) => Err(WishError::NotNow { function: function.clone(), why: failure.message }),
                Ok(()) => Ok(found),
            }
        };
        match wish {
            Wish::NextChangeFails { code, reason } => Ok(tx.write(&key, &outcome(code, reason))?),
            Wish::Forget => Ok(tx.delete(&key)?),
            Wish::Idle => {
                let mut function = settled(false)?;
                function.latest.fall_idle();
                Ok(function.write(tx, call)?)
            }
            Wish::Now { code, .. } if reason::is_transition(&code) => {
                let mut function = settled(true)?;
                function.latest.get_stuck(call);
                Ok(function.write(tx, call)?)
            }
            Wish::Now { code, reason } => {
                let mut function = settled(false)?;
                function.latest.go_bad(&outcome(code, reason));
                Ok(function.write(tx, call)?)
            }
        }
    })?
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutcomeRequest {
    function: String,
    region: Option<String>,
    state_reason_code: Option<String>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    now: bool,
    #[serde(default)]
    idle: bool,
}

/// Answers a client of the server.
pub(super) fn set_outcome(request: &Request<'_>) -> Result<Reply, Failure> {
    if request.method != http::Method::POST {
        return Err(Failure::validation(format!("`{}` is not understood here: use POST", request.method)));
    }
    let wanted: OutcomeRequest = request.body()?;
    let name: FunctionName =
        wanted.function.parse().map_err(|error| Failure::validation(format!("{error}")))?;
    let region = wanted.region.clone().unwrap_or_else(|| request.call.region.clone());
    if !is_region(&region) {
        return Err(Failure::validation(format!("`{region}` is not a region")));
    }
    let wish = match wanted.state_reason_code {
        _ if wanted.idle => Wish::Idle,
        None => Wish::Forget,
        Some(code) if wanted.now => Wish::Now { code, reason: Some(wanted.reason) },
        Some(code) => Wish::NextChangeFails { code, reason: Some(wanted.reason) },
    };
    let call = Call { region, ..request.call.clone() };
    apply(&call, &name, wish)?;
    Ok(Reply::empty())
}

/// Tells whether a text can be a region; documents are kept in folders of that name.
pub fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

impl From<WishError> for Failure {
    fn from(error: WishError) -> Self {
        match error {
            WishError::NoFunction { function, .. } => {
                Self::not_found(format!("Function not found: {function}"))
            }
            WishError::NotNow { why, .. } => Self::conflict(why),
            WishError::Store(error) => error.into(),
        }
    }
}
