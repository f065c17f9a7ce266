//! Where Lambda looks up an `ImageUri`: the local cloud's own registry, or a test's.

use super::errors::Failure;
use super::function::{Code, Outcome};
use crate::domain::arn::Arn;
use crate::domain::digest::Digest;
use crate::domain::reference::RepositoryName;
use crate::local::call::{ACCOUNT, Call};
use crate::local::registry::resolve::{self, ResolveError};
use crate::local::repository::Repository;
use crate::local::store::{StoreError, Transaction};

/// What an `ImageUri` stands for at the moment it is looked up.
#[derive(Clone, Debug)]
pub struct FoundImage {
    /// The repository it is in.
    pub repository: RepositoryName,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The URI as it was given, in a form that outlives the server's port.
    pub canonical_uri: String,
    /// The URI by digest, in the same form.
    pub canonical_resolved_uri: String,
}

/// Says why Lambda does not take an image.
#[derive(Debug)]
pub enum ImageRefusal {
    /// Not an image of this region's registry, or without tag and digest.
    NotValid,
    /// No such repository, tag or digest.
    DoesNotExist,
    /// An index, an attestation, or another media type.
    MediaTypeNotSupported,
    /// The repository's policy does not let Lambda read.
    AccessDenied,
    /// The store failed.
    Store(StoreError),
}

/// Looks up images.
pub trait ImageCatalogue: Send + Sync {
    /// Finds what `image_uri` stands for.
    fn resolve(&self, call: &Call, image_uri: &str) -> Result<FoundImage, ImageRefusal>;

    /// Tells whether the repository's policy lets Lambda read it for this function.
    fn lambda_may_pull(&self, call: &Call, repository: &RepositoryName, function_arn: &str) -> bool;

    /// Shows a canonical URI with the host and port the client knows us by.
    fn render_uri(&self, call: &Call, canonical: &str) -> String;

    /// Finds the image and checks that Lambda may read it.
    fn take(&self, call: &Call, image_uri: &str, function_arn: &str) -> Result<FoundImage, ImageRefusal> {
        let image = self.resolve(call, image_uri)?;
        match self.lambda_may_pull(call, &image.repository, function_arn) {
            true => Ok(image),
            false => Err(ImageRefusal::AccessDenied),
        }
    }
}

impl ImageRefusal {
    /// AWS's words for it.
    ///
    /// The texts are the ones reported by users of `CreateFunction` and `UpdateFunctionCode`,
    /// such as <https://github.com/aws/aws-cdk/issues/24648>.
    pub(super) fn into_failure(self, image_uri: &str) -> Failure {
        match self {
            Self::NotValid => Failure::invalid_parameter(format!(
                "Source image {image_uri} is not valid. Provide a valid source image."
            )),
            Self::DoesNotExist => Failure::invalid_parameter(format!(
                "Source image {image_uri} does not exist. Provide a valid source image."
            )),
            Self::MediaTypeNotSupported => Failure::invalid_parameter(format!(
                "The image manifest, config or layer media type for the source image {image_uri} is not supported."
            )),
            Self::AccessDenied => Failure::access_denied(
                "Lambda does not have permission to access the ECR image. Check the ECR permissions.",
            ),
            Self::Store(error) => error.into(),
        }
    }
}

/// The registry of the local cloud.
pub(super) struct LocalRegistry;

impl ImageCatalogue for LocalRegistry {
    fn resolve(&self, call: &Call, image_uri: &str) -> Result<FoundImage, ImageRefusal> {
        let image = resolve::resolve(call, image_uri)?;
        Ok(FoundImage {
            repository: image.repository,
            digest: image.digest,
            canonical_uri: image.canonical_uri,
            canonical_resolved_uri: image.canonical_resolved_uri,
        })
    }

    fn lambda_may_pull(&self, call: &Call, repository: &RepositoryName, function_arn: &str) -> bool {
        resolve::lambda_may_pull(call, repository, function_arn)
    }

    fn render_uri(&self, call: &Call, canonical: &str) -> String {
        resolve::render_uri(call, canonical)
    }
}

/// Why Lambda cannot fetch again what a function runs: the image was deleted from its repository,
/// or the repository's policy does not let Lambda read it any more.
///
/// The second reason is reported (<https://github.com/aws/aws-cdk/issues/27007>); the first
/// follows it without a recorded example.
pub(super) fn obstacle(
    tx: &Transaction<'_>,
    region: &str,
    function: &str,
    code: &Code,
) -> Result<Option<Outcome>, StoreError> {
    let Code::Image { repository, digest, .. } = code else { return Ok(None) };
    let because = |code: &str, reason: &str| {
        Some(Outcome { state_reason_code: code.to_owned(), reason: reason.to_owned() })
    };
    let found = Repository::find(tx, region, repository)?;
    let Some(found) = found.filter(|found| found.images.contains_key(digest)) else {
        return Ok(because("ImageDeleted", "The image the function runs was deleted."));
    };
    let arn = Arn::function(region, ACCOUNT, function).to_string();
    Ok(match resolve::policy_lets_lambda_pull(&found, &arn) {
        true => None,
        false => because(
            "ImageAccessDenied",
            "The function does not have permission to access the specified image.",
        ),
    })
}

impl From<ResolveError> for ImageRefusal {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::NotValid(_) => Self::NotValid,
            ResolveError::DoesNotExist(_) => Self::DoesNotExist,
            ResolveError::MediaTypeNotSupported(_) => Self::MediaTypeNotSupported,
            ResolveError::Store(error) => Self::Store(error),
        }
    }
}
