//! Uploads: one session and one request an attempt, the blob from its beginning each time.
//!
//! ECR answers chunked uploads in its own way and cannot resume them, so a blob is one POST that
//! opens a session and one PUT that carries all bytes; `growing` has the one exception. A session
//! is never used twice: a second attempt in it fails with `BLOB_UPLOAD_INVALID`.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#post-then-put>

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Body, Method, Response, StatusCode, Url};

use super::authorization::Access;
use super::error::{Operation, RegistryError};
use super::retry::retry;
use super::transport::Exchange;
use super::watched::{Activity, watched};
use super::{BlobContent, RegistryClient};
use crate::domain::manifest::Descriptor;
use crate::domain::reference::RepositoryName;

/// How a blob came into a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uploaded {
    /// Its bytes were sent.
    Sent,
    /// The registry took it over from another of its repositories.
    Mounted,
}

impl RegistryClient {
    /// Sends a blob, from the beginning at each attempt; or has it taken over from the repository
    /// `from` of the same registry, where the registry does that.
    ///
    /// A registry that does not answers as if nobody had asked, and opens a session.
    /// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#mounting-a-blob-from-another-repository>
    pub async fn upload_blob(
        &self,
        repository: &RepositoryName,
        descriptor: &Descriptor,
        content: &dyn BlobContent,
        from: Option<&RepositoryName>,
    ) -> Result<Uploaded, RegistryError> {
        let what = || format!("{} `{repository}@{}`", Operation::UploadBlob, descriptor.digest);
        retry(self.reporter(), what, || self.upload_blob_once(repository, descriptor, content, from)).await
    }

    async fn upload_blob_once(
        &self,
        repository: &RepositoryName,
        descriptor: &Descriptor,
        content: &dyn BlobContent,
        from: Option<&RepositoryName>,
    ) -> Result<Uploaded, RegistryError> {
        let Some(mut commit) = self.start_upload(repository, descriptor, from).await? else {
            return Ok(Uploaded::Mounted);
        };
        let error = match self.send_blob(&mut commit, repository, descriptor, content).await {
            Err(error) => error,
            Ok(()) => return Ok(Uploaded::Sent),
        };
        // The bytes are gone, and with them the session: begin again.
        if !self.reauthorize(&mut commit, repository, Access::Push, &error).await? {
            return Err(error);
        }
        if let Some(mut commit) = self.start_upload(repository, descriptor, None).await? {
            self.send_blob(&mut commit, repository, descriptor, content).await?;
        }
        Ok(Uploaded::Sent)
    }

    /// Opens a session and returns the request that will carry the bytes; `None` where none have
    /// to be sent.
    async fn start_upload(
        &self,
        repository: &RepositoryName,
        descriptor: &Descriptor,
        from: Option<&RepositoryName>,
    ) -> Result<Option<Exchange>, RegistryError> {
        let subject = format!("{repository}@{}", descriptor.digest);
        let mount = from.map(|from| (descriptor, from));
        let Some(mut exchange) = self.open_session(repository, &subject, mount).await? else {
            return Ok(None);
        };
        append_digest(&mut exchange.url, descriptor);
        exchange.method = Method::PUT;
        exchange.headers.insert(CONTENT_LENGTH, descriptor.size.into());
        exchange.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        Ok(Some(exchange))
    }

    /// Opens a session and returns a request to its location; `None` where a blob was taken over
    /// instead.
    pub(super) async fn open_session(
        &self,
        repository: &RepositoryName,
        subject: &str,
        mount: Option<(&Descriptor, &RepositoryName)>,
    ) -> Result<Option<Exchange>, RegistryError> {
        let mut exchange =
            self.exchange(Operation::StartUpload, subject, Method::POST, repository, "blobs/uploads/")?;
        if let Some((descriptor, from)) = mount {
            let digest = descriptor.digest.to_string();
            exchange.url.query_pairs_mut().append_pair("mount", &digest).append_pair("from", from.as_str());
        }
        exchange.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        exchange.expected = &[200, 201, 202, 204];
        let response = self.send(&mut exchange, repository, Access::Push).await?;
        if mount.is_some() && is_mounted(&response) {
            return Ok(None);
        }
        self.follow(&mut exchange, &response)?;
        give_back(response).await;
        exchange.operation = Operation::UploadBlob;
        Ok(Some(exchange))
    }

    async fn send_blob(
        &self,
        commit: &mut Exchange,
        repository: &RepositoryName,
        descriptor: &Descriptor,
        content: &dyn BlobContent,
    ) -> Result<(), RegistryError> {
        let unreadable = |source| RegistryError::Content { digest: descriptor.digest, source };
        self.authorize(commit, repository, Access::Push).await?;
        let activity = Activity::new();
        let bytes = watched(
            content.open().await.map_err(unreadable)?,
            descriptor.digest,
            descriptor.size,
            activity.clone(),
            self.reporter().clone(),
        );
        let body = if descriptor.size == 0 { Body::default() } else { Body::wrap_stream(bytes) };
        let ecr = self.inner.authenticator.is_ecr();
        let result = commit.send_streaming(&self.inner.http, ecr, body, &activity).await;
        // What stopped the reading is the cause; that the request broke off is its consequence.
        if let Some(source) = activity.take_failure() {
            return Err(unreadable(source));
        }
        result.map(|_| ())
    }
}

/// Lets others have the connection of an answer: else the next request opens another one.
pub(super) async fn give_back(response: Response) {
    drop(response);
    // It is free as soon as others get their turn.
    tokio::task::yield_now().await;
}

/// Whether the answer names the blob itself; some registries open sessions with 201 as well.
fn is_mounted(response: &Response) -> bool {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    response.status() == StatusCode::CREATED && !location.is_some_and(|at| at.contains("/uploads/"))
}

/// Adds the digest to the location, which is otherwise used exactly as the registry wrote it.
pub(super) fn append_digest(location: &mut Url, descriptor: &Descriptor) {
    let digest = format!("digest=sha256%3A{}", descriptor.digest.hex());
    let query = match location.query() {
        Some(query) if !query.is_empty() => format!("{query}&{digest}"),
        _ => digest,
    };
    location.set_query(Some(&query));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Digest;
    use crate::domain::manifest::MediaType;

    #[test]
    fn the_location_s_own_query_is_kept_as_it_is() {
        let blob = Descriptor::new(MediaType::OciLayerGzip, Digest::of(b""), 0);
        let mut url = Url::parse("https://r.test/v2/a/blobs/uploads/1?_state=a%2Fb%3D%3D").unwrap();
        append_digest(&mut url, &blob);
        assert_eq!(
            url.query().unwrap(),
            format!("_state=a%2Fb%3D%3D&digest=sha256%3A{}", Digest::of(b"").hex())
        );
        let mut bare = Url::parse("https://r.test/upload").unwrap();
        append_digest(&mut bare, &blob);
        assert!(bare.query().unwrap().starts_with("digest=sha256%3A"));
    }
}
