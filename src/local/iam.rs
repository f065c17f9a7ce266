//! IAM's query API: roles and what is attached to them. The local server gives it every request
//! of `iam`; the local Lambda asks it whether a role can be assumed.
//!
//! IAM is global: its documents live below `global/iam`, whatever the region of the call.

mod role;

use std::collections::BTreeMap;

use axum::body::Body;
use http::{Response, StatusCode};

use self::role::{Role, check_trust_policy, trusts_lambda, url_encode};
use super::call::Call;
use super::query::{QueryError, element, parameter, response, text};
use super::store::{StoreError, Transaction};

const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

type Answer = Result<Option<String>, QueryError>;

/// Answers one request.
///
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html>
pub fn handle(call: &Call, form: &BTreeMap<String, String>) -> Response<Body> {
    let action = parameter(form, "Action").unwrap_or_default();
    let operation: fn(&Call, &BTreeMap<String, String>) -> Answer = match action {
        "CreateRole" => create_role,
        "GetRole" => get_role,
        "DeleteRole" => delete_role,
        "ListRoles" => list_roles,
        "UpdateAssumeRolePolicy" => update_assume_role_policy,
        "AttachRolePolicy" => attach_role_policy,
        "DetachRolePolicy" => detach_role_policy,
        "ListAttachedRolePolicies" => list_attached_role_policies,
        "PutRolePolicy" => put_role_policy,
        "GetRolePolicy" => get_role_policy,
        "DeleteRolePolicy" => delete_role_policy,
        "ListRolePolicies" => list_role_policies,
        _ => |_, form| {
            let action = parameter(form, "Action").unwrap_or_default();
            Err(QueryError::invalid_action(action, "2010-05-08"))
        },
    };
    response(call, NAMESPACE, action, operation(call, form))
}

/// Tells whether Lambda can assume the role of this ARN: it exists here, trusts
/// `lambda.amazonaws.com`, and has done so for as long as roles take to become known.
pub(super) fn lambda_can_assume(tx: &Transaction<'_>, call: &Call, arn: &str) -> Result<bool, StoreError> {
    let Some(name) = arn.rsplit('/').next() else { return Ok(false) };
    let role = Role::read(tx, name)?.filter(|role| role.arn == arn);
    Ok(role.is_some_and(|role| {
        trusts_lambda(&role.trust_policy) && role.trust_since + call.delays.role <= call.now
    }))
}

fn required<'a>(form: &'a BTreeMap<String, String>, name: &str) -> Result<&'a str, QueryError> {
    parameter(form, name).ok_or_else(|| {
        let mut member = name.to_owned();
        member[..1].make_ascii_lowercase();
        invalid(format!("Value null at '{member}' failed to satisfy constraint: Member must not be null"))
    })
}

fn invalid(violation: String) -> QueryError {
    let message = format!("1 validation error detected: {violation}");
    QueryError::new(StatusCode::BAD_REQUEST, "ValidationError", message)
}

/// A name of a role or an inline policy.
fn name_of<'a>(
    form: &'a BTreeMap<String, String>,
    parameter: &str,
    longest: usize,
) -> Result<&'a str, QueryError> {
    let name = required(form, parameter)?;
    let mut member = parameter.to_owned();
    member[..1].make_ascii_lowercase();
    let at = format!("Value '{name}' at '{member}' failed to satisfy constraint:");
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b)) {
        return Err(invalid(format!("{at} Member must satisfy regular expression pattern: [\\w+=,.@-]+")));
    }
    if name.len() > longest {
        return Err(invalid(format!("{at} Member must have length less than or equal to {longest}")));
    }
    Ok(name)
}

fn no_such_entity(message: String) -> QueryError {
    QueryError::new(StatusCode::NOT_FOUND, "NoSuchEntity", message)
}

fn find(tx: &Transaction<'_>, form: &BTreeMap<String, String>) -> Result<Role, QueryError> {
    let name = name_of(form, "RoleName", 64)?;
    Role::read(tx, name)?.ok_or_else(|| no_such_entity(format!("The role with name {name} cannot be found.")))
}

/// Reads the role, changes it and writes it.
fn change(
    call: &Call,
    form: &BTreeMap<String, String>,
    change: impl FnOnce(&mut Role) -> Result<(), QueryError>,
) -> Answer {
    call.store.transaction(|tx| {
        let mut role = find(tx, form)?;
        change(&mut role)?;
        role.write(tx)?;
        Ok(None)
    })?
}

fn create_role(call: &Call, form: &BTreeMap<String, String>) -> Answer {
    let name = name_of(form, "RoleName", 64)?;
    let path = parameter(form, "Path").unwrap_or("/");
    if !path.starts_with('/') || !path.ends_with('/') || !path.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(invalid(format!(
            "Value '{path}' at 'path' failed to satisfy constraint: Member must satisfy regular expression pattern: (\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)"
        )));
    }
    let trust_policy = check_trust_policy(required(form, "AssumeRolePolicyDocument")?)?;
    let session = parameter(form, "MaxSessionDuration").and_then(|text| text.parse().ok()).unwrap_or(3600);
    let role = Role::new(call, path, name, trust_policy, parameter(form, "Description"), session);
    call.store.transaction(|tx| {
        if Role::read(tx, name)?.is_some() {
            let message = format!("Role with name {name} already exists.");
            return Err(QueryError::new(StatusCode::CONFLICT, "EntityAlreadyExists", message));
        }
        role.write(tx)?;
        Ok(Some(element("Role", &role.xml())))
    })?
}

fn get_role(call: &Call, form: &BTreeMap<String, String>) -> Answer {
    let role = call.store.transaction(|tx| find(tx, form))??;
    Ok(Some(element("Role", &role.xml())))
}

fn delete_role(call: &Call, form: &BTreeMap<String, String>) -> Answer {
    call.store.transaction(|tx| {
        let role = find(tx, form)?;
        let conflict = |message: &str| QueryError::new(StatusCode::CONFLICT, "DeleteConflict", message);
        if !role.attached.is_empty() {
            return Err(conflict("Cannot delete entity, must detach all policies first."));
        }
        if !role.inline.is_empty() {
            return Err(conflict("Cannot delete entity, must delete policies first."));
        }
        role.delete(tx)?;
        Ok(None)
    })?
}

fn list_roles(call: &Call, form: &BTreeMap<String, String>) -> Answer {
    let prefix = parameter(form, "PathPrefix").unwrap_or("/");
    let roles = call.store.transaction(Role::all)??;
    let shown: Vec<String> =
        roles.iter().filter(|role| role.path.starts_with(prefix)).map(|role| role.xml()).collect();
    page(form, "Roles", &shown)
}

fn update_assume_role_policy(call: &Call, form: &BTreeMap<String, String>) -> Answer {
    let policy = check_trust_policy(required(form, "PolicyDocument")?)?;
    change(call, form, |role| {
        // Where Lambda was trusted before and is now, there is nothing to wait for.
        if !trusts_lambda(&role.trust_policy) {
            role.trust_since = call.now;
        }
        role.trust_policy = policy;
        Ok(())
    })
}

fn attach_role_policy(call: &Call, form: &BTreeMap<String, String>) -> Answer {
    let arn = required(form, "PolicyArn")?;
    change(call, form, |role| {
        // Only AWS's own policies exist: nothing here can create another.
        if !arn.contains(":iam::aws:policy/") {
            return Err(no_such_entity(format!("Policy {arn} does not exist or is not attachable.")));
        }
        role.attached.insert(arn.to_owned());
        Ok(())
    })
}

fn detach_role_policy(call: &Call, form: &BTreeMap<String, String>) -> Answer {
    let arn = required(form, "PolicyArn")?;
    change(call, form, |role| match role.attached.remove(arn) {
        true => Ok(()),
        false => Err(no_such_entity(format!("Policy {arn} was not found."))),
    })
}

fn list_attached_role_policies(call: &Call, form: &BTreeMap<String, String>) -> Answer {
    let role = call.store.transaction(|tx| find(tx, form))??;
    let member = |arn: &String| {
        let name = arn.rsplit('/').next().unwrap_or_default();
        text("PolicyName", name) + &text("PolicyArn", arn)
    };
    page(form, "AttachedPolicies", &role.attached.iter().map(member).collect::<Vec<_>>())
}

fn put_role_policy(call: &Call, form: &BTreeMap<String, String>) -> Answer {
    let name = name_of(form, "PolicyName", 128)?;
    let document = required(form, "PolicyDocument")?;
    role::parse_policy(document)?;
    change(call, form, |role| {
        role.inline.insert(name.to_owned(), document.to_owned());
        Ok(())
    })
}

fn inline_policy<'a>(role: &'a Role, name: &str) -> Result<&'a str, QueryError> {
    let document = role.inline.get(name).map(String::as_str);
    document.ok_or_else(|| no_such_entity(format!("The role policy with name {name} cannot be found.")))
}

fn get_role_policy(call: &Call, form: &BTreeMap<String, String>) -> Answer {
    let name = name_of(form, "PolicyName", 128)?;
    let role = call.store.transaction(|tx| find(tx, form))??;
    let document = url_encode(inline_policy(&role, name)?);
    Ok(Some(text("RoleName", &role.name) + &text("PolicyName", name) + &text("PolicyDocument", document)))
}

fn delete_role_policy(call: &Call, form: &BTreeMap<String, String>) -> Answer {
    let name = name_of(form, "PolicyName", 128)?;
    change(call, form, |role| {
        inline_policy(role, name)?;
        role.inline.remove(name);
        Ok(())
    })
}

fn list_role_policies(call: &Call, form: &BTreeMap<String, String>) -> Answer {
    let role = call.store.transaction(|tx| find(tx, form))??;
    // Names have no character that XML escapes.
    page(form, "PolicyNames", &role.inline.keys().cloned().collect::<Vec<_>>())
}

/// A page of a list: `Marker` is the number of members before it.
fn page(form: &BTreeMap<String, String>, list: &str, members: &[String]) -> Answer {
    let number = |name: &str| parameter(form, name).and_then(|text| text.parse::<usize>().ok());
    let start = number("Marker").unwrap_or(0).min(members.len());
    let end = start.saturating_add(number("MaxItems").unwrap_or(100).clamp(1, 1000)).min(members.len());
    let shown: String = members[start..end].iter().map(|member| element("member", member)).collect();
    let truncated = end < members.len();
    let marker = if truncated { text("Marker", end) } else { String::new() };
    Ok(Some(element(list, &shown) + &text("IsTruncated", truncated) + &marker))
}

#[cfg(test)]
mod tests;
