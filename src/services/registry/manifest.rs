//! Manifests: reading, asking for their digest, storing.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response};
use serde::Deserialize;

use super::authorization::Access;
use super::error::{Operation, RegistryError};
use super::retry::retry;
use super::transport::{is_not_found, read_bounded};
use super::{FetchedManifest, RegistryClient};
use crate::domain::digest::Digest;
use crate::domain::manifest::MediaType;
use crate::domain::reference::RepositoryName;

/// Twice what ECR takes (4,194,304 characters).
const LARGEST_MANIFEST: usize = 8 << 20;

impl RegistryClient {
    /// Asks for a manifest by tag or digest; `None` where there is none.
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &str,
    ) -> Result<Option<FetchedManifest>, RegistryError> {
        let subject = subject(repository, reference);
        let what = || format!("{} `{subject}`", Operation::ReadManifest);
        found(retry(self.reporter(), what, || self.get_manifest(repository, reference, &subject)).await)
    }

    async fn get_manifest(
        &self,
        repository: &RepositoryName,
        reference: &str,
        subject: &str,
    ) -> Result<FetchedManifest, RegistryError> {
        let path = format!("manifests/{reference}");
        let mut exchange = self.exchange(Operation::ReadManifest, subject, Method::GET, repository, &path)?;
        exchange.headers.insert(ACCEPT, accept());
        exchange.expected = &[200, 301, 302, 303, 307, 308];
        let response = self.send_following(&mut exchange, repository).await?;
        let declared = declared_digest(&response);
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.map(MediaType::from);
        let bytes = read_bounded(response, LARGEST_MANIFEST).await.map_err(|why| exchange.protocol(why))?;
        let digest = Digest::of(&bytes);
        for expected in [reference.parse().ok(), declared].into_iter().flatten() {
            if expected != digest {
                return Err(RegistryError::Digest { subject: subject.to_owned(), expected, actual: digest });
            }
        }
        self.seen().insert((repository.clone(), digest), true);
        Ok(FetchedManifest { media_type: media_type(content_type, &bytes), bytes, digest })
    }

    /// Tells whether a manifest is there. What is found here once is not asked for again by this
    /// client: a command that looks for it several times costs one request.
    pub async fn has_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let key = (repository.clone(), *digest);
        if let Some(there) = self.seen().get(&key) {
            return Ok(*there);
        }
        let there = self.manifest_digest(repository, &digest.to_string()).await? == Some(*digest);
        self.seen().insert(key, there);
        Ok(there)
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<(RepositoryName, Digest), bool>> {
        self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the digest a tag or digest resolves to, without the bytes.
    pub async fn manifest_digest(
        &self,
        repository: &RepositoryName,
        reference: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        let subject = subject(repository, reference);
        let what = || format!("{} `{subject}`", Operation::CheckManifest);
        let head = retry(self.reporter(), what, || self.head_manifest(repository, reference, &subject)).await;
        match found(head)? {
            None => Ok(None),
            Some(Some(digest)) => Ok(Some(digest)),
            // The header is optional: <https://github.com/google/containerregistry/pull/10>
            Some(None) => Ok(self.manifest(repository, reference).await?.map(|manifest| manifest.digest)),
        }
    }

    async fn head_manifest(
        &self,
        repository: &RepositoryName,
        reference: &str,
        subject: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        let path = format!("manifests/{reference}");
        let mut exchange =
            self.exchange(Operation::CheckManifest, subject, Method::HEAD, repository, &path)?;
        exchange.headers.insert(ACCEPT, accept());
        exchange.expected = &[200, 301, 302, 303, 307, 308];
        let response = self.send_following(&mut exchange, repository).await?;
        Ok(declared_digest(&response))
    }

    /// Stores a manifest under `reference` (a tag or its digest) and returns the digest the registry
    /// says it has there, if it says one: then it is the right one.
    ///
    /// A registry that does not know the blobs yet is asked again: ECR may need some 100 ms
    /// after the last upload.
    pub async fn put_manifest(
        &self,
        repository: &RepositoryName,
        reference: &str,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<Option<Digest>, RegistryError> {
        let subject = subject(repository, reference);
        let expected = Digest::of(&bytes);
        let what = || format!("{} `{subject}`", Operation::PutManifest);
        let declared = retry(self.reporter(), what, || {
            self.put_manifest_once(repository, reference, &subject, media_type, bytes.clone())
        })
        .await?;
        match declared {
            Some(actual) if actual != expected => Err(RegistryError::Digest { subject, expected, actual }),
            _ => {
                // Whether it can be read now has to be asked, unless it was said.
                match declared {
                    Some(_) => self.seen().insert((repository.clone(), expected), true),
                    None => self.seen().remove(&(repository.clone(), expected)),
                };
                Ok(declared)
            }
        }
    }

    async fn put_manifest_once(
        &self,
        repository: &RepositoryName,
        reference: &str,
        subject: &str,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<Option<Digest>, RegistryError> {
        let path = format!("manifests/{reference}");
        let mut exchange = self.exchange(Operation::PutManifest, subject, Method::PUT, repository, &path)?;
        let content_type = HeaderValue::from_str(media_type.as_str())
            .map_err(|_| exchange.protocol(format!("`{media_type}` cannot be a media type")))?;
        exchange.headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type)]);
        exchange.body = bytes;
        exchange.expected = &[200, 201, 202, 204];
        let response = self.send(&mut exchange, repository, Access::Push).await?;
        Ok(declared_digest(&response))
    }
}

/// How errors name the manifest: `REPOSITORY@sha256:…` or `REPOSITORY:TAG`.
fn subject(repository: &RepositoryName, reference: &str) -> String {
    let separator = if reference.parse::<Digest>().is_ok() { '@' } else { ':' };
    format!("{repository}{separator}{reference}")
}

fn accept() -> HeaderValue {
    HeaderValue::from_str(&MediaType::accept_manifests()).unwrap_or(HeaderValue::from_static("*/*"))
}

fn declared_digest(response: &Response) -> Option<Digest> {
    response.headers().get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

fn found<T>(result: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The content type, or what the document says about itself where the content type is generic.
fn media_type(content_type: Option<MediaType>, bytes: &[u8]) -> MediaType {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Document {
        media_type: Option<MediaType>,
    }
    match content_type {
        Some(known) if !matches!(known, MediaType::Other(_)) => known,
        other => {
            let own = serde_json::from_slice::<Document>(bytes).ok().and_then(|document| document.media_type);
            own.or(other).unwrap_or(MediaType::OciManifest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generic_content_type_gives_way_to_the_document() {
        let document = br#"{"mediaType":"application/vnd.oci.image.index.v1+json"}"#;
        let generic = MediaType::from("application/json");
        assert_eq!(media_type(Some(generic.clone()), document), MediaType::OciIndex);
        assert_eq!(media_type(Some(MediaType::DockerManifest), document), MediaType::DockerManifest);
        assert_eq!(media_type(None, b"{}"), MediaType::OciManifest);
        assert_eq!(media_type(Some(generic.clone()), b"{}"), generic);
    }
}
