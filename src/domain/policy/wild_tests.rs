//! Policies as they are seen in the wild, and policies nobody would write: whatever is there,
//! nothing is lost, nothing but the wanted right is won, and doing it again changes nothing.

use serde_json::{Map, Value, json};

use super::condition::Context;
use super::merge::{CROSS_ACCOUNT_SID, SID, is_our_own, source_patterns};
use super::statement::{self, Match, Principal, Request, words};
use super::tests::pull;
use super::*;

const OWNER: &str = "999999999999";
const OTHER: &str = "111111111111";

fn policy(statements: Value) -> RepositoryPolicy {
    RepositoryPolicy::parse(&json!({ "Version": "2008-10-17", "Statement": statements }).to_string()).unwrap()
}

/// Lambda for `hello` of account `123456789012`, from a repository of its own or of another one.
fn own() -> Pull {
    pull()
}

fn cross() -> Pull {
    Pull { repository_account: OWNER.to_owned(), ..pull() }
}

/// Every request the tests can think of, each with who asks for it.
fn requests() -> Vec<(Principal<'static>, &'static str, Option<String>)> {
    let principals = [
        Principal::Service("lambda.amazonaws.com"),
        Principal::Service("codebuild.amazonaws.com"),
        Principal::Account("123456789012"),
        Principal::Account(OTHER),
        Principal::Account("222222222222"),
    ];
    let actions =
        ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:PutImage", "ecr:SetRepositoryPolicy"];
    let sources = [
        "arn:aws:lambda:eu-west-1:123456789012:function:hello".to_owned(),
        "arn:aws:lambda:us-east-1:123456789012:function:hello".to_owned(),
        format!("arn:aws:lambda:eu-west-1:{OTHER}:function:hello"),
    ];
    let mut all = Vec::new();
    for principal in principals {
        for action in actions {
            match principal {
                // A service acts for something; an account for itself.
                Principal::Service(_) => {
                    all.extend(sources.iter().map(|source| (principal, action, Some(source.clone()))));
                }
                Principal::Account(_) => all.push((principal, action, None)),
            }
        }
    }
    all
}

/// What a policy answers: the strongest of its statements' answers, with denials first.
fn answer(
    policy: &RepositoryPolicy,
    request: &(Principal<'static>, &'static str, Option<String>),
) -> (Match, Match) {
    let (principal, action, source) = request;
    let context = Context { source_arn: source.as_deref(), source_account: None };
    let request = Request { principal: *principal, action, resource: None, context };
    let judged = |effect: &str| {
        let statements = policy.statements().iter().filter(|it| statement::is_effect(it, effect));
        statements.map(|it| statement::applies(it, &request)).fold(Match::No, Match::or)
    };
    (judged("Allow"), judged("Deny"))
}

/// Whether a request is one that the merge was to allow.
fn is_wanted(pull: &Pull, request: &(Principal<'static>, &'static str, Option<String>)) -> bool {
    let (principal, action, source) = request;
    // Lambda's own statement lets it manage that statement, too, for the functions it is about.
    let pulls = PULL_ACTIONS.contains(action) || !pull.is_cross_account();
    let for_the_account = matches!(principal, Principal::Account(account) if *account == pull.account);
    let for_its_functions = matches!(principal, Principal::Service(LAMBDA))
        && source.as_deref().is_some_and(|arn| arn.starts_with(pull.source_prefix().as_str()));
    pulls && (for_its_functions || (for_the_account && pull.is_cross_account()))
}

#[track_caller]
fn assert_merged_well(before: &RepositoryPolicy, pull: &Pull, hint: &str) -> RepositoryPolicy {
    let Merged { policy: after, changed } = before.merged(pull).unwrap();
    assert!(after.judge(pull).is_allowed(), "{hint}: {before:?}");
    assert_eq!(changed, !before.judge(pull).is_allowed(), "{hint}");
    assert!(after.statements().len() >= before.statements().len(), "{hint}");
    for (old, new) in before.statements().iter().zip(after.statements()) {
        if old != new {
            let is_own = pull.statements().iter().any(|wanted| is_our_own(old, wanted, pull));
            assert!(is_own, "{hint}: somebody else's statement was changed: {old}");
            let kept = |list: fn(&Value) -> Vec<&str>| list(old).iter().all(|it| list(new).contains(it));
            assert!(kept(|it| words(&it["Action"])), "{hint}: {old} {new}");
            assert!(kept(|it| words(&it["Principal"]["AWS"])), "{hint}: {old} {new}");
            assert!(kept(|it| source_patterns(&it["Condition"]).unwrap()), "{hint}: {old} {new}");
        }
    }
    for request in requests() {
        let (was, is) = (answer(before, &request), answer(&after, &request));
        if was != is {
            assert!(is_wanted(pull, &request), "{hint}: {request:?} went from {was:?} to {is:?}: {after:?}");
            assert_ne!(is.0, Match::No, "{hint}: {request:?} was lost");
        }
    }
    let again = after.merged(pull).unwrap();
    assert!(!again.changed && again.policy == after, "{hint}");
    after
}

/// Shapes of policies found in public repositories; names and accounts are changed.
#[test]
fn policies_seen_in_the_wild_are_understood_and_kept() {
    let lambda = json!({"Service": "lambda.amazonaws.com"});
    let pull_both = json!(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]);
    let functions = |account: &str| format!("arn:aws:lambda:eu-west-1:{account}:function:*");
    let mine = "123456789012";
    let pushers = json!([
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:GetDownloadUrlForLayer",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart"
    ]);
    // What it is, its statements, and whether Lambda may pull: in the owner's account, and across.
    let table = [
        (
            "what Lambda attaches by itself",
            json!([{"Sid": SID, "Effect": "Allow", "Principal": lambda, "Action": ["ecr:BatchGetImage",
                "ecr:DeleteRepositoryPolicy", "ecr:GetDownloadUrlForLayer", "ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy"],
                "Condition": {"StringLike": {"aws:sourceArn": functions(mine)}}}]),
            (true, false),
        ),
        (
            "the documented pair, any region",
            json!([
                {"Sid": "CrossAccountPermission", "Effect": "Allow", "Action": pull_both, "Principal": {"AWS": format!("arn:aws:iam::{mine}:root")}},
                {"Sid": CROSS_ACCOUNT_SID, "Effect": "Allow", "Action": pull_both, "Principal": lambda,
                    "Condition": {"StringLike": {"aws:sourceARN": format!("arn:aws:lambda:*:{mine}:function:*")}}}]),
            (true, true),
        ),
        (
            "a Terraform module: account numbers, no condition",
            json!([{"Sid": SID, "Effect": "Allow", "Principal": lambda, "Action": pull_both},
                {"Sid": "readonly", "Effect": "Allow", "Principal": {"AWS": [mine, OTHER]}, "Action": pushers}]),
            (true, true),
        ),
        (
            "several stages, a set operator on the source",
            json!([
                {"Sid": "AllowPushPull", "Effect": "Allow", "Principal": {"AWS": [format!("arn:aws:iam::{OTHER}:root"), format!("arn:aws:iam::{mine}:root")]}, "Action": pushers},
                {"Sid": CROSS_ACCOUNT_SID, "Effect": "Allow", "Principal": lambda, "Action": pull_both,
                    "Condition": {"ForAnyValue:StringLike": {"aws:sourceARN": [functions(OTHER), functions(mine)]}}}]),
            (true, true),
        ),
        (
            "the same, without our account",
            json!([
                {"Sid": "AllowPushPull", "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{OTHER}:root")}, "Action": pushers},
                {"Sid": CROSS_ACCOUNT_SID, "Effect": "Allow", "Principal": lambda, "Action": pull_both,
                    "Condition": {"ForAnyValue:StringLike": {"aws:sourceARN": [functions(OTHER)]}}}]),
            (false, false),
        ),
        (
            "one function only, by ArnLike",
            json!([{"Sid": SID, "Effect": "Allow", "Principal": lambda, "Action": pull_both,
                "Condition": {"ArnLike": {"aws:SourceArn": format!("arn:aws:lambda:eu-west-1:{mine}:function:other")}}}]),
            (false, false),
        ),
        (
            "read rights under the documented name",
            json!([{"Sid": CROSS_ACCOUNT_SID, "Effect": "Allow", "Principal": lambda,
                "Action": ["ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:DescribeImages"],
                "Condition": {"StringLike": {"aws:sourceArn": format!("arn:aws:lambda:*:{OTHER}:function:*")}}}]),
            (false, false),
        ),
        (
            "pulling within an organization",
            json!([{"Sid": "AllowPullOrg", "Effect": "Allow", "Principal": "*",
                "Action": ["ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer"],
                "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-abc123"}}}]),
            (false, false),
        ),
        (
            "no plain HTTP, and CodeBuild",
            json!([
                {"Sid": "DenyInsecure", "Effect": "Deny", "Principal": "*", "Action": "ecr:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
                {"Sid": "CodeBuild", "Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": pull_both,
                    "Condition": {"StringEquals": {"aws:SourceAccount": OWNER}}}]),
            (false, false),
        ),
        (
            "a single statement for a principal that was deleted",
            json!({"Sid": "Old", "Effect": "Allow", "Principal": {"AWS": "AIDACKCEVSQ6C2EXAMPLE"}, "Action": "ecr:*"}),
            (false, false),
        ),
    ];
    for (what, statements, (in_own, across)) in table {
        let before = policy(statements.clone());
        for (pull, allowed) in [(own(), in_own), (cross(), across)] {
            assert_eq!(before.judge(&pull).is_allowed(), allowed, "{what}, {}", pull.repository_account);
            let after = assert_merged_well(&before, &pull, what);
            assert_eq!(before.in_words().len(), before.statements().len(), "{what}");
            assert!(after.in_words().iter().all(|text| text.starts_with("statement ")), "{what}");
        }
    }
}

/// A small generator (xorshift), so that a failing seed can be run again.
struct Seeded(u64);

impl Seeded {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn pick(&mut self, list: &[Value]) -> Value {
        list[self.below(list.len())].clone()
    }

    fn statement(&mut self) -> Value {
        let sids = [
            json!(SID),
            json!(format!("{SID}2")),
            json!(CROSS_ACCOUNT_SID),
            json!("CrossAccountPermission"),
            json!("CrossAccountPermission2"),
            json!("other"),
            Value::Null,
        ];
        let principals = [
            json!("*"),
            json!({"Service": LAMBDA}),
            json!({"Service": [LAMBDA]}),
            json!({"Service": [LAMBDA, "codebuild.amazonaws.com"]}),
            json!({"AWS": OTHER}),
            json!({"AWS": [format!("arn:aws:iam::{OTHER}:root"), "222222222222"]}),
            json!({"AWS": "arn:aws:iam::123456789012:role/ci"}),
            json!({"AWS": "*", "Service": LAMBDA}),
        ];
        let actions = [
            json!("ecr:PutImage"),
            json!("ecr:Batch*"),
            json!(PULL_ACTIONS),
            json!([PULL_ACTIONS[0]]),
            json!([PULL_ACTIONS[1], "ecr:SetRepositoryPolicy"]),
            json!("*"),
        ];
        let conditions = [
            Value::Null,
            Value::Null,
            json!({"StringLike": {"aws:sourceArn": "arn:aws:lambda:us-east-1:123456789012:function:*"}}),
            json!({"ArnLike": {"AWS:SourceArn": [format!("arn:aws:lambda:eu-west-1:{OTHER}:function:*")]}}),
            json!({"ForAnyValue:StringLike": {"aws:sourceARN": "arn:aws:lambda:*:222222222222:function:*"}}),
            json!({"StringEquals": {"aws:PrincipalOrgID": "o"}}),
        ];
        let mut members = Map::new();
        members.insert("Effect".to_owned(), json!("Allow"));
        let picked = [
            ("Sid", self.pick(&sids)),
            ("Principal", self.pick(&principals)),
            ("Action", self.pick(&actions)),
            ("Condition", self.pick(&conditions)),
        ];
        members.extend(
            picked
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.to_owned(), value)),
        );
        Value::Object(members)
    }
}

#[test]
fn whatever_is_there_nothing_is_lost_and_only_the_wanted_right_is_won() {
    for seed in 1..=1_000_u64 {
        let mut random = Seeded::new(seed);
        let count = random.below(5);
        let statements: Vec<Value> = (0..count).map(|_| random.statement()).collect();
        let pull = if seed % 2 == 0 { own() } else { cross() };
        assert_merged_well(&policy(Value::Array(statements)), &pull, &format!("seed {seed}"));
    }
}

#[test]
fn accounts_are_added_one_after_the_other_without_losing_any() {
    for seed in 1..=100_u64 {
        let mut random = Seeded::new(seed);
        let count = random.below(4);
        let statements: Vec<Value> = (0..count).map(|_| random.statement()).collect();
        let accounts = ["123456789012", OTHER, "222222222222", "333333333333"];
        let pulls = accounts.map(|account| Pull { account: account.to_owned(), ..cross() });
        let mut present = policy(Value::Array(statements));
        for pull in &pulls {
            present = assert_merged_well(&present, pull, &format!("seed {seed}, {}", pull.account));
        }
        assert!(pulls.iter().all(|pull| present.judge(pull).is_allowed()), "seed {seed}");
        assert!(present.statements().len() <= count + 4, "seed {seed}: lists are extended, {present:?}");
    }
}
