//! Proofs of identity: which `Authorization` header a request carries, and where another one
//! comes from when the registry refuses it. Tokens are shared by all tasks of a client.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::challenge::Challenge;
use super::transport::{Exchange, read_bounded, subject_url};
use super::{Authorization, Operation, RegistryError};
use crate::domain::reference::{RegistryHost, RepositoryName};
use crate::domain::secret::Secret;

/// What a request does to a repository, as scopes of bearer tokens name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Access {
    /// Reads.
    Pull,
    /// Writes.
    Push,
}

/// The bearer scope of `access` to `repository`.
pub(super) fn scope(repository: &RepositoryName, access: Access) -> String {
    let actions = match access {
        Access::Pull => "pull",
        Access::Push => "pull,push",
    };
    format!("repository:{repository}:{actions}")
}

/// Keeps the credentials of one registry.
#[derive(Debug)]
pub(super) struct Authenticator {
    host: RegistryHost,
    authorization: Authorization,
    /// The header in use for each scope. The lock is held while another one is fetched, so
    /// that tasks refused at the same time share what the first of them fetches.
    headers: Mutex<HashMap<String, Credential>>,
}

/// A header value, and for tokens that expire the token it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credential {
    header: Secret,
    token: Option<Secret>,
}

impl Credential {
    fn new(header: String) -> Self {
        Self { header: Secret::new(header), token: None }
    }

    /// The header, marked so that no log shows it.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(self.header.expose()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The key of credentials that are good for everything at this registry.
const EVERYTHING: &str = "";

impl Authenticator {
    pub(super) fn new(host: RegistryHost, authorization: Authorization) -> Self {
        Self { host, authorization, headers: Mutex::default() }
    }

    /// Whether tokens come from AWS.
    pub(super) fn is_ecr(&self) -> bool {
        matches!(self.authorization, Authorization::Token(_)) || self.host.ecr().is_some()
    }

    /// The credential for `scope`, as far as one is known without being asked for it.
    pub(super) async fn credential(&self, scope: &str) -> Result<Option<Credential>, RegistryError> {
        let mut headers = self.headers.lock().await;
        if let Some(known) = headers.get(scope).or_else(|| headers.get(EVERYTHING)) {
            return Ok(Some(known.clone()));
        }
        if !matches!(self.authorization, Authorization::Token(_)) {
            return Ok(None);
        }
        let credential = self.token(None).await?;
        headers.insert(EVERYTHING.to_owned(), credential.clone());
        Ok(Some(credential))
    }

    /// Finds a credential other than `refused`; `None` where there is none to be had.
    pub(super) async fn renew(
        &self,
        http: &reqwest::Client,
        scope: &str,
        refused: Option<&Credential>,
        challenges: &[String],
    ) -> Result<Option<Credential>, RegistryError> {
        let mut headers = self.headers.lock().await;
        let known = headers.get(scope).or_else(|| headers.get(EVERYTHING));
        if let Some(other) = known.filter(|known| Some(*known) != refused) {
            return Ok(Some(other.clone()));
        }
        if matches!(self.authorization, Authorization::Token(_)) {
            let credential = self.token(refused.and_then(|refused| refused.token.as_ref())).await?;
            headers.insert(EVERYTHING.to_owned(), credential.clone());
            return Ok(Some(credential));
        }
        let (key, credential) = match Challenge::choose(challenges) {
            Some(Challenge::Bearer { realm, service, scope: wanted }) => {
                let wanted = wanted.as_deref().unwrap_or(scope);
                (scope, self.bearer(http, &realm, service.as_deref(), wanted).await?)
            }
            Some(Challenge::Basic) => match self.basic() {
                Some(basic) => (EVERYTHING, Credential::new(basic)),
                None => return Ok(None),
            },
            None => return Ok(None),
        };
        // The same password again would be refused again.
        if Some(&credential) == refused {
            return Ok(None);
        }
        headers.insert(key.to_owned(), credential.clone());
        Ok(Some(credential))
    }

    async fn token(&self, rejected: Option<&Secret>) -> Result<Credential, RegistryError> {
        let Authorization::Token(provider) = &self.authorization else {
            return Ok(Credential::new(String::new()));
        };
        let token = provider
            .token(rejected)
            .await
            .map_err(|source| RegistryError::Token { host: self.host.to_string(), source })?;
        Ok(Credential { header: Secret::new(format!("Basic {}", token.expose())), token: Some(token) })
    }

    fn basic(&self) -> Option<String> {
        let Authorization::Password { user, password } = &self.authorization else { return None };
        Some(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose()))))
    }

    /// Fetches a bearer token.
    async fn bearer(
        &self,
        http: &reqwest::Client,
        realm: &str,
        service: Option<&str>,
        scope: &str,
    ) -> Result<Credential, RegistryError> {
        let protocol = |problem: String| RegistryError::Protocol {
            operation: Operation::FetchToken,
            subject: scope.to_owned(),
            url: realm.split('?').next().unwrap_or_default().to_owned(),
            problem,
        };
        let mut url = reqwest::Url::parse(realm).map_err(|error| {
            protocol(format!("the registry names no place that hands out tokens: {error}"))
        })?;
        let loopback =
            url.host_str().is_some_and(|host| host.parse::<RegistryHost>().is_ok_and(|h| h.is_loopback()));
        if url.scheme() != "https" && !loopback {
            return Err(protocol("tokens are fetched over HTTPS only".to_owned()));
        }
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        // Several scopes in one challenge are separated by spaces, and sent one by one.
        for scope in scope.split(' ') {
            url.query_pairs_mut().append_pair("scope", scope);
        }
        let mut exchange = Exchange::new(Operation::FetchToken, scope, reqwest::Method::GET, url.clone());
        exchange.authorization = self.basic().map(Credential::new);
        let response = exchange.send(http, self.is_ecr()).await?;
        let bytes = read_bounded(response, 1 << 20)
            .await
            .map_err(|problem| protocol(format!("{} ({})", problem, subject_url(&url))))?;
        let answer: TokenAnswer = serde_json::from_slice(&bytes)
            .map_err(|error| protocol(format!("the answer is not a token: {error}")))?;
        let token = answer.token.or(answer.access_token).unwrap_or_default();
        if token.is_empty() {
            return Err(protocol("the answer holds no token".to_owned()));
        }
        Ok(Credential::new(format!("Bearer {token}")))
    }
}

/// The answer of a token server, which uses one of two names.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}
