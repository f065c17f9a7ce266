//! Connects to an engine, agrees on the version of its API, and sees which builder it has.
//! Called by `DockerEngine::connect`.

use std::error::Error as StdError;
use std::io::ErrorKind;
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};

use super::description::is_containerd;
use super::discovery::{Candidate, Endpoint};
use super::greeting::{self, Greeting};
use super::{Builder, DockerError};
use crate::services::http;

/// How long one request may take until its answer begins. An upload or a build counts whole,
/// so this is a day; connections that break are noticed anyway.
const REQUEST_TIMEOUT_SECONDS: u64 = 24 * 60 * 60;

/// How long an engine may take to greet. ssh may have to ask for a password first.
const GREETING_TIMEOUT: Duration = Duration::from_secs(20);
const SSH_GREETING_TIMEOUT: Duration = Duration::from_secs(90);

/// An engine that answers.
pub(super) struct Greeted {
    pub(super) docker: Docker,
    pub(super) builder: Builder,
    /// Whether it is a Docker Engine for Linux containers, and not an ancient one.
    pub(super) is_docker: bool,
}

/// Tries one candidate.
pub(super) async fn connect(candidate: &Candidate) -> Result<Greeted, DockerError> {
    let fault = |error: &(dyn StdError + 'static)| unreachable_engine(candidate, error);
    http::install_crypto_provider();
    let docker = open(&candidate.endpoint, API_DEFAULT_VERSION).map_err(|error| fault(&error))?;
    let greeting = async {
        // The library's own negotiation asks for the version once more.
        let greeting = match greeting::ping(&candidate.endpoint).await {
            Some(greeting) => greeting,
            None => Greeting::from(&docker.version().await?),
        };
        let docker = match agreed(&greeting) {
            Some(agreed) => open(&candidate.endpoint, &agreed)?,
            None => docker,
        };
        let takes_context = !may_take_no_context(&greeting) || !keeps_images_in_containerd(&docker).await;
        Ok::<_, BollardError>((docker, greeting, takes_context))
    };
    let patience = match candidate.endpoint {
        Endpoint::Ssh(_) => SSH_GREETING_TIMEOUT,
        _ => GREETING_TIMEOUT,
    };
    let (docker, greeting, takes_context) = tokio::time::timeout(patience, greeting)
        .await
        .map_err(|_| DockerError::Unreachable {
            address: candidate.endpoint.to_string(),
            origin: candidate.origin.clone(),
            why: format!("no answer within {} s", patience.as_secs()),
        })?
        .map_err(|error| fault(&error))?;
    let is_docker = greeting.builder() == Builder::BuildKit;
    let builder = if is_docker && takes_context { Builder::BuildKit } else { Builder::Classic };
    Ok(Greeted { docker, builder, is_docker })
}

async fn keeps_images_in_containerd(docker: &Docker) -> bool {
    docker.info().await.is_ok_and(|info| is_containerd(&info))
}

/// Tells whether BuildKit takes no context from a request where the images are in containerd: so
/// it was from its first days there to Docker 27. <https://github.com/moby/moby/issues/47717>
fn may_take_no_context(greeting: &Greeting) -> bool {
    (Some((1, 42))..Some((1, 48))).contains(&greeting.api)
}

/// The version of the API both sides know, where the engine is older than the library: it refuses
/// requests that are newer than itself.
fn agreed(greeting: &Greeting) -> Option<ClientVersion> {
    let (major, minor) = greeting.api?;
    let engines = ClientVersion { major_version: major as usize, minor_version: minor as usize };
    (engines < *API_DEFAULT_VERSION).then_some(engines)
}

fn open(endpoint: &Endpoint, version: &ClientVersion) -> Result<Docker, BollardError> {
    let timeout = REQUEST_TIMEOUT_SECONDS;
    match endpoint {
        #[cfg(unix)]
        Endpoint::Unix(path) => Docker::connect_with_unix(&path.to_string_lossy(), timeout, version),
        #[cfg(windows)]
        Endpoint::Pipe(name) => Docker::connect_with_named_pipe(name, timeout, version),
        Endpoint::Tcp(address) => Docker::connect_with_http(address, timeout, version),
        Endpoint::Tls { address, certificates } => Docker::connect_with_ssl(
            address,
            &certificates.join("key.pem"),
            &certificates.join("cert.pem"),
            &certificates.join("ca.pem"),
            timeout,
            version,
        ),
        Endpoint::Ssh(destination) => Docker::connect_with_ssh(destination, timeout, version, None),
        // The one this system does not have.
        other => Err(BollardError::UnsupportedURISchemeError { uri: other.to_string() }),
    }
}

/// Turns a failed greeting into what it means. The library's own words say next to nothing, so
/// the causes are searched for the system's error.
pub(super) fn unreachable_engine(candidate: &Candidate, error: &(dyn StdError + 'static)) -> DockerError {
    let (address, origin) = (candidate.endpoint.to_string(), candidate.origin.clone());
    let why = deepest(error);
    let kind = io_kind(error);
    if matches!(error.downcast_ref(), Some(BollardError::SocketNotFoundError(_))) {
        return DockerError::NotRunning { address, origin, why: "there is no such socket".to_owned() };
    }
    match (&candidate.endpoint, kind) {
        // What ssh says is not about the engine's socket.
        (Endpoint::Ssh(_), _) => DockerError::Unreachable { address, origin, why },
        (_, Some(ErrorKind::PermissionDenied)) => DockerError::NotPermitted { address, origin, why },
        (_, Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused)) => {
            DockerError::NotRunning { address, origin, why }
        }
        _ => DockerError::Unreachable { address, origin, why },
    }
}

/// The system's error behind an error, if there is one.
fn io_kind(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind)
}

/// What the innermost cause says: the layers above it only say that something went wrong.
pub(super) fn deepest(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(endpoint: Endpoint) -> Candidate {
        Candidate { endpoint, origin: "DOCKER_HOST".to_owned() }
    }

    fn unix() -> Candidate {
        candidate(Endpoint::Unix("/run/d.sock".into()))
    }

    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Layer(#[source] std::io::Error);

    #[test]
    fn the_system_error_behind_the_library_decides() {
        let why = |error: &DockerError| error.to_string();
        let refused = |kind: ErrorKind| unreachable_engine(&unix(), &Layer(kind.into()));
        assert!(matches!(refused(ErrorKind::PermissionDenied), DockerError::NotPermitted { .. }));
        assert!(matches!(refused(ErrorKind::ConnectionRefused), DockerError::NotRunning { .. }));
        assert!(matches!(refused(ErrorKind::NotFound), DockerError::NotRunning { .. }));
        assert!(matches!(refused(ErrorKind::ConnectionReset), DockerError::Unreachable { .. }));
        let missing =
            unreachable_engine(&unix(), &BollardError::SocketNotFoundError("/run/d.sock".to_owned()));
        assert_eq!(
            why(&missing),
            "cannot reach the Docker Engine at `unix:///run/d.sock` (DOCKER_HOST): there is no such socket"
        );
    }

    #[test]
    fn a_missing_ssh_program_is_not_a_missing_socket() {
        let ssh = candidate(Endpoint::Ssh("ada@build".to_owned()));
        let error = unreachable_engine(&ssh, &Layer(ErrorKind::NotFound.into()));
        assert!(matches!(error, DockerError::Unreachable { .. }));
        assert!(error.hint().unwrap().contains("docker --host ssh://ada@build version"));
    }

    #[tokio::test]
    async fn a_refused_connection_is_told_from_a_missing_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("d.sock");
        // The socket stays behind when nobody listens any more.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let connect = |path| async move { connect(&candidate(Endpoint::Unix(path))).await.err().unwrap() };
        let error = connect(path.clone()).await;
        assert!(error.to_string().contains("Connection refused"), "{error}");
        std::fs::remove_file(&path).unwrap();
        let error = connect(path).await;
        assert!(error.to_string().contains("there is no such socket"), "{error}");
    }

    fn greeting(json: &str) -> Greeting {
        Greeting::from(&serde_json::from_str::<bollard::models::SystemVersion>(json).unwrap())
    }

    #[test]
    fn an_older_engine_is_not_asked_in_a_newer_version() {
        let agreed = |json: &str| agreed(&greeting(json)).map(|agreed| agreed.to_string());
        assert_eq!(agreed(r#"{"ApiVersion":"1.41"}"#), Some("1.41".to_owned()));
        assert_eq!(agreed(&format!(r#"{{"ApiVersion":"{API_DEFAULT_VERSION}"}}"#)), None);
        assert_eq!(agreed(r#"{"ApiVersion":"9.0"}"#), None);
        assert_eq!(agreed("{}"), None);
    }

    #[test]
    fn engines_are_known_whose_buildkit_may_take_no_context() {
        for (api, wanted) in [("1.41", false), ("1.44", true), ("1.47", true), ("1.48", false)] {
            let greeting = greeting(&format!(r#"{{"ApiVersion":"{api}","Os":"linux"}}"#));
            assert_eq!(may_take_no_context(&greeting), wanted, "{api}");
        }
    }
}
