//! A Unity editor without Unity: connects to a hub as the plugin does, or listens as the plugin set to
//! stdio does, and reloads at bad moments.
//!
//! ```text
//! cargo run --example unity_editor -- --server ws://127.0.0.1:8080/hub/plugin --reload-every 20
//! cargo run --example unity_editor -- --bridge --port 6400
//! cargo run --example unity_editor -- --tools my-tools.json --switch-off manage_script
//! ```
//!
//! The menu items `Simulator/Reload Domain` and `Simulator/Report` are its own, and
//! `Simulator/Strike Before Read` (`Before Effect`, `After Effect`, `After Answer`), which lets a reload
//! strike the next command there; `Simulator/Slow Compilation`, `Slow Import` and `Run All Tests`, which keep it busy for 2 s;
//! `Simulator/Batches Of 60`, as the plugin's window sets it. `RUST_LOG=debug` shows each command. Ctrl-C quits politely.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use examples::sim::{self, Editor, Options};
use mcp_transport_stdio::bridge::Notice;
use mcp_transport_stdio::discovery::Environment;
use serde_json::Value;
use tracing_subscriber::EnvFilter;

/// A simulated Unity editor, for either dialect of the plugin.
#[derive(Debug, Parser)]
struct Flags {
    /// The hub's plugin endpoint
    #[arg(long, default_value = "ws://127.0.0.1:8080/hub/plugin", value_parser = hub)]
    server: String,
    /// Listen for servers instead, as the plugin set to stdio does
    #[arg(long, conflicts_with = "server")]
    bridge: bool,
    /// The port to listen on; 0 lets the system choose
    #[arg(long, default_value_t = 6400, requires = "bridge")]
    port: u16,
    /// The directory of the status file [default: `UNITY_MCP_STATUS_DIR`, else `~/.unity-mcp`]
    #[arg(long, requires = "bridge")]
    status_dir: Option<PathBuf>,
    /// On the bridge: whoever connects ends everybody else without a word, and there are no seats
    #[arg(long, requires = "bridge")]
    installed_rule: bool,
    /// Who hears on the bridge that it lost its seat
    #[arg(long, value_enum, default_value = "always", requires = "bridge")]
    notice: Told,
    /// How many seconds a domain reload takes
    #[arg(long, default_value = "5", value_parser = seconds)]
    away: Duration,
    /// Reload the domain every so many seconds, at the command in hand or the next one
    #[arg(long, value_parser = seconds)]
    reload_every: Option<Duration>,
    /// Decides where reloads strike: before or after the command is read, executed, answered
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seconds each command takes
    #[arg(long, default_value = "0", value_parser = seconds)]
    latency: Duration,
    /// How many seconds commands of this name take, or those for the object or script of this name,
    /// e.g. `Slow=7`; may be given several times
    #[arg(long, value_name = "WHAT=SECONDS", value_parser = latency_for)]
    latency_for: Vec<(String, Duration)>,
    /// A JSON file with the tools that the project defines itself: a list of what the plugin says of each in
    /// `register_tools`, and under `sim` how it answers: `{"seconds": 2, "data": …}`
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// A tool that is switched off in the editor; may be given several times
    #[arg(long, value_name = "TOOL")]
    switch_off: Vec<String>,
    /// The project's name
    #[arg(long, default_value = "SimProject")]
    project_name: String,
    /// The project's root, whose hash is its identity; nothing is read from there
    #[arg(long, default_value = "/simulator/SimProject")]
    project_path: String,
}

/// Who hears of a lost seat.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Told {
    /// Every loser
    Always,
    /// Who asked for the seat by name, and so knows the frame; the Python server does not
    Announced,
    /// Nobody
    Never,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let flags = Flags::parse();
    let mut options = Options::default()
        .project(flags.project_name, flags.project_path)
        .away(flags.away)
        .seed(flags.seed)
        .latency(flags.latency);
    for name in flags.switch_off {
        options = options.switched_off(name);
    }
    for tool in flags.tools.iter().flat_map(|path| tools(path)) {
        options = options.tool(tool);
    }
    options.latencies = flags.latency_for.into_iter().collect();
    options.reload_every = flags.reload_every;
    options.installed_rule = flags.installed_rule;
    options.notice = match flags.notice {
        Told::Always => Notice::Always,
        Told::Announced => Notice::Announced,
        Told::Never => Notice::Never,
    };
    tracing::info!(
        project = options.project.name,
        hash = options.project.hash(),
        "starting"
    );

    let editor = if flags.bridge {
        let directory = flags
            .status_dir
            .or_else(|| Some(Environment::current().home()?.status));
        let Some(directory) = directory else {
            tracing::error!("there is no home directory; say --status-dir");
            std::process::exit(2);
        };
        Editor::listen(&directory, flags.port, options)
    } else {
        Editor::spawn(&flags.server, options)
    };
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::error!("cannot wait for Ctrl-C: {error}");
    }
    editor.quit().await;
}

/// The tools of a file. One that cannot be read ends the program, since whoever named it wants them.
fn tools(path: &Path) -> Vec<Value> {
    let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let tools =
        read.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    tools.unwrap_or_else(|error| {
        tracing::error!("{} has no list of tools: {error}", path.display());
        std::process::exit(2);
    })
}

fn hub(url: &str) -> Result<String, String> {
    sim::authority(url).map(|_| url.to_owned())
}

fn latency_for(text: &str) -> Result<(String, Duration), String> {
    let (what, latency) = text
        .rsplit_once('=')
        .ok_or_else(|| format!("`{text}` names no time; try `{text}=7`"))?;
    Ok((what.to_owned(), seconds(latency)?))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is no number of seconds"))?;
    // Beyond a year, sums of times begin to overflow on some systems.
    if !(0.0..=31_536_000.0).contains(&seconds) {
        return Err("it must be between 0 and 31536000 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}
