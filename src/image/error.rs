//! What can be wrong with an image or with reading one.

use std::io;
use std::path::PathBuf;

use crate::domain::digest::Digest;
use crate::domain::platform::Architecture;
use crate::services::docker::DockerError;
use crate::services::registry::RegistryError;

/// Says what is wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file or stream cannot be read.
    #[error("read `{what}`: {source}")]
    Read {
        /// A path, or what the stream is.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// Bytes cannot be put aside on disk.
    #[error("write a temporary file in `{directory}`: {source}", directory = directory.display())]
    Spool {
        /// Where.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The registry failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The Docker Engine failed or refused.
    #[error(transparent)]
    Engine(#[from] DockerError),
    /// There is no such image.
    #[error("`{image}`: there is no such image")]
    NotFound {
        /// What was asked for.
        image: String,
        /// What there is instead.
        available: Vec<String>,
    },
    /// There are several images and none was chosen.
    #[error("`{image}`: there are {count} images in it", count = available.len())]
    Ambiguous {
        /// What was asked for.
        image: String,
        /// What there is.
        available: Vec<String>,
    },
    /// The image is for another machine than the function, or for one Lambda does not have.
    #[error("`{image}` is for {found}, not for {wanted}", found = found.join(", "), wanted = wanted.map_or("x86_64 or arm64", Architecture::as_str))]
    Platform {
        /// The image, or the file in it.
        image: String,
        /// What it should run on; either architecture of Lambda where `None`.
        wanted: Option<Architecture>,
        /// What it does run on.
        found: Vec<String>,
    },
    /// Nothing says which machine the image is for.
    #[error("assembled image: nothing says which architecture it is for")]
    UnknownArchitecture,
    /// The source contradicts itself.
    #[error("`{image}` is damaged: {problem}")]
    Damaged {
        /// The image.
        image: String,
        /// How.
        problem: String,
    },
    /// Something this program cannot make into an image for Lambda.
    #[error("`{image}` cannot be used: {problem}")]
    Unsupported {
        /// The image.
        image: String,
        /// Why.
        problem: String,
    },
    /// A blob that a manifest names is not there.
    #[error("`{image}`: blob `{digest}` is missing from it")]
    MissingBlob {
        /// The image.
        image: String,
        /// The blob.
        digest: Digest,
    },
    /// A file of an assembled image does not exist.
    #[error("`{from}` does not exist, to become `{to}` in the image", from = from.display())]
    FromMissing {
        /// The file or directory.
        from: PathBuf,
        /// Where it should have gone.
        to: String,
    },
    /// A place in the image is not an absolute path.
    #[error("`{to}` is not a place in an image: expected an absolute path without `..`")]
    InvalidTo {
        /// The place.
        to: String,
    },
    /// Two sources claim the same place in the image.
    #[error("`{path}` in the image is claimed twice: by `{first}` and by `{second}`", first = first.display(), second = second.display())]
    Conflict {
        /// The place.
        path: String,
        /// The source that was named first.
        first: PathBuf,
        /// The source that was named second.
        second: PathBuf,
    },
    /// A device, socket or pipe.
    #[error("`{path}` cannot be put into an image: it is {kind}", path = path.display())]
    SpecialFile {
        /// The file.
        path: PathBuf,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// A file was written to while it was read.
    #[error("`{path}` changed while it was read", path = path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// An assembled image without a base and without files.
    #[error("assembled image: no base and no files")]
    Empty,
}

impl ImageError {
    /// Whether the image as it is can never become this function's: nothing was touched, and
    /// trying again does not help.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Platform { .. }
                | Self::Unsupported { .. }
                | Self::Engine(DockerError::PlatformMismatch { .. })
        )
    }

    /// Whether it is refused for the machine it is for.
    pub fn is_about_platform(&self) -> bool {
        matches!(self, Self::Platform { .. } | Self::Engine(DockerError::PlatformMismatch { .. }))
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Spool { source, directory } if source.kind() == io::ErrorKind::StorageFull => Some(format!(
                "`{}` is full: name a directory with more room in `TMPDIR`",
                directory.display()
            )),
            Self::Read { what, source }
                if source.kind() == io::ErrorKind::NotFound && what.ends_with("/index.json") =>
            {
                Some("`oci:DIR` takes the directory of an OCI layout, in which `index.json` lies".to_owned())
            }
            Self::NotFound { available, .. } if !available.is_empty() => {
                Some(format!("it holds {}", available.join(", ")))
            }
            Self::Ambiguous { available, .. } => {
                Some(format!("name one of {}, or keep only one image in it", available.join(", ")))
            }
            Self::Platform { wanted: Some(wanted), found, .. } => Some(match found.as_slice() {
                [only] if only.ends_with("amd64") || only.ends_with("arm64") => format!(
                    "build it for {wanted}, or set `architecture` to the one it is for"
                ),
                _ => format!("build it for {wanted} (`linux/{}`)", wanted.oci()),
            }),
            Self::Platform { wanted: None, .. } => {
                Some("build it for `linux/amd64` or `linux/arm64`, or choose with `architecture`".to_owned())
            }
            Self::UnknownArchitecture => {
                Some("set `architecture` to \"x86_64\" or \"arm64\"".to_owned())
            }
            Self::FromMissing { .. } => Some(
                "run the build first: the `[build] command` of `lambdactl.toml` has to make it, and relative paths start at the directory of that file"
                    .to_owned(),
            ),
            Self::InvalidTo { .. } => Some("write it like `/var/task/bootstrap`, or `/var/task/` for a directory".to_owned()),
            Self::Changed { .. } => Some("wait until nothing writes to it, and run the command again".to_owned()),
            Self::Damaged { .. } | Self::MissingBlob { .. } => Some("make or download it again".to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_errors_say_both_sides_and_refuse() {
        let error = ImageError::Platform {
            image: "oci:layout".to_owned(),
            wanted: Some(Architecture::X86_64),
            found: vec!["linux/arm64".to_owned()],
        };
        assert_eq!(error.to_string(), "`oci:layout` is for linux/arm64, not for x86_64");
        assert!(error.is_refusal());
        assert!(error.hint().unwrap().contains("set `architecture`"));
    }

    #[test]
    fn what_there_is_is_listed() {
        let error = ImageError::NotFound {
            image: "oci:layout:v9".to_owned(),
            available: vec!["`v1`".to_owned(), "`v2`".to_owned()],
        };
        assert_eq!(error.hint().unwrap(), "it holds `v1`, `v2`");
        assert!(!error.is_refusal());
    }

    #[test]
    fn a_missing_file_leads_to_the_build() {
        let error = ImageError::FromMissing { from: "target/hello".into(), to: "/bootstrap".to_owned() };
        assert!(error.hint().unwrap().contains("[build] command"));
    }
}
