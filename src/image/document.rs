//! Changes the configuration document of an image, with everything unknown in it kept. Called by
//! `assembled` and `append`.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ImageError;
use super::gzip::GzipLayer;
use super::seal::damaged;

/// Sets an environment variable, in its place where it was set before.
pub(super) fn set_variable(config: &mut Map<String, Value>, name: &str, value: &str) {
    let mut variables = config.get("Env").and_then(Value::as_array).cloned().unwrap_or_default();
    let variable = Value::from(format!("{name}={value}"));
    let prefix = format!("{name}=");
    match variables.iter_mut().find(|old| old.as_str().is_some_and(|old| old.starts_with(&prefix))) {
        Some(old) => *old = variable,
        None => variables.push(variable),
    }
    config.insert("Env".to_owned(), variables.into());
}

/// Adds layers of ours on top.
pub(super) fn add_layers<'a>(
    root: &mut Map<String, Value>,
    layers: impl IntoIterator<Item = &'a GzipLayer>,
) -> Result<(), ImageError> {
    let rootfs = object(root.entry("rootfs").or_insert_with(|| json!({})))?;
    rootfs.insert("type".to_owned(), "layers".into());
    let diff_ids = array(rootfs.entry("diff_ids").or_insert_with(|| json!([])))?;
    diff_ids.extend(layers.into_iter().map(|layer| Value::from(layer.diff_id.to_string())));
    Ok(())
}

/// Adds entries of ours, before our layers are added. The history has one entry for each layer or
/// none at all, so a base without history gets empty entries for its layers.
pub(super) fn add_history(
    root: &mut Map<String, Value>,
    entries: impl IntoIterator<Item = Value>,
) -> Result<(), ImageError> {
    let diff_ids = root.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids")).and_then(Value::as_array);
    let layers = diff_ids.map_or(0, Vec::len);
    let history = root.entry("history").or_insert_with(|| json!([]));
    if history.is_null() {
        *history = json!([]);
    }
    let history = array(history)?;
    if history.is_empty() {
        history.extend((0..layers).map(|_| json!({})));
    }
    history.extend(entries);
    Ok(())
}

/// A time of an image, as it is written in its configuration.
pub(super) fn created(epoch: u64) -> Result<String, ImageError> {
    let time = i64::try_from(epoch).ok().and_then(|epoch| OffsetDateTime::from_unix_timestamp(epoch).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).ok_or_else(|| ImageError::Unsupported {
        image: "image".to_owned(),
        problem: format!("{epoch} seconds since 1970 is not a time"),
    })
}

/// A member that is an object, also where it is null.
pub(super) fn object(value: &mut Value) -> Result<&mut Map<String, Value>, ImageError> {
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut().ok_or_else(|| damaged("base", "its configuration has a member of the wrong type"))
}

/// A member that is an array, also where it is null.
fn array(value: &mut Value) -> Result<&mut Vec<Value>, ImageError> {
    if value.is_null() {
        *value = json!([]);
    }
    value.as_array_mut().ok_or_else(|| damaged("base", "its configuration has a member of the wrong type"))
}
