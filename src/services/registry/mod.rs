//! A registry that speaks the OCI distribution API, Amazon ECR's dialect of it included.
//!
//! `image::registry` reads bases and images through it, `pipeline::push` writes through it.
//! One file an activity: [`manifest`](RegistryClient::manifest)s, blobs, uploads; beneath them
//! `transport` sends one request with the right authorization, and `retry` repeats what may
//! succeed the next time. <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

mod authorization;
mod blob;
mod challenge;
mod error;
mod growing;
mod hint;
mod manifest;
mod retry;
mod transport;
mod upload;
mod verified;
mod watched;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::domain::digest::Digest;
use crate::domain::manifest::MediaType;
use crate::domain::reference::{RegistryHost, RepositoryName};
use crate::domain::secret::Secret;
use crate::event::SharedReporter;

use authorization::Authenticator;

pub use error::{ErrorEntry, Operation, Refusal, RegistryError};
pub use growing::GrowingContent;
pub use upload::Uploaded;
pub use verified::{BlobMismatch, verified};

/// The bytes of a blob as they pass by.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// Something whose bytes can be read again for every attempt to send them.
pub trait BlobContent: Send + Sync {
    /// Opens the bytes from the beginning.
    fn open(&self) -> BoxFuture<'_, io::Result<ByteStream>>;
}

/// Hands out the token of a registry with Basic authentication whose tokens expire (ECR).
pub trait TokenProvider: Send + Sync + fmt::Debug {
    /// The text after `Basic `. `rejected` is a token the registry has just refused: another
    /// one is fetched then, once for all tasks that were refused with it.
    fn token<'a>(&'a self, rejected: Option<&'a Secret>) -> BoxFuture<'a, Result<Secret, TokenError>>;
}

/// Says why no token could be had.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct TokenError(#[from] pub Arc<dyn std::error::Error + Send + Sync>);

/// How to prove who is asking.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// Nothing at first; a bearer token is fetched where the registry asks for one.
    Anonymous,
    /// A user and a password, also used to fetch bearer tokens.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// Basic authentication with tokens that expire.
    Token(Arc<dyn TokenProvider>),
}

/// A manifest as it came.
#[derive(Clone, Debug)]
pub struct FetchedManifest {
    /// Its bytes; their digest was checked where one was asked for.
    pub bytes: Bytes,
    /// What the registry says it is.
    pub media_type: MediaType,
    /// The digest of the bytes.
    pub digest: Digest,
}

/// A client of one registry; cheap to clone.
#[derive(Clone, Debug)]
pub struct RegistryClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    host: RegistryHost,
    authenticator: Authenticator,
    reporter: Reporting,
    /// Manifests that were asked for by digest, and whether they were there.
    seen: Mutex<HashMap<(RepositoryName, Digest), bool>>,
}

/// A reporter that has a `Debug` form.
#[derive(Clone)]
struct Reporting(SharedReporter);

impl fmt::Debug for Reporting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reporter")
    }
}

impl RegistryClient {
    /// Makes a client of `host`. Plain HTTP is spoken to loopback hosts only.
    ///
    /// `http` must not follow redirects by itself: a redirected download must not carry the
    /// registry's credentials to another host.
    pub fn new(
        http: reqwest::Client,
        host: RegistryHost,
        authorization: Authorization,
        reporter: SharedReporter,
    ) -> Self {
        let authenticator = Authenticator::new(host.clone(), authorization);
        let (reporter, seen) = (Reporting(reporter), Mutex::default());
        let inner = Inner { http, host, authenticator, reporter, seen };
        Self { inner: Arc::new(inner) }
    }

    /// The registry it speaks to.
    pub fn host(&self) -> &RegistryHost {
        &self.inner.host
    }

    fn reporter(&self) -> &SharedReporter {
        &self.inner.reporter.0
    }
}
