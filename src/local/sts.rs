//! STS's query API: the caller's identity. The local server gives it every request of `sts`.

use std::collections::BTreeMap;

use axum::body::Body;
use http::Response;

use super::call::{ACCOUNT, Call};
use super::query::{QueryError, parameter, response, text};
use crate::domain::arn::Partition;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Answers one request. Everybody here is the root of the one account.
///
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>
pub fn handle(call: &Call, form: &BTreeMap<String, String>) -> Response<Body> {
    let action = parameter(form, "Action").unwrap_or_default();
    let result = match action {
        "GetCallerIdentity" => {
            let partition = Partition::of_region(&call.region);
            let arn = format!("arn:{partition}:iam::{ACCOUNT}:root");
            Ok(Some(text("Arn", arn) + &text("UserId", ACCOUNT) + &text("Account", ACCOUNT)))
        }
        _ => Err(QueryError::invalid_action(action, "2011-06-15")),
    };
    response(call, NAMESPACE, action, result)
}
