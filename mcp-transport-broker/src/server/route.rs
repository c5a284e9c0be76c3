//! The gate, and who answers what.

use super::answer::{self, Answer};
use super::config::{Clients, ServerConfig};
use super::conn::Conn;
use super::foreign::{self, Speaking};
use super::hub::Hub;
use super::relay::{self, Successor};
use super::upload::{Failed, Receiving};
use super::{Handing, Phase, ServerHandle};
use super::{clients, forward, host, tunnel};
use crate::broker::{Ask, HandOver};
use crate::mcp;
use crate::native;
use crate::run;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{CONNECTION, HeaderValue};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use mcp_transport_core::guard::{Guard, Head, MAX_BODY, Refusal};
use mcp_transport_core::{Error, ErrorKind, Message};
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, watch};

/// A host's dialect adds its paths here.
pub(crate) trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// Which it is.
    fn name(&self) -> run::Dialect;

    /// Whether a request is the dialect's.
    fn takes(&self, method: &Method, path: &str) -> bool;

    /// Whether whoever sends this head may: asked after the gate, and before the body is read.
    ///
    /// # Errors
    /// What to answer instead; the connection ends with it.
    fn admits(&self, head: &Parts) -> Result<(), Box<Answer>>;

    /// How a client's request is to be treated, where the host that is attached, or was last, speaks
    /// this.
    fn ask(&self, request: &Message) -> Option<Ask> {
        let _ = request;
        None
    }

    /// Answers it.
    fn answer(&self, call: HostCall) -> BoxFuture<'static, Answer>;
}

/// A request of a host, after the gate.
#[derive(Debug)]
pub(crate) struct HostCall {
    pub(crate) hub: Arc<Hub>,
    pub(crate) conn: Arc<Conn>,
    pub(crate) head: Box<Parts>,
    pub(crate) body: Bytes,
}

/// What all connections of a server have in common.
#[derive(Debug)]
pub(super) struct Shared {
    hub: Arc<Hub>,
    pub(super) config: ServerConfig,
    guard: Guard,
    host_guard: Guard,
    port: u16,
    dialects: Vec<Box<dyn Dialect>>,
    pub(super) speaking: Speaking,
    receiving: Receiving,
    pub(super) tunnels: Arc<Semaphore>,
    asked: watch::Sender<bool>,
    phase: watch::Receiver<Phase>,
    moved: Arc<Handing>,
    /// Who has the port, when this broker has not.
    pub(super) successor: Successor,
}

impl Shared {
    pub(super) fn new(
        hub: Arc<Hub>,
        config: ServerConfig,
        port: u16,
        handle: &ServerHandle,
    ) -> Self {
        let guard = config
            .origins
            .iter()
            .cloned()
            .fold(Guard::new(port), Guard::allow_origin);
        let speaking = Speaking::first(&config);
        Self {
            dialects: foreign::dialects(&config, &speaking, &handle.asked),
            speaking,
            host_guard: guard.clone().token(config.token.token.clone()),
            guard,
            port,
            receiving: Receiving::new(config.receiving),
            tunnels: Arc::new(Semaphore::new(config.tunnels)),
            hub,
            successor: Successor::new(port, &config.token.text),
            config,
            asked: handle.asked.clone(),
            phase: handle.phase.subscribe(),
            moved: handle.moved.clone(),
        }
    }

    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Somebody who may wants the server to end.
    pub(super) fn ask_to_stop(&self) {
        self.asked.send_replace(true);
    }

    /// How a client's request goes to a host that is the MCP endpoint itself.
    pub(super) fn forwarded(&self, request: &Message) -> Ask {
        let speaks = self.speaking.get();
        let mut dialects = self.dialects.iter();
        dialects
            .find(|dialect| dialect.name() == speaks)
            .and_then(|dialect| dialect.ask(request))
            .unwrap_or_default()
            .catalogue(false)
    }

    /// What posts of clients mean now.
    fn clients(&self) -> Clients {
        self.speaking.clients(&self.config)
    }

    /// Waits until connections are to end.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + use<> {
        self.reaches(Phase::Stopping)
    }

    /// Waits until connections without a request are to end.
    pub(super) fn leaves(&self) -> impl Future<Output = ()> + use<> {
        self.reaches(Phase::Leaving)
    }

    fn reaches(&self, due: Phase) -> impl Future<Output = ()> + use<> {
        let mut phase = self.phase.clone();
        async move {
            // Nobody is there to stop it any more: then nobody does.
            if phase.wait_for(|phase| *phase >= due).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until a newer broker is to have the port.
    pub(super) fn moves(&self) -> impl Future<Output = ()> + use<> {
        let moved = self.moved.clone();
        async move {
            let mut calls = moved.calls.subscribe();
            if calls.wait_for(Option::is_some).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether a newer broker has taken over.
    fn has_moved(&self) -> bool {
        self.moved.calls.borrow().is_some()
    }

    /// Gives everything to a newer broker, and the port. `None` if one has it already.
    pub(super) async fn hand_over(&self) -> Option<HandOver> {
        let (over, calls) = self.hub.hand_over()?;
        let mut free = self.moved.free.subscribe();
        self.moved
            .calls
            .send_replace(Some(Arc::new(Mutex::new(calls))));
        let _ = free.wait_for(|free| *free).await;
        Some(over)
    }
}

/// Answers a request: first the gate, then the body, then whoever it is for.
///
/// There is one of these for each request that waits, and it is moved about until then: so it is
/// kept small, and what is large and rare is boxed.
pub(super) fn answer(
    shared: Arc<Shared>,
    conn: Arc<Conn>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Answer, Infallible>> {
    let (head, body) = request.into_parts();
    let head = Box::new(head);
    async move {
        let plane = Plane::of(&shared, &head);
        let passed = match check(&shared, plane, &head) {
            Ok(passed) => passed,
            Err(answer) => return Ok(answer.map(|body| body.on(conn))),
        };
        let mut answer = match passed.is_preflight {
            true => answer::empty(StatusCode::NO_CONTENT),
            false => pass(&shared, &conn, plane, head, body, passed.bodyless).await,
        };
        if shared.has_moved() && !matches!(plane, Plane::Host) && answer.status().as_u16() != 101 {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
        if let Some(origin) = passed.origin {
            answer::allow(answer.headers_mut(), &origin);
        }
        Ok(answer.map(|body| body.on(conn)))
    }
}

/// What the gate has seen of a request that passed it.
struct Passed {
    /// The listed origin that may read the answer.
    origin: Option<String>,
    is_preflight: bool,
    bodyless: bool,
}

fn check(shared: &Shared, plane: Plane, parts: &Parts) -> Result<Passed, Box<Answer>> {
    let headers = parts.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
    let head = Head::new(parts.method.as_str(), headers);
    let guard = match plane {
        Plane::Host => &shared.host_guard,
        _ => &shared.guard,
    };
    if let Err(refusal) = guard.check(&head) {
        tracing::debug!(%refusal, path = parts.uri.path(), "a request was refused");
        return Err(Box::new(match plane {
            Plane::Host | Plane::Hello => answer::refused_host(refusal),
            _ => answer::refused(refusal),
        }));
    }
    Ok(Passed {
        origin: guard.cors_origin(&head).map(str::to_owned),
        is_preflight: head.is_preflight(),
        bodyless: !head.has_body() && !parts.headers.contains_key("content-length"),
    })
}

/// Whom a request is for.
#[derive(Clone, Copy)]
enum Plane {
    /// The native dialect.
    Host,
    /// The native dialect's question that asks for no token.
    Hello,
    /// Another dialect, by its place.
    Dialect(usize),
    /// A client asks what became of an operation.
    Operation,
    Tunnel,
    Client,
    Nobody,
}

impl Plane {
    fn of(shared: &Shared, head: &Parts) -> Self {
        let path = head.uri.path();
        if let Some(rest) = path.strip_prefix(native::PREFIX) {
            return match rest {
                "hello" => Self::Hello,
                _ if rest.starts_with("operations/") => Self::Operation,
                _ => Self::Host,
            };
        }
        let mut dialects = shared.dialects.iter();
        if let Some(place) = dialects.position(|dialect| dialect.takes(&head.method, path)) {
            return Self::Dialect(place);
        }
        if shared.config.tunnel_paths.iter().any(|known| known == path) && tunnel::is_asked(head) {
            return Self::Tunnel;
        }
        if shared.clients() == Clients::Forward
            || shared.config.endpoints.iter().any(|known| known == path)
        {
            return Self::Client;
        }
        Self::Nobody
    }
}

async fn pass(
    shared: &Arc<Shared>,
    conn: &Arc<Conn>,
    plane: Plane,
    head: Box<Parts>,
    body: Incoming,
    bodyless: bool,
) -> Answer {
    match plane {
        Plane::Host | Plane::Hello => {
            let body = match shared.receiving.read(conn, body).await {
                Ok(body) => body,
                Err(failed) => return unread(failed),
            };
            if shared.has_moved() && !host::stays(&head) {
                return Box::pin(relay::pass(shared, *head, body)).await;
            }
            let (hub, conn) = (shared.hub.clone(), conn.clone());
            let call = HostCall {
                hub,
                conn,
                head,
                body,
            };
            Box::pin(host::answer(shared, call)).await
        }
        Plane::Dialect(place) => {
            let dialect = &shared.dialects[place];
            if let Err(answer) = dialect.admits(&head) {
                return answer::closing(*answer);
            }
            let body = match shared.receiving.read(conn, body).await {
                Ok(body) => body,
                Err(failed) => return unread(failed),
            };
            if shared.has_moved() {
                return Box::pin(relay::pass(shared, *head, body)).await;
            }
            let (hub, conn) = (shared.hub.clone(), conn.clone());
            let call = HostCall {
                hub,
                conn,
                head,
                body,
            };
            dialect.answer(call).await
        }
        Plane::Operation if shared.has_moved() => {
            Box::pin(relay::pass(shared, *head, Bytes::new())).await
        }
        Plane::Operation => clients::operation(shared, &head),
        Plane::Tunnel => Box::pin(tunnel::open(shared, conn, *head)).await,
        Plane::Nobody => {
            let text = format!(
                "Here is nothing. MCP is at {}.\n",
                shared.config.endpoints.join(" and ")
            );
            answer::text(StatusCode::NOT_FOUND, &text)
        }
        Plane::Client => {
            if head.method != Method::POST && shared.has_moved() {
                return Box::pin(relay::pass(shared, *head, Bytes::new())).await;
            }
            if head.method != Method::POST {
                return match shared.clients() {
                    Clients::Mcp => clients::without_body(shared, conn, &head),
                    Clients::Forward => answer::client(mcp::Refusal::method("POST")),
                };
            }
            if bodyless {
                let text = "a POST needs a body, and a Content-Length or Transfer-Encoding\n";
                return answer::text(StatusCode::LENGTH_REQUIRED, text);
            }
            let body = match shared.receiving.read(conn, body).await {
                Ok(body) => body,
                Err(failed) => return unread(failed),
            };
            if shared.has_moved() {
                return Box::pin(relay::pass(shared, *head, body)).await;
            }
            let message = Message::from(body);
            match shared.clients() {
                Clients::Mcp => clients::post(shared, conn, head, message).await,
                Clients::Forward => forward::post(shared, conn, head, message).await,
            }
        }
    }
}

fn unread(failed: Failed) -> Answer {
    answer::closing(match failed {
        Failed::TooLarge => answer::refused(Refusal::BodyTooLarge { limit: MAX_BODY }),
        Failed::Stalled => {
            let text = "the body did not come to its end; nothing was done\n";
            answer::text(StatusCode::REQUEST_TIMEOUT, text)
        }
        Failed::Broken => {
            let text = "the body is not framed as its head says; nothing was done\n";
            answer::text(StatusCode::BAD_REQUEST, text)
        }
        Failed::Busy => {
            let error = Error::new(ErrorKind::Overloaded { retry_after: None })
                .context("too many large requests are coming in; try again");
            answer::message(503, Message::failure(None, &error))
        }
    })
}
