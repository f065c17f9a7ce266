//! What can stop the pipeline, named by what was being done.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::refusal::Refusal;
use crate::domain::finding::Finding;
use crate::domain::function::{FunctionName, FunctionState, FunctionStatus, LastUpdateStatus};
use crate::domain::policy::{InvalidPolicy, MergeError};
use crate::domain::reason;
use crate::domain::reference::RepositoryUri;
use crate::domain::size::count;
use crate::image::ImageError;
use crate::services::api_error::ApiError;
use crate::services::docker::DockerError;
use crate::services::docker_credentials::CredentialsError;
use crate::services::http::HttpError;
use crate::services::registry::RegistryError;
use crate::services::session::SessionError;

/// Says what stopped the pipeline.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The AWS settings cannot be used.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// There is no HTTP client for registries.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A call of an AWS API failed.
    #[error("cannot {doing}")]
    Api {
        /// What was being done, with the thing's name: `read function `hello``.
        doing: String,
        /// What AWS answered.
        source: ApiError,
    },
    /// The change is impossible or unsafe; nothing was touched.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// A new function needs a role, and none is named.
    #[error("function `{0}` does not exist yet, and no execution role is named for it")]
    NoRole(FunctionName),
    /// The role does not exist.
    #[error("role `{0}` does not exist")]
    RoleMissing(String),
    /// The role is to be made in an account that is not the caller's.
    #[error("role `{0}` does not exist, and it cannot be made in another account")]
    ForeignRole(String),
    /// The role does not trust Lambda, so waiting would not help.
    #[error(
        "Lambda cannot assume role `{role}`: its trust policy does not let `lambda.amazonaws.com` do `sts:AssumeRole`"
    )]
    RoleNotTrusted {
        /// The role.
        role: String,
        /// What Lambda answered.
        source: ApiError,
    },
    /// The role did not become usable in time.
    #[error("Lambda could not assume role `{role}` for {}", humantime::format_duration(*waited))]
    RoleNotAssumable {
        /// The role.
        role: String,
        /// How long it was tried.
        waited: Duration,
        /// What Lambda answered last.
        source: ApiError,
    },
    /// The repository does not exist, and it may not or cannot be made.
    #[error("repository `{name}` does not exist, {why}")]
    RepositoryMissing {
        /// Name or URI.
        name: String,
        /// Why it is not made.
        why: &'static str,
    },
    /// The `[build] command` could not be started or ended in failure.
    #[error("build command `{command}` {}", match source { Some(source) => format!("cannot be run: {source}"), None => outcome.clone() })]
    BuildCommand {
        /// The command as it was given.
        command: String,
        /// How it ended.
        outcome: String,
        /// Why it could not be started.
        source: Option<io::Error>,
    },
    /// The Dockerfile takes a builder, and none may be used.
    #[error("`{}` cannot be built without an engine: {why}", dockerfile.display())]
    NeedsEngine {
        /// The Dockerfile.
        dockerfile: PathBuf,
        /// What in it.
        why: String,
    },
    /// The Docker Engine failed.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// The image cannot be read or is not one Lambda accepts.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image breaks rules without which it cannot work.
    #[error("image {image} {}", describe_findings(findings))]
    Unfit {
        /// Its digest, shortened.
        image: String,
        /// What is wrong with it; errors only.
        findings: Vec<Finding>,
    },
    /// A registry failed.
    #[error("cannot {doing}")]
    Registry {
        /// What was being done, with the thing's name.
        doing: String,
        /// What the registry answered.
        source: RegistryError,
    },
    /// Docker's configuration names credentials that cannot be had.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The repository's policy is not one this program can read.
    #[error("cannot read the policy of repository `{repository}`")]
    PolicyUnknown {
        /// The repository.
        repository: RepositoryUri,
        /// Why not.
        source: InvalidPolicy,
    },
    /// Adding a statement to the repository's policy is impossible.
    #[error("cannot let Lambda pull from repository `{repository}`")]
    PolicyMerge {
        /// The repository.
        repository: RepositoryUri,
        /// Why not.
        source: MergeError,
    },
    /// The caller may not let Lambda pull, and Lambda needs it.
    #[error("cannot let Lambda pull from repository `{repository}`")]
    PolicyDenied {
        /// The repository.
        repository: RepositoryUri,
        /// The statements its owner has to add.
        statements: String,
        /// What ECR answered.
        source: ApiError,
    },
    /// Lambda cannot read the image.
    #[error("Lambda may not read the image from repository `{repository}`")]
    ImageNotReadable {
        /// The repository.
        repository: RepositoryUri,
        /// The statements the policy has to have.
        statements: String,
        /// What Lambda answered.
        source: ApiError,
    },
    /// There is no such function.
    #[error("function `{function}` does not exist in region `{region}`")]
    FunctionMissing {
        /// Name or ARN.
        function: String,
        /// Where it was looked for.
        region: String,
        /// Whether that was the local cloud.
        local: bool,
    },
    /// There is no such function, or no such version of it.
    #[error(
        "function `{function}` has no version or alias `{qualifier}` in region `{region}`, or does not exist"
    )]
    QualifierMissing {
        /// Name or ARN.
        function: String,
        /// What was asked for.
        qualifier: String,
        /// Where it was looked for.
        region: String,
    },
    /// Another function of the same command failed, and that ends all of them.
    #[error("function `{0}` was not deployed: another one failed first")]
    Stopped(FunctionName),
    /// The function settled in failure.
    #[error("function `{function}` {}", describe_failure(status))]
    FunctionFailed {
        /// Name or ARN.
        function: String,
        /// Its status.
        status: FunctionStatus,
    },
    /// The wait came to its end; AWS goes on.
    #[error("function `{function}` has not settled after {}: {}", humantime::format_duration(*waited), describe_status(status.as_ref()))]
    TimedOut {
        /// Name or ARN.
        function: String,
        /// How long it was waited for.
        waited: Duration,
        /// The status last seen.
        status: Option<FunctionStatus>,
    },
    /// Somebody else changed the function since it was read.
    #[error(
        "function `{function}` was changed by somebody else in the meantime; nothing of that was overwritten"
    )]
    ChangedBySomebodyElse {
        /// The function.
        function: FunctionName,
        /// What Lambda answered, where it was Lambda that noticed.
        source: Option<ApiError>,
    },
}

/// What kind of failure it is; the exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The operation failed.
    Operation,
    /// The user's settings are wrong or incomplete.
    Configuration,
    /// The change was refused; nothing was touched.
    Refused,
    /// The function settled in failure.
    FunctionFailed,
    /// The wait came to its end; AWS goes on.
    TimedOut,
}

impl PipelineError {
    /// Names what was being done when AWS answered `source`.
    pub(super) fn api(doing: impl Into<String>) -> impl FnOnce(ApiError) -> Self {
        let doing = doing.into();
        |source| Self::Api { doing, source }
    }

    /// Which kind it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Session(_) | Self::NoRole(_) | Self::RoleMissing(_) | Self::ForeignRole(_) => {
                ErrorKind::Configuration
            }
            Self::Refused(_) | Self::Unfit { .. } => ErrorKind::Refused,
            Self::Image(error) if error.is_refusal() => ErrorKind::Refused,
            Self::Docker(DockerError::PlatformMismatch { .. }) => ErrorKind::Refused,
            Self::FunctionFailed { .. } => ErrorKind::FunctionFailed,
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            _ => ErrorKind::Operation,
        }
    }

    /// What AWS answered, if it was an answer of AWS that stopped the pipeline: its code and
    /// request id belong into the error that is shown.
    pub fn api_error(&self) -> Option<&ApiError> {
        match self {
            Self::Api { source, .. }
            | Self::RoleNotTrusted { source, .. }
            | Self::RoleNotAssumable { source, .. }
            | Self::PolicyDenied { source, .. }
            | Self::ImageNotReadable { source, .. } => Some(source),
            Self::ChangedBySomebodyElse { source, .. } => source.as_ref(),
            _ => None,
        }
    }

    /// What to do next, most useful first.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Session(error) => error.hint().into_iter().collect(),
            Self::Http(error) => error.hint().into_iter().collect(),
            Self::NeedsEngine { .. } => vec!["let `builder` be \"auto\", and start Docker".to_owned()],
            Self::Docker(error) => error.hint().into_iter().collect(),
            Self::Image(error) => error.hint().into_iter().collect(),
            Self::Registry { source, .. } => source.hint().into_iter().collect(),
            Self::Credentials(error) => error.hint().into_iter().collect(),
            Self::Refused(refusal) => refusal.hints(),
            Self::Unfit { findings, .. } => unfit_hints(findings),
            Self::Api { source, .. } => api_hints(source),
            Self::NoRole(_) => vec![
                "name one with `--role ROLE` or `role` in `lambdactl.toml`".to_owned(),
                "or let `--create-role` make one that can write logs".to_owned(),
            ],
            Self::RoleMissing(_) => vec![
                "check the name and the account, or let `--create-role` make it".to_owned(),
            ],
            Self::ForeignRole(_) => vec!["name a role of the caller's account".to_owned()],
            Self::RoleNotTrusted { .. } => vec![format!(
                "set its trust policy to {}",
                crate::domain::policy::LAMBDA_TRUST
            )],
            Self::RoleNotAssumable { .. } => vec![
                "a new role takes up to a minute to be known everywhere: run the same command again".to_owned(),
                "if it persists, check the role's trust policy for `lambda.amazonaws.com`".to_owned(),
            ],
            Self::RepositoryMissing { .. } => vec![
                "create it with `aws ecr create-repository`, or allow it with `create = true` under `[repository]`".to_owned(),
            ],
            Self::PolicyDenied { source, statements, repository } => vec![
                format!("the caller's IAM policy has to allow `{}` on repository `{repository}`", source.action()),
                format!("or the repository's owner adds to its policy:\n{statements}"),
            ],
            Self::ImageNotReadable { statements, .. } => vec![
                format!("the repository's policy has to hold:\n{statements}"),
                "across accounts, the caller also needs `ecr:BatchGetImage` and `ecr:GetDownloadUrlForLayer` on the repository".to_owned(),
            ],
            Self::BuildCommand { command, source: Some(source), .. } if source.kind() == io::ErrorKind::NotFound => {
                let program = command.split(' ').next().unwrap_or_default();
                vec![format!("install `{program}`, or make sure that it is found through PATH")]
            }
            Self::FunctionMissing { local: true, .. } => vec![
                "`lambdactl local status` lists the functions of all regions; `lambdactl deploy --local` makes one".to_owned(),
            ],
            Self::FunctionMissing { .. } => {
                vec!["check the name, `--region` and `--profile`".to_owned()]
            }
            Self::QualifierMissing { function, .. } => vec![format!(
                "leave the qualifier out to call what was deployed last; `lambdactl status {function}` tells whether the function exists"
            )],
            Self::FunctionFailed { status, function } => {
                let explained = reason::explain(function, status).map(|explanation| explanation.next);
                explained.unwrap_or_else(|| vec![format!("`lambdactl status {function}` shows all AWS tells about it")])
            }
            Self::TimedOut { function, .. } => vec![
                format!("AWS goes on without us: `lambdactl watch {function}` follows it"),
                "wait longer with `--wait-timeout`".to_owned(),
            ],
            Self::Stopped(_) => {
                vec!["run the same command again when the other one is mended".to_owned()]
            }
            Self::ChangedBySomebodyElse { .. } => {
                vec!["run the same command again: it starts from what is there now".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

/// Hints for answers of AWS that mean something particular in a deployment.
fn api_hints(error: &ApiError) -> Vec<String> {
    let mut hints: Vec<String> = error.hint().into_iter().collect();
    if error.is("ResourceConflictException") && error.operation.starts_with("Update") {
        hints.push("another update is in progress: run the same command again when it is done".to_owned());
    }
    hints
}

/// What is wrong with an image, each thing in a line of its own if there are several.
fn describe_findings(findings: &[Finding]) -> String {
    let told = |finding: &Finding| {
        let place = finding.places.first().map(|place| format!(" ({place})"));
        format!("{}{}", finding.message, place.filter(|place| place != " ()").unwrap_or_default())
    };
    match findings {
        [only] => format!("breaks rule `{}`: {}", only.rule, told(only)),
        several => {
            let lines = several.iter().map(|it| format!("\n  `{}`: {}", it.rule, told(it)));
            format!("breaks {}:{}", count(several.len(), "rule"), lines.collect::<String>())
        }
    }
}

fn unfit_hints(findings: &[Finding]) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    for finding in findings {
        if !hints.contains(&finding.fix) {
            hints.push(finding.fix.clone());
        }
    }
    let allowed = findings.iter().find(|finding| finding.rule.can_be_allowed());
    hints.extend(
        allowed.map(|finding| format!("if you know better, `--allow {}` turns the rule off", finding.rule)),
    );
    hints
}

fn describe_failure(status: &FunctionStatus) -> String {
    let what = match status.state {
        Some(FunctionState::Failed) if status.never_was_active() => "could not be created",
        Some(FunctionState::Failed) => "failed",
        Some(FunctionState::Deleting) => "is being deleted",
        Some(FunctionState::Inactive) if status.last_update_status == Some(LastUpdateStatus::Failed) => {
            "is inactive, and its last update failed"
        }
        Some(FunctionState::Inactive) => "is inactive",
        _ => "could not be updated; its former code stays live",
    };
    let mut text = what.to_owned();
    let (code, words) = status.reason();
    if let Some(words) = words {
        text.push_str(&format!(": {}", words.trim_end_matches('.')));
    } else if let Some(meaning) = code.and_then(reason::meaning) {
        text.push_str(&format!(": {meaning}"));
    }
    if let Some(code) = code {
        text.push_str(&format!(" ({code})"));
    }
    text
}

fn describe_status(status: Option<&FunctionStatus>) -> String {
    let Some(status) = status else { return "its status is not known".to_owned() };
    let mut words = Vec::new();
    words.extend(status.state.iter().map(|state| format!("State is {state}")));
    words.extend(status.last_update_status.iter().map(|update| format!("LastUpdateStatus is {update}")));
    if let (_, Some(reason)) = status.reason() {
        words.push(reason.trim_end_matches('.').to_owned());
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::api_error::tests::answered;

    fn failed(code: &str, reason: Option<&str>) -> PipelineError {
        let status = FunctionStatus {
            state: Some(FunctionState::Active),
            last_update_status: Some("Failed".into()),
            last_update_status_reason_code: Some(code.to_owned()),
            last_update_status_reason: reason.map(str::to_owned),
            ..FunctionStatus::default()
        };
        PipelineError::FunctionFailed { function: "hello".to_owned(), status }
    }

    #[test]
    fn a_failure_tells_the_reason_its_code_and_what_helps() {
        let error = failed("InvalidImage", Some("ImageLayerFailure: UnsupportedImageLayerDetected."));
        assert_eq!(
            error.to_string(),
            "function `hello` could not be updated; its former code stays live: ImageLayerFailure: UnsupportedImageLayerDetected (InvalidImage)"
        );
        assert_eq!(error.kind(), ErrorKind::FunctionFailed);
        assert!(error.hints()[0].contains("gzip"));
        assert!(
            failed("ImageDeleted", None).to_string().contains("its image is gone from ECR (ImageDeleted)")
        );
    }

    #[test]
    fn a_time_out_says_that_aws_goes_on_and_how_to_follow() {
        let error = PipelineError::TimedOut {
            function: "hello".to_owned(),
            waited: Duration::from_secs(600),
            status: Some(FunctionStatus { state: Some(FunctionState::Pending), ..FunctionStatus::default() }),
        };
        assert_eq!(error.to_string(), "function `hello` has not settled after 10m: State is Pending");
        assert!(error.hints()[0].contains("lambdactl watch hello"));
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_denied_policy_hands_over_the_statements_and_keeps_the_answer() {
        let source = answered("SetRepositoryPolicy", 400, "AccessDeniedException", "no");
        let error = PipelineError::PolicyDenied {
            repository: "127.0.0.1:5000/hello".parse().unwrap(),
            statements: r#"{"Sid": "x"}"#.to_owned(),
            source,
        };
        let hints = error.hints().join("\n");
        assert!(hints.contains(":SetRepositoryPolicy`") && hints.contains(r#"{"Sid": "x"}"#), "{hints}");
        assert_eq!(error.api_error().and_then(|it| it.code.as_deref()), Some("AccessDeniedException"));
    }

    #[test]
    fn a_build_command_that_is_not_installed_is_named() {
        let error = PipelineError::BuildCommand {
            command: "cargo build --release".to_owned(),
            outcome: String::new(),
            source: Some(io::ErrorKind::NotFound.into()),
        };
        assert_eq!(error.hints(), ["install `cargo`, or make sure that it is found through PATH"]);
    }

    #[test]
    fn a_new_function_without_role_is_a_question_of_settings() {
        let error = PipelineError::NoRole("hello".parse().unwrap());
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let hints = error.hints().join("\n");
        assert!(hints.contains("--role") && hints.contains("--create-role"));
    }
}
