//! DescribeImages and ListImages.

use serde_json::{Value, json};

use super::failure::Failure;
use super::input::{ImageId, Input};
use super::seconds;
use crate::domain::digest::Digest;
use crate::local::call::{ACCOUNT, Call};
use crate::local::repository::Repository;

pub(super) fn describe(call: &Call, input: &Input) -> Result<Value, Failure> {
    let repository = call.store.transaction(|tx| input.repository(call, tx))??;
    let ids: Vec<ImageId> = input.read("imageIds")?;
    if !ids.is_empty() {
        let mut details = Vec::new();
        for id in &ids {
            let digest = id.find(&repository).map_err(|_| not_found(&repository, id))?;
            details.push(detail(&repository, &digest));
        }
        return Ok(json!({ "imageDetails": details }));
    }
    let mut digests: Vec<&Digest> = repository.images.keys().collect();
    if wants_active(input) {
        digests.retain(|digest| is_wanted(input, !repository.tags_of(digest).is_empty()));
    } else {
        digests.clear();
    }
    digests.sort_by_key(|digest| (repository.images[digest].pushed_at, **digest));
    page(input, "imageDetails", digests.len(), |from, size| {
        digests.iter().skip(from).take(size).map(|digest| detail(&repository, digest)).collect()
    })
}

pub(super) fn list(call: &Call, input: &Input) -> Result<Value, Failure> {
    let repository = call.store.transaction(|tx| input.repository(call, tx))??;
    let mut ids = Vec::new();
    for digest in repository.images.keys().filter(|_| wants_active(input)) {
        let tags = repository.tags_of(digest);
        if !is_wanted(input, !tags.is_empty()) {
            continue;
        }
        if tags.is_empty() {
            ids.push(json!({ "imageDigest": digest }));
        }
        ids.extend(tags.iter().map(|tag| json!({ "imageDigest": digest, "imageTag": tag })));
    }
    page(input, "imageIds", ids.len(), |from, size| ids.iter().skip(from).take(size).cloned().collect())
}

fn detail(repository: &Repository, digest: &Digest) -> Value {
    let image = &repository.images[digest];
    let mut detail = json!({
        "registryId": ACCOUNT,
        "repositoryName": repository.name,
        "imageDigest": digest,
        "imageSizeInBytes": image.size,
        "imagePushedAt": seconds(image.pushed_at),
        "imageManifestMediaType": image.media_type,
        "imageStatus": "ACTIVE",
    });
    let tags = repository.tags_of(digest);
    if !tags.is_empty() {
        detail["imageTags"] = tags.into();
    }
    if let Some(kind) = &image.artifact_type {
        detail["artifactMediaType"] = kind.as_str().into();
    } else if image.media_type.is_manifest() {
        let docker = image.media_type == crate::domain::manifest::MediaType::DockerManifest;
        let kind = if docker {
            "application/vnd.docker.container.image.v1+json"
        } else {
            "application/vnd.oci.image.config.v1+json"
        };
        detail["artifactMediaType"] = kind.into();
    }
    if let Some(subject) = image.subject {
        detail["subjectManifestDigest"] = json!(subject);
    }
    detail
}

/// Nothing is ever archived here.
fn wants_active(input: &Input) -> bool {
    matches!(input.get("filter")["imageStatus"].as_str(), None | Some("ACTIVE" | "ANY"))
}

fn is_wanted(input: &Input, tagged: bool) -> bool {
    match input.get("filter")["tagStatus"].as_str() {
        Some("TAGGED") => tagged,
        Some("UNTAGGED") => !tagged,
        _ => true,
    }
}

fn page(
    input: &Input,
    member: &str,
    total: usize,
    items: impl Fn(usize, usize) -> Vec<Value>,
) -> Result<Value, Failure> {
    let (from, size) = input.page()?;
    let mut output = json!({ member: items(from, size) });
    if total > from + size {
        output["nextToken"] = (from + size).to_string().into();
    }
    Ok(output)
}

fn not_found(repository: &Repository, id: &ImageId) -> Failure {
    let tag = id.image_tag.as_deref().unwrap_or("null");
    let digest = id.image_digest.as_deref().unwrap_or("null");
    let text = format!(
        "The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the repository with name '{}' in the registry with id '{ACCOUNT}'",
        repository.name
    );
    Failure::new("ImageNotFoundException", text)
}
