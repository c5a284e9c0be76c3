//! A Unity editor without Unity: connects to a hub as the plugin does, and reloads at bad moments.
//!
//! ```text
//! cargo run --example unity_editor -- --server ws://127.0.0.1:8080/hub/plugin --reload-every 20
//! ```
//!
//! The menu items `Simulator/Reload Domain` and `Simulator/Report` are its own. `RUST_LOG=debug`
//! shows each command. Ctrl-C quits politely.

use std::time::Duration;

use clap::Parser;
use examples::sim::{self, Editor, Options};
use tracing_subscriber::EnvFilter;

/// A simulated Unity editor for hubs that speak the plugin's WebSocket dialect.
#[derive(Debug, Parser)]
struct Flags {
    /// The hub's plugin endpoint
    #[arg(long, default_value = "ws://127.0.0.1:8080/hub/plugin", value_parser = hub)]
    server: String,
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
    /// The project's name
    #[arg(long, default_value = "SimProject")]
    project_name: String,
    /// The project's root, whose hash is its identity; nothing is read from there
    #[arg(long, default_value = "/simulator/SimProject")]
    project_path: String,
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
    options.reload_every = flags.reload_every;
    tracing::info!(
        project = options.project.name,
        hash = options.project.hash(),
        "starting"
    );

    let editor = Editor::spawn(&flags.server, options);
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::error!("cannot wait for Ctrl-C: {error}");
    }
    editor.quit().await;
}

fn hub(url: &str) -> Result<String, String> {
    sim::authority(url).map(|_| url.to_owned())
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
