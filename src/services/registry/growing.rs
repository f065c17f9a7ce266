//! Uploads of blobs that are still being made: one session, one PATCH that carries bytes as they
//! come, and one PUT without any that says what they were.
//!
//! That is how Docker pushes, so every registry takes it. ECR answers the PATCH with 201 instead
//! of 202, and its `Range` does not tell what has arrived. There is one attempt: what was sent
//! cannot be sent again before the blob is complete, and then it need not be sent this way.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-a-blob-in-chunks>

use std::sync::Arc;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Body, Method, Response};

use super::authorization::Access;
use super::error::RegistryError;
use super::transport::Exchange;
use super::upload::{append_digest, give_back};
use super::watched::{Activity, Growing};
use super::{ByteStream, RegistryClient};
use crate::domain::digest::{DiffId, Digest};
use crate::domain::manifest::Descriptor;
use crate::domain::reference::RepositoryName;

/// A layer that can be read before it is complete.
pub trait GrowingContent: Send + Sync {
    /// Opens the bytes from the beginning; the stream waits where there are no more yet, and ends
    /// where the blob does.
    fn open(&self) -> ByteStream;

    /// What the blob is, once it is complete.
    fn descriptor(&self) -> Option<Descriptor>;
}

impl RegistryClient {
    /// Sends a layer while it is being made, and returns what it has become. `diff_id` names it
    /// until then.
    pub async fn upload_growing_blob(
        &self,
        repository: &RepositoryName,
        diff_id: DiffId,
        content: Arc<dyn GrowingContent>,
    ) -> Result<Digest, RegistryError> {
        let subject = format!("{repository}, diff ID {}", diff_id.0.short());
        let Some(mut exchange) = self.open_session(repository, &subject, None).await? else {
            return Err(RegistryError::Vanished { subject });
        };
        exchange.method = Method::PATCH;
        exchange.headers.remove(CONTENT_LENGTH);
        exchange.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let activity = Activity::new();
        let bytes = Growing::new(content.clone(), activity.clone(), self.reporter().clone());
        self.authorize(&mut exchange, repository, Access::Push).await?;
        let sent = self.carry(&exchange, Body::wrap_stream(bytes), &activity).await;
        // What stopped the reading is the cause; that the request broke off is its consequence.
        if let Some(source) = activity.take_failure() {
            return Err(RegistryError::Content { digest: diff_id.0, source });
        }
        let response = sent?;
        let descriptor = content.descriptor().filter(|_| activity.is_complete());
        let descriptor =
            descriptor.ok_or_else(|| exchange.protocol("the registry did not wait for all bytes"))?;
        if response.headers().contains_key(LOCATION) {
            self.follow(&mut exchange, &response)?;
        }
        give_back(response).await;
        append_digest(&mut exchange.url, &descriptor);
        exchange.method = Method::PUT;
        exchange.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        self.authorize(&mut exchange, repository, Access::Push).await?;
        let error = match self.carry(&exchange, Body::default(), &Activity::of_nothing()).await {
            Err(error) => error,
            Ok(_) => return Ok(descriptor.digest),
        };
        // The bytes have arrived: a token that expired meanwhile costs one small request more.
        if !self.reauthorize(&mut exchange, repository, Access::Push, &error).await? {
            return Err(error);
        }
        self.carry(&exchange, Body::default(), &Activity::of_nothing()).await?;
        Ok(descriptor.digest)
    }

    async fn carry(
        &self,
        exchange: &Exchange,
        body: Body,
        activity: &Arc<Activity>,
    ) -> Result<Response, RegistryError> {
        exchange.send_streaming(&self.inner.http, self.inner.authenticator.is_ecr(), body, activity).await
    }
}
