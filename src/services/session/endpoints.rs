//! Endpoints other than AWS's own: checked here, because the SDK only logs one it cannot parse
//! and then goes to the real AWS.

use super::{SessionError, SessionOptions};

/// Set to `true`, it makes the SDK ignore all the others.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
const IGNORE: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";

/// Checks every endpoint the user or the environment names.
pub(super) fn check(options: &SessionOptions) -> Result<(), SessionError> {
    let local = options.local_endpoint.iter().map(|value| ("local endpoint", value.as_str()));
    let named = options.endpoints.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in local.chain(named.filter(|(name, value)| is_endpoint(name, value))) {
        let invalid = |why: String| SessionError::InvalidEndpoint {
            name: name.to_owned(),
            value: value.to_owned(),
            why,
        };
        let url = reqwest::Url::parse(value).map_err(|error| invalid(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("it has to begin with `http://` or `https://`".to_owned()));
        }
    }
    Ok(())
}

/// Tells whether the environment replaces any endpoint.
pub(super) fn any_in_force(options: &SessionOptions) -> bool {
    !options.endpoints.get(IGNORE).is_some_and(|value| value.eq_ignore_ascii_case("true"))
        && options.endpoints.iter().any(|(name, value)| is_endpoint(name, value))
}

fn is_endpoint(name: &str, value: &str) -> bool {
    name.starts_with("AWS_ENDPOINT_URL") && !value.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> SessionOptions {
        SessionOptions {
            endpoints: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..SessionOptions::default()
        }
    }

    #[test]
    fn only_urls_of_http_are_endpoints() {
        for good in ["http://127.0.0.1:4566", "https://lambda.example.com/"] {
            assert!(check(&options(&[("AWS_ENDPOINT_URL", good)])).is_ok(), "{good}");
        }
        for bad in ["127.0.0.1:4566", "localhost", "ftp://x", "http://"] {
            assert!(check(&options(&[("AWS_ENDPOINT_URL", bad)])).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_ignored_endpoint_is_no_override() {
        let url = ("AWS_ENDPOINT_URL_ECR", "http://127.0.0.1:1");
        assert!(any_in_force(&options(&[url])));
        assert!(!any_in_force(&options(&[url, (IGNORE, "true")])));
        assert!(!any_in_force(&options(&[("AWS_ENDPOINT_URL", "")])));
    }
}
