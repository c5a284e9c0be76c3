//! What a server shows at its port, put together before it starts.

use super::accept::accept;
use super::gate::Gate;
use super::linked::Linked;
use super::tenant::Tenant;
use super::{Http, Started, Whose};
use crate::calls::Calls;
use crate::server::estate::Estate;
use crate::server::remote::{Remote, Users};
use mcp_transport_core::guard::Origin;
use mcp_transport_core::loopback::{Bind, Loopback};
use mcp_transport_ws::WsConfig;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a server shows at its port.
#[derive(Debug)]
#[must_use = "it serves nothing before it is started"]
pub struct Front {
    number: Option<u16>,
    origins: Vec<Origin>,
    plugins: bool,
    login_url: Option<String>,
    estate: Option<Estate>,
}

impl Front {
    /// MCP, plugins and REST, for programs and for no web page.
    pub const fn new() -> Self {
        Self {
            number: None,
            origins: Vec::new(),
            plugins: true,
            login_url: None,
            estate: None,
        }
    }

    /// The port that clients and plugins dial, where it is another one than the listener's: a broker's.
    pub const fn number(mut self, number: u16) -> Self {
        self.number = Some(number);
        self
    }

    /// Pages of these origins may use it.
    pub fn origins(mut self, origins: Vec<Origin>) -> Self {
        self.origins = origins;
        self
    }

    /// Whether plugins may connect at `/hub/plugin`.
    pub const fn plugins(mut self, plugins: bool) -> Self {
        self.plugins = plugins;
        self
    }

    /// Where users get their keys: what `GET /api/auth/login-url` answers.
    pub fn login_url(mut self, url: Option<String>) -> Self {
        self.login_url = url;
        self
    }

    /// Who relays to this server inherits its sockets.
    pub(in crate::server) fn leaves(mut self, estate: Estate) -> Self {
        self.estate = Some(estate);
        self
    }

    /// Serves this machine: whoever gets in sees every editor.
    pub fn start<B: Bind + 'static>(self, listener: Loopback<B>, calls: &Calls) -> Started {
        let own = listener.local_port();
        let number = self.number.unwrap_or(own);
        let gate = Gate::of_machine(number, own, &self.origins);
        let stop = CancellationToken::new();
        let whose = Whose::Machines(Arc::new(Tenant::of_machine(calls.clone(), &stop)));
        self.serve(listener, number, gate, whose, stop)
    }

    /// Serves users, each of whom sees what is his: a request without the key of one is refused.
    ///
    /// `calls` makes what each user gets of his own.
    pub fn start_remote<B: Bind + 'static>(
        self,
        listener: Loopback<B>,
        remote: Remote,
        calls: impl Fn() -> Calls + Send + Sync + 'static,
    ) -> Started {
        let number = listener.local_port();
        let gate = Gate::of_users(&self.origins, remote.hosts.clone());
        let stop = CancellationToken::new();
        let users = Users::new(remote.keys, calls, stop.clone());
        self.serve(listener, number, gate, Whose::Users(Arc::new(users)), stop)
    }

    fn serve<B: Bind + 'static>(
        self,
        listener: Loopback<B>,
        number: u16,
        gate: Gate,
        whose: Whose,
        stop: CancellationToken,
    ) -> Started {
        let (tasks, plugins) = (TaskTracker::new(), TaskTracker::new());
        // Behind a broker these are not the sockets of the port that everybody knows.
        let is_known = number == listener.local_port();
        let estate = self.estate.filter(|_| is_known);
        let http = Arc::new(Http {
            whose: whose.clone(),
            gate,
            plugin: self.plugins.then(plugin_config),
            login_url: self.login_url,
            number,
            health: listener.watch_health(),
            plugins: plugins.clone(),
            linked: Linked::new(stop.clone(), tasks.clone(), estate),
        });
        tasks.spawn(accept(http, listener, stop.clone(), tasks.clone()));
        Started {
            stop,
            tasks,
            plugins,
            whose,
        }
    }
}

impl Default for Front {
    fn default() -> Self {
        Self::new()
    }
}

/// The plugin has a keep-alive of its own, in JSON. It reads nothing while a command runs, so a WebSocket ping would take a
/// busy editor for a dead one.
fn plugin_config() -> WsConfig {
    WsConfig::new().keep_alive(None)
}
