//! The listening side: what an application runs.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it owns the tasks of the listener and its connections"
)]

use super::connection::Connection;
use super::hub::Hub;
use super::memory::Memory;
use super::seat::{Notice, Policy, SeatConfig};
use super::served::Served;
use mcp_transport_core::loopback::{Health, Loopback};
use mcp_transport_core::{Error, ErrorKind, Listener};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Takes the connections of bridge clients: the side that the Unity plugin is.
///
/// [`accept`](Listener::accept) yields a connection when it gets the seat: when it asked for it and it is granted, or with
/// its first command. Connections that only ping, and those that wait for the seat, never show. So this is a whole
/// application:
///
/// ```
/// use futures::{SinkExt, StreamExt};
/// use mcp_transport_core::{Connector, Error, Listener, Message};
/// use mcp_transport_stdio::bridge::{BridgeConfig, BridgeConnector, BridgeListener};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let mut clients = BridgeListener::bind(0, BridgeConfig::new())?;
/// # let port = clients.local_port();
/// # tokio::spawn(async move {
/// while let Ok(mut client) = clients.accept().await {
///     while let Some(Ok(command)) = client.next().await {
///         println!("{:?}", command.as_str());
///         let answer = r#"{"status":"success","result":{"success":true}}"#;
///         client.send(Message::from(answer)).await?;
///     }
/// }
/// # Ok::<_, Error>(())
/// # });
/// # let mut client = BridgeConnector::new(port).connect().await?;
/// # client.send(Message::from(r#"{"type":"read_console","params":{}}"#)).await?;
/// # assert!(client.next().await.unwrap()?.as_str().unwrap().contains("true"));
/// # Ok(())
/// # }
/// ```
///
/// It needs no loop of its own beside that: accepting, pings, evictions and answers to commands that were sent again go on
/// in tasks of the listener, whatever the application does. Under [`Policy::Share`] several connections are served at
/// once, so serve each in a task.
///
/// Dropping it frees the port and closes every connection that was not accepted; the others go on.
///
/// # Over a reload
/// The Python client (10.3) sends a command again whose connection ended, and the next listener has never heard of it. So an
/// application that reloads in the middle of a command, and will listen again, [closes](Self::close) its listener and hands
/// what that remembers to the next one:
///
/// ```
/// # use mcp_transport_core::Error;
/// # use mcp_transport_stdio::bridge::{BridgeConfig, BridgeListener};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let clients = BridgeListener::bind(0, BridgeConfig::new())?;
/// let port = clients.local_port();
/// let memory = clients.close().await;
/// // … the application reloads …
/// let clients = BridgeListener::bind(port, BridgeConfig::new().memory(memory))?;
/// # drop(clients);
/// # Ok(())
/// # }
/// ```
///
/// For [`REMEMBERED`](super::resend::REMEMBERED) after that, who sends again what ran when the first one closed gets an
/// answer of `status:error`, which says that a reload interrupted it, that nobody knows what it did, and that it was not run
/// again. It is run again for who asked for the seat by name: that client repeats nothing that may not run twice.
///
/// Those that may run twice, such as reads, can be [left out](Memory::retain_unknown), and then run again for everybody.
///
/// If another process goes on, keep [`Memory::to_bytes`] where it finds them, and take them away there before use:
///
/// ```no_run
/// # use mcp_transport_core::Error;
/// # use mcp_transport_stdio::bridge::{BridgeConfig, BridgeListener, Memory};
/// # async fn leave(clients: BridgeListener) -> Result<(), Error> {
/// std::fs::write("Temp/bridge-memory", clients.close().await.to_bytes())?;
/// # Ok(())
/// # }
/// # fn come_back() -> Result<(), Error> {
/// // In the next process:
/// let bytes = std::fs::read("Temp/bridge-memory").unwrap_or_default();
/// let _ = std::fs::remove_file("Temp/bridge-memory");
/// let memory = Memory::from_bytes(&bytes).unwrap_or_default();
/// let clients = BridgeListener::bind(6400, BridgeConfig::new().memory(memory))?;
/// # drop(clients);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BridgeListener {
    port: u16,
    hub: Arc<Hub>,
    accepted: mpsc::Receiver<Served>,
    health: watch::Receiver<Health>,
    task: JoinHandle<()>,
}

/// How a [`BridgeListener`] listens.
#[derive(Clone, Debug, Default)]
pub struct BridgeConfig {
    seats: SeatConfig,
    ipv4_only: bool,
    memory: Memory,
}

impl BridgeConfig {
    /// The defaults of [`SeatConfig`], on both loopback addresses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets who wins when a second client wants the seat; [`Policy::NewestWins`] by default.
    #[must_use]
    pub const fn policy(mut self, policy: Policy) -> Self {
        self.seats.policy = policy;
        self
    }

    /// Sets who hears the eviction notice; [`Notice::Always`] by default.
    #[must_use]
    pub const fn notice(mut self, notice: Notice) -> Self {
        self.seats.notice = notice;
        self
    }

    /// Sets after which silence an incumbent is not protected any more; 30 s by default. Only for
    /// [`Policy::ProtectIncumbent`].
    #[must_use]
    pub const fn silence(mut self, silence: Duration) -> Self {
        self.seats.silence = silence;
        self
    }

    /// Sets how many connections there may be at once; 64 by default.
    #[must_use]
    pub const fn connections(mut self, connections: usize) -> Self {
        self.seats.connections = connections;
        self
    }

    /// Listens on 127.0.0.1 alone, as the installed plugin does.
    #[must_use]
    pub const fn ipv4_only(mut self) -> Self {
        self.ipv4_only = true;
        self
    }

    /// Goes on with what a listener before this one remembered; nothing by default.
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }
}

impl BridgeListener {
    /// Listens on this port of `127.0.0.1` and `[::1]`; 0 lets the system choose.
    ///
    /// # Errors
    /// As [`Loopback::bind`].
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub fn bind(port: u16, config: BridgeConfig) -> Result<Self, Error> {
        let loopback = if config.ipv4_only {
            let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            Loopback::from_std(Some(socket), None)?
        } else {
            Loopback::bind(port)?
        };
        Ok(Self::on(loopback, config))
    }

    /// Listens on sockets that somebody else bound; [`BridgeConfig::ipv4_only`] has no say here.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub fn on(mut loopback: Loopback, config: BridgeConfig) -> Self {
        let (port, health) = (loopback.local_port(), loopback.watch_health());
        let hub = Arc::new(Hub::new(config.seats, config.memory));
        let (tx, accepted) = mpsc::channel(config.seats.connections.max(1));
        let shared = Arc::clone(&hub);
        let task = tokio::spawn(async move {
            loop {
                let (stream, from) = loopback.accept().await;
                tokio::spawn(Connection::serve(
                    stream,
                    from,
                    Arc::clone(&shared),
                    tx.clone(),
                ));
            }
        });
        Self {
            port,
            hub,
            accepted,
            health,
            task,
        }
    }

    /// Ends it with all its connections, and says what the next listener is to know: see
    /// [Over a reload](Self#over-a-reload).
    ///
    /// The port is free, no command begins any more, and answers that were given are written, within 500 ms: an answer
    /// that its client does not read by then counts as not arrived. Commands that were taken and not answered are of
    /// unknown outcome; what is sent to their [`Served`] from now on goes nowhere.
    ///
    /// # Cancel safety
    /// Dropping the future drops the listener, and loses what it remembers.
    pub async fn close(mut self) -> Memory {
        self.task.abort();
        // Its socket goes with it.
        let _ = (&mut self.task).await;
        self.hub.shut();
        let _ = timeout(LAST_ANSWERS, self.hub.silence()).await;
        self.hub.memory()
    }

    /// The port, the same on both addresses.
    pub const fn local_port(&self) -> u16 {
        self.port
    }

    /// The endpoint of the client that has the seat; always `None` under [`Policy::Share`].
    pub fn holder(&self) -> Option<String> {
        self.hub.holder()
    }

    /// How either address is at the moment.
    pub fn health(&self) -> Health {
        self.health.borrow().clone()
    }
}

impl Listener for BridgeListener {
    type Transport = Served;

    async fn accept(&mut self) -> Result<Served, Error> {
        let served = self.accepted.recv().await;
        served.ok_or_else(|| Error::new(ErrorKind::Closed).context("the listener's task is gone"))
    }
}

impl Drop for BridgeListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How long an application that closes waits for answers to be written: as long as for a goodbye.
const LAST_ANSWERS: Duration = Duration::from_millis(500);
