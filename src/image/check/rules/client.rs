//! The Runtime API: whether something in the image speaks it, and what AWS's own base images
//! expect to be told.

use super::Context;
use super::handler::Language;
use super::start::{EntryPoint, as_settled};
use crate::domain::finding::{Finding, Place, Rule};
use crate::domain::size::count;
use crate::image::check::tree::Lookup;

/// Parts of paths that only a client of the Runtime API has. Most clients are found by what is in
/// their files; these are the ones whose files are compressed, or few.
const CLIENTS: [&str; 6] = [
    "/awslambdaric/",
    "/aws-lambda-ric/",
    "/aws_lambda_ric",
    "/aws-lambda-java-runtime-interface-client",
    "/amazon.lambda.runtimesupport",
    "/opt/extensions/",
];

pub(super) fn check(
    context: &Context<'_>,
    entry_point: Option<&EntryPoint<'_>>,
    findings: &mut Vec<Finding>,
) {
    let Some(entry_point) = entry_point else { return };
    let content = entry_point.found.node.content();
    if content.is_some_and(|content| content.aws_entry_point) {
        return aws_base(context, findings);
    }
    let is_packed = content.is_some_and(|content| content.packed);
    if is_packed || !context.tree.is_whole() || has_client(context) {
        return;
    }
    let message = format!(
        "`/{}` is started, but neither it nor any other file of the image names AWS_LAMBDA_RUNTIME_API",
        entry_point.found.path
    );
    let place = context.place(&entry_point.found.path, entry_point.found.node);
    findings.push(Finding::new(Rule::NoRuntimeClient, message, place));
}

fn has_client(context: &Context<'_>) -> bool {
    // What is in the files is known already, and paths have to be searched.
    let mut nodes = context.tree.all().map(|(_, node)| node);
    if nodes.any(|node| node.content().is_some_and(|content| content.speaks_to_lambda)) {
        return true;
    }
    let mut lower = String::new();
    context.tree.all().any(|(path, _)| {
        lower.clear();
        lower.push('/');
        lower.push_str(path);
        lower.make_ascii_lowercase();
        CLIENTS.iter().any(|client| lower.contains(client))
    })
}

/// The entry point of AWS base images: it takes the handler and starts the bootstrap.
/// <https://github.com/aws/aws-lambda-base-images>
fn aws_base(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let bootstrap = format!("{}/bootstrap", context.directory("LAMBDA_RUNTIME_DIR", "/var/runtime"));
    if matches!(context.tree.look_up(&bootstrap), Lookup::Absent) {
        let message = format!("the entry point starts `{bootstrap}`, which is not in the image");
        findings.push(Finding::new(Rule::NoBootstrap, message, Place::path(bootstrap)));
    }
    let arguments = &context.words[1..];
    let field = if context.wanted.overrides.command.is_empty() {
        "config.Cmd"
    } else {
        "function.image_config.command"
    };
    let handler = match arguments {
        [] => {
            let message = "the entry point of an AWS base image is started without a handler";
            findings.push(as_settled(context, Finding::new(Rule::Handler, message, Place::field(field))));
            return;
        }
        [handler] => handler,
        words => {
            let line: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            let message = format!(
                "the entry point of an AWS base image takes the handler alone, not {}: `{}`",
                count(words.len(), "word"),
                line.join(" ")
            );
            findings.push(as_settled(
                context,
                Finding::new(Rule::Handler, message, Place::field(words[0].field)),
            ));
            return;
        }
    };
    // A wrapper may call something else.
    if context.variable("AWS_LAMBDA_EXEC_WRAPPER").is_some() {
        return;
    }
    let language = if context.has_language("python3") {
        Language::Python
    } else if context.has_language("node") {
        Language::Node
    } else {
        return;
    };
    let Some(module) = language.module(&handler.text) else {
        let message = format!("the handler `{}` is not of the form `module.function`", handler.text);
        findings.push(Finding::new(Rule::Handler, message, Place::field(handler.field)));
        return;
    };
    if context.tree.is_whole() && !language.has(context, &module) {
        let message = format!(
            "the handler `{}` is in {}, and no file of the image is called like that",
            handler.text,
            language.file_names(&module)
        );
        findings.push(Finding::new(Rule::HandlerNotFound, message, Place::field(handler.field)));
    }
}
