//! Reads images that others published, with what earlier runs remember of them.

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::cache::Cache;
use super::cloud::Cloud;
use crate::domain::digest::Digest;
use crate::domain::platform::Architecture;
use crate::domain::reference::ImageReference;
use crate::image::known::Published;
use crate::image::registry::{self, Documents};
use crate::image::{Image, ImageError};

/// Reads an image from its registry; the error says in words why that did not work.
pub(super) async fn read(
    cloud: &Cloud,
    reference: &ImageReference,
    architecture: Option<Architecture>,
) -> Result<Image, String> {
    let registry = &reference.repository.registry;
    let client = cloud.registry(registry).await.map_err(|error| error.to_string())?;
    let read = match cloud.cache() {
        Some(cache) => registry::read_again(&client, reference, architecture, cache, cloud.reporter()).await,
        None => registry::read(&client, reference, architecture, cloud.reporter()).await,
    };
    read.map_err(|error: ImageError| error.to_string())
}

/// Images that an engine pulled, in the registries it pulled them from.
#[derive(Debug)]
pub(super) struct Bases(pub(super) Cloud);

impl Published for Bases {
    fn read<'a>(
        &'a self,
        reference: &'a ImageReference,
        architecture: Option<Architecture>,
    ) -> BoxFuture<'a, Option<Image>> {
        async move {
            match read(&self.0, reference, architecture).await {
                Ok(image) => Some(image),
                Err(why) => {
                    tracing::debug!("`{reference}` cannot be read from its registry: {why}");
                    None
                }
            }
        }
        .boxed()
    }
}

impl Documents for Cache {
    fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.document(digest)
    }

    fn keep(&self, bytes: &[u8]) {
        Self::keep(self, bytes);
    }
}
