//! What a server is told.

use crate::broker;
use crate::run;
use mcp_transport_core::guard::{NotAToken, Origin, Token};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of a [`Server`](super::Server).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// What a host must present.
    pub(super) token: Secret,
    /// The limits and times of the broker itself.
    pub broker: broker::Config,
    /// The origins of web pages that may use it, besides its own. None by default.
    pub origins: Vec<Origin>,
    /// The paths of the MCP endpoint. `/mcp` and `/` by default.
    pub endpoints: Vec<String>,
    /// What posts of clients mean. MCP by default. Where a dialect other than the native one is
    /// enabled, the host decides that is attached, or was last; before the first, the dialect that is
    /// listed first.
    pub clients: Clients,
    /// Which hosts may come. The native dialect's by default.
    pub dialects: Vec<run::Dialect>,
    /// What the Funplay plugin presents. `None`, the default: the same as other hosts.
    pub(super) funplay_token: Option<Secret>,
    /// For how long a call speaks for the Funplay session that pulled it and says nothing more.
    /// Default 300 s, as long as the plugin lets one run.
    pub funplay_working: Duration,
    /// How long a pull of another dialect is parked at most. Default 25 s; the plugin gives up at
    /// 35 s.
    pub park: Duration,
    /// In the seed's dialect: after how long without a pull, a push or a parked socket the host is
    /// gone. Default 5 s.
    pub host_lease: Duration,
    /// In the seed's dialect: what was handed out and not answered is handed out again, whatever it
    /// is. False by default.
    pub seed_redeliver: bool,
    /// In the seed's dialect: a host without a token is let in. False by default.
    pub allow_unauthenticated_host: bool,
    /// The paths on which a WebSocket upgrade goes on to the host. None by default.
    pub tunnel_paths: Vec<String>,
    /// Tunnels at once. Default 64; more are refused with 503.
    pub tunnels: usize,
    /// Where catalogues are kept, a file for each port and project, readable by the owner alone. At
    /// the start the port's newest is taken. `None`, the default: they last as long as the process.
    pub state_dir: Option<PathBuf>,
    /// Connections at once, of clients and hosts. Default 8,192; more are closed at once.
    pub connections: usize,
    /// The bytes of bodies that are being received, of all connections together. Default 256 MiB;
    /// beyond it a request is refused with 503.
    pub receiving: usize,
    /// When a client that accepts an event stream gets its head at the latest. Default 5 s; until
    /// then an answer can still come as plain JSON.
    pub head_after: Duration,
    /// How often a stream on which nothing happens gets a comment. Default 15 s.
    pub comment_every: Duration,
    /// End after so long without a host, if no call waits for one. `None`, the default: never.
    pub exit_when_orphaned: Option<Duration>,
    /// End when a host says that it leaves for good. False by default.
    pub exit_with_host: bool,
}

/// What hosts present, and what a broker proves itself with.
#[derive(Clone)]
pub(super) struct Secret {
    pub(super) token: Token,
    pub(super) text: Box<str>,
}

impl Secret {
    fn new(token: &str) -> Result<Self, NotAToken> {
        Ok(Self {
            token: token.parse()?,
            text: token.trim_ascii().into(),
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.token.fmt(f)
    }
}

/// What posts of clients mean.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Clients {
    /// This is an MCP endpoint, of both eras: with sessions, event streams and headers that are
    /// checked.
    #[default]
    Mcp,
    /// Bodies go to the host as they are, and its answers come back as they are: no sessions, no
    /// streams. A post on any path is a client's.
    Forward,
}

impl ServerConfig {
    /// The defaults, and the token that hosts must present: the text of a token file as it is.
    ///
    /// # Errors
    /// Where that cannot be a token.
    pub fn new(token: &str) -> Result<Self, NotAToken> {
        Ok(Self {
            token: Secret::new(token)?,
            broker: broker::Config::default(),
            origins: Vec::new(),
            endpoints: vec!["/mcp".into(), "/".into()],
            clients: Clients::Mcp,
            dialects: vec![run::Dialect::Native],
            funplay_token: None,
            funplay_working: Duration::from_secs(300),
            park: Duration::from_secs(25),
            host_lease: Duration::from_secs(5),
            seed_redeliver: false,
            allow_unauthenticated_host: false,
            tunnel_paths: Vec::new(),
            tunnels: 64,
            state_dir: None,
            connections: 8_192,
            receiving: 256 * 1024 * 1024,
            head_after: Duration::from_secs(5),
            comment_every: Duration::from_secs(15),
            exit_when_orphaned: None,
            exit_with_host: false,
        })
    }

    /// Sets the limits and times of the broker itself.
    #[must_use]
    pub fn broker(mut self, broker: broker::Config) -> Self {
        self.broker = broker;
        self
    }

    /// Lets the pages of one more origin in.
    #[must_use]
    pub fn allow_origin(mut self, origin: Origin) -> Self {
        self.origins.push(origin);
        self
    }

    /// Sets the paths of the MCP endpoint.
    #[must_use]
    pub fn endpoints(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.endpoints = paths.into_iter().map(Into::into).collect();
        self
    }

    /// Sets what posts of clients mean.
    #[must_use]
    pub fn clients(mut self, clients: Clients) -> Self {
        self.clients = clients;
        self
    }

    /// Sets which hosts may come.
    #[must_use]
    pub fn dialects(mut self, dialects: impl IntoIterator<Item = run::Dialect>) -> Self {
        self.dialects = dialects.into_iter().collect();
        self
    }

    /// Sets what the Funplay plugin presents, where that is another token than other hosts'.
    ///
    /// # Errors
    /// Where that cannot be a token.
    pub fn funplay_token(mut self, token: &str) -> Result<Self, NotAToken> {
        self.funplay_token = Some(Secret::new(token)?);
        Ok(self)
    }

    /// Sets for how long a call speaks for the Funplay session that pulled it.
    #[must_use]
    pub fn funplay_working(mut self, time: Duration) -> Self {
        self.funplay_working = time;
        self
    }

    /// Sets how long a pull of another dialect is parked.
    #[must_use]
    pub fn park(mut self, wait: Duration) -> Self {
        self.park = wait;
        self
    }

    /// Sets after how long without a sign a host of the seed's dialect is gone.
    #[must_use]
    pub fn host_lease(mut self, silence: Duration) -> Self {
        self.host_lease = silence;
        self
    }

    /// Sets whether a host of the seed's dialect gets again whatever was not answered.
    #[must_use]
    pub fn seed_redeliver(mut self, whether: bool) -> Self {
        self.seed_redeliver = whether;
        self
    }

    /// Sets whether a host of the seed's dialect is let in without a token.
    #[must_use]
    pub fn allow_unauthenticated_host(mut self, whether: bool) -> Self {
        self.allow_unauthenticated_host = whether;
        self
    }

    /// Adds a path on which a WebSocket upgrade goes on to the host.
    #[must_use]
    pub fn tunnel_path(mut self, path: impl Into<String>) -> Self {
        self.tunnel_paths.push(path.into());
        self
    }

    /// Sets how many tunnels there may be at once.
    #[must_use]
    pub fn tunnels(mut self, tunnels: usize) -> Self {
        self.tunnels = tunnels;
        self
    }

    /// Sets where catalogues are kept.
    #[must_use]
    pub fn state_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(directory.into());
        self
    }

    /// Sets how many connections there may be at once.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Sets how many bytes of bodies may be on their way in at once.
    #[must_use]
    pub fn receiving(mut self, bytes: usize) -> Self {
        self.receiving = bytes;
        self
    }

    /// Sets when a client that accepts an event stream gets its head at the latest.
    #[must_use]
    pub fn head_after(mut self, wait: Duration) -> Self {
        self.head_after = wait;
        self
    }

    /// Sets how often a stream on which nothing happens gets a comment.
    #[must_use]
    pub fn comment_every(mut self, interval: Duration) -> Self {
        self.comment_every = interval;
        self
    }

    /// Sets after how long without a host it ends, if no call waits for one.
    #[must_use]
    pub fn exit_when_orphaned(mut self, after: Option<Duration>) -> Self {
        self.exit_when_orphaned = after;
        self
    }

    /// Sets whether it ends when a host says that it leaves for good.
    #[must_use]
    pub fn exit_with_host(mut self, whether: bool) -> Self {
        self.exit_with_host = whether;
        self
    }
}
