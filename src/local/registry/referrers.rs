//! Which manifests say something about another one: signatures, bills of materials.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers>

use axum::body::Body;
use http::{Method, Response, header};
use serde_json::{Value, json};

use super::errors::RegistryError;
use super::manifests::find;
use super::{Exchange, blocking, respond};
use crate::domain::digest::Digest;
use crate::domain::manifest::MediaType;
use crate::local::blob;

/// `GET …/referrers/DIGEST?artifactType=…`: an index, empty where nothing refers to it.
pub(super) async fn list(exchange: Exchange, digest: &str) -> Result<Response<Body>, RegistryError> {
    if exchange.method != Method::GET {
        return Err(RegistryError::method_not_allowed());
    }
    let subject: Digest = digest.parse().map_err(|_| RegistryError::invalid_digest(digest))?;
    let wanted = exchange.query.get("artifactType").map(str::to_owned);
    let filtered = wanted.is_some();
    let manifests = blocking(move || {
        let repository = find(&exchange.call, &exchange.repository)?;
        let mut manifests = Vec::new();
        for (digest, image) in &repository.images {
            let matches = wanted.is_none() || wanted == image.artifact_type;
            if image.subject != Some(subject) || !matches {
                continue;
            }
            let mut entry = json!({
                "mediaType": image.media_type, "digest": digest, "size": image.manifest_size,
            });
            if let Some(kind) = &image.artifact_type {
                entry["artifactType"] = kind.as_str().into();
            }
            let bytes = blob::read(&exchange.call.store, digest)?.unwrap_or_default();
            let document: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            if document["annotations"].is_object() {
                entry["annotations"] = document["annotations"].clone();
            }
            manifests.push(entry);
        }
        Ok(manifests)
    })
    .await?;
    let index = json!({ "schemaVersion": 2, "mediaType": MediaType::OciIndex, "manifests": manifests });
    let mut response = Response::builder().header(header::CONTENT_TYPE, MediaType::OciIndex.as_str());
    if filtered {
        response = response.header("oci-filters-applied", "artifactType");
    }
    respond(response, index.to_string())
}
