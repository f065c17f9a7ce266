//! Which function a call means: a name, a partial ARN or an ARN, with or without a qualifier.
//!
//! <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html>

use super::errors::Failure;
use super::request::Request;
use super::validation::Violations;
use crate::domain::arn::Arn;
use crate::local::call::{ACCOUNT, Call};

/// The pattern of `FunctionName` where a function is written.
pub(super) const NAME_PATTERN: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?";
/// The pattern of `FunctionName` where a function is read.
pub(super) const NAMESPACED_PATTERN: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?";
const QUALIFIER_PATTERN: &str = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+";

/// The version every function has: the one that changes.
pub(super) const LATEST: &str = "$LATEST";

/// A function of this account and region, perhaps one version or alias of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The name part.
    pub(super) name: String,
    /// `$LATEST`, a number, or an alias, if the caller wrote one.
    pub(super) qualifier: Option<String>,
}

/// How an operation's model writes the constraints of `FunctionName`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameRules {
    /// `FunctionName`: at most 140 characters.
    Plain,
    /// `NamespacedFunctionName`: at most 256 characters.
    Namespaced,
}

impl Target {
    /// Reads the third word of the path and the `Qualifier` parameter.
    ///
    /// # Errors
    /// Names that break the pattern, ARNs of other regions or accounts, two qualifiers that
    /// contradict each other.
    pub(super) fn of(request: &Request<'_>, rules: NameRules) -> Result<Self, Failure> {
        let text = request.path.get(2).map(String::as_str).unwrap_or_default();
        Self::parse(request.call, text, request.query("Qualifier"), rules)
    }

    /// Reads a name and a separate qualifier.
    pub(super) fn parse(
        call: &Call,
        text: &str,
        qualifier: Option<&str>,
        rules: NameRules,
    ) -> Result<Self, Failure> {
        let mut violations = Violations::default();
        if let Some(qualifier) = qualifier {
            violations.length(qualifier, "qualifier", 1, 128);
            if !qualifier.bytes().all(|b| is_word(b) || b == b'$') && qualifier != "$LATEST.PUBLISHED" {
                violations.pattern(qualifier, "qualifier", QUALIFIER_PATTERN);
            }
        }
        let (longest, pattern) = match rules {
            NameRules::Plain => (140, NAME_PATTERN),
            NameRules::Namespaced => (256, NAMESPACED_PATTERN),
        };
        violations.length(text, "functionName", 1, longest);
        let parts = NameParts::parse(text);
        if parts.is_none() {
            violations.pattern(text, "functionName", pattern);
        }
        violations.check()?;
        let parts = parts.ok_or_else(|| Failure::validation("functionName"))?;
        if let Some(region) = parts.region.filter(|region| *region != call.region) {
            return Err(Failure::not_found(format!(
                "Functions from '{region}' are not reachable in this region ('{}')",
                call.region
            )));
        }
        if let Some(account) = parts.account.filter(|account| *account != ACCOUNT) {
            return Err(Failure::not_authorized(format!(
                "User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform this action on resource: {} because no resource-based policy allows it",
                Arn::function(&call.region, account, parts.name)
            )));
        }
        let qualifier = match (parts.qualifier, qualifier) {
            (Some(derived), Some(given)) if derived != given => {
                return Err(Failure::invalid_parameter(
                    "The derived qualifier from the function name does not match the specified qualifier.",
                ));
            }
            (derived, given) => derived.or(given).map(str::to_owned),
        };
        Ok(Self { name: parts.name.to_owned(), qualifier })
    }

    /// The ARN without a qualifier.
    pub(super) fn unqualified_arn(&self, call: &Call) -> String {
        unqualified_arn(call, &self.name)
    }

    /// The ARN as it was asked for.
    pub(super) fn arn(&self, call: &Call) -> String {
        match &self.qualifier {
            Some(qualifier) => qualified_arn(call, &self.name, qualifier),
            None => self.unqualified_arn(call),
        }
    }

    /// 404 with the ARN as it was asked for.
    pub(super) fn not_found(&self, call: &Call) -> Failure {
        Failure::not_found(format!("Function not found: {}", self.arn(call)))
    }
}

/// The ARN of a function of the call's region.
pub(super) fn unqualified_arn(call: &Call, name: &str) -> String {
    Arn::function(&call.region, ACCOUNT, name).to_string()
}

/// The ARN of a version or alias of a function of the call's region.
pub(super) fn qualified_arn(call: &Call, name: &str, qualifier: &str) -> String {
    format!("{}:{qualifier}", unqualified_arn(call, name))
}

#[derive(Debug, PartialEq, Eq)]
struct NameParts<'a> {
    region: Option<&'a str>,
    account: Option<&'a str>,
    name: &'a str,
    qualifier: Option<&'a str>,
}

impl<'a> NameParts<'a> {
    /// Follows [`NAME_PATTERN`]: every part but the name may be absent.
    fn parse(text: &'a str) -> Option<Self> {
        let rest = match text.strip_prefix("arn:") {
            Some(rest) => {
                let (partition, rest) = rest.split_once(':')?;
                let known = partition.is_empty() || partition.starts_with("aws");
                known.then(|| rest.strip_prefix("lambda:")).flatten()?
            }
            None => text,
        };
        let mut words: Vec<&str> = rest.split(':').collect();
        let mut leading =
            |test: &dyn Fn(&str) -> bool| (words.len() > 1 && test(words[0])).then(|| words.remove(0));
        let region = leading(&is_region);
        let account = leading(&|word| word.len() == 12 && word.bytes().all(|b| b.is_ascii_digit()));
        leading(&|word| word == "function");
        let (name, qualifier) = match words[..] {
            [name] => (name, None),
            [name, qualifier] => (name, Some(qualifier)),
            _ => return None,
        };
        let word = |text: &str| !text.is_empty() && text.bytes().all(is_word);
        let valid = word(name) && qualifier.is_none_or(|text| word(text) || text == LATEST);
        valid.then_some(Self { region, account, name, qualifier })
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// `us-east-1`, `us-gov-west-1`, `us-iso-east-1`, `eusc-de-east-1`.
fn is_region(word: &str) -> bool {
    let parts: Vec<&str> = word.strip_prefix("eusc-").unwrap_or(word).split('-').collect();
    let letters = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase());
    let (geography, direction, number) = match parts[..] {
        [geography, direction, number] => (geography, direction, number),
        [geography, kind, direction, number]
            if kind == "gov" || kind.starts_with("iso") && kind.len() <= 4 =>
        {
            (geography, direction, number)
        }
        _ => return false,
    };
    geography.len() == 2
        && letters(geography)
        && letters(direction)
        && number.len() == 1
        && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_partial_arns_and_arns_are_understood() {
        let parts = |region, account, name, qualifier| Some(NameParts { region, account, name, qualifier });
        let account = Some("000000000000");
        for (text, expected) in [
            ("hello", parts(None, None, "hello", None)),
            ("hello:3", parts(None, None, "hello", Some("3"))),
            ("hello:$LATEST", parts(None, None, "hello", Some("$LATEST"))),
            ("function:hello", parts(None, None, "hello", None)),
            ("000000000000:function:hello:live", parts(None, account, "hello", Some("live"))),
            (
                "arn:aws:lambda:us-gov-west-1:000000000000:function:hello",
                parts(Some("us-gov-west-1"), account, "hello", None),
            ),
            ("a:b:c", None),
            ("", None),
            ("a b", None),
            ("hello:$latest", None),
            ("arn:aws:ec2:us-east-1:000000000000:instance:i", None),
            ("arn:aws:lambda:invalid-region:000000000000:function:hello", None),
        ] {
            assert_eq!(NameParts::parse(text), expected, "{text}");
        }
    }
}
