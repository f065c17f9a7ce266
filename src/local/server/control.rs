//! The server's own endpoints below `/_lambdactl/`: who it is, and what tests ask of it.
//!
//! - `GET health` → `{"identity": …, "version": …}`
//! - `GET`, `POST`, `DELETE` of `faults`: see [`super::faults`]
//! - `GET`, `DELETE` of `log`: the requests seen
//! - `POST outcomes`: how changes of functions end; Lambda's own

use axum::body::Body;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::json;

use super::Server;
use super::body::whole;
use super::faults::Fault;
use crate::local::call::Call;
use crate::local::lambda;

/// Where they are.
pub(super) const PREFIX: &str = "/_lambdactl/";

pub(super) async fn handle(server: &Server, call: &Call, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let what = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    match (&parts.method, what) {
        (&Method::GET, "health") => {
            let version = env!("CARGO_PKG_VERSION");
            answer(StatusCode::OK, &json!({ "identity": server.identity, "version": version }))
        }
        (&Method::GET, "faults") => answer(StatusCode::OK, &json!(server.faults.all())),
        (&Method::DELETE, "faults") => {
            server.faults.set(Vec::new());
            answer(StatusCode::OK, &json!([]))
        }
        (&Method::POST, "faults") => {
            let bytes = whole(body, 1024 * 1024).await.unwrap_or_default();
            match serde_json::from_slice::<Vec<Fault>>(&bytes) {
                Ok(faults) => {
                    server.faults.set(faults);
                    answer(StatusCode::OK, &json!(server.faults.all()))
                }
                Err(error) => answer(StatusCode::BAD_REQUEST, &json!({ "message": error.to_string() })),
            }
        }
        (&Method::GET, "log") => answer(StatusCode::OK, &json!(server.log.all())),
        (&Method::DELETE, "log") => {
            server.log.clear();
            answer(StatusCode::OK, &json!([]))
        }
        (_, "outcomes") => {
            let bytes = whole(body, 1024 * 1024).await.unwrap_or_default();
            lambda::control(call, Request::from_parts(parts, bytes)).await
        }
        _ => answer(StatusCode::NOT_FOUND, &json!({ "message": "no such endpoint" })),
    }
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
