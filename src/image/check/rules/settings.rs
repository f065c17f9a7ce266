//! What the configuration says that Lambda does not do, or does differently.

use serde_json::Value;

use super::Context;
use super::start::EntryPoint;
use crate::domain::environment::is_reserved;
use crate::domain::finding::{Finding, Place, Rule, Severity};
use crate::domain::size::{ByteSize, count};
use crate::image::check::tree::NodeKind;

/// Variables that name a directory to write to. Where it cannot be written to, what uses them
/// fails or complains; caches that may come filled with the image are not among them.
const WRITTEN: [&str; 5] = ["TMPDIR", "TMP", "TEMP", "MPLCONFIGDIR", "NUMBA_CACHE_DIR"];

/// What an image must not carry.
const CREDENTIALS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// With what AWS base images set the variables themselves.
const OWN: [&str; 2] = ["LAMBDA_TASK_ROOT=/var/task", "LAMBDA_RUNTIME_DIR=/var/runtime"];

/// The label of images that may start from a snapshot.
/// <https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-custom.html>
const SNAPSTART: &str = "com.amazonaws.lambda.feature.snapstart";

/// Less than this in `/tmp` is what package managers leave behind.
const NOTABLE: u64 = 1_000_000;

pub(super) fn check(
    context: &Context<'_>,
    entry_point: Option<&EntryPoint<'_>>,
    findings: &mut Vec<Finding>,
) {
    ignored(context, findings);
    variables(context, findings);
    caches(context, entry_point, findings);
    temporary(context, entry_point, findings);
    if context.wanted.snap_start {
        snap_start(context, entry_point, findings);
    }
}

fn ignored(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let config = &context.image.config.document["config"];
    if let Some(user) = config["User"].as_str().filter(|user| !user.is_empty()) {
        let message = format!("USER `{user}` has no effect");
        findings.push(Finding::new(Rule::UserIgnored, message, Place::field("config.User")));
    }
    let names = |key: &str| -> Option<String> {
        let names = config[key].as_object().filter(|names| !names.is_empty())?;
        Some(names.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
    };
    if let Some(ports) = names("ExposedPorts") {
        let message = format!("EXPOSE {ports} has no effect");
        findings.push(Finding::new(Rule::PortsIgnored, message, Place::field("config.ExposedPorts")));
    }
    if let Some(volumes) = names("Volumes") {
        let message = format!("VOLUME {volumes} has no effect, and nothing can be written there");
        findings.push(Finding::new(Rule::VolumeIgnored, message, Place::field("config.Volumes")));
    }
    let test = config["Healthcheck"]["Test"].as_array();
    if test.and_then(|words| words.first()).and_then(Value::as_str).is_some_and(|kind| kind != "NONE") {
        let message = "HEALTHCHECK has no effect";
        findings.push(Finding::new(Rule::HealthCheckIgnored, message, Place::field("config.Healthcheck")));
    }
}

fn variables(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let (mut reserved, mut credentials): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for variable in context.image.config.words("Env") {
        let (name, value) = variable.split_once('=').unwrap_or((&variable, ""));
        if CREDENTIALS.contains(&name) && !value.is_empty() {
            credentials.push(name.to_owned());
        } else if is_reserved(name) && !OWN.contains(&variable.as_str()) {
            reserved.push(name.to_owned());
        }
    }
    // Values are never shown.
    for (rule, names, what) in [
        (Rule::Credentials, credentials, "is set by ENV, for everybody to read"),
        (Rule::ReservedVariable, reserved, "is set by ENV, but the function sees what Lambda sets"),
    ] {
        if names.is_empty() {
            continue;
        }
        let list = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let places = names.iter().map(|name| Place::field(format!("config.Env.{name}")));
        findings.push(Finding::new(rule, format!("{list} {what}"), Place::default()).at_all(places));
    }
}

/// Whether a function can write there: below `/tmp`, or where EFS may be mounted.
fn is_writable(path: &str) -> bool {
    path == "/tmp" || path.starts_with("/tmp/") || path.starts_with("/mnt/")
}

fn caches(context: &Context<'_>, entry_point: Option<&EntryPoint<'_>>, findings: &mut Vec<Finding>) {
    let field = |name: &str| {
        let is_own = context.wanted.environment.contains_key(name);
        Place::field(format!("{}.{name}", if is_own { "function.environment" } else { "config.Env" }))
    };
    for name in WRITTEN {
        let Some(value) = context.variable(name) else { continue };
        if value.starts_with('/') && !is_writable(value) {
            let message = format!("`{name}` names `{value}`, where nothing can be written");
            findings.push(Finding::new(Rule::ReadOnlyCache, message, field(name)));
        }
    }
    // npm writes a log and a cache before it starts anything.
    let first = context.words.first().map(|word| word.text.as_str()).unwrap_or_default();
    let is_npm = matches!(first.rsplit('/').next(), Some("npx" | "npm"));
    if is_npm && entry_point.is_some() {
        let names = ["NPM_CONFIG_CACHE", "npm_config_cache"];
        let set = names.iter().find_map(|name| context.variable(name));
        if !set.is_some_and(is_writable) {
            let message = "npm writes to its cache, and NPM_CONFIG_CACHE does not put it below `/tmp`";
            let finding = Finding::new(Rule::ReadOnlyCache, message, field("NPM_CONFIG_CACHE"));
            findings.push(
                finding.mended_by(
                    "add `ENV NPM_CONFIG_CACHE=/tmp/.npm` to the Dockerfile, or start `node` itself",
                ),
            );
        }
    }
}

fn temporary(context: &Context<'_>, entry_point: Option<&EntryPoint<'_>>, findings: &mut Vec<Finding>) {
    let files: Vec<_> = context
        .tree
        .below("tmp")
        .filter(|(_, node)| matches!(node.kind, NodeKind::File { .. }) && context.tree.is_final(node))
        .collect();
    let total: u64 = files.iter().map(|(_, node)| node.size()).sum();
    let started = entry_point.filter(|it| it.needs.iter().any(|path| path.starts_with("tmp/")));
    let works_there = is_writable(&context.working_directory)
        && context.working_directory != "/tmp"
        && context.working_directory.starts_with("/tmp/");
    if let Some(entry_point) = started {
        let path = entry_point.needs.iter().find(|path| path.starts_with("tmp/"));
        let message = format!("`/{}` is started, and Lambda hides it", path.map_or("", String::as_str));
        let place = context.place(&entry_point.found.path, entry_point.found.node);
        findings.push(Finding::new(Rule::HiddenByTmp, message, place).as_bad_as(Severity::Error));
    } else if works_there {
        let directory = &context.working_directory;
        let message = format!("the working directory `{directory}` is in /tmp, and Lambda hides it");
        let place = Place::field("config.WorkingDir").at(directory.as_str());
        findings.push(Finding::new(Rule::HiddenByTmp, message, place).as_bad_as(Severity::Error));
    } else if total > NOTABLE {
        let limit = u64::from(context.wanted.ephemeral_storage.unwrap_or(512)) << 20;
        let room = if total > limit {
            format!("; the function's /tmp has room for {}", ByteSize(limit))
        } else {
            String::new()
        };
        let message =
            format!("{} with {} in /tmp are hidden{room}", count(files.len(), "file"), ByteSize(total));
        let places = files.iter().map(|(path, node)| context.place(path, node));
        findings.push(Finding::new(Rule::HiddenByTmp, message, Place::default()).at_all(places));
    }
}

fn snap_start(context: &Context<'_>, entry_point: Option<&EntryPoint<'_>>, findings: &mut Vec<Finding>) {
    if let Some(megabytes) = context.wanted.ephemeral_storage.filter(|megabytes| *megabytes > 512) {
        let message =
            format!("SnapStart takes at most 512 MB of /tmp, and the function is to have {megabytes}");
        let place = Place::field("function.ephemeral_storage");
        let finding =
            Finding::new(Rule::SnapStart, message, place).mended_by("set `ephemeral_storage` to 512");
        // What Lambda has accepted before is no reason to refuse a deployment that leaves it alone.
        let is_accepted = context.wanted.has_this_storage;
        findings.push(if is_accepted { finding.as_bad_as(Severity::Warning) } else { finding });
    }
    let file_systems = context.wanted.file_systems.iter().map(|arn| format!("`{arn}`"));
    let file_systems: Vec<String> = file_systems.collect();
    if !file_systems.is_empty() {
        let message = format!("SnapStart takes no EFS, and the function mounts {}", file_systems.join(", "));
        let fix = "turn SnapStart off, or take the function's `FileSystemConfigs` away";
        let place = Place::field("FileSystemConfigs");
        let finding = Finding::new(Rule::SnapStart, message, place).mended_by(fix);
        // No deployment mounts any: as above.
        findings.push(finding.as_bad_as(Severity::Warning));
    }
    let label = context.image.config.document["config"]["Labels"][SNAPSTART].as_str();
    let knows = ["python3", "java", "dotnet"].iter().any(|program| context.has_language(program));
    let is_aws = entry_point
        .and_then(|entry_point| entry_point.found.node.content())
        .is_some_and(|content| content.aws_entry_point);
    if label != Some("Allow") && !(is_aws && knows) && context.tree.is_whole() {
        let message = format!(
            "the image has no label `{SNAPSTART}=Allow`, and is not built on an AWS base that knows SnapStart"
        );
        let finding =
            Finding::new(Rule::SnapStart, message, Place::field(format!("config.Labels.{SNAPSTART}")));
        // A runtime that asks for the end of the restoration needs no label; that cannot be seen.
        findings.push(finding.as_bad_as(Severity::Warning));
    }
}
