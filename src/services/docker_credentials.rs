//! Credentials for registries other than ECR, from where `docker login` leaves them.
//!
//! The pipeline asks for them before it reads a base image. Helpers are given the host on
//! standard input; nothing secret is ever on a command line.
//! <https://docs.docker.com/reference/cli/docker/login/#credential-stores>

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::domain::reference::RegistryHost;
use crate::domain::secret::Secret;

/// A user and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// Says why credentials that exist cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Docker's configuration cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A credential helper failed.
    #[error("`{helper}` does not give the credentials for `{host}`: {why}")]
    Helper {
        /// The program.
        helper: String,
        /// The registry.
        host: String,
        /// What it said.
        why: String,
    },
}

impl CredentialsError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Configuration { .. } => None,
            Self::Helper { host, .. } => Some(format!(
                "repair the helper, or take it out of `config.json` and run `docker login {host}` again"
            )),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Configuration {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// Looks up the credentials for `host` in the `config.json` of `directory`; `None` where there
/// are none.
pub async fn look_up(directory: &Path, host: &RegistryHost) -> Result<Option<Credentials>, CredentialsError> {
    let path = directory.join("config.json");
    let failed = |source| CredentialsError::Configuration { path: path.clone(), source };
    let bytes = match tokio::fs::read(&path).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let configuration: Configuration =
        serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?;
    let names = names(host);
    for name in &names {
        if let Some(helper) = configuration.cred_helpers.get(name) {
            return ask(helper, name).await;
        }
    }
    if let Some(helper) = configuration.creds_store.as_deref().filter(|helper| !helper.is_empty()) {
        for name in &names {
            if let Some(found) = ask(helper, name).await? {
                return Ok(Some(found));
            }
        }
    }
    Ok(names.iter().find_map(|name| configuration.auths.get(name).and_then(stored)))
}

/// The names a registry may have in the configuration.
fn names(host: &RegistryHost) -> Vec<String> {
    let mut names = vec![host.to_string(), format!("https://{host}"), format!("https://{host}/")];
    if matches!(host.as_str(), "registry-1.docker.io" | "docker.io") {
        names.insert(0, "https://index.docker.io/v1/".to_owned());
    }
    names
}

fn stored(entry: &Entry) -> Option<Credentials> {
    if let (Some(user), Some(password)) = (&entry.username, &entry.password) {
        return Some(Credentials { user: user.clone(), password: Secret::new(password.clone()) });
    }
    let decoded = STANDARD.decode(entry.auth.as_deref()?.trim()).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    // Docker pads with zero bytes.
    let password = password.trim_end_matches('\0');
    Some(Credentials { user: user.to_owned(), password: Secret::new(password) })
}

async fn ask(helper: &str, name: &str) -> Result<Option<Credentials>, CredentialsError> {
    let program = format!("docker-credential-{helper}");
    let failed =
        |why: String| CredentialsError::Helper { helper: program.clone(), host: name.to_owned(), why };
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that ends without reading has told why on its output.
        let _ = input.write_all(name.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        return if is_not_found(&text) { Ok(None) } else { Err(failed(text)) };
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("its answer is not what a credential helper says".to_owned()))?;
    // `<token>` marks an identity token, which is no password.
    let usable = !answer.username.is_empty() && answer.username != "<token>";
    Ok(usable.then(|| Credentials { user: answer.username, password: Secret::new(answer.secret) }))
}

/// Recorded from docker-credential-helpers: ``credentials not found in native keychain``.
fn is_not_found(text: &str) -> bool {
    text.contains("credentials not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(configuration: &str, host: &str) -> Option<Credentials> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.json"), configuration).unwrap();
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(look_up(directory.path(), &host.parse().unwrap()))
            .unwrap()
    }

    #[test]
    fn passwords_of_docker_login_are_found_under_every_name() {
        let auth = STANDARD.encode("ada:s3:cret");
        for (name, host) in [
            ("registry.example.com:5000", "registry.example.com:5000"),
            ("https://registry.example.com", "registry.example.com"),
            ("https://index.docker.io/v1/", "registry-1.docker.io"),
        ] {
            let configuration = format!(r#"{{"auths": {{"{name}": {{"auth": "{auth}"}}}}, "other": 1}}"#);
            let credentials = found(&configuration, host).unwrap();
            assert_eq!((credentials.user.as_str(), credentials.password.expose()), ("ada", "s3:cret"));
        }
        assert_eq!(found(r#"{"auths": {"elsewhere": {"auth": "YTpi"}}}"#, "example.com"), None);
        assert_eq!(found(r#"{"auths": {"example.com": {}}}"#, "example.com"), None);
    }

    #[test]
    fn a_missing_helper_is_named_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let text = r#"{"credHelpers": {"example.com": "lambdactl-test-none"}}"#;
        std::fs::write(directory.path().join("config.json"), text).unwrap();
        let error = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(look_up(directory.path(), &"example.com".parse().unwrap()))
            .unwrap_err();
        assert!(error.to_string().contains("docker-credential-lambdactl-test-none"), "{error}");
        assert!(error.hint().unwrap().contains("docker login example.com"));
    }
}
