//! Builds a Dockerfile with whichever builder the engine has. Called by `DockerEngine::build`.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error as BollardError;
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, BuilderVersion};
use futures_util::StreamExt;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::context::{Context, SentDockerfile, Unsent};
use super::dockerignore::Walk;
use super::export::{broken, inspect};
use super::failure::{BuildFailure, foreign_base, hint, wants_secrets};
use super::transcript::Transcript;
use super::{BuildRequest, Builder, DockerError};
use crate::domain::digest::Digest;
use crate::domain::platform::Platform;
use crate::event::{Event, SharedReporter};

/// How long the builder may go on after it has named the image. Nothing of interest follows.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Builds, and returns the ID of an image that is for the wanted machine.
pub(super) async fn build(
    docker: &Docker,
    builder: Builder,
    request: &BuildRequest,
    reporter: &SharedReporter,
) -> Result<Digest, DockerError> {
    let walk = match builder {
        Builder::BuildKit => Walk::BuildKit,
        Builder::Classic => Walk::Classic,
    };
    let for_reading = request.clone();
    let context = tokio::task::spawn_blocking(move || Context::open(&for_reading, walk))
        .await
        .map_err(|error| DockerError::Broken { doing: doing(request), why: error.to_string() })??;
    if wants_secrets(&context.dockerfile_text) {
        reporter.report(Event::Warning {
            message: format!(
                "`{}` mounts secrets or an ssh agent: this build cannot be given any, and steps that do not require them run without",
                request.dockerfile.display()
            ),
            hint: Some("build with `docker buildx build` and deploy with `--image docker:NAME`".to_owned()),
        });
    }
    if let (SentDockerfile::Outside { name, .. }, Builder::BuildKit) = (&context.dockerfile, builder) {
        // Only the classic builder takes it away again after reading it.
        reporter.report(Event::Detail(format!(
            "the Dockerfile is not in the build context and is sent as `{name}`; `COPY . .` copies it, too"
        )));
    }
    let name = run(docker, builder, request, &context, reporter).await?;
    let image = inspect(docker, &name).await?.ok_or(DockerError::ImageNotFound { name })?;
    match request.architecture {
        // The classic builder takes whatever base image is there, without a word.
        Some(wanted) if !image.platform.runs_on(wanted) => {
            Err(DockerError::PlatformMismatch { image: image.id.short(), found: image.platform, wanted })
        }
        _ => Ok(image.id),
    }
}

/// Sends the context, follows the build to its end, and returns the image's ID in the engine's
/// own form, which from old builders is a short one.
async fn run(
    docker: &Docker,
    builder: Builder,
    request: &BuildRequest,
    context: &Context,
    reporter: &SharedReporter,
) -> Result<String, DockerError> {
    let (body, sending) = context.stream(reporter);
    let mut messages = docker.build_image(
        options(builder, request, context),
        credentials(request),
        Some(bollard::body_try_stream(body)),
    );
    let mut transcript = Transcript::new(reporter.clone());
    let failure = loop {
        // The session stays open for as long as the engine likes; the build is over when the image
        // has its name.
        let message = match transcript.image {
            Some(_) => timeout(LAST_WORDS, messages.next()).await.unwrap_or_default(),
            None => messages.next().await,
        };
        match message {
            Some(Ok(message)) => transcript.take(message),
            // A line break that falls between two reads makes the library report leftover bytes at
            // the end of a good build: <https://github.com/fussybeaver/bollard/issues/560>
            Some(Err(_)) | None if transcript.image.is_some() => break None,
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    drop(messages);
    if let (None, Some(image)) = (&failure, transcript.image.take()) {
        transcript.finish();
        return Ok(image);
    }
    // Whatever the engine made of half a context, the missing half is what went wrong.
    if let Some(unsent) = unsent(sending).await {
        return Err(DockerError::SendContext { path: unsent.path, why: unsent.error.to_string() });
    }
    let message = match failure {
        Some(BollardError::DockerStreamError { error }) => error,
        // An error in the Dockerfile's text is answered before the build begins.
        Some(BollardError::DockerResponseServerError { status_code: 400 | 500, message }) => message,
        Some(error) => return Err(broken(doing(request), error)),
        None => "the builder ended without naming an image".to_owned(),
    };
    if let (Some(wanted), Some((image, found))) = (request.architecture, foreign_base(&message)) {
        return Err(DockerError::PlatformMismatch { image, found, wanted });
    }
    let step = transcript.failed_step();
    let hint = hint(&message, &step.output, context);
    Err(DockerError::BuildFailed(Box::new(BuildFailure {
        dockerfile: request.dockerfile.clone(),
        instruction: Some(step.name).filter(|name| !name.is_empty()),
        message: message.trim().to_owned(),
        output: step.output,
        hint,
    })))
}

fn doing(request: &BuildRequest) -> String {
    format!("building `{}`", request.dockerfile.display())
}

fn options(builder: Builder, request: &BuildRequest, context: &Context) -> BuildImageOptions {
    let args: HashMap<&str, &str> =
        request.args.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let mut options = BuildImageOptionsBuilder::default()
        .dockerfile(context.dockerfile.name())
        .rm(true)
        // Else a failed build leaves its container behind.
        .forcerm(true);
    if !args.is_empty() {
        options = options.buildargs(&args);
    }
    if let Some(target) = &request.target {
        options = options.target(target);
    }
    if let Some(architecture) = request.architecture {
        options = options.platform(&Platform::linux(architecture).to_string());
    }
    if builder == Builder::BuildKit {
        options = options.version(BuilderVersion::BuilderBuildKit).session(&uuid::Uuid::new_v4().to_string());
    }
    options.build()
}

/// The credentials under the names builders look them up by.
fn credentials(request: &BuildRequest) -> Option<HashMap<String, DockerCredentials>> {
    let mut credentials = HashMap::new();
    for (host, login) in &request.credentials {
        let login = DockerCredentials {
            username: Some(login.user.clone()),
            password: Some(login.password.expose().to_owned()),
            serveraddress: Some(host.to_string()),
            ..DockerCredentials::default()
        };
        if host.as_str() == "registry-1.docker.io" {
            // The classic builder knows Docker Hub by its oldest address only.
            credentials.insert("https://index.docker.io/v1/".to_owned(), login.clone());
        }
        credentials.insert(host.to_string(), login);
    }
    (!credentials.is_empty()).then_some(credentials)
}

/// What stopped the context, if something did; that the engine did not want the rest does not
/// count.
async fn unsent(sending: JoinHandle<Result<(), Unsent>>) -> Option<Unsent> {
    match sending.await {
        Ok(Err(unsent)) if unsent.error.kind() != std::io::ErrorKind::BrokenPipe => Some(unsent),
        _ => None,
    }
}
