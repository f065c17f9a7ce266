//! Statements of a policy in plain words, one line each.

use serde_json::Value;

use super::RepositoryPolicy;
use super::statement::{self, words};

impl RepositoryPolicy {
    /// What each statement says, in order.
    pub fn in_words(&self) -> Vec<String> {
        self.statements().iter().enumerate().map(|(index, it)| describe(it, index)).collect()
    }
}

fn describe(of: &Value, index: usize) -> String {
    let name = statement::name(of, index);
    let verb = match of["Effect"].as_str() {
        Some("Allow") => "lets",
        Some("Deny") => "does not let",
        _ => return format!("{name} neither allows nor denies anything"),
    };
    let who = match (of.get("Principal"), of.get("NotPrincipal")) {
        (Some(named), _) => principals(named),
        (None, Some(excluded)) => format!("everyone but {}", principals(excluded)),
        (None, None) => "nobody".to_owned(),
    };
    let what = match (of.get("Action"), of.get("NotAction")) {
        (Some(list), _) => actions(list),
        (None, Some(list)) => format!("everything but {}", quoted(&words(list), "and")),
        (None, None) => "nothing".to_owned(),
    };
    let resource = of.get("Resource").map(|list| format!(" on {}", quoted(&words(list), "and")));
    let conditions = of.get("Condition").map(conditions).filter(|text| !text.is_empty());
    let conditions = conditions.map(|text| format!(", where {text}"));
    format!("{name} {verb} {who} do {what}{}{}", resource.unwrap_or_default(), conditions.unwrap_or_default())
}

fn principals(named: &Value) -> String {
    if named == "*" {
        return "everyone".to_owned();
    }
    let Some(kinds) = named.as_object() else { return format!("`{named}`") };
    let all: Vec<String> = kinds
        .values()
        .flat_map(words)
        .map(|principal| match account(principal) {
            Some(account) => format!("account `{account}`"),
            None if principal == "*" => "everyone".to_owned(),
            None => format!("`{principal}`"),
        })
        .collect();
    listed(&all, "and")
}

/// The account a principal stands for as a whole.
fn account(principal: &str) -> Option<&str> {
    let account = match principal.strip_suffix(":root") {
        Some(arn) => arn.rsplit(':').next()?,
        None => principal,
    };
    (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())).then_some(account)
}

fn actions(list: &Value) -> String {
    let list = words(list);
    if list.iter().any(|action| matches!(*action, "*" | "ecr:*")) {
        return "everything".to_owned();
    }
    quoted(&list, "and")
}

fn conditions(conditions: &Value) -> String {
    let operators = conditions.as_object().into_iter().flatten();
    let parts: Vec<String> = operators
        .flat_map(|(operator, keys)| {
            let keys = keys.as_object().into_iter().flatten();
            keys.map(move |(key, values)| condition(operator, key, values))
        })
        .collect();
    listed(&parts, "and")
}

fn condition(operator: &str, key: &str, values: &Value) -> String {
    let (of_set, bare) = match operator.split_once(':') {
        Some(("ForAllValues", rest)) => ("each value of ", rest),
        Some((_, rest)) => ("", rest),
        None => ("", operator),
    };
    let (optional, bare) = match bare.strip_suffix("IfExists") {
        Some(bare) => (" (if it is there)", bare),
        None => ("", bare),
    };
    let verb = match bare.to_ascii_lowercase().as_str() {
        "stringequals" | "arnequals" | "bool" | "numericequals" | "dateequals" => "is".to_owned(),
        "stringequalsignorecase" => "is, in whatever case,".to_owned(),
        "stringlike" | "arnlike" => "is like".to_owned(),
        "stringnotequals" | "arnnotequals" | "numericnotequals" | "stringnotequalsignorecase" => {
            "is not".to_owned()
        }
        "stringnotlike" | "arnnotlike" => "is not like".to_owned(),
        "ipaddress" => "is in".to_owned(),
        "notipaddress" => "is not in".to_owned(),
        _ => format!("fits `{operator}` with"),
    };
    let values: Vec<String> = match values {
        Value::Array(list) => list.iter().map(shown).collect(),
        one => vec![shown(one)],
    };
    format!("{of_set}`{key}`{optional} {verb} {}", listed(&values, "or"))
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| format!("`{value}`"), |text| format!("`{text}`"))
}

fn quoted(list: &[&str], last: &str) -> String {
    listed(&list.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>(), last)
}

/// `a, b and c`
fn listed(list: &[String], last: &str) -> String {
    match list {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [head @ .., tail] => format!("{} {last} {tail}", head.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statements_are_told_as_one_would_say_them() {
        for (statement, words) in [
            (
                json!({"Sid": "Own", "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"},
                    "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                    "Condition": {"StringLike": {"aws:sourceArn": ["arn:a:*", "arn:b:*"]}}}),
                "statement `Own` lets `lambda.amazonaws.com` do `ecr:BatchGetImage` and `ecr:GetDownloadUrlForLayer`, where `aws:sourceArn` is like `arn:a:*` or `arn:b:*`",
            ),
            (
                json!({"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::123456789012:root", "210987654321", "arn:aws:iam::1:role/ci"]}, "Action": "ecr:*"}),
                "statement number 1 lets account `123456789012`, account `210987654321` and `arn:aws:iam::1:role/ci` do everything",
            ),
            (
                json!({"Sid": "Tls", "Effect": "Deny", "Principal": "*", "NotAction": "ecr:Describe*", "Condition": {"Bool": {"aws:SecureTransport": false}}}),
                "statement `Tls` does not let everyone do everything but `ecr:Describe*`, where `aws:SecureTransport` is `false`",
            ),
            (
                json!({"Effect": "Allow", "NotPrincipal": {"AWS": "*"}, "Action": "ecr:GetAuthorizationToken", "Resource": "*",
                    "Condition": {"ForAllValues:DateLessThanIfExists": {"aws:CurrentTime": "2026"}}}),
                "statement number 1 lets everyone but everyone do `ecr:GetAuthorizationToken` on `*`, where each value of `aws:CurrentTime` (if it is there) fits `ForAllValues:DateLessThanIfExists` with `2026`",
            ),
            (json!({}), "statement number 1 neither allows nor denies anything"),
        ] {
            assert_eq!(describe(&statement, 0), words);
        }
    }
}
