//! Images of a repository: reading, deleting and putting manifests.

use serde_json::{Value, json};

use super::failure::Failure;
use super::input::{ImageId, Input};
use crate::domain::digest::Digest;
use crate::domain::reference::Tag;
use crate::local::blob;
use crate::local::call::{ACCOUNT, Call};
use crate::local::put_image::{NewImage, put_image};
use crate::local::repository::Repository;

/// `BatchGetImage`. Manifests are handed out as they were put: nothing is converted.
pub(super) fn batch_get(call: &Call, input: &Input) -> Result<Value, Failure> {
    let ids = image_ids(input)?;
    let repository = call.store.transaction(|tx| input.repository(call, tx))??;
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for id in ids {
        match id.find(&repository) {
            Ok(digest) => {
                let bytes = blob::read(&call.store, &digest)?.unwrap_or_default();
                let id = json!(ImageId { image_digest: Some(digest.to_string()), ..id });
                images.push(shown(&repository, &id, &bytes, &digest));
            }
            Err((code, reason)) => failures.push(failure(&id, code, reason)),
        }
    }
    Ok(json!({ "images": images, "failures": failures }))
}

/// `BatchDeleteImage`: a tag goes alone, an image with its last tag, a digest with all tags.
pub(super) fn batch_delete(call: &Call, input: &Input) -> Result<Value, Failure> {
    let ids = image_ids(input)?;
    call.store.transaction(|tx| {
        let mut repository = input.repository(call, tx)?;
        let (mut deleted, mut failures) = (Vec::new(), Vec::new());
        for id in ids {
            let outcome = id.find(&repository).and_then(|digest| delete(&mut repository, &id, digest));
            match outcome {
                Ok(gone) => deleted.extend(gone),
                Err((code, reason)) => failures.push(failure(&id, code, reason)),
            }
        }
        repository.save(tx)?;
        Ok(json!({ "imageIds": deleted, "failures": failures }))
    })?
}

fn delete(
    repository: &mut Repository,
    id: &ImageId,
    digest: Digest,
) -> Result<Vec<Value>, (&'static str, &'static str)> {
    let tags: Vec<String> = repository.tags_of(&digest).into_iter().map(str::to_owned).collect();
    let only_the_tag = id.image_digest.is_none() && tags.len() > 1;
    if only_the_tag {
        let tag = id.image_tag.clone().unwrap_or_default();
        repository.tags.remove(&tag);
        return Ok(vec![json!({ "imageDigest": digest, "imageTag": tag })]);
    }
    if repository.images.values().any(|image| image.children.contains(&digest)) {
        let reason = "Requested image referenced by manifest list";
        return Err(("ImageReferencedByManifestList", reason));
    }
    repository.images.remove(&digest);
    repository.tags.retain(|_, tagged| *tagged != digest);
    if tags.is_empty() {
        return Ok(vec![json!({ "imageDigest": digest })]);
    }
    Ok(tags.iter().map(|tag| json!({ "imageDigest": digest, "imageTag": tag })).collect())
}

pub(super) fn put(call: &Call, input: &Input) -> Result<Value, Failure> {
    let manifest = input.required("imageManifest")?;
    let tag = input.text("imageTag");
    if tag.is_some_and(|tag| tag.parse::<Tag>().is_err()) {
        let constraint = "must satisfy regular expression '[a-zA-Z0-9-_.]+'";
        return Err(Failure::invalid_parameter("imageTag", constraint));
    }
    let digest = match input.text("imageDigest").map(str::parse::<Digest>) {
        Some(Err(_)) => return Err(Failure::invalid_parameter("imageDigest", "Invalid digest")),
        digest => digest.and_then(Result::ok),
    };
    let media_type = input.text("imageManifestMediaType");
    let new = NewImage { bytes: manifest.as_bytes(), media_type, digest, tag };
    call.store.transaction(|tx| {
        let mut repository = input.repository(call, tx)?;
        let put = put_image(&call.store, &mut repository, &new, call.now)?;
        if put.existed {
            let tag = tag.map(|tag| format!("tag '{tag}'")).unwrap_or_else(|| "no tag".to_owned());
            let text = format!(
                "Image with digest '{}' and {tag} already exists in the repository with name '{}' in registry with id '{ACCOUNT}'",
                put.digest, repository.name
            );
            return Err(Failure::new("ImageAlreadyExistsException", text));
        }
        repository.save(tx)?;
        let id = ImageId { image_digest: Some(put.digest.to_string()), image_tag: tag.map(str::to_owned) };
        Ok(json!({ "image": shown(&repository, &json!(id), new.bytes, &put.digest) }))
    })?
}

fn shown(repository: &Repository, id: &Value, manifest: &[u8], digest: &Digest) -> Value {
    json!({
        "registryId": ACCOUNT,
        "repositoryName": repository.name,
        "imageId": id,
        "imageManifest": String::from_utf8_lossy(manifest),
        "imageManifestMediaType": repository.images[digest].media_type,
    })
}

fn image_ids(input: &Input) -> Result<Vec<ImageId>, Failure> {
    let ids: Vec<ImageId> = input.read("imageIds")?;
    if (1..=100).contains(&ids.len()) {
        return Ok(ids);
    }
    Err(Failure::invalid_parameter("imageIds", "Member must have length between 1 and 100"))
}

fn failure(id: &ImageId, code: &str, reason: &str) -> Value {
    json!({ "imageId": id, "failureCode": code, "failureReason": reason })
}
