//! Tokens of the registry and signatures of its downloads.
//!
//! `GetAuthorizationToken` hands a token out; the registry takes it as a Basic password for
//! twelve hours, and serves the repositories of the region it was made in. Nothing but the
//! signing key is remembered, so every process that serves the directory knows every token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::domain::digest::Digest;
use crate::domain::secret::Secret;
use crate::local::store::{Store, StoreError};

/// How long a token is good for.
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_AuthorizationData.html>
pub const TOKEN_LIFETIME: Duration = Duration::hours(12);

const DOCUMENT: &str = "cloud/signing-key";
const EXPIRED: &str = "Your authorization token has expired. Reauthenticate and try again.";
const INVALID: &str = "Your Authorization Token is invalid.";

/// Signs what clients bring back. The same for all processes that serve a directory.
#[derive(Clone, Debug)]
pub struct SigningKey(Secret);

/// Why a request to the registry has no region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It brings no credentials: it is asked for some.
    NoCredentials,
    /// Its credentials are no good, for this reason.
    Denied(&'static str),
}

#[derive(Debug, Serialize, Deserialize)]
struct Password {
    region: String,
    expiration: i64,
    signature: String,
}

impl SigningKey {
    /// Reads the directory's key; makes it at the first time.
    pub fn load(store: &Store) -> Result<Self, StoreError> {
        store.transaction(|tx| {
            if let Some(key) = tx.read::<String>(DOCUMENT)? {
                return Ok(Self(key.into()));
            }
            let key = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
            tx.write(DOCUMENT, &key)?;
            Ok(Self(key.into()))
        })?
    }

    /// A token for a region's registry: what stands after `Basic `.
    pub fn token(&self, region: &str, expires: OffsetDateTime) -> Secret {
        let expiration = expires.unix_timestamp();
        let signature = self.sign(&format!("token {region} {expiration}"));
        let password = Password { region: region.to_owned(), expiration, signature };
        let password = serde_json::to_string(&password).unwrap_or_default();
        Secret::new(BASE64.encode(format!("AWS:{}", BASE64.encode(password))))
    }

    /// A signature of `message`: an envelope of two hashes, which cannot be extended.
    pub(super) fn sign(&self, message: &str) -> String {
        let key = self.0.expose();
        let inner = Digest::of(format!("{key} {message}").as_bytes());
        Digest::of(format!("{key} {inner}").as_bytes()).hex()
    }

    fn check(&self, token: &str, now: OffsetDateTime) -> Result<String, Refusal> {
        let password = password(token).ok_or(Refusal::Denied(INVALID))?;
        let signed = format!("token {} {}", password.region, password.expiration);
        if self.sign(&signed) != password.signature {
            return Err(Refusal::Denied(INVALID));
        }
        if password.expiration <= now.unix_timestamp() {
            return Err(Refusal::Denied(EXPIRED));
        }
        Ok(password.region)
    }
}

fn password(token: &str) -> Option<Password> {
    let pair = String::from_utf8(BASE64.decode(token).ok()?).ok()?;
    let password = pair.strip_prefix("AWS:")?;
    serde_json::from_slice(&BASE64.decode(password).ok()?).ok()
}

/// The region whose repositories the request's token opens.
pub(super) fn region(key: &SigningKey, headers: &HeaderMap, now: OffsetDateTime) -> Result<String, Refusal> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) = value.and_then(|value| value.split_once(' ')).ok_or(Refusal::NoCredentials)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Refusal::NoCredentials);
    }
    key.check(token.trim(), now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(key: &SigningKey, authorization: &str, now: OffsetDateTime) -> Result<String, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        region(key, &headers, now)
    }

    #[test]
    fn a_token_opens_its_region_for_twelve_hours() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let key = SigningKey::load(&store).unwrap();
        let now = OffsetDateTime::UNIX_EPOCH;
        let basic = format!("Basic {}", key.token("eu-west-1", now + TOKEN_LIFETIME).expose());
        assert_eq!(asks(&key, &basic, now), Ok("eu-west-1".to_owned()));
        assert_eq!(asks(&key, &basic, now + TOKEN_LIFETIME), Err(Refusal::Denied(EXPIRED)));
        let same_directory = SigningKey::load(&store).unwrap();
        assert_eq!(asks(&same_directory, &basic, now), Ok("eu-west-1".to_owned()));
    }

    #[test]
    fn other_credentials_open_nothing() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = SigningKey::load(&Store::open(one.path()).unwrap()).unwrap();
        let other = SigningKey::load(&Store::open(two.path()).unwrap()).unwrap();
        let now = OffsetDateTime::UNIX_EPOCH;
        let foreign = format!("Basic {}", other.token("eu-west-1", now + TOKEN_LIFETIME).expose());
        assert_eq!(asks(&key, &foreign, now), Err(Refusal::Denied(INVALID)));
        assert_eq!(asks(&key, "Basic QVdTOnNlY3JldA==", now), Err(Refusal::Denied(INVALID)));
        assert_eq!(asks(&key, "Bearer x", now), Err(Refusal::NoCredentials));
        assert_eq!(region(&key, &HeaderMap::new(), now), Err(Refusal::NoCredentials));
    }
}
