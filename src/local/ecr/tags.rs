//! AWS tags of repositories.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::failure::Failure;
use super::input::{Input, checked_name};
use crate::domain::arn::Arn;
use crate::local::call::{ACCOUNT, Call};
use crate::local::repository::Repository;
use crate::local::store::Transaction;

/// One tag, in ECR's spelling.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

pub(super) fn tag(call: &Call, input: &Input) -> Result<Value, Failure> {
    let tags: Vec<Tag> = input.read("tags")?;
    call.store.transaction(|tx| {
        let mut repository = of_arn(call, input, tx)?;
        repository.resource_tags = checked(repository.resource_tags, tags)?;
        repository.save(tx)?;
        Ok(json!({}))
    })?
}

pub(super) fn untag(call: &Call, input: &Input) -> Result<Value, Failure> {
    let keys: Vec<String> = input.read("tagKeys")?;
    call.store.transaction(|tx| {
        let mut repository = of_arn(call, input, tx)?;
        repository.resource_tags.retain(|key, _| !keys.contains(key));
        repository.save(tx)?;
        Ok(json!({}))
    })?
}

pub(super) fn list(call: &Call, input: &Input) -> Result<Value, Failure> {
    let repository = call.store.transaction(|tx| of_arn(call, input, tx))??;
    let shown = |(key, value): (&String, &String)| json!({ "Key": key, "Value": value });
    Ok(json!({ "tags": repository.resource_tags.iter().map(shown).collect::<Vec<_>>() }))
}

/// Adds `tags` to those there are, within ECR's limits: 50 tags, 128 and 256 characters.
/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-using-tags.html>
pub(super) fn checked(
    mut all: BTreeMap<String, String>,
    tags: Vec<Tag>,
) -> Result<BTreeMap<String, String>, Failure> {
    for Tag { key, value } in tags {
        let valid = (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
        if !valid || key.to_ascii_lowercase().starts_with("aws:") {
            let text = format!("Invalid tag parameter: the tag with key '{key}' is not valid");
            return Err(Failure::new("InvalidTagParameterException", text));
        }
        all.insert(key, value);
    }
    if all.len() > 50 {
        return Err(Failure::new("TooManyTagsException", "The resource cannot have more than 50 tags"));
    }
    Ok(all)
}

fn of_arn(call: &Call, input: &Input, tx: &Transaction<'_>) -> Result<Repository, Failure> {
    let invalid = || Failure::invalid_parameter("resourceArn", "Invalid ARN");
    let arn: Arn = input.required("resourceArn")?.parse().map_err(|_| invalid())?;
    let name = arn.resource.strip_prefix("repository/").ok_or_else(invalid)?;
    if arn.service != "ecr" || arn.region != call.region || arn.account != ACCOUNT {
        return Err(invalid());
    }
    let name = checked_name(name)?;
    Repository::find(tx, &call.region, name.as_str())?.ok_or_else(|| Failure::no_repository(name.as_str()))
}
