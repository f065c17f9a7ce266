//! Policies of ECR repositories: what they let Lambda do, and how to let it without losing
//! anybody else's statement.
//!
//! The pipeline judges a policy before every deployment and merges only where Lambda may not
//! pull; the local cloud enforces it with the same judgement. The policy language is IAM's:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

mod condition;
mod judge;
mod merge;
mod statement;
mod trust;
#[cfg(test)]
mod wild_tests;
mod words;

use serde_json::{Map, Value, json};

use super::arn::Partition;
use super::function::FunctionName;

pub use judge::Verdict;
pub use merge::{MAX_CHARACTERS, MergeError, Merged};
pub use trust::{LAMBDA_TRUST, Trust, trusts_lambda};

/// The service that pulls.
const LAMBDA: &str = "lambda.amazonaws.com";

/// What Lambda has to be allowed.
/// <https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#gettingstarted-images-permissions>
const PULL_ACTIONS: [&str; 2] = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];

/// A policy, kept exactly as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct RepositoryPolicy {
    document: Map<String, Value>,
}

/// Says that a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a policy: {0}")]
pub struct InvalidPolicy(pub String);

impl Default for RepositoryPolicy {
    /// The policy of a repository that has none.
    fn default() -> Self {
        let mut document = Map::new();
        document.insert("Version".to_owned(), "2012-10-17".into());
        document.insert("Statement".to_owned(), json!([]));
        Self { document }
    }
}

impl RepositoryPolicy {
    /// Reads the text of a policy; nothing of it is lost.
    pub fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        let document: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| InvalidPolicy(error.to_string()))?;
        match document.get("Statement") {
            Some(Value::Array(statements)) if statements.iter().all(Value::is_object) => {}
            Some(Value::Object(_)) | None => {}
            Some(_) => return Err(InvalidPolicy("`Statement` is not a list of objects".to_owned())),
        }
        Ok(Self { document })
    }

    /// The text to store.
    pub fn text(&self) -> String {
        Value::Object(self.document.clone()).to_string()
    }

    /// The statements, in order; a single one may stand without a list.
    pub fn statements(&self) -> &[Value] {
        match self.document.get("Statement") {
            Some(Value::Array(statements)) => statements,
            Some(statement) => std::slice::from_ref(statement),
            None => &[],
        }
    }
}

/// Who pulls from which repository: Lambda for one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// Partition of both.
    pub partition: Partition,
    /// Region of both: Lambda pulls from its own region only.
    pub region: String,
    /// The account of the function.
    pub account: String,
    /// The function.
    pub function: FunctionName,
    /// The account that owns the repository.
    pub repository_account: String,
    /// The ARN of the repository, where known.
    pub repository_arn: Option<String>,
}

impl Pull {
    /// The ARN Lambda gives as `aws:SourceArn`.
    pub fn source_arn(&self) -> String {
        format!("{}{}", self.source_prefix(), self.function)
    }

    /// The pattern of all functions of the account in the region.
    fn source_pattern(&self) -> String {
        format!("{}*", self.source_prefix())
    }

    fn source_prefix(&self) -> String {
        format!("arn:{}:lambda:{}:{}:function:", self.partition, self.region, self.account)
    }

    /// The account as a principal.
    fn account_root(&self) -> String {
        format!("arn:{}:iam::{}:root", self.partition, self.account)
    }

    /// Tells whether the repository belongs to another account than the function.
    pub fn is_cross_account(&self) -> bool {
        !self.repository_account.is_empty() && self.repository_account != self.account
    }

    /// The statements that let Lambda pull: one, or two across accounts.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#images-permissions>
    pub fn statements(&self) -> Vec<Value> {
        // The key is one and the same; Lambda's guide spells it differently across accounts.
        let key = if self.is_cross_account() { "aws:sourceARN" } else { "aws:sourceArn" };
        let lambda = json!({
            "Sid": if self.is_cross_account() { merge::CROSS_ACCOUNT_SID } else { merge::SID },
            "Effect": "Allow",
            "Principal": { "Service": LAMBDA },
            "Action": PULL_ACTIONS,
            "Condition": { "StringLike": { key: self.source_pattern() } },
        });
        if !self.is_cross_account() {
            return vec![lambda];
        }
        let account = json!({
            "Sid": merge::ACCOUNT_SID,
            "Effect": "Allow",
            "Principal": { "AWS": self.account_root() },
            "Action": PULL_ACTIONS,
        });
        vec![account, lambda]
    }

    /// The statements as a text to hand to the owner of the repository.
    pub fn statements_text(&self) -> String {
        Self::text_of(self.statements())
    }

    /// The statements for several functions together, each list of accounts in one statement.
    pub fn all_statements_text(pulls: &[Self]) -> String {
        let together = RepositoryPolicy::default().merged_all(pulls);
        let statements = together.map(|merged| merged.policy.statements().to_vec());
        Self::text_of(statements.unwrap_or_else(|_| pulls.iter().flat_map(Self::statements).collect()))
    }

    fn text_of(statements: Vec<Value>) -> String {
        let value = if let [only] = statements.as_slice() { only.clone() } else { Value::Array(statements) };
        serde_json::to_string_pretty(&value).unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn pull() -> Pull {
        Pull {
            partition: Partition::of_region("eu-west-1"),
            region: "eu-west-1".to_owned(),
            account: "123456789012".to_owned(),
            function: "hello".parse().unwrap(),
            repository_account: "123456789012".to_owned(),
            repository_arn: Some("arn:aws:ecr:eu-west-1:123456789012:repository/hello".to_owned()),
        }
    }

    #[test]
    fn a_policy_keeps_its_order_and_its_unknown_members() {
        let text =
            r#"{"Version":"2008-10-17","Id":"x","Statement":{"Sid":"a","Zeta":1,"Alpha":[2]},"More":null}"#;
        let policy = RepositoryPolicy::parse(text).unwrap();
        assert_eq!(policy.text(), text);
        assert_eq!(policy.statements().len(), 1);
    }

    #[test]
    fn other_texts_are_no_policies() {
        for text in ["", "[]", "\"x\"", r#"{"Statement":"x"}"#, r#"{"Statement":[1]}"#] {
            assert!(RepositoryPolicy::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn across_accounts_two_statements_are_needed() {
        let cross = Pull { repository_account: "999999999999".to_owned(), ..pull() };
        assert!(cross.is_cross_account());
        assert_eq!(cross.statements().len(), 2);
        assert!(cross.statements_text().contains("arn:aws:iam::123456789012:root"));
        assert_eq!(pull().statements().len(), 1);
    }
}
