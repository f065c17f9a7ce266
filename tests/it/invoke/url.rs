//! Functions that answer HTTP: their URLs by curl, and the API that makes them by the AWS CLI and
//! boto3.

use std::process::Command;

use serde_json::{Value, json};

use super::sandbox::world;
use crate::support::local_server::LocalServer;
use crate::support::python::boto3;
use crate::support::sandbox::{Finished, finish};
use crate::support::world::World;

/// Asks with curl, which takes `*.localhost` for this machine as browsers do. The status comes
/// after the body, on a line of its own.
pub(super) fn curl(url: &str, options: &[&str]) -> Finished {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*", "--write-out", "\n%{http_code}", url]);
    command.args(options);
    finish(command).expect(0)
}

pub(super) fn url_of(world: &World) -> String {
    world.sandbox.run(["local", "url", "hello"]).expect(0).stdout.trim().to_owned()
}

#[test]
fn a_browser_can_open_a_function() {
    let Some(world) = world("") else { return };
    let url = url_of(&world);
    let port = world.cloud.endpoint().rsplit_once(':').unwrap().1;
    assert_eq!(url, format!("http://hello.lambda-url.us-east-1.localhost:{port}/"));
    assert_eq!(url_of(&world), url, "a function has one");
    let page = curl(&format!("{url}?do=page"), &["--include"]);
    let head = page.stdout.to_ascii_lowercase();
    for part in
        ["content-type: text/html", "set-cookie: a=b\r\n", "set-cookie: c=d\r\n", "x-amzn-requestid: "]
    {
        assert!(head.contains(part), "{part}: {page}");
    }
    assert!(page.stdout.ends_with("<b>hi</b>\n201"), "{page}");
    // What is no response becomes the body of one: here, the event.
    let data =
        ["--json", r#"{"name":"Ada"}"#, "--cookie", "x=1; y=2", "--header", "Origin: http://a.example"];
    let done = curl(&format!("{url}some/path?a=1&a=2"), &data);
    let event: Value = serde_json::from_str(done.stdout.strip_suffix("\n200").unwrap()).unwrap();
    for (pointer, value) in [
        ("/version", json!("2.0")),
        ("/rawPath", json!("/some/path")),
        ("/queryStringParameters/a", json!("1,2")),
        ("/cookies", json!(["x=1", "y=2"])),
        ("/body", json!(r#"{"name":"Ada"}"#)),
        ("/requestContext/http/method", json!("POST")),
        ("/headers/host", json!(format!("hello.lambda-url.us-east-1.localhost:{port}"))),
    ] {
        assert_eq!(event.pointer(pointer), Some(&value), "{pointer}: {event}");
    }
    let failed = curl(&format!("{url}?do=error"), &[]);
    assert_eq!(failed.stdout, "{\"Message\":\"Internal Server Error\"}\n502");
    let nobody = curl(&url.replace("hello", "nobody"), &[]);
    assert!(nobody.stdout.ends_with("\n404"), "{nobody}");
    let status = world.sandbox.json(0, ["local", "status"]).pop().unwrap();
    assert_eq!(status["functions"][0]["urls"], json!([url]));
    let shown = world.sandbox.run(["local", "status"]).expect(0);
    assert!(shown.stdout.contains(&url), "{shown}");
    // The APIs still do not talk to web pages.
    let api = format!("{}/2015-03-31/functions", world.cloud.endpoint());
    assert!(curl(&api, &["--header", "Origin: http://a.example"]).stdout.ends_with("\n421"));
}

#[test]
fn urls_are_configured_as_in_aws() {
    let Some(world) = world("") else { return };
    let script = r#"
client = boto3.client("lambda")
made = client.create_function_url_config(FunctionName="hello", AuthType="AWS_IAM", Cors={"AllowOrigins": ["http://a.example"], "AllowMethods": ["GET"]})
print(made["ResponseMetadata"]["HTTPStatusCode"], made["FunctionArn"], made["AuthType"])
try:
    client.create_function_url_config(FunctionName="hello", AuthType="NONE")
except client.exceptions.ResourceConflictException as error:
    print("exists")
version = client.publish_version(FunctionName="hello")["Version"]
client.create_alias(FunctionName="hello", Name="live", FunctionVersion=version)
print(client.create_function_url_config(FunctionName="hello", Qualifier="live", AuthType="NONE")["FunctionUrl"].split(".")[0])
print(len(client.list_function_url_configs(FunctionName="hello")["FunctionUrlConfigs"]))
client.delete_function_url_config(FunctionName="hello", Qualifier="live")
try:
    client.get_function_url_config(FunctionName="hello", Qualifier="live")
except client.exceptions.ResourceNotFoundException as error:
    print(error.response["Error"]["Message"])
try:
    client.create_function_url_config(FunctionName="hello", Qualifier="1", AuthType="NONE")
except botocore.exceptions.ClientError as error:
    print(error.response["Error"]["Code"])
print(client.get_function_url_config(FunctionName="hello")["InvokeMode"])
"#;
    assert_eq!(
        boto3(world.cloud.endpoint(), "us-east-1", script),
        "201 arn:aws:lambda:us-east-1:000000000000:function:hello AWS_IAM\nexists\nhttp://hello-live\n2\n\
         The resource you requested does not exist.\nValidationException\nBUFFERED\n"
    );
    let url = url_of(&world);
    assert!(curl(&url, &[]).stdout.ends_with("\n403"), "nobody has signed");
    let signed = "Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/lambda/aws4_request";
    assert!(curl(&url, &["--header", signed]).stdout.ends_with("\n200"));
    let asked = ["--include", "--request", "OPTIONS", "--header", "Origin: http://a.example"];
    let asked = [asked.as_slice(), &["--header", "Access-Control-Request-Method: GET"]].concat();
    let preflight = curl(&url, &asked).stdout.to_ascii_lowercase();
    assert!(preflight.contains("access-control-allow-origin: http://a.example\r\n"), "{preflight}");
    let script = r#"
client = boto3.client("lambda")
print(client.update_function_url_config(FunctionName="hello", AuthType="NONE")["Cors"]["AllowMethods"])
"#;
    assert_eq!(boto3(world.cloud.endpoint(), "us-east-1", script), "['GET']\n");
    assert!(curl(&url, &[]).stdout.ends_with("\n200"));
}

#[test]
fn without_a_server_nothing_would_answer() {
    let Some(mut world) = world("") else { return };
    drop(std::mem::replace(&mut world.cloud, LocalServer::nobody()));
    let done = world.sandbox.run(["local", "url", "hello"]).expect(2);
    assert!(done.stderr.contains("lambdactl local serve"), "{done}");
}
