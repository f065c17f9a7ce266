//! Which registries a Dockerfile takes images from. The pipeline asks before a build and hands
//! their credentials to the builder, which would otherwise pull without any.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::reference::{ImageReference, RegistryHost};
use crate::domain::secret::Secret;

/// The registries that `FROM`, `COPY --from` and `RUN --mount=…,from=` name.
///
/// What cannot be resolved without running the build is left out: it is pulled anonymously.
/// <https://docs.docker.com/reference/dockerfile/#from>
pub(super) fn registries(dockerfile: &str, args: &BTreeMap<String, Secret>) -> BTreeSet<RegistryHost> {
    images(dockerfile, args).into_iter().map(|image| image.repository.registry).collect()
}

/// The images that it names, in order.
pub(super) fn images(dockerfile: &str, args: &BTreeMap<String, Secret>) -> Vec<ImageReference> {
    let mut found = Vec::new();
    let mut stages = BTreeSet::new();
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    for line in instructions(dockerfile) {
        let mut words = line.split_whitespace();
        let instruction = words.next().unwrap_or_default().to_ascii_uppercase();
        let mut add = |reference: &str, stages: &BTreeSet<String>| {
            let reference = expanded(reference, &variables);
            let is_stage = stages.contains(&reference.to_ascii_lowercase())
                || reference == "scratch"
                || reference.bytes().all(|b| b.is_ascii_digit());
            if let (false, Ok(reference)) = (is_stage, ImageReference::parse_familiar(&reference)) {
                found.push(reference);
            }
        };
        match instruction.as_str() {
            "ARG" if stages.is_empty() => {
                for word in words {
                    let (name, default) = word.split_once('=').unwrap_or((word, ""));
                    let given = args.get(name).map(Secret::expose);
                    let value = given.unwrap_or(default.trim_matches(['"', '\'']));
                    let value = expanded(value, &variables);
                    variables.insert(name.to_owned(), value);
                }
            }
            "FROM" => {
                let mut words = words.skip_while(|word| word.starts_with("--"));
                if let Some(reference) = words.next() {
                    add(reference, &stages);
                }
                // An unnamed stage still ends the part in which ARG counts for FROM.
                stages.insert(words.nth(1).unwrap_or_default().to_ascii_lowercase());
            }
            "COPY" | "ADD" | "RUN" => {
                for word in words.take_while(|word| word.starts_with("--")) {
                    let from = match word.strip_prefix("--mount=") {
                        Some(mount) => mount.split(',').find_map(|option| option.strip_prefix("from=")),
                        None => word.strip_prefix("--from="),
                    };
                    if let Some(reference) = from {
                        add(reference, &stages);
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// The instructions, each on one line, without comments.
fn instructions(dockerfile: &str) -> Vec<String> {
    let mut instructions = Vec::new();
    let mut current = String::new();
    for line in dockerfile.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        match line.strip_suffix('\\') {
            Some(start) => {
                current.push_str(start);
                current.push(' ');
            }
            None => {
                current.push_str(line);
                instructions.push(std::mem::take(&mut current));
            }
        }
    }
    instructions.push(current);
    instructions
}

/// Replaces `$NAME`, `${NAME}` and `${NAME:-default}`; an unknown name becomes nothing.
fn expanded(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        result.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        let (name, default, after) = match rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((inner, after)) => {
                let (name, default) = inner.split_once(":-").unwrap_or((inner, ""));
                (name, default, after)
            }
            None => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                (&rest[..end], "", &rest[end..])
            }
        };
        let value = variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
        result.push_str(value.unwrap_or(default));
        rest = after;
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(dockerfile: &str, args: &[(&str, &str)]) -> Vec<String> {
        let args = args.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        registries(dockerfile, &args).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_way_to_name_an_image_is_understood() {
        let dockerfile = "\
# FROM ghcr.io/not/this
FROM --platform=linux/amd64 \\
  public.ecr.aws/lambda/python:3.13 AS build
COPY --chown=1:1 --from=123456789012.dkr.ecr.eu-west-1.amazonaws.com/tools:1 /a /b
RUN --mount=type=bind,from=quay.io/x/y,target=/y --network=none true
from Build
COPY --from=build /a /a
COPY --from=0 /b /b
";
        assert_eq!(
            hosts(dockerfile, &[]),
            ["123456789012.dkr.ecr.eu-west-1.amazonaws.com", "public.ecr.aws", "quay.io"]
        );
        assert_eq!(hosts("FROM debian:12", &[]), ["registry-1.docker.io"]);
        assert_eq!(hosts("FROM scratch\nCOPY a /a", &[]), [""; 0]);
    }

    #[test]
    fn arguments_before_the_first_stage_are_expanded() {
        let dockerfile = "ARG HOST=ghcr.io\nARG IMAGE=\"${HOST}/a/b\"\nFROM $IMAGE:1\nARG HOST=quay.io\nFROM ${HOST:-quay.io}/c/d";
        assert_eq!(hosts(dockerfile, &[]), ["ghcr.io"]);
        assert_eq!(hosts(dockerfile, &[("HOST", "r.example.com:5000")]), ["r.example.com:5000"]);
        assert_eq!(hosts("FROM ${NONE:-quay.io/a/b}", &[]), ["quay.io"]);
    }
}
