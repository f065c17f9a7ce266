//! Who signed a request, and for which region. Signatures are not verified: whoever reaches a
//! loopback port is the user. But a request without one is refused, as AWS refuses it.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::local::registry::Query;

/// Where calls go that name no region, and the global services.
pub(super) const DEFAULT_REGION: &str = "us-east-1";

/// The region in the credential scope of a signed request; `None` where it is not signed.
pub(super) fn region(headers: &HeaderMap, query: &Query) -> Option<String> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credential = match header {
        Some(value) => {
            let parameters = value.strip_prefix("AWS4-").and_then(|value| value.split_once(' '))?.1;
            parameters.split(',').find_map(|parameter| parameter.trim().strip_prefix("Credential="))?
        }
        None => query.get("X-Amz-Credential")?,
    };
    // KEY/DATE/REGION/SERVICE/aws4_request
    let region = credential.split('/').nth(2).unwrap_or_default();
    let is_region = region.contains('-')
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    Some(if is_region { region.to_owned() } else { DEFAULT_REGION.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region_of(authorization: Option<&str>, uri: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.extend(authorization.map(|value| (AUTHORIZATION, value.parse().unwrap())));
        region(&headers, &Query::of(&uri.parse().unwrap()))
    }

    #[test]
    fn the_credential_scope_names_the_region() {
        let header = "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/ecr/aws4_request, SignedHeaders=host, Signature=0";
        assert_eq!(region_of(Some(header), "/").as_deref(), Some("eu-west-1"));
        let query = "/?X-Amz-Credential=AKID%2F20260101%2Fus-gov-west-1%2Fsts%2Faws4_request";
        assert_eq!(region_of(None, query).as_deref(), Some("us-gov-west-1"));
        for odd in ["AWS4-HMAC-SHA256 Credential=AKID/20260101/../ecr/x", "AWS4-HMAC-SHA256 Credential=AKID"]
        {
            assert_eq!(region_of(Some(odd), "/").as_deref(), Some("us-east-1"), "{odd}");
        }
    }

    #[test]
    fn an_unsigned_request_has_none() {
        assert_eq!(region_of(None, "/?Action=GetCallerIdentity"), None);
        assert_eq!(region_of(Some("Basic QVdTOng="), "/"), None);
        assert_eq!(region_of(Some("AWS4-HMAC-SHA256 Signature=0"), "/"), None);
    }
}
