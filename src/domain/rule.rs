//! The rules an image for Lambda is held against. The ids are promised to scripts: they stand in
//! `--allow`, in `lambdactl.toml`, in JSON and in SARIF.
//!
//! What Lambda demands is written in <https://docs.aws.amazon.com/lambda/latest/dg/images-create.html>;
//! what it does not say is known from how it fails.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::finding::Severity;
use super::nearest::nearest;

/// Where AWS says what an image has to be like.
const IMAGES: &str = "https://docs.aws.amazon.com/lambda/latest/dg/images-create.html";
const VARIABLES: &str =
    "https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime";
const LIMITS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html";
const START: &str = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html";
const SNAPSTART: &str = "https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-custom.html";

/// A rule, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// `unusable-image`
    UnusableImage,
    /// `platform`
    Platform,
    /// `too-large`
    TooLarge,
    /// `missing-parent`
    MissingParent,
    /// `broken-hard-link`
    BrokenHardLink,
    /// `no-entry-point`
    NoEntryPoint,
    /// `entry-point-not-found`
    EntryPointNotFound,
    /// `entry-point-not-executable`
    EntryPointNotExecutable,
    /// `entry-point-format`
    EntryPointFormat,
    /// `wrong-machine`
    WrongMachine,
    /// `interpreter-not-found`
    InterpreterNotFound,
    /// `line-endings`
    LineEndings,
    /// `working-directory-not-found`
    WorkingDirectoryNotFound,
    /// `unreadable-code`
    UnreadableCode,
    /// `handler`
    Handler,
    /// `handler-not-found`
    HandlerNotFound,
    /// `snapstart`
    SnapStart,
    /// `start-failed`
    StartFailed,
    /// `nearly-too-large`
    NearlyTooLarge,
    /// `too-many-layers`
    TooManyLayers,
    /// `slow-start`
    SlowStart,
    /// `unreadable-file`
    UnreadableFile,
    /// `no-runtime-client`
    NoRuntimeClient,
    /// `no-bootstrap`
    NoBootstrap,
    /// `read-only-cache`
    ReadOnlyCache,
    /// `hidden-by-tmp`
    HiddenByTmp,
    /// `credentials`
    Credentials,
    /// `index`
    Index,
    /// `attestations`
    Attestations,
    /// `layer-compression`
    LayerCompression,
    /// `media-types`
    MediaTypes,
    /// `user-ignored`
    UserIgnored,
    /// `ports-ignored`
    PortsIgnored,
    /// `health-check-ignored`
    HealthCheckIgnored,
    /// `volume-ignored`
    VolumeIgnored,
    /// `reserved-variable`
    ReservedVariable,
    /// `compiler-left`
    CompilerLeft,
    /// `deleted-files`
    DeletedFiles,
}

/// What is said about one rule.
struct Text {
    rule: Rule,
    id: &'static str,
    severity: Severity,
    title: &'static str,
    why: &'static str,
    fix: &'static str,
    link: &'static str,
}

use Severity::{Error, Note, Warning};

const TABLE: [Text; 38] = [
    Text {
        rule: Rule::UnusableImage,
        id: "unusable-image",
        severity: Error,
        title: "The image cannot be made into one that Lambda takes",
        why: "Lambda takes the manifest of one image, Docker schema 2 or OCI, with layers of tar archives",
        fix: "build an image for `linux/amd64` or `linux/arm64` with a builder that writes Docker or OCI images",
        link: IMAGES,
    },
    Text {
        rule: Rule::Platform,
        id: "platform",
        severity: Error,
        title: "The image is for another operating system or machine",
        why: "Lambda runs Linux on x86_64 and arm64; it accepts an image for another architecture than the function's, and every call fails",
        fix: "build it for the function's architecture, or change `architecture`",
        link: IMAGES,
    },
    Text {
        rule: Rule::TooLarge,
        id: "too-large",
        severity: Error,
        title: "The image is larger than 10 GB",
        why: "all layers together may have 10,737,418,240 bytes uncompressed",
        fix: "build in several stages and copy only what runs into the last one; keep data in S3 or EFS",
        link: LIMITS,
    },
    Text {
        rule: Rule::MissingParent,
        id: "missing-parent",
        severity: Error,
        title: "A file comes before the directory it is in",
        why: "Lambda refuses layers in which the directory of a file has no entry before it (MissingParentDirectory); Docker does not mind",
        fix: "let the tool that makes the layer write an entry for every directory before what is in it",
        link: IMAGES,
    },
    Text {
        rule: Rule::BrokenHardLink,
        id: "broken-hard-link",
        severity: Error,
        title: "A hard link to a file that is not there",
        why: "a layer that cannot be unpacked makes the image invalid",
        fix: "let the tool that makes the layer write the file before links to it, or copies instead of links",
        link: IMAGES,
    },
    Text {
        rule: Rule::NoEntryPoint,
        id: "no-entry-point",
        severity: Error,
        title: "Nothing says what to start",
        why: "Lambda starts ENTRYPOINT with CMD as its arguments, and the image has neither",
        fix: "add ENTRYPOINT to the Dockerfile, or set `entry_point` under `[function.image_config]`",
        link: IMAGES,
    },
    Text {
        rule: Rule::EntryPointNotFound,
        id: "entry-point-not-found",
        severity: Error,
        title: "The entry point is not in the image",
        why: "Lambda accepts such an image, and every call fails with Runtime.InvalidEntrypoint",
        fix: "correct ENTRYPOINT (an absolute path is best) or copy the file to where it points",
        link: IMAGES,
    },
    Text {
        rule: Rule::EntryPointNotExecutable,
        id: "entry-point-not-executable",
        severity: Error,
        title: "The entry point cannot be run by Lambda's user",
        why: "Lambda starts it as a user without rights of its own, whatever USER says: every call fails with `permission denied`",
        fix: "make it executable for everybody: `COPY --chmod=0755`, or `chmod a+rx`",
        link: IMAGES,
    },
    Text {
        rule: Rule::EntryPointFormat,
        id: "entry-point-format",
        severity: Error,
        title: "The entry point is no program of Linux",
        why: "Linux starts ELF programs and scripts that begin with `#!`; with anything else every call fails with `exec format error`",
        fix: "build it for Linux, or begin the script with a line such as `#!/bin/sh`",
        link: IMAGES,
    },
    Text {
        rule: Rule::WrongMachine,
        id: "wrong-machine",
        severity: Error,
        title: "The entry point is a program for another machine",
        why: "Lambda does not look into the image: every call fails with `exec format error`",
        fix: "build the program for the architecture the image says it is for",
        link: IMAGES,
    },
    Text {
        rule: Rule::InterpreterNotFound,
        id: "interpreter-not-found",
        severity: Error,
        title: "What is needed to start the entry point is not in the image",
        why: "a program names its dynamic loader and a script its interpreter; where that is missing, every call fails with `no such file or directory`, about a file that is there",
        fix: "link the program statically, or use a base image that has what it names",
        link: IMAGES,
    },
    Text {
        rule: Rule::LineEndings,
        id: "line-endings",
        severity: Error,
        title: "The script has the line endings of Windows",
        why: "the carriage return is taken for a part of the interpreter's name, which does not exist",
        fix: "save it with Unix line endings (`dos2unix`, or `*.sh text eol=lf` in .gitattributes)",
        link: IMAGES,
    },
    Text {
        rule: Rule::WorkingDirectoryNotFound,
        id: "working-directory-not-found",
        severity: Error,
        title: "The working directory is not in the image",
        why: "Lambda makes no directories: every call fails with Runtime.InvalidWorkingDir",
        fix: "make it in the Dockerfile (WORKDIR does), or correct `working_directory`",
        link: IMAGES,
    },
    Text {
        rule: Rule::UnreadableCode,
        id: "unreadable-code",
        severity: Error,
        title: "Lambda's user cannot read the function's code",
        why: "Lambda runs the image as a user without rights of its own, whatever USER says: what ENTRYPOINT and CMD name has to be readable for everybody, and its directories open",
        fix: "`COPY --chmod=0755`, or `RUN chmod -R a+rX` on the directory; a checkout with umask 077 makes such files",
        link: IMAGES,
    },
    Text {
        rule: Rule::Handler,
        id: "handler",
        severity: Error,
        title: "An AWS base image is not told which handler to call",
        why: "its entry point takes exactly one word, the handler, and ends at once with anything else",
        fix: "write the handler as the only word of CMD, in brackets: `CMD [\"app.handler\"]`",
        link: IMAGES,
    },
    Text {
        rule: Rule::HandlerNotFound,
        id: "handler-not-found",
        severity: Error,
        title: "The handler's file is not in the image",
        why: "the runtime loads the file that the handler's name begins with; every call fails with Runtime.ImportModuleError",
        fix: "copy the code to /var/task (`COPY app.py ${LAMBDA_TASK_ROOT}`), or correct CMD",
        link: IMAGES,
    },
    Text {
        rule: Rule::SnapStart,
        id: "snapstart",
        severity: Error,
        title: "SnapStart does not work with this image or these settings",
        why: "publishing a version fails, unless the runtime knows SnapStart or the image is labelled as safe for it; /tmp may not be larger than 512 MB, and EFS cannot be mounted",
        fix: "add `LABEL com.amazonaws.lambda.feature.snapstart=\"Allow\"` if a snapshot of the function is safe to be restored many times",
        link: SNAPSTART,
    },
    Text {
        rule: Rule::StartFailed,
        id: "start-failed",
        severity: Error,
        title: "The image does not start (check --run)",
        why: "Lambda starts the image and waits until it asks for its first event: one that ends before, or waits for something else, fails every call",
        fix: "mend what the program says, and start it again with `lambdactl check --run`",
        link: START,
    },
    Text {
        rule: Rule::NearlyTooLarge,
        id: "nearly-too-large",
        severity: Warning,
        title: "The image is nearly as large as Lambda takes",
        why: "all layers together may have 10,737,418,240 bytes uncompressed",
        fix: "build in several stages and copy only what runs into the last one; keep data in S3 or EFS",
        link: LIMITS,
    },
    Text {
        rule: Rule::TooManyLayers,
        id: "too-many-layers",
        severity: Warning,
        title: "The image has more layers than container engines take",
        why: "engines take 127 layers; what Lambda does with more is not known",
        fix: "join RUN and COPY instructions, or build the last stage from fewer of them",
        link: IMAGES,
    },
    Text {
        rule: Rule::SlowStart,
        id: "slow-start",
        severity: Warning,
        title: "The image starts slower than Lambda wants (check --run)",
        why: "Lambda ends a start after 10 s and begins it again within the time of the first call, which pays for both",
        fix: "load less before the first event is asked for, or raise `memory_size`, which brings more of a processor",
        link: START,
    },
    Text {
        rule: Rule::UnreadableFile,
        id: "unreadable-file",
        severity: Warning,
        title: "Lambda's user cannot read files in the code's directories",
        why: "Lambda runs the image as a user without rights of its own, whatever USER says: the function fails where it needs them",
        fix: "`COPY --chmod=0755`, or `RUN chmod -R a+rX` on the directory; leave out what the function does not need",
        link: IMAGES,
    },
    Text {
        rule: Rule::NoRuntimeClient,
        id: "no-runtime-client",
        severity: Warning,
        title: "Nothing in the image seems to speak Lambda's Runtime API",
        why: "Lambda hands events to a program that asks for them at AWS_LAMBDA_RUNTIME_API, and no file in the image names it",
        fix: "use an AWS base image, add the runtime interface client of the language, or the Lambda Web Adapter",
        link: IMAGES,
    },
    Text {
        rule: Rule::NoBootstrap,
        id: "no-bootstrap",
        severity: Warning,
        title: "An AWS base image has no bootstrap to start",
        why: "its entry point starts /var/runtime/bootstrap, which OS-only base images leave to the user",
        fix: "`COPY bootstrap ${LAMBDA_RUNTIME_DIR}`, or set ENTRYPOINT to the program itself",
        link: IMAGES,
    },
    Text {
        rule: Rule::ReadOnlyCache,
        id: "read-only-cache",
        severity: Warning,
        title: "Something has to be written where nothing can be written",
        why: "in Lambda everything but /tmp is read-only",
        fix: "point it below /tmp",
        link: IMAGES,
    },
    Text {
        rule: Rule::HiddenByTmp,
        id: "hidden-by-tmp",
        severity: Warning,
        title: "Files of the image are in /tmp",
        why: "Lambda lays an empty /tmp over the image's: the function does not see them",
        fix: "put them elsewhere, or remove them in the instruction that makes them",
        link: IMAGES,
    },
    Text {
        rule: Rule::Credentials,
        id: "credentials",
        severity: Warning,
        title: "The image carries AWS credentials",
        why: "everybody who can pull the image can read them; Lambda replaces them with the role's",
        fix: "take ENV or ARG out of the Dockerfile, withdraw the key, and give the execution role what is needed",
        link: VARIABLES,
    },
    Text {
        rule: Rule::Index,
        id: "index",
        severity: Note,
        title: "Several images under one name",
        why: "Lambda refuses an index; the image for the function's architecture is taken out of it and deployed by its own digest",
        fix: "nothing has to be done",
        link: IMAGES,
    },
    Text {
        rule: Rule::Attestations,
        id: "attestations",
        severity: Note,
        title: "Attestations beside the image",
        why: "they make an index of it, which Lambda refuses; they are left out",
        fix: "nothing has to be done; `docker buildx build --provenance=false --sbom=false` makes none",
        link: IMAGES,
    },
    Text {
        rule: Rule::LayerCompression,
        id: "layer-compression",
        severity: Note,
        title: "Layers that are not compressed with gzip",
        why: "Lambda is known to take gzip only; the layers are converted, so that the image gets another digest",
        fix: "nothing has to be done",
        link: IMAGES,
    },
    Text {
        rule: Rule::MediaTypes,
        id: "media-types",
        severity: Note,
        title: "A manifest that mixes Docker's and OCI's media types",
        why: "Lambda takes one family or the other; an OCI manifest is written for the image, so that it gets another digest",
        fix: "nothing has to be done",
        link: IMAGES,
    },
    Text {
        rule: Rule::UserIgnored,
        id: "user-ignored",
        severity: Note,
        title: "USER has no effect",
        why: "Lambda runs every image as its own user without rights",
        fix: "nothing has to be done, unless the function relies on being that user",
        link: IMAGES,
    },
    Text {
        rule: Rule::PortsIgnored,
        id: "ports-ignored",
        severity: Note,
        title: "EXPOSE has no effect",
        why: "nobody connects to a function; the Lambda Web Adapter turns events into requests to a port of its own",
        fix: "nothing has to be done",
        link: IMAGES,
    },
    Text {
        rule: Rule::HealthCheckIgnored,
        id: "health-check-ignored",
        severity: Note,
        title: "HEALTHCHECK has no effect",
        why: "Lambda knows that a function is well when it asks for the next event",
        fix: "nothing has to be done",
        link: IMAGES,
    },
    Text {
        rule: Rule::VolumeIgnored,
        id: "volume-ignored",
        severity: Note,
        title: "VOLUME has no effect",
        why: "Lambda mounts nothing there, and the directory is read-only like everything but /tmp",
        fix: "write below /tmp instead, or mount EFS",
        link: IMAGES,
    },
    Text {
        rule: Rule::ReservedVariable,
        id: "reserved-variable",
        severity: Note,
        title: "ENV sets a variable that Lambda sets itself",
        why: "the function sees Lambda's value",
        fix: "take it out, or name the variable differently",
        link: VARIABLES,
    },
    Text {
        rule: Rule::CompilerLeft,
        id: "compiler-left",
        severity: Note,
        title: "Compilers are left in the image",
        why: "what is in the image has to be stored, pulled and cached; it makes cold starts slower",
        fix: "build in one stage and copy what runs into another (`COPY --from`)",
        link: IMAGES,
    },
    Text {
        rule: Rule::DeletedFiles,
        id: "deleted-files",
        severity: Note,
        title: "Layers hold files that later layers delete or replace",
        why: "they count for the image's size and are sent and stored, though nobody sees them",
        fix: "delete files in the instruction that makes them, or copy what stays into another stage",
        link: IMAGES,
    },
];

/// Says that a text names no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no rule `{text}`{}", match nearest { Some(nearest) => format!(": did you mean `{nearest}`?"), None => String::new() })]
pub struct UnknownRule {
    /// What was written.
    pub text: String,
    /// The rule that was probably meant.
    pub nearest: Option<Rule>,
}

impl Rule {
    /// Every rule, the most important first.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|text| text.rule)
    }

    fn text(self) -> &'static Text {
        &TABLE[self as usize]
    }

    /// The stable name.
    pub fn id(self) -> &'static str {
        self.text().id
    }

    /// How bad it usually is.
    pub fn severity(self) -> Severity {
        self.text().severity
    }

    /// What is wrong where it is broken, in general.
    pub fn title(self) -> &'static str {
        self.text().title
    }

    /// Why Lambda cares.
    pub fn why(self) -> &'static str {
        self.text().why
    }

    /// What usually mends it.
    pub fn fix(self) -> &'static str {
        self.text().fix
    }

    /// Where to read more.
    pub fn link(self) -> &'static str {
        self.text().link
    }

    /// Whether a deployment can go on in spite of it. Where there is no image for the function,
    /// it cannot.
    pub fn can_be_allowed(self) -> bool {
        !matches!(self, Self::UnusableImage | Self::Platform)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Rule {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, UnknownRule> {
        if let Some(rule) = Self::all().find(|rule| rule.id() == text) {
            return Ok(rule);
        }
        let plain = text.to_lowercase().replace('_', "-");
        let nearest = nearest(&plain, Self::all().map(Self::id))
            .and_then(|id| Self::all().find(|rule| rule.id() == id));
        Err(UnknownRule { text: text.to_owned(), nearest })
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_own_line_of_the_table() {
        for (number, text) in TABLE.iter().enumerate() {
            assert_eq!(text.rule as usize, number, "{}", text.id);
            let kebab = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(!text.id.is_empty() && text.id.chars().all(kebab), "{}", text.id);
            assert_eq!(text.id.parse::<Rule>(), Ok(text.rule));
            for words in [text.title, text.why, text.fix] {
                assert!(!words.is_empty() && !words.ends_with('.'), "{}: {words}", text.id);
            }
        }
    }

    #[test]
    fn the_worst_rules_stand_first() {
        let severities: Vec<Severity> = Rule::all().map(Rule::severity).collect();
        assert!(severities.is_sorted_by(|one, next| one >= next), "{severities:?}");
    }

    #[test]
    fn an_unknown_rule_names_the_nearest_one() {
        let error = "missing-parents".parse::<Rule>().unwrap_err();
        assert_eq!(error.to_string(), "there is no rule `missing-parents`: did you mean `missing-parent`?");
        assert_eq!("Missing_Parent".parse::<Rule>().unwrap_err().nearest, Some(Rule::MissingParent));
        assert_eq!("zebra".parse::<Rule>().unwrap_err().to_string(), "there is no rule `zebra`");
    }
}
