//! Findings in SARIF 2.1.0, the format in which code hosts take them.
//!
//! Code hosts show a finding at a file of the repository, so each stands at the file the image is
//! made from; where it is in the image is said as a logical location.
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>

use serde_json::{Value, json};

use super::results::CheckView;
use super::words::clean;
use crate::domain::digest::Digest;
use crate::domain::finding::{Finding, Place, Rule};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The document.
pub fn document(view: &CheckView) -> Value {
    let rules: Vec<Value> = Rule::all().map(rule).collect();
    let results = view.report.findings.iter().map(|finding| result(view, finding));
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "lambdactl",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "invocations": [{ "executionSuccessful": true }],
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

fn rule(rule: Rule) -> Value {
    json!({
        "id": rule.id(),
        "name": rule.title(),
        "shortDescription": { "text": format!("{}.", rule.title()) },
        "fullDescription": { "text": format!("{}.", capital(rule.why())) },
        "help": { "text": format!("{}.", capital(rule.fix())) },
        "helpUri": rule.link(),
        "defaultConfiguration": { "level": rule.severity() },
    })
}

fn result(view: &CheckView, finding: &Finding) -> Value {
    let places = finding.places.iter().map(logical).filter(|place| !place.is_null());
    let output = match finding.output.as_slice() {
        [] => String::new(),
        lines => format!(
            " Its last output:\n{}\n",
            lines.iter().map(|line| clean(line)).collect::<Vec<_>>().join("\n")
        ),
    };
    let text =
        format!("{}. {}.{output} Fix: {}.", capital(&finding.message), capital(finding.why()), finding.fix);
    // Digests of layers change with every build; the finding stays the same.
    let first = finding.places.first().map(|place| (&place.field, &place.path));
    let identity = Digest::of(format!("{} {first:?}", finding.rule).as_bytes()).hex();
    json!({
        "ruleId": finding.rule.id(),
        "ruleIndex": finding.rule as usize,
        "level": finding.severity,
        "message": { "text": text },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": uri(&view.artifact) },
                "region": { "startLine": 1 },
            },
            "logicalLocations": places.collect::<Vec<_>>(),
        }],
        "partialFingerprints": { "rulePlace/v1": identity },
    })
}

fn logical(place: &Place) -> Value {
    let name = place.to_string();
    match place {
        _ if name.is_empty() => Value::Null,
        Place { path: Some(path), .. } => {
            json!({ "name": path, "fullyQualifiedName": name, "kind": "resource" })
        }
        Place { field: Some(field), .. } => {
            json!({ "name": field, "fullyQualifiedName": name, "kind": "property" })
        }
        _ => json!({ "name": name, "fullyQualifiedName": name, "kind": "module" }),
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// A path or a name as a relative URI.
fn uri(text: &str) -> String {
    let text = text.strip_prefix("./").unwrap_or(text).replace('\\', "/");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_are_no_schemes() {
        assert_eq!(uri("./services/hello/Dockerfile"), "services/hello/Dockerfile");
        assert_eq!(uri("oci:a b"), "oci%3Aa%20b");
    }
}
