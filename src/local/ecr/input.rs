//! The input of an operation: its members, checked as they are read.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::Failure;
use crate::domain::digest::Digest;
use crate::domain::reference::{RepositoryName, Tag};
use crate::local::call::{ACCOUNT, Call};
use crate::local::repository::Repository;
use crate::local::store::Transaction;

/// The pattern ECR names when a repository's name does not match.
const NAME_PATTERN: &str =
    "(?:[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*/)*[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";

/// The JSON object a request carries.
#[derive(Debug)]
pub(super) struct Input(Value);

impl Input {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Failure> {
        let body = if body.is_empty() { b"{}".as_slice() } else { body };
        match serde_json::from_slice(body) {
            Ok(value @ Value::Object(_)) => Ok(Self(value)),
            _ => Err(Failure::new("SerializationException", "")),
        }
    }

    /// A member; `Null` where it is absent.
    pub(super) fn get(&self, name: &str) -> &Value {
        &self.0[name]
    }

    /// A text that may be absent.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0[name].as_str()
    }

    /// A text that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.text(name).ok_or_else(|| Failure::invalid_parameter(name, "must not be null"))
    }

    /// A number that must be there.
    pub(super) fn number(&self, name: &str) -> Result<u64, Failure> {
        self.0[name].as_u64().ok_or_else(|| {
            Failure::invalid_parameter(name, "Member must have value greater than or equal to 0")
        })
    }

    /// A member of any shape; the type's default where it is absent.
    pub(super) fn read<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, Failure> {
        match &self.0[name] {
            Value::Null => Ok(T::default()),
            value => serde_json::from_value(value.clone())
                .map_err(|_| Failure::new("SerializationException", format!("Unexpected value of '{name}'"))),
        }
    }

    /// A page's beginning and size: `nextToken` and `maxResults`.
    pub(super) fn page(&self) -> Result<(usize, usize), Failure> {
        let invalid = || Failure::invalid_parameter("nextToken", "Invalid token provided");
        let from = self.text("nextToken").map_or(Ok(0), |token| token.parse().map_err(|_| invalid()))?;
        let size = match self.get("maxResults") {
            Value::Null => 100,
            value => value.as_u64().filter(|size| (1..=1000).contains(size)).ok_or_else(|| {
                Failure::invalid_parameter("maxResults", "Member must be between 1 and 1000")
            })?,
        };
        Ok((from, usize::try_from(size).unwrap_or(1000)))
    }

    /// `repositoryName`, checked; with `registryId` of another account there is no such one.
    pub(super) fn repository_name(&self) -> Result<RepositoryName, Failure> {
        let name = checked_name(self.required("repositoryName")?)?;
        self.check_registry(&name)?;
        Ok(name)
    }

    fn check_registry(&self, name: &RepositoryName) -> Result<(), Failure> {
        match self.text("registryId") {
            Some(other) if other != ACCOUNT => {
                let text = format!(
                    "The repository with name '{name}' does not exist in the registry with id '{other}'"
                );
                Err(Failure::new("RepositoryNotFoundException", text))
            }
            _ => Ok(()),
        }
    }

    /// The repository the call is about.
    pub(super) fn repository(&self, call: &Call, tx: &Transaction<'_>) -> Result<Repository, Failure> {
        let name = self.repository_name()?;
        Repository::find(tx, &call.region, name.as_str())?
            .ok_or_else(|| Failure::no_repository(name.as_str()))
    }
}

/// Reads a repository's name.
pub(super) fn checked_name(text: &str) -> Result<RepositoryName, Failure> {
    text.parse().map_err(|_| {
        Failure::invalid_parameter(
            "repositoryName",
            format_args!("must satisfy regular expression '{NAME_PATTERN}'"),
        )
    })
}

/// What `imageIds` names: a digest, a tag, or a digest that a tag must have.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageId {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) image_digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) image_tag: Option<String>,
}

impl ImageId {
    /// Finds the image; otherwise says why not, as a failure code and reason.
    pub(super) fn find(&self, repository: &Repository) -> Result<Digest, (&'static str, &'static str)> {
        let not_found = ("ImageNotFound", "Requested image not found");
        let tagged = match &self.image_tag {
            Some(tag) if tag.parse::<Tag>().is_err() => {
                return Err(("InvalidImageTag", "Invalid request parameters: image tag is invalid"));
            }
            Some(tag) => Some(*repository.tags.get(tag).ok_or(not_found)?),
            None => None,
        };
        match (&self.image_digest, tagged) {
            (None, None) => {
                Err(("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"))
            }
            (None, Some(tagged)) => Ok(tagged),
            (Some(digest), tagged) => {
                let digest: Digest = digest.parse().map_err(|_| {
                    ("InvalidImageDigest", "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'")
                })?;
                if tagged.is_some_and(|tagged| tagged != digest) {
                    return Err(("ImageTagDoesNotMatchDigest", "The tag does not match the digest"));
                }
                if repository.images.contains_key(&digest) { Ok(digest) } else { Err(not_found) }
            }
        }
    }
}
