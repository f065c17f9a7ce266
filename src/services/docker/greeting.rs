//! What an engine is, as far as it has to be known before anything is asked of it. Called by
//! `connection`.
//!
//! To answer `/version`, Docker looks at all its parts and starts some of them, which takes longer
//! than all else it is asked when nothing has changed. The headers of `/_ping` cost it nothing and
//! tell enough, so it is asked for those first.
//! <https://docs.docker.com/reference/api/engine/version/v1.48/#tag/System/operation/SystemPing>

use bollard::models::SystemVersion;
use http::{HeaderMap, Request, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::Builder;
use super::discovery::Endpoint;
use super::raw;

/// What an engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    /// The version of its API, major and minor.
    pub(super) api: Option<(u32, u32)>,
    is_podman: bool,
    is_windows: bool,
}

impl Greeting {
    /// Which builder the engine has, whether or not that takes a context.
    ///
    /// What `/_ping` says of it is of no use: Docker 20.10 has BuildKit without saying so there.
    /// BuildKit came with API 1.39 for Linux; Podman builds with its own tool behind the classic
    /// call, and engines for Windows containers have the classic builder only.
    pub(super) fn builder(&self) -> Builder {
        let is_old = self.api < Some((1, 39));
        if self.is_podman || self.is_windows || is_old { Builder::Classic } else { Builder::BuildKit }
    }
}

impl From<&SystemVersion> for Greeting {
    fn from(version: &SystemVersion) -> Self {
        let components = version.components.iter().flatten();
        Self {
            api: version.api_version.as_deref().and_then(api),
            is_podman: components.into_iter().any(|component| component.name.contains("Podman")),
            is_windows: version.os.as_deref() == Some("windows"),
        }
    }
}

/// Asks for nothing but the headers; `None` where that does not work, or it is not Docker that
/// answers: then `/version` says more.
pub(super) async fn ping(endpoint: &Endpoint) -> Option<Greeting> {
    let stream = raw::connect(endpoint).await.ok()?;
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get("/_ping").header(header::HOST, "docker").body(Empty::<Bytes>::new()).ok()?;
    // The connection ends with this function.
    let answer = tokio::select! {
        answer = client.send_request(request) => answer.ok()?,
        _ = connection => return None,
    };
    of_docker(answer.headers()).filter(|_| answer.status().is_success())
}

fn of_docker(headers: &HeaderMap) -> Option<Greeting> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    text("server").filter(|server| server.starts_with("Docker/"))?;
    let api = Some(text("api-version").and_then(api)?);
    Some(Greeting { api, is_podman: false, is_windows: text("ostype")? == "windows" })
}

fn api(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builder_is_chosen_by_what_the_engine_is() {
        for (json, wanted) in [
            (
                r#"{"ApiVersion":"1.41","Os":"linux","Components":[{"Name":"Engine","Version":"20.10.24"}]}"#,
                Builder::BuildKit,
            ),
            (
                r#"{"ApiVersion":"1.52","Os":"linux","Components":[{"Name":"Engine","Version":"29.0.0"}]}"#,
                Builder::BuildKit,
            ),
            (
                r#"{"ApiVersion":"1.41","Os":"linux","Components":[{"Name":"Podman Engine","Version":"4.3.1"}]}"#,
                Builder::Classic,
            ),
            (r#"{"ApiVersion":"1.41","Os":"windows"}"#, Builder::Classic),
            (r#"{"ApiVersion":"1.38","Os":"linux"}"#, Builder::Classic),
            (r#"{"Os":"linux"}"#, Builder::Classic),
        ] {
            let version: SystemVersion = serde_json::from_str(json).unwrap();
            assert_eq!(Greeting::from(&version).builder(), wanted, "{json}");
        }
    }

    #[test]
    fn only_docker_s_own_headers_are_enough() {
        let told = |headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            of_docker(&headers.collect())
        };
        let docker = ("server", "Docker/20.10.24+dfsg1 (linux)");
        let linux = told(&[docker, ("api-version", "1.41"), ("ostype", "linux")]).unwrap();
        assert_eq!((linux.api, linux.builder()), (Some((1, 41)), Builder::BuildKit));
        let windows = told(&[docker, ("api-version", "1.52"), ("ostype", "windows")]).unwrap();
        assert_eq!(windows.builder(), Builder::Classic);
        // Podman says as much, and is another engine.
        let podman = ("server", "Libpod/4.3.1 (linux)");
        assert_eq!(told(&[podman, ("api-version", "1.41"), ("ostype", "linux")]), None);
        assert_eq!(told(&[docker, ("ostype", "linux")]), None);
        assert_eq!(told(&[docker, ("api-version", "new"), ("ostype", "linux")]), None);
    }
}
