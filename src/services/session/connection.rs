//! How the SDK's clients connect: as everything here does, through [`Trust`].
//!
//! The SDK's own HTTP client would read the platform's roots of trust for each service anew, know
//! other proxies than the registry client does, and bring a second set of libraries along.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use reqwest::Body;

use crate::services::http::Trust;

/// The HTTP client of all services. There is one set of connections for each time-out that is
/// asked for, as the SDK's contract has it: `aws_smithy_runtime_api::client::http::HttpClient`.
#[derive(Debug)]
pub(super) struct SdkHttpClient {
    trust: Trust,
    clients: Mutex<HashMap<Option<Duration>, reqwest::Client>>,
}

impl SdkHttpClient {
    pub(super) fn new(trust: Trust) -> Self {
        Self { trust, clients: Mutex::default() }
    }

    fn client(&self, connect_timeout: Option<Duration>) -> Result<reqwest::Client, reqwest::Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&connect_timeout) {
            return Ok(client.clone());
        }
        let builder = self.trust.builder();
        let client = match connect_timeout {
            Some(timeout) => builder.connect_timeout(timeout),
            None => builder,
        }
        .build()?;
        Ok(clients.entry(connect_timeout).or_insert(client).clone())
    }
}

impl HttpClient for SdkHttpClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let client = self.client(settings.connect_timeout()).map_err(|error| error.to_string());
        SharedHttpConnector::new(Connector { client, read_timeout: settings.read_timeout() })
    }
}

#[derive(Debug)]
struct Connector {
    client: Result<reqwest::Client, String>,
    /// From the first byte of the request to the first of the answer.
    read_timeout: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, limit) = (self.client.clone(), self.read_timeout);
        HttpConnectorFuture::new(async move {
            let client = client.map_err(|error| ConnectorError::user(error.into()))?;
            let sending = send(client, request);
            match limit {
                Some(limit) => tokio::time::timeout(limit, sending)
                    .await
                    .map_err(|late| ConnectorError::timeout(late.into()))?,
                None => sending.await,
            }
        })
    }
}

async fn send(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let request = request.map(|body| match body.bytes() {
        // Bytes that are at hand can be sent again over another connection.
        Some(bytes) => Body::from(Bytes::copy_from_slice(bytes)),
        None => Body::wrap(body),
    });
    let request = reqwest::Request::try_from(request).map_err(|error| ConnectorError::user(error.into()))?;
    let response = client.execute(request).await.map_err(classify)?;
    let response = http::Response::from(response).map(SdkBody::from_body_1_x);
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}

/// Whether to try again is decided by this: what never got an answer may be sent once more.
fn classify(error: reqwest::Error) -> ConnectorError {
    let (late, ours) = (error.is_timeout(), error.is_builder());
    let error: Box<dyn Error + Send + Sync> = error.into();
    match (late, ours) {
        (true, _) => ConnectorError::timeout(error),
        (_, true) => ConnectorError::user(error),
        _ => ConnectorError::io(error),
    }
}
