//! Content addresses: the digest of a blob and the digest of an uncompressed layer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// Names a blob by the SHA-256 of its bytes (`sha256:` and 64 lower-case hexadecimal digits).
///
/// The OCI image-spec allows other algorithms; ECR and Lambda use SHA-256 only.
/// <https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests>
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Says why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: expected `sha256:` and 64 lower-case hexadecimal digits")]
pub struct InvalidDigest(pub String);

impl Digest {
    /// Computes the digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Takes the 32 bytes a SHA-256 computation ended with.
    pub fn from_sha256(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Parses 64 bare hexadecimal digits, the form of Lambda's `CodeSha256` for images.
    pub fn from_hex(text: &str) -> Result<Self, InvalidDigest> {
        let invalid = || InvalidDigest(text.to_owned());
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(invalid());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| invalid())?;
        Ok(Self(bytes))
    }

    /// The 64 hexadecimal digits without the algorithm.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// A short form for people: `sha256:` and the first twelve digits.
    pub fn short(&self) -> String {
        format!("sha256:{}", &self.hex()[..12])
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let digits = text.strip_prefix("sha256:").ok_or_else(|| InvalidDigest(text.to_owned()))?;
        Self::from_hex(digits).map_err(|_| InvalidDigest(text.to_owned()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Names a layer by the digest of its *uncompressed* tar archive.
///
/// The same files keep the same diff ID however they are compressed.
/// <https://github.com/opencontainers/image-spec/blob/main/config.md#layer-diffid>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What each layer is called together with all below it.
/// <https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#layer-chainid>
pub fn chain_ids(diff_ids: &[DiffId]) -> impl Iterator<Item = Digest> {
    diff_ids.iter().scan(None, |below: &mut Option<Digest>, diff_id| {
        let chain_id = match below {
            None => diff_id.0,
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        };
        *below = Some(chain_id);
        Some(chain_id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints_the_canonical_form() {
        let digest = Digest::of(b"");
        let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(digest.short(), "sha256:e3b0c44298fc");
    }

    #[test]
    fn refuses_other_algorithms_lengths_and_upper_case() {
        for text in [
            "",
            "sha256:",
            "sha512:00",
            "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
            "e3b0",
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_layer_is_named_after_all_below_it() {
        let diff_ids = ["lowest", "next", "top"].map(|name| DiffId(Digest::of(name.as_bytes())));
        let chain_ids: Vec<Digest> = chain_ids(&diff_ids).collect();
        let joined = |below: Digest, diff_id: DiffId| Digest::of(format!("{below} {diff_id}").as_bytes());
        assert_eq!(chain_ids[0], diff_ids[0].0);
        assert_eq!(chain_ids[1], joined(chain_ids[0], diff_ids[1]));
        assert_eq!(chain_ids[2], joined(chain_ids[1], diff_ids[2]));
    }
}
