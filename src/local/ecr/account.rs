//! Tokens for the registry, and settings of the account.

use serde_json::{Value, json};

use super::failure::Failure;
use super::input::Input;
use super::seconds;
use crate::local::account_setting;
use crate::local::call::Call;
use crate::local::registry::auth::{SigningKey, TOKEN_LIFETIME};
use crate::local::repository::milliseconds;

/// A token that opens the region's registry for twelve hours.
pub(super) fn token(call: &Call, key: &SigningKey) -> Value {
    let expires = call.now + TOKEN_LIFETIME;
    json!({ "authorizationData": [{
        "authorizationToken": key.token(&call.region, expires).expose(),
        "expiresAt": seconds(milliseconds(expires)),
        "proxyEndpoint": format!("http://{}", call.authority),
    }] })
}

pub(super) fn put_setting(call: &Call, input: &Input) -> Result<Value, Failure> {
    let (name, value) = (input.required("name")?, input.required("value")?);
    let known = call.store.transaction(|tx| account_setting::write(tx, &call.region, name, value))??;
    if !known {
        return Err(invalid(name));
    }
    Ok(json!({ "name": name, "value": value }))
}

pub(super) fn get_setting(call: &Call, input: &Input) -> Result<Value, Failure> {
    let name = input.required("name")?;
    let value = call.store.transaction(|tx| account_setting::read(tx, &call.region, name))??;
    let value = value.ok_or_else(|| invalid(name))?;
    Ok(json!({ "name": name, "value": value }))
}

fn invalid(name: &str) -> Failure {
    let text = format!("Invalid account setting or value of account setting '{name}'");
    Failure::new("ValidationException", text)
}
