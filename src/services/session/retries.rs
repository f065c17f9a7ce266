//! Makes the SDK's own retries visible as events.

use std::fmt;
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};

use crate::event::{Event, SharedReporter};

/// Reports every attempt after the first, with the reason why the one before failed.
#[derive(Clone)]
pub(crate) struct RetryEvents {
    reporter: SharedReporter,
}

impl RetryEvents {
    pub(super) fn new(reporter: SharedReporter) -> Self {
        Self { reporter }
    }
}

impl fmt::Debug for RetryEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RetryEvents")
    }
}

#[derive(Clone, Debug)]
struct LastFailure(String);

impl Storable for LastFailure {
    type Storer = StoreReplace<Self>;
}

impl Intercept for RetryEvents {
    fn name(&self) -> &'static str {
        "RetryEvents"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(Err(error)) = context.output_or_error() {
            let failure = match error.as_operation_error() {
                Some(error) => error.to_string(),
                None => std::iter::successors(Some(error as &dyn std::error::Error), |&error| error.source())
                    .last()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            };
            config.interceptor_state().store_put(LastFailure(failure));
        }
        Ok(())
    }

    fn read_before_attempt(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let attempts = config.load::<RequestAttempts>().map_or(1, RequestAttempts::attempts);
        if attempts > 1 {
            self.reporter.report(Event::Retrying {
                what: config.load::<Metadata>().map_or("request", Metadata::name).to_owned(),
                attempt: usize::try_from(attempts).unwrap_or(usize::MAX) - 1,
                // The SDK has waited already.
                after: Duration::ZERO,
                because: config.load::<LastFailure>().map(|failure| failure.0.clone()).unwrap_or_default(),
            });
        }
        Ok(())
    }
}
