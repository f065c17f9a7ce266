//! Amazon ECR's API: repositories, their policies, and tokens for the registry.

use std::time::SystemTime;

use aws_sdk_ecr::Client;
use aws_sdk_ecr::config::{Builder, Region};
use aws_sdk_ecr::primitives::DateTime;
use aws_sdk_ecr::types::ImageDetail;

use super::api_error::ApiError;
use super::session::Session;
use crate::domain::digest::Digest;
use crate::domain::manifest::MediaType;
use crate::domain::reference::{RepositoryName, RepositoryUri};
use crate::domain::secret::Secret;

const SERVICE: &str = "ecr";

/// A repository as ECR describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// `HOST/NAME`, the only source of the registry's host.
    pub uri: RepositoryUri,
    /// Its ARN.
    pub arn: String,
    /// The account that owns it.
    pub account: String,
}

/// What was pushed to a repository last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newest {
    /// An image with this digest.
    Image(Digest),
    /// Something that is no image of one platform.
    Other,
    /// There is nothing.
    Nothing,
}

/// A token for the registries of one region.
#[derive(Clone, Debug)]
pub struct RegistryToken {
    /// The text after `Basic `.
    pub token: Secret,
    /// When it ends; twelve hours after it was made.
    pub expires_at: Option<SystemTime>,
}

/// Asks ECR in one region.
#[derive(Clone, Debug)]
pub struct EcrClient {
    client: Client,
}

impl EcrClient {
    /// Makes a client of `session`, in its region or in another one.
    pub fn new(session: &Session, region: Option<&str>) -> Self {
        let mut builder = Builder::from(session.config()).interceptor(session.retry_events());
        if let Some(region) = region {
            builder = builder.region(Region::new(region.to_owned()));
        }
        Self { client: Client::from_conf(builder.build()) }
    }

    /// Looks a repository up in the registry of `account` (the caller's where `None`); `None`
    /// where there is none.
    pub async fn repository(
        &self,
        account: Option<&str>,
        name: &RepositoryName,
    ) -> Result<Option<Repository>, ApiError> {
        const OPERATION: &str = "DescribeRepositories";
        let request = self
            .client
            .describe_repositories()
            .set_registry_id(account.map(str::to_owned))
            .repository_names(name.as_str());
        match request.send().await {
            Ok(output) => output.repositories().first().map(|found| read(OPERATION, found)).transpose(),
            Err(error) => match ApiError::new(SERVICE, OPERATION, &error) {
                error if error.is("RepositoryNotFoundException") => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Which image was pushed last to a repository of `account`, among a thousand of its images:
    /// ECR lists them in no order.
    pub async fn newest_image(
        &self,
        account: Option<&str>,
        name: &RepositoryName,
    ) -> Result<Newest, ApiError> {
        let request = self
            .client
            .describe_images()
            .set_registry_id(account.map(str::to_owned))
            .repository_name(name.as_str())
            .max_results(1000);
        let found = request.send().await.map_err(|error| ApiError::new(SERVICE, "DescribeImages", &error))?;
        // An index lists no layers.
        let is_image = |detail: &&ImageDetail| {
            let media_type = detail.image_manifest_media_type().map(MediaType::from);
            matches!(media_type, Some(MediaType::DockerManifest | MediaType::OciManifest))
        };
        let images = found.image_details().iter().filter(is_image);
        let newest = images.max_by_key(|image| image.image_pushed_at().map(DateTime::as_nanos));
        Ok(match newest.and_then(|image| image.image_digest()?.parse().ok()) {
            Some(digest) => Newest::Image(digest),
            None if found.image_details().is_empty() && found.next_token().is_none() => Newest::Nothing,
            None => Newest::Other,
        })
    }

    /// Makes a repository in the caller's registry.
    pub async fn create_repository(&self, name: &RepositoryName) -> Result<Repository, ApiError> {
        const OPERATION: &str = "CreateRepository";
        let output = self
            .client
            .create_repository()
            .repository_name(name.as_str())
            .send()
            .await
            .map_err(|error| ApiError::new(SERVICE, OPERATION, &error))?;
        let made =
            output.repository().ok_or_else(|| ApiError::incomplete(SERVICE, OPERATION, "repository"))?;
        read(OPERATION, made)
    }

    /// Reads the text of a repository's policy; `None` where it has none.
    pub async fn policy(
        &self,
        account: Option<&str>,
        name: &RepositoryName,
    ) -> Result<Option<String>, ApiError> {
        let request = self
            .client
            .get_repository_policy()
            .set_registry_id(account.map(str::to_owned))
            .repository_name(name.as_str());
        match request.send().await {
            Ok(output) => Ok(output.policy_text().map(str::to_owned)),
            Err(error) => match ApiError::new(SERVICE, "GetRepositoryPolicy", &error) {
                error if error.is("RepositoryPolicyNotFoundException") => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Replaces a repository's policy. ECR refuses one that would lock the caller out.
    pub async fn set_policy(
        &self,
        account: Option<&str>,
        name: &RepositoryName,
        text: &str,
    ) -> Result<(), ApiError> {
        self.client
            .set_repository_policy()
            .set_registry_id(account.map(str::to_owned))
            .repository_name(name.as_str())
            .policy_text(text)
            .send()
            .await
            .map(drop)
            .map_err(|error| ApiError::new(SERVICE, "SetRepositoryPolicy", &error))
    }

    /// Fetches a token that every registry of the region accepts from the caller.
    /// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html>
    pub async fn token(&self) -> Result<RegistryToken, ApiError> {
        const OPERATION: &str = "GetAuthorizationToken";
        let output = self
            .client
            .get_authorization_token()
            .send()
            .await
            .map_err(|error| ApiError::new(SERVICE, OPERATION, &error))?;
        let data = output.authorization_data().first();
        let token = data
            .and_then(|data| data.authorization_token())
            .ok_or_else(|| ApiError::incomplete(SERVICE, OPERATION, "authorizationToken"))?;
        let expires_at =
            data.and_then(|data| data.expires_at()).and_then(|at| SystemTime::try_from(*at).ok());
        Ok(RegistryToken { token: Secret::new(token), expires_at })
    }
}

fn read(
    operation: &'static str,
    repository: &aws_sdk_ecr::types::Repository,
) -> Result<Repository, ApiError> {
    let uri = repository.repository_uri().and_then(|uri| uri.parse().ok());
    Ok(Repository {
        uri: uri.ok_or_else(|| ApiError::incomplete(SERVICE, operation, "repositoryUri"))?,
        arn: repository.repository_arn().unwrap_or_default().to_owned(),
        account: repository.registry_id().unwrap_or_default().to_owned(),
    })
}
