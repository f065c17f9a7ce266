//! Conditions of statements, as far as Lambda's request answers them.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use serde_json::Value;

use super::statement::{Match, words};

/// What is known of the request. Keys that are not here are unknown, not absent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context<'a> {
    /// `aws:SourceArn`: the function.
    pub(super) source_arn: Option<&'a str>,
    /// `aws:SourceAccount`: its account.
    pub(super) source_account: Option<&'a str>,
}

impl<'a> Context<'a> {
    /// The value of a key; names of keys are compared without regard to case.
    fn value(&self, key: &str) -> Option<&'a str> {
        match key.to_ascii_lowercase().as_str() {
            "aws:sourcearn" => self.source_arn,
            "aws:sourceaccount" => self.source_account,
            // AWS services call each other over TLS only.
            "aws:securetransport" => Some("true"),
            _ => None,
        }
    }
}

/// Tells whether all conditions of a statement hold.
pub(super) fn holds(condition: Option<&Value>, context: &Context<'_>) -> Match {
    let Some(condition) = condition else { return Match::Yes };
    let Some(operators) = condition.as_object() else { return Match::Unknown };
    let mut result = Match::Yes;
    for (operator, keys) in operators {
        let Some(keys) = keys.as_object() else { return Match::Unknown };
        for (key, expected) in keys {
            result = result.and(compare(operator, context.value(key), &scalars(expected)));
        }
    }
    result
}

/// Values may be written as numbers and booleans, too.
fn scalars(expected: &Value) -> Vec<String> {
    match expected {
        Value::Array(list) => list.iter().flat_map(scalars).collect(),
        Value::Bool(_) | Value::Number(_) => vec![expected.to_string()],
        other => words(other).into_iter().map(str::to_owned).collect(),
    }
}

/// One operator on one key: it holds where any of the expected values fits.
fn compare(operator: &str, value: Option<&str>, expected: &[String]) -> Match {
    let operator = operator.strip_suffix("IfExists").unwrap_or(operator).to_ascii_lowercase();
    // The keys that are known have one value each, of which "any" and "all" say the same.
    let operator =
        operator.strip_prefix("foranyvalue:").or(operator.strip_prefix("forallvalues:")).unwrap_or(&operator);
    let Some(value) = value else { return Match::Unknown };
    // `${…}` stands for something of the request that is not known here.
    if expected.iter().any(|pattern| pattern.contains("${")) {
        return Match::Unknown;
    }
    let any =
        |fits: fn(&str, &str) -> bool| Match::from_bool(expected.iter().any(|pattern| fits(pattern, value)));
    match operator {
        "stringequals" => any(|pattern, value| pattern == value),
        "stringnotequals" => any(|pattern, value| pattern == value).not(),
        "stringequalsignorecase" | "bool" => any(|pattern, value| pattern.eq_ignore_ascii_case(value)),
        "stringnotequalsignorecase" => any(|pattern, value| pattern.eq_ignore_ascii_case(value)).not(),
        "stringlike" => any(|pattern, value| is_like(pattern, value, true)),
        "stringnotlike" => any(|pattern, value| is_like(pattern, value, true)).not(),
        "arnequals" | "arnlike" => any(is_arn_like),
        "arnnotequals" | "arnnotlike" => any(is_arn_like).not(),
        _ => Match::Unknown,
    }
}

/// Tells whether `text` fits a pattern in which `*` is any text and `?` any one character.
pub(super) fn is_like(pattern: &str, text: &str, case_matters: bool) -> bool {
    let fold = |text: &str| -> Vec<char> {
        if case_matters { text.chars().collect() } else { text.to_ascii_lowercase().chars().collect() }
    };
    let (pattern, text) = (fold(pattern), fold(text));
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stood, and how much of the text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// ARNs are compared part by part, so that `*` never crosses a colon before the resource.
fn is_arn_like(pattern: &str, arn: &str) -> bool {
    let (patterns, parts): (Vec<_>, Vec<_>) =
        (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    patterns.len() == parts.len()
        && patterns.iter().zip(&parts).all(|(pattern, part)| is_like(pattern, part, true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:hello";

    fn judged(condition: Value) -> Match {
        let context = Context { source_arn: Some(ARN), source_account: Some("123456789012") };
        holds(Some(&condition), &context)
    }

    #[test]
    fn wildcards_match_like_in_iam() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b", "xxaxxbxb", true),
            ("", "a", false),
        ] {
            assert_eq!(is_like(pattern, text, true), fits, "{pattern} {text}");
        }
        assert!(is_like("ECR:Batch*", "ecr:BatchGetImage", false));
    }

    #[test]
    fn conditions_on_the_source_are_decided() {
        use Match::{No, Unknown, Yes};
        for (condition, expected) in [
            (
                json!({"StringLike": {"aws:sourceArn": "arn:aws:lambda:eu-west-1:123456789012:function:*"}}),
                Yes,
            ),
            (json!({"StringLike": {"aws:sourceARN": ["x", ARN]}}), Yes),
            (json!({"StringEquals": {"AWS:SourceArn": ARN}}), Yes),
            (json!({"StringEquals": {"aws:SourceArn": "arn:aws:lambda:*"}}), No),
            (json!({"ArnLike": {"aws:SourceArn": "arn:*:lambda:*:123456789012:function:h?llo"}}), Yes),
            (json!({"ArnLike": {"aws:SourceArn": "arn:aws:lambda:*:function:hello"}}), No),
            (json!({"ArnEquals": {"aws:SourceArn": ARN}}), Yes),
            (json!({"StringEquals": {"aws:SourceAccount": ["1", "123456789012"]}}), Yes),
            (json!({"StringEquals": {"aws:SourceAccount": 123456789012_u64}}), Yes),
            (json!({"StringEquals": {"aws:SourceAccount": "999999999999"}}), No),
            (json!({"StringNotEquals": {"aws:SourceAccount": "999999999999"}}), Yes),
            (json!({"StringLikeIfExists": {"aws:sourceArn": "*"}}), Yes),
            (json!({"Bool": {"aws:SecureTransport": false}}), No),
            (json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}), Unknown),
            (json!({"StringEquals": {"aws:SourceAccount": "${aws:PrincipalAccount}"}}), Unknown),
            (json!({"ForAnyValue:StringLike": {"aws:sourceArn": ["x", "arn:aws:lambda:eu-west-1:*"]}}), Yes),
            (json!({"ForAllValues:StringLike": {"aws:sourceArn": "x"}}), No),
            (json!({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "*"}}), Unknown),
            (json!({"StringLike": {"aws:sourceArn": "*"}, "StringEquals": {"aws:SourceAccount": "9"}}), No),
        ] {
            assert_eq!(judged(condition.clone()), expected, "{condition}");
        }
    }
}
