//! moto, a second opinion on the AWS APIs, with Debian's docker-registry behind the ECR host name.
//!
//! The host name of ECR stays what AWS says it is: a small HTTPS proxy leads connections for it to
//! the registry on this machine, and refuses all others.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::sandbox::{Finished, Sandbox, finish};
use super::{free_port, python, wait_for};

/// The account moto plays.
pub const ACCOUNT: &str = "123456789012";

/// The region of the tests.
pub const REGION: &str = "us-east-1";

/// The host of ECR's registry.
pub const HOST: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";

/// How long a server may take until it answers; Python starts slowly on a busy machine.
const START: Duration = Duration::from_secs(60);

/// moto, the registry, and the proxy, with a sandbox whose environment leads to them.
#[derive(Debug)]
pub struct Aws {
    /// Runs lambdactl and other clients against them.
    pub sandbox: Sandbox,
    /// The way to the registry.
    pub proxy: Proxy,
    _servers: [Server; 2],
    log: PathBuf,
}

/// A process that ends with the test.
#[derive(Debug)]
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Aws {
    /// Starts everything, empty.
    pub fn start() -> Self {
        let mut sandbox = Sandbox::new();
        let log = sandbox.path().join("moto.log");
        let (moto, endpoint) = start_moto(&sandbox, &log);
        let (registry, port) = start_registry(&sandbox);
        let proxy = Proxy::start(HOST, port);
        let certificate = sandbox.path().join("registry.pem");
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_ENDPOINT_URL", &endpoint),
            ("HTTPS_PROXY", &proxy.url()),
            ("NO_PROXY", "127.0.0.1,localhost"),
            ("SSL_CERT_FILE", certificate.to_str().unwrap()),
        ] {
            sandbox.set(name, value);
        }
        Self { sandbox, proxy, _servers: [moto, registry], log }
    }

    /// Asks one of AWS's APIs with the AWS CLI, which has to succeed.
    #[track_caller]
    pub fn ask<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Value {
        let mut command = self.sandbox.command(python::directory().join("aws"));
        command.args(arguments).args(["--output", "json"]);
        let answer = finish(command).expect(0).stdout;
        if answer.trim().is_empty() { Value::Null } else { serde_json::from_str(&answer).unwrap() }
    }

    /// Runs skopeo, which has to succeed, and returns what it printed.
    #[track_caller]
    pub fn skopeo<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Finished {
        let mut command = self.sandbox.command("skopeo");
        command.arg("--insecure-policy").args(arguments);
        finish(command).expect(0)
    }

    /// The requests moto logged so far whose line holds `text`.
    pub fn requests(&self, text: &str) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap();
        log.lines()
            .filter(|line| line.contains(" HTTP/1.1\" ") && line.contains(text))
            .map(str::to_owned)
            .collect()
    }
}

/// What `GetAuthorizationToken` of moto hands out.
pub fn password() -> String {
    format!("{ACCOUNT}-auth-token")
}

fn start_moto(sandbox: &Sandbox, log: &Path) -> (Server, String) {
    let port = free_port();
    let output = std::fs::File::create(log).unwrap();
    let child = sandbox
        .command(python::directory().join("moto_server"))
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        // `--create-role` attaches one of AWS's own policies, which moto leaves out otherwise.
        .env("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .expect("moto is installed; `tests/run` does that");
    let server = Server(child);
    wait_for("moto", START, || TcpStream::connect(("127.0.0.1", port)).ok());
    (server, format!("http://127.0.0.1:{port}"))
}

/// docker-registry as ECR's: TLS for its host name, and Basic authentication with its token.
fn start_registry(sandbox: &Sandbox) -> (Server, u16) {
    let folder = sandbox.path();
    let port = free_port();
    let key = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
    std::fs::write(folder.join("registry.pem"), key.cert.pem()).unwrap();
    std::fs::write(folder.join("registry.key"), key.signing_key.serialize_pem()).unwrap();
    let hashed = Command::new("htpasswd").args(["-Bbn", "-C", "4", "AWS", &password()]).output();
    std::fs::write(folder.join("htpasswd"), hashed.expect("htpasswd is installed").stdout).unwrap();
    let settings = format!(
        "version: 0.1\nlog: {{level: warn}}\n\
         storage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n\
         http:\n  addr: 127.0.0.1:{port}\n\
         \x20 tls: {{certificate: {folder}/registry.pem, key: {folder}/registry.key}}\n\
         auth: {{htpasswd: {{realm: ECR, path: {folder}/htpasswd}}}}\n",
        folder = folder.display()
    );
    std::fs::write(folder.join("registry.yml"), settings).unwrap();
    let log = std::fs::File::create(folder.join("registry.log")).unwrap();
    let child = Command::new("docker-registry")
        .arg("serve")
        .arg(folder.join("registry.yml"))
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("docker-registry is installed");
    let server = Server(child);
    wait_for("the registry", START, || TcpStream::connect(("127.0.0.1", port)).ok());
    (server, port)
}

/// An HTTPS proxy that knows one host.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    connected: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Leads connections for `host` to a port of this machine; runs until the tests end.
    pub fn start(host: &'static str, target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connected = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&connected);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || lead(client, host, target, &seen));
            }
        });
        Self { port, connected }
    }

    /// For `HTTPS_PROXY`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The `HOST:PORT` of every connection that was asked for, those that were refused included.
    pub fn connected(&self) -> Vec<String> {
        self.connected.lock().unwrap().clone()
    }
}

/// Serves one `CONNECT` and copies bytes until either side is done.
fn lead(client: TcpStream, host: &str, target: u16, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let asked = head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    seen.lock().unwrap().push(asked.clone());
    let mut client = client;
    if asked != format!("{host}:443") {
        client.write_all(b"HTTP/1.1 502 No such host here\r\nContent-Length: 0\r\n\r\n").ok()?;
        return None;
    }
    let mut server = TcpStream::connect(("127.0.0.1", target)).ok()?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
    let mut to_server = server.try_clone().ok()?;
    let upstream = std::thread::spawn(move || {
        copy(&mut reader, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    upstream.join().ok()
}

fn copy(from: &mut impl Read, to: &mut impl Write) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_ecr_leads_to_a_registry_that_asks_for_the_token_of_moto() {
        let aws = Aws::start();
        let token = aws.ask(["ecr", "get-authorization-token"]);
        let token = token["authorizationData"][0]["authorizationToken"].as_str().unwrap().to_owned();
        let get = |authorization: Option<&str>| {
            let mut command = aws.sandbox.command("curl");
            command.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]);
            command.args(["--cacert", aws.sandbox.path().join("registry.pem").to_str().unwrap()]);
            command.args(
                authorization.map(|value| ["--header".to_owned(), value.to_owned()]).into_iter().flatten(),
            );
            command.arg(format!("https://{HOST}/v2/"));
            finish(command).expect(0).stdout
        };
        assert_eq!(get(None), "401");
        assert_eq!(get(Some(&format!("Authorization: Basic {token}"))), "200");
        assert_eq!(aws.proxy.connected(), vec![format!("{HOST}:443"); 2]);
    }
}
