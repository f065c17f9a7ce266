//! Reads images that others published, with what earlier runs remember of them.

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::cache::{Cache, Shelf};
use super::cloud::Cloud;
use crate::domain::digest::Digest;
use crate::domain::platform::Architecture;
use crate::domain::reference::ImageReference;
use crate::image::guesses::Guesses;
use crate::image::known::Published;
use crate::image::registry::{self, Documents};
use crate::image::{Image, ImageError};

/// Reads an image from its registry; the error says in words why that did not work.
pub(super) async fn read(
    cloud: &Cloud,
    reference: &ImageReference,
    architecture: Option<Architecture>,
    guesses: Option<&Guesses>,
) -> Result<Image, String> {
    let registry = &reference.repository.registry;
    let client = cloud.registry(registry).await.map_err(|error| error.to_string())?;
    let read = match cloud.cache() {
        Some(cache) => {
            registry::read_again(&client, reference, architecture, cache, guesses, cloud.reporter()).await
        }
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
            match read(&self.0, reference, architecture, None).await {
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

fn key(reference: &ImageReference) -> Digest {
    Digest::of(reference.to_string().as_bytes())
}

impl Documents for Cache {
    fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.document(digest)
    }

    fn keep(&self, bytes: &[u8]) {
        Self::keep(self, bytes);
    }

    fn led_to(&self, reference: &ImageReference) -> Option<Digest> {
        let digest = Self::get(self, Shelf::References, &key(reference))?;
        String::from_utf8(digest).ok()?.parse().ok()
    }

    fn leads_to(&self, reference: &ImageReference, digest: Digest) {
        if self.led_to(reference) != Some(digest) {
            self.put(Shelf::References, &key(reference), digest.to_string().as_bytes());
        }
    }
}
