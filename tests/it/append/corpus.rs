//! Dockerfiles of every kind, built both ways and compared: file by file, mode by mode, owner by
//! owner, and the configuration.

use std::path::Path;
use std::sync::Arc;

use lambdactl::domain::platform::Architecture;
use lambdactl::domain::reference::{ImageReference, RepositoryUri, Tag};
use lambdactl::image::append::{Memory, Stopped};
use lambdactl::image::known::KnownImages;
use lambdactl::image::{self, append};
use lambdactl::pipeline::Uploads;
use lambdactl::pipeline::push::push;
use lambdactl::services::docker::{BuildRequest, Builder, DockerEngine};

use super::Entry::{self, Directory, File, Link};
use super::asked::remove;
use super::files::{configuration, files, history_is_in_step};
use super::{Bases, Remembering, appended, client, fill, silent};
use crate::support::docker::{Context, context, engine, request};
use crate::support::engines::usual;
use crate::support::registry::DockerRegistry;

/// The files all cases choose from.
const FILES: &[Entry] = &[
    File("app.py", 0o644, "print(1)"),
    File("run.sh", 0o755, "#!/bin/sh"),
    File("secret", 0o600, "s"),
    File("set-id", 0o4755, "x"),
    File("data-1.txt", 0o664, "1"),
    File("data-2.txt", 0o640, "2"),
    File("data[0].txt", 0o644, "brackets"),
    File(".hidden", 0o644, "h"),
    File("with space", 0o644, "s"),
    File("lib/a.so.1", 0o755, "a"),
    Link("lib/a.so", "a.so.1"),
    Link("lib/dangling", "../nothing"),
    Link("lib/up", "../src"),
    File("src/main.rs", 0o644, "fn main() {}"),
    File("src/deep/er/file", 0o600, "deep"),
    Directory("src/deep", 0o700),
    Directory("src/empty", 0o1777),
    Directory("closed", 0o700),
    File("closed/x", 0o644, "x"),
    File("closed/sub/y", 0o644, "y"),
    Directory("closed/sub", 0o750),
    Link("to-file", "app.py"),
    Link("to-directory", "src"),
    Link("links/to-nothing", "/none"),
    File("tree/a/1.log", 0o644, "1"),
    File("tree/a/2.txt", 0o644, "2"),
    File("tree/b/3.log", 0o644, "3"),
    File("tree/b/c/4.log", 0o644, "4"),
    File("tree/keep.log", 0o644, "5"),
    File("vendor/node_modules/x/index.js", 0o644, "js"),
    File(
        "accounts/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/sh\n# nobody reads this\napp:x:11:12::/:/bin/sh\napp:x:1:1::/:\n",
    ),
    File("accounts/group", 0o644, "root:x:0:\nstaff:x:50:app\napp:x:12:\n"),
    File(".dockerignore", 0o644, "# left out\n**/*.log\n!tree/keep.log\nvendor/\n*/er\nsecret\n!secret\n"),
];

/// What stands on nothing.
const ON_NOTHING: &[(&str, &str)] = &[
    (
        "files and directories",
        r#"FROM scratch
COPY app.py /
COPY app.py run.sh set-id secret /var/task/
COPY src /src
COPY src/ /src2/
COPY closed /closed
COPY closed/sub /new/sub
COPY app.py /one/two/three
COPY ["with space", "/with space/"]
COPY app.py .
COPY run.sh relative/deep/
CMD ["/tool"]
"#,
    ),
    (
        "patterns and links",
        r#"FROM scratch
COPY *.txt /text/
COPY data-?.txt /one/
COPY data-[1-1].txt /two/
COPY data[[]0].txt /three/
COPY tree/*/*.txt tree/k* /four/
COPY * /all/
COPY lib /lib
COPY to-file /linked
COPY to-file /linked-into/
COPY to-directory /followed
COPY to-directory/main.rs lib/up/main.rs /through/
COPY no-such-* /nothing/
COPY tree /tree
COPY .hidden /h
"#,
    ),
    ("everything there is", "FROM scratch\nCOPY . /\nCOPY . /again\nWORKDIR /var/task\nCOPY . .\n"),
    (
        "owners and modes",
        r#"FROM scratch
ARG USER=12:34
COPY --chown=1000 src /a
COPY --chown=1000:2000 app.py /b/c/app.py
COPY --chown=root:7 closed /closed
COPY --chown=$USER lib /lib
COPY --chmod=755 app.py /made/app.py
COPY --chmod=0600 --chown=5:6 app.py secret /
COPY closed/x /src/
COPY --chmod=711 closed /src
ADD --chown=3:4 tree /tree
WORKDIR /work/dir
COPY --chown=9:9 app.py .
USER 1000:1001
WORKDIR /owned/by/user
COPY app.py .
WORKDIR /work/dir
USER 44
WORKDIR sub
"#,
    ),
    (
        "directories and variables",
        r#"# escape=`
FROM scratch AS Build
ARG A=one B
ARG C="$A two"
ENV D=$C E="${B:-b}" F=${B:+never} G='$A' H=a`$A I=$A$UNSET.
ENV old form  with $A  spaces
ENV D=changed X=$D
LABEL "a b"="c  d" e=$D multi="line `
  goes on"
WORKDIR /${A}
WORKDIR two
WORKDIR ../three/./four
COPY ["app.${Q:-py}", "/quoted $A/"]
ENV P=/x
WORKDIR $P/y
COPY app.py ${P}-${D}/
EXPOSE 80 53/udp 8000-8002/tcp $NOTHING
VOLUME /v1 "/v2"
VOLUME ["/v 3"]
STOPSIGNAL SIGINT
SHELL ["/bin/bash", "-euc"]
CMD run $A "quoted"   twice
ENTRYPOINT exec $D
HEALTHCHECK --interval=5s --retries=3 CMD curl "x"  || exit 1
MAINTAINER Somebody <a@example.com>
USER $B${A}
FROM build
CMD ["only", "this"]
USER nobody
"#,
    ),
    (
        "stages",
        r#"FROM scratch AS one
COPY src /out/src
COPY --chown=7:8 app.py /out/
WORKDIR /out/made
FROM scratch AS unused
COPY no/such/file /
FROM scratch AS two
COPY --from=one /out/src/ /x/
FROM two
COPY --from=one --chown=1:1 /out /all
COPY --from=0 /out/app.py /kept/
COPY --from=ONE /out/*.py /out/made /globbed/
COPY --from=two /x/main.rs .
ENTRYPOINT ["/x"]
"#,
    ),
    (
        "one over another",
        r#"FROM scratch
COPY src /a
COPY closed /a
COPY app.py /a/main.rs
COPY lib /l
COPY app.py /l/a.so
COPY app.py /l/dangling
COPY app.py /a/sub
COPY src /a/sub2
COPY closed/sub /a/sub2/deep
COPY run.sh app.py /
COPY app.py /run.sh
COPY --chown=1:1 app.py /
"#,
    ),
    (
        "users and groups by name",
        r#"FROM scratch AS listed
COPY accounts /etc
COPY --chown=app app.py /one/
COPY --chown=app:staff src /two
COPY --chown=7:staff app.py /three/
COPY --chown=app:9 app.py /four/
COPY --chown=root:app app.py /five/
USER app:staff
WORKDIR /home/app
COPY app.py .
WORKDIR /home/app
FROM listed
COPY --chown=app --from=listed /two /six
USER app
WORKDIR sub
"#,
    ),
    (
        "commands",
        r#"FROM scratch
COPY app.py /
CMD ["a"]
ENTRYPOINT ["b"]
CMD echo hello
ENTRYPOINT ["c", "d"]
HEALTHCHECK NONE
"#,
    ),
];

/// What stands on an image with links, owners and a configuration of its own.
const ON_A_BASE: &[(&str, &str)] = &[
    (
        "through links",
        r#"FROM $BASE
COPY app.py /bin/
COPY app.py /bin/tool2
COPY src /abs
COPY app.py /abs/inner/
COPY run.sh /to-file
COPY app.py lib/a.so.1 /deep/link/
COPY app.py sub/
WORKDIR /abs/work
COPY app.py .
"#,
    ),
    (
        "over what is there",
        r#"FROM $BASE
COPY src /opt/data
COPY closed /opt/data/sub
COPY app.py /srv/file
COPY app.py /tmp/
COPY app.py /tmp/new/x
COPY --chown=5:5 app.py /opt/data/
WORKDIR /opt/data
WORKDIR /opt/data/made
"#,
    ),
    (
        "configuration",
        r#"FROM $BASE
ENV BASE_VARIABLE=new NEW=$BASE_VARIABLE
LABEL x=y base=changed
ENTRYPOINT ["/bin/tool"]
WORKDIR made
COPY app.py ./
"#,
    ),
    (
        "files of an image",
        r#"FROM $BASE AS x
COPY app.py /opt/data/from-here
FROM scratch
COPY --from=$BASE /opt /opt
COPY --from=$BASE --chown=3:4 /bin/tool abs/main.rs /deep/link/main.rs /copied/
COPY --from=x /opt/data/ /data/
COPY --from=x /usr/../srv /
"#,
    ),
    (
        "users and groups by name",
        r#"FROM $BASE
COPY --chown=app:staff src /src
COPY --chown=app app.py /bin/
USER app
WORKDIR /home/app
COPY accounts/passwd /etc/passwd
COPY --chown=app:app app.py .
"#,
    ),
    ("nothing but configuration", "FROM $BASE\nCMD [\"x\"]\n"),
];

/// What an engine builds the beginning of, or files are copied out of.
const WITH_RUN: &[(&str, &str)] = &[
    (
        "after the last RUN",
        r#"FROM scratch AS beginning
COPY tool /bin/tool
ARG A=given B="two words" C
ENV D=$A E=e
CMD ["inherited"]
RUN ["/bin/tool", "write", "/opt/app/old", "x", "--", "mode", "700", "/opt/app", "--", "own", "5", "6", "/opt/app"]
RUN ["/bin/tool", "link", "opt/app", "/app", "--", "write", "/srv/deep/er/file", "y"]
COPY app.py /app/
COPY src /app/old-src
COPY src/main.rs /srv/deep/er/file
COPY closed /srv/deep
ENV F=$D-$C
WORKDIR /app/made
COPY --chown=$A:1 . .
ENTRYPOINT ["/bin/tool"]
"#,
    ),
    (
        "copied from a stage with RUN",
        r#"FROM scratch AS build
COPY . /src
WORKDIR /out
RUN ["/src/tool", "write", "/out/bin/app", "x", "--", "mode", "4750", "/out/bin/app", "--", "own", "7", "8", "/out/bin"]
RUN ["/src/tool", "link", "bin/app", "/out/current", "--", "write", "/out/a.txt", "1", "--", "write", "/out/b.txt", "2"]
FROM scratch
COPY --from=build /out/bin/app /bootstrap
COPY --from=build --chown=1:2 /out/bin/app /owned
COPY --from=build /out /all
COPY --from=build /out/current /followed
COPY --from=build /out/*.txt /src/lib /texts/
COPY app.py /
ENTRYPOINT ["/bootstrap"]
"#,
    ),
    (
        "users that RUN has made",
        r#"FROM --platform=$BUILDPLATFORM scratch AS build
COPY tool /tool
RUN ["/tool", "write", "/out/app", "x"]
FROM scratch
COPY tool /bin/tool
RUN ["/bin/tool", "write", "/etc/passwd", "app:x:11:12::/:"]
COPY --chown=app app.py /srv/
USER app
WORKDIR /home/app
COPY --from=build --chown=app:3 /out .
"#,
    ),
    (
        "a stage on a stage with RUN",
        r#"FROM scratch AS one
COPY tool /tool
RUN ["/tool", "write", "/one/file", "x"]
COPY app.py /one/
FROM one AS two
WORKDIR /one/two
COPY lib ./
FROM scratch
COPY --from=two /one /copied
COPY --from=0 /one/app.py /
"#,
    ),
];

const BASE_FILES: &[Entry] = &[
    File("root/usr/bin/tool", 0o755, "tool"),
    File(
        "root/etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/sh\n# nobody reads this\napp:x:11:12::/:/bin/sh\napp:x:1:1::/:\n",
    ),
    File("root/etc/group", 0o644, "root:x:0:\nstaff:x:50:app\napp:x:12:\n"),
    Link("root/bin", "usr/bin"),
    Directory("root/tmp", 0o1777),
    File("root/srv/file", 0o640, "old"),
    File("root/opt/data/main.rs", 0o600, "old"),
    Directory("root/opt/data", 0o700),
    Directory("root/opt/data/sub", 0o711),
    Link("root/abs", "/opt/data"),
    Link("root/to-file", "srv/file"),
    Link("root/deep/link", "../var/../opt/data"),
    Directory("root/var/task", 0o775),
];

fn case(dockerfile: &str) -> (Context, BuildRequest) {
    let directory = context(dockerfile, &[]);
    fill(directory.path(), FILES);
    let mut request = request(directory.path(), &[]);
    request.architecture = Architecture::of_this_machine();
    (directory, request)
}

async fn compare(name: &str, engine: &DockerEngine, request: &BuildRequest) {
    let id = engine.build(request, &silent()).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let known = KnownImages::default();
    let built = image::engine::read(engine, &id.to_string(), None, &known, &silent()).await.unwrap();
    let bases = Bases { engine: Some(engine.clone()), ..Bases::default() };
    let made = append::build(request, &bases, &silent()).await;
    let made = made.unwrap_or_else(|stopped| panic!("{name}: {stopped}"));
    assert!(history_is_in_step(&made), "{name}: {}", made.config.document["history"]);
    let (theirs, ours) = (files(&built).await, files(&made).await);
    let paths: std::collections::BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let differences: Vec<String> = paths
        .into_iter()
        .filter(|path| theirs.get(*path) != ours.get(*path))
        .map(|path| format!("{path}: engine {:?}, here {:?}", theirs.get(path), ours.get(path)))
        .collect();
    assert!(differences.is_empty(), "{name}:\n{}", differences.join("\n"));
    assert_eq!(configuration(&built), configuration(&made), "{name}");
}

async fn buildkit() -> Option<DockerEngine> {
    Some(DockerEngine::connect(&engine()?).await.unwrap().with_builder(Builder::BuildKit))
}

#[tokio::test]
async fn images_on_nothing_are_the_engine_s() {
    let Some(engine) = buildkit().await else { return };
    for (name, dockerfile) in ON_NOTHING {
        let (_directory, request) = case(dockerfile);
        compare(name, &engine, &request).await;
    }
}

#[tokio::test]
async fn images_on_a_base_are_the_engine_s() {
    let Some(engine) = buildkit().await else { return };
    let registry = DockerRegistry::plain();
    let base = base(&registry).await;
    for (name, dockerfile) in ON_A_BASE {
        let (_directory, request) = case(&dockerfile.replace("$BASE", &base));
        compare(name, &engine, &request).await;
    }
}

#[tokio::test]
async fn an_engine_that_has_a_base_tells_what_its_layers_would() {
    let (Some(engine), Some(usual)) = (buildkit().await, usual()) else { return };
    let registry = DockerRegistry::plain();
    let base = base(&registry).await;
    let all: Vec<_> = ON_A_BASE
        .iter()
        .map(|(name, dockerfile)| (name, case(&dockerfile.replace("$BASE", &base))))
        .collect();
    let mut expected = Vec::new();
    let client = client(registry.host());
    for (number, (_, (_directory, request))) in all.iter().enumerate() {
        let image = appended(request).await.unwrap();
        let uri: RepositoryUri = format!("{}/made-{number}", registry.host()).parse().unwrap();
        push(&client, &uri, None, &image, &Uploads::default(), &silent()).await.unwrap();
        let at = ImageReference::at(uri, image.digest());
        let mut known = KnownImages::default();
        known.add(image::registry::read(&client, &at, None, &silent()).await.unwrap());
        expected.push((image.digest(), known));
    }
    usual.docker(&["pull", "-q", &base]);
    registry.lose_layers();
    for ((name, (_directory, request)), (expected, known)) in all.iter().zip(expected) {
        // What is copied out of it has to be read.
        if **name == "files of an image" {
            continue;
        }
        assert!(matches!(appended(request).await, Err(Stopped::Failed(_))), "{name}: it had to read layers");
        let memory = Some(Arc::new(Remembering::default()) as Arc<dyn Memory>);
        let asking = Bases { memory: memory.clone(), keeping: Some(engine.clone()), ..Bases::default() };
        for time in ["asked", "asked before"] {
            let made = append::build(request, &asking, &silent()).await;
            let made = made.unwrap_or_else(|stopped| panic!("{name}, {time}: {stopped}"));
            assert_eq!(made.digest(), expected, "{name}, {time}");
        }
        let own: Option<Arc<dyn Memory>> = Some(Arc::new(Remembering::default()));
        let remembering = Bases { memory, ..Bases::default() };
        let reading_notes = Bases { memory: own.clone(), known, ..Bases::default() };
        for (how, bases) in [("remembered", remembering), ("noted", reading_notes)] {
            let made = append::build(request, &bases, &silent()).await;
            let made = made.unwrap_or_else(|stopped| panic!("{name}, {how}: {stopped}"));
            assert_eq!(made.digest(), expected, "{name}, {how}");
        }
        // Another repository's images are none of its business.
        let elsewhere = append::build(request, &Bases { memory: own, ..Bases::default() }, &silent()).await;
        assert!(matches!(elsewhere, Err(Stopped::Failed(_))), "{name}: a note was taken over");
    }
    remove(&usual, &base);
}

#[tokio::test]
async fn images_with_run_are_the_engine_s() {
    let Some(engine) = buildkit().await else { return };
    for (name, dockerfile) in WITH_RUN {
        let (directory, mut request) = case(dockerfile);
        request.args.insert("A".to_owned(), lambdactl::domain::secret::Secret::new("11"));
        compare(name, &engine, &request).await;
        directory.is_cleaned_up().await;
    }
}

#[tokio::test]
async fn an_image_that_only_the_engine_has_is_a_base() {
    let Some(engine) = buildkit().await else { return };
    let (base, request) = case("FROM scratch\nCOPY src /opt/src\nCOPY lib /lib\nENV A=b\nWORKDIR /opt\n");
    let id = engine.build(&request, &silent()).await.unwrap().to_string();
    let name = format!("lambdactl-test-{}", uuid::Uuid::new_v4());
    let tag = |arguments: &[&str]| {
        assert!(std::process::Command::new("docker").args(arguments).status().unwrap().success());
    };
    tag(&["tag", &id, &name]);
    let text =
        format!("FROM {name}\nCOPY app.py src/\nCOPY --from={name} /opt/src/main.rs /lib/\nCOPY . /opt\n");
    let (_directory, request) = case(&text);
    compare("a base in the engine", &engine, &request).await;
    base.is_cleaned_up().await;
    tag(&["rmi", "--no-prune", &name]);
}

/// Puts the base image into a registry; its name there.
async fn base(registry: &DockerRegistry) -> String {
    let dockerfile = r#"FROM scratch
COPY root /
COPY --chown=1000:1000 root/opt /opt
ENV PATH=/usr/bin BASE_VARIABLE=base
LABEL base=yes
WORKDIR /var/task
CMD ["inherited"]
"#;
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), BASE_FILES);
    std::fs::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
    let mut request = request(Path::new(directory.path()), &[]);
    request.architecture = Architecture::of_this_machine();
    let image = appended(&request).await.unwrap();
    let name = format!("{}/base", registry.host());
    let (uri, tag): (RepositoryUri, Tag) = (name.parse().unwrap(), "1".parse().unwrap());
    push(&client(registry.host()), &uri, Some(&tag), &image, &Uploads::default(), &silent()).await.unwrap();
    format!("{name}:1")
}
