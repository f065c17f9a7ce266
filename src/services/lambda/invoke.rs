//! The call that runs a function.

use std::time::Duration;

use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::operation::RequestId as _;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{InvocationType, LogType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{LambdaClient, SERVICE};
use crate::domain::invocation::{Invocation, InvokeRequest};
use crate::services::api_error::ApiError;

/// A function may run for 15 minutes, and its start comes on top.
const LONGEST: Duration = Duration::from_secs(16 * 60);

impl LambdaClient {
    /// Runs a function. Never tried again: it may have run although no answer came.
    pub async fn invoke(&self, request: &InvokeRequest) -> Result<Invocation, ApiError> {
        let patience =
            TimeoutConfig::builder().operation_attempt_timeout(LONGEST).read_timeout(LONGEST).build();
        let once = Builder::new().retry_config(RetryConfig::disabled()).timeout_config(patience);
        let kind = if request.asynchronous { InvocationType::Event } else { InvocationType::RequestResponse };
        let output = self
            .client
            .invoke()
            .function_name(&request.function)
            .set_qualifier(request.qualifier.clone())
            .invocation_type(kind)
            .set_log_type(request.wants_log.then_some(LogType::Tail))
            .set_client_context(request.client_context.as_ref().map(|context| BASE64.encode(context)))
            .payload(Blob::new(request.payload.clone()))
            .customize()
            .config_override(once)
            .send()
            .await
            .map_err(|error| ApiError::new(SERVICE, "Invoke", &error))?;
        let log = output.log_result().and_then(|log| BASE64.decode(log).ok());
        Ok(Invocation {
            status_code: output.status_code(),
            executed_version: output.executed_version().map(str::to_owned),
            function_error: output.function_error().map(str::to_owned),
            log_tail: log.map(|log| String::from_utf8_lossy(&log).into_owned()),
            request_id: output.request_id().map(str::to_owned),
            payload: output.payload.map(Blob::into_inner).unwrap_or_default(),
        })
    }
}
