//! The least IAM policy of whoever deploys a function with its image.
//!
//! `policy show` prints it. Actions and resources from the service authorization reference:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html> and
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html>.

use serde_json::{Value, json};

use super::arn::{Arn, Partition};
use super::function::FunctionName;
use super::reference::RepositoryName;
use super::spec::RoleSpec;

/// What a deployment touches.
#[derive(Clone, Debug)]
pub struct Touched<'a> {
    /// The region of everything.
    pub region: &'a str,
    /// The account of the function and its role.
    pub account: &'a str,
    /// The account of the repository.
    pub repository_account: &'a str,
    /// The repository.
    pub repository: &'a RepositoryName,
    /// Whether a missing repository is created.
    pub create_repository: bool,
    /// The function.
    pub function: &'a FunctionName,
    /// Its execution role, where one is named.
    pub role: Option<&'a RoleSpec>,
}

/// Makes the policy document.
pub fn caller_policy(touched: &Touched<'_>) -> Value {
    let account = touched.account;
    let partition = Partition::of_region(touched.region);
    let repository = format!(
        "arn:{partition}:ecr:{}:{}:repository/{}",
        touched.region, touched.repository_account, touched.repository
    );
    let mut repository_actions = vec![
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:DescribeRepositories",
        "ecr:GetDownloadUrlForLayer",
        "ecr:GetRepositoryPolicy",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:SetRepositoryPolicy",
        "ecr:UploadLayerPart",
    ];
    if touched.create_repository && touched.repository_account == account {
        repository_actions.push("ecr:CreateRepository");
    }
    let mut statements = vec![
        statement("LogInToTheRegistry", &["ecr:GetAuthorizationToken"], "*"),
        statement("PushTheImage", &repository_actions, &repository),
        statement(
            "DeployTheFunction",
            &[
                "lambda:CreateFunction",
                "lambda:GetFunction",
                "lambda:ListTags",
                "lambda:TagResource",
                "lambda:UpdateFunctionCode",
                "lambda:UpdateFunctionConfiguration",
            ],
            &Arn::function(touched.region, account, touched.function.as_str()).to_string(),
        ),
    ];
    let role = match touched.role {
        Some(RoleSpec::Arn(arn)) => arn.to_string(),
        Some(RoleSpec::Name(name)) => {
            let arn = Arn::role(partition, account, name).to_string();
            statements.push(statement("FindTheRole", &["iam:GetRole"], &arn));
            arn
        }
        None => Arn::role(partition, account, "*").to_string(),
    };
    let mut pass = statement("PassTheRole", &["iam:PassRole"], &role);
    pass["Condition"] = json!({ "StringEquals": { "iam:PassedToService": "lambda.amazonaws.com" } });
    statements.push(pass);
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn statement(sid: &str, actions: &[&str], resource: &str) -> Value {
    json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_token_is_bound_to_what_is_deployed() {
        let (repository, function) = ("team/hello".parse().unwrap(), "hello".parse().unwrap());
        let role = RoleSpec::Name("hello-role".to_owned());
        let touched = Touched {
            region: "cn-north-1",
            account: "123456789012",
            repository_account: "210987654321",
            repository: &repository,
            create_repository: false,
            function: &function,
            role: Some(&role),
        };
        let policy = caller_policy(&touched);
        let resources: Vec<_> = policy["Statement"]
            .as_array()
            .unwrap()
            .iter()
            .map(|statement| statement["Resource"].as_str().unwrap())
            .collect();
        assert_eq!(
            resources,
            [
                "*",
                "arn:aws-cn:ecr:cn-north-1:210987654321:repository/team/hello",
                "arn:aws-cn:lambda:cn-north-1:123456789012:function:hello",
                "arn:aws-cn:iam::123456789012:role/hello-role",
                "arn:aws-cn:iam::123456789012:role/hello-role",
            ]
        );
        let creates = |touched: &Touched<'_>| caller_policy(touched).to_string().contains("CreateRepository");
        let own = Touched { repository_account: touched.account, ..touched.clone() };
        assert!(!creates(&touched) && !creates(&own));
        assert!(creates(&Touched { create_repository: true, ..own }), "in the caller's own account");
        assert!(!creates(&Touched { create_repository: true, ..touched }), "never in another account");
    }
}
