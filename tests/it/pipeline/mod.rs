//! The pipeline against scripted AWS answers: what is called, what is never called, and what
//! comes of every fault.

mod changing;
mod creating;
mod policy;
mod script;
mod watching;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lambdactl::domain::platform::Architecture;
use lambdactl::domain::spec::{
    AssembledSpec, BaseImage, DeploySpec, EnvironmentSpec, FileMapping, FunctionSpec, ImageConfigSpec,
    ImageSpec, RepositoryLocation, RepositorySpec, RoleSpec,
};
use lambdactl::event::{Event, Reporter};
use lambdactl::pipeline::{Cloud, DeployOptions};
use lambdactl::services::docker::EngineLocation;
use lambdactl::services::session::SessionOptions;
use script::{FunctionAnswer, Script};

use crate::support::program::elf_header;

/// Remembers all events.
#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

impl Reporter for Events {
    fn report(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Events {
    fn any(&self, is_wanted: impl Fn(&Event) -> bool) -> bool {
        self.0.lock().unwrap().iter().any(is_wanted)
    }
}

/// A pipeline that speaks to a script, and a project to deploy.
struct Stage {
    script: Script,
    cloud: Cloud,
    events: Arc<Events>,
    spec: DeploySpec,
    _directory: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("bootstrap");
        std::fs::write(&program, elf_header("x86_64")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let script = Script::start().await;
        let events = Arc::new(Events::default());
        let session = SessionOptions {
            region: Some("eu-west-1".to_owned()),
            local_endpoint: Some(script.endpoint()),
            ..SessionOptions::default()
        };
        let cloud = Cloud::connect(&session, EngineLocation::default(), events.clone()).await.unwrap();
        let spec = spec(directory.path());
        Self { script, cloud, events, spec, _directory: directory }
    }

    /// `REPOSITORY@DIGEST` of the project's image, which is the same at each build.
    async fn image_uri(&self) -> String {
        let digest = self.cloud.build(&self.spec).await.unwrap().digest();
        format!("{}/hello@{digest}", self.script.authority())
    }

    /// The function as it is when the project is live.
    async fn live(&self) -> FunctionAnswer {
        FunctionAnswer::live(&self.image_uri().await)
    }
}

fn spec(directory: &Path) -> DeploySpec {
    DeploySpec {
        allow: Default::default(),
        compression: Default::default(),
        directory: directory.to_owned(),
        function: FunctionSpec {
            name: "hello".parse().unwrap(),
            role: Some(RoleSpec::Arn(script::ROLE.parse().unwrap())),
            architecture: Some(Architecture::X86_64),
            memory_size: None,
            timeout: None,
            ephemeral_storage: None,
            description: None,
            environment: EnvironmentSpec::default(),
            image_config: ImageConfigSpec::default(),
            tags: Default::default(),
        },
        build_command: None,
        image: ImageSpec::Assembled(AssembledSpec {
            base: BaseImage::Scratch,
            files: vec![FileMapping { from: directory.join("bootstrap"), to: "/bootstrap".to_owned() }],
            entry_point: Some(vec!["/bootstrap".to_owned()]),
            command: None,
            working_directory: None,
            environment: Default::default(),
            labels: Default::default(),
        }),
        repository: RepositorySpec {
            location: RepositoryLocation::Name("hello".parse().unwrap()),
            create: true,
        },
    }
}

fn options() -> DeployOptions {
    let wait_timeout = Duration::from_secs(10);
    DeployOptions { create_role: false, no_wait: false, wait_timeout, tag: None, replace: false }
}
