//! What a version of a function runs with: read from the Lambda API's documents and from the
//! image, and turned into what a runner starts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::Deserialize;

use super::format::LogFormat;
use crate::domain::digest::Digest;
use crate::local::runner::{GivenImage, Launch, LocalImage, OutputSink};
use crate::local::runtime_api::ExtensionGate;
use crate::local::store::{Store, StoreError};

/// A version as it is to run. Two environments with the same one are interchangeable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionConfiguration {
    /// The region it is in.
    pub region: String,
    /// Its name.
    pub name: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// The repository of its image.
    pub repository: String,
    /// Its image.
    pub digest: Digest,
    /// Megabytes.
    pub memory: u64,
    /// Seconds.
    pub timeout: u64,
    /// Megabytes of `/tmp`.
    pub ephemeral_storage: u64,
    /// The function's own variables.
    pub variables: BTreeMap<String, String>,
    /// Instead of the image's entry point.
    pub entry_point: Option<Vec<String>>,
    /// Instead of the image's command.
    pub command: Option<Vec<String>>,
    /// Instead of the image's working directory.
    pub working_directory: Option<String>,
    /// Where it logs to.
    pub log_group: String,
    /// How.
    pub log_format: LogFormat,
    /// From which level on, where its runtime is to know that.
    pub log_level: Option<String>,
}

/// The start settings in an image's configuration, as far as Lambda honours them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ImageSettings {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    env: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct ImageDocument {
    #[serde(default)]
    config: Option<ImageSettings>,
}

impl ImageSettings {
    /// Reads an image's own; `None` where the image is gone from the registry.
    pub(super) fn of(image: &LocalImage) -> Result<Option<Self>, StoreError> {
        let Some(Ok(manifest)) = image.manifest()? else { return Ok(None) };
        let Some(document) = image.read(&manifest.config.digest)? else { return Ok(None) };
        let document: Option<ImageDocument> = serde_json::from_slice(&document).ok();
        Ok(document.map(|document| document.config.unwrap_or_default()))
    }
}

/// Names and places one environment has of its own.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    pub(super) address: SocketAddr,
    pub(super) log_stream: &'a str,
    pub(super) credentials: &'a [(String, String)],
}

/// Where Lambda looks for programs that are named without a path.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/opt/bin";

impl FunctionConfiguration {
    /// Tells whether both are the same version of the same function, however configured.
    pub(super) fn is_same_version(&self, other: &Self) -> bool {
        (&self.region, &self.name, &self.version) == (&other.region, &other.name, &other.version)
    }

    /// Its image, in the registry or given.
    pub(super) fn image(&self, store: &Arc<Store>, given: Option<&GivenImage>) -> LocalImage {
        LocalImage {
            repository: self.repository.clone(),
            digest: self.digest,
            store: store.clone(),
            given: given.cloned(),
        }
    }

    /// The handler: what the image, or its override, names as the command's first word.
    pub(super) fn handler(&self, image: &ImageSettings) -> String {
        let command = self.command.as_ref().or(image.cmd.as_ref());
        command.and_then(|words| words.first()).cloned().unwrap_or_default()
    }

    /// What a runner has to start. Each of the three overrides stands alone, as in Lambda.
    pub(super) fn launch(
        &self,
        image: &ImageSettings,
        local: LocalImage,
        place: &Place<'_>,
        output: OutputSink,
        gate: ExtensionGate,
    ) -> Launch {
        let words = |own: &Option<Vec<String>>, image: &Option<Vec<String>>| {
            own.clone().or_else(|| image.clone()).unwrap_or_default()
        };
        let mut arguments = words(&self.entry_point, &image.entrypoint);
        arguments.extend(words(&self.command, &image.cmd));
        let directory = self.working_directory.clone().or_else(|| image.working_dir.clone());
        Launch {
            function: self.name.clone(),
            image: local,
            arguments,
            working_directory: directory
                .filter(|directory| !directory.is_empty())
                .unwrap_or_else(|| "/".to_owned()),
            environment: self.environment(image, place),
            memory: self.memory,
            ephemeral_storage: self.ephemeral_storage,
            output,
            gate,
        }
    }

    /// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
    fn environment(&self, image: &ImageSettings, place: &Place<'_>) -> Vec<(String, String)> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        // What the image or the function may set otherwise.
        let mut all = BTreeMap::from([
            pair("PATH", PATH),
            pair("LANG", "en_US.UTF-8"),
            pair("TZ", ":UTC"),
            pair("LAMBDA_TASK_ROOT", "/var/task"),
            pair("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ]);
        let of_image = image.env.iter().flatten().filter_map(|pair| pair.split_once('='));
        all.extend(of_image.map(|(name, value)| pair(name, value)));
        all.extend(self.variables.clone());
        all.extend(place.credentials.iter().cloned());
        // What nobody may set.
        all.extend([
            pair("AWS_REGION", &self.region),
            pair("AWS_DEFAULT_REGION", &self.region),
            pair("AWS_LAMBDA_FUNCTION_NAME", &self.name),
            pair("AWS_LAMBDA_FUNCTION_VERSION", &self.version),
            pair("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &self.memory.to_string()),
            pair("AWS_LAMBDA_LOG_GROUP_NAME", &self.log_group),
            pair("AWS_LAMBDA_LOG_STREAM_NAME", place.log_stream),
            pair("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            pair("AWS_LAMBDA_RUNTIME_API", &place.address.to_string()),
            pair("AWS_LAMBDA_LOG_FORMAT", self.log_format.name()),
            pair("_HANDLER", &self.handler(image)),
        ]);
        all.extend(self.log_level.iter().map(|level| pair("AWS_LAMBDA_LOG_LEVEL", level)));
        all.into_iter().collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A function that overrides nothing.
    pub(crate) fn configuration(name: &str) -> FunctionConfiguration {
        FunctionConfiguration {
            region: "eu-west-1".to_owned(),
            name: name.to_owned(),
            version: "$LATEST".to_owned(),
            repository: name.to_owned(),
            digest: Digest::of(b"manifest"),
            memory: 256,
            timeout: 3,
            ephemeral_storage: 512,
            variables: BTreeMap::new(),
            entry_point: None,
            command: None,
            working_directory: None,
            log_group: format!("/aws/lambda/{name}"),
            log_format: LogFormat::Text,
            log_level: None,
        }
    }

    fn launch(function: &FunctionConfiguration, image: &ImageSettings) -> Launch {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(directory.path()).unwrap());
        let credentials = [("AWS_ACCESS_KEY_ID".to_owned(), "local".to_owned())];
        let place = Place {
            address: SocketAddr::from(([127, 0, 0, 1], 9001)),
            log_stream: "2026/11/22/[$LATEST]0",
            credentials: &credentials,
        };
        function.launch(
            image,
            function.image(&store, None),
            &place,
            OutputSink::new().0,
            ExtensionGate::default(),
        )
    }

    fn image() -> ImageSettings {
        let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        ImageSettings {
            entrypoint: words(&["/entry", "--flag"]),
            cmd: words(&["app.handler"]),
            working_dir: Some("/var/task".to_owned()),
            env: words(&["TZ=Europe/Berlin", "LEVEL=image", "AWS_REGION=nowhere"]),
        }
    }

    #[test]
    fn each_override_replaces_its_own_setting_of_the_image() {
        let plain = launch(&configuration("hello"), &image());
        assert_eq!(plain.arguments, ["/entry", "--flag", "app.handler"]);
        assert_eq!(plain.working_directory, "/var/task");
        let other = FunctionConfiguration {
            command: Some(vec!["other.handler".to_owned()]),
            working_directory: Some("/srv".to_owned()),
            ..configuration("hello")
        };
        let other = launch(&other, &image());
        assert_eq!(other.arguments, ["/entry", "--flag", "other.handler"]);
        assert_eq!(other.working_directory, "/srv");
        assert_eq!(launch(&configuration("hello"), &ImageSettings::default()).working_directory, "/");
    }

    #[test]
    fn the_functions_variables_win_over_the_images_and_lambdas_over_both() {
        let mut function = configuration("hello");
        function.variables = BTreeMap::from([("LEVEL".to_owned(), "function".to_owned())]);
        let environment: BTreeMap<_, _> = launch(&function, &image()).environment.into_iter().collect();
        for (name, value) in [
            ("LEVEL", "function"),
            ("TZ", "Europe/Berlin"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("AWS_LAMBDA_FUNCTION_NAME", "hello"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/hello"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/22/[$LATEST]0"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_LOG_FORMAT", "Text"),
            ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("_HANDLER", "app.handler"),
            ("LAMBDA_TASK_ROOT", "/var/task"),
        ] {
            assert_eq!(environment.get(name).map(String::as_str), Some(value), "{name}");
        }
    }
}
