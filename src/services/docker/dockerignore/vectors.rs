//! Cases of what is sent and what is not, most of them seen with the real docker client.

use std::path::Path;

use super::*;

fn dockerignore(text: &str) -> Dockerignore {
    match parse(text) {
        Ok(patterns) => Dockerignore { file: Some(".dockerignore".into()), patterns },
        Err(invalid) => panic!("{text:?}: {invalid:?}"),
    }
}

/// Judges a path the way a walk does, directory by directory.
fn is_sent(ignore: &Dockerignore, path: &str, walk: Walk) -> bool {
    let mut verdict: Option<Verdict> = None;
    for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
        let part = &path[..end];
        let next = ignore.judge(part, verdict.as_ref());
        if next.excluded && (end == path.len() || !ignore.may_except_below(part, walk)) {
            return false;
        }
        verdict = Some(next);
    }
    true
}

#[test]
fn files_are_sent_or_left_out_as_by_the_docker_client() {
    // (the file, what is sent, what is left out)
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("", &["a", "a/b"], &[]),
        ("# comment\n\n   \na", &["b", "# comment"], &["a", "a/b"]),
        // Only a `#` at the very beginning makes a comment.
        (" #a", &["a"], &["#a"]),
        ("a", &["b/a", "ab"], &["a", "a/x"]),
        ("/a", &["b/a"], &["a", "a/x"]),
        ("  a  ", &["b"], &["a"]),
        ("a/", &["b"], &["a", "a/x"]),
        ("./a", &["b"], &["a"]),
        ("a/./b//c", &["a/b/d"], &["a/b/c"]),
        ("x/../a", &["x"], &["a"]),
        ("../a", &["a"], &[]),
        ("*", &[], &["a", "a/b", ".a"]),
        ("*.md", &["a/b.md", "md"], &["a.md", ".md"]),
        ("*/*.md", &["a.md", "a/b/c.md"], &["a/b.md"]),
        ("a?c", &["ac", "a/c"], &["abc"]),
        ("**", &[], &["a", "a/b"]),
        ("**/a", &["ab", "b"], &["a", "b/a", "c/b/a/d"]),
        ("**/*.o", &["o"], &["a.o", "b/a.o", "c/b/a.o"]),
        ("**/a/b", &["a", "b"], &["a/b", "c/a/b"]),
        // Without a slash behind them, two stars at the front match any beginning.
        ("**a", &["ab"], &["a", "ba", "c/ba"]),
        ("a/**", &["a", "b"], &["a/b", "a/b/c"]),
        ("a/**/b", &["a/c"], &["a/b", "a/c/b", "a/c/d/b"]),
        ("a**b", &["a", "b"], &["ab", "ac/b"]),
        ("[ab]", &["c", "ab"], &["a", "b"]),
        ("[^ab]", &["a", "b", "cd"], &["c"]),
        ("[a-c]x", &["dx"], &["bx"]),
        ("a.b", &["axb"], &["a.b"]),
        ("a+(b)|{c}$", &["aab"], &["a+(b)|{c}$"]),
        (r"\*", &["a"], &["*"]),
        (r"a\?", &["ab"], &["a?"]),
        // Exceptions, the last match wins.
        ("*\n!a", &["a", "a/b"], &["b"]),
        ("!a\n*", &[], &["a", "b"]),
        ("*.md\n!README.md", &["README.md"], &["a.md"]),
        ("*.md\n!README*.md\nREADME-secret.md", &["README.md"], &["README-secret.md", "a.md"]),
        ("a\n!a/b", &["a/b", "a/b/c"], &["a/c"]),
        ("a\n!a/b\na/b/c", &["a/b/d"], &["a/b/c", "a/x"]),
        ("a/*\n!a/b", &["a", "a/b"], &["a/c"]),
        ("! a", &["a"], &[]),
        ("*\n!  a", &["a"], &["b"]),
        // An exception of a parent is inherited like a match of it is.
        ("*\n!a\na/b", &["a/c"], &["a/b", "a/b/c", "d"]),
        // A second cleaning with the mark in front eats the mark: an oddity that is kept.
        ("!../../*", &[], &["a"]),
        // A mark of order that some editors write.
        ("\u{FEFF}a", &["b"], &["a"]),
        ("a\r\nb\r\n", &["c"], &["a", "b"]),
    ];
    for (file, sent, left_out) in cases {
        let ignore = dockerignore(file);
        for walk in [Walk::BuildKit, Walk::Classic] {
            for path in *sent {
                assert!(is_sent(&ignore, path, walk), "{file:?} must send {path} ({walk:?})");
            }
            for path in *left_out {
                assert!(!is_sent(&ignore, path, walk), "{file:?} must leave out {path} ({walk:?})");
            }
        }
    }
}

#[test]
fn only_with_buildkit_an_exception_with_wildcards_reaches_into_excluded_directories() {
    for (file, path) in [("a\n!**/keep", "a/b/keep"), ("a\n!a*/keep", "a/keep"), ("*\n!*/keep", "a/keep")] {
        let ignore = dockerignore(file);
        assert!(is_sent(&ignore, path, Walk::BuildKit), "{file:?}");
        assert!(!is_sent(&ignore, path, Walk::Classic), "{file:?}");
    }
    // Spelt out, or with the wildcard at the end, it reaches there with both.
    for (file, path) in [("a\n!a/b/keep", "a/b/keep"), ("a\n!a/b/*", "a/b/keep")] {
        assert!(is_sent(&dockerignore(file), path, Walk::BuildKit), "{file:?}");
        assert!(is_sent(&dockerignore(file), path, Walk::Classic), "{file:?}");
    }
}

#[test]
fn what_the_docker_client_refuses_is_refused_with_its_line() {
    for (file, line) in [
        ("!", 1),
        ("a\n!", 2),
        ("!/", 1),
        ("!/.", 1),
        ("a\n\n[", 3),
        ("[a", 1),
        ("[]", 1),
        (r"a\", 1),
        ("[z-a]", 1),
    ] {
        match parse(file) {
            Err(InvalidDockerignore::Line { number, .. }) => assert_eq!(number, line, "{file:?}"),
            other => panic!("{file:?}: {other:?}"),
        }
    }
}

#[test]
fn what_the_build_needs_is_sent_whatever_the_file_says() {
    let mut ignore = dockerignore("*\n**/Dockerfile\ndocker[1]");
    ignore.always_send("docker[1]/Dockerfile");
    for walk in [Walk::BuildKit, Walk::Classic] {
        assert!(is_sent(&ignore, "docker[1]/Dockerfile", walk));
        assert!(!is_sent(&ignore, "docker[1]/other", walk));
    }
}

#[test]
fn the_file_beside_the_dockerfile_comes_first() {
    let directory = tempfile::tempdir().unwrap();
    let dockerfile = directory.path().join("web.Dockerfile");
    let read = || Dockerignore::read(directory.path(), &dockerfile).unwrap();
    assert_eq!(read().file, None);
    std::fs::write(directory.path().join(".dockerignore"), "a").unwrap();
    assert_eq!(read().file.as_deref(), Some(&*directory.path().join(".dockerignore")));
    std::fs::write(directory.path().join("web.Dockerfile.dockerignore"), "b").unwrap();
    assert_eq!(
        read().file.as_deref(),
        Some(Path::new(&directory.path().join("web.Dockerfile.dockerignore")))
    );
    assert!(read().judge("b", None).excluded && !read().judge("a", None).excluded);
}
