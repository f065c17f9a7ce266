//! Greets whoever calls: `{"name":"Ada"}` is answered with `{"message":"Hello, Ada!"}`.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::{Deserialize, Serialize};

/// What the caller sends.
#[derive(Deserialize)]
struct Request {
    /// Whom to greet.
    #[serde(default = "everybody")]
    name: String,
}

/// What the caller gets.
#[derive(Serialize)]
struct Response {
    message: String,
}

fn everybody() -> String {
    "world".to_owned()
}

async fn greet(event: LambdaEvent<Request>) -> Result<Response, Error> {
    let greeting = std::env::var("GREETING").unwrap_or_else(|_| "Hello".to_owned());
    Ok(Response { message: format!("{greeting}, {}!", event.payload.name) })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(greet)).await
}
