//! One small broken image for every rule, and the finding that says so.

use serde_json::{Value, json};

use super::clean::findings;
use super::images::{
    FAMILIES, Image, Layer, Layout, dynamic, on_aws, on_debian, on_scratch, program, program_for,
};
use crate::support::program::other_architecture;
use crate::support::sandbox::Sandbox;

/// Expects these rules, and nothing else; returns the findings.
#[track_caller]
fn expect(image: &Image, rules: &[(&str, &str)]) -> Vec<Value> {
    expect_with(image, rules, &[])
}

#[track_caller]
fn expect_with(image: &Image, rules: &[(&str, &str)], options: &[&str]) -> Vec<Value> {
    let code = if rules.iter().any(|(_, severity)| *severity == "error") { 6 } else { 0 };
    let found = findings(image, code, options);
    let seen: Vec<(&str, &str)> =
        found.iter().map(|it| (it["id"].as_str().unwrap(), it["severity"].as_str().unwrap())).collect();
    assert_eq!(seen, rules, "{found:#?}");
    for finding in &found {
        for member in ["message", "why", "fix"] {
            assert!(finding[member].as_str().is_some_and(|text| text.len() > 5), "{member}: {finding}");
        }
    }
    found
}

/// The only place of the only finding.
#[track_caller]
fn place(found: &[Value]) -> &Value {
    assert_eq!((found.len(), &found[0]["count"]), (1, &json!(1)), "{found:#?}");
    &found[0]["places"][0]
}

/// The image of one program, with another configuration.
fn configured(member: &str, value: Value) -> Image {
    on_scratch().with(|image| image.config[member] = value)
}

/// The image of one program, with this one instead.
fn started(mode: u32, content: impl AsRef<[u8]>) -> Image {
    on_scratch().with(|image| image.layers = vec![Layer::new().file("bootstrap", mode, content)])
}

#[test]
fn what_is_started() {
    let found = expect(&configured("Entrypoint", Value::Null), &[("no-entry-point", "error")]);
    assert_eq!(place(&found)["field"], "config.Entrypoint");

    let found =
        expect(&configured("Entrypoint", json!(["/app/main"])), &[("entry-point-not-found", "error")]);
    assert_eq!(place(&found)["path"], "/app/main");

    let found = expect(&started(0o644, program()), &[("entry-point-not-executable", "error")]);
    assert_eq!(place(&found)["path"], "/bootstrap");
    assert_eq!(place(&found)["layer"], 1);

    expect(&started(0o755, "echo AWS_LAMBDA_RUNTIME_API\n"), &[("entry-point-format", "error")]);
    expect(&started(0o755, program_for(other_architecture())), &[("wrong-machine", "error")]);

    let found = expect(
        &started(0o755, dynamic("/lib64/ld-linux-x86-64.so.2")),
        &[("interpreter-not-found", "error")],
    );
    assert!(found[0]["message"].as_str().unwrap().contains("/lib64/ld-linux-x86-64.so.2"), "{found:?}");

    let script = |line: &str| {
        let text = format!("{line}\nexec python3 -m awslambdaric\n");
        on_debian()
            .with(|image| image.config["Entrypoint"] = json!(["./start"]))
            .with_top(|top| top.file("app/start", 0o755, text))
    };
    let found = expect(&script("#!/bin/sh\r"), &[("line-endings", "error")]);
    assert_eq!((&place(&found)["path"], &place(&found)["layer"]), (&json!("/app/start"), &json!(3)));
    expect(&script("#!/bin/bash"), &[("interpreter-not-found", "error")]);

    let found = expect(&configured("WorkingDir", json!("/app")), &[("working-directory-not-found", "error")]);
    assert_eq!(place(&found)["field"], "config.WorkingDir");
}

#[test]
fn what_is_read() {
    let closed = on_debian().with_top(|top| top.with_mode("app/app.py", 0o640));
    let found = expect(&closed, &[("unreadable-code", "error")]);
    assert_eq!(place(&found)["path"], "/app/app.py");
    let closed = on_debian().with_top(|top| top.with_mode("app/templates", 0o700));
    let found = expect(&closed, &[("unreadable-file", "warning")]);
    assert_eq!(place(&found)["path"], "/app/templates");
}

#[test]
fn how_layers_are_written() {
    let found =
        expect(&on_debian().with_top(|top| top.without("app/templates")), &[("missing-parent", "error")]);
    assert_eq!(
        (&place(&found)["path"], &place(&found)["layer"]),
        (&json!("/app/templates/page.html"), &json!(3))
    );
    let linked = on_scratch().with_top(|top| top.hard_link("again", "nowhere"));
    expect(&linked, &[("broken-hard-link", "error")]);
    let many = on_scratch().with(|image| {
        let layer = |number: usize| Layer::new().file(&format!("file{number}"), 0o644, "");
        image.layers.extend((0..127).map(layer));
    });
    expect(&many, &[("too-many-layers", "warning")]);
}

#[test]
fn who_speaks_to_lambda() {
    let mute = on_debian().with(|image| {
        image.layers[1] = {
            let python = dynamic("/lib64/ld-linux-x86-64.so.2");
            let length = python.len() - "...AWS_LAMBDA_RUNTIME_API...".len();
            Layer::new().directories(&["usr", "usr/local", "usr/local/bin"]).file(
                "usr/local/bin/python3",
                0o755,
                &python[..length],
            )
        }
    });
    // The look-alikes of the base name the Runtime API, as they are made alike.
    let mute = mute.with(|image| {
        image.layers[0] =
            Layer::new().directories(&["lib64"]).file("lib64/ld-linux-x86-64.so.2", 0o755, &program()[..64])
    });
    expect(&mute, &[("no-runtime-client", "warning")]);

    let aws = |command: Value| on_aws("python").with(|image| image.config["Cmd"] = command);
    let found = expect(&aws(Value::Null), &[("handler", "error")]);
    assert_eq!(place(&found)["field"], "config.Cmd");
    expect(&aws(json!(["python3", "app.py"])), &[("handler", "error")]);
    let found = expect(&aws(json!(["main.handler"])), &[("handler-not-found", "error")]);
    assert!(found[0]["message"].as_str().unwrap().contains("`main.py`"), "{found:?}");
    let bare = on_aws("provided").with(|image| {
        image.layers.push(Layer::new().directories(&["var", "var/runtime"]).file(
            "var/runtime/.wh.bootstrap",
            0,
            "",
        ));
    });
    expect(&bare, &[("no-bootstrap", "warning")]);
}

#[test]
fn what_the_configuration_says_in_vain() {
    let found = expect(&configured("User", json!("1000:1000")), &[("user-ignored", "note")]);
    assert_eq!(place(&found)["field"], "config.User");
    expect(&configured("ExposedPorts", json!({ "8080/tcp": {} })), &[("ports-ignored", "note")]);
    expect(&configured("Volumes", json!({ "/data": {} })), &[("volume-ignored", "note")]);
    let health = json!({ "Test": ["CMD-SHELL", "curl localhost"] });
    expect(&configured("Healthcheck", health), &[("health-check-ignored", "note")]);
    expect(&configured("Env", json!(["AWS_REGION=eu-west-1"])), &[("reserved-variable", "note")]);
    let found =
        expect(&configured("Env", json!(["AWS_SECRET_ACCESS_KEY=hush-hush"])), &[("credentials", "warning")]);
    assert!(!json!(found).to_string().contains("hush-hush"), "{found:?}");
    expect(&configured("Env", json!(["TMPDIR=/scratch"])), &[("read-only-cache", "warning")]);
    let hidden = on_scratch()
        .with_top(|top| top.directory("tmp", 0o1777).file("tmp/model", 0o644, vec![1; 2_000_000]));
    expect(&hidden, &[("hidden-by-tmp", "warning")]);
    let started = on_scratch().with(|image| {
        image.config["Entrypoint"] = json!(["/tmp/bootstrap"]);
        image.layers = vec![Layer::new().directory("tmp", 0o1777).file("tmp/bootstrap", 0o755, program())];
    });
    expect(&started, &[("hidden-by-tmp", "error")]);
    expect_with(&on_scratch(), &[("snapstart", "warning")], &["--snap-start"]);
}

#[test]
fn what_makes_an_image_heavy() {
    let large = vec![0; 11_000_000];
    let compiler = on_debian().with(|image| {
        let directories = ["usr", "usr/lib", "usr/lib/gcc", "usr/lib/gcc/12"];
        image.layers.push(Layer::new().directories(&directories).file("usr/lib/gcc/12/cc1", 0o755, &large));
    });
    let found = expect(&compiler, &[("compiler-left", "note")]);
    assert_eq!(place(&found)["path"], "/usr/lib/gcc/12");
    let deleted = on_scratch().with(|image| {
        image.layers.push(Layer::new().file("cache", 0o644, &large));
        image.layers.push(Layer::new().file(".wh.cache", 0, ""));
    });
    let found = expect(&deleted, &[("deleted-files", "note")]);
    assert_eq!((&place(&found)["path"], &place(&found)["layer"]), (&json!("/cache"), &json!(2)));
}

#[test]
fn what_lambda_does_not_take_as_it_is() {
    // Another machine's image is no image for the function at all.
    let foreign = on_scratch().with(|image| {
        image.architecture = "s390x".to_owned();
        image.layers = vec![Layer::new().file("bootstrap", 0o755, program())];
    });
    expect(&foreign, &[("platform", "error")]);
    expect_with(&on_scratch(), &[("platform", "error")], &["--architecture", other_architecture()]);
    for (kind, rules) in [
        ("application/vnd.oci.image.layer.v1.tar", &[("layer-compression", "note")][..]),
        ("application/vnd.oci.image.layer.v1.tar+zstd", &[("layer-compression", "note")]),
        ("application/vnd.example.layer", &[("unusable-image", "error")]),
    ] {
        expect(&on_scratch().with(|image| image.layer_type = Some(kind)), rules);
    }
    // Docker's layers under OCI's manifest.
    let sandbox = Sandbox::new();
    for family in FAMILIES {
        let other = FAMILIES.into_iter().find(|other| *other != family).unwrap();
        let mixed = on_scratch().with(|image| image.layer_type = Some(other.layer()));
        let layout = mixed.write(&sandbox.path().join(format!("{family:?}")), family);
        let lines = sandbox.json(0, ["check", "--image", &layout.name()]);
        assert_eq!(lines[lines.len() - 2]["id"], "media-types", "{lines:#?}");
    }
}

#[test]
fn an_index_is_resolved_and_noted() {
    for family in FAMILIES {
        let sandbox = Sandbox::new();
        let layout = Layout::new(&sandbox.path().join("layout"));
        let ours = on_scratch().add_to(&layout, family);
        let theirs = on_scratch().with(|image| {
            image.architecture = if image.architecture == "amd64" { "arm64" } else { "amd64" }.to_owned();
            image.layers = vec![Layer::new().file("bootstrap", 0o755, program_for(other_architecture()))];
        });
        let theirs = theirs.add_to(&layout, family);
        let mut attestation = layout.blob("application/vnd.oci.image.manifest.v1+json", b"{}");
        attestation["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
        attestation["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": ours["digest"],
        });
        layout.finish(&[ours, theirs, attestation]);
        let lines = sandbox.json(0, ["check", "--image", &layout.name()]);
        let found: Vec<&Value> = lines.iter().filter(|line| line["reason"] == "finding").collect();
        let ids: Vec<&str> = found.iter().map(|it| it["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["index", "attestations"], "{found:#?}");
    }
}
