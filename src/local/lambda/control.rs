//! What a test may ask of the local cloud that AWS does not offer: a change that fails after it
//! was accepted, and a function that has fallen idle.
//!
//! `POST /_lambdactl/outcomes` takes `{"function", "region"?}` with one of
//! - `"state_reason_code"` and `"reason"`: how the next creation or update of the function ends;
//! - `"state_reason_code": null`: forgets that;
//! - `"idle": true`: the function is `Inactive` from now on.

use serde::Deserialize;

use super::errors::Failure;
use super::function::{Function, Outcome, outcome_key};
use super::reply::Reply;
use super::request::Request;
use crate::domain::function::FunctionName;
use crate::local::call::Call;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutcomeRequest {
    function: String,
    region: Option<String>,
    state_reason_code: Option<String>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    idle: bool,
}

/// Sets how the next change of a function ends, or puts the function to sleep.
pub(super) fn set_outcome(request: &Request<'_>) -> Result<Reply, Failure> {
    if request.method != http::Method::POST {
        return Err(Failure::validation(format!("`{}` is not understood here: use POST", request.method)));
    }
    let wanted: OutcomeRequest = request.body()?;
    let name: FunctionName =
        wanted.function.parse().map_err(|error| Failure::validation(format!("{error}")))?;
    let region = wanted.region.clone().unwrap_or_else(|| request.call.region.clone());
    if region.is_empty() || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(Failure::validation(format!("`{region}` is not a region")));
    }
    let call = Call { region, ..request.call.clone() };
    let key = outcome_key(&call.region, name.as_str());
    call.store.transaction(|tx| {
        if wanted.idle {
            let mut function = Function::read(tx, &call, name.as_str())?
                .ok_or_else(|| Failure::not_found(format!("Function not found: {name}")))?;
            function.latest.check_settled(name.as_str())?;
            function.latest.fall_idle();
            function.write(tx, &call)?;
            return Ok(Reply::empty());
        }
        match wanted.state_reason_code {
            Some(code) => tx.write(&key, &Outcome { state_reason_code: code, reason: wanted.reason })?,
            None => tx.delete(&key)?,
        }
        Ok(Reply::empty())
    })?
}
