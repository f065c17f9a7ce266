//! A build that failed: what the builder said, what it printed, and what is known about it.

use std::fmt;
use std::path::PathBuf;
use std::sync::LazyLock;

use regex::Regex;

use super::context::Context;
use crate::domain::platform::Platform;

/// How many lines of a failing step are kept.
pub(super) const LAST_LINES: usize = 20;

/// A failed build, as the builder told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFailure {
    /// The Dockerfile.
    pub dockerfile: PathBuf,
    /// The instruction that failed, where the builder says which.
    pub instruction: Option<String>,
    /// The builder's words.
    pub message: String,
    /// The last lines the instruction printed.
    pub output: Vec<String>,
    /// What to do about it, where it is known.
    pub hint: Option<String>,
}

impl fmt::Display for BuildFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "building `{}`: ", self.dockerfile.display())?;
        if let Some(instruction) = &self.instruction {
            write!(f, "`{instruction}` failed: ")?;
        }
        f.write_str(&self.message)?;
        self.output.iter().try_for_each(|line| write!(f, "\n    | {line}"))
    }
}

impl std::error::Error for BuildFailure {}

/// What is known about a failure from the builder's words and the files it was given.
pub(super) fn hint(message: &str, output: &[String], context: &Context) -> Option<String> {
    let dockerfile = &context.dockerfile_text;
    let said = || std::iter::once(message).chain(output.iter().map(String::as_str));
    if is_heredoc_unknown(message, dockerfile) {
        return Some(
            "the builder of this engine knows no heredocs (`RUN <<EOF`): use Docker 23 or newer, or join the commands with `&&`"
                .to_owned(),
        );
    }
    if is_syntax_image_missing(message, dockerfile) {
        return Some(
            "the `# syntax=` line makes the engine fetch its Dockerfile frontend from a registry: without a way there, remove the line"
                .to_owned(),
        );
    }
    if said().any(is_foreign_program) {
        return Some(
            "a program of another architecture was run: use a base image for the engine's own, or teach the engine with `docker run --privileged --rm tonistiigi/binfmt --install all`"
                .to_owned(),
        );
    }
    if let Some(source) = missing_source(message) {
        return Some(missing_source_hint(&source, context));
    }
    if is_secret_mount_refused(message, dockerfile) {
        return Some(
            "build secrets (`RUN --mount=type=secret`) and ssh agents cannot be handed to this build yet: build with `docker buildx build` and deploy with `--image docker:NAME`"
                .to_owned(),
        );
    }
    if needs_buildkit(message) {
        return Some("this engine builds without BuildKit: `lambdactl doctor` tells what helps".to_owned());
    }
    if is_base_denied(message) {
        return Some(
            "an image of a FROM line could not be fetched: if it is private, `docker pull` it first"
                .to_owned(),
        );
    }
    if said().any(|line| line.contains("no space left on device")) {
        return Some("the engine's disk is full: `docker system prune` frees what nobody uses".to_owned());
    }
    None
}

/// Docker 20.10 and classic builders: `dockerfile parse error line 3: unknown instruction: ECHO`.
fn is_heredoc_unknown(message: &str, dockerfile: &str) -> bool {
    static HEREDOC: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"(?mi)^\s*(RUN|COPY|ADD)\b.*<<-?["']?\w"#).ok());
    message.contains("unknown instruction") && HEREDOC.iter().any(|heredoc| heredoc.is_match(dockerfile))
}

/// BuildKit: `failed to resolve source metadata for docker.io/docker/dockerfile:1: …`; 20.10:
/// `failed to solve with frontend dockerfile.v0: failed to solve with frontend gateway.v0: …`.
fn is_syntax_image_missing(message: &str, dockerfile: &str) -> bool {
    // Only comments in front of everything else are directives.
    let directive = dockerfile
        .lines()
        .map(str::trim)
        .take_while(|line| line.starts_with('#'))
        .any(|line| line.trim_start_matches('#').trim_start().to_ascii_lowercase().starts_with("syntax"));
    directive && (message.contains("docker/dockerfile") || message.contains("frontend gateway.v0"))
}

/// `exec /bin/sh: exec format error`, `standard_init_linux.go:228: exec user process caused: exec format error`.
fn is_foreign_program(line: &str) -> bool {
    line.contains("exec format error")
}

/// The file a COPY or ADD did not find.
fn missing_source(message: &str) -> Option<String> {
    static SHAPES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        [
            // BuildKit, since 23 and before.
            r#"(?:failed to compute cache key|failed to calculate checksum).*"/?([^"]+)"(?: not found)?: not found"#,
            // BuildKit of Docker 20.10, where a directory on the way is missing.
            r"failed to compute cache key: .*lstat \S*/buildkit-mount\d+/([^:]+): no such file or directory",
            // The classic builder.
            r"(?:COPY|ADD) failed: file not found in build context or excluded by .dockerignore: stat ([^:]+): file does not exist",
            // Podman.
            r#"checking on sources under .*copier: stat: "/?([^"]+)": no such file"#,
        ]
        .iter()
        .filter_map(|shape| Regex::new(shape).ok())
        .collect()
    });
    SHAPES.iter().find_map(|shape| Some(shape.captures(message)?.get(1)?.as_str().to_owned()))
}

fn missing_source_hint(source: &str, context: &Context) -> String {
    let path = source.trim_matches('/');
    match context.dockerignore() {
        Some(file) if context.leaves_out(path) => {
            format!(
                "`{}` leaves `{path}` out: add the line `!{path}`, or take away what matches it",
                file.display()
            )
        }
        _ => format!("`{path}` is not in the build context `{}`", context.root.display()),
    }
}

/// Required secrets: `secret TOKEN: not found`; ssh: `unset ssh forward key default`.
fn is_secret_mount_refused(message: &str, dockerfile: &str) -> bool {
    wants_secrets(dockerfile)
        && (message.contains("secret") || message.contains("ssh forward") || message.contains("exit code"))
}

/// Tells whether a Dockerfile asks for secrets or an ssh agent.
pub(super) fn wants_secrets(dockerfile: &str) -> bool {
    dockerfile.contains("--mount=type=secret") || dockerfile.contains("--mount=type=ssh")
}

/// Classic: `the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ …`.
fn needs_buildkit(message: &str) -> bool {
    message.contains("requires BuildKit")
}

/// `pull access denied, repository does not exist or may require authorization`, and a registry's
/// `403 Forbidden` or `401 Unauthorized` for a base image.
fn is_base_denied(message: &str) -> bool {
    ["pull access denied", "authorization failed", "no basic auth credentials", "insufficient_scope"]
        .iter()
        .any(|text| message.contains(text))
}

/// The base image and its platform, where the classic builder says that it is not the wanted one:
/// `image with reference sha256:… was found but does not match the specified platform: wanted
/// linux/arm64, actual: linux/amd64`.
pub(super) fn foreign_base(message: &str) -> Option<(String, Platform)> {
    let (_, message) = message.split_once("image with reference ")?;
    let (image, message) = message.split_once(" was found but does not match the specified platform: ")?;
    let (_, found) = message.split_once(", actual: ")?;
    let mut parts = found.trim().split('/').map(str::to_owned);
    let found = Platform { os: parts.next()?, architecture: parts.next()?, variant: parts.next() };
    Some((image.to_owned(), found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::platform::Architecture;
    use crate::services::docker::BuildRequest;
    use crate::services::docker::dockerignore::Walk;

    /// A context with a Dockerfile and a `.dockerignore`.
    fn hint_for(message: &str, output: &[&str], dockerfile: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
        std::fs::write(directory.path().join(".dockerignore"), "target\n").unwrap();
        let request = BuildRequest {
            context: directory.path().to_owned(),
            dockerfile: directory.path().join("Dockerfile"),
            target: None,
            args: Default::default(),
            architecture: None,
            credentials: Default::default(),
        };
        let context = Context::open(&request, Walk::BuildKit).unwrap();
        let output: Vec<_> = output.iter().map(|line| (*line).to_owned()).collect();
        hint(message, &output, &context)
    }

    #[test]
    fn known_failures_come_with_a_way_out() {
        for (message, output, dockerfile, wanted) in [
            (
                "dockerfile parse error line 3: unknown instruction: ECHO",
                "",
                "FROM scratch\nRUN <<EOF\necho hi\nEOF\n",
                "heredocs",
            ),
            (
                "failed to solve with frontend dockerfile.v0: failed to solve with frontend gateway.v0: failed to do request",
                "",
                "# syntax=docker/dockerfile:1\nFROM scratch\n",
                "# syntax=",
            ),
            (
                "executor failed running [/bin/tool]: exit code: 1",
                "standard_init_linux.go:228: exec user process caused: exec format error",
                "FROM scratch\n",
                "binfmt",
            ),
            (
                r#"failed to compute cache key: "/target/hello" not found: not found"#,
                "",
                "FROM scratch\n",
                "`!target/hello`",
            ),
            (
                "failed to compute cache key: failed to walk /var/lib/docker/tmp/buildkit-mount849593458/target: lstat /var/lib/docker/tmp/buildkit-mount849593458/target: no such file or directory",
                "",
                "FROM scratch\n",
                "`!target`",
            ),
            (
                r#"failed to solve: failed to compute cache key: failed to calculate checksum of ref abc::def: "/missing": not found"#,
                "",
                "FROM scratch\n",
                "`missing` is not in the build context",
            ),
            (
                "COPY failed: file not found in build context or excluded by .dockerignore: stat target/hello: file does not exist",
                "",
                "FROM scratch\n",
                "leaves `target/hello` out",
            ),
            (
                "executor failed running [/t]: exit code: 1",
                "",
                "FROM scratch\nRUN --mount=type=secret,id=token [\"/t\"]\n",
                "buildx",
            ),
            (
                "the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled",
                "",
                "FROM scratch\n",
                "doctor",
            ),
            (
                "pull access denied for private/base, repository does not exist or may require 'docker login'",
                "",
                "FROM private/base\n",
                "docker pull",
            ),
            ("write /x: no space left on device", "", "FROM scratch\n", "prune"),
        ] {
            let hint = hint_for(message, &[output], dockerfile);
            assert!(hint.as_deref().is_some_and(|hint| hint.contains(wanted)), "{message}: {hint:?}");
        }
    }

    #[test]
    fn a_base_image_for_another_machine_is_told_from_other_failures() {
        let message = "failed to get destination image \"sha256:34f6\": image with reference sha256:34f6 was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64";
        assert_eq!(
            foreign_base(message),
            Some(("sha256:34f6".to_owned(), Platform::linux(Architecture::X86_64)))
        );
        assert_eq!(foreign_base("executor failed running [/tool]: exit code: 1"), None);
    }

    #[test]
    fn nothing_is_guessed_about_other_failures() {
        assert_eq!(
            hint_for("executor failed running [/tool]: exit code: 1", &["sorry"], "FROM scratch\n"),
            None
        );
        // A typing error is not a heredoc.
        assert_eq!(
            hint_for("dockerfile parse error line 2: unknown instruction: RUM", &[], "FROM scratch\nRUM x\n"),
            None
        );
    }

    #[test]
    fn the_error_shows_the_instruction_and_what_it_printed() {
        let failure = BuildFailure {
            dockerfile: "Dockerfile".into(),
            instruction: Some("[2/2] RUN make".to_owned()),
            message: "exit code: 2".to_owned(),
            output: vec!["cc: not found".to_owned(), "make: *** [all] Error 127".to_owned()],
            hint: None,
        };
        assert_eq!(
            failure.to_string(),
            "building `Dockerfile`: `[2/2] RUN make` failed: exit code: 2\n    | cc: not found\n    | make: *** [all] Error 127"
        );
    }
}
