//! The OCI registry of the local cloud, with Amazon ECR's deviations from the specification.
//!
//! `server::dispatch` hands every request below `/v2/` to [`handle`], and signed downloads to
//! [`download`]. Transactions of the store are short but wait for a lock that other processes
//! hold too, so they run on threads that may block.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

pub mod auth;
mod blobs;
mod download;
mod errors;
mod manifests;
mod query;
mod referrers;
pub mod resolve;
mod uploads;

use axum::body::{Body, HttpBody as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};

use super::call::Call;
use super::upload::Hashes;
use auth::{Refusal, SigningKey};
use errors::RegistryError;

pub(in crate::local) use query::Query;

pub use download::{PREFIX as DOWNLOAD_PREFIX, download, signed_path};

const API_VERSION: &str = "docker-distribution-api-version";

/// What a request to a repository is handled with. The call's region is the token's.
#[derive(Debug)]
struct Exchange {
    call: Call,
    key: SigningKey,
    hashes: Hashes,
    repository: String,
    method: Method,
    headers: HeaderMap,
    query: Query,
}

impl Exchange {
    fn header(&self, name: impl Into<HeaderName>) -> Option<&str> {
        self.headers.get(name.into()).and_then(|value| value.to_str().ok())
    }

    /// An absolute URL of this registry, as ECR writes locations.
    fn url(&self, path: &str) -> String {
        format!("http://{}/v2/{}/{path}", self.call.authority, self.repository)
    }
}

/// Answers a request below `/v2/`.
pub async fn handle(
    mut call: Call,
    key: SigningKey,
    hashes: Hashes,
    request: Request<Body>,
) -> Response<Body> {
    let mut response = match auth::region(&key, request.headers(), call.now) {
        Ok(region) => {
            call.region = region;
            let only_head = request.method() == Method::HEAD;
            let answer = route(call, key, hashes, request).await;
            let response = answer.unwrap_or_else(|error| error.response());
            if only_head { without_body(response) } else { response }
        }
        Err(Refusal::NoCredentials) => errors::challenge(&call.authority),
        Err(Refusal::Denied(text)) => RegistryError::denied(text).response(),
    };
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

async fn route(
    call: Call,
    key: SigningKey,
    hashes: Hashes,
    request: Request<Body>,
) -> Result<Response<Body>, RegistryError> {
    let (parts, body) = request.into_parts();
    // Some clients write the colon of a digest as an escape; no name needs any other.
    let path = parts.uri.path().replace("%3A", ":").replace("%3a", ":");
    let words: Vec<&str> = path.strip_prefix("/v2/").unwrap_or_default().split('/').collect();
    let exchange = |name: &[&str]| -> Result<Exchange, RegistryError> {
        let repository = name.join("/");
        repository
            .parse::<crate::domain::reference::RepositoryName>()
            .map_err(RegistryError::invalid_name)?;
        Ok(Exchange {
            call: call.clone(),
            key: key.clone(),
            hashes: hashes.clone(),
            repository,
            method: parts.method.clone(),
            headers: parts.headers.clone(),
            query: Query::of(&parts.uri),
        })
    };
    match words.as_slice() {
        [""] => respond(Response::builder(), Body::empty()),
        ["_catalog"] => manifests::catalog(call, Query::of(&parts.uri)).await,
        [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => {
            uploads::open(exchange(name)?, body).await
        }
        [name @ .., "blobs", "uploads", id] => uploads::go_on(exchange(name)?, id, body).await,
        [name @ .., "blobs", digest] => blobs::handle(exchange(name)?, digest).await,
        [name @ .., "manifests", reference] => manifests::handle(exchange(name)?, reference, body).await,
        [name @ .., "tags", "list"] => manifests::tags(exchange(name)?).await,
        [name @ .., "referrers", digest] => referrers::list(exchange(name)?, digest).await,
        _ => Err(RegistryError::no_such_page()),
    }
}

fn respond(builder: http::response::Builder, body: impl Into<Body>) -> Result<Response<Body>, RegistryError> {
    builder.body(body.into()).map_err(|error| RegistryError::internal(&error))
}

/// An answer to HEAD: everything but the body, whose length is told all the same.
fn without_body(mut response: Response<Body>) -> Response<Body> {
    let length = response.body().size_hint().exact();
    if let Some(length) = length.filter(|_| !response.headers().contains_key(header::CONTENT_LENGTH)) {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    response.map(|_| Body::empty())
}

/// Runs what waits for the store's lock or a disk on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, RegistryError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| RegistryError::internal(&error))?
}
