//! The ways a user may point at an image that exists already (`--image IMAGE`).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::reference::{ImageReference, InvalidReference, Tag};

/// Where an existing image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// `docker:NAME[:TAG]`, in the Docker Engine; an image ID works too.
    Engine(String),
    /// `oci:DIR[:TAG]`, an OCI image layout.
    Layout {
        /// The directory that holds `oci-layout` and `index.json`.
        directory: PathBuf,
        /// Which image of it (`org.opencontainers.image.ref.name`).
        tag: Option<Tag>,
    },
    /// `archive:FILE`, written by `docker save` or an OCI archive.
    Archive(ArchiveFile),
    /// A reference in a registry.
    Registry(ImageReference),
}

/// Where an archive is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveFile {
    /// `archive:-`
    StandardInput,
    /// `archive:FILE`
    Path(PathBuf),
}

impl FromStr for ImageSource {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let invalid = || InvalidReference {
            text: text.to_owned(),
            expected: "an image: expected `docker:NAME[:TAG]`, `oci:DIR[:TAG]`, `archive:FILE` or an ECR reference `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME[:TAG|@DIGEST]`",
        };
        let after = |scheme: &str| {
            text.strip_prefix(scheme).map(|rest| if rest.is_empty() { Err(invalid()) } else { Ok(rest) })
        };
        if let Some(name) = after("docker:") {
            return Ok(Self::Engine(name?.to_owned()));
        }
        if let Some(layout) = after("oci:") {
            let layout = layout?;
            // The last colon splits off a tag only where a tag can stand: `oci:C:\dir` has none.
            let split = layout
                .rsplit_once(':')
                .and_then(|(directory, tag)| Some((directory, tag.parse::<Tag>().ok()?)));
            return Ok(match split {
                Some((directory, tag)) if !directory.is_empty() => {
                    Self::Layout { directory: directory.into(), tag: Some(tag) }
                }
                _ => Self::Layout { directory: layout.into(), tag: None },
            });
        }
        if let Some(file) = after("archive:") {
            return Ok(Self::Archive(match file? {
                "-" => ArchiveFile::StandardInput,
                path => ArchiveFile::Path(path.into()),
            }));
        }
        text.parse().map(Self::Registry).map_err(|_| invalid())
    }
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(name) => write!(f, "docker:{name}"),
            Self::Layout { directory, tag: None } => write!(f, "oci:{}", directory.display()),
            Self::Layout { directory, tag: Some(tag) } => write!(f, "oci:{}:{tag}", directory.display()),
            Self::Archive(ArchiveFile::StandardInput) => f.write_str("archive:-"),
            Self::Archive(ArchiveFile::Path(path)) => write!(f, "archive:{}", path.display()),
            Self::Registry(reference) => reference.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_command_line_is_understood_and_printed_back() {
        for text in [
            "docker:hello:v1",
            "oci:build/layout",
            "oci:build/layout:v1",
            "archive:image.tar",
            "archive:-",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hello:v1",
        ] {
            assert_eq!(text.parse::<ImageSource>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_forms_that_work() {
        for text in ["hello", "docker:", "oci:", "archive:", ""] {
            let error = text.parse::<ImageSource>().unwrap_err().to_string();
            assert!(error.contains("docker:NAME[:TAG]"), "{error}");
        }
    }
}
