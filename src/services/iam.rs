//! IAM, as far as an execution role needs it.

use aws_sdk_iam::Client;
use aws_sdk_iam::config::Builder;

use super::api_error::ApiError;
use super::session::Session;

/// A role as IAM describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its ARN, path included.
    pub arn: String,
    /// Its trust document, decoded, where IAM gave one.
    pub trust: Option<String>,
}

/// Asks IAM.
#[derive(Clone, Debug)]
pub struct IamClient {
    client: Client,
}

impl IamClient {
    /// Makes a client of `session`.
    pub fn new(session: &Session) -> Self {
        let config = Builder::from(session.config()).interceptor(session.retry_events()).build();
        Self { client: Client::from_conf(config) }
    }

    /// Reads a role by its name (without path); `None` where there is none.
    pub async fn role(&self, name: &str) -> Result<Option<Role>, ApiError> {
        match self.client.get_role().role_name(name).send().await {
            Ok(output) => Ok(output.role().map(|role| Role {
                arn: role.arn().to_owned(),
                trust: role.assume_role_policy_document().map(percent_decoded),
            })),
            Err(error) => match ApiError::new("iam", "GetRole", &error) {
                error if error.is("NoSuchEntity") || error.is("NoSuchEntityException") => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Makes a role that the principals of `trust` can assume.
    pub async fn create_role(
        &self,
        name: &str,
        path: &str,
        trust: &str,
        description: &str,
    ) -> Result<Role, ApiError> {
        const OPERATION: &str = "CreateRole";
        let output = self
            .client
            .create_role()
            .role_name(name)
            .path(path)
            .assume_role_policy_document(trust)
            .description(description)
            .send()
            .await
            .map_err(|error| ApiError::new("iam", OPERATION, &error))?;
        let role = output.role().ok_or_else(|| ApiError::incomplete("iam", OPERATION, "Role"))?;
        Ok(Role { arn: role.arn().to_owned(), trust: Some(trust.to_owned()) })
    }

    /// Attaches a managed policy; attaching it twice is no error.
    pub async fn attach_role_policy(&self, name: &str, policy_arn: &str) -> Result<(), ApiError> {
        self.client
            .attach_role_policy()
            .role_name(name)
            .policy_arn(policy_arn)
            .send()
            .await
            .map(drop)
            .map_err(|error| ApiError::new("iam", "AttachRolePolicy", &error))
    }
}

/// IAM hands its documents out percent-encoded (RFC 3986).
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html>
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|_| first == b'%');
        let decoded = digits.and_then(|digits| {
            let mut byte = [0];
            hex::decode_to_slice(digits, &mut byte).ok().map(|()| byte[0])
        });
        match decoded {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_documents_are_decoded() {
        assert_eq!(percent_decoded("%7B%22Version%22%3A%222012-10-17%22%7D"), r#"{"Version":"2012-10-17"}"#);
        assert_eq!(percent_decoded(r#"{"plain": "100%"}"#), r#"{"plain": "100%"}"#);
    }
}
