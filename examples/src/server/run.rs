//! The whole server: its port, its hub, its client on the pipes, its simulated editor.
#![expect(clippy::disallowed_methods, reason = "the shell that owns the process")]

use super::behind::{self, Behind};
use super::flags::Editors;
use super::http::{self, Http, port_holder};
use super::mcp::UnityMcp;
use crate::bridge::BridgeLeg;
use crate::calls::{Budget, Calls, Port};
use crate::hub::{Config, Hub, Instance, Phase};
use crate::sim;
use mcp_transport_core::TransportExt;
use mcp_transport_core::guard::Origin;
use mcp_transport_core::loopback::FamilyState;
use mcp_transport_stdio::discovery::Discovery;
use rmcp::ServiceExt;
use std::io::{self, Write};
use std::time::Duration;

/// What the server is to do.
#[derive(Debug)]
#[non_exhaustive]
pub struct Options {
    /// Whether a client is on our standard input and output.
    pub stdio: bool,
    /// The port for clients and editors; 0 chooses one.
    pub port: u16,
    /// Origins of web pages that may use it.
    pub origins: Vec<Origin>,
    /// How long calls wait.
    pub budget: Budget,
    /// How editors come.
    pub editors: Editors,
    /// The simulated editor, if there is to be one.
    pub sim: Option<sim::Options>,
    /// Whether a broker keeps the port, so that clients and editors outlive this process.
    pub behind_broker: bool,
}

impl Options {
    /// HTTP on this port, with the defaults.
    pub fn new(port: u16) -> Self {
        Self {
            stdio: false,
            port,
            origins: Vec::new(),
            budget: Budget::default(),
            editors: Editors::Auto,
            sim: None,
            behind_broker: false,
        }
    }
}

/// How long the banner waits for the simulated editor.
const EDITOR_STARTS: Duration = Duration::from_secs(2);

/// Runs until it is told to stop, or until the client on the pipes is gone.
///
/// # Errors
/// If the port cannot be had; nothing was started then.
///
/// # Cancel safety
/// Dropping the future drops the client on the pipes; what serves the port goes on until the runtime ends.
pub async fn run(options: Options) -> io::Result<()> {
    let behind = match options.behind_broker {
        true => Behind::find(options.port, &options.budget, &options.origins).await?,
        false => None,
    };
    let listener = match &behind {
        // The port that everybody knows is the broker's; what it passes on comes here.
        Some(_) => http::bind(0)?,
        None => behind::bind_directly(options.port).await?,
    };
    let stop = stop_signal();
    tokio::pin!(stop);
    let (hidden, health) = (listener.local_port(), listener.watch_health());
    let number = behind.as_ref().map_or(hidden, Behind::port);
    let hub = Hub::new(Config::default());
    let port_health = health.clone();
    let calls = Calls::new(hub.clone(), options.budget, move || {
        Some(Port {
            number,
            health: port_health.borrow().clone(),
        })
    });
    let plugins = options.editors != Editors::Bridge;
    let started = Http::start_with(listener, number, &calls, options.origins, plugins);
    let behind = match behind {
        Some(behind) => Some(behind.serve(hidden, calls.clone())?),
        None => None,
    };
    let bridge = match options.editors {
        Editors::Hub => None,
        Editors::Bridge => Some(dial_editors(&hub)?),
        Editors::Auto => match dial_editors(&hub) {
            Ok(leg) => Some(leg),
            Err(error) => {
                tracing::warn!(%error, "editors that listen are not found");
                None
            }
        },
    };
    warn_of_foreign_port(number, &health.borrow());
    let editor = match options.sim {
        Some(sim) => Some(simulate(number, sim, &hub).await),
        None => None,
    };
    let banner = banner(number, hidden, &hub, editor.is_some());
    if options.stdio {
        // Nothing but protocol may reach standard output.
        let _ = writeln!(io::stderr(), "{banner}");
        tokio::select! {
            served = serve_pipes(calls) => served?,
            () = &mut stop => {}
        }
    } else {
        // Whoever started us may have closed it already.
        let _ = writeln!(io::stdout(), "{banner}");
        stop.await;
    }
    if let Some(behind) = behind {
        behind.stop().await;
    }
    started.stop().await;
    drop(bridge);
    if let Some(editor) = editor {
        editor.quit().await;
    }
    Ok(())
}

/// Editors whose plugin is set to stdio: the status files say where they listen.
fn dial_editors(hub: &Hub) -> io::Result<BridgeLeg> {
    Ok(BridgeLeg::start(hub, &Discovery::from_env()?)?)
}

async fn simulate(port: u16, options: sim::Options, hub: &Hub) -> sim::Editor {
    let editor = sim::Editor::spawn(&format!("ws://127.0.0.1:{port}/hub/plugin"), options);
    let mut instances = hub.instances();
    // One whose status file was found is none of ours.
    let connected = instances.wait_for(|known| known.iter().any(is_connected));
    if tokio::time::timeout(EDITOR_STARTS, connected)
        .await
        .is_err()
    {
        tracing::warn!("the simulated editor has not connected yet");
    }
    editor
}

fn is_connected(editor: &Instance) -> bool {
    editor.phase == Phase::Connected
}

async fn serve_pipes(calls: Calls) -> io::Result<()> {
    let pipes = mcp_transport_stdio::stdio()?;
    match UnityMcp::for_stdio(calls).serve(pipes.typed()).await {
        Ok(service) => {
            let ended = service.waiting().await;
            tracing::info!(?ended, "the client is gone");
        }
        Err(error) => tracing::info!(%error, "the client left before it said what it wants"),
    }
    Ok(())
}

fn warn_of_foreign_port(port: u16, health: &mcp_transport_core::loopback::Health) {
    for (address, family) in [("127.0.0.1", &health.v4), ("[::1]", &health.v6)] {
        if family.state == FamilyState::PortTaken {
            let holder = port_holder(port).unwrap_or_else(|| "another program".to_owned());
            tracing::error!(
                "{address}:{port} is held by {holder}, so whoever dials that address reaches it and not this server; it is tried again until it is free"
            );
        }
    }
}

/// `own`: the port of this process, which is another one behind a broker.
fn banner(port: u16, own: u16, hub: &Hub, simulated: bool) -> String {
    let editors = hub.snapshot();
    let shown = |editor: &Instance| match editor.phase {
        Phase::Connected if simulated => format!("{} (simulated)", editor.id()),
        Phase::Connected => editor.id(),
        Phase::Listening { .. } => format!("{} (listens; a call connects it)", editor.id()),
        Phase::Away { .. } => format!("{} (reloads)", editor.id()),
        Phase::Quit { .. } => format!("{} (quit)", editor.id()),
    };
    let editors = if editors.is_empty() {
        "none yet: open a project with the MCP for Unity plugin, set to HTTP and this URL, or to stdio"
            .to_owned()
    } else {
        editors.iter().map(shown).collect::<Vec<_>>().join(", ")
    };
    format!(
        "\
MCP     http://127.0.0.1:{port}/mcp
Hub     ws://127.0.0.1:{port}/hub/plugin
Health  http://127.0.0.1:{own}/health
Editor  {editors}

Point a client at it:
  claude mcp add --transport http unity http://127.0.0.1:{port}/mcp
  or in its mcp.json: {{\"mcpServers\": {{\"unity\": {{\"type\": \"http\", \"url\": \"http://127.0.0.1:{port}/mcp\"}}}}}}"
    )
}

/// Ctrl-C, or the signal with which a service manager ends a process: watched for from the call on.
#[cfg(unix)]
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async move {
        let mut signals: Vec<_> = signals.into_iter().flatten().collect();
        let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        if waits.len() == 0 {
            std::future::pending::<()>().await;
        }
        futures::future::select_all(waits).await;
    }
}

#[cfg(not(unix))]
async fn stop_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
