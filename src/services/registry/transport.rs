//! One request and its answer: URLs, authorization, redirects, and statuses turned into errors.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Body, Method, Response, StatusCode, Url};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::RegistryClient;
use super::authorization::{Access, Credential, scope};
use super::error::{ErrorEntry, Operation, Refusal, RegistryError};
use super::watched::Activity;
use crate::domain::reference::{RegistryHost, RepositoryName};

/// How long an answer may take that nothing is sent for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of an error's body is read.
const ERROR_BODY: usize = 64 << 10;
/// How many redirects in a row are followed.
const REDIRECTS: usize = 5;

/// One request, ready to be sent any number of times.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) operation: Operation,
    pub(super) subject: String,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) authorization: Option<Credential>,
    /// Statuses that are success.
    pub(super) expected: &'static [u16],
    /// Whether `url` belongs to the registry itself.
    by_registry: bool,
}

impl Exchange {
    pub(super) fn new(operation: Operation, subject: &str, method: Method, url: Url) -> Self {
        Self {
            operation,
            subject: subject.to_owned(),
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            authorization: None,
            expected: &[200],
            by_registry: false,
        }
    }

    /// Sends it once.
    pub(super) async fn send(&self, http: &reqwest::Client, ecr: bool) -> Result<Response, RegistryError> {
        let response = self.request(http).body(self.body.clone()).send();
        let response = match tokio::time::timeout(ANSWER_TIMEOUT, response).await {
            Ok(response) => response.map_err(|source| self.unreachable(source))?,
            Err(_) => return Err(self.silent(ANSWER_TIMEOUT)),
        };
        self.judge(response, ecr).await
    }

    /// Sends it once with a body that streams, for as long as bytes keep moving.
    pub(super) async fn send_streaming(
        &self,
        http: &reqwest::Client,
        ecr: bool,
        body: Body,
        activity: &Arc<Activity>,
    ) -> Result<Response, RegistryError> {
        let response = self.request(http).body(body).send();
        let response = match while_active(response, activity).await {
            Ok(response) => response.map_err(|source| self.unreachable(source))?,
            Err(idle) => return Err(self.silent(idle)),
        };
        self.judge(response, ecr).await
    }

    fn request(&self, http: &reqwest::Client) -> reqwest::RequestBuilder {
        let mut headers = self.headers.clone();
        if let Some(value) = self.authorization.as_ref().and_then(Credential::header) {
            headers.insert(AUTHORIZATION, value);
        }
        http.request(self.method.clone(), self.url.clone()).headers(headers)
    }

    async fn judge(&self, response: Response, ecr: bool) -> Result<Response, RegistryError> {
        if self.expected.contains(&response.status().as_u16()) {
            return Ok(response);
        }
        let status = response.status();
        let headers = response.headers().clone();
        let text = |value: &reqwest::header::HeaderValue| value.to_str().ok().map(str::to_owned);
        // An error without its body is still an error.
        let body = tokio::time::timeout(ANSWER_TIMEOUT, read_bounded(response, ERROR_BODY)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        Err(RegistryError::Refused(Box::new(Refusal {
            operation: self.operation,
            subject: self.subject.clone(),
            method: self.method.clone(),
            url: subject_url(&self.url),
            status,
            errors: parse_errors(&body),
            retry_after: headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?)),
            ecr,
            challenges: headers.get_all(WWW_AUTHENTICATE).iter().filter_map(text).collect(),
            by_registry: self.by_registry,
        })))
    }

    fn unreachable(&self, source: reqwest::Error) -> RegistryError {
        let Self { operation, ref subject, .. } = *self;
        // The URL the library would print can hold a signature.
        let source = source.without_url();
        RegistryError::Unreachable {
            operation,
            subject: subject.clone(),
            url: subject_url(&self.url),
            source,
        }
    }

    fn silent(&self, idle: Duration) -> RegistryError {
        let Self { operation, ref subject, .. } = *self;
        RegistryError::Silent { operation, subject: subject.clone(), url: subject_url(&self.url), idle }
    }

    /// An answer that makes no sense.
    pub(super) fn protocol(&self, problem: impl Into<String>) -> RegistryError {
        RegistryError::Protocol {
            operation: self.operation,
            subject: self.subject.clone(),
            url: subject_url(&self.url),
            problem: problem.into(),
        }
    }
}

impl RegistryClient {
    /// Prepares a request below `/v2/REPOSITORY/`.
    pub(super) fn exchange(
        &self,
        operation: Operation,
        subject: &str,
        method: Method,
        repository: &RepositoryName,
        path: &str,
    ) -> Result<Exchange, RegistryError> {
        let scheme = if self.inner.host.is_loopback() { "http" } else { "https" };
        let text = format!("{scheme}://{}/v2/{repository}/{path}", self.inner.host);
        let url = Url::parse(&text).map_err(|error| RegistryError::Protocol {
            operation,
            subject: subject.to_owned(),
            url: text,
            problem: format!("not an address: {error}"),
        })?;
        let mut exchange = Exchange::new(operation, subject, method, url);
        exchange.by_registry = true;
        Ok(exchange)
    }

    /// Sends a request with the credential for `access`; refused, it asks for another credential
    /// and sends it once more.
    pub(super) async fn send(
        &self,
        exchange: &mut Exchange,
        repository: &RepositoryName,
        access: Access,
    ) -> Result<Response, RegistryError> {
        self.authorize(exchange, repository, access).await?;
        let error = match exchange.send(&self.inner.http, self.inner.authenticator.is_ecr()).await {
            Err(error) => error,
            response => return response,
        };
        if !self.reauthorize(exchange, repository, access, &error).await? {
            return Err(error);
        }
        exchange.send(&self.inner.http, self.inner.authenticator.is_ecr()).await
    }

    /// Gives the request the credential that is known, unless it goes to another host.
    pub(super) async fn authorize(
        &self,
        exchange: &mut Exchange,
        repository: &RepositoryName,
        access: Access,
    ) -> Result<(), RegistryError> {
        exchange.authorization = if exchange.by_registry {
            self.inner.authenticator.credential(&scope(repository, access)).await?
        } else {
            None
        };
        Ok(())
    }

    /// Finds another credential after `error`, if that may help.
    pub(super) async fn reauthorize(
        &self,
        exchange: &mut Exchange,
        repository: &RepositoryName,
        access: Access,
        error: &RegistryError,
    ) -> Result<bool, RegistryError> {
        let Some(refusal) = error.refusal().filter(|refusal| refusal.wants_authorization()) else {
            return Ok(false);
        };
        let scope = scope(repository, access);
        let (http, refused) = (&self.inner.http, exchange.authorization.as_ref());
        let other = self.inner.authenticator.renew(http, &scope, refused, &refusal.challenges).await?;
        let found = other.is_some();
        if found {
            exchange.authorization = other;
        }
        Ok(found)
    }

    /// Sends a request that reads, and follows redirects: other hosts never see a credential.
    pub(super) async fn send_following(
        &self,
        exchange: &mut Exchange,
        repository: &RepositoryName,
    ) -> Result<Response, RegistryError> {
        for _ in 0..=REDIRECTS {
            let response = self.send(exchange, repository, Access::Pull).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            self.follow(exchange, &response)?;
        }
        Err(exchange.protocol("too many redirects"))
    }

    /// Points `exchange` at the `Location` of `response`.
    pub(super) fn follow(&self, exchange: &mut Exchange, response: &Response) -> Result<(), RegistryError> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| exchange.protocol("the answer names no location"))?;
        let mut url = exchange
            .url
            .join(location)
            .map_err(|error| exchange.protocol(format!("the location it names is not a URL: {error}")))?;
        // A registry behind a proxy that ends TLS may not know that it is reached over HTTPS.
        if exchange.url.scheme() == "https" && url.scheme() == "http" && url.host() == exchange.url.host() {
            let _ = url.set_scheme("https");
            if url.port() == Some(80) || url.port().is_none() {
                let _ = url.set_port(exchange.url.port());
            }
        }
        if url.scheme() != "https" && !is_loopback(&url) {
            return Err(exchange.protocol("redirected to plain HTTP"));
        }
        exchange.by_registry = exchange.by_registry && url.origin() == exchange.url.origin();
        exchange.url = url;
        Ok(())
    }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().and_then(|host| host.parse::<RegistryHost>().ok()).is_some_and(|host| host.is_loopback())
}

/// Waits for an answer while bytes move; `Err` says for how long they did not.
async fn while_active<T>(answer: impl Future<Output = T>, activity: &Activity) -> Result<T, Duration> {
    let mut answer = std::pin::pin!(answer);
    loop {
        let allowed = activity.allowed();
        match tokio::time::timeout(allowed.saturating_sub(activity.idle()), &mut answer).await {
            Ok(answer) => return Ok(answer),
            Err(_) if activity.idle() >= activity.allowed() => return Err(allowed),
            Err(_) => {}
        }
    }
}

/// Reads a whole body that is known to be small.
pub(super) async fn read_bounded(mut response: Response, limit: usize) -> Result<Bytes, String> {
    let mut bytes = BytesMut::new();
    let idle = |_| format!("nothing moved for {} s", ANSWER_TIMEOUT.as_secs());
    while let Some(chunk) = tokio::time::timeout(ANSWER_TIMEOUT, response.chunk())
        .await
        .map_err(idle)?
        .map_err(|error| error.without_url().to_string())?
    {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > limit {
            return Err(format!("the answer is larger than {limit} bytes"));
        }
    }
    Ok(bytes.freeze())
}

/// The URL without user, password, query and fragment.
pub(super) fn subject_url(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// Reads the errors a registry lists, whatever content type it gives them.
///
/// What is not the specified JSON is kept as a message, if it is short text.
fn parse_errors(body: &[u8]) -> Vec<ErrorEntry> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        errors: Vec<ErrorEntry>,
        #[serde(alias = "Message", alias = "details", default)]
        message: String,
    }
    let text_entry = |message: &str| ErrorEntry {
        code: String::new(),
        message: message.to_owned(),
        detail: serde_json::Value::Null,
    };
    if let Ok(answer) = serde_json::from_slice::<Answer>(body) {
        if answer.errors.is_empty() && !answer.message.is_empty() {
            return vec![text_entry(&answer.message)];
        }
        return answer.errors;
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let readable =
        !text.is_empty() && text.len() <= 500 && !text.starts_with('<') && !text.contains('\u{fffd}');
    if readable { vec![text_entry(&text.replace(char::is_control, " "))] } else { Vec::new() }
}

/// Reads `Retry-After`: seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(value.trim(), &Rfc2822).ok()?;
    (date - OffsetDateTime::now_utc()).try_into().ok()
}

/// Whether the answer says that there is no such thing.
pub(super) fn is_not_found(error: &RegistryError) -> bool {
    error.refusal().is_some_and(|refusal| refusal.status == StatusCode::NOT_FOUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_whatever_they_are_wrapped_in() {
        let listed = parse_errors(br#"{"errors":[{"code":"DENIED","message":"no","detail":{"a":1}}]}"#);
        assert_eq!((listed[0].code.as_str(), listed[0].message.as_str()), ("DENIED", "no"));
        assert_eq!(parse_errors(br#"{"message":"Forbidden"}"#)[0].message, "Forbidden");
        assert_eq!(parse_errors(b"Not Authorized\n")[0].message, "Not Authorized");
        assert!(parse_errors(b"<html>502</html>").is_empty());
        assert!(parse_errors(b"").is_empty());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        let past = retry_after("Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(past, None);
        let future = retry_after("Wed, 21 Oct 2115 07:28:00 GMT").unwrap();
        assert!(future > Duration::from_secs(3600));
    }

    #[test]
    fn no_signature_of_a_url_is_shown() {
        let url = Url::parse("https://u:p@bucket.test/blob?X-Amz-Signature=abc#f").unwrap();
        assert_eq!(subject_url(&url), "https://bucket.test/blob");
    }
}
