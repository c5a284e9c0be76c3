//! What one user has of this server: editors, calls, late results and MCP sessions. On a machine of one's own there is one
//! such for all; with users each has his own, so that nobody's anything can be reached with another's key.

use super::MAX_BODY;
use super::reply::{Body, Held};
use crate::calls::Calls;
use crate::server::mcp::UnityMcp;
use crate::server::sessions::{Sessions, Visit};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rmcp::transport::streamable_http_server::session::SessionManager;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A client's session without any traffic is forgotten after this.
const SESSION_IDLE: Duration = Duration::from_secs(1_800);

/// One user's share.
pub(in crate::server) struct Tenant {
    calls: Calls,
    sessions: Sessions,
    manager: Arc<LocalSessionManager>,
    mcp: StreamableHttpService<UnityMcp, LocalSessionManager>,
    /// Ends the sessions' streams with it.
    _stop: DropGuard,
}

impl Tenant {
    /// For everybody on this machine.
    pub(super) fn of_machine(calls: Calls, stop: &CancellationToken) -> Self {
        Self::new(calls, Sessions::default(), stop)
    }

    /// For one user of many.
    pub(in crate::server) fn of_user(calls: Calls, stop: &CancellationToken) -> Self {
        Self::new(calls, Sessions::of_user(), stop)
    }

    fn new(calls: Calls, sessions: Sessions, stop: &CancellationToken) -> Self {
        let stop = stop.child_token();
        let mut manager = LocalSessionManager::default();
        manager.session_config.keep_alive = Some(SESSION_IDLE);
        // The gate has checked Host and Origin already, and more strictly.
        let config = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .with_max_request_body_bytes(MAX_BODY)
            .with_cancellation_token(stop.clone());
        let (theirs, places) = (calls.clone(), sessions.clone());
        let manager = Arc::new(manager);
        let service = move || Ok(UnityMcp::new(theirs.clone(), places.open()?));
        Self {
            calls,
            sessions,
            mcp: StreamableHttpService::new(service, manager.clone(), config),
            manager,
            _stop: stop.drop_guard(),
        }
    }

    pub(in crate::server) const fn calls(&self) -> &Calls {
        &self.calls
    }

    /// True if no editor is connected, no session open and no call on its way.
    pub(in crate::server) fn is_idle(&self) -> bool {
        self.calls.hub().sockets().0 == 0 && self.sessions.is_empty() && !self.calls.is_busy()
    }

    pub(super) async fn mcp(&self, request: Request<Incoming>) -> Response<Body> {
        let named = session_id(request.headers());
        if let Some(id) = named
            .as_deref()
            .filter(|_| request.method() == Method::DELETE)
        {
            self.sessions.end(id);
        }
        let visit = named.as_deref().and_then(|id| self.sessions.enter(id));
        let response = self.mcp.handle(request).await;
        let visit = match session_id(response.headers()) {
            Some(id) if named.is_none() => Some(self.begin(&id)),
            _ => visit,
        };
        match visit {
            Some(visit) => response.map(|body| Held::new(body, visit).boxed()),
            None => response,
        }
    }

    /// A session has begun. For it may go who was not there for longest.
    fn begin(&self, id: &str) -> Visit {
        let (visit, gone) = self.sessions.begin(id, Instant::now());
        for id in gone {
            tracing::debug!(id, "a session that nobody used was ended for a new one");
            let manager = self.manager.clone();
            // Nobody new waits for the end of the old.
            tokio::spawn(async move {
                // It may have ended by itself.
                let _ = manager.close_session(&id.into()).await;
            });
        }
        visit
    }
}

fn session_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("mcp-session-id")?.to_str().ok()?;
    Some(id.to_owned())
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").finish_non_exhaustive()
    }
}
