//! `AddPermission`, `GetPolicy` and `RemovePermission`: who may invoke a function.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::errors::Failure;
use super::function::{Function, new_revision};
use super::reply::Reply;
use super::request::Request;
use super::target::{LATEST, NameRules, Target};
use super::validation::Violations;
use crate::domain::arn::Partition;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PermissionRequest {
    statement_id: Option<String>,
    action: Option<String>,
    principal: Option<String>,
    source_arn: Option<String>,
    source_account: Option<String>,
    event_source_token: Option<String>,
    function_url_auth_type: Option<String>,
    invoked_via_function_url: Option<bool>,
    #[serde(rename = "PrincipalOrgID")]
    principal_org_id: Option<String>,
    revision_id: Option<String>,
}

impl PermissionRequest {
    fn validate(&self) -> Result<(), Failure> {
        let mut violations = Violations::default();
        match &self.statement_id {
            Some(id) => {
                violations.length(id, "statementId", 1, 100);
                if !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                    violations.pattern(id, "statementId", "([a-zA-Z0-9-_]+)");
                }
            }
            None => violations.missing("statementId"),
        }
        match &self.action {
            Some(action) => {
                let verb = action.strip_prefix("lambda:").unwrap_or_default();
                let named = !verb.is_empty() && verb.bytes().all(|b| b.is_ascii_alphabetic());
                if action != "*" && verb != "*" && !named {
                    violations.pattern(action, "action", "(lambda:[*]|lambda:[a-zA-Z]+|[*])");
                }
            }
            None => violations.missing("action"),
        }
        if self.principal.is_none() {
            violations.missing("principal");
        }
        if let Some(kind) = &self.function_url_auth_type {
            violations.one_of(kind, "functionUrlAuthType", &["NONE", "AWS_IAM"]);
        }
        violations.check()
    }

    fn statement(&self, region: &str, resource: &str) -> Result<Value, Failure> {
        let principal = self.principal.as_deref().unwrap_or_default();
        let principal = principal_of(region, principal).ok_or_else(|| {
            Failure::invalid_parameter(
                "The provided principal was invalid. Please check the principal and try again.",
            )
        })?;
        let mut statement = json!({
            "Sid": self.statement_id,
            "Effect": "Allow",
            "Principal": principal,
            "Action": self.action,
            "Resource": resource,
        });
        let mut conditions = Map::new();
        for (operator, key, value) in [
            ("StringEquals", "AWS:SourceAccount", &self.source_account),
            ("StringEquals", "lambda:FunctionUrlAuthType", &self.function_url_auth_type),
            ("StringEquals", "aws:PrincipalOrgID", &self.principal_org_id),
            ("StringEquals", "lambda:EventSourceToken", &self.event_source_token),
            ("ArnLike", "AWS:SourceArn", &self.source_arn),
            (
                "Bool",
                "lambda:InvokedViaFunctionUrl",
                &self.invoked_via_function_url.map(|flag| flag.to_string()),
            ),
        ] {
            if let Some(value) = value {
                conditions.entry(operator).or_insert_with(|| json!({}))[key] = json!(value);
            }
        }
        if !conditions.is_empty() {
            statement["Condition"] = Value::Object(conditions);
        }
        Ok(statement)
    }
}

fn principal_of(region: &str, text: &str) -> Option<Value> {
    let partition = Partition::of_region(region);
    if text == "*" {
        Some(json!("*"))
    } else if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        Some(json!({"AWS": format!("arn:{partition}:iam::{text}:root")}))
    } else if text.starts_with("arn:") && (text.contains(":iam::") || text.contains(":sts::")) {
        Some(json!({"AWS": text}))
    } else {
        let is_service = [".amazonaws.com", ".amazonaws.com.cn", ".amazon.com"];
        is_service.iter().any(|suffix| text.ends_with(suffix)).then(|| json!({"Service": text}))
    }
}

/// Allows somebody to use the function.
pub(super) fn add_permission(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let target = Target::of(request, NameRules::Namespaced)?;
    let wanted: PermissionRequest = request.body()?;
    wanted.validate()?;
    if target.qualifier.as_deref() == Some(LATEST) {
        return Err(Failure::invalid_parameter("We currently do not support adding policies for $LATEST."));
    }
    let statement = wanted.statement(&call.region, &target.arn(call))?;
    call.store.transaction(|tx| {
        let mut function =
            Function::read(tx, call, &target.name)?.ok_or_else(|| target.not_found(call))?;
        let qualifier = target.qualifier.as_deref().unwrap_or(LATEST);
        let Some(version) = function.resolve(Some(qualifier)) else {
            let is_name = !qualifier.contains('$') && qualifier.bytes().any(|b| !b.is_ascii_digit());
            return Err(match is_name {
                true => Failure::not_found(format!("Cannot find alias arn: {}", target.arn(call))),
                false => target.not_found(call),
            });
        };
        let revision = match (function.policies.get(qualifier), function.aliases.get(qualifier)) {
            (Some(policy), _) => &policy.revision_id,
            (None, Some(alias)) => &alias.revision_id,
            (None, None) => &version.revision_id,
        };
        if wanted.revision_id.as_ref().is_some_and(|expected| expected != revision) {
            return Err(Failure::stale_revision("GetPolicy"));
        }
        let policy = function.policies.entry(qualifier.to_owned()).or_default();
        if policy.statements.iter().any(|present| present["Sid"] == statement["Sid"]) {
            return Err(Failure::conflict(format!(
                "The statement id ({}) provided already exists. Please provide a new statement id, or remove the existing statement.",
                wanted.statement_id.as_deref().unwrap_or_default()
            )));
        }
        policy.statements.push(statement.clone());
        policy.revision_id = new_revision();
        function.write(tx, call)?;
        Ok(Reply::json(201, json!({"Statement": statement.to_string()})))
    })?
}

/// Shows the policy of the function, version or alias.
pub(super) fn get_policy(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let target = Target::of(request, NameRules::Namespaced)?;
    let function = call.store.transaction(|tx| Function::read(tx, call, &target.name))??;
    let function = function.ok_or_else(|| target.not_found(call))?;
    let qualifier = target.qualifier.as_deref().unwrap_or(LATEST);
    let policy = function
        .policies
        .get(qualifier)
        .ok_or_else(|| Failure::not_found("The resource you requested does not exist."))?;
    let text = json!({"Version": "2012-10-17", "Id": "default", "Statement": policy.statements});
    Ok(Reply::json(200, json!({"Policy": text.to_string(), "RevisionId": policy.revision_id})))
}

/// Takes a permission back.
pub(super) fn remove_permission(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let target = Target::of(request, NameRules::Namespaced)?;
    let sid = request.path.get(4).map(String::as_str).unwrap_or_default();
    call.store.transaction(|tx| {
        let mut function = Function::read(tx, call, &target.name)?
            .ok_or_else(|| Failure::not_found(format!("No policy found for: {}", target.arn(call))))?;
        let qualifier = target.qualifier.as_deref().unwrap_or(LATEST);
        let policy = function
            .policies
            .get_mut(qualifier)
            .ok_or_else(|| Failure::not_found("No policy is associated with the given resource."))?;
        if request.query("RevisionId").is_some_and(|expected| expected != policy.revision_id) {
            return Err(Failure::stale_revision("GetPolicy"));
        }
        let before = policy.statements.len();
        policy.statements.retain(|statement| statement["Sid"] != sid);
        if policy.statements.len() == before {
            return Err(Failure::not_found(format!("Statement {sid} is not found in resource policy.")));
        }
        policy.revision_id = new_revision();
        if policy.statements.is_empty() {
            function.policies.remove(qualifier);
        }
        function.write(tx, call)?;
        Ok(Reply::empty())
    })?
}
