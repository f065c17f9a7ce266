//! Blobs: asking whether they are there, and reading them.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use reqwest::{Method, Response};

use super::error::{Operation, RegistryError};
use super::retry::retry;
use super::transport::is_not_found;
use super::{ByteStream, RegistryClient, verified};
use crate::domain::digest::Digest;
use crate::domain::manifest::Descriptor;
use crate::domain::reference::RepositoryName;

/// How long a download may stand still.
const IDLE: Duration = Duration::from_secs(60);

impl RegistryClient {
    /// Tells whether a blob is there.
    pub async fn has_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let what = || format!("{} `{repository}@{digest}`", Operation::CheckBlob);
        match retry(self.reporter(), what, || self.head_blob(repository, digest)).await {
            Ok(()) => Ok(true),
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn head_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), RegistryError> {
        let subject = format!("{repository}@{digest}");
        let path = format!("blobs/{digest}");
        let mut exchange = self.exchange(Operation::CheckBlob, &subject, Method::HEAD, repository, &path)?;
        // A redirect to where the bytes are says that they are there.
        exchange.expected = &[200, 301, 302, 303, 307, 308];
        self.send(&mut exchange, repository, super::authorization::Access::Pull).await?;
        Ok(())
    }

    /// Opens a blob for reading. Its size and digest are checked at the end of the stream.
    pub async fn blob(
        &self,
        repository: &RepositoryName,
        descriptor: &Descriptor,
    ) -> Result<ByteStream, RegistryError> {
        let what = || format!("{} `{repository}@{}`", Operation::ReadBlob, descriptor.digest);
        let response = retry(self.reporter(), what, || self.get_blob(repository, &descriptor.digest)).await?;
        Ok(verified(Box::pin(chunks(response)), descriptor.digest, descriptor.size))
    }

    async fn get_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Response, RegistryError> {
        let subject = format!("{repository}@{digest}");
        let path = format!("blobs/{digest}");
        let mut exchange = self.exchange(Operation::ReadBlob, &subject, Method::GET, repository, &path)?;
        exchange.expected = &[200, 301, 302, 303, 307, 308];
        self.send_following(&mut exchange, repository).await
    }
}

/// The body, with an error where it stands still or is cut.
fn chunks(response: Response) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let next = |mut response: Response| async move {
        let chunk = match tokio::time::timeout(IDLE, response.chunk()).await {
            Ok(Ok(chunk)) => chunk,
            Ok(Err(error)) => {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, error.without_url()));
            }
            Err(_) => {
                let problem = format!("nothing moved for {} s", IDLE.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, problem));
            }
        };
        Ok(chunk.map(|chunk| (chunk, response)))
    };
    stream::try_unfold(response, next).boxed()
}
