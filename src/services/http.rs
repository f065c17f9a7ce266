//! The one HTTP client for registries: its roots of trust, time-outs and proxies.
//!
//! `services::registry` sends everything through it; whoever connects the pipeline makes it.
//! Redirects are not followed here, because only the registry client knows which hosts may see
//! credentials. Nor is there a time-out for a whole exchange: a layer takes as long as it
//! takes. Idle connections are the registry client's business, as only it knows whether bytes
//! still move.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use reqwest::{Certificate, ClientBuilder, Proxy, Url};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::domain::reference::RegistryHost;

/// How long a connection may take to be made, name resolution and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Where Linux distributions and BSDs keep the platform's roots, as Go's `crypto/x509` lists
/// them: <https://go.dev/src/crypto/x509/root_linux.go>
const PLATFORM_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Says why no HTTP client could be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// A file with further roots of trust cannot be read.
    #[error("root certificates `{path}`: {source}", path = path.display())]
    RootsUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file with further roots of trust holds none.
    #[error("root certificates `{path}`: {reason}", path = path.display())]
    RootsInvalid {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The client could not be put together.
    #[error("cannot set up HTTPS: {0}")]
    Client(#[source] reqwest::Error),
}

impl HttpError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::RootsUnreadable { .. } | Self::RootsInvalid { .. } => Some(
                "`SSL_CERT_FILE` and `AWS_CA_BUNDLE` must name a PEM file with one or more certificates"
                    .to_owned(),
            ),
            Self::Client(_) => None,
        }
    }
}

/// Chooses the implementation of TLS for the whole process; calling it again does nothing.
///
/// rustls panics when more than one implementation is compiled in and none was chosen. A
/// dependency can bring a second one at any time, so everything that makes TLS connections
/// calls this first.
pub fn install_crypto_provider() {
    // An error means that one is installed already, which is all that is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Makes the client. `extra_roots` are PEM files that are trusted besides the platform's roots.
pub fn client(extra_roots: &[PathBuf]) -> Result<reqwest::Client, HttpError> {
    match builder(extra_roots)?.build() {
        // A machine without any roots can still speak to loopback registries, and its first
        // HTTPS connection says what is missing.
        Err(_) if extra_roots.is_empty() => {
            builder(extra_roots)?.tls_certs_only([]).build().map_err(HttpError::Client)
        }
        client => client.map_err(HttpError::Client),
    }
}

/// Prepares the client, for callers that have something to add, such as fixed addresses.
pub fn builder(extra_roots: &[PathBuf]) -> Result<ClientBuilder, HttpError> {
    install_crypto_provider();
    let mut roots = Vec::new();
    for path in extra_roots {
        roots.extend(read_roots(path)?);
    }
    // The library that finds the platform's roots takes the file `SSL_CERT_FILE` names *instead*
    // of them, while here it means *besides* them.
    if !extra_roots.is_empty() {
        roots.extend(platform_roots());
    }
    let proxies = Matcher::from_system();
    Ok(reqwest::Client::builder()
        .tls_backend_rustls()
        .tls_certs_merge(roots)
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .user_agent(concat!("lambdactl/", env!("CARGO_PKG_VERSION")))
        .proxy(Proxy::custom(move |url| proxy_for(&proxies, url))))
}

fn read_roots(path: &Path) -> Result<Vec<Certificate>, HttpError> {
    let invalid = |reason: String| HttpError::RootsInvalid { path: path.to_owned(), reason };
    let pem =
        std::fs::read(path).map_err(|source| HttpError::RootsUnreadable { path: path.to_owned(), source })?;
    let mut roots = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        // A certificate that cannot be an anchor would otherwise fail the whole client.
        if RootCertStore::empty().add(certificate.clone()).is_ok() {
            roots.push(Certificate::from_der(&certificate).map_err(|error| invalid(error.to_string()))?);
        }
    }
    if roots.is_empty() {
        return Err(invalid("no usable certificate in it".to_owned()));
    }
    Ok(roots)
}

fn platform_roots() -> Vec<Certificate> {
    let bundle = PLATFORM_BUNDLES.iter().map(Path::new).find(|path| path.exists());
    // Absent or broken: other platforms keep their roots elsewhere, where they are found anyway.
    bundle.and_then(|path| read_roots(path).ok()).unwrap_or_default()
}

/// The system's proxy for `url`, but never one for this machine itself.
fn proxy_for(proxies: &Matcher, url: &Url) -> Option<Url> {
    let loopback = url.host_str()?.parse::<RegistryHost>().is_ok_and(|host| host.is_loopback());
    if loopback {
        return None;
    }
    proxy_url(&proxies.intercept(&url.as_str().parse().ok()?)?)
}

/// The address of a proxy with its user and password, the way the HTTP client reads them.
fn proxy_url(intercept: &Intercept) -> Option<Url> {
    let mut url = Url::parse(&intercept.uri().to_string()).ok()?;
    let basic = intercept.basic_auth().and_then(|header| header.to_str().ok()?.strip_prefix("Basic "));
    let decoded = basic.and_then(|text| {
        use base64::Engine as _;
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).ok()?).ok()
    });
    if let Some((user, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) {
        url.set_username(user).ok()?;
        url.set_password(Some(password)).ok()?;
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxied(proxies: &Matcher, url: &str) -> Option<String> {
        proxy_for(proxies, &Url::parse(url).unwrap()).map(String::from)
    }

    #[test]
    fn proxies_are_honoured_but_never_for_this_machine() {
        let proxies = Matcher::builder().all("http://ada:p%40ss@proxy.test:3128").no("intern.test").build();
        let proxy = Some("http://ada:p%40ss@proxy.test:3128/".to_owned());
        assert_eq!(proxied(&proxies, "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/v2/"), proxy);
        assert_eq!(proxied(&proxies, "https://intern.test/v2/"), None);
        for here in ["http://127.0.0.1:5000/v2/", "http://localhost:5000/v2/", "http://[::1]:5000/"] {
            assert_eq!(proxied(&proxies, here), None, "{here}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        let error = client(std::slice::from_ref(&path)).unwrap_err();
        assert!(matches!(error, HttpError::RootsInvalid { .. }), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(error.hint().unwrap().contains("AWS_CA_BUNDLE"));
        let missing = client(&["/no/such/file.pem".into()]).unwrap_err();
        assert!(matches!(missing, HttpError::RootsUnreadable { .. }), "{missing}");
    }

    #[test]
    fn a_machine_without_roots_can_still_make_a_client() {
        builder(&[]).unwrap().tls_certs_only([]).build().unwrap();
    }

    #[test]
    fn extra_roots_come_besides_the_platform_roots() {
        let authority = rcgen::generate_simple_self_signed(["registry.test".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("extra.pem");
        std::fs::write(&path, authority.cert.pem()).unwrap();
        assert_eq!(read_roots(&path).unwrap().len(), 1);
        client(&[path]).unwrap();
    }
}
