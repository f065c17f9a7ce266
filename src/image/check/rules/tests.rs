//! Every rule at its borders: what it finds, how bad that is, and above all what it leaves alone.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tar::EntryType;

use crate::domain::digest::Digest;
use crate::domain::finding::Severity::{Error, Note, Warning};
use crate::domain::finding::{Finding, Place, Rule, Severity};
use crate::domain::function::ImageOverrides;
use crate::domain::manifest::{Descriptor, ImageConfig, Manifest, MediaType};
use crate::image::check::files::{Entry, Kind, LayerFiles};
use crate::image::check::{Scan, Wanted, check};
use crate::image::{BlobSource, Image, Layer, Remark};

type Read = Option<Arc<LayerFiles>>;
type Given<'a> = (&'a str, EntryType, u32, &'a [u8]);

const X86_64: u8 = 62;
const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";

fn file<'a>(path: &'a str, mode: u32, content: &'a [u8]) -> Given<'a> {
    (path, EntryType::Regular, mode, content)
}

fn directory(path: &str, mode: u32) -> Given<'_> {
    (path, EntryType::Directory, mode, b"")
}

fn link<'a>(path: &'a str, target: &'a str) -> Given<'a> {
    (path, EntryType::Symlink, 0o777, target.as_bytes())
}

fn hard_link<'a>(path: &'a str, target: &'a str) -> Given<'a> {
    (path, EntryType::Link, 0o644, target.as_bytes())
}

/// A layer, read from a real archive.
fn layer(entries: &[Given<'_>]) -> Read {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, mode, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_entry_type(*kind);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_size(0);
            let target = std::str::from_utf8(content).unwrap();
            builder.append_link(&mut header, path, target).unwrap();
        } else {
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, *content).unwrap();
        }
    }
    let mut scan = Scan::new();
    scan.write_all(&builder.into_inner().unwrap()).unwrap();
    Some(Arc::new(scan.finish().unwrap()))
}

/// A layer that is said to have files of these sizes.
fn heavy(files: &[(&str, u64)]) -> Read {
    let kind = |size| Kind::File { size, content: None };
    let entry = |(path, size): &(&str, u64)| Entry { path: (*path).into(), kind: kind(*size), mode: 0o644 };
    let size = files.iter().map(|(_, size)| size).sum();
    let diff_id = crate::domain::digest::DiffId(Digest::of(b"heavy"));
    Some(Arc::new(LayerFiles { diff_id, size, entries: files.iter().map(entry).collect() }))
}

/// A program that names the Runtime API, and a loader if it needs one.
fn program(machine: u8, loader: &str) -> Vec<u8> {
    let mut bytes = vec![0; 64 + 56];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[18] = machine;
    bytes[32] = 64;
    bytes[54] = 56;
    if !loader.is_empty() {
        bytes[56] = 1;
        bytes[64] = 3;
        bytes[72] = 120;
        bytes[96] = loader.len() as u8 + 1;
    }
    [&bytes, loader.as_bytes(), b"\0 AWS_LAMBDA_RUNTIME_API"].concat()
}

fn image(config: &Value, layers: usize) -> Image {
    let diff_ids: Vec<String> =
        (0..layers).map(|it| Digest::of(it.to_string().as_bytes()).to_string()).collect();
    let document = json!({
        "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config_bytes = Bytes::from(document.to_string());
    let about = Descriptor::new(MediaType::OciConfig, Digest::of(&config_bytes), config_bytes.len() as u64);
    let blob = Bytes::from_static(b"not read");
    let descriptor = Descriptor::new(MediaType::OciLayerGzip, Digest::of(&blob), blob.len() as u64);
    let layer = Layer { descriptor: descriptor.clone(), source: BlobSource::Memory(blob) };
    Image {
        manifest_bytes: Bytes::new(),
        manifest: Manifest::oci(about, vec![descriptor; layers]),
        media_type: MediaType::OciManifest,
        config: ImageConfig::parse(&config_bytes).unwrap(),
        config_bytes,
        layers: vec![layer; layers],
        remarks: Vec::new(),
    }
}

fn settled() -> Wanted {
    Wanted { is_settled: true, ..Wanted::default() }
}

fn judge_as(wanted: &Wanted, config: &Value, layers: &[Read]) -> Vec<Finding> {
    check(&image(config, layers.len()), wanted, &layers.iter().cloned().collect())
}

fn judge(config: &Value, layers: &[Read]) -> Vec<Finding> {
    judge_as(&settled(), config, layers)
}

#[track_caller]
fn assert_found(findings: &[Finding], expected: &[(Rule, Severity)]) {
    let found: Vec<(Rule, Severity)> = findings.iter().map(|it| (it.rule, it.severity)).collect();
    assert_eq!(found, expected, "{findings:#?}");
    for finding in findings {
        assert!(
            !finding.places.is_empty() && finding.places.iter().all(|it| *it != Place::default()),
            "{finding:?}"
        );
    }
}

/// An image that starts `words`, with what is needed to start most things.
#[track_caller]
fn assert_start(words: &[&str], entries: &[Given<'_>], expected: &[(Rule, Severity)]) -> Vec<Finding> {
    let (static_program, dynamic) = (program(X86_64, ""), program(X86_64, GLIBC));
    let base = [
        directory("lib64", 0o755),
        file(&GLIBC[1..], 0o755, &static_program),
        directory("bin", 0o755),
        file("bin/sh", 0o755, &dynamic),
        directory("usr", 0o755),
        directory("usr/bin", 0o755),
        file("usr/bin/env", 0o755, &dynamic),
    ];
    let findings = judge(&json!({ "Entrypoint": words }), &[layer(&base), layer(entries)]);
    assert_found(&findings, expected);
    findings
}

#[test]
fn what_is_started_has_to_be_there_and_to_be_a_program() {
    let (ours, windows) = (program(X86_64, ""), b"MZ\x90\0".as_slice());
    let start = |content: &[u8], expected: &[(Rule, Severity)]| {
        assert_start(&["/start"], &[file("start", 0o755, content)], expected)
    };
    start(&ours, &[]);
    start(&program(X86_64, GLIBC), &[]);
    start(&program(X86_64, "/lib/ld-musl-x86_64.so.1"), &[(Rule::InterpreterNotFound, Error)]);
    start(&program(183, ""), &[(Rule::WrongMachine, Error)]);
    // Nobody says whether Lambda runs programs of 32 bits.
    start(&program(3, ""), &[(Rule::WrongMachine, Warning)]);
    start(windows, &[(Rule::EntryPointFormat, Error)]);
    start(b"", &[(Rule::EntryPointFormat, Error), (Rule::NoRuntimeClient, Warning)][..1]);
    start(b"echo AWS_LAMBDA_RUNTIME_API", &[(Rule::EntryPointFormat, Error)]);
    assert_start(&["start"], &[file("start", 0o755, &ours)], &[(Rule::EntryPointNotFound, Error)]);
    assert_start(&["./start"], &[file("start", 0o755, &ours)], &[]);
    assert_start(&["env"], &[], &[]);
    assert_start(&["/usr"], &[], &[(Rule::EntryPointNotExecutable, Error)]);
    assert_start(&["/start"], &[hard_link("start", "bin/sh")], &[]);
    assert_start(&["/start"], &[link("start", "none")], &[(Rule::EntryPointNotFound, Error)]);
    assert_start(&["/start"], &[link("start", "start")], &[(Rule::EntryPointNotFound, Error)]);
    // EFS is mounted there; the image need not have it.
    assert_start(&["/mnt/models/start"], &[], &[]);
    assert_start(&["/proc/self/exe"], &[], &[]);
    let found =
        assert_start(&["/app/start"], &[file("start", 0o755, &ours)], &[(Rule::EntryPointNotFound, Error)]);
    assert!(found[0].fix.contains("the image has `/start`"), "{}", found[0].fix);
}

#[test]
fn scripts_need_what_their_first_line_names() {
    let script = |text: &str, expected: &[(Rule, Severity)]| {
        let text = format!("{text}\n: $AWS_LAMBDA_RUNTIME_API\n");
        assert_start(&["/start"], &[file("start", 0o755, text.as_bytes())], expected)
    };
    script("#!/bin/sh", &[]);
    script("#!/usr/bin/env sh", &[]);
    script("#! /usr/bin/env -S sh -e", &[]);
    script("#!/usr/bin/env -i sh", &[]);
    script("#!/bin/bash", &[(Rule::InterpreterNotFound, Error)]);
    script("#!/usr/bin/env python3", &[(Rule::InterpreterNotFound, Error)]);
    script("#!", &[(Rule::InterpreterNotFound, Error)]);
    script("#!/bin/sh\r", &[(Rule::LineEndings, Error)]);
    // A script that stands for a script that stands for itself.
    let endless = b"#!/start AWS_LAMBDA_RUNTIME_API\n";
    assert_start(&["/start"], &[file("start", 0o755, endless)], &[]);
    let unreadable = file("start", 0o711, b"#!/bin/sh AWS_LAMBDA_RUNTIME_API");
    assert_start(&["/start"], &[unreadable], &[(Rule::EntryPointNotExecutable, Error)]);
}

#[test]
fn a_program_has_to_be_open_to_everybody_and_its_directories_too() {
    let ours = program(X86_64, "");
    let closed = [(Rule::EntryPointNotExecutable, Error)];
    for (mode, expected) in
        [(0o755, &[][..]), (0o111, &[]), (0o4755, &[]), (0o750, &closed), (0o644, &closed)]
    {
        assert_start(&["/start"], &[file("start", mode, &ours)], expected);
    }
    let below = [directory("app", 0o700), file("app/start", 0o755, &ours)];
    assert_start(&["/app/start"], &below, &closed);
    // Said once, also where the directory is the one to work in, and one of the system's.
    for name in ["app", "root"] {
        let path = format!("{name}/start");
        let entries = [directory(name, 0o700), file(&path, 0o755, &ours)];
        let config = json!({ "Entrypoint": ["./start"], "WorkingDir": format!("/{name}") });
        let findings = judge(&config, &[layer(&entries)]);
        assert_found(&findings, &closed);
        assert_eq!(findings[0].places[0].path, Some(format!("/{name}")));
    }
    let top = [directory("app", 0o711), file("app/start", 0o755, &ours)];
    assert_start(&["/app/start"], &top, &[]);
}

#[test]
fn nothing_to_start_is_an_error_where_nobody_else_can_name_it() {
    let entries = [layer(&[directory("app", 0o755)])];
    let (nothing, found) = (json!({}), [(Rule::NoEntryPoint, Error)]);
    assert_found(&judge(&nothing, &entries), &found);
    assert_found(&judge_as(&Wanted::default(), &nothing, &entries), &[(Rule::NoEntryPoint, Warning)]);
    let ours = program(X86_64, "");
    let layers = [layer(&[file("other", 0o755, &ours)])];
    let overrides = ImageOverrides { entry_point: vec!["/other".to_owned()], ..ImageOverrides::default() };
    let wanted = Wanted { overrides, ..settled() };
    assert_found(&judge_as(&wanted, &json!({ "Entrypoint": ["/missing"] }), &layers), &[]);
    // Shells are missing in images from nothing.
    let shell = json!({ "Cmd": ["/bin/sh", "-c", "/other"] });
    let findings = judge(&shell, &layers);
    assert_found(&findings, &[(Rule::EntryPointNotFound, Error)]);
    assert!(findings[0].fix.contains("no shell"), "{}", findings[0].fix);
}

#[test]
fn what_was_not_read_is_never_missing() {
    let dynamic = program(X86_64, GLIBC);
    let top = layer(&[file("app/start", 0o755, &dynamic), hard_link("again", "etc/other")]);
    let config = json!({ "Entrypoint": ["/app/start"], "WorkingDir": "/work" });
    assert_found(&judge(&config, &[None, top.clone()]), &[]);
    assert_found(&judge(&json!({ "Cmd": ["python3"], "WorkingDir": "/w" }), &[None, top.clone()]), &[]);
    // A layer above may hold another program, with other rights.
    let closed = layer(&[file("start", 0o600, b"")]);
    assert_found(&judge(&json!({ "Cmd": ["/start"] }), &[closed, None]), &[]);
    // What is certain is said all the same.
    let closed = layer(&[file("start", 0o600, &dynamic)]);
    let certain = [(Rule::EntryPointNotExecutable, Error)];
    assert_found(&judge(&json!({ "Cmd": ["/start"] }), &[None, closed]), &certain);
}

#[test]
fn the_working_directory_has_to_be_there() {
    let ours = program(X86_64, "");
    let layers = [layer(&[file("start", 0o755, &ours), directory("app", 0o755)])];
    let missing = [(Rule::WorkingDirectoryNotFound, Error)];
    for (directory, expected) in [
        ("", &[][..]),
        ("/", &[]),
        ("/app", &[]),
        ("app/", &[]),
        ("/mnt/data", &[]),
        ("/tmp", &[]),
        ("/src", &missing),
        ("/start", &missing),
    ] {
        let config = json!({ "Entrypoint": ["/start"], "WorkingDir": directory });
        assert_found(&judge(&config, &layers), expected);
    }
}

/// Python without an AWS base, in `/app`.
#[track_caller]
fn assert_code(entries: &[Given<'_>], expected: &[(Rule, Severity)]) -> Vec<Finding> {
    let python = program(X86_64, "");
    let config = json!({
        "Entrypoint": ["/python3", "-m", "awslambdaric"], "Cmd": ["app.handler"], "WorkingDir": "/app",
    });
    let findings = judge(&config, &[layer(&[file("python3", 0o755, &python)]), layer(entries)]);
    assert_found(&findings, expected);
    findings
}

#[test]
fn closed_files_are_errors_where_they_are_named_and_warnings_elsewhere() {
    let app = directory("app", 0o755);
    assert_code(&[app, file("app/app.py", 0o444, b"x")], &[]);
    let findings = assert_code(&[app, file("app/app.py", 0o600, b"x")], &[(Rule::UnreadableCode, Error)]);
    assert_eq!(findings[0].places[0].path.as_deref(), Some("/app/app.py"));
    let other = file("app/secret.pem", 0o600, b"x");
    assert_code(&[app, file("app/app.py", 0o644, b"x"), other], &[(Rule::UnreadableFile, Warning)]);
    let (cache, inside) = (directory("app/.git", 0o700), file("app/.git/config", 0o600, b"x"));
    let findings = assert_code(&[app, cache, inside], &[(Rule::UnreadableFile, Warning)]);
    assert_eq!(findings[0].count, 1, "of a closed directory, only itself");
    let closed = directory("app", 0o700);
    assert_code(&[closed, file("app/app.py", 0o644, b"x")], &[(Rule::UnreadableCode, Error)]);
    assert_code(&[closed, file("app/other", 0o644, b"x")], &[(Rule::UnreadableFile, Warning)]);
    // A later layer opens it.
    let layers = [
        layer(&[closed, file("app/app.py", 0o600, b"x"), file("start", 0o755, &program(X86_64, ""))]),
        layer(&[app, file("app/app.py", 0o644, b"x")]),
    ];
    let config = json!({ "Entrypoint": ["/start", "app.handler"], "WorkingDir": "/app" });
    assert_found(&judge(&config, &layers), &[]);
    // Nobody works in the root, and what the system keeps to itself is none of the function's.
    let ours = program(X86_64, "");
    let system = [file("start", 0o755, &ours), file("secret", 0o600, b"x")];
    assert_found(&judge(&json!({ "Entrypoint": ["/start"] }), &[layer(&system)]), &[]);
}

/// An AWS base image of a language, with the words of CMD and more files.
fn on_aws(language: &str, command: &[&str], variables: &[&str], entries: &[Given<'_>]) -> Vec<Finding> {
    let ours = program(X86_64, "");
    let entry_point = b"#!/sh\n echo entrypoint requires the handler name to be the first argument\n";
    let language = format!("var/lang/bin/{language}");
    let base = [
        file("sh", 0o755, &ours),
        file("lambda-entrypoint.sh", 0o755, entry_point),
        directory("var", 0o755),
        directory("var/lang", 0o755),
        directory("var/lang/bin", 0o755),
        file(&language, 0o755, &ours),
        directory("var/runtime", 0o755),
        file("var/runtime/bootstrap", 0o755, b"#!/sh\n"),
        directory("var/task", 0o755),
    ];
    let config = json!({
        "Entrypoint": ["/lambda-entrypoint.sh"], "Cmd": command, "WorkingDir": "/var/task", "Env": variables,
    });
    judge(&config, &[layer(&base), layer(entries)])
}

#[test]
fn aws_base_images_need_one_handler_and_its_file() {
    let app = file("var/task/app.py", 0o644, b"x");
    let (wrong, absent) = ([(Rule::Handler, Error)], [(Rule::HandlerNotFound, Error)]);
    for (language, command, entries, expected) in [
        ("python3", &["app.handler"][..], &[app][..], &[][..]),
        ("python3", &[], &[app], &wrong),
        ("python3", &["app.handler", "--more"], &[app], &wrong),
        ("python3", &["handler"], &[app], &wrong),
        ("python3", &["main.handler"], &[app], &absent),
        ("node", &["app.handler"], &[app], &absent),
        // A directory that is a link, and a language whose handlers say nothing about files.
        ("python3", &["code/app.handler"], &[link("var/task/code", "."), app], &[]),
        ("java", &["com.example.App::handle"], &[], &[]),
    ] {
        assert_found(&on_aws(language, command, &[], entries), expected);
    }
    assert_found(&on_aws("python3", &["x.y"], &["AWS_LAMBDA_EXEC_WRAPPER=/opt/wrap"], &[app]), &[]);
    assert_found(&on_aws("python3", &["x.y"], &["PYTHONPATH=/mnt/efs/code"], &[app]), &[]);
    let gone = file("var/runtime/.wh.bootstrap", 0, b"");
    assert_found(&on_aws("python3", &["app.handler"], &[], &[app, gone]), &[(Rule::NoBootstrap, Warning)]);
}

#[test]
fn a_program_that_does_not_know_the_runtime_api_is_a_warning() {
    let mute: Vec<u8> = program(X86_64, "")[..120].to_vec();
    let warned = [(Rule::NoRuntimeClient, Warning)];
    let config = json!({ "Entrypoint": ["/start"] });
    let start = file("start", 0o755, &mute);
    assert_found(&judge(&config, &[layer(&[start])]), &warned);
    assert_found(&judge(&config, &[None, layer(&[start])]), &[]);
    for (path, content) in [
        (
            "client.jar",
            b"PK\x03\x04 BOOT-INF/lib/aws-lambda-java-runtime-interface-client-2.4.jar".as_slice(),
        ),
        ("Amazon.Lambda.RuntimeSupport.dll", b"MZ"),
        ("adapter", b"AWS_LAMBDA_RUNTIME_API"),
    ] {
        assert_found(&judge(&config, &[layer(&[start, file(path, 0o644, content)])]), &[]);
    }
    let packed = [&mute[..], b"UPX!"].concat();
    assert_found(&judge(&config, &[layer(&[file("start", 0o755, &packed)])]), &[]);
}

/// An image that starts and has this configuration besides.
fn with_config(config: Value) -> Vec<Finding> {
    with_config_as(&settled(), config)
}

fn with_config_as(wanted: &Wanted, mut config: Value) -> Vec<Finding> {
    config["Entrypoint"] = json!(["/start"]);
    let ours = program(X86_64, "");
    judge_as(wanted, &config, &[layer(&[file("start", 0o755, &ours)])])
}

#[test]
fn what_has_no_effect_is_noted_and_nothing_secret_is_shown() {
    assert_found(&with_config(json!({ "User": "1000" })), &[(Rule::UserIgnored, Note)]);
    assert_found(&with_config(json!({ "User": "", "Volumes": {}, "ExposedPorts": {} })), &[]);
    assert_found(&with_config(json!({ "ExposedPorts": { "80/tcp": {} } })), &[(Rule::PortsIgnored, Note)]);
    assert_found(&with_config(json!({ "Volumes": { "/data": {} } })), &[(Rule::VolumeIgnored, Note)]);
    let health = |words: Value| with_config(json!({ "Healthcheck": { "Test": words } }));
    assert_found(&health(json!(["CMD", "true"])), &[(Rule::HealthCheckIgnored, Note)]);
    assert_found(&health(json!(["NONE"])), &[]);
    let variables = |words: &[&str]| with_config(json!({ "Env": words }));
    assert_found(
        &variables(&["LAMBDA_TASK_ROOT=/var/task", "LANG=C", "AWS_ACCESS_KEY_ID="]),
        &[(Rule::ReservedVariable, Note)],
    );
    assert_found(&variables(&["LAMBDA_TASK_ROOT=/var/task"]), &[]);
    assert_found(&variables(&["AWS_REGION=eu-west-1"]), &[(Rule::ReservedVariable, Note)]);
    let secret = variables(&["AWS_SECRET_ACCESS_KEY=hush"]);
    assert_found(&secret, &[(Rule::Credentials, Warning)]);
    assert!(!format!("{secret:?}").contains("hush"));
}

#[test]
fn writing_is_possible_below_tmp_only() {
    let written = |value: &str| with_config(json!({ "Env": [value] }));
    let warned = [(Rule::ReadOnlyCache, Warning)];
    assert_found(&written("TMPDIR=/var/tmp"), &warned);
    for fine in ["TMPDIR=/tmp", "TMPDIR=/tmp/mine", "MPLCONFIGDIR=/mnt/efs", "TMPDIR=", "TMPDIR=tmp"] {
        assert_found(&written(fine), &[]);
    }
    // The function's own value wins.
    let wanted = Wanted { environment: [("TMPDIR".to_owned(), "/tmp".to_owned())].into(), ..settled() };
    assert_found(&with_config_as(&wanted, json!({ "Env": ["TMPDIR=/data"] })), &[]);
    let npx = |variables: &[&str]| {
        let ours = program(X86_64, "");
        let config = json!({ "Cmd": ["/bin/npx", "aws-lambda-ric"], "Env": variables });
        judge(&config, &[layer(&[directory("bin", 0o755), file("bin/npx", 0o755, &ours)])])
    };
    assert_found(&npx(&[]), &warned);
    assert_found(&npx(&["npm_config_cache=/tmp/.npm"]), &[]);
}

#[test]
fn files_in_tmp_are_hidden() {
    let (ours, large) = (program(X86_64, ""), vec![0; 2_000_000]);
    let tmp = directory("tmp", 0o1777);
    let start = file("start", 0o755, &ours);
    let fine = [tmp, start, file("tmp/left-behind", 0o644, b"x")];
    assert_found(&judge(&json!({ "Cmd": ["/start"] }), &[layer(&fine)]), &[]);
    let data = [tmp, start, file("tmp/model", 0o644, &large)];
    assert_found(&judge(&json!({ "Cmd": ["/start"] }), &[layer(&data)]), &[(Rule::HiddenByTmp, Warning)]);
    let inside = [tmp, file("tmp/start", 0o755, &ours)];
    assert_found(&judge(&json!({ "Cmd": ["/tmp/start"] }), &[layer(&inside)]), &[(Rule::HiddenByTmp, Error)]);
    let works = json!({ "Cmd": ["/start"], "WorkingDir": "/tmp/app" });
    let entries = [tmp, start, directory("tmp/app", 0o755)];
    assert_found(&judge(&works, &[layer(&entries)]), &[(Rule::HiddenByTmp, Error)]);
}

#[test]
fn the_order_of_entries_matters() {
    let ours = program(X86_64, "");
    let (config, start) = (json!({ "Cmd": ["/start"] }), file("start", 0o755, &ours));
    let fine = [directory("opt", 0o755), file("opt/x", 0o644, b"")];
    assert_found(&judge(&config, &[layer(&[start]), layer(&fine)]), &[]);
    assert_found(&judge(&config, &[layer(&fine), layer(&[start, file("opt/y", 0o644, b"")])]), &[]);
    let early = [start, file("opt/x", 0o644, b""), file("opt/y", 0o644, b""), directory("opt", 0o755)];
    let findings = judge(&config, &[layer(&early)]);
    assert_found(&findings, &[(Rule::MissingParent, Error)]);
    assert!(findings[0].places[0].to_string().contains("`/opt/x` in layer 1"), "{}", findings[0].places[0]);
    let links = [start, hard_link("x", "none")];
    assert_found(&judge(&config, &[layer(&links)]), &[(Rule::BrokenHardLink, Error)]);
    // What AUFS left in layers of old engines.
    let aufs = [
        start,
        file(".wh..wh.plnk/1.2", 0o644, b""),
        hard_link("x", ".wh..wh.plnk/1.2"),
        file(".wh..wh.aufs", 0, b""),
    ];
    assert_found(&judge(&config, &[layer(&aufs)]), &[]);
}

#[test]
fn sizes_are_added_up_and_the_largest_are_named() {
    const GB: u64 = 1_000_000_000;
    let start = |_: ()| layer(&[file("start", 0o755, &program(X86_64, ""))]);
    let config = json!({ "Cmd": ["/start"] });
    assert_found(&judge(&config, &[start(()), heavy(&[("model", 9 * GB)])]), &[]);
    let near = judge(&config, &[start(()), heavy(&[("model", 10 * GB)])]);
    assert_found(&near, &[(Rule::NearlyTooLarge, Warning)]);
    let over = judge(&config, &[start(()), heavy(&[("one", 6 * GB), ("two", 5 * GB)])]);
    assert_found(&over, &[(Rule::TooLarge, Error)]);
    assert!(over[0].message.contains("layer 2 11.0 GB, layer 1"), "{}", over[0].message);
    assert!(over[0].message.contains("`/one` 6.0 GB, `/two` 5.0 GB"), "{}", over[0].message);
    // Hidden bytes count for the total, and are a note of their own.
    let hidden = judge(&config, &[heavy(&[("x", GB)]), start(()), heavy(&[(".wh.x", 0)])]);
    assert_found(&hidden, &[(Rule::DeletedFiles, Note)]);
    let small = judge(&config, &[heavy(&[("x", 9_000_000)]), start(()), heavy(&[(".wh.x", 0)])]);
    assert_found(&small, &[]);
    let compiler = layer(&[
        directory("usr", 0o755),
        directory("usr/lib", 0o755),
        directory("usr/lib/gcc", 0o755),
        directory("usr/lib/gcc/12", 0o755),
    ]);
    let compilers = judge(&config, &[start(()), compiler, heavy(&[("usr/lib/gcc/12/cc1", 30_000_000)])]);
    assert_found(&compilers, &[(Rule::CompilerLeft, Note)]);
    let mut many = vec![layer(&[directory("x", 0o755)]); 127];
    many.push(start(()));
    assert_found(&judge(&config, &many), &[(Rule::TooManyLayers, Warning)]);
    assert_found(&judge(&config, &many[1..]), &[]);
}

#[test]
fn snapshots_ask_for_more() {
    let wanted = |ephemeral_storage| Wanted { snap_start: true, ephemeral_storage, ..settled() };
    let labelled = json!({ "Labels": { "com.amazonaws.lambda.feature.snapstart": "Allow" } });
    assert_found(&with_config_as(&wanted(Some(512)), labelled.clone()), &[]);
    assert_found(&with_config_as(&wanted(None), json!({})), &[(Rule::SnapStart, Warning)]);
    assert_found(&with_config_as(&wanted(Some(513)), labelled.clone()), &[(Rule::SnapStart, Error)]);
    // What Lambda has accepted is told, and refuses nothing.
    let accepted = Wanted { has_this_storage: true, ..wanted(Some(513)) };
    assert_found(&with_config_as(&accepted, labelled.clone()), &[(Rule::SnapStart, Warning)]);
    let mounted = Wanted { file_systems: vec!["arn:efs".to_owned()], ..wanted(None) };
    let found = with_config_as(&mounted, labelled.clone());
    assert_found(&found, &[(Rule::SnapStart, Warning)]);
    assert!(found[0].message.contains("`arn:efs`"), "{}", found[0].message);
    let without = Wanted { snap_start: false, ..mounted };
    assert_found(&with_config_as(&without, labelled), &[]);
}

#[test]
fn what_was_made_of_a_source_is_noted() {
    let ours = program(X86_64, "");
    let layers = [layer(&[file("start", 0o755, &ours)])];
    let remarks = vec![
        Remark::Chosen { platform: "linux/amd64".to_owned(), others: vec!["linux/arm64".to_owned()] },
        Remark::AttestationsLeftOut(2),
        Remark::LayersConverted { media_types: vec![MediaType::OciLayer] },
        Remark::FamiliesMixed { manifest: MediaType::OciManifest, config: MediaType::DockerConfig },
    ];
    let image = Image { remarks, ..image(&json!({ "Cmd": ["/start"] }), 1) };
    let notes = [Rule::Index, Rule::Attestations, Rule::LayerCompression, Rule::MediaTypes];
    assert_found(&check(&image, &settled(), &layers.into_iter().collect()), &notes.map(|rule| (rule, Note)));
}
