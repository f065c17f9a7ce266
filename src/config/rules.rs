//! What AWS accepts as the value of one setting; the same for the file and for flags.
//!
//! Limits from <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>. An upper
//! bound that AWS may raise is left to AWS where being wrong would cost more than one call.

use std::ops::RangeInclusive;

use crate::domain::arn::Arn;
use crate::domain::environment::{is_reserved, is_variable_name};
use crate::domain::image_source::ImageSource;
use crate::domain::reference::{ImageReference, RepositoryName};
use crate::domain::spec::{BaseImage, RepositoryLocation, RoleSpec};

fn within(value: i64, range: RangeInclusive<u32>, unit: &str) -> Result<u32, String> {
    u32::try_from(value).ok().filter(|value| range.contains(value)).ok_or_else(|| {
        format!("{value} is out of range: expected {} to {} {unit}", range.start(), range.end())
    })
}

/// Megabytes of memory. AWS's present bound is 10,240; larger values are AWS's to refuse until
/// they are certainly a slip of the finger.
pub fn memory_size(value: i64) -> Result<u32, String> {
    within(value, 128..=32_768, "MB")
}

/// Seconds a call may take.
pub fn timeout(value: i64) -> Result<u32, String> {
    within(value, 1..=900, "seconds")
}

/// Megabytes of `/tmp`.
pub fn ephemeral_storage(value: i64) -> Result<u32, String> {
    within(value, 512..=10_240, "MB")
}

/// The function's description.
pub fn description(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0..=256 => Ok(text.to_owned()),
        length => Err(format!("has {length} characters: at most 256 are allowed")),
    }
}

/// An execution role by ARN or by name, possibly with a path.
///
/// Names: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
pub fn role(text: &str) -> Result<RoleSpec, String> {
    if text.starts_with("arn:") {
        let arn: Arn = text.parse().map_err(|error| format!("{error}"))?;
        if arn.service != "iam" || !arn.resource.starts_with("role/") {
            return Err(format!(
                "`{text}` is not the ARN of a role: expected `arn:aws:iam::ACCOUNT:role/NAME`"
            ));
        }
        return Ok(RoleSpec::Arn(arn));
    }
    let name = text.rsplit('/').next().unwrap_or_default();
    let word = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@-_".contains(&b);
    if (1..=64).contains(&name.len()) && text.bytes().all(|b| word(b) || b == b'/') {
        Ok(RoleSpec::Name(text.to_owned()))
    } else {
        Err(format!(
            "`{text}` is neither the ARN nor the name of a role: a name has 1 to 64 letters, digits and `+=,.@-_`"
        ))
    }
}

/// A repository by name or by URI: what has a host before its first `/` is a URI.
pub fn repository(text: &str) -> Result<RepositoryLocation, String> {
    let host = text.split_once('/').map(|(host, _)| host);
    if host.is_some_and(|host| host.contains(['.', ':']) || host == "localhost") {
        return match text.parse::<ImageReference>() {
            Ok(reference) if reference.tag.is_none() && reference.digest.is_none() => {
                Ok(RepositoryLocation::Uri(reference.repository))
            }
            Ok(_) => Err(format!(
                "`{text}` names an image: a repository has neither a tag nor a digest (`--tag` sets one)"
            )),
            Err(error) => Err(error.to_string()),
        };
    }
    text.parse::<RepositoryName>().map(RepositoryLocation::Name).map_err(|error| error.to_string())
}

/// What an assembled image starts from.
pub fn base_image(text: &str) -> Result<BaseImage, String> {
    if text == "scratch" {
        return Ok(BaseImage::Scratch);
    }
    if text.starts_with("oci:") {
        return match text.parse::<ImageSource>() {
            Ok(ImageSource::Layout { directory, tag }) => Ok(BaseImage::Layout { directory, tag }),
            _ => Err(format!("`{text}` is not an OCI layout: expected `oci:DIR[:TAG]`")),
        };
    }
    if ["docker:", "archive:"].iter().any(|scheme| text.starts_with(scheme)) {
        return Err(format!(
            "`{text}` cannot be a base: expected `scratch`, `oci:DIR[:TAG]` or an image reference"
        ));
    }
    ImageReference::parse_familiar(text).map(BaseImage::Registry).map_err(|error| error.to_string())
}

/// An absolute path inside an image.
pub fn path_in_image(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("`{text}` is not an absolute path: it has to begin with `/`"));
    }
    if text.split('/').any(|part| part == "..") {
        return Err(format!("`{text}` has `..` in it"));
    }
    Ok(text.to_owned())
}

/// The name of an environment variable: a letter, then letters, digits and `_`; two at least.
pub fn variable_name(name: &str) -> Result<(), String> {
    if is_reserved(name) {
        return Err(format!("`{name}` is reserved: Lambda sets it itself"));
    }
    if is_variable_name(name) {
        Ok(())
    } else {
        Err(format!(
            "`{name}` is not a name of an environment variable: expected a letter, then letters, digits and `_`, two at least"
        ))
    }
}

/// A tag of a function.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html>
pub fn tag(key: &str, value: &str) -> Result<(), String> {
    if key.is_empty() || key.chars().count() > 128 {
        return Err("a tag's key has 1 to 128 characters".to_owned());
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Err("keys that begin with `aws:` belong to AWS".to_owned());
    }
    if value.chars().count() > 256 {
        return Err("a tag's value has at most 256 characters".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_lambdas() {
        for (rule, good, bad) in [
            (memory_size as fn(i64) -> Result<u32, String>, [128, 10_240], [127, 40_000]),
            (timeout, [1, 900], [0, 901]),
            (ephemeral_storage, [512, 10_240], [511, 10_241]),
        ] {
            assert!(good.into_iter().all(|value| rule(value).is_ok()));
            assert!(bad.into_iter().all(|value| rule(value).is_err()));
        }
        assert!(memory_size(-1).unwrap_err().contains("128 to"));
        assert!(description(&"ä".repeat(256)).is_ok() && description(&"a".repeat(257)).is_err());
    }

    #[test]
    fn roles_are_arns_or_names() {
        assert!(matches!(role("arn:aws:iam::123456789012:role/service/x"), Ok(RoleSpec::Arn(_))));
        assert!(matches!(role("hello-role"), Ok(RoleSpec::Name(_))));
        assert!(matches!(role("/service/hello"), Ok(RoleSpec::Name(_))));
        for bad in
            ["", "a b", "arn:aws:iam::123456789012:user/x", "arn:aws:s3:::bucket", "x/", &"x".repeat(65)]
        {
            assert!(role(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn repositories_are_names_or_uris() {
        assert!(matches!(repository("team/hello"), Ok(RepositoryLocation::Name(_))));
        let uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/hello";
        assert!(matches!(repository(uri), Ok(RepositoryLocation::Uri(_))));
        assert!(matches!(repository("127.0.0.1:5000/hello"), Ok(RepositoryLocation::Uri(_))));
        assert!(repository(&format!("{uri}:v1")).unwrap_err().contains("neither a tag"));
        assert!(repository("Hello").is_err());
    }

    #[test]
    fn bases_are_scratch_layouts_or_references() {
        assert_eq!(base_image("scratch"), Ok(BaseImage::Scratch));
        assert!(matches!(base_image("oci:layout:v1"), Ok(BaseImage::Layout { tag: Some(_), .. })));
        assert!(matches!(base_image("public.ecr.aws/lambda/provided:al2023"), Ok(BaseImage::Registry(_))));
        assert!(base_image("docker:hello").is_err());
    }

    #[test]
    fn reserved_variables_are_refused_and_the_others_of_the_family_are_not() {
        for bad in ["AWS_REGION", "_HANDLER", "AWS_LAMBDA_RUNTIME_API", "1A", "A-B", "A", ""] {
            assert!(variable_name(bad).is_err(), "{bad}");
        }
        for good in ["LOG_LEVEL", "AWS_LAMBDA_EXEC_WRAPPER", "PATH", "TZ"] {
            assert!(variable_name(good).is_ok(), "{good}");
        }
    }
}
