//! Adds Lambda's right to pull to a policy; every other statement stays exactly as it was.

use serde_json::{Map, Value, json};

use super::statement::words;
use super::{LAMBDA, PULL_ACTIONS, Pull, RepositoryPolicy, Verdict};

/// The name of our statement, the same that Lambda gives to the one it adds itself.
pub(super) const SID: &str = "LambdaECRImageRetrievalPolicy";

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
            match statements.iter_mut().find(|it| is_our_own(it, &wanted)) {
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
/// pull (Lambda's own also lets it manage its statement), and bound to functions at most.
fn is_our_own(statement: &Value, wanted: &Value) -> bool {
    const MANAGE: [&str; 3] =
        ["ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy", "ecr:GetRepositoryPolicy"];
    let Some(members) = statement.as_object() else { return false };
    let member = |name: &str| members.get(name).unwrap_or(&Value::Null);
    let only_lambda = member("Principal")
        .as_object()
        .is_some_and(|it| it.len() == 1 && it.get("Service").is_some_and(|names| words(names) == [LAMBDA]));
    let known_members = members
        .keys()
        .all(|key| matches!(key.as_str(), "Sid" | "Effect" | "Principal" | "Action" | "Condition"));
    member("Sid") == &wanted["Sid"]
        && member("Sid") != "CrossAccountPermission"
        && member("Effect") == "Allow"
        && only_lambda
        && known_members
        && words(member("Action")).iter().all(|it| PULL_ACTIONS.contains(it) || MANAGE.contains(it))
        && source_patterns(member("Condition")).is_some()
}

/// The patterns of functions a condition allows; `None` where it is about anything else.
fn source_patterns(condition: &Value) -> Option<Vec<&str>> {
    if condition.is_null() {
        return Some(Vec::new());
    }
    let (operator, keys) = only(condition.as_object()?)?;
    let (key, patterns) = only(keys.as_object()?)?;
    let fits =
        matches!(operator.as_str(), "StringLike" | "ArnLike") && key.eq_ignore_ascii_case("aws:sourceArn");
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

    /// A small generator (xorshift), so that a failing seed can be run again.
    struct Seeded(u64);

    impl Seeded {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % limit as u64).unwrap()
        }

        fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
            &list[self.below(list.len())]
        }

        fn statement(&mut self) -> Value {
            let mut members = Map::new();
            let sids = [json!(SID), json!("LambdaECRImageRetrievalPolicy2"), json!("other"), Value::Null];
            if let sid @ Value::String(_) = self.pick(&sids) {
                members.insert("Sid".to_owned(), sid.clone());
            }
            members.insert("Effect".to_owned(), json!("Allow"));
            let principals =
                [json!("*"), json!({"Service": LAMBDA}), json!({"Service": [LAMBDA]}), json!({"AWS": "1"})];
            members.insert("Principal".to_owned(), self.pick(&principals).clone());
            let actions =
                [json!("ecr:PutImage"), json!("ecr:Batch*"), json!(PULL_ACTIONS), json!([PULL_ACTIONS[0]])];
            members.insert("Action".to_owned(), self.pick(&actions).clone());
            let conditions = [
                Value::Null,
                json!({"StringLike": {"aws:sourceArn": "arn:aws:lambda:us-east-1:1:function:*"}}),
                json!({"ArnLike": {"AWS:SourceArn": ["arn:aws:lambda:us-east-1:1:function:*"]}}),
                json!({"StringEquals": {"aws:PrincipalOrgID": "o"}}),
            ];
            if let condition @ Value::Object(_) = self.pick(&conditions) {
                members.insert("Condition".to_owned(), condition.clone());
            }
            Value::Object(members)
        }
    }

    #[test]
    fn whatever_is_there_nothing_is_lost_and_lambda_may_pull() {
        for seed in 1..=2_000_u64 {
            let mut random = Seeded(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let count = random.below(5);
            let statements: Vec<Value> = (0..count).map(|_| random.statement()).collect();
            let before = policy(Value::Array(statements.clone()));
            let Merged { policy: after, changed } = before.merged(&pull()).unwrap();
            assert!(after.judge(&pull()).is_allowed(), "seed {seed}: {before:?}");
            assert_eq!(changed, !before.judge(&pull()).is_allowed(), "seed {seed}");
            assert!(after.statements().len() >= count, "seed {seed}");
            for (old, new) in statements.iter().zip(after.statements()) {
                if old != new {
                    assert!(is_our_own(old, &pull().statements()[0]), "seed {seed}: {old}");
                    let had = words(&old["Action"]);
                    assert!(had.iter().all(|it| words(&new["Action"]).contains(it)), "seed {seed}");
                    let kept = source_patterns(&new["Condition"]).unwrap();
                    assert!(source_patterns(&old["Condition"]).unwrap().iter().all(|it| kept.contains(it)));
                }
            }
            let again = after.merged(&pull()).unwrap();
            assert!(!again.changed && again.policy == after, "seed {seed}");
        }
    }
}
