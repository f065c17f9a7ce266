//! Judges a policy by its meaning: may Lambda pull for this function?

use super::condition::Context;
use super::statement::{self, Match, Principal, Request};
use super::{LAMBDA, PULL_ACTIONS, Pull, RepositoryPolicy};

/// What a policy means for Lambda, in words to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Lambda may pull.
    Allowed {
        /// Through which statements.
        by: Vec<String>,
        /// Statements that might deny it, depending on what this program cannot know.
        doubts: Vec<String>,
    },
    /// No statement certainly lets Lambda pull; adding one does.
    Missing {
        /// What is missing, and which statements come close.
        reasons: Vec<String>,
    },
    /// A statement denies it; adding one does not help.
    Denied {
        /// Which statement.
        by: String,
    },
}

impl Verdict {
    /// Tells whether Lambda may pull.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }

    /// The verdict in one line.
    pub fn explanation(&self) -> String {
        match self {
            Self::Allowed { by, doubts } if doubts.is_empty() => format!("allowed by {}", by.join(" and ")),
            Self::Allowed { by, doubts } => {
                format!("allowed by {}; but {}", by.join(" and "), doubts.join("; "))
            }
            Self::Missing { reasons } => reasons.join("; "),
            Self::Denied { by } => {
                format!("{by} denies it, and a denial wins over everything: only its owner can change that")
            }
        }
    }
}

impl RepositoryPolicy {
    /// Judges whether Lambda may pull; conditions that cannot be decided never count as a yes.
    pub fn judge(&self, pull: &Pull) -> Verdict {
        let source_arn = pull.source_arn();
        let resource = pull.repository_arn.as_deref();
        let context = Context { source_arn: Some(&source_arn), source_account: Some(&pull.account) };
        let lambda = Principal::Service(LAMBDA);
        let mut requests: Vec<Request<'_>> = PULL_ACTIONS
            .into_iter()
            .map(|action| Request { principal: lambda, action, resource, context })
            .collect();
        if pull.is_cross_account() {
            let principal = Principal::Account(&pull.account);
            requests.extend(PULL_ACTIONS.into_iter().map(|action| Request {
                principal,
                action,
                resource,
                context: Context::default(),
            }));
        }
        self.judge_all(&requests)
    }

    fn judge_all(&self, requests: &[Request<'_>]) -> Verdict {
        let named = || self.statements().iter().enumerate().map(|(i, it)| (statement::name(it, i), it));
        let (mut by, mut doubts, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        let note = |list: &mut Vec<String>, text: String| {
            if !list.contains(&text) {
                list.push(text);
            }
        };
        for request in requests {
            for (name, denying) in named().filter(|(_, it)| statement::is_effect(it, "Deny")) {
                match statement::applies(denying, request) {
                    Match::Yes => return Verdict::Denied { by: name },
                    Match::Unknown => note(
                        &mut doubts,
                        format!("{name} may deny it: it depends on what cannot be seen here"),
                    ),
                    Match::No => {}
                }
            }
            let (mut allowed, mut close) = (false, None);
            for (name, allowing) in named().filter(|(_, it)| statement::is_effect(it, "Allow")) {
                match statement::applies(allowing, request) {
                    Match::Yes => {
                        allowed = true;
                        note(&mut by, name);
                        break;
                    }
                    Match::Unknown => close = Some(name),
                    Match::No => {}
                }
            }
            if !allowed {
                let who = match request.principal {
                    Principal::Service(service) => format!("`{service}`"),
                    Principal::Account(account) => format!("account `{account}`"),
                };
                let mut reason = format!("no statement lets {who} do `{}`", request.action);
                if let Some(name) = close {
                    reason.push_str(&format!(
                        " for certain ({name} may, under conditions that cannot be decided here)"
                    ));
                }
                note(&mut reasons, reason);
            }
        }
        if reasons.is_empty() { Verdict::Allowed { by, doubts } } else { Verdict::Missing { reasons } }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::pull;
    use super::*;

    fn verdict(statements: Value) -> Verdict {
        verdict_for(&pull(), statements)
    }

    fn verdict_for(pull: &Pull, statements: Value) -> Verdict {
        let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        RepositoryPolicy::parse(&text).unwrap().judge(pull)
    }

    fn allow(principal: Value, action: Value) -> Value {
        json!({ "Effect": "Allow", "Principal": principal, "Action": action })
    }

    const BOTH: [&str; 2] = PULL_ACTIONS;

    #[test]
    fn grants_are_recognised_in_every_spelling() {
        let lambda = json!({ "Service": LAMBDA });
        for statements in [
            json!([allow(lambda.clone(), json!(BOTH))]),
            allow(lambda.clone(), json!(BOTH)),
            json!([allow(json!({"Service": ["ecs.amazonaws.com", LAMBDA]}), json!("ecr:*"))]),
            json!([allow(json!("*"), json!("*"))]),
            json!([allow(lambda.clone(), json!(["ecr:batchgetimage", "ECR:Get*"]))]),
            json!([allow(lambda.clone(), json!(BOTH[0])), allow(lambda.clone(), json!(BOTH[1]))]),
            json!([{"Effect": "Allow", "Principal": lambda, "NotAction": "ecr:PutImage"}]),
            json!([{"Effect": "Allow", "Principal": lambda, "Action": BOTH, "Resource": "*"}]),
            json!([{"Effect": "Allow", "NotPrincipal": {"Service": "ecs.amazonaws.com"}, "Action": BOTH}]),
        ] {
            assert!(verdict(statements.clone()).is_allowed(), "{statements}");
        }
    }

    #[test]
    fn what_is_not_certain_is_not_a_grant() {
        let lambda = json!({ "Service": LAMBDA });
        for statements in [
            json!([]),
            json!([allow(lambda.clone(), json!(BOTH[0]))]),
            json!([allow(json!({"Service": "ecs.amazonaws.com"}), json!(BOTH))]),
            json!([allow(json!({"AWS": "*"}), json!(BOTH))]),
            json!([allow(json!({"AWS": "arn:aws:iam::123456789012:root"}), json!("ecr:*"))]),
            json!([{"Effect": "Allow", "Principal": lambda, "Action": BOTH,
                "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}]),
            json!([{"Effect": "Allow", "Principal": lambda, "Action": BOTH,
                "Condition": {"StringLike": {"aws:sourceArn": "arn:aws:lambda:us-east-1:123456789012:function:*"}}}]),
            json!([{"Effect": "Allow", "Principal": lambda, "NotAction": "ecr:Batch*"}]),
            json!([{"Effect": "Allow", "NotPrincipal": lambda, "Action": BOTH}]),
            json!([{"Effect": "Allow", "Principal": lambda, "Action": BOTH, "Resource": "arn:aws:ecr:eu-west-1:123456789012:repository/other"}]),
        ] {
            let verdict = verdict(statements.clone());
            assert!(matches!(verdict, Verdict::Missing { .. }), "{statements}: {verdict:?}");
            assert!(!verdict.explanation().is_empty());
        }
    }

    #[test]
    fn a_denial_wins_and_is_named() {
        let grant = allow(json!({"Service": LAMBDA}), json!(BOTH));
        let deny = |condition: Value| json!({"Sid": "NoPull", "Effect": "Deny", "Principal": "*", "Action": "ecr:Get*", "Condition": condition});
        let denied =
            verdict(json!([grant, deny(json!({"StringNotLike": {"aws:sourceArn": "*:function:other"}}))]));
        assert_eq!(denied, Verdict::Denied { by: "statement `NoPull`".to_owned() });
        assert!(denied.explanation().contains("`NoPull`"));
        assert!(
            verdict(json!([grant, deny(json!({"Bool": {"aws:SecureTransport": "false"}}))])).is_allowed()
        );
        let doubtful = verdict(json!([grant, deny(json!({"StringNotEquals": {"aws:sourceVpce": "v"}}))]));
        assert!(matches!(&doubtful, Verdict::Allowed { doubts, .. } if doubts.len() == 1), "{doubtful:?}");
    }

    #[test]
    fn across_accounts_the_account_needs_a_grant_of_its_own() {
        let cross = Pull { repository_account: "999999999999".to_owned(), ..pull() };
        let lambda = allow(json!({"Service": LAMBDA}), json!(BOTH));
        assert!(!verdict_for(&cross, json!([lambda])).is_allowed());
        for principal in ["123456789012", "arn:aws:iam::123456789012:root", "*"] {
            let account = allow(json!({"AWS": principal}), json!(BOTH));
            assert!(verdict_for(&cross, json!([lambda, account])).is_allowed(), "{principal}");
        }
        let one_role = allow(json!({"AWS": ["arn:aws:iam::123456789012:role/ci"]}), json!(BOTH));
        assert!(!verdict_for(&cross, json!([lambda, one_role])).is_allowed());
    }
}
