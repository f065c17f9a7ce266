//! Layers: whether they are there, where to download them, and uploading them in parts.

use std::fs;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sha2::Digest as _;

use super::Context;
use super::failure::Failure;
use super::input::Input;
use crate::domain::digest::Digest;
use crate::local::call::{ACCOUNT, Call};
use crate::local::registry::signed_path;
use crate::local::store::at;
use crate::local::upload::{self, Exists};

/// The size ECR proposes for parts.
const PART_SIZE: u64 = 10 * 1024 * 1024;

pub(super) fn check(call: &Call, input: &Input) -> Result<Value, Failure> {
    let digests: Vec<String> = input.read("layerDigests")?;
    if !(1..=100).contains(&digests.len()) {
        let constraint = "Member must have length between 1 and 100";
        return Err(Failure::invalid_parameter("layerDigests", constraint));
    }
    let repository = call.store.transaction(|tx| input.repository(call, tx))??;
    let (mut layers, mut failures) = (Vec::new(), Vec::new());
    for text in digests {
        let Ok(digest) = text.parse::<Digest>() else {
            let reason = "Invalid request parameters: layer digest is invalid";
            failures.push(json!({
                "layerDigest": text, "failureCode": "InvalidLayerDigest", "failureReason": reason,
            }));
            continue;
        };
        layers.push(match repository.blobs.get(&digest) {
            Some(link) => {
                let mut layer = json!({
                    "layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": link.size,
                });
                if let Some(kind) = &link.media_type {
                    layer["mediaType"] = kind.as_str().into();
                }
                layer
            }
            None => json!({ "layerDigest": digest, "layerAvailability": "UNAVAILABLE" }),
        });
    }
    Ok(json!({ "layers": layers, "failures": failures }))
}

pub(super) fn download_url(context: &Context<'_>, input: &Input) -> Result<Value, Failure> {
    let call = context.call;
    let digest = layer_digest(input.required("layerDigest")?)?;
    let repository = call.store.transaction(|tx| input.repository(call, tx))??;
    if !repository.blobs.contains_key(&digest) {
        let text = format!(
            "The layer with digest '{digest}' does not exist within the repository with name '{}' in the registry with id '{ACCOUNT}'",
            repository.name
        );
        return Err(Failure::new("LayersNotFoundException", text));
    }
    if !repository.refers_to(&digest) {
        let text = format!("The layer with digest '{digest}' is not associated with an image");
        return Err(Failure::new("LayerInaccessibleException", text));
    }
    let url = format!("http://{}{}", call.authority, signed_path(context.key, &digest, call.now));
    Ok(json!({ "downloadUrl": url, "layerDigest": digest }))
}

pub(super) fn initiate(call: &Call, input: &Input) -> Result<Value, Failure> {
    let name = input.repository_name()?;
    let id = upload::start(call, name.as_str())?;
    Ok(json!({ "uploadId": id, "partSize": PART_SIZE }))
}

pub(super) fn upload_part(context: &Context<'_>, input: &Input) -> Result<Value, Failure> {
    let call = context.call;
    let name = input.repository_name()?;
    let id = input.required("uploadId")?;
    let (first, last) = (input.number("partFirstByte")?, input.number("partLastByte")?);
    let bytes = BASE64.decode(input.required("layerPartBlob")?);
    let bytes = bytes.map_err(|_| Failure::invalid_parameter("layerPartBlob", "Invalid Base64"))?;
    if bytes.is_empty() || last.checked_sub(first) != Some(bytes.len() as u64 - 1) {
        let constraint = "The size of the layer part does not match the range given";
        return Err(Failure::invalid_parameter("partLastByte", constraint));
    }
    let mut claim = upload::claim(call, context.hashes, name.as_str(), id, Some(first))?;
    let path = claim.file();
    let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(at(&path))?;
    file.write_all(&bytes).map_err(at(&path))?;
    if let Some(hash) = &mut claim.hash {
        hash.update(&bytes);
    }
    claim.complete_part(bytes.len() as u64)?;
    Ok(json!({
        "registryId": ACCOUNT, "repositoryName": name.as_str(), "uploadId": id, "lastByteReceived": last,
    }))
}

pub(super) fn complete(context: &Context<'_>, input: &Input) -> Result<Value, Failure> {
    let name = input.repository_name()?;
    let id = input.required("uploadId")?;
    let digests: Vec<String> = input.read("layerDigests")?;
    let accepted = digests.iter().map(|text| layer_digest(text)).collect::<Result<Vec<_>, _>>()?;
    let claim = upload::claim(context.call, context.hashes, name.as_str(), id, None)?;
    let finished = claim.finish(0, &accepted, Exists::IsAnError)?;
    if finished.existed {
        let text = format!(
            "The layer with digest '{}' already exists in the repository with name '{name}' in the registry with id '{ACCOUNT}'",
            finished.digest
        );
        return Err(Failure::new("LayerAlreadyExistsException", text));
    }
    Ok(json!({
        "registryId": ACCOUNT, "repositoryName": name.as_str(), "uploadId": id, "layerDigest": finished.digest,
    }))
}

fn layer_digest(text: &str) -> Result<Digest, Failure> {
    text.parse().map_err(|_| {
        Failure::invalid_parameter(
            "layerDigest",
            "must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
        )
    })
}
