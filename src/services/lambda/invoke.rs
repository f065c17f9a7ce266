//! The calls that run a function.

use std::time::Duration;

use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::config::StalledStreamProtectionConfig;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::operation::RequestId as _;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{InvocationType, InvokeWithResponseStreamResponseEvent as Event, LogType};
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
            .config_override(once())
            .send()
            .await
            .map_err(|error| ApiError::new(SERVICE, "Invoke", &error))?;
        Ok(Invocation {
            status_code: output.status_code(),
            executed_version: output.executed_version().map(str::to_owned),
            function_error: output.function_error().map(str::to_owned),
            log_tail: output.log_result().and_then(text),
            request_id: output.request_id().map(str::to_owned),
            payload: output.payload.map(Blob::into_inner).unwrap_or_default(),
        })
    }

    /// Runs a function and hands its response to `show` while it comes. What is returned has no
    /// payload but the document of an error.
    pub async fn invoke_streamed(
        &self,
        request: &InvokeRequest,
        show: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Invocation, ApiError> {
        const OPERATION: &str = "InvokeWithResponseStream";
        let mut output = self
            .client
            .invoke_with_response_stream()
            .function_name(&request.function)
            .set_qualifier(request.qualifier.clone())
            .set_log_type(request.wants_log.then_some(LogType::Tail))
            .set_client_context(request.client_context.as_ref().map(|context| BASE64.encode(context)))
            .payload(Blob::new(request.payload.clone()))
            .customize()
            .config_override(once())
            .send()
            .await
            .map_err(|error| ApiError::new(SERVICE, OPERATION, &error))?;
        let mut invocation = Invocation {
            status_code: output.status_code(),
            executed_version: output.executed_version().map(str::to_owned),
            function_error: None,
            log_tail: None,
            request_id: output.request_id().map(str::to_owned),
            payload: Vec::new(),
        };
        loop {
            let event = output.event_stream.recv().await.map_err(|error| {
                ApiError::on_the_way(SERVICE, OPERATION, invocation.request_id.as_deref(), &error)
            })?;
            match event {
                None => return Ok(invocation),
                Some(Event::PayloadChunk(chunk)) => {
                    if let Some(bytes) = chunk.payload() {
                        show(bytes.as_ref());
                    }
                }
                Some(Event::InvokeComplete(end)) => {
                    invocation.function_error = end.error_code().map(str::to_owned);
                    invocation.payload = end.error_details().unwrap_or_default().into();
                    invocation.log_tail = end.log_result().and_then(text);
                }
                Some(_) => {}
            }
        }
    }
}

/// Patience for a function that runs, and also for one that is silent between two pieces.
fn once() -> Builder {
    let patience = TimeoutConfig::builder().operation_attempt_timeout(LONGEST).read_timeout(LONGEST).build();
    Builder::new()
        .retry_config(RetryConfig::disabled())
        .timeout_config(patience)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

fn text(log: &str) -> Option<String> {
    let log = BASE64.decode(log).ok()?;
    Some(String::from_utf8_lossy(&log).into_owned())
}
