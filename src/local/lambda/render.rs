//! What the Lambda API shows of a function. Members AWS leaves out are left out, never null.

use serde_json::{Map, Value, json};

use super::function::{Alias, Code, Function, Status, Version};
use super::images::ImageCatalogue;
use super::target::{qualified_arn, unqualified_arn};
use crate::local::call::Call;

/// Whether states are shown: lists leave them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum States {
    Shown,
    LeftOut,
}

/// A `FunctionConfiguration`; the ARN ends in `qualifier` where one is given.
pub(super) fn configuration(
    call: &Call,
    function: &str,
    version: &Version,
    qualifier: Option<&str>,
    states: States,
) -> Value {
    let settings = &version.settings;
    let arn = match qualifier {
        Some(qualifier) => qualified_arn(call, function, qualifier),
        None => unqualified_arn(call, function),
    };
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("FunctionName", json!(function));
    put("FunctionArn", json!(arn));
    if let Some(runtime) = &settings.runtime {
        put("Runtime", json!(runtime));
    }
    put("Role", json!(settings.role));
    if let Some(handler) = &settings.handler {
        put("Handler", json!(handler));
    }
    let code_size = match &version.code {
        Code::Zip { size, .. } => *size,
        // Images are not part of Lambda's code storage.
        Code::Image { .. } => 0,
    };
    put("CodeSize", json!(code_size));
    put("Description", json!(settings.description));
    put("Timeout", json!(settings.timeout));
    put("MemorySize", json!(settings.memory_size));
    put("LastModified", json!(version.last_modified));
    put("CodeSha256", json!(version.code.sha256()));
    put("Version", json!(version.version));
    for (name, value) in &settings.other {
        put(name, value.clone());
    }
    if let Some(variables) = &settings.environment {
        put("Environment", json!({"Variables": variables}));
    }
    if let Some(key) = &settings.kms_key_arn {
        put("KMSKeyArn", json!(key));
    }
    put("TracingConfig", json!({"Mode": settings.tracing_mode}));
    put("RevisionId", json!(version.revision_id));
    if states == States::Shown {
        status("State", &version.state, &mut put);
        if let Some(update) = &version.last_update {
            status("LastUpdateStatus", update, &mut put);
        }
    }
    put("PackageType", json!(settings.package_type));
    if let Some(config) = &settings.image_config {
        put("ImageConfigResponse", json!({"ImageConfig": config}));
    }
    put("Architectures", json!([settings.architecture]));
    put("EphemeralStorage", json!({"Size": settings.ephemeral_storage}));
    let optimized = settings.snap_start == "PublishedVersions" && version.version != super::target::LATEST;
    let optimization = if optimized { "On" } else { "Off" };
    put("SnapStart", json!({"ApplyOn": settings.snap_start, "OptimizationStatus": optimization}));
    put("LoggingConfig", json!(settings.logging));
    Value::Object(shown)
}

fn status(name: &str, status: &Status, put: &mut impl FnMut(&str, Value)) {
    put(name, json!(status.value));
    if let Some(reason) = &status.reason {
        put(&format!("{name}Reason"), json!(reason));
    }
    if let Some(code) = &status.reason_code {
        put(&format!("{name}ReasonCode"), json!(code));
    }
}

/// The `Code` member of `GetFunction`. Archives are not kept, so they have no `Location`.
pub(super) fn code(call: &Call, images: &dyn ImageCatalogue, code: &Code) -> Value {
    match code {
        Code::Image { uri, resolved_uri, .. } => json!({
            "RepositoryType": "ECR",
            "ImageUri": images.render_uri(call, uri),
            "ResolvedImageUri": images.render_uri(call, resolved_uri),
        }),
        Code::Zip { .. } => json!({"RepositoryType": "S3"}),
    }
}

/// An `AliasConfiguration`.
pub(super) fn alias(call: &Call, function: &Function, name: &str, alias: &Alias) -> Value {
    let mut shown = json!({
        "AliasArn": qualified_arn(call, &function.name, name),
        "Name": name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    });
    if !alias.weights.is_empty() {
        shown["RoutingConfig"] = json!({"AdditionalVersionWeights": alias.weights});
    }
    shown
}
