//! The order of entries in layers: Lambda unpacks more strictly than Docker does.

use super::Context;
use crate::domain::finding::{Finding, Place, Rule};
use crate::image::check::tree::Fault;

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let tree = &context.tree;
    let places = |faults: &[Fault]| -> Vec<Place> {
        faults.iter().map(|fault| context.layer(fault.layer).at(fault.path.as_str())).collect()
    };
    if let Some(first) = tree.missing_parents.first() {
        let message = format!("`{}` comes before an entry for its directory `{}`", first.path, first.missing);
        let finding = Finding::new(Rule::MissingParent, message, Place::default());
        findings.push(finding.at_all(places(&tree.missing_parents)));
    }
    if let Some(first) = tree.broken_links.first() {
        let message =
            format!("`{}` is a hard link to `{}`, which is not there before it", first.path, first.missing);
        let finding = Finding::new(Rule::BrokenHardLink, message, Place::default());
        findings.push(finding.at_all(places(&tree.broken_links)));
    }
}
