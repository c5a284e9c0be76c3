//! The broker on a port: clients on one plane, hosts on the other.
//!
//! ```text
//!             ┌ gate ─ clients: MCP over HTTP, of both eras ─┐
//! loopback ───┤                                              ├── hub: lock, call, drain, arm
//!             └ gate, token ─ hosts: PROTOCOL.md ────────────┘
//! ```
//!
//! A shell: it decides nothing but when to write. All decisions are in [`broker`](crate::broker)
//! and [`mcp`](crate::mcp). The state is touched in one function, which never waits and writes to
//! no socket; each reader has a bounded outbox, so that one that does not read harms nobody else.
//!
//! Made for one thread: a `current_thread` runtime is the fastest.
//!
//! ```no_run
//! use mcp_transport_broker::server::{Server, ServerConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let token = std::fs::read_to_string("broker.token")?;
//! let server = Server::bind(8765, ServerConfig::new(&token)?)?;
//! println!("listening on port {}", server.port());
//! server.serve().await;
//! # Ok(())
//! # }
//! ```
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that owns the server's tasks"
)]

mod accept;
mod answer;
mod bell;
mod body;
pub(crate) mod catalogue;
mod clients;
mod config;
mod conn;
mod conversation;
mod foreign;
mod foreign_funplay;
mod foreign_seed;
mod forward;
mod handed;
mod host;
mod hub;
mod items;
mod moving;
mod orphan;
mod outbox;
mod parked;
mod relay;
mod route;
mod state;
mod thaw;
mod tunnel;
mod upload;
mod waiting;
mod wire;

pub use config::{Clients, ServerConfig};

use crate::broker::{Broker, HandOver};
use hub::Hub;
use mcp_transport_core::loopback::{Bind, Loopback};
use moving::Moved;
use route::Shared;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// How long [`Server::serve`] takes to end at most, once it is told to: 2 s.
pub const DRAIN: Duration = Duration::from_secs(2);

/// How long a broker that was replaced keeps connections on which nothing happens: 2 s.
const IDLE_AFTER: Duration = Duration::from_secs(2);

/// How long a broker that takes over keeps what nobody claims: 10 s.
const UNCLAIMED: Duration = Duration::from_secs(10);

/// A broker that has its port, and does not serve yet.
pub struct Server<B: Bind = mcp_transport_core::loopback::Tcp> {
    listener: Loopback<B>,
    shared: Arc<Shared>,
    handle: ServerHandle,
}

/// Ends a server, from wherever.
#[derive(Clone)]
pub struct ServerHandle {
    hub: Arc<Hub>,
    /// Somebody wants it to end.
    asked: watch::Sender<bool>,
    /// What becomes of connections.
    phase: watch::Sender<Phase>,
    /// The port is to be given to a newer broker, which has these calls.
    moved: Arc<Handing>,
    /// It has ended.
    ended: watch::Sender<bool>,
}

/// What becomes of connections.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::server) enum Phase {
    Serving,
    /// Those without a request end.
    Leaving,
    /// All end, with what they are doing.
    Stopping,
}

/// How a newer broker gets the port.
#[derive(Debug, Default)]
pub(in crate::server) struct Handing {
    /// The calls that it has.
    calls: watch::Sender<Option<Arc<Mutex<Vec<Moved>>>>>,
    /// Nobody listens on the port any more.
    free: watch::Sender<bool>,
}

impl Server {
    /// Takes a port on both loopback families; 0 chooses one.
    ///
    /// # Errors
    /// If neither family has it.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub fn bind(port: u16, config: ServerConfig) -> io::Result<Self> {
        Ok(Self::on(Loopback::bind(port)?, config))
    }
}

impl<B: Bind> Server<B> {
    /// A broker on a listener that is bound already.
    pub fn on(listener: Loopback<B>, config: ServerConfig) -> Self {
        let broker = Broker::new(config.broker, random);
        let port = listener.local_port();
        let directory = config.state_dir.as_deref();
        let kept = directory.and_then(|directory| catalogue::load(directory, port));
        let hub = Hub::new(broker, kept, config.exit_when_orphaned);
        let handle = ServerHandle {
            hub: hub.clone(),
            asked: watch::Sender::new(false),
            phase: watch::Sender::new(Phase::Serving),
            moved: Arc::default(),
            ended: watch::Sender::new(false),
        };
        let shared = Shared::new(hub, config, port, &handle);
        Self {
            listener,
            shared: Arc::new(shared),
            handle,
        }
    }

    /// The port, also if the operating system chose it.
    pub fn port(&self) -> u16 {
        self.listener.local_port()
    }

    /// Takes what an older broker of this port gave, before it serves: whoever waits there is
    /// answered from here.
    pub fn take_over(&self, over: HandOver) {
        self.shared.hub().take_over(over);
    }

    /// What ends it.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Serves until somebody [shuts it down](ServerHandle::shut_down), a `stop` does, or it is no
    /// longer needed and [told to end then](ServerConfig::exit_when_orphaned).
    ///
    /// # Cancel safety
    /// Dropping the future ends the server at once: connections are cut, and whoever waits hears
    /// nothing.
    pub async fn serve(self) {
        let Self {
            listener,
            shared,
            handle,
        } = self;
        let hub = shared.hub().clone();
        let mut side = tokio::task::JoinSet::new();
        side.spawn(hub.clone().keep_time());
        side.spawn(hub.clone().keep_serving());
        let (serving, ended) = oneshot::channel();
        let mut keeper = tokio::task::JoinSet::new();
        if let Some(directory) = shared.config.state_dir.clone() {
            let port = listener.local_port();
            keeper.spawn(catalogue::keep(directory, port, hub.catalogue(), ended));
        }
        let asked_to_stop = {
            let handle = handle.clone();
            let (mut asked, mut orphaned) = (handle.asked.subscribe(), hub.orphaned());
            async move {
                tokio::select! {
                    _ = asked.wait_for(|asked| *asked) => tracing::info!("told to stop"),
                    _ = orphaned.wait_for(|orphaned| *orphaned) => {
                        tracing::info!("no host came back, and nobody waits: ending");
                    }
                }
                handle.settle();
            }
        };
        side.spawn(asked_to_stop);
        side.spawn({
            let hub = hub.clone();
            async move {
                tokio::time::sleep(UNCLAIMED).await;
                hub.drop_unclaimed();
            }
        });
        let mut connections = accept::accept(shared.clone(), listener).await;
        if let Some(calls) = handle.moved.calls() {
            handle.moved.free.send_replace(true);
            tracing::info!(calls = calls.len(), "a newer broker has taken over");
            side.spawn(relay::claim_all(shared.clone(), calls));
            let rest = relay::give_rest(shared.clone());
            let left = async {
                tokio::time::sleep(IDLE_AFTER).await;
                handle.phase.send_if_modified(|phase| {
                    let leaves = *phase < Phase::Leaving;
                    *phase = (*phase).max(Phase::Leaving);
                    leaves
                });
                while connections.join_next().await.is_some() {}
            };
            let finished = async { tokio::join!(rest, left) };
            let _ = tokio::time::timeout(shared.config.broker.hold, finished).await;
            handle.settle();
        }
        let drained = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN, drained).await;
        connections.shutdown().await;
        drop(serving);
        let kept = async { while keeper.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN, kept).await;
        handle.ended.send_replace(true);
    }
}

impl ServerHandle {
    /// Ends the server in order: it accepts nobody more, answers all that wait (with what is known
    /// of their calls), and closes its connections when that is written. Returns when it has, or
    /// after `deadline`; the server goes on ending then.
    ///
    /// # Cancel safety
    /// Dropping the future only stops waiting.
    pub async fn shut_down(&self, deadline: Duration) {
        self.settle();
        let mut ended = self.ended.subscribe();
        let _ = tokio::time::timeout(deadline, ended.wait_for(|ended| *ended)).await;
    }

    /// Whether a newer broker has taken over: then the port and its files are that one's.
    pub fn has_moved(&self) -> bool {
        self.hub.has_moved()
    }

    fn settle(&self) {
        self.hub.shut_down();
        self.phase.send_replace(Phase::Stopping);
    }
}

impl Handing {
    /// The calls that a newer broker has; taken once.
    fn calls(&self) -> Option<Vec<Moved>> {
        let calls = self.calls.borrow().clone()?;
        let mut calls = calls.lock().expect("nobody panics with the calls in hand");
        Some(std::mem::take(&mut *calls))
    }
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    bytes
}

impl<B: Bind> fmt::Debug for Server<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("port", &self.port())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").finish_non_exhaustive()
    }
}
