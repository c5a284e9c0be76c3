//! One port for clients and editors: `/mcp`, `/hub/plugin`, `/health`, `/api/…`. Every request passes the gate first.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that owns the connections' tasks"
)]

mod accept;
mod front;
mod gate;
mod linked;
mod port;
pub(super) mod reply;
mod tenant;

pub use front::Front;
pub use port::{LOOPBACK, bind, port_holder};
pub(super) use tenant::Tenant;

use super::health;
use super::relay;
use super::remote::Users;
use super::rest;
use crate::calls::{Calls, Port};
use crate::hub::socket;
use accept::At;
use bytes::Bytes;
use gate::Gate;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use linked::Linked;
use mcp_transport_core::guard::Origin;
use mcp_transport_core::loopback::{self, Bind, Loopback};
use mcp_transport_ws::{WsConfig, upgrade};
use reply::{Body, allow, full, json, refused, text};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The body of one request, at most.
pub(super) const MAX_BODY: usize = 16 * 1024 * 1024;

/// How long the end waits for answers that are on their way.
const DRAIN: Duration = Duration::from_secs(2);

/// From a call's answer until it is on the wire: rmcp does not say when it is, and cuts its streams when it is stopped.
const FLUSH: Duration = Duration::from_millis(100);

/// How long the end waits for editors to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the port serves.
pub struct Http {
    whose: Whose,
    gate: Gate,
    /// `None` where editors are only dialled.
    plugin: Option<WsConfig>,
    login_url: Option<String>,
    number: u16,
    health: watch::Receiver<loopback::Health>,
    plugins: TaskTracker,
    linked: Linked,
}

/// Whose editors and calls these are.
#[derive(Clone)]
enum Whose {
    /// This machine's: whoever gets in sees all of them.
    Machines(Arc<Tenant>),
    /// Each user's own, by the key that comes with each request.
    Users(Arc<Users>),
}

/// A server that runs. Dropping it stops nothing; [`stop`](Self::stop) does.
#[derive(Debug)]
pub struct Started {
    stop: CancellationToken,
    tasks: TaskTracker,
    plugins: TaskTracker,
    whose: Whose,
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
        let front = Front::new().number(number).origins(origins);
        front.plugins(plugins).start(listener, calls)
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let passed = match self.gate.check(&request) {
            Ok(passed) => passed,
            Err((status, why)) => {
                tracing::debug!(why, path = request.uri().path(), "a request was refused");
                return refused(status, &why);
            }
        };
        let mut response = match passed.preflight {
            true => text(StatusCode::NO_CONTENT, ""),
            false => self.route(request).await,
        };
        if let Some(origin) = passed.cors {
            allow(response.headers_mut(), &origin);
        }
        response
    }

    async fn route(&self, mut request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        match &*path {
            "/health" if matches!(*request.method(), Method::GET | Method::HEAD) => {
                return self.health();
            }
            "/health" => return text(StatusCode::METHOD_NOT_ALLOWED, "GET /health\n"),
            rest::LOGIN_URL => return rest::login_url(request.method(), self.login_url.as_deref()),
            _ => {}
        }
        let tenant = match &self.whose {
            Whose::Machines(_) if path == relay::PATH && *request.method() == Method::GET => {
                return hello(&request).await;
            }
            Whose::Machines(tenant)
                if matches!(&*path, "/mcp" | "/mcp/") && linked::is_asked(&request) =>
            {
                return self.linked.upgrade(tenant.calls(), request);
            }
            Whose::Machines(tenant)
                if path.starts_with("/api/") || path == rest::REGISTER_TOOLS =>
            {
                return rest::answer(tenant, request).await;
            }
            Whose::Machines(tenant) => tenant.clone(),
            // What is not there is nobody's, so no key is asked for.
            Whose::Users(_) if !matches!(&*path, "/mcp" | "/mcp/" | "/hub/plugin") => {
                return self.not_found();
            }
            Whose::Users(users) => match users.admit(&mut request).await {
                Ok(tenant) => tenant,
                Err(refusal) => return refusal.response(path == "/hub/plugin"),
            },
        };
        match &*path {
            "/mcp" | "/mcp/" => tenant.mcp(request).await,
            "/hub/plugin" => self.plugin(&tenant, request),
            _ => self.not_found(),
        }
    }

    fn not_found(&self) -> Response<Body> {
        let rest = match self.whose {
            Whose::Machines(_) => ", /health and /api/instances, /api/command, /api/custom-tools",
            Whose::Users(_) => " and /health",
        };
        let what = format!("Here are /mcp (clients), /hub/plugin (editors){rest}.\n");
        text(StatusCode::NOT_FOUND, &what)
    }

    fn plugin(&self, tenant: &Tenant, request: Request<Incoming>) -> Response<Body> {
        let Some(plugin) = &self.plugin else {
            let why =
                "This server dials editors itself (--editor bridge): set the plugin to stdio.\n";
            return text(StatusCode::NOT_FOUND, why);
        };
        match upgrade(request, plugin) {
            Ok((answer, connection)) => {
                let hub = tenant.calls().hub().clone();
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
        let report = match &self.whose {
            // Nobody's editors are everybody's business.
            Whose::Users(_) => health::brief(SystemTime::now()),
            Whose::Machines(tenant) => {
                let hub = tenant.calls().hub();
                let port = Port {
                    number: self.number,
                    health: self.health.borrow().clone(),
                    known: tenant.calls().port().and_then(|port| port.known),
                };
                let mut report = health::report(
                    tokio::time::Instant::now().into_std(),
                    SystemTime::now(),
                    &port,
                    &hub.snapshot(),
                    hub.sockets(),
                );
                report["websocket_clients"] = self.linked.count().into();
                report
            }
        };
        json(StatusCode::OK, &report)
    }
}

/// Who has this port? See [`relay`].
async fn hello(request: &Request<Incoming>) -> Response<Body> {
    let Some(At(at)) = request.extensions().get().copied() else {
        return text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "this connection has no address\n",
        );
    };
    let hello = relay::answer(at, request.uri().query()).await;
    let hello = serde_json::to_value(hello).expect("text and a number");
    json(StatusCode::OK, &hello)
}

impl Whose {
    fn everybody(&self) -> Vec<Arc<Tenant>> {
        match self {
            Self::Machines(tenant) => vec![tenant.clone()],
            Self::Users(users) => users.everybody(),
        }
    }
}

impl Started {
    /// Ends it: clients are answered with what is known, then editors are told that the server goes down. Takes 5 s at most.
    ///
    /// # Cancel safety
    /// Dropping the future only stops waiting.
    pub async fn stop(self) {
        if let Whose::Users(users) = &self.whose {
            users.close();
        }
        let tenants = self.whose.everybody();
        answer_all(tenants.iter().map(|one| one.calls())).await;
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(DRAIN, self.tasks.wait()).await;
        for tenant in tenants {
            tenant.calls().hub().shut_down();
        }
        self.plugins.close();
        let _ = tokio::time::timeout(GOODBYE, self.plugins.wait()).await;
    }
}

/// Takes no more calls, answers those under way with what is known, and gives the answers time to be written: 2 s at most.
pub(super) async fn answer_all(calls: impl Iterator<Item = &Calls>) {
    let answered = async {
        futures::future::join_all(calls.map(Calls::stop)).await;
        tokio::time::sleep(FLUSH).await;
    };
    let _ = tokio::time::timeout(DRAIN, answered).await;
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("port", &self.number)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machines(_) => "Machines",
            Self::Users(_) => "Users",
        })
    }
}
