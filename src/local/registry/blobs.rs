//! Blobs of a repository: whether they are there, and where to download them.

use axum::body::Body;
use http::{Method, Response, StatusCode, header};

use super::download::signed_path;
use super::errors::RegistryError;
use super::{Exchange, blocking, respond};
use crate::domain::digest::Digest;
use crate::local::call::ACCOUNT;
use crate::local::repository::Repository;

/// `HEAD` and `GET …/blobs/DIGEST`. A GET is redirected, as ECR redirects to S3.
pub(super) async fn handle(exchange: Exchange, digest: &str) -> Result<Response<Body>, RegistryError> {
    if exchange.method != Method::GET && exchange.method != Method::HEAD {
        return Err(RegistryError::method_not_allowed());
    }
    let digest: Digest = digest.parse().map_err(|_| RegistryError::invalid_digest(digest))?;
    let (call, name) = (exchange.call.clone(), exchange.repository.clone());
    let size = blocking(move || size(&call, &name, &digest)).await?;
    let response = Response::builder().header("docker-content-digest", digest.to_string());
    if exchange.method == Method::HEAD {
        let response = response
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, size);
        return respond(response, Body::empty());
    }
    let path = signed_path(&exchange.key, &digest, exchange.call.now);
    let location = format!("http://{}{path}", other_name(&exchange.call.authority));
    let response = response.status(StatusCode::TEMPORARY_REDIRECT).header(header::LOCATION, location);
    respond(response, Body::empty())
}

fn size(call: &crate::local::call::Call, name: &str, digest: &Digest) -> Result<u64, RegistryError> {
    let repository = call
        .store
        .transaction(|tx| Repository::find(tx, &call.region, name))??
        .ok_or_else(|| RegistryError::no_repository(name))?;
    let link = repository.blobs.get(digest).ok_or_else(|| {
        let text = format!(
            "The layer with digest '{digest}' does not exist within the repository with name '{name}' in the registry with id '{ACCOUNT}'"
        );
        RegistryError::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", text)
    })?;
    Ok(link.size)
}

/// Another name of this machine: clients leave the Authorization header behind when they are
/// sent to another host, and only then.
pub(in crate::local) fn other_name(authority: &str) -> String {
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    let host = if authority.starts_with("localhost") { "127.0.0.1" } else { "localhost" };
    port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_are_on_another_host() {
        for (authority, other) in [
            ("127.0.0.1:4577", "localhost:4577"),
            ("localhost:4577", "127.0.0.1:4577"),
            ("[::1]:80", "localhost:80"),
            ("[::1]", "localhost"),
            ("127.0.0.1", "localhost"),
        ] {
            assert_eq!(other_name(authority), other);
        }
    }
}
