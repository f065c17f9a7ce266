//! Where an engine is: the same places, in the same order, as the docker client, and then the
//! sockets other engines are known to use. Called by `connection`.
//!
//! DOCKER_HOST, DOCKER_CONTEXT, `currentContext` of `config.json`, the sockets that exist.
//! <https://docs.docker.com/engine/manage-resources/contexts/>

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::Digest as _;

use super::{DockerError, EngineLocation};

/// How to reach an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// A Windows named pipe, as the docker client writes it.
    Pipe(String),
    /// `host:port`, not encrypted.
    Tcp(String),
    /// `host:port` with the directory of `ca.pem`, `cert.pem` and `key.pem`.
    Tls { address: String, certificates: PathBuf },
    /// `[user@]host[:port]`.
    Ssh(String),
}

impl Endpoint {
    /// Tells whether it is a socket of this machine.
    pub(super) fn is_socket(&self) -> bool {
        matches!(self, Self::Unix(_) | Self::Pipe(_))
    }

    /// Tells whether a service listens there: engines in virtual machines have their sockets in a
    /// home directory, or are on systems that are not Linux.
    pub(super) fn is_of_service(&self) -> bool {
        let Self::Unix(path) = self else { return false };
        cfg!(target_os = "linux") && path.canonicalize().is_ok_and(|path| path.starts_with("/run"))
    }

    /// Tells whether a service of this system listens there, as far as that is certain: into a
    /// container any socket can be mounted.
    pub(super) fn is_of_this_system(&self) -> bool {
        let is_container =
            || ["/.dockerenv", "/run/.containerenv"].iter().any(|path| Path::new(path).exists());
        self.is_of_service() && !is_container()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Pipe(name) => write!(f, "npipe://{name}"),
            Self::Tcp(address) | Self::Tls { address, .. } => write!(f, "tcp://{address}"),
            Self::Ssh(destination) => write!(f, "ssh://{destination}"),
        }
    }
}

/// An endpoint and who named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) endpoint: Endpoint,
    /// In words, for errors: "DOCKER_HOST", "docker context `desktop`", …
    pub(super) origin: String,
}

impl Candidate {
    /// Whether it is on this machine, or in a virtual machine that looks like it.
    pub(super) fn is_here(&self) -> bool {
        matches!(self.endpoint, Endpoint::Unix(_))
    }
}

/// The origin of an endpoint nobody has named.
pub(super) const USUAL_PLACE: &str = "a usual place";

/// The endpoints to try, in order. Where the user names one, it is the only one.
pub(super) fn candidates(location: &EngineLocation) -> Result<Vec<Candidate>, DockerError> {
    if let Some(host) = location.host.as_deref().filter(|host| !host.trim().is_empty()) {
        let origin = "DOCKER_HOST".to_owned();
        let endpoint = parse_host(host, location.certificates.as_deref(), &origin)?;
        return Ok(vec![Candidate { endpoint, origin }]);
    }
    let config = location.config_directory.as_deref();
    let named = match location.context.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => Some((name.to_owned(), "DOCKER_CONTEXT".to_owned())),
        None => config.map(current_context).transpose()?.flatten(),
    };
    if let Some((name, origin)) = named.filter(|(name, _)| name != "default") {
        return Ok(vec![context_endpoint(config, &name, origin)?]);
    }
    let sockets = usual_sockets(location);
    let found: Vec<_> = sockets
        .iter()
        .filter(|path| is_present(path))
        .map(|path| Candidate { endpoint: Endpoint::Unix(path.clone()), origin: USUAL_PLACE.to_owned() })
        .collect();
    if cfg!(windows) {
        let pipe = Endpoint::Pipe("////./pipe/docker_engine".to_owned());
        return Ok(vec![Candidate { endpoint: pipe, origin: USUAL_PLACE.to_owned() }]);
    }
    if found.is_empty() {
        return Err(DockerError::NoEngine { looked_at: sockets });
    }
    Ok(found)
}

/// A socket nobody may look at is there all the same: connecting tells that better.
fn is_present(path: &Path) -> bool {
    !matches!(path.try_exists(), Ok(false))
}

/// Where engines put their sockets, the system's own first.
fn usual_sockets(location: &EngineLocation) -> Vec<PathBuf> {
    let below = |base: &Option<PathBuf>, path: &str| base.as_ref().map(|base| base.join(path));
    let (runtime, home) = (&location.runtime_directory, &location.home);
    [
        Some(PathBuf::from("/var/run/docker.sock")),
        below(runtime, "docker.sock"),
        below(home, ".docker/run/docker.sock"),
        below(home, ".docker/desktop/docker.sock"),
        below(home, ".orbstack/run/docker.sock"),
        below(home, ".colima/default/docker.sock"),
        below(home, ".rd/docker.sock"),
        below(runtime, "podman/podman.sock"),
        Some(PathBuf::from("/run/podman/podman.sock")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Reads an address in the docker client's form.
pub(super) fn parse_host(
    host: &str,
    certificates: Option<&Path>,
    origin: &str,
) -> Result<Endpoint, DockerError> {
    let host = host.trim();
    let invalid = |why: &str| DockerError::InvalidHost {
        host: host.to_owned(),
        origin: origin.to_owned(),
        why: why.to_owned(),
    };
    let Some((scheme, rest)) = host.split_once("://") else {
        return Err(invalid("it has no scheme"));
    };
    let address = rest.trim_end_matches('/');
    if address.is_empty() {
        return Err(invalid("nothing follows the scheme"));
    }
    match scheme {
        "unix" => Ok(Endpoint::Unix(rest.into())),
        "npipe" => Ok(Endpoint::Pipe(rest.to_owned())),
        "tcp" | "http" | "https" | "ssh" if address.contains(['/', '?', '#']) => {
            Err(invalid("a path is not supported here"))
        }
        "https" if certificates.is_none() => {
            Err(invalid("set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH to speak TLS"))
        }
        "tcp" | "https" => Ok(match certificates {
            Some(directory) => {
                Endpoint::Tls { address: with_port(address, 2376), certificates: directory.to_owned() }
            }
            None => Endpoint::Tcp(with_port(address, 2375)),
        }),
        "http" => Ok(Endpoint::Tcp(with_port(address, 2375))),
        "ssh" => match address.rsplit_once('@').map_or(address, |(_, machine)| machine) {
            "" => Err(invalid("it names no machine")),
            _ if address
                .split('@')
                .next()
                .is_some_and(|user| user.contains(':') && address.contains('@')) =>
            {
                Err(invalid("a password does not belong into an address; ssh asks for it"))
            }
            _ => Ok(Endpoint::Ssh(address.to_owned())),
        },
        _ => Err(invalid("the scheme is unknown")),
    }
}

/// The docker client's default ports: 2375 plain, 2376 with TLS.
fn with_port(address: &str, port: u16) -> String {
    let machine = address.rsplit_once(']').map_or(address, |(_, rest)| rest);
    if machine.contains(':') { address.to_owned() } else { format!("{address}:{port}") }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigFile {
    current_context: Option<String>,
}

/// The context `config.json` has chosen, and where that stands.
fn current_context(config: &Path) -> Result<Option<(String, String)>, DockerError> {
    let file = config.join("config.json");
    let Some(content) = read_json::<ConfigFile>(&file)? else { return Ok(None) };
    Ok(content
        .current_context
        .filter(|name| !name.is_empty())
        .map(|name| (name, format!("`currentContext` of {}", file.display()))))
}

#[derive(Deserialize)]
struct ContextFile {
    #[serde(rename = "Endpoints")]
    endpoints: ContextEndpoints,
}

#[derive(Deserialize)]
struct ContextEndpoints {
    docker: Option<ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
}

/// Looks a context up in the docker client's store.
/// <https://github.com/docker/cli/blob/master/cli/context/store/store.go>
fn context_endpoint(config: Option<&Path>, name: &str, origin: String) -> Result<Candidate, DockerError> {
    let config = config.unwrap_or(Path::new(""));
    let id = hex::encode(sha2::Sha256::digest(name.as_bytes()));
    let file = config.join("contexts/meta").join(&id).join("meta.json");
    let Some(context) = read_json::<ContextFile>(&file)? else {
        return Err(DockerError::ContextNotFound { name: name.to_owned(), origin, file });
    };
    let origin = format!("docker context `{name}`");
    let host = context.endpoints.docker.map(|endpoint| endpoint.host).unwrap_or_default();
    let certificates = config.join("contexts/tls").join(&id).join("docker");
    let certificates = certificates.join("ca.pem").exists().then_some(certificates);
    let endpoint = parse_host(&host, certificates.as_deref(), &origin)?;
    Ok(Candidate { endpoint, origin })
}

/// Reads a JSON file; `None` where there is none.
fn read_json<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<Option<T>, DockerError> {
    let fault = |why: String| DockerError::Configuration { file: file.to_owned(), why };
    match std::fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| fault(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fault(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str) -> Result<Endpoint, DockerError> {
        parse_host(host, None, "DOCKER_HOST")
    }

    /// A configuration directory with one context, as `docker context create` writes it.
    fn with_context(name: &str, host: &str) -> tempfile::TempDir {
        let config = tempfile::tempdir().unwrap();
        let id = hex::encode(sha2::Sha256::digest(name.as_bytes()));
        let directory = config.path().join("contexts/meta").join(id);
        std::fs::create_dir_all(&directory).unwrap();
        let meta = format!(
            r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
        );
        std::fs::write(directory.join("meta.json"), meta).unwrap();
        config
    }

    #[test]
    fn every_form_of_docker_host_is_understood() {
        for (host, wanted) in [
            ("unix:///run/docker.sock", Endpoint::Unix("/run/docker.sock".into())),
            ("tcp://10.0.0.1:2375", Endpoint::Tcp("10.0.0.1:2375".to_owned())),
            ("tcp://build", Endpoint::Tcp("build:2375".to_owned())),
            ("tcp://[::1]", Endpoint::Tcp("[::1]:2375".to_owned())),
            ("tcp://[::1]:99/", Endpoint::Tcp("[::1]:99".to_owned())),
            ("http://build:80", Endpoint::Tcp("build:80".to_owned())),
            ("ssh://ada@build", Endpoint::Ssh("ada@build".to_owned())),
            ("ssh://ada@build:2222/", Endpoint::Ssh("ada@build:2222".to_owned())),
            ("npipe:////./pipe/docker_engine", Endpoint::Pipe("//./pipe/docker_engine".to_owned())),
        ] {
            assert_eq!(endpoint(host).unwrap(), wanted, "{host}");
        }
        assert_eq!(
            parse_host("tcp://build", Some(Path::new("/certs")), "DOCKER_HOST").unwrap(),
            Endpoint::Tls { address: "build:2376".to_owned(), certificates: "/certs".into() }
        );
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_forms_that_work() {
        for host in [
            "build",
            "unix://",
            "ftp://build",
            "ssh://ada@",
            "ssh://ada:secret@build",
            "ssh://build/run/d.sock",
            "tcp://build/x",
            "https://build",
        ] {
            let error = endpoint(host).unwrap_err();
            assert!(matches!(error, DockerError::InvalidHost { .. }), "{host}: {error}");
            assert!(error.hint().unwrap().contains("ssh://user@host"));
        }
    }

    #[test]
    fn docker_host_wins_over_contexts_and_sockets() {
        let config = with_context("remote", "tcp://context:1");
        let location = EngineLocation {
            host: Some("tcp://host:1".to_owned()),
            context: Some("remote".to_owned()),
            config_directory: Some(config.path().to_owned()),
            ..EngineLocation::default()
        };
        let found = candidates(&location).unwrap();
        assert_eq!(found[0].endpoint, Endpoint::Tcp("host:1".to_owned()));
        let location = EngineLocation { host: Some(String::new()), ..location };
        assert_eq!(candidates(&location).unwrap()[0].endpoint, Endpoint::Tcp("context:1".to_owned()));
    }

    #[test]
    fn the_chosen_context_of_the_configuration_is_used_with_its_certificates() {
        let config = with_context("remote", "tcp://context:1");
        std::fs::write(config.path().join("config.json"), r#"{"auths":{},"currentContext":"remote"}"#)
            .unwrap();
        let id = hex::encode(sha2::Sha256::digest(b"remote"));
        let certificates = config.path().join("contexts/tls").join(id).join("docker");
        std::fs::create_dir_all(&certificates).unwrap();
        std::fs::write(certificates.join("ca.pem"), "").unwrap();
        let location =
            EngineLocation { config_directory: Some(config.path().to_owned()), ..EngineLocation::default() };
        let wanted = Candidate {
            endpoint: Endpoint::Tls { address: "context:1".to_owned(), certificates },
            origin: "docker context `remote`".to_owned(),
        };
        assert_eq!(candidates(&location).unwrap(), [wanted]);
    }

    #[test]
    fn a_context_that_is_missing_says_so_and_default_is_none() {
        let config = tempfile::tempdir().unwrap();
        let location = EngineLocation {
            context: Some("gone".to_owned()),
            config_directory: Some(config.path().to_owned()),
            ..EngineLocation::default()
        };
        let error = candidates(&location).unwrap_err();
        assert!(
            error.to_string().starts_with("docker context `gone` (DOCKER_CONTEXT) does not exist"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("docker context ls"));
        let location = EngineLocation { context: Some("default".to_owned()), ..location };
        assert!(!matches!(candidates(&location), Err(DockerError::ContextNotFound { .. })));
    }

    #[test]
    fn a_broken_configuration_is_named() {
        let config = tempfile::tempdir().unwrap();
        std::fs::write(config.path().join("config.json"), "{").unwrap();
        let location =
            EngineLocation { config_directory: Some(config.path().to_owned()), ..EngineLocation::default() };
        assert!(candidates(&location).unwrap_err().to_string().contains("config.json"));
    }

    #[test]
    fn sockets_of_other_engines_are_known() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join(".colima/default/docker.sock");
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        std::fs::write(&socket, "").unwrap();
        let location = EngineLocation { home: Some(home.path().to_owned()), ..EngineLocation::default() };
        let found = candidates(&location).unwrap();
        assert!(
            found.iter().any(|candidate| candidate.endpoint == Endpoint::Unix(socket.clone())),
            "{found:?}"
        );
    }
}
