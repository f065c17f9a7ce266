//! The Runtime API of one environment: where the function's process fetches events and leaves
//! answers. `environments` makes one endpoint an environment, so that no function can take
//! another's events.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

mod answers;
mod connections;
mod extensions;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use connections::Connections;
use extensions::Extensions;
pub use extensions::{Awaited, ExtensionGate};

/// The largest answer of a function, with what the protocol adds to 6 MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const LARGEST_ANSWER: usize = 6_291_556;

/// The most a function may answer with piece by piece.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html>
pub const LARGEST_STREAM: usize = 200 * 1024 * 1024;

/// How long what a process said before it ended is waited for; its connections end with it.
const LAST_BYTES: Duration = Duration::from_millis(250);

/// A part of an answer that is handed on while it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// It begins: its content type, where the function names one.
    Begin(Option<String>),
    /// Bytes of it.
    Data(Bytes),
}

/// One event for the function.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The id of the call, by which the function names it in its answer.
    pub request_id: String,
    /// When the function is out of time, in milliseconds since 1970.
    pub deadline: i64,
    /// What was invoked, with the qualifier the caller used.
    pub function_arn: String,
    /// `Root=1-…`.
    pub trace_id: String,
    /// JSON of a mobile client, decoded.
    pub client_context: Option<String>,
    /// The event itself.
    pub payload: Bytes,
    /// Where an answer goes that is streamed; else it is collected.
    pub pieces: Option<mpsc::Sender<Piece>>,
}

/// What the function's process made of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It answered; with nothing where all of it was streamed.
    Response(Bytes),
    /// It reported an error: its type, and the document that describes it.
    Error(FunctionError),
    /// It answered with more than Lambda hands on: so many bytes.
    TooLarge(usize),
}

/// An error a function has reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// Such as `Runtime.ImportModuleError`.
    pub error_type: String,
    /// Its document, as it came.
    pub document: Bytes,
}

/// The server of one environment; takes no connections any more when it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    session: Arc<Session>,
    events: mpsc::Sender<Invocation>,
    questions: mpsc::Sender<oneshot::Sender<()>>,
    _end: DropGuard,
}

/// What an extension is told about the function when it registers.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name.
    pub function: String,
    /// Its version.
    pub version: String,
    /// Its handler: the command's first word.
    pub handler: String,
}

#[derive(Debug)]
struct Session {
    identity: Identity,
    events: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    in_flight: Mutex<Option<InFlight>>,
    init_error: watch::Sender<Option<FunctionError>>,
    extensions: Arc<Extensions>,
    /// Answers that are being read.
    reading: TaskTracker,
}

#[derive(Debug)]
struct InFlight {
    request_id: String,
    answer: oneshot::Sender<Answer>,
    pieces: Option<mpsc::Sender<Piece>>,
}

impl Endpoint {
    /// Serves on a free port of loopback.
    pub async fn start(identity: Identity) -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let (events, receiver) = mpsc::channel(1);
        let session = Arc::new(Session {
            identity,
            events: tokio::sync::Mutex::new(receiver),
            in_flight: Mutex::default(),
            init_error: watch::Sender::new(None),
            extensions: Arc::default(),
            reading: TaskTracker::new(),
        });
        let end = CancellationToken::new();
        let connections = Connections::new(listener, address, router(session.clone()));
        let (questions, asked) = mpsc::channel(1);
        let ended = end.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = connections.serve(asked) => {}
                () = ended.cancelled() => {}
            }
        });
        Ok(Self { address, session, events, questions, _end: end.drop_guard() })
    }

    /// What `AWS_LAMBDA_RUNTIME_API` says.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often the process, and every extension, has come to wait for an event; changes when
    /// they do so again.
    pub fn ready(&self) -> watch::Receiver<u64> {
        self.session.extensions.ready()
    }

    /// For the runner, which knows what extensions there are.
    pub fn gate(&self) -> ExtensionGate {
        ExtensionGate(self.session.extensions.clone())
    }

    /// The extensions that have registered, by name, and the events they want.
    pub fn extensions(&self) -> Vec<(String, Vec<String>)> {
        self.session.extensions.registered()
    }

    /// Whom the first event still waits for.
    pub fn awaited(&self) -> Vec<Awaited> {
        self.session.extensions.awaited()
    }

    /// What the process has said against its own start.
    pub fn init_error(&self) -> watch::Receiver<Option<FunctionError>> {
        self.session.init_error.subscribe()
    }

    /// Hands an event to the process and returns where its answer arrives. What arrives after
    /// the receiver is gone is refused.
    pub async fn invoke(&self, invocation: Invocation) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        let (request_id, pieces) = (invocation.request_id.clone(), invocation.pieces.clone());
        let in_flight = InFlight { request_id, answer, pieces };
        *self.session.in_flight() = Some(in_flight);
        self.session.extensions.invoked(&invocation);
        // The receiver lives as long as the session.
        let _sent = self.events.send(invocation).await;
        receiver
    }

    /// The answer of a process that has ended, if it had left one: that it has ended may be known
    /// before what it sent last is read.
    pub async fn left(&self, mut answer: oneshot::Receiver<Answer>) -> Option<Answer> {
        let (question, have_ended) = oneshot::channel();
        let read = async {
            self.questions.send(question).await.ok()?;
            have_ended.await.ok()?;
            self.session.reading.close();
            self.session.reading.wait().await;
            Some(())
        };
        let _in_time = tokio::time::timeout(LAST_BYTES, read).await;
        answer.try_recv().ok()
    }

    /// What tells extensions, when it is called, why the environment ends and how long they have;
    /// `None` where none wants to know.
    pub fn farewell(&self) -> Option<impl FnOnce(&str, i64) + Send + use<>> {
        let extensions = self.session.extensions.clone();
        extensions
            .are_to_be_told()
            .then_some(move |reason: &str, deadline| extensions.shut_down(reason, deadline))
    }
}

impl Session {
    fn in_flight(&self) -> std::sync::MutexGuard<'_, Option<InFlight>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether somebody still waits for the answer to this request.
    fn awaits(&self, request_id: &str) -> bool {
        let in_flight = self.in_flight();
        in_flight.as_ref().is_some_and(|flight| flight.request_id == request_id && !flight.answer.is_closed())
    }

    /// Where the pieces of this request's answer go, if its caller wants any.
    fn pieces(&self, request_id: &str) -> Option<mpsc::Sender<Piece>> {
        let mut in_flight = self.in_flight();
        let flight = in_flight.as_mut().filter(|flight| flight.request_id == request_id);
        flight.and_then(|flight| flight.pieces.take())
    }

    /// Gives the answer to whoever waits; tells whether somebody did.
    fn answer(&self, request_id: &str, answer: Answer) -> bool {
        let taken = self.in_flight().take_if(|flight| flight.request_id == request_id);
        taken.is_some_and(|flight| flight.answer.send(answer).is_ok())
    }
}

fn router(session: Arc<Session>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(answers::response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(answers::error))
        .route("/2018-06-01/runtime/init/error", post(answers::init_error))
        .route("/2020-01-01/extension/register", post(extensions::register))
        .route("/2020-01-01/extension/event/next", get(extensions::next))
        .route("/2020-01-01/extension/init/error", post(extensions::init_error))
        .route("/2020-01-01/extension/exit/error", post(extensions::exit_error))
        .route("/2020-08-15/logs", put(extensions::no_telemetry))
        .route("/2022-07-01/telemetry", put(extensions::no_telemetry))
        .with_state(session)
}

/// The next event, as soon as there is one.
async fn next(State(session): State<Arc<Session>>) -> Response {
    session.extensions.runtime_waits();
    let mut events = session.events.lock().await;
    let Some(invocation) = events.recv().await else { return std::future::pending().await };
    let mut headers = HeaderMap::new();
    let pairs = [
        ("content-type", Some("application/json".to_owned())),
        ("lambda-runtime-aws-request-id", Some(invocation.request_id)),
        ("lambda-runtime-deadline-ms", Some(invocation.deadline.to_string())),
        ("lambda-runtime-invoked-function-arn", Some(invocation.function_arn)),
        ("lambda-runtime-trace-id", Some(invocation.trace_id)),
        ("lambda-runtime-client-context", invocation.client_context),
    ];
    headers.extend(pairs.into_iter().filter_map(|(name, value)| {
        Some((HeaderName::from_static(name), HeaderValue::try_from(value?).ok()?))
    }));
    (headers, invocation.payload).into_response()
}

/// `{"status":"OK"}`, as the Runtime API accepts things.
fn accepted() -> Response {
    (StatusCode::ACCEPTED, axum_json(&json!({"status": "OK"}))).into_response()
}

/// An error of this API.
fn refused(status: StatusCode, error_type: &str, message: &str) -> Response {
    (status, axum_json(&json!({"errorType": error_type, "errorMessage": message}))).into_response()
}

fn axum_json(value: &serde_json::Value) -> ([(&'static str, &'static str); 1], String) {
    ([("content-type", "application/json")], value.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpStream;

    use super::*;

    async fn endpoint() -> Endpoint {
        let identity = Identity { function: "f".to_owned(), version: "1".to_owned(), handler: String::new() };
        Endpoint::start(identity).await.unwrap()
    }

    async fn invoke(endpoint: &Endpoint, pieces: Option<mpsc::Sender<Piece>>) -> oneshot::Receiver<Answer> {
        let invocation = Invocation {
            request_id: "one".to_owned(),
            deadline: 0,
            function_arn: String::new(),
            trace_id: String::new(),
            client_context: None,
            payload: Bytes::new(),
            pieces,
        };
        endpoint.invoke(invocation).await
    }

    /// Sends it at once, and is gone: while this runs, nothing is read on the test's only thread.
    fn say(endpoint: &Endpoint, headers: &str, body: &str) {
        let path = "/2018-06-01/runtime/invocation/one/response";
        let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n{body}");
        TcpStream::connect(endpoint.address()).unwrap().write_all(request.as_bytes()).unwrap();
    }

    #[tokio::test]
    async fn what_a_process_said_before_it_ended_is_not_lost() {
        let endpoint = endpoint().await;
        let answer = invoke(&endpoint, None).await;
        say(&endpoint, "Content-Length: 2", "{}");
        assert_eq!(endpoint.left(answer).await, Some(Answer::Response(Bytes::from_static(b"{}"))));
    }

    #[tokio::test]
    async fn what_came_of_a_streamed_answer_is_handed_on_also_where_it_broke_off() {
        let whole = Some(Answer::Response(Bytes::new()));
        for (body, expected) in [("4\r\none \r\n0\r\n\r\n", whole), ("4\r\none \r\n", None)] {
            let endpoint = endpoint().await;
            let (pieces, mut came) = mpsc::channel(1);
            let answer = invoke(&endpoint, Some(pieces)).await;
            let headers = "Transfer-Encoding: chunked\r\nLambda-Runtime-Function-Response-Mode: streaming";
            say(&endpoint, headers, body);
            let read = async {
                // Its reader is slower than the end of the connection is noticed.
                tokio::time::sleep(Duration::from_millis(10)).await;
                (came.recv().await, came.recv().await)
            };
            let both = async { tokio::join!(endpoint.left(answer), read) };
            let (left, came) = tokio::time::timeout(Duration::from_secs(10), both).await.expect(body);
            let data = Piece::Data(Bytes::from_static(b"one "));
            assert_eq!((left, came), (expected, (Some(Piece::Begin(None)), Some(data))), "{body}");
        }
    }
}
