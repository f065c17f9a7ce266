//! One request of the Lambda API, taken apart: path, query and body.

use std::cell::OnceCell;

use bytes::Bytes;
use http::Method;
use serde::de::DeserializeOwned;

use super::errors::Failure;
use super::images::ImageCatalogue;
use crate::local::call::Call;

/// A request with what an operation needs to answer it.
pub(super) struct Request<'a> {
    /// Who asks, where and when.
    pub(super) call: &'a Call,
    /// Where image URIs are looked up.
    pub(super) images: &'a dyn ImageCatalogue,
    /// The method.
    pub(super) method: Method,
    /// The words of the path, decoded, without a trailing empty one.
    pub(super) path: Vec<String>,
    query: OnceCell<Vec<(String, String)>>,
    raw_query: String,
    body: Bytes,
}

impl<'a> Request<'a> {
    /// Takes `request` apart.
    pub(super) fn new(call: &'a Call, images: &'a dyn ImageCatalogue, request: http::Request<Bytes>) -> Self {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().trim_matches('/').split('/').map(|word| decode(word, false)).collect();
        Self {
            call,
            images,
            method: parts.method,
            path,
            query: OnceCell::new(),
            raw_query: parts.uri.query().unwrap_or_default().to_owned(),
            body,
        }
    }

    fn pairs(&self) -> &[(String, String)] {
        self.query.get_or_init(|| {
            let pairs = self.raw_query.split('&').filter(|pair| !pair.is_empty());
            let split = |pair: &str| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(key, true), decode(value, true))
            };
            pairs.map(split).collect()
        })
    }

    /// The first value of a query parameter.
    pub(super) fn query(&self, key: &str) -> Option<&str> {
        self.pairs().iter().find_map(|(name, value)| (name == key).then_some(value.as_str()))
    }

    /// All values of a query parameter.
    pub(super) fn query_all(&self, key: &str) -> Vec<String> {
        let values = self.pairs().iter().filter(|(name, _)| name == key);
        values.map(|(_, value)| value.clone()).collect()
    }

    /// Reads the body; an empty one is an empty object.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let bytes = if self.body.is_empty() { b"{}" } else { self.body.as_ref() };
        serde_json::from_slice(bytes).map_err(|error| {
            Failure::serialization(format!("Could not parse request body into json: {error}"))
        })
    }
}

/// Decodes `%41`, and `+` where it stands for a space; anything else stays.
fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(if plus && byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_decoded() {
        assert_eq!(decode("arn%3Aaws%3alambda", false), "arn:aws:lambda");
        assert_eq!(decode("a+b%2Bc", true), "a b+c");
        assert_eq!(decode("a+b", false), "a+b");
        assert_eq!(decode("100%", false), "100%");
        assert_eq!(decode("%é", false), "%é");
    }
}
