//! Who may talk to the server: programs on this machine, and no web page.
//!
//! A page in a browser reaches loopback too. It shows itself by its own host name (DNS
//! rebinding) or by the Origin header browsers send; no AWS client sends one.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};

use crate::domain::reference::RegistryHost;

/// The authority a request was sent to, if it may be answered.
pub(super) fn authority(uri: &Uri, headers: &HeaderMap) -> Result<String, &'static str> {
    if headers.contains_key(ORIGIN) {
        return Err("the local cloud does not talk to web pages");
    }
    host(uri, headers)
        .and_then(|host| host.parse::<RegistryHost>().ok())
        .filter(RegistryHost::is_loopback)
        .map(|host| host.as_str().to_owned())
        .ok_or("the local cloud answers to loopback host names only")
}

/// The host, and perhaps the port, a request was sent to.
pub(super) fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    uri.authority().map(|authority| authority.as_str()).or(host).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority_of(headers: &[(http::HeaderName, &str)]) -> Result<String, &'static str> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        authority(&Uri::from_static("/"), &headers)
    }

    #[test]
    fn only_loopback_names_without_an_origin_are_answered() {
        for host in ["127.0.0.1:4577", "localhost:4577", "[::1]:4577", "hello.localhost"] {
            assert_eq!(authority_of(&[(HOST, host)]).as_deref(), Ok(host));
        }
        for host in ["attacker.example:4577", "localhost.attacker.example", "127.0.0.1.nip.io", "10.0.0.1"] {
            assert!(authority_of(&[(HOST, host)]).is_err(), "{host}");
        }
        assert!(authority_of(&[]).is_err());
        assert!(authority_of(&[(HOST, "127.0.0.1:1"), (ORIGIN, "http://attacker.example")]).is_err());
    }
}
