//! Many functions at the same time: each goes its own way, under shared limits, and one that
//! fails does not stop the others unless that is asked for.

use std::future::Future;

use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::cloud::Cloud;
use super::error::PipelineError;
use crate::domain::spec::DeploySpec;

/// How many are taken at a time, and what a failure does to the others.
#[derive(Clone, Copy, Debug)]
pub struct Together {
    /// How many functions are worked on at the same time.
    pub at_once: usize,
    /// Whether the first failure ends the rest.
    pub fail_fast: bool,
}

impl Cloud {
    /// Does `work` for every specification, each with a cloud of its own whose events say which
    /// function they belong to; the results are in the order of the specifications. `finished`
    /// is told each result as it comes.
    pub async fn each<T, E, F>(
        &self,
        specs: &[DeploySpec],
        together: Together,
        work: impl Fn(Cloud, DeploySpec) -> F,
        finished: impl Fn(&DeploySpec, &Result<T, E>),
    ) -> Vec<Result<T, E>>
    where
        E: From<PipelineError>,
        F: Future<Output = Result<T, E>>,
    {
        let stop = CancellationToken::new();
        let one = |spec: &DeploySpec| {
            let cloud = self.for_function(spec.function.name.as_str());
            let (spec, stop, work, finished) = (spec.clone(), stop.clone(), &work, &finished);
            async move {
                let name = spec.function.name.clone();
                let result = tokio::select! {
                    biased;
                    () = stop.cancelled() => Err(PipelineError::Stopped(name).into()),
                    result = work(cloud, spec.clone()) => result,
                };
                if result.is_err() && together.fail_fast {
                    stop.cancel();
                }
                finished(&spec, &result);
                result
            }
        };
        // Not `buffered`: a slow function at the front must not keep the others from starting.
        let numbered =
            specs.iter().map(one).enumerate().map(|(index, one)| async move { (index, one.await) });
        let work: Vec<_> = numbered.collect();
        let mut results: Vec<_> =
            stream::iter(work).buffer_unordered(together.at_once.max(1)).collect().await;
        results.sort_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }
}
