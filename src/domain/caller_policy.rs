//! The least IAM policy of whoever deploys a function with its image: what exactly this
//! configuration needs, and nothing else.
//!
//! `policy iam` and `policy show` print it. Actions and resources from the service authorization
//! reference: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html>
//! and <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html>.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::arn::{Arn, Partition};
use super::function::FunctionName;
use super::reference::{EcrHost, ImageReference, RepositoryName};
use super::spec::{DeploySpec, FunctionSpec, RepositoryLocation, RoleSpec};

/// What a deployment touches.
#[derive(Clone, Debug)]
pub struct Touched<'a> {
    /// The region of everything.
    pub region: &'a str,
    /// The account of the function and its role.
    pub account: &'a str,
    /// The repository and the account of it.
    pub repository: (String, &'a RepositoryName),
    /// Whether a missing repository is created.
    pub create_repository: bool,
    /// The function.
    pub function: &'a FunctionName,
    /// Its execution role, where one is named; else the function has to exist already.
    pub role: Option<RoleSpec>,
    /// Whether a missing role is made.
    pub create_role: bool,
    /// Whether anything of the configuration is named.
    pub configures: bool,
    /// Whether tags are named.
    pub tags: bool,
    /// Images the new one is made from.
    pub bases: &'a [ImageReference],
    /// What is wanted besides a deployment.
    pub besides: Besides,
}

/// What is done with a function that is deployed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Besides {
    /// It is called.
    pub invoke: bool,
    /// Its log is read.
    pub logs: bool,
}

impl<'a> Touched<'a> {
    /// What the deployment of `spec` touches.
    pub fn of(spec: &'a DeploySpec, region: &'a str, account: &'a str, create_role: bool) -> Self {
        let (owner, name) = match &spec.repository.location {
            RepositoryLocation::Name(name) => (None, name),
            RepositoryLocation::Uri(uri) => (uri.registry.ecr().map(|host| host.account), &uri.name),
        };
        let function = &spec.function;
        let made = || create_role.then(|| RoleSpec::Name(function.name.to_string()));
        Self {
            region,
            account,
            repository: (owner.unwrap_or_else(|| account.to_owned()), name),
            create_repository: spec.repository.create,
            function: &function.name,
            role: function.role.clone().or_else(made),
            create_role,
            configures: names_configuration(function),
            tags: !function.tags.is_empty(),
            bases: &[],
            besides: Besides::default(),
        }
    }
}

fn names_configuration(function: &FunctionSpec) -> bool {
    let FunctionSpec { environment, image_config, .. } = function;
    let numbers = [function.memory_size, function.timeout, function.ephemeral_storage];
    numbers.iter().any(Option::is_some)
        || function.role.is_some()
        || function.description.is_some()
        || environment.clear
        || !environment.set.is_empty()
        || !environment.remove.is_empty()
        || *image_config != Default::default()
}

/// Makes the policy document.
pub fn caller_policy(touched: &Touched<'_>) -> Value {
    let Touched { region, account, .. } = touched;
    let partition = Partition::of_region(region);
    let mut statements = vec![statement("LogInToTheRegistry", &["ecr:GetAuthorizationToken"], "*")];
    statements.push(push(touched, &partition));
    let bases: BTreeSet<String> = touched.bases.iter().filter_map(|base| base_arn(base, touched)).collect();
    if !bases.is_empty() {
        let actions = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
        statements.push(statement("PullTheBase", &actions, bases.into_iter().collect::<Vec<_>>()));
    }
    statements.push(deploy(touched));
    statements.extend(role(touched, &partition));
    let function = Arn::function(region, account, touched.function.as_str()).to_string();
    if touched.besides.invoke {
        let resources = vec![function.clone(), format!("{function}:*")];
        statements.push(statement("CallTheFunction", &["lambda:InvokeFunction"], resources));
    }
    if touched.besides.logs {
        let group =
            format!("arn:{partition}:logs:{region}:{account}:log-group:/aws/lambda/{}", touched.function);
        let actions =
            ["logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents", "logs:StartLiveTail"];
        statements.push(statement("ReadTheLog", &actions, vec![group.clone(), format!("{group}:*")]));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn push(touched: &Touched<'_>, partition: &Partition) -> Value {
    let (owner, name) = &touched.repository;
    let mut actions = vec![
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:DescribeImages",
        "ecr:DescribeRepositories",
        "ecr:GetDownloadUrlForLayer",
        "ecr:GetRepositoryPolicy",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:SetRepositoryPolicy",
        "ecr:UploadLayerPart",
    ];
    if touched.create_repository && owner == touched.account {
        actions.push("ecr:CreateRepository");
    }
    statement("PushTheImage", &actions, repository_arn(partition, touched.region, owner, name))
}

fn repository_arn(partition: &Partition, region: &str, account: &str, name: &RepositoryName) -> String {
    format!("arn:{partition}:ecr:{region}:{account}:repository/{name}")
}

/// A base that needs a right of its own: in ECR, and not in the repository that is pushed to.
fn base_arn(base: &ImageReference, touched: &Touched<'_>) -> Option<String> {
    let EcrHost { account, region, .. } = base.repository.registry.ecr()?;
    let (owner, name) = &touched.repository;
    let is_pushed_to = account == *owner && region == touched.region && base.repository.name == **name;
    (!is_pushed_to)
        .then(|| repository_arn(&Partition::of_region(&region), &region, &account, &base.repository.name))
}

fn deploy(touched: &Touched<'_>) -> Value {
    let mut actions = vec!["lambda:GetFunction", "lambda:UpdateFunctionCode"];
    // Without a role, the function has to be there already.
    if touched.role.is_some() {
        actions.push("lambda:CreateFunction");
    }
    if touched.configures {
        actions.push("lambda:UpdateFunctionConfiguration");
    }
    if touched.tags {
        actions.extend(["lambda:ListTags", "lambda:TagResource"]);
    }
    actions.sort_unstable();
    let function = Arn::function(touched.region, touched.account, touched.function.as_str());
    statement("DeployTheFunction", &actions, function.to_string())
}

fn role(touched: &Touched<'_>, partition: &Partition) -> Vec<Value> {
    let Some(role) = &touched.role else { return Vec::new() };
    let (arn, by_name) = match role {
        RoleSpec::Arn(arn) => (arn.to_string(), false),
        RoleSpec::Name(name) => (Arn::role(partition.clone(), touched.account, name).to_string(), true),
    };
    let mut statements = Vec::new();
    match (touched.create_role, by_name) {
        (true, _) => {
            statements.push(statement("MakeTheRole", &["iam:CreateRole", "iam:GetRole"], arn.clone()));
            let mut attach = statement("LetTheRoleWriteLogs", &["iam:AttachRolePolicy"], arn.clone());
            let policy = format!("arn:{partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole");
            attach["Condition"] = json!({ "ArnEquals": { "iam:PolicyARN": policy } });
            statements.push(attach);
        }
        (false, true) => statements.push(statement("FindTheRole", &["iam:GetRole"], arn.clone())),
        (false, false) => {}
    }
    let mut pass = statement("PassTheRole", &["iam:PassRole"], arn);
    pass["Condition"] = json!({ "StringEquals": { "iam:PassedToService": "lambda.amazonaws.com" } });
    statements.push(pass);
    statements
}

fn statement(sid: &str, actions: &[&str], resource: impl Into<Value>) -> Value {
    json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::function::FunctionName;

    fn touched<'a>(function: &'a FunctionName, repository: &'a RepositoryName) -> Touched<'a> {
        Touched {
            region: "cn-north-1",
            account: "123456789012",
            repository: ("210987654321".to_owned(), repository),
            create_repository: true,
            function,
            role: Some(RoleSpec::Name("hello-role".to_owned())),
            create_role: false,
            configures: false,
            tags: false,
            bases: &[],
            besides: Besides::default(),
        }
    }

    fn resources(policy: &Value) -> Vec<String> {
        let statements = policy["Statement"].as_array().unwrap();
        statements.iter().map(|it| it["Resource"].to_string().replace('"', "")).collect()
    }

    fn actions(policy: &Value) -> Vec<String> {
        let statements = policy["Statement"].as_array().unwrap();
        let actions = statements.iter().flat_map(|it| it["Action"].as_array().unwrap());
        actions.map(|action| action.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn everything_but_the_token_is_bound_to_what_is_deployed_in_its_partition() {
        let (function, repository) = ("hello".parse().unwrap(), "team/hello".parse().unwrap());
        assert_eq!(
            resources(&caller_policy(&touched(&function, &repository))),
            [
                "*",
                "arn:aws-cn:ecr:cn-north-1:210987654321:repository/team/hello",
                "arn:aws-cn:lambda:cn-north-1:123456789012:function:hello",
                "arn:aws-cn:iam::123456789012:role/hello-role",
                "arn:aws-cn:iam::123456789012:role/hello-role",
            ]
        );
    }

    #[test]
    fn nothing_is_allowed_that_the_configuration_does_not_ask_for() {
        let (function, repository) = ("hello".parse().unwrap(), "team/hello".parse().unwrap());
        let base = touched(&function, &repository);
        let has = |touched: &Touched<'_>, action: &str| {
            actions(&caller_policy(touched)).contains(&action.to_owned())
        };
        let own = Touched { repository: ("123456789012".to_owned(), &repository), ..base.clone() };
        assert!(has(&own, "ecr:CreateRepository"), "in the caller's own account");
        assert!(!has(&base, "ecr:CreateRepository"), "never in another account");
        assert!(!has(&Touched { create_repository: false, ..own }, "ecr:CreateRepository"));
        for action in [
            "lambda:UpdateFunctionConfiguration",
            "lambda:TagResource",
            "lambda:InvokeFunction",
            "iam:CreateRole",
        ] {
            assert!(!has(&base, action), "{action}");
        }
        assert!(has(&Touched { configures: true, ..base.clone() }, "lambda:UpdateFunctionConfiguration"));
        assert!(has(&Touched { tags: true, ..base.clone() }, "lambda:TagResource"));
        let made = Touched { create_role: true, ..base.clone() };
        assert!(has(&made, "iam:CreateRole") && has(&made, "iam:AttachRolePolicy"));
        let unnamed = Touched { role: None, ..base.clone() };
        assert!(
            !has(&unnamed, "lambda:CreateFunction") && !has(&unnamed, "iam:PassRole"),
            "it exists already"
        );
        assert!(has(&unnamed, "lambda:UpdateFunctionCode"));
        let besides = Touched { besides: Besides { invoke: true, logs: true }, ..base };
        assert!(has(&besides, "lambda:InvokeFunction") && has(&besides, "logs:FilterLogEvents"));
        assert!(
            resources(&caller_policy(&besides)).last().unwrap().contains(":log-group:/aws/lambda/hello:*")
        );
    }

    #[test]
    fn bases_in_ecr_are_readable_and_nothing_else() {
        let (function, repository) = ("hello".parse().unwrap(), "team/hello".parse().unwrap());
        let bases: Vec<ImageReference> = [
            "public.ecr.aws/lambda/provided:al2023",
            "999999999999.dkr.ecr.cn-north-1.amazonaws.com.cn/base:1",
            "210987654321.dkr.ecr.cn-north-1.amazonaws.com.cn/team/hello:old",
        ]
        .map(|text| text.parse().unwrap())
        .into();
        let policy = caller_policy(&Touched { bases: &bases, ..touched(&function, &repository) });
        assert_eq!(resources(&policy)[2], "[arn:aws-cn:ecr:cn-north-1:999999999999:repository/base]");
    }
}
