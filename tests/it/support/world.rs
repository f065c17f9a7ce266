//! A sandbox with a running local cloud and a project: where most deployments of the tests happen.

use std::path::Path;

use serde_json::{Value, json};

use super::engine_proxy::EngineProxy;
use super::local_server::{LocalServer, request};
use super::project::Project;
use super::sandbox::{Finished, Sandbox, finish};

/// A running local cloud, whose log and faults can be reached, and the project `hello`.
#[derive(Debug)]
pub struct World {
    /// Its commands use the running cloud.
    pub sandbox: Sandbox,
    /// The cloud.
    pub cloud: LocalServer,
    /// What is deployed.
    pub project: Project,
}

impl World {
    /// Starts one, empty.
    pub fn new() -> Self {
        Self::in_sandbox(Sandbox::new())
    }

    /// Starts one with an environment that is set already.
    pub fn in_sandbox(sandbox: Sandbox) -> Self {
        let cloud = LocalServer::serve(&sandbox);
        let project = Project::assembled(sandbox.path(), "hello");
        Self { sandbox, cloud, project }
    }

    /// Starts one whose engine is behind `proxy`.
    pub fn behind(proxy: &EngineProxy) -> Self {
        let mut sandbox = Sandbox::new();
        sandbox.set("DOCKER_HOST", &proxy.host());
        Self::in_sandbox(sandbox)
    }

    /// The arguments of a command on the project.
    pub fn arguments<'a>(&'a self, verb: &'a str, options: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = vec![verb, "--local", self.project.argument()];
        arguments.extend(options);
        arguments
    }

    /// Deploys the project and returns how that ended.
    pub fn try_deploy(&self, options: &[&str]) -> Finished {
        self.sandbox.run(self.arguments("deploy", options))
    }

    /// Deploys the project as to AWS: without `--local`, to endpoints that the environment names.
    pub fn try_deploy_to_endpoints(&self, options: &[&str]) -> Finished {
        let mut command = self.sandbox.lambdactl(["deploy", self.project.argument()]);
        command.args(options).envs([
            ("AWS_ENDPOINT_URL", self.cloud.endpoint()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ]);
        finish(command)
    }

    /// Deploys the project, which has to succeed, and returns the last line of JSON.
    #[track_caller]
    pub fn deploy(&self, options: &[&str]) -> Value {
        let result = self.sandbox.json(0, self.arguments("deploy", options)).pop().expect("a result");
        assert_eq!(result["reason"], "deployment", "{result}");
        result
    }

    /// The last line of JSON of `plan`, which has to end with `code`.
    #[track_caller]
    pub fn plan(&self, code: i32, options: &[&str]) -> Value {
        let result = self.sandbox.json(code, self.arguments("plan", options)).pop().expect("a result");
        assert_eq!(result["reason"], "plan", "{result}");
        result
    }

    /// The whole answer of `GetFunction`, straight from the cloud.
    #[track_caller]
    pub fn function(&self) -> Value {
        let (status, answer) = self.ask("GET", "/2015-03-31/functions/hello", None);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Tells whether the function exists.
    pub fn has_function(&self) -> bool {
        self.ask("GET", "/2015-03-31/functions/hello", None).0 == 200
    }

    /// One request to the cloud, in JSON.
    pub fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let (status, answer) = request(method, &format!("{}{path}", self.cloud.endpoint()), body);
        (status, serde_json::from_str(&answer).unwrap_or(json!(answer)))
    }

    /// Makes the next creation or update of the function fail after it was accepted.
    pub fn fails_later(&self, code: &str, reason: &str) {
        let wanted = json!({ "function": "hello", "region": "us-east-1", "state_reason_code": code, "reason": reason });
        let (status, answer) = self.ask("POST", "/_lambdactl/outcomes", Some(wanted));
        assert!((200..300).contains(&status), "{status}: {answer}");
    }

    /// Writes settings whose build command leaves `built` behind, to tell whether it ran.
    pub fn mark_builds(&self, settings: &str) {
        self.project.configure(&format!("{settings}\n[build]\ncommand = [\"touch\", \"built\"]"));
    }

    /// Tells whether the build command of [`World::mark_builds`] ran.
    pub fn was_built(&self) -> bool {
        Path::exists(&self.project.file("built"))
    }
}
