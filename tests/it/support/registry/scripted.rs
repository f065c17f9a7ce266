//! A small registry in this process that can be told to misbehave. It is strict where ECR is: a
//! session is used once, digests have to be right, blobs come before manifests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use lambdactl::domain::digest::Digest;
use lambdactl::domain::reference::RegistryHost;

/// What happens to one request instead of the right answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This answer, without reading the body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The connection is cut after this many bytes of the request's body.
    Cut(usize),
    /// The body is not read for this long; then all is well.
    Stall(Duration),
    /// An upload is opened with 201 instead of 202, and with an absolute location.
    Created,
}

/// A request as the registry saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `HEAD blob`, `GET manifest`, `POST upload`, `PUT upload` and so on.
    pub what: String,
    /// The path.
    pub path: String,
    /// The query.
    pub query: String,
    /// The Authorization header.
    pub authorization: Option<String>,
    /// How many requests of this kind came before it.
    pub nth: usize,
}

type Script = Arc<dyn Fn(&Seen) -> Option<Fault> + Send + Sync>;

/// What the registry holds and has seen.
#[derive(Default)]
pub struct Contents {
    /// Blobs by digest.
    pub blobs: HashMap<String, Vec<u8>>,
    /// Manifests by tag and digest.
    pub manifests: HashMap<String, (String, Vec<u8>)>,
    /// Every request, in order.
    pub seen: Vec<Seen>,
    sessions: HashMap<String, Session>,
}

/// An upload. It takes the bytes of one request, and then its end.
#[derive(Default)]
struct Session {
    bytes: Option<Vec<u8>>,
    has_ended: bool,
}

impl Session {
    /// The query of its location, which changes as it goes on and has to come back as it is.
    fn query(&self) -> &'static str {
        if self.bytes.is_some() { "_state=c%2Fd%3D" } else { "_state=a%2Bb%3D" }
    }
}

/// The registry; it ends with the test's runtime.
#[derive(Clone)]
pub struct ScriptedRegistry {
    contents: Arc<Mutex<Contents>>,
    script: Script,
    port: u16,
}

impl ScriptedRegistry {
    /// Starts one on a loopback port. `script` decides about every request.
    pub async fn start(script: impl Fn(&Seen) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let registry = Self { contents: Arc::default(), script: Arc::new(script), port };
        let router = Router::new().fallback(serve).with_state(registry.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        registry
    }

    /// The host as image references name it.
    pub fn host(&self) -> RegistryHost {
        format!("127.0.0.1:{}", self.port).parse().unwrap()
    }

    /// What it holds and has seen.
    pub fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap()
    }

    /// How many requests of a kind came.
    pub fn count(&self, what: &str) -> usize {
        self.contents().seen.iter().filter(|seen| seen.what == what).count()
    }
}

async fn serve(State(registry): State<ScriptedRegistry>, request: Request) -> Response {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let kind = match path.rsplit('/').nth(1) {
        Some("blobs") if !path.ends_with("/uploads/") => "blob",
        Some("manifests") => "manifest",
        Some("sessions" | "uploads") => "upload",
        _ => "other",
    };
    let what = format!("{} {kind}", head.method);
    let text = |headers: &HeaderMap| headers.get(AUTHORIZATION).map(|v| v.to_str().unwrap().to_owned());
    let seen = Seen {
        nth: registry.count(&what),
        what,
        query: head.uri.query().unwrap_or_default().to_owned(),
        authorization: text(&head.headers),
        path,
    };
    registry.contents().seen.push(seen.clone());
    match (registry.script)(&seen) {
        Some(Fault::Answer(status, headers, text)) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            return response.body(Body::from(text)).unwrap();
        }
        Some(Fault::Cut(after)) => {
            let mut chunks = body.into_data_stream();
            let mut read = 0;
            while read < after {
                read += chunks.next().await.unwrap().unwrap().len();
            }
            // Ends the connection's task without a message, and with it the connection.
            std::panic::resume_unwind(Box::new(()));
        }
        Some(Fault::Stall(time)) => tokio::time::sleep(time).await,
        Some(Fault::Created) => {
            let mut response = answer(&registry, &head.method, &head.headers, &seen, Vec::new());
            let location = response.headers()[LOCATION].to_str().unwrap();
            let location = format!("http://{}{location}", registry.host());
            response.headers_mut().insert(LOCATION, location.parse().unwrap());
            *response.status_mut() = StatusCode::CREATED;
            return response;
        }
        None => {}
    }
    let bytes = axum::body::to_bytes(std::mem::take(&mut body), usize::MAX).await.unwrap_or_default();
    answer(&registry, &head.method, &head.headers, &seen, bytes.to_vec())
}

fn answer(
    registry: &ScriptedRegistry,
    method: &Method,
    headers: &HeaderMap,
    seen: &Seen,
    bytes: Vec<u8>,
) -> Response {
    let mut contents = registry.contents();
    let last = seen.path.rsplit('/').next().unwrap().to_owned();
    let kind = seen.what.split(' ').nth(1).unwrap();
    match (method.as_str(), kind) {
        ("HEAD" | "GET", "blob") => match contents.blobs.get(&last) {
            Some(blob) => blob.clone().into_response(),
            None => error(404, "BLOB_UNKNOWN", "blob unknown"),
        },
        ("HEAD" | "GET", "manifest") => match contents.manifests.get(&last) {
            Some((media_type, manifest)) => {
                let digest = Digest::of(manifest).to_string();
                let headers = [("content-type", media_type.clone()), ("docker-content-digest", digest)];
                (headers, manifest.clone()).into_response()
            }
            None => error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
        },
        ("POST", "upload") => {
            let id = contents.sessions.len().to_string();
            let session = contents.sessions.entry(id.clone()).or_default();
            let repository = seen.path.trim_end_matches("/blobs/uploads/");
            // Relative, with a query of its own.
            let location = format!("{repository}/blobs/sessions/{id}?{}", session.query());
            (StatusCode::ACCEPTED, [(LOCATION, location)]).into_response()
        }
        ("PATCH" | "PUT", "upload") => {
            let session = contents.sessions.entry(last).or_default();
            let may_go_on = !session.has_ended && (session.bytes.is_none() || bytes.is_empty());
            let (query, is_last) = (session.query(), method == Method::PUT);
            session.has_ended = is_last || !may_go_on;
            if !may_go_on {
                return error(416, "BLOB_UPLOAD_INVALID", "First byte of the layer part is 0 instead of N");
            }
            if !is_last {
                session.bytes = Some(bytes);
                let location = format!("{}?{}", seen.path, session.query());
                return (StatusCode::CREATED, [(LOCATION, location)]).into_response();
            }
            let bytes = session.bytes.take().unwrap_or(bytes);
            let digest = Digest::of(&bytes);
            if seen.query != format!("{query}&digest=sha256%3A{}", digest.hex()) {
                return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
            }
            contents.blobs.insert(digest.to_string(), bytes);
            StatusCode::CREATED.into_response()
        }
        ("PUT", "manifest") => {
            let media_type = headers[CONTENT_TYPE].to_str().unwrap().to_owned();
            let digest = Digest::of(&bytes).to_string();
            contents.manifests.insert(last, (media_type.clone(), bytes.clone()));
            contents.manifests.insert(digest, (media_type, bytes));
            StatusCode::CREATED.into_response()
        }
        _ => error(404, "UNSUPPORTED", "no such route"),
    }
}

/// An answer with one error of the specification, as plain text like ECR's.
pub fn error(status: u16, code: &str, message: &str) -> Response {
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
    (StatusCode::from_u16(status).unwrap(), [(CONTENT_TYPE, "text/plain")], body).into_response()
}

/// The fault that answers with one error of the specification.
pub fn refuse(status: u16, code: &str, message: &str) -> Fault {
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
    Fault::Answer(status, vec![("content-type", "text/plain".to_owned())], body)
}
