//! Adds Lambda's right to pull to a policy; every other statement stays exactly as it was.

use serde_json::{Map, Value, json};

use super::statement::words;
use super::{LAMBDA, PULL_ACTIONS, Pull, RepositoryPolicy, Verdict};

/// The name of our statement, the same that Lambda gives to the one it adds itself.
pub(super) const SID: &str = "LambdaECRImageRetrievalPolicy";

/// The names of the two statements across accounts, as in Lambda's guide.
/// <https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#images-permissions>
pub(super) const CROSS_ACCOUNT_SID: &str = "LambdaECRImageCrossAccountRetrievalPolicy";
pub(super) const ACCOUNT_SID: &str = "CrossAccountPermission";

/// The longest policy ECR stores, in characters.
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_SetRepositoryPolicy.html>
pub const MAX_CHARACTERS: usize = 10_240;

/// A policy that lets Lambda pull.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The policy.
    pub policy: RepositoryPolicy,
    /// Whether it differs from what was there.
    pub changed: bool,
}

/// Says why no statement can help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// A statement denies what Lambda needs.
    #[error("{0} denies what Lambda needs to pull")]
    Denied(String),
    /// The result would be longer than ECR stores.
    #[error("the policy would have {0} characters, and ECR stores at most {MAX_CHARACTERS}")]
    TooLong(usize),
}

impl RepositoryPolicy {
    /// Lets Lambda pull where it may not yet.
    ///
    /// A statement that is Lambda's own (by its meaning, not only by its name) is extended;
    /// otherwise one is added under a name nobody uses.
    pub fn merged(&self, pull: &Pull) -> Result<Merged, MergeError> {
        match self.judge(pull) {
            Verdict::Allowed { .. } => return Ok(Merged { policy: self.clone(), changed: false }),
            Verdict::Denied { by } => return Err(MergeError::Denied(by)),
            Verdict::Missing { .. } => {}
        }
        let mut statements = self.statements().to_vec();
        for wanted in pull.statements() {
            // Of the two statements across accounts, one may be there already.
            let alone = self.with(vec![wanted.clone()]);
            if self.covers(&alone, pull) {
                continue;
            }
            match statements.iter_mut().find(|it| is_our_own(it, &wanted, pull)) {
                Some(own) => extend(own, pull),
                None => statements.push(renamed(wanted, &statements)),
            }
        }
        let policy = self.with(statements);
        let characters = policy.text().chars().count();
        if characters > MAX_CHARACTERS {
            return Err(MergeError::TooLong(characters));
        }
        Ok(Merged { policy, changed: true })
    }

    /// Lets Lambda pull for all of these functions, most often of several accounts.
    pub fn merged_all(&self, pulls: &[Pull]) -> Result<Merged, MergeError> {
        let mut merged = Merged { policy: self.clone(), changed: false };
        for pull in pulls {
            let next = merged.policy.merged(pull)?;
            merged = Merged { changed: merged.changed || next.changed, policy: next.policy };
        }
        Ok(merged)
    }

    fn with(&self, statements: Vec<Value>) -> Self {
        let mut document = self.document.clone();
        if document.is_empty() {
            document = Self::default().document;
        }
        document.insert("Statement".to_owned(), Value::Array(statements));
        Self { document }
    }

    /// Tells whether nothing is gained by the only statement of `addition`.
    fn covers(&self, addition: &Self, pull: &Pull) -> bool {
        let missing = |verdict: Verdict| match verdict {
            Verdict::Missing { reasons } => reasons,
            _ => Vec::new(),
        };
        let before = missing(self.judge(pull));
        let joined = self.with(self.statements().iter().chain(addition.statements()).cloned().collect());
        missing(joined.judge(pull)) == before
    }
}

/// Tells whether a statement is one Lambda or this program has made: only for Lambda, only to
/// pull (Lambda's own also lets it manage its statement), and bound to functions at most; or
/// only for whole accounts, and only to pull. Where an action is missing it may only be about our
/// own account: adding it would give it to others.
pub(super) fn is_our_own(statement: &Value, wanted: &Value, pull: &Pull) -> bool {
    const MANAGE: [&str; 3] =
        ["ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy", "ecr:GetRepositoryPolicy"];
    let Some(members) = statement.as_object() else { return false };
    let member = |name: &str| members.get(name).unwrap_or(&Value::Null);
    let only_kind =
        |kind: &str| member("Principal").as_object().filter(|it| it.len() == 1)?.get(kind).map(words);
    let is_for_accounts = wanted["Principal"].get("AWS").is_some();
    let only_such_principals = match is_for_accounts {
        true => {
            only_kind("AWS").is_some_and(|all| !all.is_empty() && all.iter().all(|it| is_whole_account(it)))
        }
        false => only_kind("Service").is_some_and(|all| all == [LAMBDA]),
    };
    let known_members = members
        .keys()
        .all(|key| matches!(key.as_str(), "Sid" | "Effect" | "Principal" | "Action" | "Condition"));
    let only_such_actions = words(member("Action"))
        .iter()
        .all(|it| PULL_ACTIONS.contains(it) || (!is_for_accounts && MANAGE.contains(it)));
    let Some(patterns) = source_patterns(member("Condition")) else { return false };
    let actions = words(member("Action"));
    let has_all = PULL_ACTIONS.iter().all(|action| actions.contains(action));
    let only_ours = match is_for_accounts {
        true => only_kind("AWS").is_some_and(|all| all.iter().all(|it| it.contains(&pull.account))),
        false => !patterns.is_empty() && patterns.iter().all(|it| it.starts_with(&pull.source_prefix())),
    };
    is_named_like(member("Sid"), &wanted["Sid"])
        && member("Effect") == "Allow"
        && only_such_principals
        && known_members
        && only_such_actions
        && (!is_for_accounts || member("Condition").is_null())
        && (has_all || only_ours)
}

/// Tells whether a name is the wanted one, or that with the number it got because the wanted one
/// was taken.
fn is_named_like(sid: &Value, wanted: &Value) -> bool {
    let number = sid.as_str().zip(wanted.as_str()).and_then(|(sid, wanted)| sid.strip_prefix(wanted));
    number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
}

/// Tells whether a principal is an account as a whole: its number, or its root.
fn is_whole_account(principal: &str) -> bool {
    let account = match principal.strip_suffix(":root") {
        Some(arn) if arn.starts_with("arn:") => arn.rsplit(':').next().unwrap_or_default(),
        Some(_) => "",
        None => principal,
    };
    account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())
}

/// The patterns of functions a condition allows; `None` where it is about anything else.
pub(super) fn source_patterns(condition: &Value) -> Option<Vec<&str>> {
    if condition.is_null() {
        return Some(Vec::new());
    }
    let (operator, keys) = only(condition.as_object()?)?;
    let (key, patterns) = only(keys.as_object()?)?;
    let fits = matches!(
        operator.as_str(),
        "StringLike" | "ArnLike" | "ForAnyValue:StringLike" | "ForAnyValue:ArnLike"
    ) && key.eq_ignore_ascii_case("aws:sourceArn");
    fits.then(|| words(patterns))
}

fn only(map: &Map<String, Value>) -> Option<(&String, &Value)> {
    map.iter().next().filter(|_| map.len() == 1)
}

/// Adds what is missing to our own statement; what it allows already stays.
fn extend(statement: &mut Value, pull: &Pull) {
    let mut actions: Vec<String> = words(&statement["Action"]).into_iter().map(str::to_owned).collect();
    for action in PULL_ACTIONS {
        if !actions.iter().any(|it| it == action) {
            actions.push(action.to_owned());
        }
    }
    statement["Action"] = json!(actions);
    if let Some(accounts) = statement["Principal"].get_mut("AWS") {
        let mut list: Vec<String> = words(accounts).into_iter().map(str::to_owned).collect();
        let root = pull.account_root();
        if !list.contains(&root) && !list.contains(&pull.account) {
            list.push(root);
        }
        *accounts = json!(list);
    }
    let Some(keys) = statement.get_mut("Condition").and_then(Value::as_object_mut) else { return };
    for patterns in keys.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        let mut list: Vec<String> = words(patterns).into_iter().map(str::to_owned).collect();
        let pattern = pull.source_pattern();
        if !list.contains(&pattern) {
            list.push(pattern);
        }
        *patterns = json!(list);
    }
}

/// Gives a new statement a name nobody uses.
fn renamed(mut wanted: Value, statements: &[Value]) -> Value {
    let base = wanted["Sid"].as_str().unwrap_or(SID).to_owned();
    let taken = |sid: &str| statements.iter().any(|it| it["Sid"] == sid);
    let names = std::iter::once(base.clone()).chain((2_u32..).map(|number| format!("{base}{number}")));
    if let Some(free) = names.into_iter().find(|sid| !taken(sid)) {
        wanted["Sid"] = free.into();
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::super::tests::pull;
    use super::*;

    fn policy(statements: Value) -> RepositoryPolicy {
        RepositoryPolicy::parse(&json!({ "Version": "2008-10-17", "Statement": statements }).to_string())
            .unwrap()
    }

    fn others_own(pattern: &str) -> Value {
        json!({"Sid": SID, "Effect": "Allow", "Principal": {"Service": LAMBDA},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:SetRepositoryPolicy"],
            "Condition": {"StringLike": {"aws:sourceArn": pattern}}})
    }

    #[test]
    fn a_repository_without_policy_gets_the_documented_one() {
        let merged = RepositoryPolicy::default().merged(&pull()).unwrap();
        assert_eq!(
            merged.policy.text(),
            r#"{"Version":"2012-10-17","Statement":[{"Sid":"LambdaECRImageRetrievalPolicy","Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Condition":{"StringLike":{"aws:sourceArn":"arn:aws:lambda:eu-west-1:123456789012:function:*"}}}]}"#
        );
        assert!(!merged.policy.merged(&pull()).unwrap().changed);
    }

    #[test]
    fn a_sufficient_policy_is_not_touched() {
        let before = policy(others_own("arn:aws:lambda:eu-west-1:123456789012:function:hello"));
        let merged = before.merged(&pull()).unwrap();
        assert!(!merged.changed);
        assert_eq!(merged.policy.text(), before.text());
    }

    #[test]
    fn lambdas_own_statement_is_extended_and_keeps_what_it_had() {
        let other = "arn:aws:lambda:us-east-1:123456789012:function:*";
        let merged = policy(json!([others_own(other)])).merged(&pull()).unwrap();
        let [statement] = merged.policy.statements() else { panic!("{:?}", merged.policy) };
        assert_eq!(
            statement["Condition"]["StringLike"]["aws:sourceArn"],
            json!([other, "arn:aws:lambda:eu-west-1:123456789012:function:*"])
        );
        assert_eq!(statement["Action"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_foreign_statement_with_our_name_is_left_alone() {
        let foreign = json!({"Sid": SID, "Effect": "Allow", "Principal": {"AWS": "999999999999"}, "Action": "ecr:PutImage"});
        let merged = policy(json!([foreign])).merged(&pull()).unwrap();
        assert_eq!(merged.policy.statements()[0], foreign);
        assert_eq!(merged.policy.statements()[1]["Sid"], "LambdaECRImageRetrievalPolicy2");
    }

    #[test]
    fn a_single_statement_without_a_list_survives() {
        let single =
            json!({"Sid": "one", "Effect": "Allow", "Principal": "*", "Action": "ecr:DescribeImages"});
        let merged = policy(single.clone()).merged(&pull()).unwrap();
        assert_eq!(merged.policy.statements()[0], single);
        assert_eq!(merged.policy.document["Version"], "2008-10-17");
    }

    #[test]
    fn a_denial_cannot_be_mended_and_a_full_policy_says_so() {
        let deny = json!([{"Sid": "No", "Effect": "Deny", "Principal": "*", "Action": "ecr:*"}]);
        assert_eq!(policy(deny).merged(&pull()), Err(MergeError::Denied("statement `No`".to_owned())));
        let long = json!([{"Sid": "x".repeat(10_100), "Effect": "Allow", "Principal": "*", "Action": "ecr:PutImage"}]);
        assert!(matches!(policy(long).merged(&pull()), Err(MergeError::TooLong(n)) if n > MAX_CHARACTERS));
    }

    #[test]
    fn across_accounts_only_the_missing_half_is_added() {
        let cross = Pull { repository_account: "999999999999".to_owned(), ..pull() };
        let [account, _] = cross.statements().try_into().unwrap();
        let merged = policy(json!([account])).merged(&cross).unwrap();
        assert_eq!(merged.policy.statements().len(), 2);
        assert!(merged.policy.judge(&cross).is_allowed());
    }

    #[test]
    fn several_accounts_are_listed_one_by_one_in_two_statements() {
        let cross = |account: &str| Pull {
            account: account.to_owned(),
            repository_account: "999999999999".to_owned(),
            ..pull()
        };
        let accounts = ["111111111111", "222222222222", "333333333333"];
        let pulls: Vec<Pull> = accounts.into_iter().map(cross).collect();
        let merged = RepositoryPolicy::default().merged_all(&pulls).unwrap();
        let [account, lambda] = merged.policy.statements() else { panic!("{:?}", merged.policy) };
        let roots: Vec<_> = accounts.iter().map(|it| format!("arn:aws:iam::{it}:root")).collect();
        assert_eq!(
            (&account["Sid"], &account["Principal"]["AWS"]),
            (&json!("CrossAccountPermission"), &json!(roots))
        );
        assert_eq!(lambda["Sid"], "LambdaECRImageCrossAccountRetrievalPolicy");
        let patterns: Vec<_> =
            accounts.iter().map(|it| format!("arn:aws:lambda:eu-west-1:{it}:function:*")).collect();
        assert_eq!(lambda["Condition"]["StringLike"]["aws:sourceARN"], json!(patterns));
        assert!(pulls.iter().all(|pull| merged.policy.judge(pull).is_allowed()));
        assert!(!merged.policy.merged_all(&pulls).unwrap().changed);
    }

    #[test]
    fn an_account_statement_that_names_a_user_or_a_condition_is_not_extended() {
        let cross = Pull { repository_account: "999999999999".to_owned(), ..pull() };
        for (member, value) in [
            ("Principal", json!({"AWS": ["arn:aws:iam::111111111111:role/ci"]})),
            ("Principal", json!({"AWS": "*"})),
            ("Action", json!(["ecr:BatchGetImage", "ecr:PutImage"])),
            ("Condition", json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}})),
        ] {
            let mut statement = json!({"Sid": ACCOUNT_SID, "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111111111111:root"}, "Action": PULL_ACTIONS});
            statement[member] = value.clone();
            let merged = policy(json!([statement])).merged(&cross).unwrap();
            assert_eq!(merged.policy.statements()[0], statement, "{member}: {value}");
            assert!(merged.policy.judge(&cross).is_allowed());
        }
    }

    #[test]
    fn many_accounts_fit_until_the_policy_is_full_and_then_it_says_so() {
        let cross = |number: u64| Pull {
            account: format!("{:012}", 100_000_000_000 + number),
            repository_account: "999999999999".to_owned(),
            ..pull()
        };
        let mut policy = RepositoryPolicy::default();
        for number in 0..500 {
            match policy.merged(&cross(number)) {
                Ok(merged) => policy = merged.policy,
                Err(error) => {
                    assert!(matches!(error, MergeError::TooLong(length) if length > MAX_CHARACTERS));
                    assert!(number > 90, "two lists grow by about a hundred characters an account: {number}");
                    assert!(policy.text().chars().count() <= MAX_CHARACTERS);
                    return;
                }
            }
        }
        panic!("the limit is never reached");
    }
}
