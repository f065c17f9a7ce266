//! Policies of repositories, kept as the text they were set with.

use serde_json::{Value, json};

use super::failure::Failure;
use super::input::Input;
use crate::local::call::{ACCOUNT, Call};
use crate::local::repository::Repository;

/// The longest policy ECR takes.
const LIMIT: usize = 10_240;

pub(super) fn set(call: &Call, input: &Input) -> Result<Value, Failure> {
    let text = input.required("policyText")?;
    if !is_valid(text) {
        return Err(Failure::invalid_parameter("PolicyText", "Invalid repository policy provided"));
    }
    call.store.transaction(|tx| {
        let mut repository = input.repository(call, tx)?;
        repository.policy = Some(text.to_owned());
        repository.save(tx)?;
        Ok(shown(&repository, text))
    })?
}

pub(super) fn get(call: &Call, input: &Input) -> Result<Value, Failure> {
    let repository = call.store.transaction(|tx| input.repository(call, tx))??;
    let text = repository.policy.as_deref().ok_or_else(|| no_policy(&repository))?;
    Ok(shown(&repository, text))
}

pub(super) fn delete(call: &Call, input: &Input) -> Result<Value, Failure> {
    call.store.transaction(|tx| {
        let mut repository = input.repository(call, tx)?;
        let text = repository.policy.take().ok_or_else(|| no_policy(&repository))?;
        repository.save(tx)?;
        Ok(shown(&repository, &text))
    })?
}

fn shown(repository: &Repository, text: &str) -> Value {
    json!({ "registryId": ACCOUNT, "repositoryName": repository.name, "policyText": text })
}

fn no_policy(repository: &Repository) -> Failure {
    let text = format!(
        "Repository policy does not exist for the repository with name '{}' in the registry with id '{ACCOUNT}'",
        repository.name
    );
    Failure::new("RepositoryPolicyNotFoundException", text)
}

/// Tells whether ECR takes a text as a policy: the grammar of IAM policies for a resource that
/// is implied, so with a principal and without `Resource`.
/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-policies.html>
fn is_valid(text: &str) -> bool {
    let Ok(Value::Object(policy)) = serde_json::from_str::<Value>(text) else { return false };
    let known = ["Version", "Id", "Statement"];
    let version =
        policy.get("Version").is_none_or(|version| version == "2012-10-17" || version == "2008-10-17");
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        _ => return false,
    };
    text.len() <= LIMIT
        && version
        && policy.keys().all(|key| known.contains(&key.as_str()))
        && !statements.is_empty()
        && statements.into_iter().all(is_valid_statement)
}

fn is_valid_statement(statement: &Value) -> bool {
    const KNOWN: [&str; 7] =
        ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Condition"];
    let Some(members) = statement.as_object() else { return false };
    let exactly_one = |one: &str, other: &str| members.contains_key(one) != members.contains_key(other);
    let get = |one: &str, other: &str| members.get(one).or_else(|| members.get(other)).cloned();
    let actions = match get("Action", "NotAction") {
        Some(Value::Array(actions)) => actions,
        Some(action) => vec![action],
        None => return false,
    };
    let is_action = |action: &Value| {
        action.as_str().is_some_and(|name| name == "*" || name.to_ascii_lowercase().starts_with("ecr:"))
    };
    let principal = match get("Principal", "NotPrincipal") {
        Some(Value::String(name)) => name == "*",
        Some(Value::Object(kinds)) => {
            !kinds.is_empty()
                && kinds.keys().all(|kind| ["AWS", "Service", "Federated"].contains(&kind.as_str()))
        }
        _ => false,
    };
    members.keys().all(|key| KNOWN.contains(&key.as_str()))
        && matches!(statement["Effect"].as_str(), Some("Allow" | "Deny"))
        && exactly_one("Action", "NotAction")
        && exactly_one("Principal", "NotPrincipal")
        && principal
        && !actions.is_empty()
        && actions.iter().all(is_action)
        && members.get("Condition").is_none_or(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_policies_for_repositories_are_taken() {
        let good = json!({
            "Sid": "s", "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" },
            "Action": ["ecr:BatchGetImage"],
            "Condition": { "StringLike": { "aws:sourceArn": "arn:aws:lambda:*" } },
        });
        let policy =
            |statement: &Value| json!({ "Version": "2008-10-17", "Statement": [statement] }).to_string();
        assert!(is_valid(&policy(&good)));
        assert!(is_valid(&json!({ "Statement": good }).to_string()));
        for (key, value) in [
            ("Effect", json!("allow")),
            ("Action", json!("s3:GetObject")),
            ("Action", json!([])),
            ("Principal", json!("lambda.amazonaws.com")),
            ("Principal", Value::Null),
            ("Resource", json!("*")),
            ("NotAction", json!("ecr:*")),
        ] {
            let mut bad = good.clone();
            bad[key] = value.clone();
            assert!(!is_valid(&policy(&bad)), "{key}: {value}");
        }
        for text in ["", "[]", "{}", r#"{"Statement": []}"#, r#"{"Version": "2020-01-01", "Statement": []}"#]
        {
            assert!(!is_valid(text), "{text}");
        }
    }
}
