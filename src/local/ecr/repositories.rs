//! Creating, describing and deleting repositories, and whether their tags can be moved.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::failure::Failure;
use super::input::{Input, checked_name};
use super::{seconds, tags};
use crate::local::call::{ACCOUNT, Call};
use crate::local::repository::{Repository, TagMutability};

const MUTABILITIES: [&str; 4] =
    ["IMMUTABLE", "MUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"];

pub(super) fn create(call: &Call, input: &Input) -> Result<Value, Failure> {
    let name = input.repository_name()?;
    let mut repository = Repository::new(&call.region, &name, call.now);
    repository.tag_mutability = tag_mutability(input)?;
    repository.scan_on_push = input.get("imageScanningConfiguration")["scanOnPush"] == true;
    if let encryption @ Value::Object(_) = input.get("encryptionConfiguration") {
        repository.encryption = checked_encryption(call, encryption)?;
    }
    let tags: Vec<tags::Tag> = input.read("tags")?;
    repository.resource_tags = tags::checked(BTreeMap::new(), tags)?;
    call.store.transaction(|tx| {
        if Repository::find(tx, &call.region, name.as_str())?.is_some() {
            let text = format!(
                "The repository with name '{name}' already exists in the registry with id '{ACCOUNT}'"
            );
            return Err(Failure::new("RepositoryAlreadyExistsException", text));
        }
        repository.save(tx)?;
        Ok(json!({ "repository": shown(call, &repository) }))
    })?
}

pub(super) fn describe(call: &Call, input: &Input) -> Result<Value, Failure> {
    let names: Vec<String> = input.read("repositoryNames")?;
    if !names.is_empty() {
        let found = call.store.transaction(|tx| {
            let find = |name: &String| {
                let name = checked_name(name)?;
                let found = Repository::find(tx, &call.region, name.as_str())?;
                found.ok_or_else(|| Failure::no_repository(name.as_str()))
            };
            names.iter().map(find).collect::<Result<Vec<_>, _>>()
        })??;
        let shown: Vec<Value> = found.iter().map(|repository| shown(call, repository)).collect();
        return Ok(json!({ "repositories": shown }));
    }
    let (from, size) = input.page()?;
    let all = call.store.transaction(|tx| Repository::all(tx, &call.region))??;
    let page: Vec<Value> =
        all.iter().skip(from).take(size).map(|repository| shown(call, repository)).collect();
    let mut output = json!({ "repositories": page });
    if all.len() > from + size {
        output["nextToken"] = (from + size).to_string().into();
    }
    Ok(output)
}

pub(super) fn delete(call: &Call, input: &Input) -> Result<Value, Failure> {
    call.store.transaction(|tx| {
        let repository = input.repository(call, tx)?;
        if !repository.images.is_empty() && input.get("force") != true {
            let text = format!(
                "The repository with name '{}' in registry with id '{ACCOUNT}' cannot be deleted because it still contains images",
                repository.name
            );
            return Err(Failure::new("RepositoryNotEmptyException", text));
        }
        repository.delete(&call.store, tx)?;
        Ok(json!({ "repository": shown(call, &repository) }))
    })?
}

pub(super) fn put_tag_mutability(call: &Call, input: &Input) -> Result<Value, Failure> {
    input.required("imageTagMutability")?;
    let mutability = tag_mutability(input)?;
    call.store.transaction(|tx| {
        let mut repository = input.repository(call, tx)?;
        repository.tag_mutability = mutability;
        repository.save(tx)?;
        let mut output = json!({ "registryId": ACCOUNT, "repositoryName": repository.name });
        show_mutability(&mut output, &repository.tag_mutability);
        Ok(output)
    })?
}

/// Reads `imageTagMutability` and the filters that belong to it.
fn tag_mutability(input: &Input) -> Result<TagMutability, Failure> {
    let setting = input.text("imageTagMutability").unwrap_or("MUTABLE").to_owned();
    if !MUTABILITIES.contains(&setting.as_str()) {
        let constraint = format!("Member must satisfy enum value set: [{}]", MUTABILITIES.join(", "));
        return Err(Failure::invalid_parameter("imageTagMutability", constraint));
    }
    let filters: Vec<BTreeMap<String, String>> = input.read("imageTagMutabilityExclusionFilters")?;
    let exclusions: Vec<String> =
        filters.into_iter().filter_map(|mut filter| filter.remove("filter")).collect();
    let parameter = "imageTagMutabilityExclusionFilters";
    if setting.ends_with("_WITH_EXCLUSION") == exclusions.is_empty() {
        let state = if exclusions.is_empty() { "can't be null" } else { "must be null" };
        let constraint =
            format!("ImageTagMutabilityExclusionFilters {state} when imageTagMutability is set as {setting}");
        return Err(Failure::invalid_parameter(parameter, constraint));
    }
    let valid = |filter: &String| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._*-".contains(&byte);
        (1..=128).contains(&filter.len()) && filter.bytes().all(allowed)
    };
    if exclusions.len() > 5 || !exclusions.iter().all(valid) {
        let constraint =
            "must have 1 to 5 filters that satisfy regular expression '^[0-9a-zA-Z._*-]{1,128}$'";
        return Err(Failure::invalid_parameter(parameter, constraint));
    }
    Ok(TagMutability { setting, exclusions })
}

/// Encryption is echoed only; with KMS and no key, AWS names its own.
fn checked_encryption(call: &Call, encryption: &Value) -> Result<Value, Failure> {
    let kind = encryption["encryptionType"].as_str().unwrap_or_default();
    let mut shown = json!({ "encryptionType": kind });
    match kind {
        "AES256" => {}
        "KMS" | "KMS_DSSE" => {
            let own = format!("arn:aws:kms:{}:{ACCOUNT}:key/aws-ecr", call.region);
            shown["kmsKey"] = encryption["kmsKey"].as_str().unwrap_or(&own).into();
        }
        _ => {
            let constraint = "Member must satisfy enum value set: [KMS, AES256, KMS_DSSE]";
            return Err(Failure::invalid_parameter("encryptionConfiguration.encryptionType", constraint));
        }
    }
    Ok(shown)
}

fn shown(call: &Call, repository: &Repository) -> Value {
    let mut shown = json!({
        "repositoryArn": repository.arn(),
        "registryId": ACCOUNT,
        "repositoryName": repository.name,
        "repositoryUri": format!("{}/{}", call.authority, repository.name),
        "createdAt": seconds(repository.created_at),
        "imageScanningConfiguration": { "scanOnPush": repository.scan_on_push },
        "encryptionConfiguration": repository.encryption,
    });
    show_mutability(&mut shown, &repository.tag_mutability);
    shown
}

fn show_mutability(output: &mut Value, mutability: &TagMutability) {
    output["imageTagMutability"] = mutability.setting.as_str().into();
    if !mutability.exclusions.is_empty() {
        let filter = |filter: &String| json!({ "filterType": "WILDCARD", "filter": filter });
        output["imageTagMutabilityExclusionFilters"] = mutability.exclusions.iter().map(filter).collect();
    }
}
