//! How everything connects: whom it trusts, time-outs and proxies, for registries and the APIs of
//! AWS alike. [`Trust`] makes the HTTP clients; the connection settings are the same for all.
//!
//! Redirects are not followed here, because only the registry client knows which hosts may see
//! credentials. Nor is there a time-out for a whole exchange: a layer takes as long as it
//! takes. Idle connections are the registry client's business, as only it knows whether bytes
//! still move.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use reqwest::{ClientBuilder, Proxy, Url};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

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
    /// The library of TLS does not take the settings.
    #[error("cannot set up TLS: {0}")]
    Tls(#[source] rustls::Error),
}

impl HttpError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::RootsUnreadable { .. } | Self::RootsInvalid { .. } => Some(
                "`SSL_CERT_FILE` and `AWS_CA_BUNDLE` must name a PEM file with one or more certificates"
                    .to_owned(),
            ),
            Self::Client(_) | Self::Tls(_) => None,
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
    let _ = aws_lc_rs::default_provider().install_default();
}

/// Whom HTTPS connections trust: the platform's roots, and further ones. Cheap to clone, and cheap
/// to make, as the platform's roots are only read once the first connection needs them.
#[derive(Clone, Debug)]
pub struct Trust(ClientConfig);

impl Trust {
    /// Trusts the platform's roots and those in `extra_roots`, which are PEM files.
    ///
    /// # Errors
    /// A file of `extra_roots` that cannot be read or holds no certificate.
    pub fn new(extra_roots: &[PathBuf]) -> Result<Self, HttpError> {
        install_crypto_provider();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut extra = Vec::new();
        // Often both variables that can name a file name the same, and it is the platform's own.
        for path in extra_roots.iter().collect::<BTreeSet<_>>() {
            if platform_bundle() == Some(path.as_path()) {
                // Read with the others; only whether it can be is known now.
                let unreadable = |source| HttpError::RootsUnreadable { path: path.clone(), source };
                File::open(path).map_err(unreadable)?;
            } else {
                extra.extend(read_roots(path)?);
            }
        }
        let has_extra = !extra_roots.is_empty();
        let provided = provider.clone();
        let roots = Arc::new(Roots { extra, has_extra, provider: provided, verifier: OnceLock::new() });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(HttpError::Tls)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(VerifierInTime(roots)))
            .with_no_client_auth();
        Ok(Self(config))
    }

    /// Makes a client.
    pub fn client(&self) -> Result<reqwest::Client, HttpError> {
        self.builder().build().map_err(HttpError::Client)
    }

    /// Prepares a client, for callers that have something to add, such as fixed addresses.
    pub fn builder(&self) -> ClientBuilder {
        let proxies = Matcher::from_system();
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.0.clone())
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent(concat!("lambdactl/", env!("CARGO_PKG_VERSION")))
            .proxy(Proxy::custom(move |url| proxy_for(&proxies, url)))
    }
}

/// The roots of trust, and the verifier made of them when it is first needed.
#[derive(Debug)]
struct Roots {
    /// Those of files that are not the platform's own.
    extra: Vec<CertificateDer<'static>>,
    /// Whether files were named at all.
    has_extra: bool,
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Result<Verifier, rustls::Error>>,
}

impl Roots {
    fn verifier(&self) -> Result<&Verifier, rustls::Error> {
        let make = || {
            // The library that finds the platform's roots takes the file `SSL_CERT_FILE` names
            // *instead* of them, while here it means *besides* them.
            let platform = if self.has_extra { platform_roots() } else { Vec::new() };
            let extra = self.extra.iter().cloned().chain(platform);
            Verifier::new_with_extra_roots(extra, self.provider.clone())
        };
        self.verifier.get_or_init(make).as_ref().map_err(Clone::clone)
    }
}

/// The platform's verifier, made while the first handshake is under way: reading a hundred and
/// fifty roots takes longer than all else a short command does, and speaking to this machine needs
/// none of them.
#[derive(Debug)]
struct VerifierInTime(Arc<Roots>);

impl ServerCertVerifier for VerifierInTime {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.0.verifier()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    /// Asked when a handshake begins, a round trip before there is a certificate to verify.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        if self.0.verifier.get().is_none() {
            let roots = self.0.clone();
            // Whoever needs it meets an error again.
            std::thread::spawn(move || roots.verifier().map(drop));
        }
        self.0.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, HttpError> {
    let invalid = |reason: String| HttpError::RootsInvalid { path: path.to_owned(), reason };
    let pem =
        std::fs::read(path).map_err(|source| HttpError::RootsUnreadable { path: path.to_owned(), source })?;
    let mut roots = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        // A certificate that cannot be an anchor would otherwise fail the whole verifier.
        if RootCertStore::empty().add(certificate.clone()).is_ok() {
            roots.push(certificate);
        }
    }
    if roots.is_empty() {
        return Err(invalid("no usable certificate in it".to_owned()));
    }
    Ok(roots)
}

fn platform_roots() -> Vec<CertificateDer<'static>> {
    // Absent or broken: other platforms keep their roots elsewhere, where they are found anyway.
    platform_bundle().and_then(|path| read_roots(path).ok()).unwrap_or_default()
}

fn platform_bundle() -> Option<&'static Path> {
    PLATFORM_BUNDLES.iter().map(Path::new).find(|path| path.exists())
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
        let error = Trust::new(std::slice::from_ref(&path)).unwrap_err();
        assert!(matches!(error, HttpError::RootsInvalid { .. }), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(error.hint().unwrap().contains("AWS_CA_BUNDLE"));
        let missing = Trust::new(&["/no/such/file.pem".into()]).unwrap_err();
        assert!(matches!(missing, HttpError::RootsUnreadable { .. }), "{missing}");
    }

    #[test]
    fn roots_of_the_platform_are_read_when_a_connection_needs_them() {
        let trust = Trust::new(&[]).unwrap();
        let roots = Arc::new(Roots {
            extra: Vec::new(),
            has_extra: false,
            provider: Arc::new(aws_lc_rs::default_provider()),
            verifier: OnceLock::new(),
        });
        trust.client().unwrap();
        let verifier = VerifierInTime(roots.clone());
        assert!(roots.verifier.get().is_none());
        assert!(!verifier.supported_verify_schemes().is_empty());
        // Made here or by the thread that was started: there is one for all connections.
        let made: *const Verifier = roots.verifier().unwrap();
        assert!(std::ptr::eq(made, roots.verifier().unwrap()));
    }

    #[test]
    fn extra_roots_come_besides_the_platform_roots() {
        let authority = rcgen::generate_simple_self_signed(["registry.test".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("extra.pem");
        std::fs::write(&path, authority.cert.pem()).unwrap();
        assert_eq!(read_roots(&path).unwrap().len(), 1);
        Trust::new(&[path]).unwrap().client().unwrap();
    }
}
