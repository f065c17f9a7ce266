//! How findings are shown: for people, for programs, and for code hosts.

use serde_json::{Value, json};

use super::images::{Family, Image, Layer, on_scratch, program};
use crate::support::sandbox::Sandbox;

/// An image with a finding of each severity.
fn three() -> Image {
    on_scratch().with(|image| {
        image.config["User"] = json!("me");
        image.config["Env"] = json!(["TMPDIR=/data"]);
        image.layers = vec![Layer::new().file("bootstrap", 0o600, program())];
    })
}

#[test]
fn people_read_what_where_why_and_what_mends_it() {
    let sandbox = Sandbox::new();
    let layout = three().write(&sandbox.path().join("layout"), Family::Oci);
    let done = sandbox.run(["check", "--image", &layout.name()]).expect(6);
    let heads: Vec<&str> =
        done.stdout.lines().filter(|line| !line.starts_with(' ') && !line.is_empty()).collect();
    assert_eq!(heads.len(), 3, "{done}");
    for (head, beginning) in heads.iter().zip([
        "error[entry-point-not-executable]: `/bootstrap` has the mode 0600",
        "warning[read-only-cache]: ",
        "note[user-ignored]: ",
    ]) {
        assert!(head.starts_with(beginning), "{head}");
    }
    for label in ["  at  `/bootstrap` in layer 1 (sha256:", "), from `config.Entrypoint`", "  why ", "  fix "]
    {
        assert!(done.stdout.contains(label), "{label}: {done}");
    }
    let last = done.stderr.trim_end().lines().rfind(|line| line.contains("1 error")).unwrap_or_default();
    assert!(last.contains("1 error, 1 warning, 1 note in 1 layer, "), "{done}");
    let done = sandbox.run([
        "check",
        "--image",
        &layout.name(),
        "--allow",
        "entry-point-not-executable,read-only-cache",
    ]);
    let done = done.expect(0);
    assert!(
        done.stderr.contains("1 note") && done.stderr.contains("allowed: `entry-point-not-executable`"),
        "{done}"
    );
}

#[test]
fn nothing_found_is_said_on_standard_error_alone() {
    let sandbox = Sandbox::new();
    let layout = on_scratch().write(&sandbox.path().join("layout"), Family::Docker);
    let done = sandbox.run(["check", "--image", &layout.name()]).expect(0);
    assert_eq!(done.stdout, "", "{done}");
    assert!(done.stderr.contains("no findings in 1 layer"), "{done}");
}

#[test]
fn programs_read_a_line_for_each_finding_and_a_summary() {
    let sandbox = Sandbox::new();
    let layout = three().write(&sandbox.path().join("layout"), Family::Oci);
    let lines = sandbox.json(6, ["check", "--image", &layout.name()]);
    let found: Vec<&Value> = lines.iter().filter(|line| line["reason"] == "finding").collect();
    assert_eq!(found[0]["places"][0]["path"], "/bootstrap");
    assert!(found[0]["places"][0]["diff_id"].as_str().unwrap().starts_with("sha256:"), "{found:#?}");
    let summary = lines.last().unwrap();
    assert_eq!((&summary["reason"], &summary["passed"]), (&json!("check"), &json!(false)));
    assert_eq!(
        (&summary["errors"], &summary["warnings"], &summary["notes"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert!(summary["image_digest"].as_str().unwrap().starts_with("sha256:"), "{summary}");
}

#[test]
fn code_hosts_get_sarif() {
    let sandbox = Sandbox::new();
    let layout = three().write(&sandbox.path().join("layout"), Family::Oci);
    let file = sandbox.path().join("findings.sarif");
    sandbox.json(6, ["check", "--image", &layout.name(), "--sarif", file.to_str().unwrap()]);
    let document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(document["version"], "2.1.0");
    let run = &document["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    for (result, level) in results.iter().zip(["error", "warning", "note"]) {
        assert_eq!(result["level"], level);
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(result["message"]["text"].as_str().is_some_and(|text| text.ends_with('.')), "{result}");
        let location = &result["locations"][0];
        assert!(location["physicalLocation"]["artifactLocation"]["uri"].is_string(), "{result}");
        assert!(location["physicalLocation"]["region"]["startLine"].as_u64() >= Some(1), "{result}");
        assert!(location["logicalLocations"][0]["fullyQualifiedName"].is_string(), "{result}");
    }
    for rule in rules {
        for member in ["shortDescription", "fullDescription", "help"] {
            assert!(rule[member]["text"].is_string(), "{rule}");
        }
        assert!(rule["helpUri"].as_str().unwrap().starts_with("https://"), "{rule}");
    }
    // The same place keeps its fingerprint, whatever else changes.
    let prints = |document: &Value| -> Vec<Value> {
        let results = document["runs"][0]["results"].as_array().unwrap().iter();
        results.map(|it| it["partialFingerprints"].clone()).collect()
    };
    let before = prints(&document);
    sandbox.json(6, ["check", "--image", &layout.name(), "--sarif", file.to_str().unwrap()]);
    assert_eq!(prints(&serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap()), before);
}

#[test]
fn the_rules_can_be_listed() {
    let sandbox = Sandbox::new();
    let done = sandbox.run(["check", "--rules"]).expect(0);
    assert!(
        done.stdout.lines().any(|line| line.starts_with("missing-parent") && line.contains("error")),
        "{done}"
    );
    let lines = sandbox.json(0, ["check", "--rules"]);
    let rules = lines[0]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), done.stdout.lines().count());
}
