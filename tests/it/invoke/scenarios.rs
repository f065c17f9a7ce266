//! What every runner has to do alike. Each scenario names the settings it needs.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::world::World;

pub const CONDITIONS: &str = "[function]\nmemory_size = 256";
pub const LIMITS: &str = "[function]\ntimeout = 2";
pub const NO_ENTRY_POINT: &str =
    "[check]\nallow = [\"entry-point-not-found\"]\n[function.image_config]\nentry_point = [\"/none\"]";
pub const SLOW_START: &str = "[function]\ntimeout = 1\n[function.environment]\nINIT = \"slow\"";
pub const MANY_CALLS: &str = "[function]\ntimeout = 60";

/// The user, the file system and the variables are Lambda's.
pub fn conditions(world: &World) {
    let system = world.answer(&json!({"do": "system"}));
    assert_eq!(
        system,
        json!({"uid": 993, "gid": 990, "root": "Read-only file system", "tmp": true, "directory": "/", "arguments": 1, "argument": ""})
    );
    let environment = world.answer(&json!({"do": "environment"}));
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "hello"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/hello"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("TZ", ":UTC"),
    ] {
        assert_eq!(environment[name], value, "{name}");
    }
    assert!(environment["AWS_LAMBDA_LOG_STREAM_NAME"].as_str().unwrap().contains("/[$LATEST]"));
}

/// Every limit is told in Lambda's words, and the next call is fine.
pub fn limits(world: &World) {
    for (event, code, message) in [
        ("sleep", "Sandbox.Timedout", "Error: Task timed out after 2.00 seconds"),
        ("exit", "Runtime.ExitError", "Error: Runtime exited with error: exit status 7"),
        ("memory", "Runtime.OutOfMemory", "Error: Runtime exited with error: signal: killed"),
        ("large", "Function.ResponseSizeTooLarge", "(6291556 bytes)."),
        ("error", "Own.Error", "as asked\\nat main"),
    ] {
        let (told, text) = world.failure(&json!({ "do": event }));
        assert_eq!(told, code, "{event}");
        assert!(text.contains(message), "{event}: {text}");
        assert_eq!(world.answer(&json!({"do": "echo"})), json!({"do": "echo"}), "after {event}");
    }
    // A process that ends after its answer has answered, and is replaced.
    assert_eq!(world.answer(&json!({"do": "last"})), json!({"do": "last"}));
    assert_eq!(world.answer(&json!({"do": "who"}))["served"], 1);
}

pub const FILLING: &str = "[function]\ntimeout = 60";

/// The room in `/tmp` ends where Lambda's does, and is no memory.
pub fn filling(world: &World) {
    let filled = world.answer(&json!({"do": "fill"}));
    assert_eq!(filled["why"], "No space left on device");
    // Four times the function's memory, and a block more would be the next megabyte.
    let megabytes = filled["megabytes"].as_u64().unwrap();
    assert!((510..=512).contains(&megabytes), "{filled}");
    assert_eq!(world.answer(&json!({"do": "who"}))["served"], 2, "it is alive");
    // Memory has its limit all the same.
    let (code, text) = world.failure(&json!({"do": "memory"}));
    assert_eq!(code, "Runtime.OutOfMemory", "{text}");
}

/// What cannot start says why.
pub fn no_start(world: &World) {
    let (code, text) = world.failure(&json!({}));
    assert_eq!(code, "Runtime.InvalidEntrypoint");
    assert!(text.contains("fork/exec /none: no such file or directory"), "{text}");
    for (init, code, message) in
        [("exit", "Runtime.ExitError", "exit status 3"), ("error", "Init.Broken", "no settings")]
    {
        world.project.configure(&format!(
            "[function.image_config]\nentry_point = [\"/bootstrap\"]\n[function.environment]\nINIT = \"{init}\""
        ));
        world.deploy(&[]);
        let (told, text) = world.failure(&json!({}));
        assert_eq!(told, code, "{init}");
        assert!(text.contains(message), "{init}: {text}");
    }
}

/// A start of more than ten seconds is begun again, as part of the invocation.
pub fn slow_start(world: &World) {
    let begin = Instant::now();
    let (code, text) = world.failure(&json!({}));
    assert!(begin.elapsed() >= Duration::from_secs(11));
    assert_eq!(code, "Sandbox.Timedout");
    assert!(text.contains("Task timed out after 1.00 seconds"), "{text}");
}

/// Ten callers at the same time get each their own answers.
pub fn many_calls(world: &World, calls: u32) {
    let url = format!("{}/2015-03-31/functions/hello/invocations", world.cloud.endpoint());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let signature = "AWS4-HMAC-SHA256 Credential=TEST/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0";
        let worker = |worker: u32| {
            let (client, url) = (client.clone(), url.clone());
            async move {
                for number in 0..calls {
                    let event = format!(r#"{{"do":"echo","worker":{worker},"number":{number}}}"#);
                    let sent = client.post(&url).header("Authorization", signature).body(event.clone());
                    let response = sent.send().await.unwrap();
                    assert_eq!(response.status(), 200);
                    assert_eq!(response.text().await.unwrap(), event);
                }
            }
        };
        futures_util::future::join_all((0..10).map(worker)).await;
    });
}
