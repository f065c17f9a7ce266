//! What each place of the source may name, and what every file has to look like.

use std::collections::BTreeMap;

use super::code::{NamedPath, paths, without_comments_and_strings, without_tests};

/// For each layer, the layers it may use besides itself. `cli`, `main.rs` and `lib.rs` may use all.
const LAYERS: [(&str, &[&str]); 8] = [
    ("output", &["event", "domain"]),
    ("pipeline", &["image", "services", "event", "domain"]),
    ("local", &["image", "services", "event", "domain"]),
    ("config", &["image", "services", "event", "domain"]),
    ("image", &["services", "event", "domain"]),
    ("services", &["event", "domain"]),
    ("event", &["domain"]),
    ("domain", &[]),
];

/// What services may share; apart from these, none knows another.
const SHARED_SERVICES: [&str; 3] = ["api_error", "http", "session"];

/// The longest a file may be, in lines.
const LONGEST_FILE: usize = 600;

/// The modules of a file below `src`: `src/services/docker/mod.rs` is `services::docker`.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    match inner {
        "lib" | "main" => Vec::new(),
        _ => inner.split('/').map(str::to_owned).collect(),
    }
}

/// The path from the root of the crate; `None` for paths into other crates.
fn resolve(module: &[String], path: &NamedPath) -> Option<Vec<String>> {
    let mut base = module.to_vec();
    let mut rest = path.segments.as_slice();
    match rest.first().map(String::as_str)? {
        "crate" => (base, rest) = (Vec::new(), &rest[1..]),
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|segment| segment == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        _ => return None,
    }
    base.extend_from_slice(rest);
    Some(base)
}

fn code_of(text: &str) -> String {
    without_tests(&without_comments_and_strings(text))
}

/// Tells whether a file holds tests only; they may start whatever they need.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || path.contains("/tests/")
}

/// Complains about every path that runs from a layer to one it may not use.
pub fn arrows(path: &str, text: &str) -> Vec<String> {
    if is_test_file(path) {
        return Vec::new();
    }
    let module = module_of(path);
    let Some(layer) = module.first() else { return Vec::new() };
    if layer == "cli" {
        return Vec::new();
    }
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| name == layer) else {
        return vec![format!(
            "{path}: `{layer}` is not a layer; add it to the architecture or move the file"
        )];
    };
    let mut complaints = Vec::new();
    for named in paths(&code_of(text)) {
        let Some(target) = resolve(&module, &named) else { continue };
        let Some(used) = target.first() else { continue };
        let line = named.line;
        let written = named.segments.join("::");
        if used == "*" {
            complaints.push(format!("{path}:{line}: `{written}` takes in every layer; name what is needed"));
        } else if used == layer {
            complaints.extend(
                between_services(&module, &target)
                    .map(|(from, to)| format!("{path}:{line}: `{written}`: the service `{from}` must not know the service `{to}` (shared are {})", SHARED_SERVICES.join(", "))),
            );
        } else if !allowed.contains(&used.as_str()) {
            let may = if allowed.is_empty() { "itself".to_owned() } else { allowed.join(", ") };
            complaints
                .push(format!("{path}:{line}: `{written}`: `{layer}` must not use `{used}`, only {may}"));
        }
    }
    complaints
}

/// The two services, where one knows the other.
fn between_services<'a>(module: &'a [String], target: &'a [String]) -> Option<(&'a str, &'a str)> {
    if module[0] != "services" {
        return None;
    }
    let from = module.get(1)?;
    // `services` itself, brought in whole, opens the door to all of them.
    let to = target.get(1).map_or("*", String::as_str);
    (to != from && !SHARED_SERVICES.contains(&to)).then_some((from, to))
}

/// Complains about what only the command line and the screen may name, and about crates whose
/// types must not leave their layer.
pub fn names(path: &str, text: &str) -> Vec<String> {
    if is_test_file(path) {
        return Vec::new();
    }
    let module = module_of(path);
    let inside =
        |place: &[&str]| module.len() >= place.len() && place.iter().zip(&module).all(|(a, b)| a == b);
    let above = module.is_empty() || inside(&["cli"]);
    let screen = above || inside(&["output"]);
    let code = code_of(text);
    let mut complaints = Vec::new();
    let mut complain = |line: usize, what: &str, why: &str| {
        complaints.push(format!("{path}:{line}: `{what}`: {why}"));
    };

    for (line, content) in code.lines().enumerate() {
        for name in ["print!", "println!", "eprint!", "eprintln!", "dbg!"] {
            if !screen && has_word(content, name) {
                complain(line + 1, name, "below `cli` and `output` nobody prints; report an event");
            }
        }
    }
    for named in paths(&code) {
        let (line, written) = (named.line, named.segments.join("::"));
        let segments: Vec<&str> = named.segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["clap" | "clap_complete" | "clap_mangen" | "console" | "indicatif" | "dialoguer", ..]
                if !screen =>
            {
                complain(line, &written, "belongs to `cli` and `output`");
            }
            // What the machine is, and where temporary files go, is the same for everybody.
            ["std", "env"]
            | ["std", "env", "consts" | "temp_dir", ..]
            | ["env", "consts" | "temp_dir", ..] => {}
            ["std", "env", ..] | ["env", ..] | ["std", "*"] if !above => {
                complain(line, &written, "only `cli` reads the environment; take the value as an argument");
            }
            ["std", "process", "exit" | "abort", ..] | ["process", "exit" | "abort", ..] if !above => {
                complain(line, &written, "only `main` ends the process; return an error");
            }
            ["std" | "tokio", "io", "stdout" | "stderr", ..] | ["io", "stdout" | "stderr", ..] if !screen => {
                complain(line, &written, "below `cli` and `output` nobody prints; report an event");
            }
            ["anyhow", ..] if !above => {
                complain(
                    line,
                    &written,
                    "only `cli` has untyped errors; add to the module's error enumeration",
                );
            }
            ["bollard", ..] if !inside(&["services", "docker"]) => {
                complain(line, &written, "its types end in `services::docker`");
            }
            ["axum", ..] if !inside(&["local"]) => {
                complain(line, &written, "belongs to `local`");
            }
            [root, ..]
                if !inside(&["services"])
                    && (root.starts_with("aws_sdk_")
                        || root.starts_with("aws_smithy_")
                        || matches!(*root, "aws_config" | "aws_credential_types" | "aws_types")) =>
            {
                complain(line, &written, "the types of SDKs end in `services`");
            }
            _ => {}
        }
    }
    complaints
}

/// Tells whether `word` stands in `line` and is not the end of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(|before| before.is_alphanumeric() || before == '_')
    })
}

/// Complains about files without an introduction, too long ones, and names that say nothing.
pub fn shape(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints.push(format!("{path}:1: begins without `//!`: say what it owns and who calls it"));
    }
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        complaints
            .push(format!("{path}: {lines} lines, {LONGEST_FILE} are the most; split it by what it owns"));
    }
    for word in path.trim_end_matches(".rs").split(['/', '_']) {
        if matches!(word, "util" | "utils" | "helper" | "helpers") {
            complaints.push(format!("{path}: `{word}` says nothing; name it for what it owns"));
        }
    }
    complaints
}

/// Complains about files no module declares: the compiler never sees them, their tests never run.
pub fn forgotten(sources: &BTreeMap<String, String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for path in sources.keys() {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        if matches!(file, "main.rs" | "lib.rs") {
            continue;
        }
        let (parent_folder, name) = match file {
            "mod.rs" => folder.rsplit_once('/').unwrap_or(("", folder)),
            _ => (folder, file.trim_end_matches(".rs")),
        };
        let parents = [
            format!("{parent_folder}/mod.rs"),
            format!("{parent_folder}/lib.rs"),
            format!("{parent_folder}/main.rs"),
            format!("{parent_folder}.rs"),
        ];
        let declaration = format!("mod {name};");
        // `#[path = "…"]` gives a module a file of another name.
        let attribute = format!("#[path = \"{file}\"]");
        let renamed = sources.iter().any(|(other, text)| {
            other.rsplit_once('/').is_some_and(|(place, _)| place == folder) && text.contains(&attribute)
        });
        let declared = renamed
            || parents.iter().filter_map(|parent| sources.get(parent)).any(|text| {
                without_comments_and_strings(text).lines().any(|line| {
                    let line = line.trim();
                    line == declaration
                        || line
                            .strip_suffix(&declaration)
                            .is_some_and(|visibility| visibility.starts_with("pub"))
                })
            });
        if !declared {
            complaints.push(format!("{path}: no `{declaration}` declares it, so it is never compiled"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only complaint, to be looked at more closely.
    fn complaint(complaints: Vec<String>) -> String {
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        complaints.into_iter().next().unwrap()
    }

    #[test]
    fn an_arrow_that_runs_backwards_is_found_with_its_line_and_what_is_allowed() {
        let found = complaint(arrows("src/domain/plan.rs", "//! Plans.\nuse crate::event::Event;\n"));
        assert_eq!(
            found,
            "src/domain/plan.rs:2: `crate::event::Event`: `domain` must not use `event`, only itself"
        );
        for (path, code) in [
            ("src/output/plain.rs", "use crate::{domain::plan::Step, services::ecr};"),
            ("src/output/plain.rs", "use crate::pipeline::Cloud;"),
            ("src/pipeline/push.rs", "fn f() { crate::local::serve(); }"),
            ("src/local/store.rs", "use super::super::config::Settings;"),
            (
                "src/image/mod.rs",
                "use crate::pipeline::{self, push};\n#[cfg(test)]\nmod tests { use crate::cli; }",
            ),
            ("src/services/lambda/mod.rs", "impl From<crate::image::Image> for u8 {}"),
            ("src/event.rs", "use crate::output::Theme;"),
            ("src/event.rs", "use crate::*;"),
        ] {
            assert!(!arrows(path, code).is_empty(), "{path}: {code}");
        }
    }

    #[test]
    fn arrows_that_run_forwards_are_left_alone() {
        for (path, code) in [
            ("src/cli/deploy.rs", "use crate::{output, pipeline, local, domain};"),
            ("src/main.rs", "fn main() { lambdactl::cli::run() }"),
            ("src/lib.rs", "pub mod cli;\npub use crate::pipeline::Cloud;"),
            (
                "src/pipeline/mod.rs",
                "use crate::image::Image;\nuse self::push::push;\nuse super::services::ecr;",
            ),
            ("src/domain/spec.rs", "use super::arn::Arn;\nuse std::fmt;"),
            ("src/local/mod.rs", "// use crate::pipeline::Cloud;\nconst A: &str = \"crate::cli\";"),
            ("src/services/ecr.rs", "#[cfg(test)]\nmod tests {\n    use crate::local::serve;\n}"),
        ] {
            assert_eq!(arrows(path, code), [""; 0], "{path}: {code}");
        }
    }

    #[test]
    fn services_know_only_themselves_and_what_they_share() {
        let found =
            complaint(arrows("src/services/docker/build.rs", "use super::super::registry::RegistryClient;"));
        assert!(found.contains("the service `docker` must not know the service `registry`"), "{found}");
        assert!(!arrows("src/services/ecr.rs", "use super::{http, lambda};").is_empty());
        assert!(!arrows("src/services/ecr.rs", "use crate::services;\nuse super::*;").is_empty());
        for code in [
            "use super::api_error::ApiError;",
            "use crate::services::session;",
            "use crate::services::ecr::X;",
        ] {
            assert_eq!(arrows("src/services/ecr.rs", code), [""; 0], "{code}");
        }
        assert_eq!(arrows("src/services/registry/blob.rs", "use super::error::RegistryError;"), [""; 0]);
    }

    #[test]
    fn a_folder_that_is_no_layer_is_found() {
        assert!(complaint(arrows("src/tools/mod.rs", "")).contains("`tools` is not a layer"));
    }

    #[test]
    fn printing_reading_the_environment_and_exiting_are_found_below_the_command_line() {
        for (path, code) in [
            ("src/pipeline/push.rs", "fn f() { println!(); }"),
            ("src/services/ecr.rs", "fn f() { eprintln!(\"x\"); }"),
            ("src/local/mod.rs", "use std::io;\nfn f() { io::stdout(); }"),
            ("src/local/mod.rs", "use std::{env, fs};\nfn f() { env::var(\"HOME\"); }"),
            ("src/local/mod.rs", "use std::env::var;"),
            ("src/output/plain.rs", "fn f() { std::env::var_os(\"NO_COLOR\"); }"),
            ("src/image/mod.rs", "fn f() { std::process::exit(1) }"),
            ("src/image/mod.rs", "use std::process;\nfn f() { process::exit(1) }"),
            ("src/config/mod.rs", "#[derive(clap::Args)]\nstruct A;"),
            ("src/pipeline/mod.rs", "use indicatif::ProgressBar;"),
            ("src/pipeline/mod.rs", "use anyhow::Context;"),
            ("src/pipeline/mod.rs", "use aws_sdk_lambda::Client;"),
            ("src/services/registry/mod.rs", "use bollard::Docker;"),
            ("src/cli/deploy.rs", "use bollard::Docker;"),
            ("src/services/http.rs", "use axum::Router;"),
        ] {
            assert_eq!(names(path, code).len(), 1, "{path}: {code}: {:?}", names(path, code));
        }
    }

    #[test]
    fn what_is_allowed_where_it_stands_is_left_alone() {
        for (path, code) in [
            ("src/cli/context.rs", "use std::env;\nuse anyhow::Context;\nuse clap::Parser;"),
            ("src/main.rs", "fn main() { eprintln!(); std::process::exit(1) }"),
            ("src/output/human.rs", "use console::Style;\nfn f() { eprintln!(); std::io::stderr(); }"),
            (
                "src/image/mod.rs",
                "const A: &str = std::env::consts::ARCH;\nuse std::env;\nfn f() { std::env::temp_dir(); env::temp_dir(); }",
            ),
            ("src/services/docker/mod.rs", "use bollard::Docker;\nuse std::process::Command;"),
            ("src/services/ecr.rs", "use aws_sdk_ecr::Client;\nfn f() { c.stdout(x); my_print!(); }"),
            ("src/local/mod.rs", "use axum::Router; // println!()"),
            ("src/pipeline/mod.rs", "#[cfg(test)]\nmod tests { fn f() { println!(); std::env::vars(); } }"),
        ] {
            assert_eq!(names(path, code), [""; 0], "{path}: {code}");
        }
    }

    #[test]
    fn files_without_an_introduction_too_long_or_badly_named_are_found() {
        assert!(complaint(shape("src/a.rs", "use std::fmt;\n")).contains("`//!`"));
        assert!(complaint(shape("src/a.rs", &format!("//! A.\n{}", "\n".repeat(600)))).contains("601 lines"));
        assert!(complaint(shape("src/image/tar_utils.rs", "//! A.\n")).contains("`utils`"));
        assert_eq!(shape("src/a.rs", &format!("//! A.\n{}", "\n".repeat(599))), [""; 0]);
    }

    #[test]
    fn files_nobody_declares_are_found() {
        let sources = |files: &[(&str, &str)]| -> BTreeMap<String, String> {
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
        };
        let declared = sources(&[
            ("src/lib.rs", "pub mod a;\nmod b;\n"),
            ("src/a.rs", ""),
            ("src/b/mod.rs", "pub(crate) mod c;\n"),
            ("src/b/c.rs", "#[cfg(test)]\n#[path = \"c_tests.rs\"]\nmod tests;\n"),
            ("src/b/c_tests.rs", ""),
        ]);
        assert_eq!(forgotten(&declared), [""; 0]);
        let missing = sources(&[
            ("tests/it/main.rs", "// mod a;\nmod ab;\n"),
            ("tests/it/a.rs", ""),
            ("tests/it/ab.rs", ""),
        ]);
        assert!(complaint(forgotten(&missing)).starts_with("tests/it/a.rs: no `mod a;`"));
    }
}
