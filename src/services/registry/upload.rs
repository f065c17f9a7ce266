//! Uploads: one session and one request an attempt, the blob from its beginning each time.
//!
//! ECR answers chunked uploads in its own way and cannot resume them, so a blob is one POST that
//! opens a session and one PUT that carries all bytes. A session is never used twice: a second
//! attempt in it fails with `BLOB_UPLOAD_INVALID`.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#post-then-put>

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Method, Url};

use super::authorization::Access;
use super::error::{Operation, RegistryError};
use super::retry::retry;
use super::transport::Exchange;
use super::watched::{Activity, watched};
use super::{BlobContent, RegistryClient};
use crate::domain::manifest::Descriptor;
use crate::domain::reference::RepositoryName;

impl RegistryClient {
    /// Sends a blob, from the beginning at each attempt.
    pub async fn upload_blob(
        &self,
        repository: &RepositoryName,
        descriptor: &Descriptor,
        content: &dyn BlobContent,
    ) -> Result<(), RegistryError> {
        let what = || format!("{} `{repository}@{}`", Operation::UploadBlob, descriptor.digest);
        retry(self.reporter(), what, || self.upload_blob_once(repository, descriptor, content)).await
    }

    async fn upload_blob_once(
        &self,
        repository: &RepositoryName,
        descriptor: &Descriptor,
        content: &dyn BlobContent,
    ) -> Result<(), RegistryError> {
        let mut commit = self.start_upload(repository, descriptor).await?;
        let error = match self.send_blob(&mut commit, repository, descriptor, content).await {
            Err(error) => error,
            done => return done,
        };
        // The bytes are gone, and with them the session: begin again.
        if !self.reauthorize(&mut commit, repository, Access::Push, &error).await? {
            return Err(error);
        }
        let mut commit = self.start_upload(repository, descriptor).await?;
        self.send_blob(&mut commit, repository, descriptor, content).await
    }

    /// Opens a session and returns the request that will carry the bytes.
    async fn start_upload(
        &self,
        repository: &RepositoryName,
        descriptor: &Descriptor,
    ) -> Result<Exchange, RegistryError> {
        let subject = format!("{repository}@{}", descriptor.digest);
        let mut exchange =
            self.exchange(Operation::StartUpload, &subject, Method::POST, repository, "blobs/uploads/")?;
        exchange.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        exchange.expected = &[200, 201, 202, 204];
        let response = self.send(&mut exchange, repository, Access::Push).await?;
        self.follow(&mut exchange, &response)?;
        append_digest(&mut exchange.url, descriptor);
        exchange.operation = Operation::UploadBlob;
        exchange.method = Method::PUT;
        exchange.headers.insert(CONTENT_LENGTH, descriptor.size.into());
        exchange.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        exchange.expected = &[200, 201, 202, 204];
        Ok(exchange)
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

/// Adds the digest to the location, which is otherwise used exactly as the registry wrote it.
fn append_digest(location: &mut Url, descriptor: &Descriptor) {
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
