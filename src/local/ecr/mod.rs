//! The ECR API of the local cloud: JSON 1.1 over `POST /`.
//!
//! `server::dispatch` hands every request with an ECR target to [`handle`], on a thread that
//! may block. Names of members, errors and texts are ECR's.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/>

mod account;
mod failure;
mod images;
mod input;
mod layers;
mod listings;
mod policies;
mod repositories;
mod tags;

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::call::Call;
use super::registry::auth::SigningKey;
use super::upload::Hashes;
use failure::Failure;
use input::Input;

/// What stands before the operation in `X-Amz-Target`.
pub const TARGET_PREFIX: &str = "AmazonEC2ContainerRegistry_V20150921.";

/// What an operation is handled with, beside its input.
#[derive(Debug)]
struct Context<'a> {
    call: &'a Call,
    key: &'a SigningKey,
    hashes: &'a Hashes,
}

/// Answers one call of `operation`.
pub fn handle(
    call: &Call,
    key: &SigningKey,
    hashes: &Hashes,
    operation: &str,
    body: &[u8],
) -> Response<Body> {
    let context = Context { call, key, hashes };
    match run(&context, operation, body) {
        Ok(output) => json_response(StatusCode::OK, &output),
        Err(failure) => failure.response(),
    }
}

fn run(context: &Context<'_>, operation: &str, body: &[u8]) -> Result<Value, Failure> {
    let call = context.call;
    let input = Input::parse(body)?;
    match operation {
        "GetAuthorizationToken" => Ok(account::token(call, context.key)),
        "PutAccountSetting" => account::put_setting(call, &input),
        "GetAccountSetting" => account::get_setting(call, &input),
        "CreateRepository" => repositories::create(call, &input),
        "DescribeRepositories" => repositories::describe(call, &input),
        "DeleteRepository" => repositories::delete(call, &input),
        "PutImageTagMutability" => repositories::put_tag_mutability(call, &input),
        "SetRepositoryPolicy" => policies::set(call, &input),
        "GetRepositoryPolicy" => policies::get(call, &input),
        "DeleteRepositoryPolicy" => policies::delete(call, &input),
        "TagResource" => tags::tag(call, &input),
        "UntagResource" => tags::untag(call, &input),
        "ListTagsForResource" => tags::list(call, &input),
        "DescribeImages" => listings::describe(call, &input),
        "ListImages" => listings::list(call, &input),
        "BatchGetImage" => images::batch_get(call, &input),
        "BatchDeleteImage" => images::batch_delete(call, &input),
        "PutImage" => images::put(call, &input),
        "BatchCheckLayerAvailability" => layers::check(call, &input),
        "GetDownloadUrlForLayer" => layers::download_url(context, &input),
        "InitiateLayerUpload" => layers::initiate(call, &input),
        "UploadLayerPart" => layers::upload_part(context, &input),
        "CompleteLayerUpload" => layers::complete(context, &input),
        _ => Err(Failure::new("UnknownOperationException", "")),
    }
}

/// Seconds since 1970, as JSON 1.1 writes times.
fn seconds(milliseconds: i64) -> Value {
    json!(milliseconds as f64 / 1000.0)
}

fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/x-amz-json-1.1");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
