//! A running `lambdactl local serve`, with its faults and its log.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use super::sandbox::{Sandbox, signal};

/// How long a server may take until it says where it listens.
const START: Duration = Duration::from_secs(30);

/// A server that is stopped when the test is over.
#[derive(Debug)]
pub struct LocalServer {
    child: Child,
    endpoint: String,
}

/// One request the server took, from its log.
#[derive(Clone, Debug)]
pub struct Logged {
    /// `PUT`.
    pub method: String,
    /// Such as `/v2/hello/manifests/sha256:…`.
    pub path: String,
    /// `CreateFunction`, where the request is a call of an API.
    pub operation: Option<String>,
}

/// The operations of Lambda's API the tests speak of: by which requests they are called for `hello`.
const LAMBDA: [(&str, &str, &str); 6] = [
    ("CreateFunction", "POST", "/2015-03-31/functions"),
    ("GetFunction", "GET", "/2015-03-31/functions/hello"),
    ("UpdateFunctionCode", "PUT", "/2015-03-31/functions/hello/code"),
    ("UpdateFunctionConfiguration", "PUT", "/2015-03-31/functions/hello/configuration"),
    ("TagResource", "POST", "/2017-03-31/tags/"),
    ("DeleteFunction", "DELETE", "/2015-03-31/functions/hello"),
];

impl LocalServer {
    /// Serves the sandbox's own state directory, which its `--local` commands then use.
    pub fn serve(sandbox: &Sandbox) -> Self {
        let mut child = sandbox
            .lambdactl(["local", "serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let (sender, receiver) = mpsc::channel();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        // Both outputs are read to their ends, so that the server never waits for a reader.
        std::thread::spawn({
            let sender = sender.clone();
            move || {
                BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)))
            }
        });
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        let address = regex::Regex::new(r"http://127\.0\.0\.1:[0-9]+").unwrap();
        // Ends the server also where it never says where it listens.
        let mut server = Self { child, endpoint: String::new() };
        let mut said = Vec::new();
        while let Ok(line) = receiver.recv_timeout(START) {
            if let Some(found) = address.find(&line) {
                server.endpoint = found.as_str().to_owned();
                return server;
            }
            said.push(line);
        }
        panic!("`local serve` does not say where it listens: {said:#?}");
    }

    /// Stands where a server has been.
    pub fn nobody() -> Self {
        let child = std::process::Command::new("true").spawn().expect("`true` starts");
        Self { child, endpoint: String::new() }
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Such as `http://127.0.0.1:4566`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Makes the server misbehave for requests that match, see [`Fault`].
    pub fn inject(&self, faults: &[Fault]) {
        let body: Vec<&Value> = faults.iter().map(|Fault(fault)| fault).collect();
        let (status, answer) = request("POST", &self.url("/_lambdactl/faults"), Some(json!(body)));
        assert!((200..300).contains(&status), "{status}: {answer}");
    }

    /// Ends all misbehaviour; requests that are held back stay so.
    pub fn mend(&self) {
        let (status, answer) = request("DELETE", &self.url("/_lambdactl/faults"), None);
        assert_eq!(status, 200, "{answer}");
    }

    /// Tells whether every fault has happened as often as it should. A request that is held back
    /// is not in the log yet, but its fault has happened.
    pub fn has_misbehaved(&self) -> bool {
        let (status, answer) = request("GET", &self.url("/_lambdactl/faults"), None);
        assert_eq!(status, 200, "{answer}");
        answer.trim() == "[]"
    }

    /// What the server was asked so far, in order.
    pub fn log(&self) -> Vec<Logged> {
        let (status, answer) = request("GET", &self.url("/_lambdactl/log"), None);
        assert_eq!(status, 200, "{answer}");
        let log: Value = serde_json::from_str(&answer).expect("the log is JSON");
        let text = |entry: &Value, member: &str| entry[member].as_str().map(str::to_owned);
        log.as_array()
            .expect("the log is a list")
            .iter()
            .map(|entry| {
                let method = text(entry, "method").unwrap_or_else(|| panic!("{entry}"));
                let path = text(entry, "path").unwrap_or_else(|| panic!("{entry}"));
                let operation = text(entry, "operation").or_else(|| lambda_operation(&method, &path));
                Logged { method, path, operation }
            })
            .collect()
    }

    /// How often an operation of an API was called.
    pub fn calls(&self, operation: &str) -> usize {
        self.log().iter().filter(|entry| entry.operation.as_deref() == Some(operation)).count()
    }

    /// What was asked that changes something, from the entry `since` of the log on.
    pub fn writes(&self, since: usize) -> Vec<Logged> {
        self.log().into_iter().skip(since).filter(Logged::is_write).collect()
    }

    /// What the registry was asked, from the entry `since` of the log on: `HEAD manifest`.
    pub fn registry_requests(&self, since: usize) -> Vec<String> {
        let log = self.log();
        let registry = log[since..].iter().filter(|entry| entry.path.starts_with("/v2/"));
        registry
            .map(|entry| {
                let kind = if entry.path.contains("/manifests/") { "manifest" } else { "blob" };
                format!("{} {kind}", entry.method)
            })
            .collect()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint)
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl LocalServer {
    /// Ends the server as Ctrl-C does and returns its exit code.
    pub fn interrupt(mut self) -> Option<i32> {
        signal(self.child.id(), "INT");
        self.child.wait().expect("the server ends").code()
    }
}

/// The operation of Lambda's API a request calls. The log names those of the other APIs itself.
fn lambda_operation(method: &str, path: &str) -> Option<String> {
    let called = LAMBDA.iter().find(|(_, of, prefix)| {
        method == *of
            && (path.trim_end_matches('/') == *prefix || (prefix.ends_with('/') && path.starts_with(prefix)))
    });
    called.map(|(name, ..)| (*name).to_owned())
}

impl Logged {
    fn is_write(&self) -> bool {
        match self.operation.as_deref() {
            Some(operation) => {
                !["Get", "List", "Describe", "Batch"].iter().any(|read| operation.starts_with(read))
            }
            None => !matches!(self.method.as_str(), "GET" | "HEAD"),
        }
    }
}

/// One way for the server to misbehave: which requests, how often, and how.
#[derive(Clone, Debug)]
pub struct Fault(Value);

impl Fault {
    /// For calls of one operation of an API.
    pub fn operation(name: &str) -> Self {
        match LAMBDA.iter().find(|(operation, ..)| *operation == name) {
            Some((_, method, path)) => Self::request(method, path),
            None => Self(json!({ "match": { "operation": name }, "times": 1 })),
        }
    }

    /// For requests of one method below a path.
    pub fn request(method: &str, path_prefix: &str) -> Self {
        Self(json!({ "match": { "method": method, "path_prefix": path_prefix }, "times": 1 }))
    }

    /// As often as said; once where nothing is said.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.0["times"] = json!(times);
        self
    }

    /// Answers with a status and a body.
    #[must_use]
    pub fn answers(mut self, status: u16, body: Value) -> Self {
        self.0["action"] = json!({ "status": status, "body": body.to_string(), "headers": {} });
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.0["action"]["headers"][name] = json!(value);
        self
    }

    /// Cuts the connection in the middle of the request.
    #[must_use]
    pub fn cuts(mut self) -> Self {
        self.0["action"] = json!("cut");
        self
    }

    /// Answers late, and then as usual.
    #[must_use]
    pub fn delays(mut self, delay: Duration) -> Self {
        self.0["action"] = json!({ "delay_ms": delay.as_millis() as u64 });
        self
    }
}

/// One HTTP request to a server on this machine.
pub fn request(method: &str, url: &str, body: Option<Value>) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        // The local cloud takes the region out of a signature, and believes the rest of it.
        let signature = "AWS4-HMAC-SHA256 Credential=TEST/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0";
        let request = client.request(method.parse().expect("a method"), url);
        let mut request = request.header("Authorization", signature);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap_or_else(|error| panic!("{method} {url}: {error:?}"));
        (response.status().as_u16(), response.text().await.expect("the answer can be read"))
    })
}
