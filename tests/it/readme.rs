//! What the README says is so: its commands, its configuration, its policy, its exit codes.

use std::path::Path;

use lambdactl::domain::caller_policy::{Besides, Touched, caller_policy};
use lambdactl::domain::spec::RoleSpec;
use serde_json::Value;

use crate::support::sandbox::{Sandbox, finish};

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The contents of all code blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let readme = readme();
    let fence = format!("```{language}\n");
    let blocks: Vec<String> =
        readme.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect();
    assert!(!blocks.is_empty(), "the README has a block of {language}");
    blocks
}

/// Every command line of lambdactl in shell blocks and in the running text.
fn command_lines() -> Vec<String> {
    let readme = readme();
    let in_text = readme.split('`').filter(|text| text.starts_with("lambdactl "));
    let in_blocks = blocks("sh").join("\n");
    let in_blocks = in_blocks.lines().flat_map(|line| line.find("lambdactl ").map(|at| &line[at..]));
    let all = in_blocks.chain(in_text);
    all.map(|line| line.split(['#', ')', '`']).next().unwrap_or(line).trim().to_owned()).collect()
}

#[test]
fn every_command_and_option_of_the_readme_exists() {
    let sandbox = Sandbox::new();
    let lines = command_lines();
    assert!(lines.len() > 10, "{lines:?}");
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        // `policy show` and `local serve` are two words; what follows other verbs is theirs.
        let verbs = if matches!(words[0], "policy" | "local") { 2 } else { 1 };
        let mut command = sandbox.lambdactl(&words[..verbs]);
        command.arg("--help");
        let help = finish(command).expect(0).stdout;
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(option), "`{line}`: no `{option}` in its help");
        }
    }
}

#[test]
fn every_configuration_of_the_readme_is_understood() {
    let sandbox = Sandbox::new();
    for (number, block) in blocks("toml").iter().enumerate() {
        let file = sandbox.path().join(format!("{number}.toml"));
        std::fs::write(&file, block).unwrap();
        let shown = ["policy", "show", "--local", "--config", file.to_str().unwrap(), "--function", "hello"];
        let done = sandbox.run(shown);
        // Nothing was deployed, so there is no repository; but all of the file was read.
        let name = format!("{number}.toml");
        assert!(!done.stderr.contains(&name), "{block}\n{done}");
        std::fs::write(&file, format!("{block}\n[nonsense]\n")).unwrap();
        let done = sandbox.run(shown).expect(2);
        assert!(done.stderr.contains(&name) && done.stderr.contains("nonsense"), "{done}");
    }
}

#[test]
fn the_least_policy_of_the_readme_is_the_one_that_policy_iam_prints() {
    let role = RoleSpec::Arn("arn:aws:iam::123456789012:role/hello".parse().unwrap());
    let (repository, function) = ("hello".parse().unwrap(), "hello".parse().unwrap());
    let expected = caller_policy(&Touched {
        region: "eu-west-1",
        account: "123456789012",
        repository: ("123456789012".to_owned(), &repository),
        create_repository: true,
        function: &function,
        role: Some(role),
        create_role: false,
        configures: true,
        tags: false,
        bases: &[],
        besides: Besides::default(),
    });
    let documented: Vec<Value> =
        blocks("json").iter().filter_map(|block| serde_json::from_str(block).ok()).collect();
    assert_eq!(documented, [expected]);
}

#[test]
fn the_exit_codes_of_the_readme_are_those_of_the_help() {
    let help = Sandbox::new().run(["--help"]).expect(0).stdout;
    let listed = help.split("Exit codes:").nth(1).expect("the help lists exit codes");
    let of_help: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let readme = readme();
    let table = readme.split("| exit code | meaning |").nth(1).expect("the README lists exit codes");
    let of_readme: Vec<&str> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| line.split('|').nth(1).map(str::trim))
        .collect();
    assert_eq!(of_readme, of_help);
}
