//! The command line: help, configuration errors, completions, man pages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const VERBS: [&str; 17] = [
    "deploy",
    "plan",
    "build",
    "push",
    "check",
    "dev",
    "watch",
    "status",
    "wake",
    "invoke",
    "logs",
    "run",
    "policy",
    "doctor",
    "local",
    "completions",
    "man",
];

const SUBCOMMANDS: [&[&str]; 21] = [
    &["deploy"],
    &["plan"],
    &["build"],
    &["push"],
    &["check"],
    &["watch"],
    &["status"],
    &["wake"],
    &["policy"],
    &["policy", "show"],
    &["policy", "ensure"],
    &["policy", "iam"],
    &["doctor"],
    &["local"],
    &["local", "serve"],
    &["local", "status"],
    &["local", "fail"],
    &["local", "idle"],
    &["local", "reset"],
    &["completions"],
    &["man"],
];

const SHELLS: [(&str, &str); 5] = [
    ("bash", "lambdactl.bash"),
    ("elvish", "lambdactl.elv"),
    ("fish", "lambdactl.fish"),
    ("powershell", "_lambdactl.ps1"),
    ("zsh", "_lambdactl"),
];

/// The program in `directory`, with nothing of the machine's environment.
fn lambdactl(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lambdactl"));
    command.args(arguments).current_dir(directory).stdin(Stdio::null()).env_clear();
    command.env("HOME", directory).env("PATH", "/usr/bin:/bin");
    command
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    lambdactl(directory, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("project-").tempdir().unwrap();
    for (name, content) in files {
        fs::write(directory.path().join(name), content).unwrap();
    }
    directory
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn help_lists_exactly_the_verbs() {
    let directory = project(&[]);
    let help = run(directory.path(), &["--help"]);
    assert!(help.status.success() && help.stderr.is_empty());
    let help = text(&help.stdout);
    let listed: Vec<_> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(listed, VERBS);
}

#[test]
fn every_help_page_has_examples_that_parse() {
    let directory = project(&[]);
    for words in SUBCOMMANDS {
        let help = run(directory.path(), &[words, &["--help"]].concat());
        assert!(help.status.success(), "{words:?}");
        let help = text(&help.stdout);
        let examples = help.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("{words:?}: {help}"));
        assert!(examples.contains(&format!("lambdactl {}", words.join(" "))), "{words:?}: {examples}");
        for example in examples.lines().filter_map(|line| line.trim().strip_prefix("lambdactl ")) {
            let words = example.split(['|', '>']).next().unwrap().split_whitespace();
            let parsed =
                lambdactl::cli::command().try_get_matches_from(std::iter::once("lambdactl").chain(words));
            assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
        }
    }
}

#[test]
fn what_stands_in_columns_fits_into_a_terminal() {
    for words in [&[][..], &["invoke"], &["run"]].into_iter().chain(SUBCOMMANDS) {
        let help = lambdactl(Path::new("."), words).arg("--help").env("COLUMNS", "1000").output().unwrap();
        let help = text(&help.stdout);
        let (_, columns) = help.split_once("\nExamples:\n").unwrap();
        // A command alone may be longer: it is copied as it is.
        let is_command = |line: &&str| line.starts_with("  lambdactl ") && !line.trim().contains("  ");
        for line in columns.lines().filter(|line| !is_command(line)) {
            assert!(line.chars().count() <= 80, "{words:?}: {line}");
        }
    }
}

#[test]
fn usage_errors_end_with_2_and_help_and_version_with_0() {
    let directory = project(&[("Dockerfile", "FROM scratch")]);
    for (arguments, code) in [
        (&["--version"] as &[&str], 0),
        (&["deploy", "-h"], 0),
        (&[], 2),
        (&["bogus"], 2),
        (&["watch"], 2),
        (&["deploy", "--memory-size", "64"], 2),
        (&["deploy", "--architecture", "mips"], 2),
        (&["deploy", "--role", "a b"], 2),
        (&["deploy", "--image", "hello"], 2),
        (&["deploy", "--stage", "prod"], 2),
        (&["deploy", "--set-env-vars", "A"], 2),
        (&["deploy", "--update-env-vars", "AWS_REGION=x"], 2),
        (&["deploy", "nowhere"], 2),
        (&["deploy", ".", "."], 2),
        (&["deploy", "--config", "a.toml", "."], 2),
        (&["plan", "-q", "-v"], 2),
        (&["local", "serve", "--listen", "0.0.0.0:4566"], 2),
        (&["local", "reset"], 2),
    ] {
        let output = run(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_nearest_key() {
    let directory = project(&[("lambdactl.toml", "[function]\nname = \"x\"\nmemroy_size = 512\n")]);
    let output = run(directory.path(), &["plan"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "error: lambdactl.toml:3:1: unknown key `memroy_size` in `[function]`\nhint: did you mean `memory_size`?\n"
    );
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn configuration_and_usage_errors_are_objects_in_json() {
    let directory = project(&[("lambdactl.toml", "[function]\ntimeout = 901\n")]);
    for arguments in [&["plan", "--output", "json"] as &[&str], &["--output=json", "bogus"]] {
        let output = run(directory.path(), arguments);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), String::new()));
        let error: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(error["reason"], "error", "{error}");
        assert!(!error["message"].as_str().unwrap().contains('\n'), "{error}");
    }
}

#[test]
fn nothing_to_deploy_says_what_to_do() {
    let directory = project(&[]);
    let output = run(directory.path(), &["deploy"]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        error.contains("neither `lambdactl.toml` nor `Dockerfile`") && error.contains("--image"),
        "{error}"
    );
}

#[test]
fn values_of_variables_never_appear_in_errors_or_help() {
    let directory = project(&[("Dockerfile", "FROM scratch")]);
    for arguments in [&["deploy"] as &[&str], &["deploy", "--help"], &["deploy", "--output", "json"]] {
        let output = lambdactl(directory.path(), arguments)
            .env("LAMBDACTL_SET_ENV_VARS", "hunter2")
            .env("LAMBDACTL_TAGS", "a=hunter2")
            .output()
            .unwrap();
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(!all.contains("hunter2"), "{all}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let directory = project(&[]);
    let mut child = lambdactl(directory.path(), &["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn help_has_no_colour_when_piped() {
    let directory = project(&[]);
    let output = run(directory.path(), &["deploy", "--help"]);
    assert!(!output.stdout.contains(&0x1b));
    let output = run(directory.path(), &["--color", "always", "deploy", "--help"]);
    assert!(output.stdout.contains(&0x1b));
}

#[test]
fn the_committed_completions_are_the_generated_ones() {
    let directory = project(&[]);
    for (shell, file) in SHELLS {
        let output = run(directory.path(), &["completions", shell]);
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}");
        committed(&repository().join("completions").join(file), &output.stdout);
    }
}

#[test]
fn the_committed_man_pages_are_the_generated_ones() {
    let directory = project(&[]);
    let output = run(directory.path(), &["-q", "man", "pages"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let generated = names(&directory.path().join("pages"));
    for words in SUBCOMMANDS {
        let page = format!("lambdactl-{}.1", words.join("-"));
        assert!(generated.contains(&page), "{page} is not among {generated:?}");
    }
    for page in &generated {
        let bytes = fs::read(directory.path().join("pages").join(page)).unwrap();
        committed(&repository().join("man").join(page), &bytes);
    }
    assert_eq!(names(&repository().join("man")), generated, "pages of commands that are gone");
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Compares with the committed file, or writes it with `UPDATE=1`.
fn committed(path: &Path, generated: &[u8]) {
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, generated).unwrap();
    }
    let found = fs::read(path).unwrap_or_default();
    assert!(found == generated, "{} is out of date: run the tests with UPDATE=1", path.display());
}

#[test]
fn completions_are_valid_in_the_shells_that_are_installed() {
    let checks: [(&str, &[&str]); 3] = [("bash", &["-n"]), ("zsh", &["-n"]), ("fish", &["--no-execute"])];
    let mut checked = 0;
    for (shell, arguments) in checks {
        let (_, file) = SHELLS.iter().find(|(name, _)| *name == shell).unwrap();
        let script = repository().join("completions").join(file);
        match Command::new(shell).args(arguments).arg(&script).output() {
            Ok(output) => {
                assert!(output.status.success(), "{shell}: {}", text(&output.stderr));
                checked += 1;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("{shell}: {error}"),
        }
    }
    assert!(checked > 0, "no shell to check with");
}

#[test]
fn bash_completes_verbs_options_and_values() {
    let script = repository().join("completions/lambdactl.bash");
    for (words, expected) in [
        (vec!["lambdactl", "de"], "deploy"),
        (vec!["lambdactl", "deploy", "--memory"], "--memory-size"),
        (vec!["lambdactl", "deploy", "--architecture", "ar"], "arm64"),
        (vec!["lambdactl", "local", "re"], "reset"),
    ] {
        let program = format!(
            "source '{}'; COMP_WORDS=({}); COMP_CWORD={}; _lambdactl lambdactl '{}' '{}'; echo \"${{COMPREPLY[*]}}\"",
            script.display(),
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let output = Command::new("bash").args(["--norc", "-c", &program]).output().unwrap();
        let found = text(&output.stdout);
        assert!(found.split_whitespace().any(|word| word == expected), "{words:?}: {found}");
    }
}
