//! The server behind a broker, which keeps the port while this process comes and goes.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that owns a task for each of the broker's clients"
)]

use super::estate::Taken;
use super::mcp::UnityMcp;
use crate::calls::{Budget, Calls};
use mcp_transport_broker::host::{BrokerClient, BrokerListener, Handle};
use mcp_transport_broker::launch::{Launch, LaunchError, Launched, Program};
use mcp_transport_broker::native::Era;
use mcp_transport_broker::run::RunConfig;
use mcp_transport_core::guard::Origin;
use mcp_transport_core::{Listener, TransportExt};
use rmcp::ServiceExt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How much longer than we the broker lets a client wait: we can say more about the editor.
const LONGER: Duration = Duration::from_secs(3);

/// How long the end waits for answers that are on their way.
const DRAIN: Duration = Duration::from_secs(2);

/// How long a broker stays whose server has crashed and is not started again.
const ORPHANED: Duration = Duration::from_secs(5 * 60);

/// Where editors with the installed plugin connect.
const PLUGIN: &str = "/hub/plugin";

/// Where other stdio servers pass their clients' messages on, by WebSocket. Clients that speak HTTP are the broker's.
const MCP: &str = "/mcp";

/// A broker that keeps our port.
pub(super) struct Behind {
    launch: Launch,
}

impl Behind {
    /// Finds or starts the broker of this port. `None` where there is nothing to start: then this server listens itself,
    /// which is said once.
    ///
    /// # Errors
    /// If the port is somebody else's, or the broker does not start.
    pub(super) async fn find(
        port: u16,
        budget: &Budget,
        origins: &[Origin],
    ) -> io::Result<Option<Self>> {
        let launch = launch(port, budget, origins);
        match launch.ensure().await {
            Ok(broker) => {
                let (pid, version) = (broker.pid(), broker.version().to_owned());
                tracing::info!(port, pid, version, "a broker keeps the port");
                Ok(Some(Self { launch }))
            }
            Err(error @ LaunchError::NoProgram { .. }) => {
                tracing::warn!(
                    "{error}. This server listens on port {port} itself; clients will notice its restarts"
                );
                Ok(None)
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// The port that everybody knows.
    pub(super) const fn port(&self) -> u16 {
        self.launch.port()
    }

    /// Serves the broker's clients. What it passes on to us comes to this port of ours.
    pub(super) fn serve(self, hidden: u16, calls: Calls) -> io::Result<Serving> {
        let clients = BrokerListener::launched(self.launch)
            .name("unity_server")
            .version(env!("CARGO_PKG_VERSION"))
            .tunnel(SocketAddr::from((Ipv4Addr::LOCALHOST, hidden)))
            .attach()?;
        let handle = clients.handle();
        let task = tokio::spawn(accept(clients, calls));
        Ok(Serving { handle, task })
    }
}

/// Clients that come by the broker.
pub(super) struct Serving {
    handle: Handle,
    task: JoinHandle<()>,
}

impl Serving {
    /// Answers what is on its way, and tells the broker that we are gone for good.
    pub(super) async fn stop(self) {
        self.handle.shut_down(DRAIN).await;
        self.task.abort();
    }
}

async fn accept(mut clients: BrokerListener, calls: Calls) {
    loop {
        match clients.accept().await {
            Ok(client) => drop(tokio::spawn(serve(client, calls.clone()))),
            Err(error) => {
                tracing::info!(%error, "no more clients come by the broker");
                return;
            }
        }
    }
}

async fn serve(client: BrokerClient, calls: Calls) {
    // A session has the same name at the broker whoever serves it; without one, who knows an operation's id may ask for it.
    let owner = (client.meet().era == Era::Legacy).then(|| format!("broker {}", client.id()));
    match UnityMcp::behind_broker(calls, owner)
        .serve(client.typed())
        .await
    {
        Ok(service) => drop(service.waiting().await),
        Err(error) => tracing::debug!(%error, "a client left before it said what it wants"),
    }
}

/// The broker of a port.
pub(super) struct Found {
    broker: Launched,
    pub(super) pid: u32,
    /// Whether a server is attached to it.
    pub(super) has_server: bool,
    /// That one's process, if it said.
    pub(super) server_pid: Option<u64>,
}

/// The broker that keeps this port, if there is one of ours.
pub(super) async fn find(port: u16) -> Option<Found> {
    let launch = launch(port, &Budget::default(), &[]);
    let broker = launch.find().await.ok().flatten()?;
    let status = broker.status().await.unwrap_or_default();
    Some(Found {
        pid: broker.pid(),
        has_server: has_host(&status),
        server_pid: serde_json::from_str::<serde_json::Value>(&status)
            .ok()
            .and_then(|status| status["host"]["pid"].as_u64()),
        broker,
    })
}

impl Found {
    /// Ends a broker without a server, which is from a time with `--behind-broker`.
    pub(super) async fn end(&self) -> io::Result<()> {
        tracing::info!(
            pid = self.pid,
            "a broker without a server has the port; it ends"
        );
        self.broker.stop().await.map_err(io::Error::other)
    }
}

/// Takes the port itself. If a broker of ours has it, without a server, that one ends.
///
/// # Errors
/// If the port cannot be had; the text names who holds it.
pub(super) async fn bind_directly(port: u16) -> io::Result<Taken> {
    let error = match Taken::either(port) {
        Ok(taken) => return Ok(taken),
        Err(error) => error,
    };
    let Some(found) = find(port).await else {
        return Err(error);
    };
    if found.has_server {
        let text = format!(
            "port {port} is kept by a broker (process {}) for another server: add --behind-broker, or end that server",
            found.pid
        );
        return Err(io::Error::new(error.kind(), text));
    }
    found.end().await?;
    Taken::either(port)
}

fn has_host(status: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(status).is_ok_and(|status| !status["host"].is_null())
}

fn launch(port: u16, budget: &Budget, origins: &[Origin]) -> Launch {
    let mut config = RunConfig::default();
    config.port = port;
    config.hold = budget.hold;
    config.client_budget = budget.client.unwrap_or(budget.hold) + LONGER;
    config.tunnel_paths = vec![PLUGIN.to_owned(), MCP.to_owned()];
    config.exit_when_orphaned = Some(ORPHANED);
    config.allow_origins = origins.iter().map(Origin::to_string).collect();
    config.exit_with_host = true;
    Launch::with(config).program(Program::SearchOrSelf)
}
