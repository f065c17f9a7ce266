//! What Lambda's own user can read: it is neither root nor any user of the image.
//!
//! Files that the words name which start the function are read for certain, so that one of them
//! that is closed is an error. Whether the others in the code's directories are needed, nobody
//! can tell: they are a warning.

use std::collections::BTreeMap;

use super::Context;
use super::handler;
use crate::domain::finding::{Finding, Place, Rule};
use crate::domain::size::count;
use crate::image::check::tree::{Found, Lookup, Node};

/// Directories of the system, in which not everything is for everybody, and not everything is
/// code, even if somebody works in them.
const SYSTEM: [&str; 11] = ["etc", "var", "usr", "run", "home", "root", "boot", "lib", "bin", "sbin", "tmp"];

/// What is closed, by path.
type Closed<'a> = BTreeMap<String, &'a Node>;

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let tree = &context.tree;
    let (mut named, mut others) = (Closed::new(), Closed::new());
    named.extend(files(context).iter().filter_map(|file| obstacle(context, file)));
    for root in context.code_directories() {
        let Lookup::Found(found) = tree.look_up(&root) else { continue };
        if found.path.is_empty() || !found.node.is_directory() {
            continue;
        }
        if let Some((path, node)) = closed_on_the_way(context, &found) {
            others.insert(path, node);
        } else if !SYSTEM.contains(&found.path.as_str()) {
            below(context, &found.path, &mut others);
        }
    }
    let is_told = |path: &str| {
        let place = format!("/{path}");
        findings.iter().flat_map(|finding| &finding.places).any(|it| it.path.as_ref() == Some(&place))
    };
    named.retain(|path, _| !is_told(path));
    others.retain(|path, _| !is_told(path) && !named.contains_key(path));
    for (rule, closed) in [(Rule::UnreadableCode, named), (Rule::UnreadableFile, others)] {
        findings.extend(finding(context, rule, &closed));
    }
}

fn finding(context: &Context<'_>, rule: Rule, closed: &Closed<'_>) -> Option<Finding> {
    let (path, node) = closed.first_key_value()?;
    let kind = if node.is_directory() { "directory" } else { "file" };
    let others = match closed.len() - 1 {
        0 => String::new(),
        more => format!(", and {} like it", count(more, "other")),
    };
    let mode = node.mode.unwrap_or_default();
    let message =
        format!("the {kind} `/{path}` has the mode {mode:04o}{others}: Lambda's user may not read it");
    let places = closed.iter().map(|(path, node)| context.place(path, node));
    Some(Finding::new(rule, message, Place::default()).at_all(places))
}

/// Files that the words name which start the function, besides the program itself.
fn files<'a>(context: &'a Context<'_>) -> Vec<Found<'a>> {
    let mut files = Vec::new();
    for word in context.words.iter().skip(1).map(|word| &word.text) {
        if word.contains(['/', '.'])
            && let Lookup::Found(found) = context.tree.look_up(&context.absolute(word))
        {
            files.push(found);
        }
        files.extend(handler::files(context, word));
    }
    files.retain(|found| !found.node.is_directory());
    files
}

/// What keeps Lambda's user from reading a file: a directory on the way, or the file's own mode.
fn obstacle<'a>(context: &'a Context<'_>, found: &Found<'a>) -> Option<(String, &'a Node)> {
    let on_the_way = closed_on_the_way(context, found);
    on_the_way.or_else(|| (!found.node.lets_others(4)).then(|| (found.path.clone(), found.node)))
}

/// The first directory on the way that may not be passed, the last one included.
fn closed_on_the_way<'a>(context: &'a Context<'_>, found: &Found<'a>) -> Option<(String, &'a Node)> {
    let tree = &context.tree;
    let passed = found.passed.iter().map(String::as_str).chain([found.path.as_str()]);
    let mut nodes = passed.filter_map(|path| Some((path, tree.node(path)?)));
    let is_closed = |node: &Node| node.is_directory() && tree.is_final(node) && !node.lets_others(1);
    nodes.find(|(_, node)| is_closed(node)).map(|(path, node)| (path.to_owned(), node))
}

/// Collects what is closed below a directory; of a closed directory, only itself.
fn below<'a>(context: &'a Context<'_>, root: &str, closed: &mut Closed<'a>) {
    let tree = &context.tree;
    let mut inside: Option<String> = None;
    for (path, node) in tree.below(root) {
        let is_inside = inside.as_ref().is_some_and(|directory| path.starts_with(directory.as_str()));
        if is_inside || !tree.is_final(node) {
            continue;
        }
        let rights = if node.is_directory() { 1 } else { 4 };
        if !node.lets_others(rights) {
            closed.insert(path.to_owned(), node);
            inside = node.is_directory().then(|| format!("{path}/"));
        }
    }
}
