//! Trust documents of roles: may Lambda assume the role?

use super::condition::Context;
use super::statement::{self, Match, Principal, Request};
use super::{LAMBDA, RepositoryPolicy};

/// The trust document of a role for Lambda functions.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html>
pub const LAMBDA_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// What a trust document means for Lambda.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Lambda can assume the role (once IAM has spread the news).
    Trusted,
    /// It cannot, and waiting does not help.
    NotTrusted,
    /// It depends on conditions that cannot be decided, or the document cannot be read.
    Unknown,
}

/// Judges the trust document of a role.
pub fn trusts_lambda(document: &str) -> Trust {
    let Ok(policy) = RepositoryPolicy::parse(document) else { return Trust::Unknown };
    let request = Request {
        principal: Principal::Service(LAMBDA),
        action: "sts:AssumeRole",
        resource: None,
        context: Context::default(),
    };
    let judged = |effect: &str| {
        let statements = policy.statements().iter().filter(|it| statement::is_effect(it, effect));
        statements.map(|it| statement::applies(it, &request)).fold(Match::No, Match::or)
    };
    match (judged("Allow"), judged("Deny")) {
        (Match::No, _) | (_, Match::Yes) => Trust::NotTrusted,
        (Match::Yes, Match::No) => Trust::Trusted,
        _ => Trust::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_read_from_the_document() {
        assert_eq!(trusts_lambda(LAMBDA_TRUST), Trust::Trusted);
        assert_eq!(trusts_lambda(&LAMBDA_TRUST.replace("lambda.", "ec2.")), Trust::NotTrusted);
        assert_eq!(trusts_lambda("not json"), Trust::Unknown);
        let conditional = LAMBDA_TRUST.replace(
            r#""Action":"sts:AssumeRole""#,
            r#""Action":"sts:*","Condition":{"StringEquals":{"aws:SourceAccount":"1"}}"#,
        );
        assert_eq!(trusts_lambda(&conditional), Trust::Unknown);
    }
}
