//! What one user has of this server: editors, calls, late results and MCP sessions. On a machine of one's own there is one
//! such for all; with users each has his own, so that nobody's anything can be reached with another's key.

use super::MAX_BODY;
use super::reply::Body;
use crate::calls::Calls;
use crate::server::mcp::UnityMcp;
use crate::server::sessions::Sessions;
use http::header::HeaderValue;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A client's session without any traffic is forgotten after this.
const SESSION_IDLE: Duration = Duration::from_secs(1_800);

/// One user's share.
pub(in crate::server) struct Tenant {
    calls: Calls,
    sessions: Sessions,
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
        let service = move || Ok(UnityMcp::new(theirs.clone(), places.open()?));
        Self {
            calls,
            sessions,
            mcp: StreamableHttpService::new(service, Arc::new(manager), config),
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
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").finish_non_exhaustive()
    }
}
