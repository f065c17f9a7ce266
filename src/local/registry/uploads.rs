//! Uploads of blobs: opening a session, parts of it, its end; mounting instead of uploading.
//!
//! ECR's deviations are here on purpose: PATCH answers 201, its `Range` stays at the first part,
//! a session can neither be asked about nor taken up again, and mounting is an account setting.

use axum::body::Body;
use futures_util::StreamExt as _;
use http::{Method, Response, StatusCode, header};
use sha2::Digest as _;
use tokio::io::{AsyncWriteExt as _, BufWriter};

use super::errors::RegistryError;
use super::{Exchange, blocking, respond};
use crate::domain::digest::Digest;
use crate::local::account_setting;
use crate::local::repository::Repository;
use crate::local::upload::{self, Claim, Exists};

/// `POST …/blobs/uploads/`: mounts (`?mount=…&from=…`), takes a whole blob (`?digest=…`), or
/// opens a session.
pub(super) async fn open(exchange: Exchange, body: Body) -> Result<Response<Body>, RegistryError> {
    if exchange.method != Method::POST {
        return Err(RegistryError::method_not_allowed());
    }
    if let Some(digest) = mount(&exchange).await? {
        return created(&exchange, &digest);
    }
    let (call, name) = (exchange.call.clone(), exchange.repository.clone());
    let id = blocking(move || Ok(upload::start(&call, &name)?)).await?;
    if let Some(digest) = exchange.query.get("digest") {
        let digest = digest.parse().map_err(|_| RegistryError::invalid_digest(digest))?;
        let claim = claim(&exchange, &id, Some(0)).await?;
        return finish(&exchange, claim, digest, body).await;
    }
    respond(session(&exchange, StatusCode::ACCEPTED, &id).header(header::RANGE, "0-0"), Body::empty())
}

/// PATCH, PUT and DELETE of a session; it cannot be asked about.
pub(super) async fn go_on(exchange: Exchange, id: &str, body: Body) -> Result<Response<Body>, RegistryError> {
    match exchange.method {
        Method::PATCH => {
            // Without a range the part is taken to begin at 0, which is how ECR catches a
            // client that sends its bytes a second time.
            let claim = claim(&exchange, id, Some(first_byte(&exchange).unwrap_or(0))).await?;
            let (claim, length) = receive(claim, body).await?;
            let first_part = blocking(move || Ok(claim.complete_part(length)?)).await?;
            let range = format!("0-{}", first_part.saturating_sub(1));
            respond(session(&exchange, StatusCode::CREATED, id).header(header::RANGE, range), Body::empty())
        }
        Method::PUT => {
            let digest = exchange.query.get("digest").unwrap_or_default();
            let digest = digest.parse().map_err(|_| RegistryError::invalid_digest(digest))?;
            let claim = claim(&exchange, id, first_byte(&exchange)).await?;
            finish(&exchange, claim, digest, body).await
        }
        Method::DELETE => {
            drop(claim(&exchange, id, None).await?);
            respond(Response::builder().status(StatusCode::NO_CONTENT), Body::empty())
        }
        Method::GET | Method::HEAD => Err(RegistryError::no_such_page()),
        _ => Err(RegistryError::method_not_allowed()),
    }
}

/// Links a blob of another repository, where the account allows that, the other repository has
/// an image with it, and the client asks for it.
/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/blob-mounting.html>
async fn mount(exchange: &Exchange) -> Result<Option<Digest>, RegistryError> {
    let query = &exchange.query;
    let (Some(digest), Some(from)) = (query.get("mount"), query.get("from")) else { return Ok(None) };
    let digest: Digest = digest.parse().map_err(|_| RegistryError::invalid_digest(digest))?;
    let (call, name, from) = (exchange.call.clone(), exchange.repository.clone(), from.to_owned());
    blocking(move || {
        call.store.transaction(|tx| {
            let mut repository = Repository::find(tx, &call.region, &name)?
                .ok_or_else(|| RegistryError::no_repository(&name))?;
            if !account_setting::blob_mounting(tx, &call.region)? {
                return Ok(None);
            }
            let source = Repository::find(tx, &call.region, &from)?;
            let source = source
                .filter(|source| source.refers_to(&digest) && source.encryption == repository.encryption);
            let Some(link) = source.and_then(|source| source.blobs.get(&digest).cloned()) else {
                return Ok(None);
            };
            repository.blobs.entry(digest).or_insert(link);
            repository.save(tx)?;
            Ok(Some(digest))
        })?
    })
    .await
}

async fn claim(exchange: &Exchange, id: &str, first_byte: Option<u64>) -> Result<Claim, RegistryError> {
    let (call, hashes) = (exchange.call.clone(), exchange.hashes.clone());
    let (name, id) = (exchange.repository.clone(), id.to_owned());
    blocking(move || Ok(upload::claim(&call, &hashes, &name, &id, first_byte)?)).await
}

/// The first byte of `Content-Range: FIRST-LAST`.
fn first_byte(exchange: &Exchange) -> Option<u64> {
    let range = exchange.header(header::CONTENT_RANGE)?;
    range.trim_start_matches("bytes").trim().split('-').next()?.parse().ok()
}

/// Appends the body to the session's file, hashing on the way. Memory stays the same whatever
/// comes; a body that breaks off takes the session with it.
async fn receive(mut claim: Claim, body: Body) -> Result<(Claim, u64), RegistryError> {
    let refused = |error: std::io::Error| RegistryError::file(&error);
    let file = tokio::fs::OpenOptions::new().create(true).append(true).open(claim.file()).await;
    let mut file = BufWriter::with_capacity(256 * 1024, file.map_err(refused)?);
    let mut length = 0;
    let mut bytes = body.into_data_stream();
    while let Some(piece) = bytes.next().await {
        let piece = piece.map_err(|error| {
            RegistryError::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", error.to_string())
        })?;
        if let Some(hash) = &mut claim.hash {
            hash.update(&piece);
        }
        length += piece.len() as u64;
        file.write_all(&piece).await.map_err(refused)?;
    }
    file.flush().await.map_err(refused)?;
    Ok((claim, length))
}

async fn finish(
    exchange: &Exchange,
    claim: Claim,
    digest: Digest,
    body: Body,
) -> Result<Response<Body>, RegistryError> {
    let (claim, length) = receive(claim, body).await?;
    blocking(move || Ok(claim.finish(length, &[digest], Exists::IsFine)?)).await?;
    created(exchange, &digest)
}

fn session(exchange: &Exchange, status: StatusCode, id: &str) -> http::response::Builder {
    Response::builder()
        .status(status)
        .header(header::LOCATION, exchange.url(&format!("blobs/uploads/{id}")))
        .header("docker-upload-uuid", id)
}

fn created(exchange: &Exchange, digest: &Digest) -> Result<Response<Body>, RegistryError> {
    let response = Response::builder()
        .status(StatusCode::CREATED)
        .header(header::LOCATION, exchange.url(&format!("blobs/{digest}")))
        .header("docker-content-digest", digest.to_string());
    respond(response, Body::empty())
}
