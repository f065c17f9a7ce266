//! Images that are right have no finding at all: a false one is worse than none.

use serde_json::{Value, json};

use super::images::{FAMILIES, Image, Layer, on_aws, on_debian, on_scratch};
use crate::support::program::{function, wants_a_loader};
use crate::support::sandbox::Sandbox;

/// Checks an image in both families; returns the findings and the summary of the last.
#[track_caller]
pub fn findings(image: &Image, code: i32, options: &[&str]) -> Vec<Value> {
    let mut last: Option<Vec<Value>> = None;
    for family in FAMILIES {
        let sandbox = Sandbox::new();
        image.write(&sandbox.path().join("layout"), family);
        let arguments = ["check", "--image", "oci:layout"];
        let lines = sandbox.json(code, arguments.iter().chain(options));
        let found: Vec<Value> = lines.iter().filter(|line| line["reason"] == "finding").cloned().collect();
        let summary = lines.last().expect("a summary");
        assert_eq!(summary["reason"], "check", "{summary}");
        assert_eq!(summary["passed"], code == 0, "{summary}");
        if let Some(before) = &last {
            assert_eq!(*before, found, "the family makes no difference");
        }
        last = Some(found);
    }
    last.expect("there are families")
}

#[track_caller]
fn assert_clean(image: &Image) {
    let found = findings(image, 0, &[]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_static_program_on_nothing_is_clean() {
    let program = std::fs::read(function()).unwrap();
    assert!(!wants_a_loader(&program));
    assert_clean(&Image::new(
        json!({ "Entrypoint": ["/bootstrap"] }),
        vec![Layer::new().file("bootstrap", 0o755, program)],
    ));
    assert_clean(&on_scratch());
}

#[test]
fn debian_with_python_and_its_client_is_clean() {
    assert_clean(&on_debian());
}

#[test]
fn aws_base_images_are_clean() {
    assert_clean(&on_aws("python"));
    assert_clean(&on_aws("node"));
}

#[test]
fn what_is_written_in_other_ways_is_clean_too() {
    let debian = on_debian;
    let entry_point = |words: Value| {
        debian().with(|image| {
            image.config["Entrypoint"] = words;
            image.config["Cmd"] = Value::Null;
        })
    };
    // By name, through links, from the working directory, through a shell.
    assert_clean(&entry_point(json!(["python3", "-m", "awslambdaric", "app.handler"])));
    assert_clean(&entry_point(json!(["/bin/sh", "-c", "exec python3 -m awslambdaric app.handler"])));
    let script = |line: &'static str| {
        entry_point(json!(["./start"]))
            .with_top(|top| top.file("app/start", 0o755, format!("{line}\nexec something\n")))
    };
    assert_clean(&script("#!/bin/sh"));
    assert_clean(&script("#! /usr/bin/env -S python3 -u"));
    assert_clean(&script("#!/usr/bin/perl5.36.0 -w"));
    // A handler in a package, in a directory, and one that is not where the code is.
    let handler = |language: &str, handler: &str, path: &'static str| {
        let mut image = on_aws(language);
        image.config["Cmd"] = json!([handler]);
        let directories: Vec<&str> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
        image.layers.push(Layer::new().directories(&directories).file(path, 0o644, "code"));
        image
    };
    assert_clean(&handler("python", "pkg.module.handler", "var/task/pkg/module.py"));
    assert_clean(&handler("python", "src/app2.handler", "var/task/src/app2/__init__.py"));
    assert_clean(&handler("python", "vendor.main.handler", "opt/python/vendor/main.py"));
    assert_clean(&handler("node", "dist/index.api.handler", "var/task/dist/index.js"));
    assert_clean(&handler("node", "/opt/nodejs/wrap.handler", "opt/nodejs/wrap.cjs"));
}
