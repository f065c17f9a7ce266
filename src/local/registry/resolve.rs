//! What Lambda makes of an `ImageUri`: the image it stands for at this moment.
//!
//! The local Lambda API calls it for `CreateFunction` and `UpdateFunctionCode`, keeps the
//! canonical URI, and shows it with [`render_uri`].

use bytes::Bytes;

use crate::domain::arn::Arn;
use crate::domain::digest::Digest;
use crate::domain::manifest::{Manifest, MediaType};
use crate::domain::policy::{Pull, RepositoryPolicy};
use crate::domain::reference::{ImageReference, RepositoryName};
use crate::local::blob;
use crate::local::call::{ACCOUNT, Call};
use crate::local::repository::Repository;
use crate::local::store::StoreError;

/// The image an `ImageUri` stands for.
#[derive(Clone, Debug)]
pub struct ResolvedImage {
    /// The repository it is in, of the call's region.
    pub repository: RepositoryName,
    /// The digest of its manifest: Lambda's `CodeSha256` and `ResolvedImageUri`.
    pub digest: Digest,
    /// What the manifest is.
    pub media_type: MediaType,
    /// The bytes of the manifest.
    pub manifest: Bytes,
    /// The bytes of the image configuration.
    pub config: Bytes,
    /// Compressed bytes of configuration and layers.
    pub size: u64,
    /// The URI as it was given, in the form to be stored.
    pub canonical_uri: String,
    /// The URI by digest, in the form to be stored.
    pub canonical_resolved_uri: String,
}

/// Says why Lambda does not take an image. The caller finds AWS's words for it.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Not an image of this region's registry, or without tag and digest.
    #[error("source image `{0}` is not valid")]
    NotValid(String),
    /// No such repository, tag or digest.
    #[error("source image `{0}` does not exist")]
    DoesNotExist(String),
    /// An index, an attestation, or other media types than Lambda takes.
    #[error("source image `{0}`: the media type of its manifest, configuration or layers is not supported")]
    MediaTypeNotSupported(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Finds the image `image_uri` stands for in the call's region.
///
/// The host is any loopback host (URIs stay valid when the port changes), or the name ECR would
/// have: `000000000000.dkr.ecr.REGION.amazonaws.com`. Only media types Lambda accepts are
/// resolved: <https://docs.aws.amazon.com/lambda/latest/dg/images-create.html>
pub fn resolve(call: &Call, image_uri: &str) -> Result<ResolvedImage, ResolveError> {
    let not_valid = || ResolveError::NotValid(image_uri.to_owned());
    let reference: ImageReference = image_uri.parse().map_err(|_| not_valid())?;
    if (reference.tag.is_none() && reference.digest.is_none()) || !is_here(call, &reference) {
        return Err(not_valid());
    }
    let name = &reference.repository.name;
    let missing = || ResolveError::DoesNotExist(image_uri.to_owned());
    let repository = call
        .store
        .transaction(|tx| Repository::find(tx, &call.region, name.as_str()))??
        .ok_or_else(missing)?;
    let digest = repository.digest_of(&reference.manifest_reference()).ok_or_else(missing)?;
    let stored = repository.images.get(&digest).ok_or_else(missing)?;
    let manifest = blob::read(&call.store, &digest)?.ok_or_else(missing)?;

    let unsupported = || ResolveError::MediaTypeNotSupported(image_uri.to_owned());
    let parsed: Manifest = serde_json::from_slice(&manifest).map_err(|_| unsupported())?;
    let same_family = matches!(
        (&stored.media_type, &parsed.config.media_type),
        (MediaType::OciManifest, MediaType::OciConfig) | (MediaType::DockerManifest, MediaType::DockerConfig)
    );
    if !same_family || !parsed.is_accepted_by_lambda() {
        return Err(unsupported());
    }
    let config = blob::read(&call.store, &parsed.config.digest)?.ok_or_else(missing)?;
    let canonical = format!("{}/{name}", canonical_host(&call.region));
    let canonical_resolved_uri = format!("{canonical}@{digest}");
    let canonical_uri = match (&reference.digest, &reference.tag) {
        (None, Some(tag)) => format!("{canonical}:{tag}"),
        (Some(_), Some(tag)) => format!("{canonical}:{tag}@{digest}"),
        _ => canonical_resolved_uri.clone(),
    };
    Ok(ResolvedImage {
        repository: name.clone(),
        digest,
        media_type: stored.media_type.clone(),
        manifest: manifest.into(),
        config: config.into(),
        size: stored.size,
        canonical_uri,
        canonical_resolved_uri,
    })
}

/// Tells whether the repository's policy lets Lambda read it for this function: an Allow of
/// `ecr:BatchGetImage` and `ecr:GetDownloadUrlForLayer` for `lambda.amazonaws.com`, no Deny.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#gettingstarted-images-permissions>
pub fn lambda_may_pull(call: &Call, repository: &RepositoryName, function_arn: &str) -> bool {
    let found = call.store.transaction(|tx| Repository::find(tx, &call.region, repository.as_str()));
    let found = found.ok().and_then(Result::ok).flatten();
    found.is_some_and(|repository| policy_lets_lambda_pull(&repository, function_arn))
}

/// As [`lambda_may_pull`], for a repository that has been read.
pub fn policy_lets_lambda_pull(repository: &Repository, function_arn: &str) -> bool {
    let (Some(text), Ok(arn)) = (&repository.policy, function_arn.parse::<Arn>()) else { return false };
    let name = arn.resource.split(':').nth(1).and_then(|name| name.parse().ok());
    let (Ok(policy), Some(function)) = (RepositoryPolicy::parse(text), name) else { return false };
    let repository_arn = repository.arn();
    let pull = Pull {
        partition: arn.partition,
        region: arn.region,
        account: arn.account,
        function,
        repository_account: ACCOUNT.to_owned(),
        repository_arn: Some(repository_arn),
    };
    policy.judge(&pull).is_allowed()
}

/// Shows a stored URI with the authority the client reached us under.
pub fn render_uri(call: &Call, canonical: &str) -> String {
    let local = canonical.split_once('/').filter(|(host, _)| *host == canonical_host(&call.region));
    match local {
        Some((_, path)) => format!("{}/{path}", call.authority),
        None => canonical.to_owned(),
    }
}

/// The host of the region's registry in stored URIs, which name no port.
fn canonical_host(region: &str) -> String {
    format!("{ACCOUNT}.dkr.ecr.{region}.amazonaws.com")
}

fn is_here(call: &Call, reference: &ImageReference) -> bool {
    let host = &reference.repository.registry;
    let named = || {
        host.ecr().is_some_and(|ecr| {
            ecr.account == ACCOUNT && ecr.region == call.region && !ecr.fips && !ecr.dual_stack
        })
    };
    host.is_loopback() || named()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use time::OffsetDateTime;

    use super::*;
    use crate::domain::manifest::Descriptor;
    use crate::local::call::Delays;
    use crate::local::put_image::{NewImage, put_image};
    use crate::local::repository::BlobLink;
    use crate::local::store::Store;

    fn call(directory: &std::path::Path) -> Call {
        Call {
            store: Arc::new(Store::open(directory).unwrap()),
            delays: Delays::default(),
            region: "eu-west-1".into(),
            authority: "127.0.0.1:4577".into(),
            request_id: "id".into(),
            now: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn blob(call: &Call, media_type: MediaType, repository: &mut Repository, bytes: &[u8]) -> Descriptor {
        let digest = blob::write(&call.store, bytes).unwrap();
        let size = bytes.len() as u64;
        repository.blobs.insert(digest, BlobLink { size, media_type: None });
        Descriptor::new(media_type, digest, size)
    }

    fn push(call: &Call, tag: &str, layer: MediaType) -> Digest {
        let name = "team/hello".parse().unwrap();
        let mut repository = Repository::new("eu-west-1", &name, call.now);
        let config = blob(call, MediaType::OciConfig, &mut repository, b"{}");
        let layer = blob(call, layer, &mut repository, b"layer");
        let manifest = serde_json::to_vec(&Manifest::oci(config, vec![layer])).unwrap();
        let new = NewImage { bytes: &manifest, media_type: None, digest: None, tag: Some(tag) };
        call.store
            .transaction(|tx| {
                let put = put_image(&call.store, &mut repository, &new, call.now).unwrap();
                repository.save(tx).unwrap();
                put.digest
            })
            .unwrap()
    }

    #[test]
    fn images_are_found_under_every_name_they_have_here() {
        let directory = tempfile::tempdir().unwrap();
        let call = call(directory.path());
        let digest = push(&call, "v1", MediaType::OciLayerGzip);
        for uri in [
            "127.0.0.1:1/team/hello:v1".to_owned(),
            "localhost:9/team/hello:v1".to_owned(),
            "000000000000.dkr.ecr.eu-west-1.amazonaws.com/team/hello:v1".to_owned(),
            format!("127.0.0.1:4577/team/hello@{digest}"),
        ] {
            let image = resolve(&call, &uri).unwrap();
            assert_eq!((image.digest, image.config.as_ref()), (digest, b"{}".as_slice()), "{uri}");
            assert_eq!(image.size, 7);
            let shown = render_uri(&call, &image.canonical_uri);
            let (_, path) = uri.split_once('/').unwrap();
            assert_eq!(shown, format!("127.0.0.1:4577/{path}"));
        }
    }

    #[test]
    fn other_registries_and_bare_repositories_are_not_valid() {
        let directory = tempfile::tempdir().unwrap();
        let call = call(directory.path());
        for uri in [
            "team/hello:v1",
            "127.0.0.1:4577/team/hello",
            "public.ecr.aws/team/hello:v1",
            "000000000000.dkr.ecr.us-east-1.amazonaws.com/team/hello:v1",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/hello:v1",
            "000000000000.dkr.ecr-fips.eu-west-1.amazonaws.com/team/hello:v1",
        ] {
            assert!(matches!(resolve(&call, uri), Err(ResolveError::NotValid(_))), "{uri}");
        }
    }

    #[test]
    fn what_is_not_there_does_not_exist_and_other_layers_are_not_supported() {
        let directory = tempfile::tempdir().unwrap();
        let call = call(directory.path());
        let missing = resolve(&call, "127.0.0.1:4577/team/hello:v1");
        assert!(matches!(missing, Err(ResolveError::DoesNotExist(_))));
        push(&call, "v1", MediaType::OciLayerZstd);
        let missing = resolve(&call, "127.0.0.1:4577/team/hello:v2");
        assert!(matches!(missing, Err(ResolveError::DoesNotExist(_))));
        let unsupported = resolve(&call, "127.0.0.1:4577/team/hello:v1");
        assert!(matches!(unsupported, Err(ResolveError::MediaTypeNotSupported(_))));
    }
}
