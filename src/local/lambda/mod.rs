//! The Lambda API (REST and JSON), as far as container images need it.
//!
//! The local server gives every request of the `lambda` service to [`handle`]. This file finds
//! the operation; one file a group of operations answers it, with AWS's own codes and texts.
//! Paths and methods: <https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html>

mod account;
mod aliases;
pub mod control;
mod create;
mod errors;
mod event_stream;
mod function;
mod images;
mod invoke;
mod page;
mod permissions;
mod read;
mod render;
mod reply;
mod request;
mod retries;
mod roles;
mod settings;
mod stream;
mod tags;
mod target;
#[cfg(test)]
mod tests;
mod update;
mod urls;
mod validation;
mod versions;

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use time::OffsetDateTime;

use self::errors::Failure;
use self::function::{Code, Function};
use self::images::{ImageCatalogue, LocalRegistry};
use self::invoke::Form;
use self::reply::Reply;
use self::request::Request;
pub use self::stream::{Part, Streaming};
pub use self::urls::{Cors as UrlCors, UrlConfig, find as url_of, host as url_host};
use super::LocalFunction;
use super::call::Call;
use super::environments::Environments;
use super::store::{StoreError, Transaction};

/// Answers one request of the Lambda API.
pub async fn handle(
    call: &Call,
    environments: &Environments,
    request: http::Request<Bytes>,
) -> Response<Body> {
    match invoke::form(&request) {
        Some(Form::Whole) => invoke::invoke(call, environments, request).await,
        Some(Form::Streamed) => stream::invoke(call, environments, request).await,
        None => blocking(call, request, dispatch).await,
    }
}

/// Begins an invocation whose answer is handed on while it is made, for a function's URL.
pub async fn stream(
    call: &Call,
    environments: &Environments,
    request: http::Request<Bytes>,
) -> Result<Streaming, Response<Body>> {
    let begun = stream::begin(call, environments, request).await;
    begun.map_err(|failure| reply::response(Err(failure)).map(Body::from))
}

/// Answers `POST /_lambdactl/outcomes`: see the `control` module for what it takes.
pub async fn control(call: &Call, request: http::Request<Bytes>) -> Response<Body> {
    blocking(call, request, control::set_outcome).await
}

/// Runs an operation where it may wait for the store's lock.
async fn blocking(
    call: &Call,
    request: http::Request<Bytes>,
    operation: fn(&Request<'_>) -> Result<Reply, Failure>,
) -> Response<Body> {
    let of_task = call.clone();
    let task = tokio::task::spawn_blocking(move || answer(&of_task, &LocalRegistry, request, operation));
    let response = task.await.unwrap_or_else(|_| reply::response(Err(Failure::interrupted())));
    response.map(Body::from)
}

fn answer(
    call: &Call,
    images: &dyn ImageCatalogue,
    request: http::Request<Bytes>,
    operation: fn(&Request<'_>) -> Result<Reply, Failure>,
) -> Response<Bytes> {
    reply::response(operation(&Request::new(call, images, request)))
}

/// The functions of a region, with the time that passed taken into account, for `local status`;
/// with their URLs at the authority of a server, where one runs.
pub fn functions(
    tx: &Transaction<'_>,
    region: &str,
    now: OffsetDateTime,
    authority: Option<&str>,
) -> Result<Vec<LocalFunction>, StoreError> {
    let urls = |function: &Function| -> Vec<String> {
        let at = |authority| function.urls.values().map(|url| urls::at(authority, region, url)).collect();
        authority.map(at).unwrap_or_default()
    };
    let summary = |function: Function| LocalFunction {
        region: region.to_owned(),
        urls: urls(&function),
        name: function.name,
        state: function.latest.state.value,
        image_digest: match function.latest.code {
            Code::Image { digest, .. } => digest.to_string(),
            Code::Zip { .. } => String::new(),
        },
    };
    Ok(Function::all(tx, region, now)?.into_iter().map(summary).collect())
}

/// Finds the operation by method and path, and runs it.
fn dispatch(request: &Request<'_>) -> Result<Reply, Failure> {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let method = request.method.as_str();
    match path[..] {
        ["2015-03-31", "functions", ref rest @ ..] => match (method, rest) {
            ("POST", []) => create::create_function(request),
            ("GET", []) => read::list_functions(request),
            ("GET", [_]) => read::get_function(request),
            ("DELETE", [_]) => read::delete_function(request),
            ("PUT", [_, "code"]) => update::update_function_code(request),
            ("GET", [_, "configuration"]) => read::get_function_configuration(request),
            ("PUT", [_, "configuration"]) => update::update_function_configuration(request),
            ("POST", [_, "versions"]) => versions::publish_version(request),
            ("GET", [_, "versions"]) => versions::list_versions_by_function(request),
            ("POST", [_, "aliases"]) => aliases::create_alias(request),
            ("GET", [_, "aliases"]) => aliases::list_aliases(request),
            ("GET", [_, "aliases", _]) => aliases::get_alias(request),
            ("PUT", [_, "aliases", _]) => aliases::update_alias(request),
            ("DELETE", [_, "aliases", _]) => aliases::delete_alias(request),
            ("POST", [_, "policy"]) => permissions::add_permission(request),
            ("GET", [_, "policy"]) => permissions::get_policy(request),
            ("DELETE", [_, "policy", _]) => permissions::remove_permission(request),
            _ => unknown(request),
        },
        ["2016-08-19", "account-settings"] if method == "GET" => account::get_account_settings(request),
        ["2017-10-31", "functions", _, "concurrency"] => match method {
            "PUT" => account::put_function_concurrency(request),
            "DELETE" => account::delete_function_concurrency(request),
            _ => unknown(request),
        },
        ["2019-09-30", "functions", _, "concurrency"] if method == "GET" => {
            account::get_function_concurrency(request)
        }
        ["2019-09-25", "functions", _, "event-invoke-config"] => match method {
            "PUT" => retries::put(request),
            "POST" => retries::update(request),
            "GET" => retries::get(request),
            "DELETE" => retries::delete(request),
            _ => unknown(request),
        },
        ["2021-10-31", "functions", _, "url"] => match method {
            "POST" => urls::create(request),
            "GET" => urls::get(request),
            "PUT" => urls::update(request),
            "DELETE" => urls::delete(request),
            _ => unknown(request),
        },
        ["2021-10-31", "functions", _, "urls"] if method == "GET" => urls::list(request),
        ["2017-03-31", "tags", _] => match method {
            "POST" => tags::tag_resource(request),
            "GET" => tags::list_tags(request),
            "DELETE" => tags::untag_resource(request),
            _ => unknown(request),
        },
        _ => unknown(request),
    }
}

fn unknown(request: &Request<'_>) -> Result<Reply, Failure> {
    let path = request.path.join("/");
    Err(Failure::not_available(&format!("`{} /{path}` is not available here", request.method)))
}
