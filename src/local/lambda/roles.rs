//! Whether Lambda can assume an execution role.

use super::errors::Failure;
use crate::domain::arn::Arn;
use crate::local::call::{ACCOUNT, Call};
use crate::local::iam;
use crate::local::store::Transaction;

/// Refuses roles that Lambda cannot assume (yet).
///
/// Nothing can be known about the roles of other accounts, so they are accepted: a project's
/// file may name its real role, and be deployed to the local cloud as it is.
pub(super) fn check(tx: &Transaction<'_>, call: &Call, role: &str) -> Result<(), Failure> {
    let local = role.parse::<Arn>().is_ok_and(|arn| arn.account == ACCOUNT);
    if local && !iam::lambda_can_assume(tx, call, role)? {
        return Err(Failure::invalid_parameter(
            "The role defined for the function cannot be assumed by Lambda.",
        ));
    }
    Ok(())
}
