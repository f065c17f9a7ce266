//! The layers of the source: no arrow runs backwards.
//!
//! ```text
//! main ─► cli ─► { output, pipeline, local, config } ─► image ─► services ─► { event, domain }
//! ```
//!
//! [`code`] reads Rust as far as this needs it, [`rules`] holds what is allowed. The tests at the
//! end of both show that each rule fails on a sample that breaks it.

mod code;
mod rules;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The files of one folder and all below it, by their paths relative to the repository.
fn sources(folder: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    walkdir::WalkDir::new(root.join(folder))
        .into_iter()
        .map(|entry| entry.expect("the source can be read").into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().to_str().expect("names are UTF-8").replace('\\', "/");
            let text = fs::read_to_string(&path).expect("the source is UTF-8");
            (name, text)
        })
        .collect()
}

/// Fails with every complaint at once, so that one run shows all of them.
#[track_caller]
fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn no_arrow_runs_backwards() {
    let sources = sources("src");
    assert!(
        sources.len() > 30,
        "only {} files were found: does this test still look at src/?",
        sources.len()
    );
    assert_none(sources.iter().flat_map(|(path, text)| rules::arrows(path, text)).collect());
}

#[test]
fn only_the_screen_prints_and_only_the_command_line_reads_the_environment() {
    assert_none(sources("src").iter().flat_map(|(path, text)| rules::names(path, text)).collect());
}

#[test]
fn files_are_short_introduced_and_named_for_what_they_own() {
    let both = sources("src").into_iter().chain(sources("tests/it"));
    assert_none(both.flat_map(|(path, text)| rules::shape(&path, &text)).collect());
}

#[test]
fn no_file_is_forgotten() {
    assert_none(rules::forgotten(&sources("src")));
    assert_none(rules::forgotten(&sources("tests/it")));
}
