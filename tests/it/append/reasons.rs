//! What is left to an engine, and why.

use lambdactl::image::append;
use lambdactl::services::docker::{Builder, DockerEngine};

use super::Entry::{self, File, Link};
use super::{Bases, appended, fill, silent};
use crate::support::docker::{context, engine, request};

const FILES: &[Entry] = &[
    File("a", 0o644, "a"),
    File("b", 0o644, "b"),
    File("set-id", 0o4755, "x"),
    File("d/x", 0o644, "x"),
    File("app.tar.gz", 0o644, "\u{1f}not quite"),
    File("ignored", 0o644, ""),
    File("accounts", 0o644, "app:x:1:2::/:\n"),
    File(".dockerignore", 0o644, "ignored"),
    Link("circle", "circle"),
];

const REASONS: &[(&str, &str)] = &[
    (
        "FROM scratch\nCOPY a /\nRUN true",
        "line 3: nothing is copied after the last `RUN`, which needs a builder",
    ),
    ("FROM scratch\nRUN true\nCOPY a /", "line 2: `RUN` needs a builder"),
    ("FROM scratch AS x\nRUN true\nFROM scratch\nCOPY --from=x /a /", "line 2: `RUN` needs a builder"),
    ("FROM scratch\nONBUILD COPY a /", "line 2: `ONBUILD` needs a builder"),
    (
        "FROM scratch\nADD https://example.com/x /",
        "line 2: `https://example.com/x` is not a file of the context",
    ),
    ("FROM scratch\nADD git@github.com:a/b /", "line 2: `git@github.com:a/b` is not a file of the context"),
    ("FROM scratch\nADD archive /", "line 2: `/archive` may be an archive"),
    ("FROM scratch\nCOPY <<EOF /x\nEOF", "line 2: `COPY` with a here-document"),
    ("FROM scratch\nCOPY --parents d/x /", "line 2: the option `--parents`"),
    ("FROM scratch\nCOPY --exclude=a . /", "line 2: the option `--exclude=a`"),
    ("FROM scratch\nCOPY --chmod=u+x a /", "line 2: the option `--chmod=u+x`"),
    ("FROM scratch\nCOPY --chmod=4755 a /", "line 2: the option `--chmod=4755`"),
    ("FROM scratch\nCOPY --chmod=700 a /new/", "line 2: `--chmod` where `/new` has to be made"),
    ("FROM scratch\nCOPY --chmod=700 set-id /", "line 2: `--chmod` of `/set-id`, which has a special mode"),
    ("FROM scratch\nCOPY --chown=app a /", "line 2: the name of a user or group in `app`"),
    (
        "FROM scratch\nCOPY accounts /etc/passwd\nCOPY --link --chown=app a /x/",
        "line 3: the name of a user or group in `app`",
    ),
    (
        "FROM scratch\nCOPY accounts /etc/passwd\nCOPY --chown=app:app a /x/",
        "line 3: the name of a user or group in `app:app`",
    ),
    ("FROM scratch\nCOPY accounts /etc/passwd\nCOPY --chown=app a /x/", ""),
    ("FROM --platform=$BUILDPLATFORM scratch\nCOPY a /", "line 1: the builder's own `BUILDPLATFORM`"),
    ("FROM scratch\nCOPY --chown=1:staff a /", "line 2: the name of a user or group in `1:staff`"),
    ("FROM scratch\nUSER app\nWORKDIR /new", "line 3: the name of a user or group in `app`"),
    ("FROM scratch\nCOPY ignored /", "line 2: `ignored` does not exist, or is left out"),
    ("FROM scratch\nCOPY circle /", "line 2: `/circle` is a circle of links"),
    ("FROM scratch\nCOPY a b /c", "line 2: several sources for a destination without `/` at its end"),
    ("FROM scratch\nCOPY ? /c", "line 2: several sources for one file"),
    ("FROM scratch\nCOPY a /c/.", "line 2: the destination `/c/.`"),
    ("FROM scratch\nCOPY [a /c", "line 2: the pattern `[a`"),
    ("FROM scratch\nCOPY a\\\\* /c/", "line 2: a backslash in `a\\*`"),
    ("FROM scratch\nCOPY a /", ""),
    ("FROM scratch\nCOPY a /x/\nCOPY a /x", ""),
    ("FROM scratch\nCOPY a /x\nCOPY d /x", "line 3: `/x` is not a directory"),
    ("FROM scratch\nCOPY d /x/a\nCOPY a /x/", "line 3: `/x/a` is a directory"),
    ("FROM scratch\nCOPY a", "line 2: a source without a destination"),
    ("FROM scratch\nWORKDIR /a//b", "line 2: the path `/a//b`"),
    ("FROM scratch\nARG A=1\nENV B=${A%1}", "line 3: the form `${A%…}`"),
    ("FROM scratch\nENV A=1\nARG A=2", "line 3: `A` is both ENV and ARG"),
    ("FROM scratch\nARG BUILDPLATFORM", "line 2: the builder's own `BUILDPLATFORM`"),
    ("FROM scratch AS x\nARG A=1\nFROM x\nENV B=$A", "line 4: `A`, an ARG of what is below"),
    ("FROM scratch\nCMD []", "line 2: an empty list"),
    ("FROM scratch\nEXPOSE 80:80", "line 2: the port `80:80`"),
    ("FROM scratch\nSTOPSIGNAL TERM", "line 2: the signal `TERM`"),
    ("FROM scratch\nSHELL bash", "line 2: a SHELL that is no array"),
    ("FROM --platform=linux/s390x scratch\nCOPY a /", "line 1: the platform `linux/s390x`"),
    ("FROM registry.example/xy\nCOPY a /", "line 1: `registry.example/xy` cannot be read: not here"),
    (
        "FROM scratch\nCOPY --from=registry.example/xy /a /",
        "line 2: `registry.example/xy` cannot be read: not here",
    ),
    ("FROM scratch\nARG X=y\nCOPY --from=$X /a /", "line 3: a variable in `--from=$X`"),
    (
        "FROM scratch\nCOPY --from=late /a /\nFROM scratch AS late",
        "line 2: `--from=late` names no earlier stage",
    ),
];

#[tokio::test]
async fn what_is_not_certain_is_left_to_an_engine() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), FILES);
    std::fs::write(directory.path().join("archive"), b"\x1f\x8b\x08\0\0\0\0\0").unwrap();
    for (dockerfile, reason) in REASONS {
        std::fs::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
        let mut request = request(directory.path(), &[]);
        if dockerfile.ends_with("AS late") {
            request.target = Some("0".to_owned());
        }
        let found = match appended(&request).await {
            Ok(_) => String::new(),
            Err(stopped) => stopped.to_string(),
        };
        assert_eq!(&found, reason, "{dockerfile}");
    }
}

/// What is left to an engine even though there is one.
const WITH_ENGINE: &[(&str, &str)] = &[
    (
        "FROM scratch\nCOPY . /\nRUN [\"/tool\", \"say\", \"x\"]\nCOPY a /",
        "the whole context is used before the last `RUN`",
    ),
    (
        "FROM scratch\nCOPY tool /\nRUN --mount=target=/x [\"/tool\"]\nCOPY a /",
        "the whole context is used before the last `RUN`",
    ),
    (
        "FROM scratch\nCOPY tool /\nRUN [\"/tool\", \"say\", \"x\"]\nCMD [\"a\"]",
        "nothing is copied after the last `RUN`, which needs a builder",
    ),
    (
        "FROM scratch AS x\nCOPY tool /\nRUN [\"/tool\", \"say\", \"x\"]\nFROM scratch\nCOPY --from=x / /",
        "all files of a stage with `RUN`",
    ),
    (
        "FROM scratch AS x\nCOPY tool /\nRUN [\"/tool\", \"say\", \"x\"]\nFROM scratch\nCOPY --from=x /none /",
        "`none` does not exist, or is left out",
    ),
];

#[tokio::test]
async fn what_an_engine_cannot_be_asked_for_in_part_is_left_to_it() {
    let Some(location) = engine() else { return };
    let engine = DockerEngine::connect(&location).await.unwrap().with_builder(Builder::BuildKit);
    for (dockerfile, reason) in WITH_ENGINE {
        let directory = context(dockerfile, &[]);
        fill(directory.path(), FILES);
        let bases = Bases { engine: Some(engine.clone()), ..Bases::default() };
        let found = append::build(&request(directory.path(), &[]), &bases, &silent()).await;
        let found = found.unwrap_err().to_string();
        // The directory's own label is a line more.
        assert_eq!(found.split_once(": ").unwrap().1, *reason, "{dockerfile}");
        directory.is_cleaned_up().await;
    }
}

#[tokio::test]
async fn arguments_that_are_the_builder_s_are_left_to_it() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("Dockerfile"), "FROM scratch\nCMD [\"a\"]").unwrap();
    let request = request(directory.path(), &[("BUILDKIT_SYNTAX", "x")]);
    assert_eq!(appended(&request).await.unwrap_err().to_string(), "the ARG `BUILDKIT_SYNTAX`");
    let request = crate::support::docker::request(directory.path(), &[("SOURCE_DATE_EPOCH", "soon")]);
    let why = appended(&request).await.unwrap_err().to_string();
    assert_eq!(why, "the time `soon` in `SOURCE_DATE_EPOCH`");
}
