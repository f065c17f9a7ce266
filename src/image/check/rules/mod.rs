//! The rules, by what they look at. Each takes the [`Context`] and adds what it finds.

mod access;
mod client;
mod handler;
mod layers;
mod manifest;
mod settings;
mod size;
mod start;

#[cfg(test)]
mod tests;

use super::context::Context;
use crate::domain::finding::Finding;

/// Everything all rules find.
pub(super) fn all(context: &Context<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    manifest::check(context, &mut findings);
    layers::check(context, &mut findings);
    size::check(context, &mut findings);
    let entry_point = start::check(context, &mut findings);
    access::check(context, &mut findings);
    client::check(context, entry_point.as_ref(), &mut findings);
    settings::check(context, entry_point.as_ref(), &mut findings);
    findings
}
