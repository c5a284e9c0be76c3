//! Clients by WebSocket: other stdio servers that pass their own clients' messages on, and whoever likes.

use super::reply::{Body, full, text};
use crate::calls::Calls;
use crate::server::estate::Estate;
use crate::server::relay;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use mcp_transport_ws::{WsConfig, upgrade};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Clients at once that come so; each has a process of its own, typically.
const MAX_LINKED: usize = 256;

/// Their places, and their tasks.
pub(super) struct Linked {
    room: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// What each of them is to inherit.
    estate: Option<Estate>,
}

impl Linked {
    pub(super) fn new(stop: CancellationToken, tasks: TaskTracker, estate: Option<Estate>) -> Self {
        Self {
            room: Arc::new(Semaphore::new(MAX_LINKED)),
            stop,
            tasks,
            estate,
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        MAX_LINKED - self.room.available_permits()
    }

    /// Takes one more.
    pub(super) fn upgrade(&self, calls: &Calls, request: Request<Incoming>) -> Response<Body> {
        let Ok(permit) = self.room.clone().try_acquire_owned() else {
            let why = format!("{MAX_LINKED} clients are connected by WebSocket: close one.\n");
            return text(StatusCode::SERVICE_UNAVAILABLE, &why);
        };
        let session = relay::Session::of(request.headers());
        let heir = relay::heir(request.headers()).map(str::to_owned);
        match upgrade(request, &config()) {
            Ok((answer, connection)) => {
                let client = relay::serve_upgraded(calls.clone(), session, connection);
                if let (Some(heir), Some(estate)) = (heir, self.estate.clone()) {
                    self.tasks.spawn(async move { estate.give(&heir).await });
                }
                let stop = self.stop.clone();
                self.tasks.spawn(async move {
                    tokio::select! {
                        () = client => {}
                        () = stop.cancelled() => {}
                    }
                    drop(permit);
                });
                answer.map(|()| full(Bytes::new()))
            }
            Err(refusal) => refusal.into_response().map(|body| full(Bytes::from(body))),
        }
    }
}

/// Such a client may send what one on pipes may. On loopback a peer that is gone is known to be: so nobody is pinged, and who
/// is idle does not wake up.
fn config() -> WsConfig {
    WsConfig::new().keep_alive(None)
}

/// Whether a request asks for a WebSocket.
pub(super) fn is_asked(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    request.method() == Method::GET
        && upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
