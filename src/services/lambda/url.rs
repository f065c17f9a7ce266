//! URLs of functions.

use aws_sdk_lambda::types::FunctionUrlAuthType;

use super::{LambdaClient, SERVICE};
use crate::services::api_error::ApiError;

impl LambdaClient {
    /// The URL of a function; where it has none, one is made that everybody may call.
    pub async fn ensure_url(&self, function: &str) -> Result<String, ApiError> {
        let request = self.client.create_function_url_config().function_name(function);
        let made = request.auth_type(FunctionUrlAuthType::None).send().await;
        match made.map_err(|error| ApiError::new(SERVICE, "CreateFunctionUrlConfig", &error)) {
            Ok(output) => Ok(output.function_url),
            Err(error) if error.is("ResourceConflictException") => {
                let found = self.client.get_function_url_config().function_name(function).send().await;
                let found = found.map_err(|error| ApiError::new(SERVICE, "GetFunctionUrlConfig", &error))?;
                Ok(found.function_url)
            }
            Err(error) => Err(error),
        }
    }
}
