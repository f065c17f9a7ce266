//! A server that gives the answers a test has written down, and remembers what was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, Response};
use serde_json::{Value, json};

pub const ACCOUNT: &str = "123456789012";
pub const ROLE: &str = "arn:aws:iam::123456789012:role/hello";

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    /// Success with a JSON document.
    pub fn json(body: &Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.to_string() }
    }

    /// An error as Lambda gives it.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self {
            status,
            headers: vec![("x-amzn-errortype", code.to_owned()), ("x-amzn-requestid", "r-1".to_owned())],
            body: json!({ "Type": "User", "message": message, "__type": code }).to_string(),
        }
    }

    /// An answer of the query services.
    pub fn raw(status: u16, body: &str) -> Self {
        Self { status, headers: vec![("content-type", "text/xml".to_owned())], body: body.to_owned() }
    }

    fn xml(body: &str) -> Self {
        Self::raw(200, body)
    }
}

/// A function, member by member, to be changed for each answer.
#[derive(Clone, Debug)]
pub struct FunctionAnswer {
    configuration: Value,
    image_uri: String,
}

impl FunctionAnswer {
    /// A function that runs `image_uri` and has settled.
    pub fn live(image_uri: &str) -> Self {
        let digest = image_uri.rsplit(':').next().unwrap();
        let configuration = json!({
            "FunctionName": "hello",
            "FunctionArn": format!("arn:aws:lambda:eu-west-1:{ACCOUNT}:function:hello"),
            "Version": "$LATEST",
            "PackageType": "Image",
            "Architectures": ["x86_64"],
            "Role": ROLE,
            "Description": "",
            "MemorySize": 128,
            "Timeout": 3,
            "EphemeralStorage": { "Size": 512 },
            "CodeSha256": digest,
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "RevisionId": "r1",
        });
        Self { configuration, image_uri: image_uri.to_owned() }
    }

    /// The same with another member; `null` takes it away.
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        let configuration = self.configuration.as_object_mut().unwrap();
        match value.into() {
            Value::Null => drop(configuration.remove(member)),
            value => drop(configuration.insert(member.to_owned(), value)),
        }
        self
    }

    pub fn answer(&self) -> Answer {
        Answer::json(&json!({
            "Configuration": self.configuration,
            "Code": {
                "RepositoryType": "ECR",
                "ImageUri": self.image_uri,
                "ResolvedImageUri": self.image_uri,
            },
            "Tags": {},
        }))
    }
}

/// What `GetFunction` says where there is none.
pub fn no_function() -> Answer {
    let mut answer = Answer::error(404, "ResourceNotFoundException", "");
    answer.body = json!({ "Type": "User", "Message": "Function not found: hello" }).to_string();
    answer
}

/// One call that was made.
#[derive(Clone, Debug)]
pub struct Call {
    pub operation: String,
    pub body: String,
}

impl Call {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Debug, Default)]
struct Memory {
    /// The last answer of an operation is given again and again.
    answers: BTreeMap<String, VecDeque<Answer>>,
    calls: Vec<Call>,
    authority: String,
}

/// The server; it ends with the test.
#[derive(Debug)]
pub struct Script {
    memory: Arc<Mutex<Memory>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Script {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Script {
    /// Starts a server in which everything is in order, and no function exists.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let memory = Arc::new(Mutex::new(Memory { authority: authority.clone(), ..Memory::default() }));
        let router = axum::Router::new().fallback(serve).with_state(memory.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let script = Self { memory, task };
        script.on("GetFunction", [no_function()]);
        for operation in ["CreateFunction", "UpdateFunctionCode", "UpdateFunctionConfiguration"] {
            script.on(operation, [Answer::json(&json!({ "FunctionName": "hello" }))]);
        }
        script.on("TagResource", [Answer { status: 204, headers: Vec::new(), body: String::new() }]);
        let identity = format!(
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::{ACCOUNT}:user/ci</Arn><UserId>U</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
        );
        script.on("GetCallerIdentity", [Answer::xml(&identity)]);
        script.on(
            "DescribeRepositories",
            [Answer::json(&json!({ "repositories": [{
                "repositoryUri": format!("{authority}/hello"),
                "repositoryArn": format!("arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/hello"),
                "registryId": ACCOUNT,
            }] }))],
        );
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" },
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        }] });
        script.policy(Some(&policy));
        script.role("lambda.amazonaws.com");
        script.on(
            "GetAuthorizationToken",
            [Answer::json(&json!({ "authorizationData": [{
                "authorizationToken": "QVdTOnRva2Vu", "expiresAt": 1_420_070_400,
            }] }))],
        );
        script
    }

    pub fn authority(&self) -> String {
        self.memory.lock().unwrap().authority.clone()
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.authority())
    }

    /// Writes down the answers of an operation, in order.
    pub fn on(&self, operation: &str, answers: impl IntoIterator<Item = Answer>) {
        let answers = answers.into_iter().collect();
        self.memory.lock().unwrap().answers.insert(operation.to_owned(), answers);
    }

    /// Writes down the repository's policy.
    pub fn policy(&self, policy: Option<&Value>) {
        let answer = match policy {
            Some(policy) => Answer::json(&json!({ "policyText": policy.to_string() })),
            None => {
                Answer::error(400, "RepositoryPolicyNotFoundException", "Repository policy does not exist")
            }
        };
        self.on("GetRepositoryPolicy", [answer]);
        self.on("SetRepositoryPolicy", [Answer::json(&json!({}))]);
    }

    /// Writes down a role with this trust document.
    pub fn role(&self, trusted: &str) {
        let trust = format!(
            "%7B%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22{trusted}%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D"
        );
        let role = format!(
            "<GetRoleResponse><GetRoleResult><Role><Path>/</Path><RoleName>hello</RoleName><RoleId>AROA</RoleId><Arn>{ROLE}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>{trust}</AssumeRolePolicyDocument></Role></GetRoleResult></GetRoleResponse>"
        );
        self.on("GetRole", [Answer::xml(&role)]);
    }

    /// All calls of an operation.
    pub fn calls(&self, operation: &str) -> Vec<Call> {
        let memory = self.memory.lock().unwrap();
        memory.calls.iter().filter(|call| call.operation == operation).cloned().collect()
    }

    /// The operations that were called and change something, in order.
    pub fn writes(&self) -> Vec<String> {
        let memory = self.memory.lock().unwrap();
        let operations = memory.calls.iter().map(|call| call.operation.clone());
        let reads = ["Get", "Describe", "HEAD ", "GET "];
        operations.filter(|name| !reads.iter().any(|read| name.starts_with(read))).collect()
    }
}

async fn serve(State(memory): State<Arc<Mutex<Memory>>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let bytes: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    let path = head.uri.path();
    let operation = operation(&head.method, path, &head.headers, &body);
    let mut memory = memory.lock().unwrap();
    memory.calls.push(Call { operation: operation.clone(), body });
    let answer = match memory.answers.get_mut(&operation) {
        Some(answers) if answers.len() > 1 => answers.pop_front(),
        Some(answers) => answers.front().cloned(),
        None => None,
    };
    let answer = answer.unwrap_or_else(|| registry(&operation, path));
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}

/// A registry that holds whatever it is asked for.
fn registry(operation: &str, path: &str) -> Answer {
    let digest = path.rsplit('/').next().unwrap_or_default().to_owned();
    match operation {
        "HEAD manifests" => Answer {
            status: 200,
            headers: vec![
                ("docker-content-digest", digest),
                ("content-type", "application/vnd.oci.image.manifest.v1+json".to_owned()),
            ],
            body: String::new(),
        },
        other => Answer::error(501, "NotImplemented", &format!("the script has no answer for {other}")),
    }
}

fn operation(method: &Method, path: &str, headers: &http::HeaderMap, body: &str) -> String {
    if let Some(target) = headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
        return target.rsplit('.').next().unwrap_or_default().to_owned();
    }
    if let Some(action) = body.split('&').find_map(|pair| pair.strip_prefix("Action=")) {
        return action.to_owned();
    }
    if path.starts_with("/v2/") {
        let kind = path.rsplit('/').nth(1).unwrap_or_default();
        return format!("{method} {kind}");
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    let name = match (method.as_str(), last) {
        ("POST", "functions") => "CreateFunction",
        ("PUT", "code") => "UpdateFunctionCode",
        ("PUT", "configuration") => "UpdateFunctionConfiguration",
        ("GET", _) if path.contains("/functions/") => "GetFunction",
        ("POST", _) if path.contains("/tags/") => "TagResource",
        _ => return format!("{method} {path}"),
    };
    name.to_owned()
}
