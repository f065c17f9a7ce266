//! The challenges of `WWW-Authenticate`: which proof of identity a registry wants.
//! <https://distribution.github.io/distribution/spec/auth/token/>

use std::collections::BTreeMap;

/// What a registry wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A user and a password.
    Basic,
    /// A token from `realm`.
    Bearer {
        /// Where tokens are handed out.
        realm: String,
        /// For whom the token is.
        service: Option<String>,
        /// What the token has to allow.
        scope: Option<String>,
    },
}

impl Challenge {
    /// Reads the headers and chooses the strongest challenge that is understood.
    pub(super) fn choose(headers: &[String]) -> Option<Self> {
        let challenges: Vec<Self> = headers.iter().flat_map(|header| parse(header)).collect();
        let bearer = challenges.iter().find(|challenge| matches!(challenge, Self::Bearer { .. }));
        bearer.or_else(|| challenges.first()).cloned()
    }
}

/// Splits one header into its challenges. Parameters may be quoted and may hold commas.
fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut scheme = String::new();
    let mut parameters = BTreeMap::new();
    for part in split_outside_quotes(header) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        // `Bearer realm="…"` opens a challenge; `service="…"` goes on with it.
        let (new_scheme, name) = match name.trim().rsplit_once(char::is_whitespace) {
            Some((scheme, name)) => (Some(scheme.trim()), name),
            None if value.is_empty() => (Some(name.trim()), ""),
            None => (None, name.trim()),
        };
        if let Some(new_scheme) = new_scheme {
            challenges.extend(understand(&scheme, &parameters));
            scheme = new_scheme.to_ascii_lowercase();
            parameters.clear();
        }
        if !name.is_empty() {
            parameters
                .insert(name.to_ascii_lowercase(), value.trim().trim_matches('"').replace("\\\"", "\""));
        }
    }
    challenges.extend(understand(&scheme, &parameters));
    challenges
}

fn understand(scheme: &str, parameters: &BTreeMap<String, String>) -> Option<Challenge> {
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: parameters.get("realm")?.clone(),
            service: parameters.get("service").cloned(),
            scope: parameters.get("scope").filter(|scope| !scope.is_empty()).cloned(),
        }),
        _ => None,
    }
}

fn split_outside_quotes(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(header: &str) -> Option<Challenge> {
        Challenge::choose(&[header.to_owned()])
    }

    #[test]
    fn the_challenges_of_known_registries_are_understood() {
        let hub = choose(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/debian:pull,push""#,
        );
        assert_eq!(
            hub,
            Some(Challenge::Bearer {
                realm: "https://auth.docker.io/token".to_owned(),
                service: Some("registry.docker.io".to_owned()),
                scope: Some("repository:library/debian:pull,push".to_owned()),
            })
        );
        let ecr = r#"Basic realm="https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com""#;
        assert_eq!(choose(ecr), Some(Challenge::Basic));
    }

    #[test]
    fn bearer_wins_over_basic_and_unknown_schemes_are_skipped() {
        let both = choose(r#"Negotiate, Basic realm="x", Bearer realm="https://a.test/t""#);
        assert!(matches!(both, Some(Challenge::Bearer { realm, .. }) if realm == "https://a.test/t"));
        assert_eq!(choose("Negotiate"), None);
        assert_eq!(choose("Bearer service=\"no realm\""), None);
        assert_eq!(choose(""), None);
    }
}
