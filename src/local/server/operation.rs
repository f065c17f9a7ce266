//! The name of a Lambda operation, which its requests only tell by method and path.
//!
//! Names are for the log and for faults; the Lambda API finds its handlers by itself.
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html>

use http::Method;

/// Paths with `*` for one word, below the date of the version.
const OPERATIONS: [(&str, &str, &str); 39] = [
    ("POST", "functions", "CreateFunction"),
    ("GET", "functions", "ListFunctions"),
    ("GET", "functions/*", "GetFunction"),
    ("DELETE", "functions/*", "DeleteFunction"),
    ("PUT", "functions/*/code", "UpdateFunctionCode"),
    ("GET", "functions/*/configuration", "GetFunctionConfiguration"),
    ("PUT", "functions/*/configuration", "UpdateFunctionConfiguration"),
    ("POST", "functions/*/invocations", "Invoke"),
    ("POST", "functions/*/response-streaming-invocations", "InvokeWithResponseStream"),
    ("POST", "functions/*/versions", "PublishVersion"),
    ("GET", "functions/*/versions", "ListVersionsByFunction"),
    ("POST", "functions/*/aliases", "CreateAlias"),
    ("GET", "functions/*/aliases", "ListAliases"),
    ("GET", "functions/*/aliases/*", "GetAlias"),
    ("PUT", "functions/*/aliases/*", "UpdateAlias"),
    ("DELETE", "functions/*/aliases/*", "DeleteAlias"),
    ("POST", "functions/*/policy", "AddPermission"),
    ("GET", "functions/*/policy", "GetPolicy"),
    ("DELETE", "functions/*/policy/*", "RemovePermission"),
    ("PUT", "functions/*/event-invoke-config", "PutFunctionEventInvokeConfig"),
    ("POST", "functions/*/event-invoke-config", "UpdateFunctionEventInvokeConfig"),
    ("GET", "functions/*/event-invoke-config", "GetFunctionEventInvokeConfig"),
    ("DELETE", "functions/*/event-invoke-config", "DeleteFunctionEventInvokeConfig"),
    ("POST", "functions/*/url", "CreateFunctionUrlConfig"),
    ("GET", "functions/*/url", "GetFunctionUrlConfig"),
    ("PUT", "functions/*/url", "UpdateFunctionUrlConfig"),
    ("DELETE", "functions/*/url", "DeleteFunctionUrlConfig"),
    ("GET", "functions/*/urls", "ListFunctionUrlConfigs"),
    ("PUT", "functions/*/concurrency", "PutFunctionConcurrency"),
    ("GET", "functions/*/concurrency", "GetFunctionConcurrency"),
    ("DELETE", "functions/*/concurrency", "DeleteFunctionConcurrency"),
    ("PUT", "functions/*/provisioned-concurrency", "PutProvisionedConcurrencyConfig"),
    ("GET", "functions/*/provisioned-concurrency", "GetProvisionedConcurrencyConfig"),
    ("PUT", "functions/*/recursion-config", "PutFunctionRecursionConfig"),
    ("GET", "functions/*/recursion-config", "GetFunctionRecursionConfig"),
    ("POST", "tags/*", "TagResource"),
    ("GET", "tags/*", "ListTags"),
    ("DELETE", "tags/*", "UntagResource"),
    ("GET", "account-settings", "GetAccountSettings"),
];

/// The operation a request of the Lambda API is for, if it is a known one.
pub(super) fn of_lambda(method: &Method, path: &str) -> Option<&'static str> {
    let words: Vec<&str> = path.trim_matches('/').split('/').skip(1).collect();
    OPERATIONS.iter().find_map(|(wanted, pattern, name)| {
        let pattern: Vec<&str> = pattern.split('/').collect();
        let same = pattern.len() == words.len()
            && pattern.iter().zip(&words).all(|(pattern, word)| *pattern == "*" || pattern == word);
        (same && method.as_str() == *wanted).then_some(*name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_and_path_name_the_operation() {
        for (method, path, expected) in [
            (Method::POST, "/2015-03-31/functions", Some("CreateFunction")),
            (Method::GET, "/2015-03-31/functions/", Some("ListFunctions")),
            (Method::PUT, "/2015-03-31/functions/hello/code", Some("UpdateFunctionCode")),
            (Method::GET, "/2015-03-31/functions/configuration", Some("GetFunction")),
            (Method::GET, "/2017-03-31/tags/arn%3Aaws", Some("ListTags")),
            (Method::PATCH, "/2015-03-31/functions/hello", None),
        ] {
            assert_eq!(of_lambda(&method, path), expected, "{method} {path}");
        }
    }
}
