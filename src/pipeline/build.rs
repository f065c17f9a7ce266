//! Builds, assembles or reads the image.

use std::process::Stdio;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;

use super::cloud::Cloud;
use super::dockerfile;
use super::error::PipelineError;
use crate::domain::compression::CompressionLevel;
use crate::domain::image_source::ImageSource;
use crate::domain::plan::Step;
use crate::domain::platform::Architecture;
use crate::domain::reference::ImageReference;
use crate::domain::size::{ByteSize, count};
use crate::domain::spec::{AssembledSpec, BaseImage, DeploySpec, ImageSpec};
use crate::event::{Event, SharedReporter};
use crate::image::known::KnownImages;
use crate::image::{self, Image};
use crate::services::docker::DockerEngine;

/// Runs the build command, if there is one, and makes the image; for `architecture`, or for the
/// image's own where `None`. Meanwhile, and only where it can spare work, `knowing` finds out
/// what the registry has.
pub(super) async fn image(
    cloud: &Cloud,
    spec: &DeploySpec,
    architecture: Option<Architecture>,
    knowing: impl Future<Output = KnownImages> + Send,
) -> Result<Image, PipelineError> {
    let _turn = cloud.limits().build().await;
    cloud
        .step(Step::Build, subject(spec), async {
            if let Some(command) = &spec.build_command {
                run(command, spec, cloud.reporter()).await?;
            }
            let image = Box::pin(make(cloud, spec, architecture, knowing)).await?;
            let outcome = format!(
                "{}, {}, {}",
                image.digest().short(),
                count(image.layers.len(), "layer"),
                ByteSize(image.compressed_size())
            );
            Ok((image, outcome))
        })
        .await
}

/// What is built, as it is shown.
fn subject(spec: &DeploySpec) -> String {
    match &spec.image {
        ImageSpec::Dockerfile(dockerfile) => dockerfile.dockerfile.display().to_string(),
        ImageSpec::Assembled(assembled) => match &assembled.base {
            BaseImage::Scratch => "scratch".to_owned(),
            BaseImage::Layout { directory, .. } => format!("oci:{}", directory.display()),
            BaseImage::Registry(reference) => reference.to_string(),
        },
        ImageSpec::Existing(source) => source.to_string(),
    }
}

async fn make(
    cloud: &Cloud,
    spec: &DeploySpec,
    architecture: Option<Architecture>,
    knowing: impl Future<Output = KnownImages> + Send,
) -> Result<Image, PipelineError> {
    let (reporter, level) = (cloud.reporter(), spec.compression);
    let knowing = async { knowing.await.compressing(level) };
    match &spec.image {
        ImageSpec::Dockerfile(spec) => dockerfile::build(cloud, spec, architecture, knowing).await,
        ImageSpec::Assembled(assembled) => {
            let (base, known) = tokio::join!(base(cloud, assembled, architecture, level), knowing);
            Ok(image::assembled::assemble(assembled, base?, architecture, &known, reporter).await?)
        }
        ImageSpec::Existing(ImageSource::Engine(name)) => {
            let (engine, known) = tokio::join!(DockerEngine::connect(cloud.engine()), knowing);
            Ok(image::engine::read(&engine?, name, architecture, &known, reporter).await?)
        }
        ImageSpec::Existing(ImageSource::Layout { directory, tag }) => {
            Ok(image::layout::read_at(directory, tag.as_ref(), architecture, level, reporter).await?)
        }
        ImageSpec::Existing(ImageSource::Archive(file)) => {
            Ok(image::archive::read_at(file, architecture, level, reporter).await?)
        }
        ImageSpec::Existing(ImageSource::Registry(reference)) => {
            from_registry(cloud, reference, architecture).await
        }
    }
}

async fn base(
    cloud: &Cloud,
    assembled: &AssembledSpec,
    architecture: Option<Architecture>,
    level: CompressionLevel,
) -> Result<Option<Image>, PipelineError> {
    match &assembled.base {
        BaseImage::Scratch => Ok(None),
        BaseImage::Layout { directory, tag } => {
            let (tag, reporter) = (tag.as_ref(), cloud.reporter());
            Ok(Some(image::layout::read_at(directory, tag, architecture, level, reporter).await?))
        }
        BaseImage::Registry(reference) => from_registry(cloud, reference, architecture).await.map(Some),
    }
}

async fn from_registry(
    cloud: &Cloud,
    reference: &ImageReference,
    architecture: Option<Architecture>,
) -> Result<Image, PipelineError> {
    let client = cloud.registry(&reference.repository.registry).await?;
    Ok(match cloud.cache() {
        Some(cache) => {
            image::registry::read_again(&client, reference, architecture, cache, cloud.reporter()).await?
        }
        None => image::registry::read(&client, reference, architecture, cloud.reporter()).await?,
    })
}

/// Runs the `[build] command` in the directory of the specification; what it prints becomes
/// events. It is killed when the future is dropped.
async fn run(command: &[String], spec: &DeploySpec, reporter: &SharedReporter) -> Result<(), PipelineError> {
    let shown = command.join(" ");
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let cannot_run = |source| PipelineError::BuildCommand {
        command: shown.clone(),
        outcome: String::new(),
        source: Some(source),
    };
    // Where a relative program is looked up depends on the system, unless it is made absolute.
    let is_path = program.contains('/') && !program.starts_with('/');
    let program = if is_path { spec.directory.join(program) } else { program.into() };
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(&spec.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(cannot_run)?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let (status, (), ()) = tokio::join!(child.wait(), forward(output, reporter), forward(errors, reporter));
    let status = status.map_err(cannot_run)?;
    if status.success() {
        let elapsed = humantime::format_duration(std::time::Duration::from_secs(began.elapsed().as_secs()));
        reporter.report(Event::Detail(format!("`{shown}` took {elapsed}")));
        return Ok(());
    }
    Err(PipelineError::BuildCommand { command: shown, outcome: format!("failed: {status}"), source: None })
}

/// Reports every line; bytes that are no text are shown as well as they can be.
async fn forward(output: Option<impl AsyncRead + Unpin>, reporter: &SharedReporter) {
    let Some(output) = output else { return };
    let (mut output, mut line) = (BufReader::new(output), Vec::new());
    while output.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line);
        reporter.report(Event::BuildOutput(text.trim_end_matches(['\n', '\r']).to_owned()));
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::event::Reporter;
    use crate::pipeline::plan::tests::spec;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl Reporter for Lines {
        fn report(&self, event: Event) {
            if let Event::BuildOutput(line) = event {
                self.0.lock().unwrap().push(line);
            }
        }
    }

    async fn ran(command: &[&str]) -> (Result<(), PipelineError>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let lines = Arc::new(Lines::default());
        let reporter: SharedReporter = lines.clone();
        let spec = DeploySpec { directory: directory.path().to_owned(), ..spec() };
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        let result = run(&command, &spec, &reporter).await;
        let lines = lines.0.lock().unwrap().clone();
        (result, lines)
    }

    #[tokio::test]
    async fn what_the_command_prints_is_reported_line_by_line() {
        let (result, mut lines) = ran(&["sh", "-c", "echo one; echo two >&2; printf three"]).await;
        assert!(result.is_ok());
        lines.sort();
        assert_eq!(lines, ["one", "three", "two"]);
    }

    #[tokio::test]
    async fn a_failure_names_the_command_and_its_end() {
        let (result, _) = ran(&["sh", "-c", "exit 7"]).await;
        assert_eq!(result.unwrap_err().to_string(), "build command `sh -c exit 7` failed: exit status: 7");
        let (result, _) = ran(&["./no-such-program"]).await;
        assert!(result.unwrap_err().to_string().contains("`./no-such-program` cannot be run"));
    }
}
