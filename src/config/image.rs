//! Decides where the image comes from: a Dockerfile, an assembly of files, or an existing image.

use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::settings::{ImageSettings, Settings};
use crate::domain::spec::{AssembledSpec, BaseImage, DockerfileSpec, ImageSpec};

/// Joins a path of the file to the file's directory, without a leading `./`.
pub(super) fn within(directory: &Path, path: impl AsRef<Path>) -> PathBuf {
    let joined = directory.join(path);
    let tidy: PathBuf = joined.components().collect();
    match tidy.strip_prefix(".") {
        Ok(rest) if rest != Path::new("") => rest.to_owned(),
        _ => tidy,
    }
}

/// Makes the image specification of the settings; `file` is the file they come from, for errors.
pub(super) fn image_spec(
    settings: &Settings,
    directory: &Path,
    file: Option<&Path>,
) -> Result<ImageSpec, ConfigError> {
    let image = &settings.image;
    let key = |name: &str| format!("[image] {name}");
    match (dockerfile_key(image), assembled_key(image)) {
        (Some(one), Some(other)) => Err(ConfigError::Conflict {
            one: key(one),
            other: key(other),
            path: file.map(Path::to_owned),
            advice: "keep `dockerfile`, `context`, `target` and `args` for an image of a Dockerfile, or `base`, `files` and the rest for an assembled one",
        }),
        (None, Some(_)) => assembled(image, file).map(ImageSpec::Assembled),
        (_, None) => {
            let context = image.context.clone().unwrap_or_else(|| within(directory, ""));
            let dockerfile = image.dockerfile.clone().unwrap_or_else(|| within(&context, "Dockerfile"));
            Ok(ImageSpec::Dockerfile(DockerfileSpec {
                context,
                dockerfile,
                target: image.target.clone(),
                args: image.args.clone(),
                builder: image.builder.unwrap_or_default(),
            }))
        }
    }
}

fn dockerfile_key(image: &ImageSettings) -> Option<&'static str> {
    [
        ("dockerfile", image.dockerfile.is_some()),
        ("context", image.context.is_some()),
        ("target", image.target.is_some()),
        ("args", !image.args.is_empty()),
        ("builder", image.builder.is_some()),
    ]
    .into_iter()
    .find_map(|(key, given)| given.then_some(key))
}

fn assembled_key(image: &ImageSettings) -> Option<&'static str> {
    [
        ("base", image.base.is_some()),
        ("files", image.files.is_some()),
        ("entry_point", image.entry_point.is_some()),
        ("command", image.command.is_some()),
        ("working_directory", image.working_directory.is_some()),
        ("environment", !image.environment.is_empty()),
        ("labels", !image.labels.is_empty()),
    ]
    .into_iter()
    .find_map(|(key, given)| given.then_some(key))
}

fn assembled(image: &ImageSettings, file: Option<&Path>) -> Result<AssembledSpec, ConfigError> {
    let missing =
        |needed, because| Err(ConfigError::Missing { needed, because, path: file.map(Path::to_owned) });
    let files = image.files.clone().unwrap_or_default();
    let base = image.base.clone().unwrap_or(BaseImage::Scratch);
    if base == BaseImage::Scratch {
        if files.is_empty() {
            return missing("[image] files", "an image on `scratch` has nothing else in it");
        }
        if image.entry_point.as_ref().is_none_or(Vec::is_empty) {
            return missing("[image] entry_point", "an image on `scratch` has none of its own to start");
        }
    }
    Ok(AssembledSpec {
        base,
        files,
        entry_point: image.entry_point.clone(),
        command: image.command.clone(),
        working_directory: image.working_directory.clone(),
        environment: image.environment.clone(),
        labels: image.labels.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::ConfigFile;

    fn spec(text: &str) -> Result<ImageSpec, ConfigError> {
        let path = Path::new("app/lambdactl.toml");
        let file = ConfigFile::parse(path, text).unwrap();
        image_spec(&file.settings, &file.directory(), Some(path))
    }

    #[test]
    fn paths_lose_their_leading_dot() {
        for (directory, path, joined) in [
            (".", "Dockerfile", "Dockerfile"),
            (".", ".", "."),
            ("./app", "./x/../Dockerfile", "app/x/../Dockerfile"),
            ("app", "/abs", "/abs"),
            (".", "", "."),
        ] {
            assert_eq!(within(Path::new(directory), path), Path::new(joined), "{directory} {path}");
        }
    }

    #[test]
    fn a_dockerfile_is_the_default() {
        let Ok(ImageSpec::Dockerfile(spec)) = spec("") else { panic!("not a Dockerfile") };
        assert_eq!((spec.context, spec.dockerfile), ("app".into(), "app/Dockerfile".into()));
    }

    #[test]
    fn a_dockerfile_is_looked_for_in_its_context() {
        let Ok(ImageSpec::Dockerfile(spec)) = spec("[image]\ncontext = \"sub\"\n") else { panic!("no") };
        assert_eq!(spec.dockerfile, Path::new("app/sub/Dockerfile"));
    }

    #[test]
    fn files_without_a_base_stand_on_scratch() {
        let text = "[image]\nfiles = [{ from = \"a\", to = \"/a\" }]\nentry_point = [\"/a\"]\n";
        let Ok(ImageSpec::Assembled(spec)) = spec(text) else { panic!("not assembled") };
        assert_eq!(spec.base, BaseImage::Scratch);
    }

    #[test]
    fn scratch_needs_files_and_an_entry_point() {
        let error = spec("[image]\nfiles = [{ from = \"a\", to = \"/a\" }]\n").unwrap_err().to_string();
        assert!(error.contains("`[image] entry_point` is missing in `app/lambdactl.toml`"), "{error}");
        let error = spec("[image]\nbase = \"scratch\"\n").unwrap_err().to_string();
        assert!(error.contains("`[image] files` is missing"), "{error}");
        let base_alone = spec("[image]\nbase = \"public.ecr.aws/lambda/provided:al2023\"\n");
        assert!(matches!(base_alone, Ok(ImageSpec::Assembled(_))));
    }

    #[test]
    fn both_kinds_at_once_are_refused() {
        let error = spec("[image]\ndockerfile = \"Dockerfile\"\nbase = \"scratch\"\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`[image] dockerfile` and `[image] base` exclude each other in `app/lambdactl.toml`"
        );
        assert!(error.hint().is_some());
    }
}
