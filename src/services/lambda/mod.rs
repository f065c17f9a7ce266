//! The Lambda API: reading, creating and updating functions.
//!
//! Only the calls the pipeline uses. Every answer becomes a [`Function`] of the domain, every
//! failure an [`ApiError`]; enumerations stay open.

mod belongings;
mod describe;
mod invoke;
mod pace;
mod url;
mod write;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Builder;

use super::api_error::ApiError;
use super::session::Session;
use crate::domain::function::Function;

pub use belongings::Belongings;
use pace::Pace;
pub use write::{CodeUpdate, ConfigurationUpdate, NewFunction};

const SERVICE: &str = "lambda";

/// A function as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFunction {
    /// What Lambda says of it.
    pub function: Function,
    /// Why Lambda could not decrypt the environment variables, which are then unknown, not
    /// absent: replacing them would lose them.
    pub environment_error: Option<String>,
}

/// Asks Lambda in the session's region.
#[derive(Clone, Debug)]
pub struct LambdaClient {
    client: Client,
    pace: Pace,
}

impl LambdaClient {
    /// Makes a client of `session`.
    pub fn new(session: &Session) -> Self {
        let pace = if session.is_local() { Pace::unlimited() } else { Pace::default() };
        Self { client: client(session), pace }
    }

    /// A client of `session` that keeps one pace with this one.
    pub fn reporting_to(&self, session: &Session) -> Self {
        Self { client: client(session), pace: self.pace.clone() }
    }

    /// The log group of a function, by name or ARN: `None` where there is no such function, and
    /// nothing in it where the function does not name one.
    pub async fn log_group(&self, name: &str) -> Result<Option<Option<String>>, ApiError> {
        match self.client.get_function_configuration().function_name(name).send().await {
            Ok(output) => {
                let group = output.logging_config().and_then(|config| config.log_group());
                Ok(Some(group.map(str::to_owned)))
            }
            Err(error) => match ApiError::new(SERVICE, "GetFunctionConfiguration", &error) {
                error if error.is("ResourceNotFoundException") => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Reads a function by name or ARN; `None` where there is none.
    ///
    /// `GetFunction`, not `GetFunctionConfiguration`: only it tells the image, and its rate
    /// limit is its own (100 a second, not 15 for all calls together).
    /// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
    pub async fn function(&self, name: &str) -> Result<Option<FoundFunction>, ApiError> {
        const OPERATION: &str = "GetFunction";
        match self.client.get_function().function_name(name).send().await {
            Ok(output) => describe::function(&output)
                .map(Some)
                .map_err(|missing| ApiError::incomplete(SERVICE, OPERATION, missing)),
            Err(error) => match ApiError::new(SERVICE, OPERATION, &error) {
                error if error.is("ResourceNotFoundException") => Ok(None),
                error => Err(error),
            },
        }
    }
}

fn client(session: &Session) -> Client {
    Client::from_conf(Builder::from(session.config()).interceptor(session.retry_events()).build())
}
