//! The extensions of a function in a container. An engine starts the image's own program first
//! and others beside it, so they start together; the first event waits for all of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::copy;
use crate::local::runner::{EXTENSIONS, Exit, OutputSink, StartError};
use crate::services::docker::{Container, ExecRequest};

/// What is killed may be so because its container ends, which is then told first.
const KILLED: i64 = 137;
const CONTAINER_FIRST: Duration = Duration::from_secs(1);

/// Those of one container.
#[derive(Debug, Default)]
pub(super) struct RunningExtensions {
    running: Arc<watch::Sender<usize>>,
    /// How the first ended that did.
    ended: Arc<watch::Sender<Option<Exit>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl RunningExtensions {
    /// Starts them.
    pub(super) fn start(
        names: &[String],
        environment: &[(String, String)],
        without: &[&str],
        container: &Container,
        sink: &OutputSink,
    ) -> Self {
        let mut all = Self::default();
        all.running.send_replace(names.len());
        for name in names {
            let (running, ended) = (all.running.clone(), all.ended.clone());
            let path = format!("{EXTENSIONS}/{name}");
            let request = ExecRequest {
                arguments: vec![path],
                environment: environment.to_vec(),
                without: without.iter().map(|&name| name.to_owned()).collect(),
            };
            let extension = run(name.clone(), request, container.clone(), sink.clone());
            all.tasks.push(tokio::spawn(async move {
                let exit = extension.await;
                running.send_modify(|count| *count -= 1);
                ended.send_if_modified(|first| {
                    let is_first = first.is_none();
                    first.get_or_insert(exit);
                    is_first
                });
            }));
        }
        all
    }

    /// Waits until one of them ends.
    pub(super) async fn one_ended(&self) -> Exit {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone()) {
            Some(exit) => exit,
            None => std::future::pending().await,
        }
    }

    /// Waits until all have ended.
    pub(super) async fn all_ended(&self) {
        let mut running = self.running.subscribe();
        // The sender lives as long as the value.
        let _none = running.wait_for(|count| *count == 0).await;
    }
}

impl Drop for RunningExtensions {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn run(name: String, request: ExecRequest, container: Container, sink: OutputSink) -> Exit {
    let path = format!("{EXTENSIONS}/{name}");
    let of_extension = Exit { extension: Some(name), ..Exit::default() };
    match container.execute(request).await {
        Ok((execution, output)) => {
            copy(output, sink, Arc::default()).await;
            let code = execution.exit_code().await;
            if code.is_none_or(|code| code == KILLED) {
                tokio::time::sleep(CONTAINER_FIRST).await;
            }
            Exit { code: code.and_then(|code| i32::try_from(code).ok()), ..of_extension }
        }
        Err(error) => {
            let start_error = StartError::Other { entry_point: path, why: error.to_string() };
            Exit { start_error: Some(start_error), ..of_extension }
        }
    }
}
