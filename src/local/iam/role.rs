//! A role as the local IAM remembers it, and whom its trust policy lets in.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::domain::arn::{Arn, Partition};
use crate::domain::policy::{self, Trust};
use crate::local::call::{ACCOUNT, Call};
use crate::local::query::{QueryError, text};
use crate::local::store::{StoreError, Transaction};

const FOLDER: &str = "global/iam/roles";

/// A role with its policies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Role {
    pub(super) name: String,
    /// Begins and ends with a slash.
    pub(super) path: String,
    pub(super) arn: String,
    id: String,
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    /// JSON, as it was given.
    pub(super) trust_policy: String,
    /// When those it trusts were last added to.
    #[serde(with = "time::serde::rfc3339")]
    pub(super) trust_since: OffsetDateTime,
    description: Option<String>,
    max_session_duration: u32,
    /// ARNs of managed policies.
    pub(super) attached: BTreeSet<String>,
    /// Documents of inline policies by name.
    pub(super) inline: BTreeMap<String, String>,
}

impl Role {
    /// A new role.
    pub(super) fn new(
        call: &Call,
        path: &str,
        name: &str,
        trust_policy: String,
        description: Option<&str>,
        max_session_duration: u32,
    ) -> Self {
        let unique = uuid::Uuid::new_v4().simple().to_string().to_ascii_uppercase();
        Self {
            name: name.to_owned(),
            path: path.to_owned(),
            arn: Arn::role(Partition::of_region(&call.region), ACCOUNT, &format!("{path}{name}")).to_string(),
            id: format!("AROA{}", &unique[..17]),
            created: call.now,
            trust_policy,
            trust_since: call.now,
            description: description.map(str::to_owned),
            max_session_duration,
            attached: BTreeSet::new(),
            inline: BTreeMap::new(),
        }
    }

    /// Reads a role by its name.
    pub(super) fn read(tx: &Transaction<'_>, name: &str) -> Result<Option<Self>, StoreError> {
        tx.read(&key(name))
    }

    /// Reads all roles, by name.
    pub(super) fn all(tx: &Transaction<'_>) -> Result<Vec<Self>, StoreError> {
        let names = tx.list(FOLDER)?;
        let roles = names.iter().map(|name| tx.read(&format!("{FOLDER}/{name}")));
        Ok(roles.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Writes the role.
    pub(super) fn write(&self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        tx.write(&key(&self.name), self)
    }

    /// Removes the role.
    pub(super) fn delete(&self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        tx.delete(&key(&self.name))
    }

    /// The content of a `Role` element; the trust policy is URL-encoded, as in AWS.
    pub(super) fn xml(&self) -> String {
        let created = self.created.to_offset(time::UtcOffset::UTC);
        let created = format!(
            "{}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            created.year(),
            u8::from(created.month()),
            created.day(),
            created.hour(),
            created.minute(),
            created.second()
        );
        let mut xml = text("Path", &self.path)
            + &text("RoleName", &self.name)
            + &text("RoleId", &self.id)
            + &text("Arn", &self.arn)
            + &text("CreateDate", created)
            + &text("AssumeRolePolicyDocument", url_encode(&self.trust_policy));
        if let Some(description) = &self.description {
            xml += &text("Description", description);
        }
        xml + &text("MaxSessionDuration", self.max_session_duration)
    }
}

/// A name may hold dots and other characters that mean something to a file system.
fn key(name: &str) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_';
    let mut word = String::with_capacity(name.len());
    for byte in name.bytes() {
        if plain(&byte) {
            word.push(char::from(byte));
        } else {
            word += &format!("%{byte:02X}");
        }
    }
    format!("{FOLDER}/{word}")
}

/// Encodes everything but the unreserved characters of RFC 3986.
pub(super) fn url_encode(document: &str) -> String {
    let mut encoded = String::with_capacity(document.len() * 2);
    for byte in document.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

fn malformed(message: &str) -> QueryError {
    QueryError::new(StatusCode::BAD_REQUEST, "MalformedPolicyDocument", message)
}

/// Reads a policy document.
pub(super) fn parse_policy(document: &str) -> Result<Value, QueryError> {
    let policy: Value =
        serde_json::from_str(document).map_err(|_| malformed("This policy contains invalid Json"))?;
    let has_effect = |statement: &&Value| matches!(statement["Effect"].as_str(), Some("Allow" | "Deny"));
    let statements = statements(&policy);
    if statements.is_empty() || !statements.iter().all(has_effect) {
        return Err(malformed("Syntax errors in policy."));
    }
    Ok(policy)
}

/// Checks a trust policy: it names principals and no resources.
pub(super) fn check_trust_policy(document: &str) -> Result<String, QueryError> {
    let policy = parse_policy(document)?;
    for statement in statements(&policy) {
        if statement.get("Resource").is_some() {
            return Err(malformed("Has prohibited field Resource"));
        }
        if statement.get("Principal").or(statement.get("NotPrincipal")).is_none() {
            return Err(malformed("Missing required field Principal"));
        }
        if statement.get("Action").or(statement.get("NotAction")).is_none() {
            return Err(malformed("Missing required field Action"));
        }
    }
    Ok(document.to_owned())
}

/// Tells whether a trust policy certainly lets Lambda assume the role.
pub(super) fn trusts_lambda(document: &str) -> bool {
    policy::trusts_lambda(document) == Trust::Trusted
}

fn statements(policy: &Value) -> Vec<&Value> {
    match &policy["Statement"] {
        Value::Array(statements) => statements.iter().collect(),
        statement @ Value::Object(_) => vec![statement],
        _ => Vec::new(),
    }
}
