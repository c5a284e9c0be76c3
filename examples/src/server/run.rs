//! The whole server, as a process: from its options to its end.
#![expect(clippy::disallowed_methods, reason = "the shell that owns the process")]

use super::behind::{self, Behind};
use super::estate::Taken;
use super::flags::Editors;
use super::hosted::{self, Hosted};
use super::http::{LOOPBACK, port_holder};
use super::relay;
use super::whole::Whole;
use crate::calls::Budget;
use crate::docs::Docs;
use crate::hub::{Hub, Instance, Phase};
use crate::sim;
use mcp_transport_core::guard::Origin;
use mcp_transport_core::loopback::FamilyState;
use std::io::{self, Write};
use std::net::SocketAddr;
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
    /// Where Unity's documentation is.
    pub docs: Docs,
    /// How editors come.
    pub editors: Editors,
    /// The simulated editor, if there is to be one.
    pub sim: Option<sim::Options>,
    /// Whether a broker keeps the port, so that clients and editors outlive this process.
    pub behind_broker: bool,
    /// The editor of a call that names none, where several fit.
    pub default_instance: Option<String>,
    /// Where users get their keys.
    pub login_url: Option<String>,
    /// Users elsewhere, instead of whoever is on this machine.
    pub hosted: Option<Hosted>,
}

impl Options {
    /// HTTP on this port, with the defaults.
    pub fn new(port: u16) -> Self {
        Self {
            stdio: false,
            port,
            origins: Vec::new(),
            budget: Budget::default(),
            docs: Docs::official(),
            editors: Editors::Auto,
            sim: None,
            behind_broker: false,
            default_instance: None,
            login_url: None,
            hosted: None,
        }
    }
}

/// How long the banner waits for the simulated editor.
const EDITOR_STARTS: Duration = Duration::from_secs(2);

/// Runs until it is told to stop, or until the client on the pipes is gone.
///
/// With a client on the pipes it runs whoever has the port: see the module `relay`.
///
/// # Errors
/// If the port cannot be had; nothing was started then.
///
/// # Cancel safety
/// Dropping the future drops the client on the pipes; what serves the port goes on until the runtime ends.
pub async fn run(mut options: Options) -> io::Result<()> {
    let stop = stop_signal();
    if let Some(hosted) = options.hosted.take() {
        return hosted::run(hosted, options, stop).await;
    }
    if options.stdio {
        return relay::run(options, stop).await;
    }
    let behind = match options.behind_broker {
        true => Behind::find(options.port, &options.budget, &options.origins).await?,
        false => None,
    };
    let port = match &behind {
        // The port that everybody knows is the broker's; what it passes on comes here.
        Some(_) => Taken::either(0)?,
        None => behind::bind_directly(options.port).await?,
    };
    let server = Whole::start(&options, port, behind)?;
    warn_of_foreign_port(server.number(), &server.health());
    let editor = match options.sim {
        Some(sim) => Some(simulate(server.number(), sim, server.calls().hub()).await),
        None => None,
    };
    // Whoever started us may have closed it already.
    let _ = writeln!(io::stdout(), "{}", banner(&server, editor.is_some()));
    stop.await;
    server.stop().await;
    if let Some(editor) = editor {
        editor.quit().await;
    }
    Ok(())
}

/// Starts the simulated editor, and gives it a moment to come.
pub(super) async fn simulate(port: u16, options: sim::Options, hub: &Hub) -> sim::Editor {
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

pub(super) fn warn_of_foreign_port(port: u16, health: &mcp_transport_core::loopback::Health) {
    for (ip, family) in LOOPBACK.into_iter().zip([&health.v4, &health.v6]) {
        if family.state == FamilyState::PortTaken {
            let address = SocketAddr::new(ip, port);
            let holder = port_holder(port, &[ip]).unwrap_or_else(|| "another program".to_owned());
            tracing::error!(
                "{address} is held by {holder}, so whoever dials that address reaches it and not this server; it is tried again until it is free"
            );
        }
    }
}

/// What people are told at the start.
pub(super) fn banner(server: &Whole, simulated: bool) -> String {
    let (port, own) = (server.number(), server.own_port());
    let editors = server.calls().hub().snapshot();
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
    if !server.has_port() {
        return format!("Health  http://127.0.0.1:{own}/health\nEditor  {editors}");
    }
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
