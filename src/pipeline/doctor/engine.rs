//! The Docker Engine: whether it answers, how old it is, how it builds and for which machines.

use std::path::Path;

use super::in_time;
use crate::domain::diagnosis::Diagnosis;
use crate::domain::image_source::ImageSource;
use crate::domain::platform::Architecture;
use crate::domain::spec::{BuilderChoice, DeploySpec, ImageSpec};
use crate::services::docker::{
    BINFMT_MISC, Builder, DockerEngine, EngineDescription, EngineLocation, emulates,
};

const ENGINE: &str = "docker-engine";
const VERSION: &str = "docker-version";
const BUILDER: &str = "docker-builder";
const PLATFORM: &str = "docker-platform";
const STORE: &str = "docker-image-store";

/// What the Amazon Linux 2023 base images of Lambda need.
/// <https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#runtimes-images-lp>
const OLDEST: (u32, u32, u32) = (20, 10, 10);

/// Whether the deployment needs an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Needed,
    /// A Dockerfile that can most often be built without one.
    Perhaps,
    NotNeeded,
    Unknown,
}

fn need(spec: Option<&DeploySpec>) -> Need {
    match spec.map(|spec| &spec.image) {
        None => Need::Unknown,
        Some(ImageSpec::Existing(ImageSource::Engine(_))) => Need::Needed,
        Some(ImageSpec::Dockerfile(build)) => match build.builder {
            BuilderChoice::Engine => Need::Needed,
            BuilderChoice::Append => Need::NotNeeded,
            BuilderChoice::Auto if has_run(&build.dockerfile) => Need::Needed,
            BuilderChoice::Auto => Need::Perhaps,
        },
        Some(ImageSpec::Assembled(_) | ImageSpec::Existing(_)) => Need::NotNeeded,
    }
}

/// Tells whether a Dockerfile runs anything while it is built; that of one that cannot be read
/// is not known, and its absence is said elsewhere.
fn has_run(dockerfile: &Path) -> bool {
    let text = std::fs::read_to_string(dockerfile).unwrap_or_default();
    text.lines()
        .any(|line| line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("RUN")))
}

pub(super) async fn check(
    location: &EngineLocation,
    spec: Option<&DeploySpec>,
    has_image: bool,
) -> Vec<Diagnosis> {
    in_time(ENGINE, async {
        let described = async {
            let engine = DockerEngine::connect(location).await?;
            Ok::<_, crate::services::docker::DockerError>((engine.describe().await?, engine.is_local()))
        };
        match described.await {
            Ok((engine, is_local)) => {
                let wanted = spec.and_then(|spec| spec.function.architecture);
                let emulated = wanted.and_then(|wanted| emulates(wanted, Path::new(BINFMT_MISC)));
                findings(&engine, wanted, emulated.filter(|_| is_local))
            }
            Err(error) => {
                let message = error.to_string();
                vec![match need(spec.filter(|_| has_image)) {
                    Need::Needed => Diagnosis::error(ENGINE, message, error.hint()),
                    Need::NotNeeded => {
                        Diagnosis::skipped(ENGINE, format!("{message}; this configuration needs none"))
                    }
                    Need::Perhaps => Diagnosis::warning(
                        ENGINE,
                        format!("{message}; this Dockerfile runs nothing, so that most often none is needed"),
                        error.hint().unwrap_or_else(|| "install Docker or Podman".to_owned()),
                    ),
                    Need::Unknown => Diagnosis::warning(
                        ENGINE,
                        format!("{message}; it is needed for Dockerfiles with RUN"),
                        error.hint().unwrap_or_else(|| "install Docker or Podman".to_owned()),
                    ),
                }]
            }
        }
    })
    .await
}

/// What is to be said of an engine that answers; `emulated` tells whether it runs programs for
/// the wanted machine, where that is known.
fn findings(
    engine: &EngineDescription,
    wanted: Option<Architecture>,
    emulated: Option<bool>,
) -> Vec<Diagnosis> {
    let EngineDescription { name, version, address, .. } = engine;
    let answers = Diagnosis::good(ENGINE, format!("{name} answers at `{address}`"));
    let (major, minor, patch) = OLDEST;
    let age = match engine.version_numbers() {
        Some(numbers) if *name == "Docker" && numbers < OLDEST => Diagnosis::warning(
            VERSION,
            format!(
                "{name} {version} is older than {major}.{minor}.{patch}, and does not run images of Amazon Linux 2023"
            ),
            "update Docker; until then, use base images of Amazon Linux 2 or Debian",
        ),
        _ => Diagnosis::good(VERSION, format!("{name} {version}")),
    };
    let builder = match engine.builder {
        Builder::BuildKit => Diagnosis::good(BUILDER, "BuildKit"),
        Builder::Classic if *name == "Podman" => Diagnosis::good(BUILDER, "Podman's own"),
        Builder::Classic => Diagnosis::warning(
            BUILDER,
            "the classic builder: no cache mounts, secrets, or stages at the same time",
            match engine.is_containerd {
                // https://github.com/moby/moby/issues/47717
                true => "update Docker to 28 or newer, or switch its containerd image store off",
                false => "update Docker to 18.09 or newer",
            },
        ),
    };
    let store = match engine.is_containerd {
        true => format!("{} of containerd", engine.image_store),
        false => engine.image_store.clone(),
    };
    vec![answers, age, builder, platform(engine, wanted, emulated), Diagnosis::good(STORE, store)]
}

fn platform(engine: &EngineDescription, wanted: Option<Architecture>, emulated: Option<bool>) -> Diagnosis {
    let own = engine.architecture;
    let words = |architecture: Option<Architecture>| architecture.map_or("its machine", Architecture::as_str);
    match wanted {
        None => Diagnosis::good(PLATFORM, format!("builds for {}", words(own))),
        Some(wanted) if own.is_none_or(|own| own == wanted) => {
            Diagnosis::good(PLATFORM, format!("builds for {wanted} without emulation"))
        }
        Some(wanted) if emulated == Some(true) => Diagnosis::good(
            PLATFORM,
            format!("runs on {}, and builds for {wanted} through an emulator", words(own)),
        ),
        Some(wanted) if engine.is_desktop => {
            Diagnosis::good(PLATFORM, format!("Docker Desktop brings its emulator for {wanted}"))
        }
        Some(wanted) => {
            let unknown = if emulated.is_none() { ", as far as can be seen from here" } else { "" };
            Diagnosis::warning(
                PLATFORM,
                format!(
                    "the function runs on {wanted} and the engine on {}, which has no emulator for it{unknown}: RUN instructions would fail",
                    words(own)
                ),
                format!(
                    "install one: `docker run --privileged --rm tonistiigi/binfmt --install {}`; or compile for {wanted} in a stage of the engine's own platform",
                    wanted.oci()
                ),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::diagnosis::Finding;
    use crate::domain::spec::DockerfileSpec;
    use crate::pipeline::plan::tests::spec;

    fn engine(version: &str) -> EngineDescription {
        EngineDescription {
            address: "unix:///run/d.sock".to_owned(),
            name: "Docker",
            version: version.to_owned(),
            builder: Builder::BuildKit,
            image_store: "overlay2".to_owned(),
            is_containerd: false,
            architecture: Some(Architecture::X86_64),
            is_desktop: false,
        }
    }

    fn finding(list: &[Diagnosis], check: &str) -> (Finding, String) {
        let found = list.iter().find(|it| it.check == check).unwrap();
        (found.finding, found.hint.clone().unwrap_or_default())
    }

    #[test]
    fn an_engine_that_is_too_old_for_amazon_linux_2023_is_told() {
        for (version, expected) in [
            ("20.10.9", Finding::Warning),
            ("19.03.15", Finding::Warning),
            ("20.10.10", Finding::Good),
            ("27.3.1", Finding::Good),
            ("dev", Finding::Good),
        ] {
            assert_eq!(finding(&findings(&engine(version), None, None), VERSION).0, expected, "{version}");
        }
        let podman = EngineDescription { name: "Podman", builder: Builder::Classic, ..engine("4.3.1") };
        let found = findings(&podman, None, None);
        assert!(
            found.iter().all(|it| it.finding == Finding::Good),
            "Podman counts in its own way: {found:?}"
        );
        let classic = EngineDescription { builder: Builder::Classic, ..engine("20.10.24") };
        assert_eq!(finding(&findings(&classic, None, None), BUILDER).0, Finding::Warning);
    }

    #[test]
    fn a_foreign_machine_needs_an_emulator() {
        let arm = Some(Architecture::Arm64);
        let of = |engine: &EngineDescription, wanted, emulated| {
            finding(&findings(engine, wanted, emulated), PLATFORM)
        };
        assert_eq!(of(&engine("27.0.0"), arm, Some(true)).0, Finding::Good);
        assert_eq!(of(&engine("27.0.0"), Some(Architecture::X86_64), Some(false)).0, Finding::Good);
        let (missing, hint) = of(&engine("27.0.0"), arm, Some(false));
        assert!(missing == Finding::Warning && hint.contains("--install arm64"), "{hint}");
        let desktop = EngineDescription { is_desktop: true, ..engine("27.0.0") };
        assert_eq!(of(&desktop, arm, None).0, Finding::Good);
    }

    #[test]
    fn only_what_is_built_by_an_engine_needs_one() {
        assert_eq!(need(None), Need::Unknown);
        assert_eq!(need(Some(&spec())), Need::NotNeeded);
        let mut existing = spec();
        existing.image = ImageSpec::Existing(ImageSource::Engine("hello".to_owned()));
        assert_eq!(need(Some(&existing)), Need::Needed);
        let directory = tempfile::tempdir().unwrap();
        let dockerfile = directory.path().join("Dockerfile");
        let of = |text: &str, builder| {
            std::fs::write(&dockerfile, text).unwrap();
            let image = ImageSpec::Dockerfile(DockerfileSpec {
                context: directory.path().to_owned(),
                dockerfile: dockerfile.clone(),
                target: None,
                args: Default::default(),
                builder,
            });
            need(Some(&DeploySpec { image, ..spec() }))
        };
        let (plain, running) = ("FROM scratch\nCOPY a /a\n", "FROM debian\n  run make\n");
        assert_eq!(of(plain, BuilderChoice::Auto), Need::Perhaps);
        assert_eq!(of(running, BuilderChoice::Auto), Need::Needed);
        assert_eq!(of(running, BuilderChoice::Append), Need::NotNeeded);
        assert_eq!(of(plain, BuilderChoice::Engine), Need::Needed);
    }
}
