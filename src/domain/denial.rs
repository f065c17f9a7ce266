//! What AWS says where a permission is missing: which action, on what, and which kind of policy
//! keeps the caller out. Services make it from the text of an answer, and hint with it.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>

use serde_json::{Value, json};

use super::arn::Arn;

/// A refused call, as far as the answer tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Who asked: the ARN of a user or role.
    pub principal: Option<String>,
    /// What is not allowed, such as `iam:PassRole`.
    pub action: String,
    /// On what; `None` where the answer does not tell.
    pub resource: Option<String>,
    /// What keeps the caller out.
    pub cause: Cause,
}

/// What keeps a caller out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No policy of this kind allows it.
    NotAllowed(String),
    /// A policy of this kind denies it, and a denial wins over everything.
    Denied {
        /// Such as `service control policy`.
        kind: String,
        /// Its ARN, where it is told.
        policy: Option<String>,
    },
    /// The answer does not tell; most often no policy of the caller allows it.
    Untold,
}

impl Denial {
    /// Reads the text of an answer; `None` where it names no action.
    pub fn parse(message: &str) -> Option<Self> {
        let (before, rest) = message.split_once("is not authorized to perform: ")?;
        let principal = before.split_once("User: ").map(|(_, user)| user.trim().to_owned());
        let (action, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let action = action.trim_end_matches([',', '.', '\'', '"']);
        if !action.contains(':') {
            return None;
        }
        let resource = rest.split_once("on resource: ").and_then(|(_, rest)| rest.split_whitespace().next());
        let resource =
            resource.map(|arn| arn.trim_end_matches([',', '.', '\'', '"'])).filter(|arn| !arn.is_empty());
        Some(Self {
            principal: principal.filter(|principal| !principal.is_empty()),
            action: action.to_owned(),
            resource: resource.map(str::to_owned),
            cause: Cause::parse(rest),
        })
    }

    /// A refusal whose text tells nothing: the action is the call's own.
    pub fn untold(action: impl Into<String>) -> Self {
        Self { principal: None, action: action.into(), resource: None, cause: Cause::Untold }
    }

    /// The statement that is missing. It says who, where it belongs to the resource.
    pub fn statement(&self) -> Value {
        let mut statement = json!({ "Effect": "Allow", "Action": self.action });
        if self.cause.is_about_resource() {
            statement["Principal"] = json!({ "AWS": self.caller() });
        } else {
            statement["Resource"] = self.resource.as_deref().unwrap_or("*").into();
        }
        if self.action.eq_ignore_ascii_case("iam:PassRole") {
            statement["Condition"] =
                json!({ "StringEquals": { "iam:PassedToService": "lambda.amazonaws.com" } });
        }
        statement
    }

    /// The account of the caller as policies name it, else what is known of the caller.
    fn caller(&self) -> String {
        let principal = self.principal.as_deref().unwrap_or_default();
        match principal.parse::<Arn>() {
            Ok(arn) if !arn.account.is_empty() => format!("arn:{}:iam::{}:root", arn.partition, arn.account),
            _ => principal.to_owned(),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        let Self { action, .. } = self;
        let on = self.resource.as_deref().map(|resource| format!(" on `{resource}`")).unwrap_or_default();
        let statement = format!("{:#}", self.statement());
        match &self.cause {
            Cause::Denied { kind, policy } => {
                let which = policy.as_deref().map(|policy| format!(" (`{policy}`)")).unwrap_or_default();
                format!(
                    "a {kind}{which} denies `{action}`{on}, and a denial wins over every permission: only whoever manages that policy can change it"
                )
            }
            Cause::NotAllowed(kind) if self.cause.is_about_resource() => format!(
                "`{action}`{on} needs a permission of the resource's owner, too: add to its {kind}:\n{statement}"
            ),
            Cause::NotAllowed(kind) if kind != IDENTITY => {
                format!("no {kind} allows `{action}`{on}; whoever manages it has to add:\n{statement}")
            }
            _ => format!(
                "the caller's IAM policy has to allow `{action}`{on} (`lambdactl policy iam` prints all that is needed); add:\n{statement}"
            ),
        }
    }
}

/// The policies of users, groups and roles.
const IDENTITY: &str = "identity-based policy";

impl Cause {
    /// Recorded: `because no identity-based policy allows the iam:PassRole action`, and `with an
    /// explicit deny in a service control policy: arn:aws:organizations::…`; older answers end
    /// with the resource.
    fn parse(text: &str) -> Self {
        let kind = |text: &str, end: &str| text.split(end).next().map(|kind| kind.trim().to_owned());
        if let Some((_, rest)) = text.split_once("with an explicit deny in ") {
            let rest = rest.trim_start_matches("an ").trim_start_matches("a ");
            let (name, after) = rest.split_once("policy").map_or((rest, ""), |(name, after)| (name, after));
            let kind = if rest.starts_with("permissions boundary") {
                "permissions boundary".to_owned()
            } else {
                format!("{}policy", name)
            };
            let policy = after.split_whitespace().find(|word| word.starts_with("arn:"));
            return Self::Denied {
                kind,
                policy: policy.map(|arn| arn.trim_end_matches(['.', ',']).to_owned()),
            };
        }
        let missing = text.split_once("because no ").and_then(|(_, rest)| kind(rest, " allows"));
        missing.filter(|kind| !kind.is_empty()).map_or(Self::Untold, Self::NotAllowed)
    }

    /// Tells whether a policy of the resource has to be changed, not one of the caller.
    fn is_about_resource(&self) -> bool {
        matches!(self, Self::NotAllowed(kind) if kind == "resource-based policy")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPOSITORY: &str = "arn:aws:ecr:eu-west-2:210987654321:repository/team/hello";

    /// The texts were recorded by users in public issues; names and accounts are changed.
    fn recorded(cause: &str) -> Denial {
        let text = format!(
            "User: arn:aws:sts::123456789012:assumed-role/ci/GitHubActions is not authorized to perform: ecr:InitiateLayerUpload on resource: {REPOSITORY}{cause}"
        );
        Denial::parse(&text).unwrap()
    }

    #[test]
    fn action_resource_and_caller_are_read() {
        for cause in ["", " because no identity-based policy allows the ecr:InitiateLayerUpload action"] {
            let denial = recorded(cause);
            assert_eq!(denial.action, "ecr:InitiateLayerUpload");
            assert_eq!(denial.resource.as_deref(), Some(REPOSITORY));
            assert_eq!(
                denial.principal.as_deref(),
                Some("arn:aws:sts::123456789012:assumed-role/ci/GitHubActions")
            );
            assert_eq!(
                denial.statement(),
                json!({"Effect": "Allow", "Action": "ecr:InitiateLayerUpload", "Resource": REPOSITORY})
            );
            assert!(denial.hint().contains("the caller's IAM policy has to allow `ecr:InitiateLayerUpload`"));
        }
    }

    #[test]
    fn what_keeps_the_caller_out_decides_what_helps() {
        let owner = recorded(" because no resource-based policy allows the ecr:InitiateLayerUpload action");
        assert_eq!(
            owner.statement(),
            json!({"Effect": "Allow", "Action": "ecr:InitiateLayerUpload", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}})
        );
        assert!(owner.hint().contains("owner"), "{}", owner.hint());
        for (cause, kind, policy) in [
            (" with an explicit deny in an identity-based policy", "identity-based policy", None),
            (" with an explicit deny in a permissions boundary", "permissions boundary", None),
            (
                " with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/service_control_policy/p-1",
                "service control policy",
                Some("arn:aws:organizations::1:policy/o-1/service_control_policy/p-1"),
            ),
        ] {
            let denial = recorded(cause);
            let expected = Cause::Denied { kind: kind.to_owned(), policy: policy.map(str::to_owned) };
            assert_eq!(denial.cause, expected, "{cause}");
            assert!(
                denial.hint().contains("only whoever manages") && !denial.hint().contains("add:"),
                "{cause}"
            );
        }
        let boundary = recorded(" because no permissions boundary allows the ecr:InitiateLayerUpload action");
        assert!(boundary.hint().starts_with("no permissions boundary allows"), "{}", boundary.hint());
    }

    #[test]
    fn a_role_is_only_passed_to_lambda() {
        let text = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/hello because no identity-based policy allows the iam:PassRole action";
        let statement = Denial::parse(text).unwrap().statement();
        assert_eq!(statement["Resource"], "arn:aws:iam::123456789012:role/hello");
        assert_eq!(statement["Condition"]["StringEquals"]["iam:PassedToService"], "lambda.amazonaws.com");
    }

    #[test]
    fn other_texts_name_no_action() {
        for text in ["", "no message", "User is not authorized", "x is not authorized to perform: it"] {
            assert_eq!(Denial::parse(text), None, "{text}");
        }
        let untold = Denial::untold("lambda:GetFunction");
        assert_eq!(untold.statement()["Resource"], "*");
        assert!(untold.hint().contains("`lambdactl policy iam`"));
    }
}
