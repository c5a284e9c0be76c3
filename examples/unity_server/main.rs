//! A Unity MCP server whose calls outlive the editor's reloads.
//!
//! `cargo run --example unity_server -- --sim` needs no Unity: a simulated editor is included.

use clap::Parser;
use examples::calls::Budget;
use examples::server::flags::{Editors, LocalUrl, Transport, origin, stdin_is_pipe};
use examples::server::{Options, run};
use examples::sim;
use mcp_transport_core::guard::Origin;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// An MCP server for the Unity editor whose calls outlive the editor's reloads.
///
/// Clients come by HTTP (at /mcp) or on the pipes of the client that started it; editors with the installed "MCP for Unity"
/// plugin, set to HTTP, come by WebSocket (at /hub/plugin of the same port). A call made while the editor reloads its scripts
/// is held and answered when it is back; none is sent twice that may not run twice.
#[derive(Debug, Parser)]
#[command(name = "unity_server", version, after_help = EXAMPLES)]
struct Flags {
    /// How clients come. Left out: http where --http-url is given; stdio where standard input is a pipe or socket, as it is
    /// when a client starts this program; else http
    #[arg(long, value_enum)]
    transport: Option<Transport>,

    /// Where clients and editors connect, on this machine only. Port 0 chooses a free one; the plugin expects 8080
    /// [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    http_url: Option<LocalUrl>,

    /// A web page's origin that may use this server, such as https://app.example; may be given several times. Pages of other
    /// origins are refused, and programs that are no browser need none
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    allow_origin: Vec<Origin>,

    /// How editors come: hub = their plugins, set to HTTP, connect to us; bridge = their plugins, set to stdio, listen, and
    /// are found by the status files in ~/.unity-mcp (or UNITY_MCP_STATUS_DIR); auto = both
    /// [default: auto; with --sim hub, so that a trial leaves the editors that are open alone]
    #[arg(long, value_enum)]
    editor: Option<Editors>,

    /// Leaves the port to a broker, a process of its own: when this server crashes, or is killed and started again, clients
    /// stay connected, their calls wait, and editors connect the moment it is back. The broker is found or started; it ends when
    /// this server ends in order, and five minutes after a crash
    #[arg(long)]
    behind_broker: bool,

    /// How long a call waits for an editor that is away, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0, value_parser = seconds)]
    hold: f64,

    /// After how long a client that asked for no progress gets an answer in any case, in seconds; 0 = no limit. Many clients
    /// give a call up after 60 s, and would never learn what became of it
    #[arg(long, value_name = "SECONDS", default_value_t = 50.0, value_parser = seconds)]
    client_budget: f64,

    /// Starts a simulated editor too: the plugin's half of the real protocol over a real socket, with a scene, scripts, a
    /// console and reloads. Its menu items Simulator/Reload Domain and Simulator/Report reload it, and say how often each
    /// command took effect
    #[arg(long)]
    sim: bool,

    /// How long the simulated editor's reloads take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds, requires = "sim")]
    sim_away: f64,

    /// Reloads the simulated editor every so many seconds, besides when a script changes
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "sim")]
    sim_reload_every: Option<f64>,

    /// Decides where the simulated reloads strike: before a command is read, before its effect, after it, after the answer
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "sim")]
    sim_seed: u64,
}

const EXAMPLES: &str = "\
Examples:
  unity_server                                 for editors and clients on http://127.0.0.1:8080
  unity_server --sim                           the same with a simulated editor: no Unity needed
  unity_server --sim --sim-reload-every 10     and one that reloads all the time
  unity_server --http-url http://127.0.0.1:9090
  unity_server --behind-broker                 one that may be restarted while clients call
  curl http://127.0.0.1:8080/health            what works, what does not, and what to do

The log goes to standard error; RUST_LOG=debug says more.";

const DEFAULT_PORT: u16 = 8080;

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0 to 86400".to_owned()),
    }
}

impl Flags {
    fn options(self) -> Options {
        let guess = Transport::guess(self.http_url.is_some(), stdin_is_pipe());
        let mut options = Options::new(self.http_url.map_or(DEFAULT_PORT, LocalUrl::port));
        options.stdio = self.transport.unwrap_or(guess) == Transport::Stdio;
        options.origins = self.allow_origin;
        options.behind_broker = self.behind_broker;
        options.editors = self.editor.unwrap_or_else(|| Editors::by_default(self.sim));
        options.budget = Budget::new(
            Duration::from_secs_f64(self.hold),
            Some(Duration::from_secs_f64(self.client_budget)),
        );
        options.sim = self.sim.then(|| {
            let sim = sim::Options::default()
                .away(Duration::from_secs_f64(self.sim_away))
                .seed(self.sim_seed);
            match self.sim_reload_every.filter(|seconds| *seconds > 0.0) {
                Some(every) => sim.reload_every(Duration::from_secs_f64(every)),
                None => sim,
            }
        });
        options
    }
}

fn main() -> ExitCode {
    // Where no mcp-broker is installed, this program is the broker, too.
    if let Some(code) = mcp_transport_broker::run::broker_main() {
        return code;
    }
    let flags = Flags::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "info,rmcp=warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("unity_server: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run(flags.options()));
    // The thread that reads standard input cannot be stopped; waiting for it would outlast a signal.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("unity_server: {error}");
            ExitCode::FAILURE
        }
    }
}
