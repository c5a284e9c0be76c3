//! One port for clients and editors: `/mcp`, `/hub/plugin`, `/health`. Every request passes the guard first.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that owns the connections' tasks"
)]

use super::health;
use super::mcp::UnityMcp;
use super::sessions::Sessions;
use crate::calls::{Calls, Port};
use crate::hub::socket;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use mcp_transport_core::guard::{Guard, HEAD_TIMEOUT, Head, MAX_HEAD, Origin};
use mcp_transport_core::loopback::{self, Bind, Loopback};
use mcp_transport_ws::{WsConfig, upgrade};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

type Body = BoxBody<Bytes, Infallible>;
type Mcp = StreamableHttpService<UnityMcp, LocalSessionManager>;

/// Connections at once, plugins and event streams included. What comes on top is closed at once.
const MAX_CONNECTIONS: usize = 2_048;

/// The body of one request, at most.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// A client's session without any traffic is forgotten after this.
const SESSION_IDLE: Duration = Duration::from_secs(1_800);

/// How long the end waits for answers that are on their way.
const DRAIN: Duration = Duration::from_secs(2);

/// From a call's answer until it is on the wire: rmcp does not say when it is, and cuts its streams when it is stopped.
const FLUSH: Duration = Duration::from_millis(100);

/// How long the end waits for editors to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Takes a port on both loopback families; 0 chooses one.
///
/// # Errors
/// If neither family has it. The text names who holds it, where the operating system tells.
pub fn bind(port: u16) -> io::Result<Loopback> {
    Loopback::bind(port).map_err(|error| match port_holder(port) {
        Some(holder) => {
            let text = format!(
                "port {port} is held by {holder}: end that program, or choose another port with --http-url (and set the same URL in Unity's MCP window)"
            );
            io::Error::new(error.kind(), text)
        }
        None => error,
    })
}

/// Which other process listens on a port, where the operating system tells.
pub fn port_holder(port: u16) -> Option<String> {
    let holds = |it: &listeners::Listener| {
        // We may have the other family, and somebody's outgoing connection may bear the number.
        it.socket.port() == port
            && it.protocol == listeners::Protocol::TCP
            && it.state == listeners::SocketState::Listen
            && it.process.pid != std::process::id()
    };
    let found = listeners::get_all().ok()?.into_iter().find(holds)?;
    let process = found.process;
    Some(format!("{} (process {})", process.name, process.pid))
}

/// What the port serves.
pub struct Http {
    calls: Calls,
    sessions: Sessions,
    guard: Guard,
    /// Behind a broker: for who comes to this process's own port.
    own_guard: Option<Guard>,
    mcp: Mcp,
    /// `None` where editors are only dialled.
    plugin: Option<WsConfig>,
    number: u16,
    health: watch::Receiver<loopback::Health>,
    plugins: TaskTracker,
}

/// A server that runs. Dropping it stops nothing; [`stop`](Self::stop) does.
#[derive(Debug)]
pub struct Started {
    stop: CancellationToken,
    tasks: TaskTracker,
    plugins: TaskTracker,
    calls: Calls,
}

impl Http {
    /// Serves a port, for clients with these origins besides its own, and for plugins.
    pub fn start<B: Bind + 'static>(
        listener: Loopback<B>,
        calls: &Calls,
        origins: Vec<Origin>,
    ) -> Started {
        let number = listener.local_port();
        Self::start_with(listener, number, calls, origins, true)
    }

    /// The same; `plugins` says whether plugins may connect at `/hub/plugin`, and `number` which port clients and plugins
    /// dial: behind a broker it is the broker's.
    pub fn start_with<B: Bind + 'static>(
        listener: Loopback<B>,
        number: u16,
        calls: &Calls,
        origins: Vec<Origin>,
        plugins: bool,
    ) -> Started {
        let plugin = plugins.then(plugin_config);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let plugins = TaskTracker::new();
        let guard = |port| {
            let guard = Guard::new(port).max_body(MAX_BODY as u64);
            origins.iter().cloned().fold(guard, Guard::allow_origin)
        };
        let own = listener.local_port();
        let sessions = Sessions::default();
        let http = Arc::new(Self {
            mcp: mcp_service(calls.clone(), sessions.clone(), stop.clone()),
            calls: calls.clone(),
            sessions,
            guard: guard(number),
            own_guard: (own != number).then(|| guard(own)),
            plugin,
            number,
            health: listener.watch_health(),
            plugins: plugins.clone(),
        });
        tasks.spawn(accept(http, listener, stop.clone(), tasks.clone()));
        Started {
            stop,
            tasks,
            plugins,
            calls: calls.clone(),
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let head = Head::new(
            request.method().as_str(),
            request
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes())),
        );
        let checked = self.guard.check(&head).or_else(|refusal| {
            let own = self.own_guard.as_ref();
            own.map_or(Err(refusal), |own| own.check(&head))
        });
        if let Err(refusal) = checked {
            tracing::debug!(%refusal, path = request.uri().path(), "a request was refused");
            return refused(refusal.status(), &refusal.to_string());
        }
        let origin = self.guard.cors_origin(&head).map(str::to_owned);
        let preflight = head.is_preflight();
        let mut response = match preflight {
            true => text(StatusCode::NO_CONTENT, ""),
            false => self.route(request).await,
        };
        if let Some(origin) = origin {
            allow(response.headers_mut(), &origin);
        }
        response
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Body> {
        match request.uri().path() {
            "/mcp" | "/mcp/" => {
                if request.method() == Method::DELETE
                    && let Some(Ok(id)) = request
                        .headers()
                        .get("mcp-session-id")
                        .map(HeaderValue::to_str)
                {
                    self.sessions.end(id);
                }
                self.mcp.handle(request).await
            }
            "/hub/plugin" => self.plugin(request),
            "/health" if matches!(*request.method(), Method::GET | Method::HEAD) => self.health(),
            "/health" => text(StatusCode::METHOD_NOT_ALLOWED, "GET /health\n"),
            _ => text(
                StatusCode::NOT_FOUND,
                "Here are /mcp (clients), /hub/plugin (editors) and /health.\n",
            ),
        }
    }

    fn plugin(&self, request: Request<Incoming>) -> Response<Body> {
        let Some(plugin) = &self.plugin else {
            let why =
                "This server dials editors itself (--editor bridge): set the plugin to stdio.\n";
            return text(StatusCode::NOT_FOUND, why);
        };
        match upgrade(request, plugin) {
            Ok((answer, connection)) => {
                let hub = self.calls.hub().clone();
                self.plugins.spawn(async move {
                    match connection.await {
                        Ok(plugin) => drop(socket::serve(hub, plugin).await),
                        Err(error) => tracing::debug!(%error, "an upgrade came to nothing"),
                    }
                });
                answer.map(|()| full(Bytes::new()))
            }
            Err(refusal) => refusal.into_response().map(|body| full(Bytes::from(body))),
        }
    }

    fn health(&self) -> Response<Body> {
        let hub = self.calls.hub();
        let now = tokio::time::Instant::now().into_std();
        let port = Port {
            number: self.number,
            health: self.health.borrow().clone(),
        };
        let report = health::report(
            now,
            SystemTime::now(),
            &port,
            &hub.snapshot(),
            hub.sockets(),
        );
        let mut response = text(StatusCode::OK, &format!("{report:#}\n"));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

impl Started {
    /// Ends it: clients are answered with what is known, then editors are told that the server goes down. Takes 5 s at most.
    ///
    /// # Cancel safety
    /// Dropping the future only stops waiting.
    pub async fn stop(self) {
        let answered = async {
            self.calls.stop().await;
            tokio::time::sleep(FLUSH).await;
        };
        let _ = tokio::time::timeout(DRAIN, answered).await;
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(DRAIN, self.tasks.wait()).await;
        self.calls.hub().shut_down();
        self.plugins.close();
        let _ = tokio::time::timeout(GOODBYE, self.plugins.wait()).await;
    }
}

async fn accept<B: Bind>(
    http: Arc<Http>,
    mut listener: Loopback<B>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let health = tell_health(http.health.clone(), http.number);
    tokio::pin!(health);
    loop {
        let stream = tokio::select! {
            (stream, _) = listener.accept() => stream,
            () = &mut health => continue,
            () = stop.cancelled() => return,
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            tracing::warn!(
                limit = MAX_CONNECTIONS,
                "too many connections; one more was closed"
            );
            continue;
        };
        let (http, stop) = (http.clone(), stop.clone());
        tasks.spawn(async move {
            converse(http, stream, stop).await;
            drop(permit);
        });
    }
}

async fn converse(http: Arc<Http>, stream: TcpStream, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let http = http.clone();
        async move { Ok::<_, Infallible>(http.answer(request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// Says in the log what becomes of the two families. Never ends.
async fn tell_health(mut health: watch::Receiver<loopback::Health>, port: u16) {
    let mut before = health.borrow_and_update().clone();
    while health.changed().await.is_ok() {
        let now = health.borrow_and_update().clone();
        for (address, old, new) in [
            ("127.0.0.1", &before.v4, &now.v4),
            ("[::1]", &before.v6, &now.v6),
        ] {
            if old.state != new.state || old.last_failure != new.last_failure {
                let failure = new.last_failure.as_ref();
                tracing::warn!(
                    address, port, state = ?new.state,
                    os_code = failure.and_then(|failure| failure.code),
                    cause = failure.map(|failure| failure.text.as_str()),
                    "the listener's state changed"
                );
            }
        }
        before = now;
    }
    std::future::pending().await
}

fn mcp_service(calls: Calls, sessions: Sessions, stop: CancellationToken) -> Mcp {
    let mut manager = LocalSessionManager::default();
    manager.session_config.keep_alive = Some(SESSION_IDLE);
    // The guard has checked Host and Origin already, and more strictly.
    let config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .with_max_request_body_bytes(MAX_BODY)
        .with_cancellation_token(stop);
    let service = move || Ok(UnityMcp::new(calls.clone(), sessions.open()?));
    StreamableHttpService::new(service, Arc::new(manager), config)
}

/// The plugin has a keep-alive of its own, in JSON. It reads nothing while a command runs, so a WebSocket ping would take a
/// busy editor for a dead one.
fn plugin_config() -> WsConfig {
    WsConfig::new().keep_alive(None)
}

fn allow(headers: &mut HeaderMap, origin: &str) {
    let Ok(origin) = HeaderValue::from_str(origin) else {
        return;
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    let rules = [
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, POST, DELETE, OPTIONS",
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Content-Type, Accept, Authorization, Mcp-Session-Id, Mcp-Protocol-Version, Mcp-Method, Mcp-Name, Last-Event-ID",
        ),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "Mcp-Session-Id, Mcp-Protocol-Version",
        ),
    ];
    for (name, value) in rules {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Refuses without reading the body, and so without using the connection again.
fn refused(status: u16, why: &str) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    let mut response = text(status, &format!("{why}\n"));
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn text(status: StatusCode, body: &str) -> Response<Body> {
    let mut response = Response::new(full(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    if !body.is_empty() {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
    }
    response
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).boxed()
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("port", &self.number)
            .finish_non_exhaustive()
    }
}
