//! `CreateFunctionUrlConfig` and its siblings: which functions answer HTTP, and how.
//!
//! <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunctionUrlConfig.html>

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::errors::Failure;
use super::function::{Function, timestamp};
use super::reply::Reply;
use super::request::Request;
use super::target::{LATEST, NameRules, Target, qualified_arn, unqualified_arn};
use super::validation::Violations;
use crate::local::call::Call;
use crate::local::store::{StoreError, Transaction};

/// A host name has so many bytes between its dots.
const LONGEST_LABEL: usize = 63;

/// The URL of a function or of one of its aliases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlConfig {
    /// The first part of its host name.
    pub id: String,
    /// `NONE` or `AWS_IAM`.
    pub auth_type: String,
    /// `BUFFERED` or `RESPONSE_STREAM`.
    pub invoke_mode: String,
    /// What browsers are told about other sites.
    pub cors: Option<Cors>,
    created: String,
    modified: String,
}

/// Which pages of other sites may use a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Cors {
    /// Whether with cookies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// Which headers a page may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_headers: Option<Vec<String>>,
    /// Which methods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_methods: Option<Vec<String>>,
    /// Which sites.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_origins: Option<Vec<String>>,
    /// Which headers a page may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expose_headers: Option<Vec<String>>,
    /// For how many seconds browsers remember that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UrlRequest {
    auth_type: Option<String>,
    invoke_mode: Option<String>,
    cors: Option<Cors>,
}

impl UrlRequest {
    fn validate(&self, creating: bool) -> Result<(), Failure> {
        let mut violations = Violations::default();
        match &self.auth_type {
            Some(kind) => violations.one_of(kind, "authType", &["NONE", "AWS_IAM"]),
            None if creating => violations.missing("authType"),
            None => {}
        }
        if let Some(mode) = &self.invoke_mode {
            violations.one_of(mode, "invokeMode", &["BUFFERED", "RESPONSE_STREAM"]);
        }
        if let Some(seconds) = self.cors.as_ref().and_then(|cors| cors.max_age) {
            violations.range(seconds, "cors.maxAge", 0, 86_400);
        }
        violations.check()
    }
}

/// The host name of a URL, without a port.
pub fn host(id: &str, region: &str) -> String {
    format!("{id}.lambda-url.{region}.localhost")
}

/// The whole URL, at the port the client has reached this server by.
fn url(call: &Call, config: &UrlConfig) -> String {
    at(&call.authority, &call.region, config)
}

/// The URL at a server's authority.
pub(super) fn at(authority: &str, region: &str, config: &UrlConfig) -> String {
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| port.parse::<u16>().is_ok());
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("http://{}{port}/", host(&config.id, region))
}

fn render(call: &Call, name: &str, qualifier: &str, config: &UrlConfig) -> Value {
    let arn = match qualifier {
        LATEST => unqualified_arn(call, name),
        qualifier => qualified_arn(call, name, qualifier),
    };
    let mut body = json!({
        "FunctionUrl": url(call, config),
        "FunctionArn": arn,
        "AuthType": config.auth_type,
        "CreationTime": config.created,
        "LastModifiedTime": config.modified,
        "InvokeMode": config.invoke_mode,
    });
    if let Some(cors) = &config.cors {
        body["Cors"] = json!(cors);
    }
    body
}

/// The function and the alias a URL is for; versions have none.
fn target(request: &Request<'_>) -> Result<(Target, String), Failure> {
    let target = Target::of(request, NameRules::Plain)?;
    let qualifier = target.qualifier.clone().unwrap_or_else(|| LATEST.to_owned());
    let is_given = target.qualifier.is_some();
    if is_given && (qualifier == LATEST || qualifier.bytes().all(|byte| byte.is_ascii_digit())) {
        let mut violations = Violations::default();
        violations.pattern(&qualifier, "qualifier", r"((?!^\d+$)^[0-9a-zA-Z-_]+$)");
        violations.check()?;
    }
    Ok((target, qualifier))
}

fn missing() -> Failure {
    Failure::not_found("The resource you requested does not exist.")
}

/// Runs `change` on a function that exists, and writes it back.
fn change<T>(
    request: &Request<'_>,
    change: impl FnOnce(&Transaction<'_>, &mut Function, &str) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (call, (target, qualifier)) = (request.call, target(request)?);
    call.store.transaction(|tx| {
        let mut function = Function::read(tx, call, &target.name)?.ok_or_else(|| target.not_found(call))?;
        if function.resolve(target.qualifier.as_deref()).is_none() {
            return Err(target.not_found(call));
        }
        let done = change(tx, &mut function, &qualifier)?;
        function.write(tx, call)?;
        Ok(done)
    })?
}

pub(super) fn create(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let wanted: UrlRequest = request.body()?;
    wanted.validate(true)?;
    change(request, |tx, function, qualifier| {
        if function.urls.contains_key(qualifier) {
            let arn = qualified_arn(call, &function.name, qualifier);
            return Err(Failure::conflict(format!(
                "Failed to create function url config for [functionArn = {arn}]. Error message:  FunctionUrlConfig exists for this Lambda function"
            )));
        }
        let config = UrlConfig {
            id: free_id(tx, call, &function.name, qualifier)?,
            auth_type: wanted.auth_type.unwrap_or_default(),
            invoke_mode: wanted.invoke_mode.unwrap_or_else(|| "BUFFERED".to_owned()),
            cors: wanted.cors,
            created: timestamp(call),
            modified: timestamp(call),
        };
        let body = render(call, &function.name, qualifier, &config);
        function.urls.insert(qualifier.to_owned(), config);
        Ok(Reply::json(201, body))
    })
}

pub(super) fn update(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let wanted: UrlRequest = request.body()?;
    wanted.validate(false)?;
    change(request, |_, function, qualifier| {
        let config = function.urls.get_mut(qualifier).ok_or_else(missing)?;
        config.modified = timestamp(call);
        config.cors = wanted.cors.or(config.cors.take());
        config.auth_type = wanted.auth_type.unwrap_or_else(|| config.auth_type.clone());
        config.invoke_mode = wanted.invoke_mode.unwrap_or_else(|| config.invoke_mode.clone());
        let config = config.clone();
        Ok(Reply::json(200, render(call, &function.name, qualifier, &config)))
    })
}

pub(super) fn get(request: &Request<'_>) -> Result<Reply, Failure> {
    let (call, (target, qualifier)) = (request.call, target(request)?);
    let function = call.store.transaction(|tx| Function::read(tx, call, &target.name))??;
    let function = function.ok_or_else(|| target.not_found(call))?;
    let config = function.urls.get(&qualifier).ok_or_else(missing)?;
    Ok(Reply::json(200, render(call, &function.name, &qualifier, config)))
}

pub(super) fn list(request: &Request<'_>) -> Result<Reply, Failure> {
    let (call, (target, _)) = (request.call, target(request)?);
    let function = call.store.transaction(|tx| Function::read(tx, call, &target.name))??;
    let function = function.ok_or_else(|| target.not_found(call))?;
    let all = function.urls.iter().map(|(qualifier, config)| render(call, &function.name, qualifier, config));
    Ok(Reply::json(200, json!({ "FunctionUrlConfigs": all.collect::<Vec<_>>() })))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Reply, Failure> {
    change(request, |_, function, qualifier| {
        function.urls.remove(qualifier).map(|_| Reply::empty()).ok_or_else(missing)
    })
}

/// A function's name as a part of a host name, unless another has it.
fn free_id(tx: &Transaction<'_>, call: &Call, name: &str, qualifier: &str) -> Result<String, StoreError> {
    let text = if qualifier == LATEST { name.to_owned() } else { format!("{name}-{qualifier}") };
    let plain: String = text.to_ascii_lowercase().replace('_', "-");
    let plain = plain.trim_matches('-');
    let base = if plain.is_empty() { "function" } else { plain };
    let functions = Function::all(tx, &call.region, call.now)?;
    let is_taken =
        |id: &str| functions.iter().flat_map(|function| function.urls.values()).any(|url| url.id == id);
    let mut number = 1;
    loop {
        let end = if number == 1 { String::new() } else { format!("-{number}") };
        let base: String = base.chars().take(LONGEST_LABEL - end.len()).collect();
        let id = format!("{}{end}", base.trim_end_matches('-'));
        if !is_taken(&id) {
            return Ok(id);
        }
        number += 1;
    }
}

/// The function and the qualifier whose URL has this id, with its configuration.
pub fn find(
    tx: &Transaction<'_>,
    region: &str,
    id: &str,
    now: OffsetDateTime,
) -> Result<Option<(String, String, UrlConfig)>, StoreError> {
    let functions = Function::all(tx, region, now)?;
    Ok(functions.into_iter().find_map(|function| {
        let (qualifier, config) = function.urls.into_iter().find(|(_, config)| config.id == id)?;
        Some((function.name, qualifier, config))
    }))
}
