//! The query of a request, decoded.

use http::Uri;

/// Names and values, in their order.
#[derive(Clone, Debug, Default)]
pub(in crate::local) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes the query of `uri`; what cannot be decoded counts as absent.
    pub(in crate::local) fn of(uri: &Uri) -> Self {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        Self(pairs.map(|query| query.0).unwrap_or_default())
    }

    /// The first value of `name`.
    pub(in crate::local) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }
}
