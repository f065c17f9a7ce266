//! How the SDK's clients connect: TLS with further roots of trust, proxies, plain HTTP for the
//! local cloud.

use std::fs;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::{SessionError, SessionOptions};

/// Makes the HTTP client all service clients share.
pub(super) fn http_client(options: &SessionOptions) -> Result<SharedHttpClient, SessionError> {
    let plain = options.local_endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let context = tls_context(options)?;
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder();
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        if plain {
            // Loopback is never reached through a proxy, and needs no roots to be loaded.
            return builder.build_http();
        }
        builder
            .proxy_config(ProxyConfig::from_env())
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(context.clone())
            .build()
    }))
}

fn tls_context(options: &SessionOptions) -> Result<TlsContext, SessionError> {
    let mut store = TrustStore::default();
    for path in &options.extra_roots {
        let failed = |why: String| SessionError::Certificates { path: path.clone(), why };
        let pem = fs::read(path).map_err(|error| failed(error.to_string()))?;
        // The connector panics over a certificate it cannot read; so look at them first.
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(failed("it holds no certificate".to_owned()));
        }
        store.add_pem_certificate(pem);
    }
    TlsContext::builder().with_trust_store(store).build().map_err(|error| SessionError::Certificates {
        path: options.extra_roots.first().cloned().unwrap_or_default(),
        why: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty.pem");
        fs::write(&empty, "nothing here").unwrap();
        for path in [empty, directory.path().join("missing.pem")] {
            let options = SessionOptions { extra_roots: vec![path.clone()], ..SessionOptions::default() };
            let error = http_client(&options).unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn certificates_are_accepted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root.pem");
        let root = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&path, root.cert.pem()).unwrap();
        assert!(
            http_client(&SessionOptions { extra_roots: vec![path], ..SessionOptions::default() }).is_ok()
        );
    }
}
