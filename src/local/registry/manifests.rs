//! Manifests of a repository, its tags, and the list of repositories.

use axum::body::{Body, to_bytes};
use http::{Method, Response, StatusCode, header};
use serde_json::json;

use super::errors::RegistryError;
use super::query::Query;
use super::{Exchange, blocking, respond};
use crate::domain::digest::Digest;
use crate::domain::reference::Tag;
use crate::local::blob;
use crate::local::call::Call;
use crate::local::put_image::{MANIFEST_LIMIT, NewImage, PutImageError, put_image};
use crate::local::repository::Repository;
use crate::local::store::StoreError;

/// ECR's largest page of tags.
const PAGE: usize = 1000;

/// GET, HEAD and PUT of `…/manifests/REFERENCE`. Deleting is the API's.
pub(super) async fn handle(
    exchange: Exchange,
    reference: &str,
    body: Body,
) -> Result<Response<Body>, RegistryError> {
    let reference = reference.to_owned();
    match exchange.method {
        Method::GET | Method::HEAD => get(exchange, reference).await,
        Method::PUT => put(exchange, reference, body).await,
        _ => Err(RegistryError::method_not_allowed()),
    }
}

async fn get(exchange: Exchange, reference: String) -> Result<Response<Body>, RegistryError> {
    let missing =
        || RegistryError::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "Requested image not found");
    let (media_type, digest, bytes) = blocking(move || {
        let repository = find(&exchange.call, &exchange.repository)?;
        let digest = repository.digest_of(&reference).ok_or_else(missing)?;
        let image = repository.images.get(&digest).ok_or_else(missing)?;
        let bytes = blob::read(&exchange.call.store, &digest)?.ok_or_else(missing)?;
        Ok((image.media_type.to_string(), digest, bytes))
    })
    .await?;
    let response = Response::builder()
        .header(header::CONTENT_TYPE, media_type)
        .header(header::CONTENT_LENGTH, bytes.len())
        .header("docker-content-digest", digest.to_string());
    respond(response, bytes)
}

async fn put(exchange: Exchange, reference: String, body: Body) -> Result<Response<Body>, RegistryError> {
    let bytes = to_bytes(body, MANIFEST_LIMIT).await.map_err(|_| PutImageError::TooLarge)?;
    let digest = reference.parse::<Digest>().ok();
    if digest.is_none() && reference.parse::<Tag>().is_err() {
        let text = format!(
            "Invalid parameter at 'ImageTag' failed to satisfy constraint: 'must satisfy regular expression '[a-zA-Z0-9-_.]+'': {reference}"
        );
        return Err(RegistryError::new(StatusCode::BAD_REQUEST, "TAG_INVALID", text));
    }
    let (call, name) = (exchange.call.clone(), exchange.repository.clone());
    let media_type = exchange.header(header::CONTENT_TYPE).map(str::to_owned);
    let put = blocking(move || {
        let tag = digest.is_none().then_some(reference.as_str());
        let new = NewImage { bytes: &bytes, media_type: media_type.as_deref(), digest, tag };
        call.store.transaction(|tx| {
            let mut repository = Repository::find(tx, &call.region, &name)?
                .ok_or_else(|| RegistryError::no_repository(&name))?;
            let put = put_image(&call.store, &mut repository, &new, call.now)?;
            repository.save(tx)?;
            Ok(put)
        })?
    })
    .await?;
    let mut response = Response::builder()
        .status(StatusCode::CREATED)
        .header(header::LOCATION, exchange.url(&format!("manifests/{}", put.digest)))
        .header("docker-content-digest", put.digest.to_string());
    if let Some(subject) = put.subject {
        response = response.header("oci-subject", subject.to_string());
    }
    respond(response, Body::empty())
}

/// `GET …/tags/list?n=…&last=…`.
pub(super) async fn tags(exchange: Exchange) -> Result<Response<Body>, RegistryError> {
    let (call, name) = (exchange.call.clone(), exchange.repository.clone());
    let repository = blocking(move || find(&call, &name)).await?;
    let page = Page::of(&exchange.query, repository.tags.keys());
    let body = json!({ "name": repository.name, "tags": page.names });
    page.respond(&format!("/v2/{}/tags/list", repository.name), body)
}

/// `GET /v2/_catalog?n=…&last=…`.
pub(super) async fn catalog(call: Call, query: Query) -> Result<Response<Body>, RegistryError> {
    let repositories = blocking(move || {
        let all = call.store.transaction(|tx| Repository::all(tx, &call.region))??;
        Ok(all)
    })
    .await?;
    let page = Page::of(&query, repositories.iter().map(|repository| &repository.name));
    let body = json!({ "repositories": page.names });
    page.respond("/v2/_catalog", body)
}

/// Some names of a sorted list, and whether more follow.
struct Page {
    names: Vec<String>,
    size: usize,
    more: bool,
}

impl Page {
    fn of<'a>(query: &Query, names: impl Iterator<Item = &'a String>) -> Self {
        let size = query.get("n").and_then(|n| n.parse().ok()).filter(|n| *n > 0).unwrap_or(PAGE).min(PAGE);
        let last = query.get("last").unwrap_or_default();
        let mut names: Vec<String> =
            names.filter(|name| name.as_str() > last).take(size + 1).cloned().collect();
        let more = names.len() > size;
        names.truncate(size);
        Self { names, size, more }
    }

    fn respond(&self, path: &str, body: serde_json::Value) -> Result<Response<Body>, RegistryError> {
        let mut response = Response::builder().header(header::CONTENT_TYPE, "application/json");
        if let Some(last) = self.names.last().filter(|_| self.more) {
            let next = format!("<{path}?last={last}&n={}>; rel=\"next\"", self.size);
            response = response.header(header::LINK, next);
        }
        respond(response, body.to_string())
    }
}

/// The repository, or what the registry says where there is none.
pub(super) fn find(call: &Call, name: &str) -> Result<Repository, RegistryError> {
    let found: Option<Repository> = call
        .store
        .transaction(|tx| Repository::find(tx, &call.region, name))
        .and_then(|found: Result<_, StoreError>| found)?;
    found.ok_or_else(|| RegistryError::no_repository(name))
}
