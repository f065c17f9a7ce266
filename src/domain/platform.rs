//! Which machine an image is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The instruction set of a function, in Lambda's words (`x86_64`, `arm64`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Architecture {
    /// 64-bit x86; OCI calls it `amd64`.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit ARM.
    #[serde(rename = "arm64")]
    Arm64,
}

/// Says that a text names no architecture Lambda runs on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an architecture of Lambda: expected `x86_64` or `arm64`")]
pub struct UnknownArchitecture(pub String);

impl Architecture {
    /// Lambda's name, as in `Architectures`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// The name in OCI image configurations and platforms (Go's GOARCH).
    pub fn oci(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Reads the OCI name; `None` for a machine Lambda does not have.
    pub fn from_oci(name: &str) -> Option<Self> {
        match name {
            "amd64" => Some(Self::X86_64),
            "arm64" => Some(Self::Arm64),
            _ => None,
        }
    }

    /// The architecture of the machine this process runs on, if Lambda has it.
    pub fn of_this_machine() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Arm64),
            _ => None,
        }
    }
}

impl FromStr for Architecture {
    type Err = UnknownArchitecture;

    /// Accepts Lambda's names and the OCI and kernel synonyms people type (`amd64`, `aarch64`).
    fn from_str(text: &str) -> Result<Self, UnknownArchitecture> {
        match text {
            "x86_64" | "amd64" => Ok(Self::X86_64),
            "arm64" | "aarch64" => Ok(Self::Arm64),
            _ => Err(UnknownArchitecture(text.to_owned())),
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The platform member of OCI descriptors and image configurations.
///
/// <https://github.com/opencontainers/image-spec/blob/main/image-index.md>
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `linux` for everything Lambda runs; `unknown` marks attestations.
    pub os: String,
    /// Go's GOARCH: `amd64`, `arm64`, …
    pub architecture: String,
    /// A refinement such as `v8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// The Linux platform of `architecture`.
    pub fn linux(architecture: Architecture) -> Self {
        Self { os: "linux".to_owned(), architecture: architecture.oci().to_owned(), variant: None }
    }

    /// Tells whether Lambda can run this platform as `architecture`.
    pub fn runs_on(&self, architecture: Architecture) -> bool {
        self.os == "linux" && self.architecture == architecture.oci()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}
